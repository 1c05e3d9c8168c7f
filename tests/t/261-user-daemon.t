# The daemon as an ordinary user starts it, without an option: where it keeps its
# things, that sandboxctl finds it, and that nobody else can pose as it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::User;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Test::More;

alone();
need_program('setpriv');
# Its directory in /tmp is named after the uid: no other test's.
my $user = Sandboxd::User->new(uid => 30000 + $$ % 20000);
$user->reaches_or_skip;
my ($uid, $home) = @$user{qw(uid home)};
my $in_tmp = "/tmp/sandboxd-$uid";
my @made = ($in_tmp);
END { run_cmd(['rm', '-rf', @made]) if @made && $uid && !$ENV{SANDBOXD_T_ALONE} }
die "$in_tmp is there already" if -e $in_tmp;
$user->run(['mkdir', '-p', "$home/.config/sandboxd", "$home/run", "$home/other"]);
spew("$home/.config/sandboxd/sandboxd.conf", '[daemon]' . "\nlibexec_dir = " . build_dir() . "\n");
# A log-in directory of ours, whatever this host has there.
run_cmd(['mount', '-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/run']);
mkdir('/run/user', 0755);

my $log = "$home/log";
my $running;

# Start it with ENV; true when `sandboxctl status` with ENV answers.
sub start {
	my (@env) = @_;
	spew($log, '');
	chown($uid, $uid, $log);
	$running = fork // die "fork: $!";
	if ($running == 0) {
		open(STDOUT, '>>', $log);
		open(STDERR, '>>', $log);
		exec('setpriv', "--reuid=$uid", "--regid=$uid", '--clear-groups', 'env', '-i',
		    'PATH=/usr/bin:/bin', "HOME=$home", (map { "$_=$ENV{$_}" } grep { defined $ENV{$_} }
		    qw(ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS)), @env, program('sandboxd'), '--no-http')
		    or POSIX::_exit(127);
	}
	return wait_for(20, sub { slurp($log) =~ / ready / });
}

sub ctl {
	my ($env, @words) = @_;
	return $user->run([program('sandboxctl'), @words], with => $env);
}

sub run_dir { return (from_json(ctl($_[0], 'status', '--json')->{out} || '{}'))->{run_dir} // '' }

sub stop {
	kill('TERM', $running);
	my $ended = wait_for(20, sub { waitpid($running, POSIX::WNOHANG()) == $running });
	ok($ended, 'it ends') or kill('KILL', $running);
}

my $got = ctl([], 'ls');
is($got->{status}, 111, 'without a daemon');
like($got->{err}, qr{^sandboxctl: no supervisor answers at \Q$in_tmp\E/control.sock .*start one with `sandboxd`},
    'sandboxctl says where it has looked, and how to have one');

# As from cron, or by su: the environment says nothing.
ok(start(), 'without any directory') or diag(slurp($log));
is(run_dir([]), $in_tmp, 'it listens in /tmp');
is((stat($in_tmp))[2] & 022, 0, 'where nobody else writes');
ok(-d "$home/.local/state/sandboxd/store", 'and keeps its state at home');
is(run_dir(["XDG_RUNTIME_DIR=$home/run"]), $in_tmp, 'sandboxctl finds it from a log-in, too');
is(ctl([], 'create', 'a')->{out}, "a\n", 'it is of use');
is(ctl([], 'exec', 'a', '--', 'echo', 'in')->{out}, "in\n", 'for commands');
my $taken = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1:0') or die "$!";
my $second = $user->run([program('sandboxd'), '--state-dir', "$home/other", '--run-dir', "$home/other/run",
    '--listen', '127.0.0.1:' . $taken->sockport]);
like($second->{err}, qr/Address already in use; another place is said with --listen/,
    'a port that another user\'s has');
$second = $user->run([program('sandboxd'), '--no-http'], with => ["XDG_RUNTIME_DIR=$home/other"]);
is($second->{status}, 111, 'a second one is not started');
like($second->{err}, qr{\Q$home\E/\.local/state/sandboxd is in use by sandboxd with pid $running\b},
    'it says who was there');
stop();

# As from a log-in.
my @xdg = ("XDG_RUNTIME_DIR=$home/run", "XDG_STATE_HOME=$home/other");
ok(start(@xdg), 'with directories in the environment') or diag(slurp($log));
is(run_dir(\@xdg), "$home/run/sandboxd", 'it listens there');
ok(-d "$home/other/sandboxd/store", 'and keeps its state there');
unlike(ctl(\@xdg, 'ls')->{out}, qr/^a\b/m, 'which is another one');
stop();

# The log-in has made a directory; the environment of one side does not tell.
mkdir("/run/user/$uid", 0700);
chown($uid, $uid, "/run/user/$uid");
ok(start(), 'the directory of a log-in') or diag(slurp($log));
is(run_dir(["XDG_RUNTIME_DIR=/run/user/$uid"]), "/run/user/$uid/sandboxd", 'is found by itself');
is(run_dir([]), "/run/user/$uid/sandboxd", 'on both sides');
like(ctl([], 'ls')->{out}, qr/^a\s+running/m, 'the sandbox of before is there');
is(ctl([], 'rm', 'a')->{status}, 0, 'and goes');
stop();
run_cmd(['rm', '-rf', "/run/user/$uid"]);

# Somebody was in /tmp before.
run_cmd(['rm', '-rf', $in_tmp]);
mkdir($in_tmp, 0755);
my $fake = IO::Socket::UNIX->new(Local => "$in_tmp/control.sock", Listen => 5) or die "$!";
chmod(0666, "$in_tmp/control.sock");
chown(12345, 12345, $in_tmp, "$in_tmp/control.sock");
$got = ctl([], 'ls');
is($got->{status}, 111, 'somebody else\'s directory');
unlike($got->{err}, qr/\Q$in_tmp\E/, 'is not where sandboxctl looks');
my $r = '';
vec($r, fileno($fake), 1) = 1;
is(select($r, undef, undef, 0), 0, 'it has not called there');
$second = $user->run([program('sandboxd'), '--no-http']);
is($second->{status}, 111, 'the daemon does not start there');
like($second->{err}, qr{\Q$in_tmp\E is not used: it is somebody else's}, 'and says why');
chown($uid, $uid, $in_tmp);
chmod(0777, $in_tmp);
$second = $user->run([program('sandboxd'), '--no-http']);
like($second->{err}, qr{\Q$in_tmp\E is not used: .*everybody may write}, 'nor where everybody writes');
done_testing;
