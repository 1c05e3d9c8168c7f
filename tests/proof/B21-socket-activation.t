# B21: sockets of a service manager: unix, TCP, TCP6, by name; a wrong LISTEN_PID
# is ignored; close-on-exec.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Manager;
use IO::Socket::INET;
use IO::Socket::IP;
use IO::Socket::UNIX;
use Test::More;

need_root();
need_program('python3', 'systemd-socket-activate');

# Answers to "is anybody there": the status of a GET.
sub http {
	my ($s) = @_;
	return 'refused' unless $s;
	$s->syswrite("GET /v1/health HTTP/1.1\r\nHost: localhost\r\n"
	    . "Connection: close\r\n\r\n");
	my $text = '';
	my $end = time + 15;
	while (time < $end) {
		my $bits = '';
		vec($bits, fileno($s), 1) = 1;
		select($bits, undef, undef, 1) > 0 or next;
		$s->sysread($text, 65536, length $text) or last;
	}
	return $text =~ m{^HTTP/1.1 (\d+)} ? $1 : "nothing: $text";
}
sub tcp { return IO::Socket::IP->new(PeerHost => $_[0], PeerPort => $_[1]) }

my $dir = Sandboxd->scratch_dir;
my $d = Sandboxd->start(no_launch => 1, http => 1, listen => []);
$d->{socket} = "$dir/elsewhere.sock";
my $m = Sandboxd::Manager->start($d, ["control=unix:$d->{socket}",
    "web=unix:$dir/http.sock", 'web=tcp:0', 'six=tcp6:0']);
ok($m->ready, 'it is up') or diag($d->log_tail);
my %port = map { $_->{opened} => $_->{port} } grep { $_->{opened} } @{$m->{events}};
my $status = $d->ok('status');
is($status->{state}, 'running', 'the socket named control is the control socket');
is(join(' ', sort @{$status->{http}}), join(' ', sort "127.0.0.1:$port{web}",
    "[::1]:$port{six}", "unix:$dir/http.sock"), 'the others serve HTTP');
is(http(tcp('127.0.0.1', $port{web})), 200, 'TCP');
is(http(tcp('::1', $port{six})), 200, 'TCP6');
is(http(IO::Socket::UNIX->new(Peer => "$dir/http.sock")), 200, 'unix');
ok(!-e "$d->{run}/control.sock", 'no socket of its own beside it');

# Close-on-exec, and really in nobody who should not have them.
my @listening;
for my $fd (3 .. 6) {
	my ($flags) = (slurp("/proc/$d->{pid}/fdinfo/$fd") // '') =~ /^flags:\s*(\d+)/m;
	push @listening, readlink("/proc/$d->{pid}/fd/$fd") // '';
	ok(defined $flags && oct($flags) & 02000000, "descriptor $fd closes on exec");
}
$d->ok('sandbox.create', { id => 'in' });
my $with = 0;
for my $pid (grep { Sandboxd::title_of($_) !~ /gateway/ } $d->children) {
	my %has = map { (readlink($_) // '') => 1 } glob("/proc/$pid/fd/*");
	$with++ for grep { $has{$_} } @listening;
}
is($with, 0, 'no helper has one, but for the gateways');
is($d->sh('in', 'ls /proc/self/fd | wc -l')->{stdout}, "4\n",
    'nor has a command (0, 1, 2 and the directory)');
is($m->stop->{ended}, 0, 'it ends');
ok(-S $d->{socket} && -S "$dir/http.sock", 'and leaves the paths to whose they are');

# The socket at our own place is the control socket, whatever its name.
mkdir("$dir/run");
$d = Sandboxd->start(no_launch => 1, run => "$dir/run");
$m = Sandboxd::Manager->start($d, ["sandboxd.socket=unix:$dir/run/control.sock"]);
ok($m->ready, 'a socket at our own place');
is($d->ok('status')->{state}, 'running', 'is the control socket');
is($m->stop->{ended}, 0, 'it ends');

# Somebody else's: ignored, and our own is made.
$d = Sandboxd->start(no_launch => 1);
$m = Sandboxd::Manager->start($d, ["control=unix:$dir/other.sock"],
    env => { MANAGER_WRONG_PID => 1 });
ok($m->ready, 'with the pid of another');
is($d->ok('status')->{state}, 'running', 'our own socket is made');
my $lost = IO::Socket::UNIX->new(Peer => "$dir/other.sock");
ok($lost, 'the other is open');
$lost->syswrite("status\n");
my $bits = '';
vec($bits, fileno($lost), 1) = 1;
is(select($bits, undef, undef, 1), 0, 'and nobody of ours answers there');
is($m->stop->{ended}, 0, 'it ends');

# What is no listening socket is refused, with its number.
for (['http=dgram:0', qr/descriptor 3: not a listening stream socket/],
    ['control=tcp:0', qr/descriptor 3: the control socket must be a Unix socket/]) {
	my ($socket, $says) = @$_;
	$d = Sandboxd->start(no_launch => 1);
	$m = Sandboxd::Manager->start($d, [$socket]);
	my $e = $m->until(20, sub { exists $_[0]{ended} });
	is($e->{ended}, 100, "$socket: wrong use");
	like(slurp($d->{log}), $says, 'and says which');
}

# The real thing.
$d = Sandboxd->start(no_launch => 1);
my $path = "$dir/activated.sock";
$d->{socket} = $path;
my $pid = fork // die;
if ($pid == 0) {
	open(STDERR, '>>', $d->{log});
	open(STDOUT, '>>', $d->{log});
	exec('systemd-socket-activate', '-l', $path, '--fdname=control', $d->argv)
	    or POSIX::_exit(127);
}
$d->{pid} = $pid;
ok(wait_for(15, sub { -S $path }), 'systemd-socket-activate opens');
is($d->ok('status')->{pid}, $pid, 'the first client starts it and is answered');
ok($d->stop, 'it ends');
is(join("\n", $d->leftovers), '', 'nothing is left');

done_testing;
