# B25: eight ends by four policies, and the sandbox without a service, in which
# the entrypoint is started once.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Service;
use Test::More;

need_root();
my $d = Sandboxd->start;
my @ends = (
	# name, script, more of the service, started again by: always on-failure on-abnormal never
	['exit 0', 'exit 0', {}, [1, 0, 0, 0]],
	['exit 1', 'exit 1', {}, [1, 1, 0, 0]],
	['TERM', 'kill -TERM $$', {}, [1, 0, 0, 0]],
	['HUP', 'kill -HUP $$', {}, [1, 0, 0, 0]],
	['KILL', 'kill -KILL $$', {}, [1, 1, 1, 0]],
	['SEGV', 'kill -SEGV $$', {}, [1, 1, 1, 0]],
	['not ready', 'sleep 600', { ready => { exec => ['false'], timeout_ms => 100 } }, [1, 1, 1, 0]],
	['no such program', ['/no/such'], {}, [1, 1, 0, 0]],
);
my @policies = qw(always on-failure on-abnormal never);
my @wait;
for my $e (0 .. $#ends) {
	my ($name, $script, $more, $again) = @{$ends[$e]};
	for my $p (0 .. 3) {
		my $id = "e$e-p$p";
		# Twice at most, so that none of them is busy for ever.
		service($d, $id, $script, restart => $policies[$p], backoff_ms => 30, start_limit => 2, %$more);
		push @wait, [$id, "$name, $policies[$p]", $again->[$p]];
	}
}
for (@wait) {
	my ($id, $name, $again) = @$_;
	my $want = $again ? 2 : 1;
	ok(wait_for(30, sub { names($d, $id, 'service.exited') >= $want }), "$name: ended") or diag(join ' ', names($d, $id));
	my $end = $again ? wait_for(20, sub { names($d, $id, 'service.failed') }) : 1;
	ok($end, 'and its limit came') if $again;
}
# Those that are not to be started again had all that time for it.
for (@wait) {
	my ($id, $name, $again) = @$_;
	is(scalar(names($d, $id, 'service.exited')), $again ? 2 : 1, "$name: " . ($again ? 'again' : 'not again'));
}
$d->ok('sandbox.create', { id => 'plain', entrypoint => ['sh', '-c', 'echo x >>/tmp/n; exit 1'] });
ok(wait_for(10, sub { $d->exec('plain', 'cat /tmp/n')->{stdout} eq "x\n" }), 'without a service: once');
is_deeply([names($d, 'plain', 'service.started')], [], 'and nothing is told');
done_testing;
