# Exposed ports: sockets of the host that stand for a port, URLs without a token,
# both kept across restarts; and a sandbox in the host's network, where only its own
# ports are to be had.
use strict;
use warnings;
use FindBin;
use IO::Socket::INET;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Backend;
use Test::More;

need_root();
need_program('perl');

my %o = (http => 1, token => 'sesame', conf => "[gateway]\nprocesses = 2\n");
my $d = Sandboxd->start(%o);
$d->ok('sandbox.create', { id => 'box' });
ok(Sandboxd::Backend::start($d, 'box', 8080), 'a server listens inside');
my $get = "GET /echo HTTP/1.1\r\nHost: y\r\n\r\n";

sub expose { return $d->http('POST', '/i/box/v1/ports', json => { @_ }) }
sub ports { return { map { $_->{port} => $_ }
    @{$d->http('GET', '/i/box/v1/ports')->{json}{ports}} } }
# What a plain connection to ADDRESS gets for BYTES.
sub plain {
	my ($address, $bytes) = @_;
	my $c = Sandboxd::Http->new($address) // return 'no connection';
	$c->write($bytes);
	return $c->response->{json}{target} // 'nothing';
}

# --- a socket ---------------------------------------------------------------------

my $r = expose(port => 8080, listen => '127.0.0.1:0');
is($r->{status}, 200, 'a port is exposed');
like($r->{json}{listen}, qr/^127\.0\.0\.1:\d+$/, 'on a port that is free');
is($r->{json}{public}, JSON::PP::false(), 'not to all');
is($r->{json}{path}, '/i/box/port/8080/', 'with its path');
my $listen = $r->{json}{listen};
is(plain($listen, $get), '/echo', 'a plain connection reaches the server');
my $c = Sandboxd::Http->new($listen);
$c->write("GET /ws HTTP/1.1\r\nHost: y\r\nUpgrade: x\r\n\r\n");
is($c->head->{status}, 101, 'byte for byte');
$c->write("more\n");
is($c->take(qr/hello\nmore\n/), "hello\nmore\n", 'both ways');
$c->half_close;
is($c->take(qr/bye\n/), "bye\n", 'with half-closed ends');
ok($c->closed(5), 'to the end');
my @many = map { Sandboxd::Http->new($listen) } 1 .. 200;
$_->write($get) for @many;
is(scalar(grep { ($_->response->{status} // 0) == 200 } @many), 200, 'many at a time');
$_->close for @many;
is(ports()->{8080}{listen}, $listen, 'it is in the list');
is(expose(port => 9999)->{status}, 200, 'a port that nobody listens on');
is(ports()->{9999}{listening}, JSON::PP::false(), 'is listed as such');

# --- refused ----------------------------------------------------------------------

is(expose(port => 8081, listen => '0.0.0.0:0')->{status}, 403, 'not on all addresses');
is(expose(port => 8081, listen => '[::]:0')->{status}, 403, 'nor IPv6');
is(expose(port => 8081, listen => '127.0.0.1:80')->{status}, 400, 'not on a port of root\'s');
is(expose(port => 8081, listen => $listen)->{status}, 502, 'not where somebody is');
for ('localhost', 'example.com:8081', '127.0.0.1:99999', '127.0.0.1:', ':x', '::1:8081',
    "127.0.0.1:8081\n", '[127.0.0.1]:x') {
	is(expose(port => 8081, listen => $_)->{status}, 400, 'not on ' . to_json($_));
}
is(expose(port => $_)->{status}, 422, "not port $_") for 0, 65536, -1, '"x"';
is(expose(listen => '127.0.0.1:0')->{status}, 422, 'not without a port');
is(ports()->{8081}, undef, 'nothing of this stays');
is($d->http('POST', '/i/nope/v1/ports', json => { port => 1 })->{status}, 404, 'no such sandbox');
is($d->http('POST', '/i/box/v1/ports', json => { port => 1 }, token => undef)->{status}, 401,
    'nor without a token');
my $limited = $d->ok('token.create', { sandbox => 'box' })->{token};
for ([{ port => 8082, listen => '127.0.0.1:0' }, 403], [{ port => 8082 }, 200]) {
	my ($body, $status) = @$_;
	is($d->http('POST', '/i/box/v1/ports', json => $body, token => $limited)->{status},
	    $status, 'a token of one sandbox: ' . to_json($body));
}
is($d->http('DELETE', '/i/box/v1/ports/8082', token => $limited)->{status}, 204,
    'and takes back');
is(expose(port => $_)->{status}, 200, "port $_") for 1 .. 62;
is(expose(port => 63)->{status}, 429, 'there is a limit');
$d->http('DELETE', "/i/box/v1/ports/$_") for 1 .. 62;

# --- to all -----------------------------------------------------------------------

my $at = '/i/box/port/8080';
is($d->http('GET', "$at/echo", token => undef)->{status}, 401, 'the URL needs a token');
is(expose(port => 8080, listen => $listen, public => \1)->{json}{public}, JSON::PP::true(),
    'exposed to all');
is(plain($listen, $get), '/echo', 'the socket is still there');
$r = $d->http('GET', "$at/echo?access_token=theirs", token => undef,
    headers => { 'Authorization' => 'Bearer theirs' });
is($r->{status}, 200, 'now it needs none');
like($r->{body}, qr/Bearer theirs/, 'a token of the server\'s own passes');
is($r->{json}{target}, '/echo?access_token=theirs', 'also in the query');
$r = $d->http('GET', "$at/echo?access_token=sesame");
unlike($r->{body}, qr/sesame/, 'but never one of ours');
is($d->http('GET', '/i/box/port/8080', token => undef)->{status}, 308, 'the slash needs none either');
is($d->http('GET', '/i/box/port/8082/', token => undef)->{status}, 401, 'other ports do');
is($d->http('GET', '/i/box/v1/ports', token => undef)->{status}, 401, 'so does the list');
is($d->http('GET', '/v1/health', token => undef)->{status}, 401, 'and all else');

# --- restarts ---------------------------------------------------------------------

my ($gateway) = $d->children(qr/gateway/);
kill('KILL', $gateway);
ok(wait_for(10, sub { plain($listen, $get) eq '/echo' }), 'a gateway dies: the socket stays');
ok($d->restart, 'the daemon is started again');
$d->ok('sandbox.start', { id => 'box' });
ok(Sandboxd::Backend::start($d, 'box', 8080), 'and the server');
is(plain($listen, $get), '/echo', 'the socket listens again');
is($d->http('GET', "$at/echo", token => undef)->{status}, 200, 'the URL is open again');
$d->restart('KILL');
$d->ok('sandbox.start', { id => 'box' });
ok(wait_for(10, sub { plain($listen, $get) eq '/echo' }),
    'also when it was killed, with the server that has outlived it');
$d->ok('sandbox.stop', { id => 'box' });
$c = Sandboxd::Http->new($listen);
ok($c, 'a stopped sandbox: its socket takes connections');
ok($c->closed(20), 'which end, for its server is not there');
is($d->ok('sandbox.get', { id => 'box' })->{state}, 'running', 'but it was started');
ok(Sandboxd::Backend::start($d, 'box', 8080), 'the server again');

# --- no longer --------------------------------------------------------------------

$c = Sandboxd::Http->new($listen);
$c->write("GET /ws HTTP/1.1\r\nHost: y\r\nUpgrade: x\r\n\r\n");
is($c->head->{status}, 101, 'a connection');
is($d->http('DELETE', '/i/box/v1/ports/8080')->{status}, 204, 'unexposed');
ok(wait_for(5, sub { !Sandboxd::Http->new($listen) }), 'the socket is gone');
$c->write("more\n");
is($c->take(qr/hello\nmore\n/), "hello\nmore\n", 'connections that were there go on');
$c->close;
is($d->http('GET', "$at/echo", token => undef)->{status}, 401, 'the URL needs a token again');
is($d->http('DELETE', '/i/box/v1/ports/8080')->{status}, 404, 'twice');
is(expose(port => 8080, listen => $listen)->{json}{listen}, $listen, 'exposed again, at once');
is(plain($listen, $get), '/echo', 'on the same socket');
is(expose(port => 8080)->{json}{listen}, undef, 'exposed without a socket');
ok(wait_for(5, sub { !Sandboxd::Http->new($listen) }), 'it is gone, too');
is(expose(port => 8080, listen => $listen)->{status}, 200, 'once more');
$d->ok('sandbox.destroy', { id => 'box' });
ok(wait_for(5, sub { !Sandboxd::Http->new($listen) }), 'it goes with its sandbox');
$d->restart;
ok(!Sandboxd::Http->new($listen), 'for good');
is($d->ok('sandbox.expose', { id => $d->ok('sandbox.create', {})->{id}, port => 80 })->{port}, 80,
    'over the control socket');
is($d->http('POST', '/v1/ports', json => { port => 80 })->{status}, 200,
    'of the default sandbox, which is made');
ok($d->stop, 'the end');

# --- addresses that are allowed ---------------------------------------------------

$d = Sandboxd->start(%o, conf => "[gateway]\nexpose_addresses = 0.0.0.0 ::\n");
$d->ok('sandbox.create', { id => 'box' });
$r = expose(port => 80, listen => '0.0.0.0:0');
is($r->{status}, 200, 'all addresses, if the configuration says so');
like($r->{json}{listen}, qr/^0\.0\.0\.0:\d+$/, 'as it was asked');
like(expose(port => 81, listen => '[::]:0')->{json}{listen}, qr/^\[::\]:\d+$/, 'IPv6');

# --- the host's network -----------------------------------------------------------

my $host = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5, ReuseAddr => 1);
my $theirs = $host->sockport;
my $any = IO::Socket::INET->new(LocalAddr => '0.0.0.0', Listen => 5, ReuseAddr => 1);
$d->ok('sandbox.create', { id => 'shared', network => 'host' });
my $free = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1, ReuseAddr => 1);
my $own = $free->sockport;
$free->close;
ok(Sandboxd::Backend::start($d, 'shared', $own), 'a server in the host\'s network');
$r = $d->http('GET', '/i/shared/v1/ports');
is_deeply([map { $_->{port} } @{$r->{json}{ports}}], [$own], 'only its port is listed');
is($d->http('GET', "/i/shared/port/$own/echo")->{json}{target}, '/echo', 'and reached');
for my $port ($theirs, $any->sockport) {
	$r = $d->http('GET', "/i/shared/port/$port/");
	is($r->{status}, 502, 'a port of the host is not');
	like($r->{json}{detail}, qr/no process of the sandbox/, 'in words');
}
# Theirs at 127.0.0.1, ours at all addresses: the kernel would choose theirs.
$d->exec('shared', ['sh', '-c', "setsid perl -MIO::Socket::INET -e 'IO::Socket::INET->new("
    . "LocalAddr => q(127.0.0.2), LocalPort => $theirs, Listen => 1, ReuseAddr => 1) or die; "
    . "sleep 60' > /dev/null 2>&1 < /dev/null & sleep 0.3"]);
is($d->http('GET', "/i/shared/port/$theirs/")->{status}, 502,
    'nor when the sandbox listens there on another address');
ok(!defined $host->timeout(0.1) || !$host->accept, 'nobody has connected to it');
is($d->http('GET', '/i/box/v1/ports')->{json}{ports}[0]{listening}, JSON::PP::false(),
    'another sandbox sees none of this');
ok($d->stop, 'the end');
is_deeply([$d->leftovers], [], 'nothing is left');
done_testing;
