# What no decent client sends: requests that two servers could read differently,
# bytes that are no HTTP, and clients that leave in the midst of it. After each of
# them the server answers others as before.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(sleep time);

need_root();
my $d = Sandboxd->start(http => 1, conf => "[gateway]\nprocesses = 1\n");
my $pid = $d->ok('status')->{gateways}[0]{pid};
my $h = "Host: x\r\n";
my $get = "GET /v1/health HTTP/1.1\r\n$h";

# Send TEXT; the statuses of what comes back within a moment, and whether the
# connection was closed: "400 closed".
sub play {
	my ($text, %o) = @_;
	my $c = $d->http_client;
	my @got;

	$c->write($text, 5);
	$c->half_close if $o{half};
	while (my $r = $c->response(undef, $o{wait} // 1)) {
		last if !$r->{status};
		push @got, $r->{status};
		last if @got > 20;
	}
	push @got, 'closed' if ($c->{broken} // '') =~ /closed/;
	return join ' ', @got;
}

# --- two readings -----------------------------------------------------------------------
my $next = "GET / HTTP/1.1\r\n$h\r\n";
for my $c (
    ['a length and chunks', "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ['chunks and a length', "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"],
    ['two lengths', "Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"],
    ['a length twice', "Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde"],
    ['lengths in a list', "Content-Length: 5, 6\r\n\r\nabcdef"],
    ['a negative length', "Content-Length: -5\r\n\r\nabcde"],
    ['a signed length', "Content-Length: +5\r\n\r\nabcde"],
    ['a length in another base', "Content-Length: 0x5\r\n\r\nabcde"],
    ['a length that is a word', "Content-Length: five\r\n\r\nabcde"],
    ['an empty length', "Content-Length:\r\n\r\nabcde"],
    ['a blank in a length', "Content-Length: 1 2\r\n\r\nabcdefghijkl"],
    ['a length and a NUL', "Content-Length: 0\0 5\r\n\r\nabcde"],
    ['a blank before the colon', "Content-Length : 5\r\n\r\nabcde"],
    ['another coding', "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n"],
    ['a coding before chunks', "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
    ['nearly chunked', "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"],
    ['chunked, quoted', "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"],
    ['chunked and identity', "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"],
    ['two hosts', "Host: y\r\n\r\n"],
    ['a line without a colon', "nonsense\r\n\r\n"],
    ['a blank in a name', "X Y: z\r\n\r\n"],
    ['a NUL in a name', "X\0Y: z\r\n\r\n"],
    ['a NUL in a value', "X: y\0z\r\n\r\n"],
    ['a bare CR in a value', "X: y\rZ: z\r\n\r\n"],
    ['a control character', "X: \x01\r\n\r\n"],
    ['a name that is no word', "X(y): z\r\n\r\n"],
    ['a name beyond ASCII', "X\xc3\xa9: z\r\n\r\n"]) {
	is(play("POST /v1/health HTTP/1.1\r\n$h$c->[1]$next"), '400 closed',
	    "$c->[0]: refused, and nothing behind it is read");
}
is(play("POST /v1/health HTTP/1.1\r\n${h}Content-Length: $_\r\n\r\n$next"),
    '413 closed', 'a length without end') for '9' x 19, '9' x 40, '9' x 400;
for my $bad ('5x', '-5', '9' x 40) {
	my $c = $d->http_client;
	$c->write("POST /v1/health HTTP/1.1\r\n${h}Content-Length: $bad\r\n\r\nabcde");
	my $r = $c->response;
	like($r->{json}{type}, qr/^urn:sandbox-agent:error:/, "a document about '$bad'");
	is($r->{json}{status}, $r->{status}, 'with its status');
	is($r->{headers}{connection}, 'close', 'says that it closes');
	is($c->rest(5), '', 'and nothing follows');
}
is(play("GET /v1/health HTTP/1.1\r\n\r\n$next"), '400 closed', 'no host');
is(play("POST / HTTP/1.0\r\n${h}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n$next"),
    '400 closed', 'chunks in HTTP/1.0');

# --- bad chunks ---------------------------------------------------------------------------
my $chunked = "${get}Transfer-Encoding: chunked\r\n\r\n";
for my $c (['a negative one', "-3\r\nabc\r\n"], ['no number', "zz\r\nabc\r\n"],
    ['another base', "0x3\r\nabc\r\n"], ['a blank before it', " 3\r\nabc\r\n"],
    ['more than it says', "3\r\nabcdef\r\n"], ['no end', "3\r\nabc0\r\n"],
    ['an empty line', "\r\n3\r\nabc\r\n"]) {
	is(play("$chunked$c->[1]0\r\n\r\n$next"), '400 closed', "a chunk with $c->[0]");
}
is(play("${chunked}ffffffffffffffffffffff\r\nabc"), '413 closed',
    'a chunk without end');
for my $c (['its line', "3\nabc\r\n0\r\n\r\n"], ['its data', "3\r\nabc\n0\r\n\r\n"],
    ['the last line', "3\r\nabc\r\n0\n\r\n"], ['the end', "3\r\nabc\r\n0\r\n\n"],
    ['an extension', "3;a\nabc\r\n0\r\n\r\n"],
    ['a trailer', "3\r\nabc\r\n0\r\nX: y\n\r\n"]) {
	is(play("$chunked$c->[1]$next"), '400 closed', "a chunk: $c->[0] ends in LF alone");
	# Byte by byte: it is seen however it is cut.
	my $k = $d->http_client;
	$k->write($_) && sleep 0.002 for split //, "$chunked$c->[1]";
	is($k->response->{status}, 400, '... also byte by byte');
}
my $put = $d->http_client;
$d->ok('sandbox.create', { id => 'default' });
$put->write("PUT /v1/fs/file?path=/tmp/cut HTTP/1.1\r\n${h}"
    . "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
sleep 0.2;
$put->write("3\nabc\r\n0\r\n\r\n");
is($put->response->{status}, 400, 'a chunk in the midst of a file that comes');
isnt($d->http('GET', '/v1/fs/file?path=/tmp/cut')->{status}, 200, 'which is not made');
is(play("${chunked}3\r\nabc\r\n0\r\n\r\n$next"), '200 200', 'good ones are taken');
is(play("${chunked}3\r\nab", half => 1, wait => 1) =~ /^(?:closed)?$/ ? 'ok' : 'no', 'ok',
    'half a chunk is never answered');

# --- lines ----------------------------------------------------------------------------------
for my $c (['the request line', "GET /v1/health HTTP/1.1\n$h\r\n"],
    ['a header', "GET /v1/health HTTP/1.1\r\nHost: x\n\r\n"],
    ['an empty header', "GET /v1/health HTTP/1.1\r\n${h}X:\n\r\n"],
    ['the end', "GET /v1/health HTTP/1.1\r\n$h\n"],
    ['every line', "GET /v1/health HTTP/1.1\nHost: x\n\n"],
    ['an empty line before', "\n$get\r\n"]) {
	is(play("$c->[1]$next"), '400 closed', "$c->[0] ends in LF alone");
	(my $cr = $c->[1]) =~ s/(?<!\r)\n/\r/g;
	like(play("$cr$next"), qr/^(?:400 )?closed$/, 'or in CR alone');
	is(play("$get\r\n$c->[1]$next"), '200 400 closed', 'after a good one, too');
}
is(play("${get}X: a\r\n b\r\n\r\n$next"), '400 closed', 'a folded header');
is(play("POST /v1/health HTTP/1.1\r\n${h}Content-Length:\r\n 5\r\n\r\nabcde$next"),
    '400 closed', 'a folded length');
is(play("GET /v1/hea\0lth HTTP/1.1\r\n$h\r\n$next"), '400 closed', 'a NUL in the path');
is(play("GET /v1/hea\x01lth HTTP/1.1\r\n$h\r\n$next"), '400 closed',
    'a control character in the path');
is(play("GET /v1/health x HTTP/1.1\r\n$h\r\n$next"), '400 closed', 'a blank in the path');
is(play("GET /v1/health?a\x7f HTTP/1.1\r\n$h\r\n$next"), '400 closed',
    'a control character in the query');
like(play("GET /v1/health HTTP/2.0\r\n$h\r\n$next"), qr/^505 closed$/, 'HTTP/2');
like(play("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), qr/^505 closed$/, 'its beginning');
like(play("GET /v1/health HTTP/1.7\r\n$h\r\n$next"), qr/^(?:400|505) closed$/, 'HTTP/1.7');
like(play("GET /v1/health\r\n"), qr/^400 closed$/, 'HTTP/0.9');
like(play("GET\r\n\r\n"), qr/^(?:400 )?closed$/, 'a word');
is(play("X" x 3000 . " / HTTP/1.1\r\n$h\r\n"), '400 closed', 'a long method');
is(play("\r\n\r\n$get\r\n"), '200', 'empty lines before a request');
my $c = $d->http_client;
$c->write("GET / HTTP/9\r\n\r\n");
is($c->response->{headers}{'content-type'}, 'application/problem+json',
    'what is no HTTP is answered with a document, too');

# --- many -------------------------------------------------------------------------------------
for my $n (500, 1000, 4000) {
	is(play('GET /v1/health?' . join('&', ('state=x') x $n)
	    . " HTTP/1.1\r\n$h\r\n"), '200', "$n parameters");
	is(play("${get}Cookie: " . join('; ', ('a=b') x $n) . "\r\n\r\n"), '200',
	    "$n cookies");
	like(play($get . "a: b\r\n" x $n . "\r\n"), qr/^(?:200|431 closed)$/,
	    "$n headers");
}
is($d->http('GET', '/v1/sessions/x/events?' . join('&', ('limit=1') x 500))->{status}, 400,
    'parameters that may come once');

# --- bytes -----------------------------------------------------------------------------------
srand(7);
my $odd = 0;
for my $i (1 .. 200) {
	my $text = join '', map { chr int rand 256 } 1 .. 1 + int rand 400;
	$text = "$get$text\r\n\r\n" if $i % 3 == 0;
	$text = substr("$get\r\n", 0, int rand 40) . $text if $i % 3 == 1;
	my $c = $d->http_client;
	$c->write($text, 2);
	$c->half_close if $i % 2;
	my $got = $c->take(qr/[\s\S]{12}/, 0.05) // '';
	$odd++ if $got ne '' && $got !~ m{^HTTP/1\.[01] [2-5]\d\d\z};
	$c->close;
}
is($odd, 0, 'noise gets an answer of ours or none');
is(play("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" . "\0" x 500 . "\r\n\r\n") =~ /^(?:400 closed|closed)?$/
    ? 'ok' : 'no', 'ok', 'a TLS client');

# --- half of it --------------------------------------------------------------------------------
is(play("$get\r\n", half => 1) =~ /^200/ ? 'ok' : 'no', 'ok',
    'a client that has said its last word is answered');
my $run = Sandboxd::to_json({ command => 'sh', timeoutMs => 20000,
    args => ['-c', 'echo $$ >/tmp/left; sleep 1; echo done'] });
sub run {
	my ($body) = @_;
	my $c = $d->http_client;
	$c->write("POST /v1/processes/run HTTP/1.1\r\n${h}Content-Type: application/json\r\n"
	    . 'Content-Length: ' . length($body) . "\r\n\r\n$body");
	return $c;
}
$c = run($run);
$c->half_close;
my $r = $c->response(undef, 10);
like($r->{body}, qr/done/,
    'also when the answer takes a while');

# Requests that wait for others of ours, many at once on one connection.
$c = $d->http_client;
$c->write("GET /v1/ready HTTP/1.1\r\n$h\r\n" x 40);
is(scalar(grep { ($c->response->{status} // 0) == 200 } 1 .. 40), 40,
    'forty requests sent at once');
my $echo = Sandboxd::to_json({ command => 'echo', args => ['x'] });
$c->write("POST /v1/processes/run HTTP/1.1\r\n${h}Content-Type: application/json\r\n"
    . 'Content-Length: ' . length($echo) . "\r\n\r\n$echo");
$c->half_close;
is($c->response->{json}{stdout}, "x\n", 'a command, answered after the last word');
ok($c->closed(5), 'and then the end');

# Who leaves is forgotten, whatever is being done for it.
sub connections {
	return ($d->http('GET', '/metrics')->{body} =~
	    /^sandboxd_http_connections (\d+)/m)[0];
}
(my $long = $run) =~ s/sleep 1;/sleep 4;/;
my @runs = map { run($long) } 1 .. 3;
ok(wait_for(5, sub { connections() == 4 }), 'clients that wait');
sleep 0.7;
for my $c (@runs) {
	setsockopt($c->fh, Socket::SOL_SOCKET(), Socket::SO_LINGER(), pack('ii', 1, 0));
	$c->close;
}
ok(wait_for(2, sub { connections() == 1 }), 'and leave are seen to leave');

# --- many, and gone ---------------------------------------------------------------------------------
for my $i (1 .. 300) {
	my $c = $d->http_client;
	my $text = "POST /v1/sessions HTTP/1.1\r\n${h}Content-Type: application/json\r\n"
	    . "Content-Length: 15\r\n\r\n{\"agent\":\"nono\"}";
	$c->write(substr($text, 0, int rand length $text), 1);
	setsockopt($c->fh, Socket::SOL_SOCKET(), Socket::SO_LINGER(), pack('ii', 1, 0))
	    if $i % 2;
	$c->close;
}
is($d->http('GET', '/v1/health')->{status}, 200, 'clients that leave anywhere');
ok(wait_for(15, sub { connections() <= 1 }), 'are all forgotten');
is($d->ok('status')->{gateways}[0]{pid}, $pid, 'by the same process as before');
unlike(Sandboxd::slurp($d->{log}), qr/\berror\b.*gateway/, 'which had nothing to complain of');

done_testing;
