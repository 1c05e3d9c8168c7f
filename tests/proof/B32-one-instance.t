# B32: a second start on the same state directory refuses with the pid of the first;
# a stale lock after a crash does not block.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => 'box' });
for my $n (1 .. 5) {
	my $got = run_cmd([$d->argv], timeout => 20);
	is($got->{status}, 111, "start $n beside it refuses");
	like($got->{err}, qr/in use by sandboxd with pid $d->{pid}\b/, 'with its pid');
}
is($d->sh('box', 'echo on')->{stdout}, "on\n", 'the first one has not noticed');
my $first = $d->{pid};
$d->kill_hard;
is(slurp("$d->{state}/lock"), "$first\n", 'a crash leaves the lock with its pid');
# Its number may belong to somebody else by now.
spew("$d->{state}/lock", "$$\n");
ok(eval { $d->launch }, 'which does not block the next') or diag($@);
is(slurp("$d->{state}/lock"), "$d->{pid}\n", 'who puts his own there');
ok(wait_for(20, sub { $d->ok('sandbox.get', { id => 'box' })->{state} eq 'running' }),
    'and has the sandbox');
# Many at once: one of them wins.
$d->stop;
my @pids;
my @argv = $d->argv; # writes the configuration that they all read
for (1 .. 8) {
	my $pid = fork // die;
	if ($pid == 0) {
		open(STDOUT, '>>', $d->{log});
		open(STDERR, '>&', \*STDOUT);
		exec(@argv) or POSIX::_exit(127);
	}
	push @pids, $pid;
}
my %alive = map { $_ => 1 } @pids;
ok(wait_for(20, sub {
	for (keys %alive) {
		delete $alive{$_} if waitpid($_, POSIX::WNOHANG()) == $_;
	}
	keys %alive == 1
}), 'of eight at once one stays') or diag(join(' ', 'still there:', sort keys %alive), "\n", $d->log_tail);
($d->{pid}) = keys %alive;
ok(wait_for(20, sub { my $c = eval { $d->client } or return 0;
    ($c->request('status')->{ok}{pid} // 0) == $d->{pid} }), 'and serves');
ok($d->stop, 'it ends');
is(join("\n", $d->leftovers), '', 'nothing is left');
done_testing;
