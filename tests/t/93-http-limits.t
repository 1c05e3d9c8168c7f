# What clients may not do to the server, and to each other: connections, slow
# clients, headers and bodies without end.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(sleep time);

need_root();

# One process, so that its limits are the server's.
sub start {
	my (%conf) = @_;
	return Sandboxd->start(http => 1, conf => join('', "[gateway]\n",
	    "processes = 1\n", map { "$_ = $conf{$_}\n" } sort keys %conf));
}

sub healthy {
	my ($d, $what) = @_;
	my $r = $d->http('GET', '/v1/health');
	is($r->{status}, 200, $what);
}

# --- connections in all -----------------------------------------------------------------
my $d = start(max_connections => 20, max_per_address => 0);
my @held = map { $d->http_client } 1 .. 20;
for my $c (@held) {
	$c->write("GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n");
	$c->response->{status} == 200 or fail('a connection within the limit');
}
my $c = $d->http_client;
my $r = $c->response;
is($r->{status}, 503, 'one connection more is refused');
is($r->{json}{type}, 'urn:sandbox-agent:error:unavailable', 'with a reason');
is($r->{headers}{'content-type'}, 'application/problem+json', 'as a document');
ok($c->closed(5), 'and closed');
$held[0]->write("GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n");
is($held[0]->response->{status}, 200, 'those that are there go on');
(pop @held)->close;
ok(wait_for(5, sub { ($d->http('GET', '/v1/health')->{status} // 0) == 200 }),
    'when one has gone there is room');
$_->close for @held;
like($d->http('GET', '/metrics')->{body}, qr/^sandboxd_http_refused_total [1-9]/m,
    'refusals are counted');

# Without a limit of its own there is room for many.
$d = start();
@held = map { $d->http_client } 1 .. 400;
$_->write("GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n") for @held;
is(scalar(grep { ($_->response->{status} // 0) == 200 } @held), 400,
    'four hundred at once are no crowd');
my $from = time;
$d->stop;
ok(time - $from < 3 * slow_factor(), 'and do not hold up the end');

# --- connections of one address --------------------------------------------------------
$d = start(max_connections => 100, max_per_address => 5);
@held = map { $d->http_client } 1 .. 5;
$_->write("GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n") for @held;
$_->response for @held;
is($d->http_client->response->{status}, 503, 'too many of one address');
my $at = $d->http_address;
my ($port) = $at =~ /:(\d+)$/;
my $other = IO::Socket::IP->new(PeerAddr => '127.0.0.1', PeerPort => $port,
    LocalAddr => '127.0.0.2', Type => Socket::SOCK_STREAM());
ok($other, 'another address') or BAIL_OUT('no 127.0.0.2');
print $other "GET /v1/health HTTP/1.0\r\n\r\n";
$other->flush;
like(join('', <$other>), qr/^HTTP\/1.. 200/, 'is served');
$_->close for @held;
ok(wait_for(5, sub { ($d->http('GET', '/v1/health')->{status} // 0) == 200 }),
    'and the first again when it has let go');

# --- time -------------------------------------------------------------------------------------
$d = start(header_time => '1s', idle_time => '3s');
my %slow = (
	'says nothing' => '',
	'begins a line' => 'GET /v1/he',
	'begins its headers' => "GET /v1/health HTTP/1.1\r\nHost: x\r\n",
);
for my $what (sort keys %slow) {
	my $c = $d->http_client;
	$from = time;
	$c->write($slow{$what});
	ok($c->closed(8), "who $what is cut off");
	my $took = time - $from;
	ok($took > 0.5 && $took < 4 * slow_factor(),
	    sprintf('in time (%.1f s)', $took));
}
# A byte now and then does not help.
$c = $d->http_client;
$from = time;
$c->write("GET /v1/health HTTP/1.1\r\nHost: x\r\n");
my $n = 0;
while (time - $from < 8 && $c->write('X') && !defined $c->rest(0.2)) {
	$n++;
}
ok(time - $from < 5 * slow_factor(), 'nor who sends a byte now and then');
# On a connection that was used before, too.
$c = $d->http_client;
$c->write("GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n");
is($c->response->{status}, 200, 'a first request');
$from = time;
sleep 1;
while (time - $from < 10 && $c->write('G') && !defined $c->rest(0.3)) {
}
ok(time - $from < 4 * slow_factor(), 'a slow second one is cut off');
$c = $d->http_client;
$c->write("GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n");
$c->response;
$from = time;
ok($c->closed(8), 'an idle connection ends');
ok(time - $from > 2, 'not at once');

# A body that does not come, and one that trickles.
my $post = "POST /v1/sessions HTTP/1.1\r\nHost: x\r\n"
    . "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n";
$c = $d->http_client;
$c->write("$post\{");
$from = time;
ok($c->closed(10), 'a body that stops is cut off');
ok(time - $from > 2, 'after the time for progress');
$c = $d->http_client;
$c->write("$post\{");
$from = time;
while (time - $from < 15 && $c->write(' ') && !defined $c->rest(0.3)) {
}
ok(time - $from < 10 * slow_factor(), 'one that trickles as well');

# Who waits for us is not slow.
my $sb = $d->ok('sandbox.create', { id => 'default' });
$r = $d->http('POST', '/v1/processes/run',
    json => { command => 'sleep', args => ['4.5'], timeoutMs => 20000 },
    timeout => 20);
is($r->{status}, 200, 'a command that takes longer than idle time');
is($r->{json}{exitCode}, 0, 'has its answer');

# --- a client that does not read -----------------------------------------------------------
$r = $d->http('POST', '/v1/processes/run', json => { command => 'sh',
    args => ['-c', 'head -c 30000000 /dev/zero >/tmp/big'] });
is($r->{json}{exitCode}, 0, 'a great file');
$c = $d->http_client;
$c->write("GET /v1/fs/file?path=/tmp/big HTTP/1.1\r\nHost: x\r\n\r\n");
is($c->head->{status}, 200, 'is sent');
$from = time;
sleep 0.1 while time - $from < 6;
healthy($d, 'others are served meanwhile');
my $rest = $c->rest(20) // '';
ok(length $rest < 30000000, 'who does not take it is cut off');
$c = $d->http_client;
$c->write("GET /v1/fs/file?path=/tmp/big HTTP/1.1\r\nHost: x\r\n\r\n");
my ($got, $stop) = (0, time + 6);
$c->head;
while (time < $stop) {
	$got += length $c->bytes(100000, 5);
	sleep 0.1;
}
$got += length($c->rest(20) // '');
is($got, 30000000, 'who takes it slowly gets all of it');

# --- length -------------------------------------------------------------------------------------
$d = start(max_header_bytes => '8K');
sub raw {
	my ($d, $text) = @_;
	my $c = $d->http_client;
	$c->write($text, 5);
	return $c->response(undef, 10)->{status} // 'none';
}
my $h = "Host: x\r\n";
is(raw($d, "GET /v1/health?" . 'q' x 4000 . " HTTP/1.1\r\n$h\r\n"), 200,
    'a long target');
is(raw($d, "GET /v1/health?" . 'q' x 100000 . " HTTP/1.1\r\n$h\r\n"), 414,
    'one that is too long');
is(raw($d, "GET /v1/health HTTP/1.1\r\n${h}X: " . 'x' x 4000 . "\r\n\r\n"), 200,
    'a long header');
is(raw($d, "GET /v1/health HTTP/1.1\r\n${h}X: " . 'x' x 500000 . "\r\n\r\n"), 431,
    'one that is too long');
is(raw($d, "GET /v1/health HTTP/1.1\r\n${h}" . "X: y\r\n" x 100000 . "\r\n"), 431,
    'too many of them');
is(raw($d, "GET /v1/health HTTP/1.1\r\n${h}X: " . 'x' x 12000 . "\r\n\r\n"), 431,
    'a little more than is allowed');
healthy($d, 'and others are served');

done_testing;
