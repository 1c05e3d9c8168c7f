# What an agent says: the stream from its first envelope on, resumed by
# Last-Event-ID, heard by several, and as it was written: byte for byte, long ones
# too, in both directions.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Acp;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start(http => 1, conf => "[store]\nmap_bytes = 4M\n");
Sandboxd::Acp->install($d, 'amp');

sub is_reply { my ($id) = @_; return sub { !exists $_->{method} && ($_->{id} // '') eq $id } }
sub ids { return join(' ', map { $_->{id} // '-' } @_) }

# --- from the beginning, and from anywhere ----------------------------------------------

my $a = Sandboxd::Acp->new($d, 'a', agent => 'amp');
$a->call('initialize', { protocolVersion => 1 });
$a->call("echo/$_", { n => $_ }) for 1 .. 9;
my $s = $a->stream;
is($s->{head}{status}, 200, 'a stream');
is($s->{head}{headers}{'content-type'}, 'text/event-stream', 'of events');
is($s->{head}{headers}{'cache-control'}, 'no-cache', 'not to be kept');
is($s->{head}{headers}{'transfer-encoding'}, 'chunked', 'without a length');
my @texts = $s->upto(10);
is(scalar(@texts), 10, 'all that was said');
is(ids(map { from_json($_) } @texts), '0 1 2 3 4 5 6 7 8 9', 'in order');
is($s->{flaw}, '', 'numbered from 1');
is($a->call('echo/x', {})->{id}, 10, 'and what comes');
is(scalar($s->upto(11)), 1, 'is heard as it does');
is($s->{text}, '', 'no half event');
for ([undef, 11], ['', 11], ['0', 11], ['5', 6], [' 9 ', 2], ['10', 1]) {
	my ($after, $n) = @$_;
	my $r = $a->stream($after);
	$r->{last} = 11 - $n;
	is(scalar($r->upto(11)), $n, 'Last-Event-ID ' . (defined $after ? "'$after'" : 'absent'));
	is($r->{flaw}, '', 'in order');
	$r->close;
}
for ('-1', 'x', '1.5', '1 2', '0x1', '1e3') {
	my $r = $d->http('GET', '/v1/acp/a', headers => { 'Last-Event-ID' => $_ });
	is($r->{status}, 400, "'$_' is 400");
	like($r->{json}{detail}, qr/^invalid request: Last-Event-ID must be a positive integer$/,
	    'and says so');
}
for ('11', '99', '18446744073709551615', '99999999999999999999999') {
	my $r = $a->stream($_);
	is($r->{head}{status}, 200, "$_ is in the future");
	is($r->more(0.2), undef, 'and silent');
	$r->close;
}
for (['application/json', 406], ['text/plain', 406], ['text/*', 200], ['*/*', 200],
    ['application/json, text/event-stream;q=0.1', 200]) {
	my $c = $d->http_client;
	$c->write("GET /v1/acp/a HTTP/1.1\r\nHost: x\r\nAccept: $_->[0]\r\n\r\n");
	is($c->head->{status}, $_->[1], "Accept $_->[0]");
}
is($d->http('GET', '/v1/acp/none', headers => { Accept => 'a/b',
    'Last-Event-ID' => 'x' })->{status}, 406, 'Accept goes before all');
is($d->http('GET', '/v1/acp/none', headers => { 'Last-Event-ID' => 'x' })->{status}, 400,
    'the number before the name');

# --- byte for byte -----------------------------------------------------------------------

my @lines = (
	'{"jsonrpc":"2.0","method":"z","params":{"b":1,"a":2,  "c" : [ 1,2 ]}}',
	'{"method":"n","n":[0,-0,1e3,1E+2,0.10,123456789012345678901234567890,5e-324]}',
	'{"method":"t","t":"\u00e9\u2028\ud83e\udd8a\/ \"\\\\ \b\t"}',
	"{\"method\":\"u\",\"u\":\"\xc3\xa9\xf0\x9f\xa6\x8a\"}",
	'{"method":"raw","raw":{"raw":null},"type":"acp"}',
	'{"method":"deep","d":' . '[' x 40 . ']' x 40 . '}',
	'[1, 2,  3]', '"text"', '7', 'null', '{}',
);
$a->call('raw/say', { lines => [map { utf8::decode(my $t = $_); $t } @lines] });
my @came = $s->upto(11 + @lines + 1);
is(join("\n", @came[0 .. $#lines]), join("\n", @lines), 'lines come as they are');
$a->call('raw/say', { lines => ['no json', '', '   ', '{"a":1', '{"a":1} x', "tab\tbed"] });
@came = map { from_json($_) } $s->upto($s->{last} + 5);
is(join(' ', map { $_->{method} // '-' } @came), '_adapter/invalid_stdout '
    . '_adapter/invalid_stdout _adapter/invalid_stdout _adapter/invalid_stdout -',
    'what is no JSON is told of; empty lines are not');
is(join('|', map { $_->{params}{raw} // '' } @came[0 .. 3]),
    "no json|{\"a\":1|{\"a\":1} x|tab\tbed", 'with the line');
ok(!(grep { !length($_->{params}{error} // '') } @came[0 .. 3]), 'and the reason');
# The answer of a POST is the stored text too.
my $r = $a->post('{"jsonrpc":"2.0","id":"q","method":"echo/b","params":'
    . '{"n":1.50,"z":1,"a":"\u00e9"}}');
is($r->{body}, ($s->upto($s->{last} + 1))[0], 'the answer is what the stream has');

# --- long ones -----------------------------------------------------------------------------

for my $size (100_000, 131_000, 300_000, 600_000, 850_000) {
	my $big = 'x"' . "\\\n" . ('y' x ($size - 4));
	my $e = { jsonrpc => '2.0', id => "big$size", method => 'echo/big',
	    params => { text => $big } };
	my $got = $a->post($e);
	is($got->{status}, 200, "an envelope of $size bytes");
	ok(($got->{json}{result}{echoed}{text} // '') eq $big, 'comes back unchanged');
	my ($seen) = $s->upto($s->{last} + 1);
	ok($seen eq $got->{body}, 'and is in the stream');
}
my $session = $a->session;
$s->upto($s->{last} + 1);
my $big = 'z' x (2 << 20);
$r = $a->post({ jsonrpc => '2.0', id => 'two', method => 'session/prompt',
    params => { sessionId => $session, prompt => [{ type => 'text', text => $big },
    { type => 'text', text => 'say got-it' }] } });
is($r->{status}, 200, '2 MiB in');
is($r->{json}{result}{stopReason}, 'end_turn', 'are taken');
$r = $a->post('{"method":"say","params":"' . 'w' x ((8 << 20) - 40) . '"}');
is($r->{status}, 202, '8 MiB in');
$r = $a->post('{"method":"say","params":"' . 'w' x (8 << 20) . '"}');
is($r->{status}, 413, 'but no more');
# What the agent says may be too long: a request is answered all the same.
$r = $a->post({ jsonrpc => '2.0', id => 'three', method => 'echo/big',
    params => { text => 'v' x 1_500_000 } });
is($r->{status}, 200, 'a response that is too long');
ok($r->{json}{error} && $r->{json}{id} eq 'three', 'is an error')
    or diag(substr($r->{body}, 0, 300));
$r = $a->post({ jsonrpc => '2.0', id => 'after', method => 'echo/x', params => {} });
is($r->{status}, 200, 'and the agent goes on');

# --- several, slow and gone ------------------------------------------------------------------

my $b = Sandboxd::Acp->new($d, 'b', agent => 'amp');
my $at = $b->session;
my @streams = map { $b->stream } 1 .. 20;
my $stuck = $b->stream;		# nobody reads it
my $turn = $b->post($b->prompt_envelope($at, 'flood 5000'), timeout => 120);
is($turn->{json}{result}{stopReason}, 'end_turn', 'a turn of 5000 updates');
my $last = 5002;
my @counts = map { scalar($_->upto($last, 60)) } @streams;
is(join(' ', @counts), join(' ', ($last) x 20), 'twenty hear all of it');
is(join('', map { $_->{flaw} } @streams), '', 'in order');
my $again = $b->stream;
is(scalar($again->upto($last, 60)), $last, 'more than a thousand are replayed');
is($again->{flaw}, '', 'in order');
$stuck->close;
$_->close for @streams[0 .. 9];
is($b->call('echo/x', {})->{id}, 2, 'who leaves disturbs nobody');
is(scalar($streams[19]->upto($last + 1)), 1, 'the others hear on');
# At random places, as after lost connections.
srand(7);
my ($after, $flaw) = (0, '');
while ($after < $last && !$flaw) {
	my $r = $b->stream($after || undef);
	my $want = $after + int(rand(900));
	$r->upto($want > $last ? $last : $want, 30);
	$flaw = $r->{flaw};
	$flaw ||= 'nothing came' if $r->{last} == $after && $want > $after;
	$after = $r->{last};
	$r->close;
}
is($flaw, '', 'resumed at random, each came once');

# --- a sign of life -----------------------------------------------------------------------------

my $idle = $b->stream($last + 1);
is($idle->more(20), 1, 'a silent stream');
$idle->take_texts;
is($idle->{comments}, 1, 'gives a sign of life');
is($idle->{text}, '', 'and nothing else');

done_testing;
