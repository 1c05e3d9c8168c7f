# B8: orphans that come to an init are reaped, and that costs next to nothing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Init;
use POSIX ();
use Test::More;

need_root();

my $orphans = $ENV{SANDBOXD_LONG} ? 10000 : 2000;
# Each is a child whose parent has ended.
my $fork = 'for (1 .. $ARGV[1]) { my $p = fork; if (!$p) { fork || exit 0; exit 0 } '
    . 'waitpid($p, 0) } open(my $f, ">", "$ARGV[0]/done"); close $f; sleep 1000';

sub zombies {
	my ($pid) = @_;
	my %alive = map { $_ => 1 } descendants($pid);
	return grep { !$alive{$_} } descendants($pid, 1);
}

# Shown first: a process 1 that does not reap keeps them all.
my $plain = Sandboxd->scratch_dir;
my $pid = fork // die;
if ($pid == 0) {
	exec(qw(unshare --pid --fork --mount-proc --kill-child), $^X, '-e', $fork,
	    $plain, 50) or POSIX::_exit(127);
}
wait_for(20, sub { -e "$plain/done" });
cmp_ok(scalar(zombies($pid)), '>', 25, 'a plain process 1 is left with zombies');
kill('KILL', $pid, descendants($pid));
waitpid($pid, 0);

sub cpu {
	my ($pid) = @_;
	my @f = split / /, (slurp("/proc/$pid/stat") =~ /\) (.*)/s)[0];
	return ($f[11] + $f[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

for my $way (ways()) {
	my ($name, $wrap) = @$way;
	my $d = start_init([], wrap => $wrap, no_launch => 1);
	$d->{options}{command} = [$^X, '-e', $fork, $d->{dir}, $orphans];
	$d->launch;
	my $init = init_pid($d);
	my $before = cpu($init);
	ok(wait_for(60, sub { -e "$d->{dir}/done" }), "$name: $orphans orphans");
	ok(wait_for(5, sub { !zombies($init) }), 'no zombie is left');
	my $used = cpu($init) - $before;
	cmp_ok($used, '<', 1 * Sandboxd::slow_factor(),
	    sprintf('%.2f s of processor time', $used));
	$before = cpu($init);
	sleep 1;
	cmp_ok(cpu($init) - $before, '<', 0.1, 'and none when nothing happens');
	kill('TERM', $init);
	wait_for(20, sub { $d->ended });
}

done_testing;
