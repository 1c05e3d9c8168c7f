# sandbox-agent daemon start|stop|status: a server in the background, its files, and
# pids that belong to others by now.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use AgentCli;
use Test::More;

need_root();

sub alive { return (slurp("/proc/$_[0]/stat") // '') =~ /\) [^ZX] /s }

my $cli = AgentCli->new;
my $port = AgentCli::free_port();
my $url = "http://127.0.0.1:$port";
my $files = $cli->data . "/daemon/daemon-127-0-0-1-$port";
my @where = ('-H', '127.0.0.1', '-p', $port);

sub daemon {
	my ($what, @more) = @_;
	my $got = $cli->run(['daemon', $what, @where, @more], timeout => 40);
	is("$got->{status} $got->{out}", '0 ', "daemon $what @more: its code")
	    or diag($got->{err});
	return $got->{err};
}

is(daemon('status'), "Daemon not running\n", 'status of none');
is(daemon('stop'), "daemon is not running (no PID file)\n", 'stop of none');

# Started, and known.
my $said = daemon('start', '--token', 'background-token');
my ($pid) = $said =~ /PID (\d+)/;
is($said, "starting daemon at $url (logs: $files.log)\n"
    . "daemon started (PID $pid, logs: $files.log)\n", 'start says where');
is(slurp("$files.pid"), $pid, 'its pid file');
like(slurp("$files.version"), qr/^\d\S*-\d+$/, 'its version file');
like(slurp("$files.log"), qr/ready/, 'its log');
ok(alive($pid), 'it runs');
unlike(Sandboxd::title_of($pid), qr/background-token/, 'and shows no token');
my $api = $cli->run(['api', 'health', '-e', $url, '-t', 'background-token']);
like($api->{out}, qr/"ok"/, 'it serves');
is($cli->run(['api', 'agents', 'list', '-e', $url])->{status}, 1, 'with its token only');
like(daemon('status'), qr/\ADaemon running \(PID $pid, build \d\S+, logs: \Q$files\E/,
    'status');
is(daemon('start'), "daemon already running at $url\n", 'start again');
is(daemon('start', '--upgrade', '-t', 'background-token'),
    "checking daemon health at $url (token: set)...\n"
    . "daemon already running at $url\n", '--upgrade of the same build');
ok(alive($pid), 'leaves it alone');

# Another build.
spew("$files.version", '0.0.1-1');
$said = daemon('start', '--upgrade', '-t', 'background-token');
like($said, qr/stopping daemon \(PID $pid\)\.\.\.\ndaemon stopped\nstarting daemon/,
    '--upgrade of another build');
my ($new) = $said =~ /daemon started \(PID (\d+)/;
ok($new && $new != $pid && !alive($pid), 'starts it anew');
my @below = ($new, descendants($new));
is(daemon('stop'), "stopping daemon (PID $new)...\ndaemon stopped\n", 'stop');
ok(wait_for(5, sub { !grep { alive($_) } @below }), 'ends all of it');
ok(!-e "$files.pid" && !-e "$files.version", 'and removes its files');
is(daemon('status'), "Daemon not running\n", 'status after it');

# A pid file that was left, with the pid of somebody else: nothing happens to him.
my $other = fork // die "fork: $!";
if ($other == 0) {
	exec('sleep', '600') or POSIX::_exit(127);
}
spew("$files.pid", $other);
is(daemon('status'), "Daemon not running\n", "another's pid is no daemon");
is(daemon('stop'), "daemon is not running (no PID file)\n", 'nor is it stopped');
ok(alive($other), 'he goes on');
kill('KILL', $other);
waitpid($other, 0);
ok(!-e "$files.pid", 'the file goes');

# A server in the foreground is no daemon of ours to stop.
my $s = $cli->server([], port => $port);
is(daemon('start'), "daemon already running at $url\n", 'start sees a server');
like(daemon('status'), qr/\ADaemon running \(PID unknown/, 'status too');
is(daemon('stop'), "daemon is not running (no PID file)\n", 'stop leaves it alone');
is($s->status('/v1/health'), 200, 'it goes on');
$s->stop;

# One that cannot start.
my ($state) = glob($cli->data . "/servers/127-0-0-1-$port/state-*");
open(my $lock, '+<', "$state/lock") or die "lock: $!";
flock($lock, 2 | 4) or die "flock: $!";
my $got = $cli->run(['daemon', 'start', @where], timeout => 40);
is($got->{status}, 1, 'one that cannot start: 1');
like($got->{err}, qr/\Q$state\E.*ended before it was ready/s, 'with its last words');
ok(!-e "$files.pid", 'leaves no pid file');
close($lock);
my $busy = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => $port,
    ReuseAddr => 1) or die "listen: $!";
$got = $cli->run(['daemon', 'start', @where], timeout => 40);
is($got->{status}, 1, 'at a port that is taken: 1');
like($got->{err}, qr/Address in use/, 'which it says');
close($busy);

is(join("\n", grep { /sandbox/ } map { Sandboxd::title_of($_) } descendants($$)), '',
    'nothing is left');
AgentCli::clean(0);

done_testing;
