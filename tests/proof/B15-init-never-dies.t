# B15: process 1 never dies: calls that fail cost a request or a sandbox, not us.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Init;
use Test::More;
use Time::HiRes qw(time);

need_root();
plan_skip_sanitized();

my $lib = Sandboxd->scratch_dir . '/faults.so';
my $cc = run_cmd(['cc', '-shared', '-fPIC', '-O1', '-o', $lib,
    "$FindBin::Bin/lib/faults.c", '-ldl']);
is($cc->{status}, 0, 'the faults are built') or diag($cc->{err});

sub plan_skip_sanitized {
	plan(skip_all => 'sanitizers have an allocator of their own')
	    if $ENV{SANDBOXD_SANITIZED};
}

for my $way (ways()) {
	my ($name, $wrap) = @$way;
	my $scratch = Sandboxd->scratch_dir;
	my $d = start_init(['sleep', '1000'], wrap => $wrap,
	    env => { LD_PRELOAD => $lib, FAULTS => "$scratch/on" });
	my $pid = $d->ok('status')->{pid};
	my $init = init_pid($d);
	$d->ok('sandbox.create', { id => 'old' });
	spew("$scratch/on", '');
	my ($good, $bad, $began) = (0, 0, time);
	for (my $i = 0; time < $began + 3 || ($bad < 10 && time < $began + 30); $i++) {
		for (['sandbox.create', { id => "b$i" }],
		    ['sandbox.exec', { id => 'old', command => ['true'] }],
		    ['status', {}], ['sandbox.destroy', { id => "b$i" }]) {
			my $c = eval { $d->client } or $bad++, next;
			my $r = eval { $c->request(@$_, timeout => 2) };
			$r && $r->{ok} ? $good++ : $bad++;
		}
	}
	unlink("$scratch/on");
	ok(wait_for(20, sub { my $c = eval { $d->client };
	    $c && eval { $c->request('status', {}, timeout => 2)->{ok} } }),
	    "$name: it still answers");
	wait_for(5, sub { -s "$scratch/on.count" });
	my ($faults) = (slurp("$scratch/on.count") // '') =~ /(\d+)/;
	cmp_ok($faults // 0, '>', 20, "after $faults faults, $good good requests and "
	    . "$bad that failed") or diag($d->log_tail);
	is($d->ok('status')->{pid}, $pid, 'as the same process');
	# A helper that could not be started again and again has been given up by
	# then; that is told, and it is the operator's to reset.
	$d->request('role.reset');
	my $said;
	ok(wait_for(20, sub { $said = $d->request('sandbox.create', { id => 'new' });
	    $said->{ok} }), 'a sandbox can be made') or diag(to_json($said), "\n",
	    to_json($d->request('status')), "\n", $d->log_tail);
	ok(wait_for(20, sub { ($d->sh('new', 'echo in')->{stdout} // '') eq "in\n" }),
	    'and used');
	ok(scalar($d->children(qr/^sleep 1000/)), 'the command lives');
	$d->note_groups;
	kill('TERM', $init);
	ok(wait_for(30, sub { $d->ended }), "$name: and it ends in order");
	is($d->{status} >> 8, 143, 'with the status of its command');
}

# What happens to its helpers does not happen to it.
my $d = start_init(['sleep', '1000'], wrap => (ways())[0][1]);
my $init = init_pid($d);
for (1 .. 2) {
	kill('KILL', $d->children(qr/^sandboxd: store/));
	ok(wait_for(20, sub { my $r = $d->request('status'); $r->{ok}
	    && $r->{ok}{store} }), 'the store is killed and comes back');
}
kill('TERM', $init);
ok(wait_for(30, sub { $d->ended }), 'it ends');

done_testing;
