# Ports of a sandbox: which there are, and HTTP to them through the gateway.
use strict;
use warnings;
use Digest::MD5 qw(md5_hex);
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Backend;
use Test::More;
use Time::HiRes qw(time);

need_root();
need_program('perl');

my $d = Sandboxd->start(http => 1, token => 'sesame',
    conf => "[gateway]\nprocesses = 2\nproxy_time = 2s\n");
$d->ok('sandbox.create', { id => 'box' });
ok(Sandboxd::Backend::start($d, 'box', 8080), 'a server listens inside');
my $at = '/i/box/port/8080';

sub get { my ($path, %o) = @_; return $d->http($o{method} // 'GET', "$at$path", %o) }
# What the server was sent: headers by name, as lists.
sub told {
	my ($r) = @_;
	my %h;
	push @{$h{lc $_->[0]}}, $_->[1] for @{$r->{json}{headers}};
	return \%h;
}

# --- the list -------------------------------------------------------------------

my $r = $d->http('GET', '/i/box/v1/ports');
is($r->{status}, 200, 'the ports are listed');
is(scalar @{$r->{json}{ports}}, 1, 'there is one');
my $p = $r->{json}{ports}[0];
is($p->{port}, 8080, 'its number');
is_deeply($p->{addresses}, ['127.0.0.1'], 'where it listens');
is($p->{command}, 'perl', 'who does');
ok($p->{listening} && !$p->{exposed} && !$p->{public}, 'it is not exposed');
is($p->{path}, '/i/box/port/8080/', 'where it is reached');
is($d->http('GET', "$p->{path}status?204")->{status}, 204, 'and it is');
ok(Sandboxd::Backend::start($d, 'box', 443, '::1'), 'a second, on IPv6 only');
$r = $d->http('GET', '/i/box/v1/ports');
is_deeply([map { $_->{port} } @{$r->{json}{ports}}], [443, 8080], 'both, in order');
is_deeply($r->{json}{ports}[0]{addresses}, ['::1'], 'the address of the second');
is($d->http('GET', '/i/box/port/443/echo')->{status}, 200, 'it is reached, too');
is($d->http('GET', '/v1/ports')->{json}{ports}[0], undef,
    'the default sandbox has none, and is made by asking');
is($d->http('GET', '/i/nope/v1/ports')->{status}, 404, 'of no sandbox');

# --- requests -------------------------------------------------------------------

$r = get('/echo/a%20b?x=1&y=%2F');
is($r->{status}, 200, 'GET');
is($r->{json}{target}, '/echo/a%20b?x=1&y=%2F', 'path and query as they came');
my $h = told($r);
is_deeply($h->{host}, ['localhost:8080'], 'one Host');
is_deeply($h->{'x-forwarded-for'}, ['127.0.0.1'], 'X-Forwarded-For');
is_deeply($h->{'x-forwarded-host'}, ['localhost'], 'X-Forwarded-Host');
is_deeply($h->{'x-forwarded-proto'}, ['http'], 'X-Forwarded-Proto');
is_deeply($h->{'x-forwarded-prefix'}, [$at], 'X-Forwarded-Prefix');
is($h->{authorization}, undef, 'our token stays here');
for my $m (qw(POST PUT PATCH DELETE OPTIONS REPORT)) {
	$r = get('/echo', method => $m, body => "body of $m");
	is($r->{json}{method}, $m, $m);
	is($r->{json}{body}, "body of $m", "$m: its body");
}
$r = get('/echo', method => 'POST');
is_deeply(told($r)->{'content-length'}, ['0'], 'a POST without a body');
$r = get('/echo', method => 'HEAD');
is($r->{status}, 200, 'HEAD');
ok($r->{headers}{'content-length'} > 50, 'with the length that GET would have');
my $c = $d->http_client;
$c->write("POST $at/echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sesame\r\n"
    . "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-T: 1\r\n\r\n");
$r = $c->response;
is($r->{json}{body}, 'abcdefg', 'a chunked body');
is_deeply(told($r)->{'transfer-encoding'}, ['chunked'], 'goes on in chunks');
is(told($r)->{'content-length'}, undef, 'without a length');
for (['/chunked', 'one two three'], ['/sse', "data: 1\n\ndata: 2\n\ndata: 3\n\n"]) {
	$r = get($_->[0]);
	is($r->{status}, 200, $_->[0]);
	is($r->{body}, $_->[1], "$_->[0]: all of the body");
	ok(!$r->{broken}, "$_->[0]: with its end");
}
for my $s (200, 201, 204, 301, 304, 404, 418, 500, 599) {
	is(get("/status?$s")->{status}, $s, "status $s");
}
is($d->http('GET', '/i/box/port/8080')->{status}, 308, 'without the last slash');
is($d->http('GET', '/i/box/port/8080?a=1')->{headers}{location},
    '/i/box/port/8080/?a=1', 'one is sent to where it is');

# --- headers both ways ----------------------------------------------------------

$r = get('/headers');
is($r->{headers}{'set-cookie'}, 'a=1, b=2', 'cookies come one by one');
is($r->{headers}{'x-plain'}, 'yes', 'other headers, too');
for (qw(x-secret keep-alive proxy-connection)) {
	is($r->{headers}{$_}, undef, "$_ is for the connection only");
}
is($r->{headers}{connection}, 'close', 'and Connection is ours');
$r = get('/echo', headers => { 'Connection' => 'close, X-Hop', 'X-Hop' => '1',
    'Keep-Alive' => '1', 'TE' => 'trailers', 'Proxy-Authorization' => 'x',
    'X-Forwarded-Host' => 'evil', 'X-Forwarded-For' => '6.6.6.6',
    'X-Custom' => 'kept', 'Cookie' => 'app=1',
    'Referer' => 'http://x/i/box/port/8080/?access_token=sesame',
    'OPEN-SANDBOX-API-KEY' => 'sesame' });
$h = told($r);
for (qw(x-hop keep-alive te proxy-authorization referer open-sandbox-api-key)) {
	is($h->{$_}, undef, "$_ does not reach the server");
}
is_deeply($h->{connection}, ['close'], 'Connection is written anew');
is_deeply($h->{'x-forwarded-host'}, ['localhost'], 'X-Forwarded-Host is what is true');
is_deeply($h->{'x-forwarded-for'}, ['6.6.6.6, 127.0.0.1'], 'X-Forwarded-For is added to');
is_deeply($h->{'x-custom'}, ['kept'], 'a header of one\'s own');
is_deeply($h->{cookie}, ['app=1'], 'a cookie of the server\'s own');

# --- tokens ---------------------------------------------------------------------

is(get('/echo', token => undef)->{status}, 401, 'without a token');
is(get('/echo', token => 'wrong')->{status}, 401, 'with a wrong one');
is(get('/echo', token => undef, method => 'POST', body => 'x')->{status}, 401, 'POST, too');
$r = get('/echo?a=1&access_token=sesame&b=2', token => undef);
is($r->{status}, 200, 'the token in the query');
is($r->{json}{target}, '/echo?a=1&b=2', 'is taken out');
$r = get('/echo?%61ccess_token=sesame&a=1', token => undef);
is("$r->{status} $r->{json}{target}", '200 /echo?a=1', 'a token by an escaped name is not passed on');
$r = get('/echo?access_token=%73esame', token => undef);
is($r->{json}{target}, '/echo', 'also when it is escaped');
$r = get('/echo?access_token=theirs', headers => { 'Authorization' => 'Basic OnNlc2FtZQ==' },
    token => undef);
is($r->{json}{target}, '/echo?access_token=theirs', 'a token of the server\'s own goes on');
is(told($r)->{authorization}, undef, 'ours as Basic does not');
$r = get('/echo?access_token=sesame', headers => { 'Authorization' => 'Bearer theirs' },
    token => undef);
is_deeply(told($r)->{authorization}, ['Bearer theirs'],
    'with ours in the query, theirs may stand in the header');
unlike(get("/echo?access_token=sesame&access_token=sesame&x=sesame2")->{json}{target},
    qr/sesame(?!2)/, 'twice is no way around');

# --- much, and slowly -----------------------------------------------------------

my $big = join('', map { pack('N', $_) } 1 .. 1_000_000);
$r = get('/slow-read', method => 'PUT', body => $big, timeout => 60);
is($r->{body}, length($big) . ' ' . md5_hex($big), 'four megabytes up, to a slow reader');
$c = $d->http_client;
$c->write("GET $at/big?50000000 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sesame\r\n\r\n");
$r = $c->head;
is($r->{headers}{'content-length'}, 50000000, 'fifty megabytes down');
my ($gateway) = sort { $b <=> $a } map { rss($_) } $d->children(qr/gateway/);
select(undef, undef, undef, 1);	# we do not read
my ($later) = sort { $b <=> $a } map { rss($_) } $d->children(qr/gateway/);
ok($later - $gateway < 4096, 'what nobody reads is not kept in memory')
    or diag "$gateway kB, then $later kB";
is(length $c->bytes(50000000, 60), 50000000, 'all of it comes');
sub rss { return (slurp("/proc/$_[0]/status") =~ /VmRSS:\s*(\d+)/)[0] // 0 }

# One connection, several requests.
$c->write("GET $at/echo?$_ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sesame\r\n\r\n")
    for 1 .. 3;
is(join(' ', map { $c->response->{json}{target} } 1 .. 3), '/echo?1 /echo?2 /echo?3',
    'requests behind each other on a connection');

# Events as they are sent.
$c->write("GET $at/sse HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sesame\r\n\r\n");
$c->head;
my $began = time;
is($c->chunk, "data: 1\n\n", 'the first event');
ok(time - $began < 0.25, 'comes at once');
is($c->chunk, "data: 2\n\n", 'and the second');
$c->close;	# in the midst

# Many at a time.
my @many = map { $d->http_client } 1 .. 100;
$_->write("GET $at/sse HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sesame\r\n\r\n") for @many;
my @got = map { $_->response('GET', 30) } @many;
my $whole = grep { ($_->{body} // '') =~ /data: 3/ } @got;
is($whole, 100, 'a hundred at a time');

# --- what cannot be reached -----------------------------------------------------

$r = $d->http('GET', '/i/box/port/8099/x');
is($r->{status}, 502, 'a port that nobody listens on');
is($r->{json}{type}, 'urn:sandbox-agent:error:stream_error', 'as a problem');
like($r->{json}{detail}, qr/nothing listens on port 8099/, 'in words');
is($d->http('POST', '/i/box/port/8099/x', body => 'x' x 100000)->{status}, 502, 'with a body');
for (0, 65536, 'http', '-1', '8080x', '+80') {
	$r = $d->http('GET', "/i/box/port/$_/");
	is($r->{status}, 400, "port $_") or diag $r->{body};
}
is($d->http('GET', '/i/nope/port/80/')->{status}, 404, 'no such sandbox');
$began = time;
$r = get('/silent');
is($r->{status}, 504, 'a server that does not answer');
ok(time - $began < 6 * slow_factor(), 'in the time that was set');

$d->ok('sandbox.stop', { id => 'box' });
is($d->http('GET', '/i/box/port/8080/echo')->{status}, 502,
    'a stopped sandbox is started, but its server is not there');

ok($d->stop, 'the end');
is_deeply([$d->leftovers], [], 'nothing is left');
done_testing;
