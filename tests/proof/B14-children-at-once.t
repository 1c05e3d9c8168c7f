# B14: many children that end in one instant: as many records, right codes.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Init;
use Test::More;

need_root();

my $n = 300;

# In a sandbox, each command on a connection of its own. A lock lets them all go.
my $d = Sandboxd->start(conf => "[control]\nmax_clients = 1000\n"
    . "[sandbox]\ndefault_pids = 4096\n");
$d->ok('sandbox.create', { id => 'many' });
$d->sh('many', 'touch /tmp/lock; (exec 9>/tmp/lock; flock 9; touch /tmp/held; '
    . 'until [ -e /tmp/go ]; do sleep 0.02; done) >/dev/null 2>&1 &');
wait_for(10, sub { $d->sh('many', 'test -e /tmp/held')->{exit_code} == 0 });
my @clients;
for my $i (0 .. $n - 1) {
	my $c = $d->client;
	$c->send('sandbox.exec', { id => 'many', command => ['/bin/sh', '-c',
	    "exec 9</tmp/lock; flock -s 9; exit " . $i % 251] });
	push @clients, $c;
}
ok(wait_for(60, sub { $d->sh('many', 'ls -d /proc/[0-9]*/exe | '
    . 'xargs -n1 readlink 2>/dev/null | grep -c flock')->{stdout} >= $n }),
    "$n commands wait");
$d->sh('many', 'touch /tmp/go');
my ($records, $wrong) = (0, 0);
for my $i (0 .. $n - 1) {
	while (defined(my $line = $clients[$i]->line(60))) {
		my $m = from_json($line);
		next unless exists $m->{ok} || exists $m->{error};
		$records++;
		$wrong++ if ($m->{ok}{exit_code} // -1) != $i % 251;
		last;
	}
}
is($records, $n, 'a record for each');
is($wrong, 0, 'each with its code');
$d->stop;

# Children of an init's command that it adopts, and one that it waits for.
for my $way (ways()) {
	my $got = run_init([$^X, '-e', 'my @p; for (1 .. 500) { my $p = fork; '
	    . 'if (!$p) { if (!fork) { select(undef, undef, undef, 0.5); } exit } '
	    . 'push @p, $p } waitpid($_, 0) for @p; '
	    . 'select(undef, undef, undef, 0.5); exit 77'],
	    wrap => $way->[1]);
	is($got->{status}, 77, "$way->[0]: its own child among 500 orphans");
}

done_testing;
