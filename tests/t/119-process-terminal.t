# /v1/processes/{id}/terminal/ws with a WebSocket client made by hand: handshake,
# frames in both directions, fragments, bad frames, several viewers, ends.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use MIME::Base64 qw(encode_base64);
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start(http => 1);
my $p = '/v1/processes';

sub create { my ($command, @args) = @_;
	return $d->http(POST => $p, json => { command => $command, args => \@args, tty => JSON::PP::true })->{json}{id} }
sub status { return $d->http(GET => "$p/$_[0]")->{json}{status} }

# --- a client -----------------------------------------------------------------

my %upgrade = ('Connection' => 'Upgrade', 'Upgrade' => 'websocket', 'Sec-WebSocket-Version' => 13,
    'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==');

sub shake {
	my ($path, %h) = @_;
	my $c = $d->http_client;
	%h = (%upgrade, %h);
	$c->write("GET $path HTTP/1.1\r\nHost: x\r\n"
	    . join('', map { "$_: $h{$_}\r\n" } grep { defined $h{$_} } sort keys %h) . "\r\n");
	return ($c, $c->head);
}

sub frame {
	my ($op, $data, %o) = @_;
	my $n = length $data;
	my $mask = $o{unmasked} ? '' : pack('N', 0x12345678);
	my $len = $n < 126 ? pack('C', $n) : $n < 65536 ? pack('Cn', 126, $n) : pack('CQ>', 127, $n);
	substr($len, 0, 1) |= "\x80" unless $o{unmasked};
	$data ^= substr($mask x (1 + $n / 4), 0, $n) if length $mask && $n;
	return pack('C', ($o{more} ? 0 : 0x80) | ($o{rsv} // 0) | $op) . $len . $mask . $data;
}

# The next frame: [first byte, data]; undef at the end or when none comes.
sub next_frame {
	my ($c, $seconds) = @_;
	my $h = $c->bytes(2, $seconds // 5);
	return undef if length $h < 2;
	my ($b, $n) = unpack('CC', $h);
	$n = unpack('n', $c->bytes(2)) if $n == 126;
	$n = unpack('Q>', $c->bytes(8)) if $n == 127;
	return [$b, $c->bytes($n)];
}

# Output until PATTERN; other frames are put aside.
sub output {
	my ($c, $pattern, $aside, $seconds) = @_;
	my $text = '';
	my $end = time + ($seconds // 8) * slow_factor();
	while (time < $end) {
		my $f = next_frame($c, $end - time) or last;
		if ($f->[0] == 0x82) { $text .= $f->[1]; return $text if $text =~ $pattern }
		else { push @{$aside // []}, $f }
	}
	return undef;
}

sub attach {
	my ($id) = @_;
	my ($c, $h) = shake("$p/$id/terminal/ws");
	is(next_frame($c)->[1], qq({"processId":"$id","type":"ready"}), "attached to $id");
	return $c;
}
sub say_json { $_[0]->write(frame(1, to_json($_[1]))) }
sub hex_of { return join ' ', map { sprintf '%02x', ord } split //, $_[0] }

# --- handshake ------------------------------------------------------------------

my $id = create('cat');
my ($c, $h) = shake("$p/$id/terminal/ws");
is($h->{status}, 101, 'upgraded');
is($h->{headers}{'sec-websocket-accept'}, 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=', 'the answer to the key');
is(lc $h->{headers}{upgrade}, 'websocket', 'upgrade');
like($h->{headers}{connection}, qr/upgrade/i, 'connection');
ok(!exists $h->{headers}{'sec-websocket-protocol'} && !exists $h->{headers}{'sec-websocket-extensions'}, 'nothing chosen');
my $ready = next_frame($c);
is(sprintf('%02x', $ready->[0]) . " $ready->[1]", qq(81 {"processId":"$id","type":"ready"}), 'ready');
my @refused = (
	[{ Connection => undef }, "Connection header did not include 'upgrade'"],
	[{ Connection => 'close' }, "Connection header did not include 'upgrade'"],
	[{ Upgrade => undef }, "`Upgrade` header did not include 'websocket'"],
	[{ Upgrade => 'h2c' }, "`Upgrade` header did not include 'websocket'"],
	[{ 'Sec-WebSocket-Version' => 8 }, "`Sec-WebSocket-Version` header did not include '13'"],
	[{ 'Sec-WebSocket-Version' => undef }, "`Sec-WebSocket-Version` header did not include '13'"],
	[{ 'Sec-WebSocket-Key' => undef }, '`Sec-WebSocket-Key` header missing'],
);
for (@refused) {
	my ($headers, $why) = @$_;
	my ($x, $r) = shake("$p/$id/terminal/ws", %$headers);
	is($r->{status}, 400, $why);
	like($x->bytes($r->{headers}{'content-length'} // 0), qr/\Q$why/, 'says so');
}
is((shake("$p/proc_999/terminal/ws"))[1]{status}, 404, 'no such process');
is((shake("$p/proc_999/terminal/ws", Upgrade => undef))[1]{status}, 400, 'headers before the process');
my $plain = $d->http(POST => $p, json => { command => 'cat' })->{json}{id};
is((shake("$p/$plain/terminal/ws"))[1]{status}, 409, 'no terminal');
is($d->http(GET => "$p/$id/terminal/ws")->{status}, 400, 'a plain GET');
is((shake("$p/$id/terminal/ws", 'Connection' => 'keep-alive, Upgrade', 'Upgrade' => 'WebSocket',
    'Sec-WebSocket-Protocol' => 'x', 'Sec-WebSocket-Extensions' => 'permessage-deflate'))[1]{status}, 101,
    'words in a list, in any case');

# --- talking --------------------------------------------------------------------

say_json($c, { type => 'input', data => "abc\n" });
is(output($c, qr/abc\r\nabc\r\n/), "abc\r\nabc\r\n", 'typed and shown');
say_json($c, { type => 'input', data => encode_base64("d\x{e9}f\n", ''), encoding => 'base64' });
ok(output($c, qr/f\r\nd.*f\r\n/s), 'base64');
say_json($c, { type => 'input', data => "g\n", encoding => $_ }), ok(output($c, qr/g\r\ng\r\n/), $_ // 'null')
    for 'utf8', 'text', undef;
my $msg = frame(1, '{"type":"inp', more => 1) . frame(9, 'ping!') . frame(0, 'ut","da', more => 1)
    . frame(0, '', more => 1) . frame(0, 'ta":"frag\n"}');
$c->write($msg);
my @aside;
ok(output($c, qr/frag\r\nfrag\r\n/, \@aside), 'in fragments');
is(hex_of(chr $aside[0][0]) . " $aside[0][1]", '8a ping!', 'with a ping between, which is answered');
$c->write(join '', map { frame(1, to_json({ type => 'input', data => $_ })) } 'h', 'i', "\n");
ok(output($c, qr/hi\r\nhi\r\n/), 'several in one packet');
$c->write($_), sleep 0.005 for split //, frame(1, to_json({ type => 'input', data => "slow\n" }));
ok(output($c, qr/slow\r\nslow\r\n/), 'byte by byte');

my @errors = (
	[frame(2, 'x'), 'binary input is not supported; use text JSON frames'],
	[frame(1, '{"type":"input"}'), 'invalid terminal frame: missing field `data`'],
	[frame(1, '{"type":"input","data":7}'), qr/^invalid terminal frame: /],
	[frame(1, '{"type":"nope"}'), qr/^invalid terminal frame: unknown variant `nope`, expected one of `input`, `resize`, `close`/],
	[frame(1, 'x'), qr/^invalid terminal frame: /], [frame(1, ''), qr/^invalid terminal frame: /],
	[frame(1, '[]'), qr/^invalid terminal frame: /], [frame(1, '{}'), qr/^invalid terminal frame: missing field `type`/],
	[frame(1, '{"type":"resize","cols":1}'), 'invalid terminal frame: missing field `rows`'],
	[frame(1, '{"type":"resize","cols":70000,"rows":1}'), qr/^invalid terminal frame: /],
	[frame(1, '{"type":"input","data":"a","encoding":"hex"}'), 'invalid request: encoding must be one of: base64, utf8, text'],
	[frame(1, '{"type":"input","data":"!","encoding":"base64"}'), qr/^invalid request: invalid base64 input: /],
	[frame(1, to_json({ type => 'input', data => 'x' x 65537 })), 'input payload exceeds maxInputBytesPerRequest (65536)'],
	[frame(1, '{"type":' . '[' x 100), qr/^invalid terminal frame: /],
);
for (@errors) {
	my ($bytes, $want) = @$_;
	$c->write($bytes);
	my $f = next_frame($c);
	my $got = from_json($f->[1]);
	is($got->{type}, 'error', 'an error for ' . substr($bytes, 6, 0) . (ref $want ? 'a bad frame' : $want));
	ref $want ? like($got->{message}, $want, 'why') : is($got->{message}, $want, 'why');
}
like($c->write(frame(2, 'x')) && next_frame($c)->[1], qr/\A\{"message":"binary input[^"]*","type":"error"\}\z/, 'the form of an error');
say_json($c, { type => 'input', data => "on\n" });
ok(output($c, qr/on\r\non\r\n/), 'errors leave the socket open');

# --- size, and several viewers ----------------------------------------------------

my $sh = create('sh');
my $one = attach($sh);
my $two = attach($sh);
say_json($one, { type => 'resize', cols => 132, rows => 43 });
say_json($one, { type => 'input', data => "stty size; echo do''ne\n" });
like(output($one, qr/done/) // '', qr/43 132\r\n/, 'resized by a frame');
like(output($two, qr/done/) // '', qr/43 132\r\n/, 'both viewers see it');
$d->http(POST => "$p/$sh/terminal/resize", json => { cols => 99, rows => 22 });
say_json($two, { type => 'input', data => "stty size; echo ov''er\n" });
like(output($one, qr/over/) // '', qr/22 99\r\n/, 'by the route, typed by the other');
sleep 0.3;	# the prompt
my $late = attach($sh);
is(next_frame($late, 0.3), undef, 'nothing is shown again');
say_json($one, { type => 'close' });
my @close;
output($one, qr/never/, \@close, 3);	# a prompt may come first
is_deeply([map { sprintf '%02x %s', @$_ } @close], ['88 '], 'close is answered without a status');
$one->write(frame(8, ''));
ok($one->closed(5), 'and the socket ends');
is(status($sh), 'running', 'the process does not');
output($two, qr/over/);
say_json($late, { type => 'input', data => "exit 4\n" });
my @end;
output($two, qr/never/, \@end, 3);
is_deeply([map { sprintf '%02x %s', @$_ } @end], ['81 {"exitCode":4,"type":"exit"}', '88 '], 'the end is told');
ok($two->closed(5), 'and the socket closed');
my $again = attach($sh);
is(next_frame($again)->[1], '{"exitCode":4,"type":"exit"}', 'attached after the end');
is(next_frame($again)->[0], 0x88, 'closed');
my $killed = attach(my $kid = create('sleep', '1000'));
$d->http(POST => "$p/$kid/kill");
is(next_frame($killed)->[1], '{"exitCode":null,"type":"exit"}', 'a killed one has no code');
my $fast = create('sh', '-c', 'read x; head -c 200000 /dev/zero | tr "\0" z; exit 6');
my $fc = attach($fast);
say_json($fc, { type => 'input', data => "\n" });
my ($n, $f) = (0);
while ($f = next_frame($fc)) { last if $f->[0] != 0x82; $n += $f->[1] =~ tr/z// }
is("$n $f->[1]", '200000 {"exitCode":6,"type":"exit"}', 'all output comes before the end');

# --- frames that are none ---------------------------------------------------------

my @bad = (
	['unmasked', frame(1, '{}', unmasked => 1), 1002], ['reserved bits', frame(1, '{}', rsv => 0x40), 1002],
	['an unknown opcode', frame(3, ''), 1002], ['a control frame in pieces', frame(9, 'x', more => 1), 1002],
	['a long ping', frame(9, 'x' x 126), 1002], ['a continuation of nothing', frame(0, 'x'), 1002],
	['a new message inside another', frame(1, 'a', more => 1) . frame(1, 'b'), 1002],
	['text that is no UTF-8', frame(1, "\xff\xfe"), 1007],
	['UTF-8 broken by a fragment\'s end', frame(1, "\xc3", more => 1) . frame(0, 'a'), 1007],
	['a message of more than 1 MiB', frame(1, 'x' x ((1 << 20) + 1)), 1009],
	['a length of 2**62', pack('CCQ>NC', 0x81, 0xff, 1 << 62, 0, 65), 1009],
	['a close with a bad status', frame(8, pack('n', 1005)), 1002],
);
for (@bad) {
	my ($name, $bytes, $code) = @$_;
	my $x = attach($id);
	$x->write($bytes);
	my $f = next_frame($x);
	is($f && $f->[0] == 0x88 ? unpack('n', $f->[1]) : 'none', $code, "$name: closed with $code");
	ok($x->closed(8), 'and ended');
}
my $x = attach($id);
$x->write(frame(8, pack('n', 1000) . 'bye'));
my $close = next_frame($x);
like(hex_of($close->[1]), qr/^03 e8/, 'a close is answered in kind');
ok($x->closed(5), 'and the socket ends');
$x = attach($id);
$x->write(frame(8, 'x'));
ok($x->closed(5), 'half a status closes it, too');
for my $cut (1, 3, 7) {
	$x = attach($id);
	$x->write(substr(frame(1, '{"type":"close"}'), 0, $cut));
	$x->close;
}
is(status($id), 'running', 'cut off in the middle of a frame: nothing happens');

# --- backpressure -------------------------------------------------------------------

my $flood = create('yes');
my $lazy = attach($flood);
my $busy = attach($flood);
$n = 0;
my $end = time + 1.5;
while (time < $end) { my $f = next_frame($busy) or last; $n += length $f->[1] }
cmp_ok($n, '>', 100_000, 'one viewer reads a flood beside one that does not');
my $pings = attach($id);
my $ok = $pings->write(frame(9, 'p' x 120) x 100_000, 2);
ok(!$ok, 'pings of who does not read are not read either');
my ($rss) = reverse sort { $a <=> $b } map { (slurp("/proc/$_/status") // '') =~ /VmRSS:\s+(\d+)/ ? $1 : () }
    grep { (slurp("/proc/$_/cmdline") // '') =~ /sandboxd-gateway/ } descendants($d->{pid});
cmp_ok($rss, '<', 40_000, 'and cost no memory') unless $ENV{SANDBOXD_SANITIZED};
$_->close for $lazy, $busy, $pings;
$d->http(POST => "$p/$flood/kill");
say_json($c, { type => 'input', data => "end\n" });
ok(output($c, qr/end\r\nend\r\n/), 'others never noticed');
my $deaf = create('sh', '-c', 'stty -echo raw; echo up; sleep 1000');
my $dc = attach($deaf);
sleep 0.3;
my $taken = 0;
$taken++ while $taken < 300 && $dc->write(frame(1, to_json({ type => 'input', data => 'x' x 60000 })), 1);
cmp_ok($taken, '<', 300, 'input that nobody reads stops at the client');
is(status($deaf), 'running', 'and ends nothing');
$dc->close;

# --- pages of other sites ---------------------------------------------------------------

$id = create('sleep', '1000');
for (['http://evil.example', 403], ['null', 403], ['http://127.0.0.1.evil.example', 403],
    ['http://localhost.evil.example:80', 403], ['file://', 403], ['http://x', 101], ['http://localhost:3000', 101],
    ['http://[::1]:3000', 101], ['http://127.0.0.1', 101]) {
	is((shake("$p/$id/terminal/ws", Origin => $_->[0]))[1]{status}, $_->[1],
	    "without a token: from a page of $_->[0]");
}

# --- the sandbox stops ------------------------------------------------------------------

my $last = attach(create('sleep', '1000'));
$d->ok('sandbox.stop', { id => 'default' });
is(next_frame($last)->[1], '{"exitCode":null,"type":"exit"}', 'viewers are told when the sandbox stops');
ok($last->closed(5), 'and closed');

# --- tokens -----------------------------------------------------------------------------

my $t = Sandboxd->start(http => 1, token => 'secret');
$id = $t->http(POST => $p, json => { command => 'cat', tty => JSON::PP::true })->{json}{id};
$d = $t;
is((shake("$p/$id/terminal/ws"))[1]{status}, 401, 'without a token');
is((shake("$p/$id/terminal/ws?access_token=wrong"))[1]{status}, 401, 'with a wrong one');
is((shake("$p/$id/terminal/ws", Upgrade => undef))[1]{status}, 401, 'the token comes first');
is((shake("$p/$id/terminal/ws?access_token=secret"))[1]{status}, 101, 'in the query');
is((shake("$p/$id/terminal/ws", Authorization => 'Bearer secret'))[1]{status}, 101, 'in a header');
is((shake("$p/$id/terminal/ws?access_token=secret", Origin => 'http://evil.example'))[1]{status}, 101,
    'with one from any page');
is($t->http(GET => "$p?access_token=secret", token => undef)->{status}, 401, 'other routes do not look there');

$t->stop;
done_testing();
