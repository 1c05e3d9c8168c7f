# HTTP over TLS: requests, what no decent client sends, terminals and other
# upgrades in both directions at once, clients that leave, sandboxctl.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Backend;
use Sandboxd::Http;
use Test::More;
use Time::HiRes qw(sleep time);

need_root();
need_program('openssl');
need_program('perl');
my $dir = Sandboxd->scratch_dir;
my $cert = "$dir/cert.pem";
my $made = run_cmd(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
    'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', "$dir/key.pem", '-out',
    $cert, '-days', '2', '-subj', '/CN=localhost', '-addext',
    'subjectAltName=IP:127.0.0.1,DNS:localhost']);
is($made->{status}, 0, 'a certificate') or diag($made->{err});
chmod(0600, "$dir/key.pem");
my $d = Sandboxd->start(http => 1, token => 'sesame', args => ['--tls-cert', $cert,
    '--tls-key', "$dir/key.pem"], conf => "[gateway]\nprocesses = 1\n");
$d->ok('sandbox.create', { id => 'box' });
ok(Sandboxd::Backend::start($d, 'box', 8080), 'a server listens inside');
my ($gateway) = $d->children(qr/gateway/);
my $auth = "Host: x\r\nAuthorization: Bearer sesame\r\n";

sub client { return Sandboxd::Http->new_tls($d->http_address(qr/^127/), $cert) }
sub descriptors {
	opendir(my $dh, "/proc/$gateway/fd") or return -1;
	return scalar grep { /^\d/ } readdir $dh;
}
sub ticks { return (split ' ', slurp("/proc/$gateway/stat") =~ s/.*\) //sr)[11, 12] }

# --- requests ---------------------------------------------------------------------------
my $c = client();
$c->write("GET /v1/health HTTP/1.1\r\n$auth\r\n" x 40);
is(scalar(grep { ($c->response->{status} // 0) == 200 } 1 .. 40), 40,
    'forty requests at once on one connection');
my $body = join('', map { pack('N', $_) } 1 .. 500_000);
$c->write("PUT /i/box/v1/fs/file?path=/tmp/big HTTP/1.1\r\n${auth}Transfer-Encoding: chunked"
    . "\r\n\r\n" . join('', map { sprintf("%x\r\n%s\r\n", length $_, $_) }
    unpack('(a30011)*', $body)) . "0\r\n\r\n", 30);
is($c->response(undef, 30)->{status}, 200, 'two megabytes come in chunks');
$c->write("GET /i/box/v1/fs/file?path=/tmp/big HTTP/1.1\r\n$auth\r\n");
ok($c->response(undef, 30)->{body} eq $body, 'and are read back');
for my $bad ("GET /v1/health HTTP/1.1\n$auth\r\n", "GET /v1/health HTTP/1.1\r\n$auth\n",
    "GET /v1/health HTTP/1.1\r\n${auth}X: a\r\n b\r\n\r\n",
    "GET /v1/health HTTP/1.1\r\n${auth}Content-Length: 5x\r\n\r\nabcde",
    "GET /v1/health HTTP/1.1\r\n${auth}Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n") {
	$c = client();
	$c->write("GET /v1/health HTTP/1.1\r\n$auth\r\n$bad");
	is($c->response->{status}, 200, 'a good request');
	is($c->response->{status}, 400, 'behind which a bad one is refused');
	is($c->rest(5), '', 'and the connection closed');
}

# --- upgrades -----------------------------------------------------------------------------
sub upgrade {
	my ($to, $early) = @_;
	my $c = client();
	$c->write("GET /i/box/port/8080/ws HTTP/1.1\r\n${auth}Upgrade: $to\r\n"
	    . 'Connection: Upgrade' . "\r\n\r\n" . ($early // ''));
	return ($c, $c->head);
}

# All of it there and back, while it is written.
sub there_and_back {
	my ($c, $bytes) = @_;
	my $pid = fork // die "fork: $!";
	if ($pid == 0) {
		$c->write($bytes, 60);
		POSIX::_exit(0);
	}
	my $got = $c->bytes(length $bytes, 60);
	waitpid($pid, 0);
	return $got eq $bytes;
}

($c, my $r) = upgrade('echo', "early\n");
is($r->{status}, 101, 'an upgrade');
is($c->take(qr/hello\nearly\n/), "hello\nearly\n", 'and bytes that come with it');
my $big = join('', map { pack('N', $_) } 1 .. 2_000_000);
my $from = time;
ok(there_and_back($c, $big), 'eight megabytes, both ways at once');
my $took = time - $from;
ok($took < 10 * slow_factor(), sprintf('fast enough (%.1f MB/s)', 8 / $took));
my @from = ticks();
sleep 1;
my @to = ticks();
cmp_ok($to[0] + $to[1] - $from[0] - $from[1], '<', 10, 'an idle one costs nothing');
ok(there_and_back($c, substr($big, 0, 5)), 'and is still there');
$c->close;

# One that ends its half without a word of TLS, as many do, still gets an answer,
# and is told the end of it.
SKIP: {
	my ($python) = grep { -x } map { "$_/python3" } split /:/, $ENV{PATH};
	skip 'python3 is needed', 1 if !$python;
	my ($port) = $d->http_address(qr/^127/) =~ /:(\d+)$/;
	my $got = run_cmd([$python, '-c', <<'END', $port, $cert], timeout => 30);
import os, socket, ssl, sys
c = ssl.create_default_context(cafile=sys.argv[2]).wrap_socket(
    socket.create_connection(('127.0.0.1', int(sys.argv[1])), 10),
    server_hostname='127.0.0.1', suppress_ragged_eofs=False)
c.sendall(b'GET /i/box/port/8080/ws HTTP/1.1\r\nHost: x\r\n'
    b'Authorization: Bearer sesame\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n')
got = b''
while b'hello\n' not in got:
    got += c.recv(4096)
socket.socket(fileno=os.dup(c.fileno())).shutdown(socket.SHUT_WR)
while True:
    more = c.recv(4096)
    if not more:
        break
    got += more
print(got.decode().splitlines()[-1])
END
	is($got->{out}, "bye\n", 'after its half is closed the server still speaks')
	    or diag($got->{err});
}

# A client that does not read holds up nobody, and gets all of it later.
($c) = upgrade('echo');
$c->take(qr/hello\n/);
my $sent = 0;
for (1 .. 400) {
	my $n = syswrite($c->fh, $big, 65536, $sent) // last;
	$sent += $n;
	sleep 0.002;
}
cmp_ok($sent, '>', 65536, 'a client that writes and does not read');
my $other = client();
$other->write("GET /v1/health HTTP/1.1\r\n$auth\r\n");
is($other->response->{status}, 200, 'others are served meanwhile');
ok($c->bytes($sent, 30) eq substr($big, 0, $sent), 'and it gets all when it reads');
$c->close;

# --- a terminal ---------------------------------------------------------------------------
sub frame {
	my ($op, $data) = @_;
	my $n = length $data;
	return pack('CC', 0x80 | $op, 0x80 | ($n < 126 ? $n : 126))
	    . ($n < 126 ? '' : pack('n', $n)) . "\0\0\0\0" . $data;
}
sub next_frame {
	my ($c) = @_;
	my ($b, $n) = unpack('CC', $c->bytes(2, 10) || return);
	$n = unpack('n', $c->bytes(2)) if $n == 126;
	$n = unpack('Q>', $c->bytes(8)) if $n == 127;
	return ($b, $c->bytes($n));
}
$c = client();
my $json = to_json({ command => 'sh', tty => JSON::PP::true, args => ['-c',
    'stty raw -echo; echo ready; exec head -c 3000000'] });
$c->write("POST /i/box/v1/processes HTTP/1.1\r\n${auth}Content-Type: application/json\r\n"
    . 'Content-Length: ' . length($json) . "\r\n\r\n$json");
my $id = $c->response->{json}{id};
ok($id, 'a process with a terminal');
$c->write("GET /i/box/v1/processes/$id/terminal/ws HTTP/1.1\r\n${auth}Upgrade: websocket\r\n"
    . "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
is($c->head->{status}, 101, 'a WebSocket to it');
like((next_frame($c))[1], qr/"ready"/, 'is ready');
my ($echo, $n, $end) = ('', 3_000_000, '');
while ($echo !~ /ready\r?\n/) {
	my ($b, $data) = next_frame($c) or last;
	$echo .= $data;
}
my $text = join('', map { sprintf "%09d\n", $_ } 1 .. $n / 10);
my $pid = fork // die "fork: $!";
if ($pid == 0) {
	$c->write(frame(1, to_json({ type => 'input', data => $_ })), 60)
	    for unpack('(a1000)*', $text);
	POSIX::_exit(0);
}
$echo = '';
while (my ($b, $data) = next_frame($c)) {
	if ($b == 0x82) { $echo .= $data }
	else { $end .= $data; last if $data =~ /exit/ }
}
waitpid($pid, 0);
ok($echo eq $text, 'three megabytes through the terminal') or diag(length $echo);
like($end, qr/"exit"/, 'and its end');
$c->close;

# --- clients that leave ---------------------------------------------------------------------
$_->close for $c, $other;
sleep 1;
my $before = descriptors();
for my $i (1 .. 12) {
	my ($one) = upgrade('echo');
	$one->write('x' x 300_000, 1) if $i % 2;
	kill('KILL', $one->{pid}) if $i % 3 == 0;
	$one->close;
}
ok(wait_for(15, sub { descriptors() <= $before + 1 }), 'leave no descriptor behind')
    or diag(descriptors() . " > $before");
my @open = map { (upgrade('echo'))[0] } 1 .. 5;
$d->ok('sandbox.stop', { id => 'box', grace_ms => 100 });
is(scalar(grep { $_->closed(10) } @open), 5, 'those of a sandbox that stops end');
is(($d->children(qr/gateway/))[0], $gateway, 'the gateway is the one that it was');

# --- sandboxctl -----------------------------------------------------------------------------
(my $url = $d->url) =~ s/^http:/https:/;
sub ctl {
	my (@args) = @_;
	return run_cmd([program('sandboxctl'), '--endpoint', $url, '--token', 'sesame',
	    @args], timeout => 30);
}
my $got = ctl('ls');
is($got->{status}, 111, 'sandboxctl believes no certificate of its own');
like($got->{err}, qr/certificate/, 'and says so');
{
	local $ENV{SSL_CERT_FILE} = $cert;
	is(ctl('status')->{status}, 0, 'status over TLS');
	is(ctl('start', 'box')->{status}, 0, 'start');
	$got = ctl('exec', 'box', 'sh', '-c', 'echo out; exit 3');
	is($got->{out}, "out\n", 'exec');
	is($got->{status}, 3, 'with its status');
	$got = ctl('exec', '-t', 'box', 'sh', '-c', 'tty; seq 100000; exit 4');
	is($got->{status}, 4, 'a terminal') or diag($got->{err});
	like($got->{out}, qr{/dev/pts/\d+}, 'is one');
	like($got->{out}, qr/\b99999\r?\n100000\r?\n/, 'and all that it says arrives');
	$url =~ s/127\.0\.0\.1/127.0.0.2/;
	isnt(ctl('ls')->{status}, 0, 'another name than the certificate has');
}

# Open ones do not hold up the end.
$d->ok('sandbox.start', { id => 'box' }) if $d->ok('sandbox.get', { id => 'box' })->{state} ne 'running';
ok(Sandboxd::Backend::start($d, 'box', 8080), 'the server again');
($c, $r) = upgrade('echo');
is($r->{status}, 101, 'a last connection');
ok($d->stop('TERM', 15), 'the end');
ok($c->closed(5), 'of that, too');
is_deeply([$d->leftovers], [], 'nothing is left');
done_testing;
