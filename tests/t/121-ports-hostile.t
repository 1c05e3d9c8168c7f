# The proxy between servers and clients that mean no good: what one of them sends
# never becomes two things to the other.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Backend;
use Test::More;
use Time::HiRes qw(time);

need_root();
need_program('perl');

my $d = Sandboxd->start(http => 1,
    conf => "[gateway]\nprocesses = 1\nproxy_time = 1500ms\n");
$d->ok('sandbox.create', { id => 'box' });
ok(Sandboxd::Backend::start($d, 'box', 8080), 'a server listens inside');
my $at = '/i/box/port/8080';
my ($gateway) = $d->children(qr/gateway/);

# What comes of an answer of these bytes, read to the end of our connection.
sub raw {
	my ($bytes, $path) = @_;
	my $c = $d->http_client;
	$c->write("GET $at/" . ($path // 'raw') . '?' . unpack('H*', $bytes)
	    . " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	my $r = $c->response('GET', 10);
	$r->{after} = $c->rest(10);
	return $r;
}

# --- servers --------------------------------------------------------------------

my $r = raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
is($r->{body}, 'ok', 'an answer as it should be');
$r = raw("HTTP/1.0 200 OK\n\nlines without CR");
is($r->{body}, 'lines without CR', 'lines without CR, and no length');
$r = raw("HTTP/1.1 200\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok");
is($r->{body}, 'ok', 'the same length twice');
is(scalar(() = $r->{head} =~ /content-length/gi), 1, 'goes on once');
$r = raw("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
    . "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
is("$r->{status} $r->{body}", '200 x', 'interim answers are passed over');
is($r->{headers}{link}, undef, 'with their headers');

my $ok = "HTTP/1.1 200 OK\r\n";
for (
    ['nothing', ''],
    ['no HTTP', "SSH-2.0-OpenSSH\r\n\r\n"],
    ['HTTP/2', "HTTP/2 200 OK\r\n\r\n"],
    ['HTTP/1.2', "HTTP/1.2 200 OK\r\n\r\n"],
    ['no status', "HTTP/1.1 OK\r\n\r\n"],
    ['a short status', "HTTP/1.1 20 OK\r\n\r\n"],
    ['a long status', "HTTP/1.1 2000 OK\r\n\r\n"],
    ['status 099', "HTTP/1.1 099 OK\r\n\r\n"],
    ['half of a head', "${ok}Content-Le"],
    ['two lengths', "${ok}Content-Length: 2\r\nContent-Length: 3\r\n\r\nokk"],
    ['a list of lengths', "${ok}Content-Length: 2, 2\r\n\r\nok"],
    ['a signed length', "${ok}Content-Length: +2\r\n\r\nok"],
    ['a negative length', "${ok}Content-Length: -2\r\n\r\nok"],
    ['a length in hex', "${ok}Content-Length: 0x2\r\n\r\nok"],
    ['no length', "${ok}Content-Length:\r\n\r\nok"],
    ['a length beyond all', "${ok}Content-Length: 99999999999999999999\r\n\r\nok"],
    ['length and chunks', "${ok}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"],
    ['two encodings', "${ok}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
    ['chunked twice', "${ok}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ['another encoding', "${ok}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"],
    ['chunks of HTTP/1.0', "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ['a name with a blank', "${ok}Content-Length : 2\r\n\r\nok"],
    ['a continued line', "${ok}X: a\r\n b\r\n\r\n"],
    ['a header without a colon', "${ok}nonsense\r\n\r\n"],
    ['no name', "${ok}: x\r\n\r\n"],
    ['a NUL', "${ok}X: a\0b\r\n\r\n"],
    ['a bare CR', "${ok}X: a\rSet-Cookie: b\r\n\r\n"],
    ['a control character', "${ok}X: a\x01\r\n\r\n"],
    ['headers without end', $ok . "X: " . ('a' x 40000)],
    ['headers too long', $ok . ("X-Header: " . ('a' x 500) . "\r\n") x 40 . "\r\n"],
    ['too many headers', $ok . ("X: a\r\n") x 200 . "\r\n"],
    ['interim answers without end', "HTTP/1.1 100 Continue\r\n\r\n" x 100],
    ['a protocol nobody asked for', "HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"],
) {
	my ($what, $bytes) = @$_;
	# The request's own line is bounded, so long ones are made there.
	my $r = length($bytes) < 7000 ? raw($bytes) : long($bytes);
	is($r->{status}, 502, "a server that sends $what");
	is($r->{after}, '', "$what: nothing behind it");
	like($r->{json}{detail}, qr/^stream error: port 80[89]0: /, "$what: in our words");
}

# A server of our own for answers that are too long for a query.
sub long {
	my ($bytes) = @_;
	$d->exec('box', ['sh', '-c', 'cat > /tmp/answer'], stdin => $bytes);
	$d->exec('box', ['sh', '-c', <<'END']);
cat > /tmp/one.pl <<'EOF'
use IO::Socket::INET;
my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1:8090', Listen => 1, ReuseAddr => 1);
open(my $f, '<', '/tmp/answer'); my $text = do { local $/; <$f> };
open(my $go, '>', '/tmp/one.ready'); close $go;
my $c = $s->accept; close $s; sysread($c, my $x, 65536); $SIG{PIPE} = 'IGNORE';
print $c $text; $c->flush; sleep 1;
EOF
rm -f /tmp/one.ready
setsid perl /tmp/one.pl > /dev/null 2>&1 < /dev/null &
for i in `seq 50`; do test -e /tmp/one.ready && exit; sleep 0.05; done
END
	my $c = $d->http_client;
	$c->write("GET /i/box/port/8090/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	my $r = $c->response('GET', 10);
	$r->{after} = $c->rest(10);
	return $r;
}
$r = long($ok . ("X-Header-" . $_ x 4 . ": " . ('a' x 1000) . "\r\n") x 12 . "Content-Length: 2\r\n\r\nok")
    for 1;
is("$r->{status} $r->{body}", '200 ok', 'long headers that are not too long');

# Bodies that are not what was announced: cut, so that it can be seen.
for (
    ['a body cut short', "${ok}Content-Length: 10\r\n\r\nhalf", 'half'],
    ['chunks without an end', "${ok}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", 'half'],
    ['half a chunk', "${ok}Transfer-Encoding: chunked\r\n\r\n9\r\nhalf", 'half'],
    ['a chunk of no size', "${ok}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n\r\n", 'half'],
    ['a size that is none', "${ok}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n", 'half'],
    ['a size beyond all', "${ok}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nfffffffffffffffff\r\n", 'half'],
    ['a negative size', "${ok}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n-1\r\n", 'half'],
    ['a chunk longer than it says', "${ok}Transfer-Encoding: chunked\r\n\r\n4\r\nhalfmore\r\n0\r\n\r\n", 'half'],
    ['chunks with bare LF', "${ok}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n1\nx\n0\n\n", 'half'],
    ['an extension without end', "${ok}Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n1;" . 'x' x 9000, 'half'],
) {
	my ($what, $bytes, $body) = @$_;
	my $r = length($bytes) < 7000 ? raw($bytes) : long($bytes);
	is($r->{status}, 200, $what);
	ok(substr($body, 0, length $r->{body}) eq $r->{body} && $r->{broken},
	    "$what: the connection is cut");
}
$r = $d->http('GET', "$at/reset");
ok($r->{broken}, 'a server that resets: cut');

# More than was announced goes nowhere.
$r = raw("${ok}Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
is($r->{body}, 'ok', 'a second answer behind the first');
is($r->{after}, '', 'goes nowhere');
$r = raw("${ok}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\nevil");
is("$r->{body} $r->{after}", 'ok ', 'nor behind chunks');
$r = raw("HTTP/1.1 204 No\r\nContent-Length: 4\r\n\r\nevil");
is("$r->{status} $r->{after}", '204 ', 'nor behind 204');
$r = raw("HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n");
is("$r->{status} $r->{after}", '304 ', 'nor behind 304');
my $c = $d->http_client;
$c->write("HEAD $at/raw?" . unpack('H*', "${ok}Content-Length: 4\r\n\r\nevil")
    . " HTTP/1.1\r\nHost: x\r\n\r\nGET $at/echo HTTP/1.1\r\nHost: x\r\n\r\n");
is($c->response('HEAD')->{status}, 200, 'nor behind an answer to HEAD:');
is($c->response->{json}{target}, '/echo', 'the next answer is the next');

# Answers before the request is over.
$r = $d->http('POST', "$at/early", body => 'x' x 100_000);
is($r->{status}, 413, 'an answer before the body is over');
is($r->{body}, 'full', 'all of it');
my $began = time;
$r = $d->http('POST', "$at/early-open", body => 'x' x 4_000_000, timeout => 20);
is($r->{status}, 409, 'and one by a server that reads no more');
is($d->http('GET', "$at/echo")->{status}, 200, 'all is well after that');

# --- clients --------------------------------------------------------------------

sub client {
	my ($bytes, $n) = @_;
	my $c = $d->http_client;
	$c->write($bytes);
	my @r;
	for (1 .. $n // 1) {
		my $r = $c->response('GET', 5);
		push @r, $r;
		last if !defined $r->{status};
	}
	return @r;
}
my $smuggled = "GET $at/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
my $to = "POST $at/echo HTTP/1.1\r\nHost: x\r\n";
for (
    ['length and chunks', "${to}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n$smuggled"],
    ['two lengths', "${to}Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"],
    ['an unknown encoding', "${to}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"],
    ['two encodings', "${to}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
    ['a name with a blank', "${to}X : y\r\n\r\n"],
    ['two hosts', "${to}Host: y\r\n\r\n"],
) {
	my ($what, $bytes) = @$_;
	my @r = client($bytes, 2);
	ok(!defined $r[0]{status} || $r[0]{status} == 400, "a client that sends $what");
	ok(!grep({ ($_->{json}{target} // '') =~ /smuggled/ } @r),
	    "$what: nothing is smuggled");
}
for (
    ['a bad chunk', "${to}Transfer-Encoding: chunked\r\n\r\n5\r\nabc"],
    ['a chunk without a size', "${to}Transfer-Encoding: chunked\r\n\r\nxyz\r\n"],
) {
	my ($what, $bytes) = @$_;
	my $c = $d->http_client;
	$c->write($bytes);
	$c->half_close;
	my $r = $c->response('POST', 5);
	isnt($r->{status}, 200, "$what does not become a request");
}
# Control characters in the target.
for my $bad ("a b", "a\tb", "a\x01b", "a\x7fb", 'a#b') {
	my ($r) = client("GET $at/echo/$bad HTTP/1.1\r\nHost: x\r\n\r\n");
	ok(!defined $r->{status} || $r->{status} == 400,
	    'a target with ' . unpack('H*', substr($bad, 1, 1)));
}
my ($u) = client("GET $at/echo/\xc3\xa4?\xff HTTP/1.1\r\nHost: x\r\n\r\n");
is($u->{json}{target}, '/echo/%C3%A4?%FF', 'other alphabets are escaped');
($u) = client("GET $at/echo/../%2e%2e/x HTTP/1.1\r\nHost: x\r\n\r\n");
is($u->{json}{target}, '/echo/../%2e%2e/x', 'dots are the server\'s own affair');
($u) = client("CONNECT $at/echo HTTP/1.1\r\nHost: x\r\n\r\n");
isnt($u->{status}, 200, 'CONNECT is not passed on');
($u) = client("GET $at/echo HTTP/1.1\r\nHost: x\r\nX-Long: " . ('a' x 20000) . "\r\n\r\n");
is($u->{status}, 200, 'long headers pass');
# A client that leaves in the midst.
for (1 .. 20) {
	my $c = $d->http_client;
	$c->write("POST $at/slow-read HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc");
	$c->close;
	$c = $d->http_client;
	$c->write("GET $at/silent HTTP/1.1\r\nHost: x\r\n\r\n");
	$c->close;
	$c = $d->http_client;
	$c->write("GET $at/big?10000000 HTTP/1.1\r\nHost: x\r\n\r\n");
	$c->head;
	$c->close;
}
is($d->http('GET', "$at/echo")->{status}, 200, 'clients that leave do no harm');
ok(wait_for(10, sub {
	opendir(my $dh, "/proc/$gateway/fd") or return 0;
	return grep({ /^\d/ } readdir $dh) < 40;
}), 'and leave no descriptor behind');
is(($d->children(qr/gateway/))[0], $gateway, 'the gateway is the one that it was');

ok($d->stop, 'the end');
is_deeply([$d->leftovers], [], 'nothing is left');
done_testing;
