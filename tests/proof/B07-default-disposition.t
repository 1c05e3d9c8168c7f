# B7: a command without handlers dies of TERM at once, as a child of process 1.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Init;
use Test::More;

need_root();

use POSIX ();
use Time::HiRes qw(time);

# Shown first: as process 1 itself it would not even notice.
my $pid = fork // die;
if ($pid == 0) {
	exec(qw(unshare --pid --fork --mount-proc --kill-child sleep 1000))
	    or POSIX::_exit(127);
}
my $sleeper = wait_for(10, sub { (grep { (slurp("/proc/$_/cmdline") // '')
    =~ /^sleep/ } descendants($pid))[0] });
kill('TERM', $sleeper);
select(undef, undef, undef, 0.3);
ok(-e "/proc/$sleeper/exe", 'TERM means nothing to a plain process 1');
kill('KILL', $sleeper, $pid);
waitpid($pid, 0);

for my $way (ways()) {
	my ($name, $wrap) = @$way;
	my $d = start_init(['sleep', '1000'], wrap => $wrap,
	    conf => "[sandbox]\nstop_grace = 60s\n");
	wait_for(10, sub { scalar $d->children(qr/^sleep 1000/) });
	my $began = time;
	kill('TERM', init_pid($d));
	ok(wait_for(20, sub { $d->ended }), "$name: it ends");
	cmp_ok(time - $began, '<', 5 * Sandboxd::slow_factor(),
	    'long before the grace is over');
	is($d->{status} >> 8, 143, 'with 143');
}

done_testing;
