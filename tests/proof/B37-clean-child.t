# B37: read-only root and no /tmp; the command is as a plain child of whoever started
# us: environment, umask, mask, dispositions, nice, limits, descriptors, OOM score.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Init;
use Sandboxd::Oci;
use POSIX ();
use Test::More;

need_root();

# What a process says of itself, once run plainly and once by us. Nothing goes through
# a pipe, which the shell would have open for a moment.
my $tell = 'exec >$0/$1; umask; nice; ulimit -Sn; ulimit -Hn; ulimit -c; '
    . 'grep -E "^(Sig(Blk|Ign)|ShdPnd|NoNewPrivs|Seccomp|Groups|Uid|Cap[PEBA]|Cpus_allowed)"'
    . ' /proc/self/status; cat /proc/self/oom_score_adj; '
    . 'ls /proc/$$/fd; pwd; env | grep -v ^_= | sort';
# Started under odd circumstances, so that a default cannot pass for the real thing.
my $odd = 'umask 0027; ulimit -Sn 300; exec 7</dev/null; FOO="a b"; export FOO; '
    . 'cd /usr; exec nice -n 3 "$@"';

for my $way (ways()) {
	my ($name, $wrap) = @$way;
	my $d = start_init([], wrap => ['sh', '-c', $odd, 'sh', @$wrap],
	    no_launch => 1);
	$d->{options}{command} = ['sh', '-c', $tell, $d->{dir}, 'ours'];
	my @plain = ('sh', '-c', $odd, 'sh', @$wrap, @{$d->{options}{command}});
	$plain[-1] = 'plain';
	my $pid = fork // die;
	if ($pid == 0) {
		POSIX::setsid();
		# Whoever runs the tests may have left others ignored.
		$SIG{$_} = 'DEFAULT' for qw(HUP INT QUIT PIPE TERM USR1 USR2);
		open(STDIN, '<', '/dev/null');
		POSIX::dup2(1, 9);
		%ENV = %{Sandboxd::clean_env()};
		exec(@plain) or POSIX::_exit(127);
	}
	waitpid($pid, 0);
	$d->launch(no_wait => 1);
	ok(wait_for(30, sub { $d->ended }), "$name: it ends");
	my ($ours, $its) = map { slurp("$d->{dir}/$_") } qw(ours plain);
	like($its, qr/FOO=a b/, 'a plain child says what it is') or diag($its);
	# Descriptor 9 is ours: --ready-fd keeps it from the command.
	$its =~ s/^9\n//m;
	is($ours, $its, "$name: the command is as a plain one");
	like($ours, qr/SigBlk:\t0+\nSigIgn:\t0+$/m, 'nothing blocked or ignored');
}

# Started with signals ignored and blocked, the command finds none so.
my $d = start_init([], no_launch => 1);
$d->{options}{command} = ['sh', '-c', 'grep ^Sig /proc/self/status >$0/sig',
    $d->{dir}];
{
	local $SIG{INT} = 'IGNORE';
	local $SIG{USR1} = 'IGNORE';
	my $old = POSIX::SigSet->new;
	POSIX::sigprocmask(POSIX::SIG_BLOCK(), POSIX::SigSet->new(POSIX::SIGTERM(),
	    POSIX::SIGUSR2()), $old);
	$d->launch(no_wait => 1);
	POSIX::sigprocmask(POSIX::SIG_SETMASK(), $old);
}
ok(wait_for(30, sub { $d->ended }), 'started with signals ignored and blocked');
like(slurp("$d->{dir}/sig"), qr/SigBlk:\t0+\nSigIgn:\t0+$/m, 'it finds none so');

# A root that cannot be written and has no /tmp at all; in B36 with sandboxes, too.
need_program('crun');
my $got = run_bundle(script => "#!/bin/sh\n"
    . "touch /x 2>/dev/null && echo writable\nls -d /tmp /run 2>/dev/null\n"
    . "/opt/build/sandboxctl create a >/dev/null 2>&1 && "
    . "/opt/build/sandboxctl exec a -- echo in\n");
is($got->{out}, "in\n", 'read-only, no /tmp, no /run: a sandbox works')
    or diag($got->{err});

done_testing;
