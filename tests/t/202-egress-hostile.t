# What clients inside may send to the proxy: requests that two readers would understand
# in two ways, words for another server than the one that was allowed, nonsense. None of
# it reaches anybody, and the proxy goes on.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::World;
use Test::More;

my $w = Sandboxd::World->new(names => { 'a.example' => ['11.22.33.44'],
    'other.example' => ['11.22.33.44'] });
my $d = Sandboxd->start(conf => $w->conf("header_time = 2s\n"));
$d->ok('sandbox.create', { id => 'f', network => 'filtered', egress => {
	allow => ['a.example', '11.22.33.45'], deny => ['denied.example'] },
	mounts => [{ source => "$FindBin::Bin/lib/raw-client.pl", target => '/opt/raw.pl' }] });

# What comes back, and 'closed' or 'open'.
sub raw {
	my ($wait, @parts) = @_;
	my $r = $d->exec('f', ['perl', '/opt/raw.pl', '61080', "$wait", map { unpack('H*', $_) } @parts]);
	my ($hex, $how) = $r->{stdout} =~ /^([0-9a-f]*) (\w+)$/
	    or return ("?" . to_json($r), "failed");
	return (pack('H*', $hex), $how);
}
sub status { my ($text) = raw(@_); return $text =~ m{^HTTP/1\.1 (\d+)} ? $1 : "none: $text" }

my $ok = "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n";
is(status(5, $ok), 200, 'a good request, to begin with');
ok((() = $w->arrivals) == 1, 'arrives');
$w->forget;

# --- requests ------------------------------------------------------------------------
my $url = 'http://a.example/';
for (
    ["GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", 'a path alone'],
    ["GET https://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", 'https without a tunnel'],
    ["GET ftp://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", 'ftp'],
    ["GET http://u:p\@a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", 'a user'],
    ["GET $url#x HTTP/1.1\r\nHost: a.example\r\n\r\n", 'a fragment'],
    ["GET $url HTTP/1.1\r\nHost: other.example\r\n\r\n", 'another Host'],
    ["GET $url HTTP/1.1\r\nHost: a.example:81\r\n\r\n", 'another port in Host'],
    ["GET $url HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n", 'two Hosts'],
    ["GET $url HTTP/1.1\r\nHost : a.example\r\n\r\n", 'a blank before the colon'],
    ["GET $url HTTP/1.1\r\n Host: a.example\r\n\r\n", 'a folded first field'],
    ["GET $url HTTP/1.1\r\nHost: a.example\r\nX: y\r\n z\r\n\r\n", 'a folded field'],
    ["GET $url HTTP/1.1\r\nHost: a.example\r\nX\r\n\r\n", 'no colon'],
    ["GET $url HTTP/1.1\r\nHost: a.example\r\nX: \0\r\n\r\n", 'a zero byte'],
    ["GET $url HTTP/1.1\r\nHost: a.example\r\nX: a\rb\r\n\r\n", 'a bare CR'],
    ["GET $url HTTP/1.1\nHost: a.example\n\n", 'bare LF'],
    ["GET $url HTTP/1.1\r\nHost: a.example\r\nX: y\n\r\n\r\n", 'one bare LF'],
    ["\r\nGET $url HTTP/1.1\r\nHost: a.example\r\n\r\n", 'an empty line before'],
    ["GET  $url HTTP/1.1\r\nHost: a.example\r\n\r\n", 'two blanks'],
    ["GET $url  HTTP/1.1\r\nHost: a.example\r\n\r\n", 'two other blanks'],
    ["GET $url HTTP/2.0\r\nHost: a.example\r\n\r\n", 'version 2'],
    ["GET $url HTTP/1.2\r\nHost: a.example\r\n\r\n", 'version 1.2'],
    ["GET $url\r\n\r\n", 'no version'],
    ["G\@T $url HTTP/1.1\r\nHost: a.example\r\n\r\n", 'a bad method'],
    ["POST $url HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	'two kinds of length'],
    ["POST $url HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
	'two lengths'],
    ["POST $url HTTP/1.1\r\nHost: a.example\r\nContent-Length: 1, 1\r\n\r\nx", 'a list of lengths'],
    ["POST $url HTTP/1.1\r\nHost: a.example\r\nContent-Length: +1\r\n\r\nx", 'a sign'],
    ["POST $url HTTP/1.1\r\nHost: a.example\r\nContent-Length: -1\r\n\r\nx", 'a negative length'],
    ["POST $url HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0x1\r\n\r\nx", 'a hexadecimal length'],
    ["POST $url HTTP/1.1\r\nHost: a.example\r\nContent-Length: 99999999999999999999\r\n\r\nx", 'a huge one'],
    ["POST $url HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 'gzip'],
    ["POST $url HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: xchunked\r\n\r\n", 'xchunked'],
    ["POST $url HTTP/1.0\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 'chunks in 1.0'],
    ["CONNECT a.example HTTP/1.1\r\n\r\n", 'CONNECT without a port'],
    ["CONNECT a.example:0 HTTP/1.1\r\n\r\n", 'CONNECT to port 0'],
    ["CONNECT http://a.example:80/ HTTP/1.1\r\n\r\n", 'CONNECT to a URL'],
    ["CONNECT a.example:80 HTTP/1.1\r\nHost: other.example:80\r\n\r\n", 'CONNECT with another Host'],
    ["CONNECT a.example:80 HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde", 'CONNECT with a body'],
    ["CONNECT a.example\0.evil:80 HTTP/1.1\r\n\r\n", 'a zero byte in a name'],
    ["CONNECT a.example%2eevil:80 HTTP/1.1\r\n\r\n", 'an escape in a name'],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 'HTTP/2'],
    ["\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 'TLS to the proxy'],
    ["\x04\x01\x00\x50\x0b\x16\x21\x2c\x00\r\n\r\n", 'SOCKS 4'],
    ) {
	my ($bytes, $why) = @$_;
	is(status(5, $bytes), 400, "refused: $why");
}
is(status(5, "GET $url HTTP/1.1\r\nHost: a.example\r\n" . ("X: y\r\n" x 200) . "\r\n"), 400,
    'refused: too many fields');
is(status(5, "GET $url HTTP/1.1\r\nHost: a.example\r\nX: " . ('y' x 40000) . "\r\n\r\n"), 431,
    'refused: too long');
is_deeply([$w->arrivals], [], 'none of them reached anybody');

my ($text, $how) = raw(8, "GET $url HTTP/1.1\r\n");
like($text, qr{^HTTP/1\.1 408 }, 'half a request is waited for, and not for ever');

# --- bodies --------------------------------------------------------------------------
for (["5;ext=1\r\nhello\r\n0\r\n\r\n", 'an extension'], ["5\nhello\n0\n\n", 'bare LF'],
    ["5\r\nhello0\r\n\r\n", 'no line end'], ["-5\r\n", 'a sign'], ["fffffffffffffffff\r\n", 'a huge one'],
    ["0\r\nX: y\r\n\r\n", 'a trailer']) {
	($text, $how) = raw(5, "POST $url HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n$_->[0]");
	is("$text$how", 'closed', "a chunk with $_->[1]: closed");
}
$w->forget;
($text) = raw(5, "POST $url HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nhi"
    . "GET http://a.example/second HTTP/1.1\r\nHost: a.example\r\n\r\n");
is(() = $text =~ m{HTTP/1\.1 200}g, 1, 'what follows a request is not served');
unlike(join('', map { pack('H*', (split)[2]) } $w->arrivals), qr/second/, 'and reaches nobody');

# --- in tunnels ----------------------------------------------------------------------
sub hello {	# a beginning of TLS for NAME, in records of at most SIZE bytes
	my ($name, $size) = @_;
	my $sni = defined $name ? pack('n/a*', pack('Cn/a*', 0, $name)) : undef;
	my $exts = pack('nn/a*', 0xff01, "\0") . (defined $sni ? pack('nn/a*', 0, $sni) : '');
	my $body = pack('n', 0x303) . ('r' x 32) . "\0" . pack('n/a*', "\x13\x01") . "\1\0"
	    . pack('n/a*', $exts);
	my $msg = "\1" . substr(pack('N', length $body), 1) . $body;
	my $out = '';
	while (length $msg) {
		$out .= pack('Cnn/a*', 22, 0x301, substr($msg, 0, $size // 16000, ''));
	}
	return $out;
}
my $c443 = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n";
my $established = "HTTP/1.1 200 Connection established\r\n\r\n";

($text, $how) = raw(3, $c443, hello('a.example'));
is($text, $established . hello('a.example'), 'TLS for the name of the tunnel');
($text) = raw(3, $c443, hello('A.Example', 5));
is($text, $established . hello('A.Example', 5), 'also in many records');
($text) = raw(3, $c443, hello(undef));
is($text, $established . hello(undef), 'and without a name');
($text) = raw(3, $c443, "\x00\x01binary\n");
is($text, "$established\x00\x01binary\n", 'and what is neither TLS nor HTTP');
($text) = raw(3, 'CONNECT 11.22.33.45:443 HTTP/1.1' . "\r\n\r\n", hello('any.example'));
is($text, $established . hello('any.example'), 'to an address any name');
$w->forget;
for (
    [hello('other.example'), 'TLS for another name'],
    [hello('other.example', 1), 'the same in small records'],
    [hello('a.example.'), 'no', 1],
    [hello('a.example.evil'), 'a longer name'],
    [hello("a.example\0.evil"), 'a zero byte in it'],
    [hello(''), 'an empty name'],
    ["\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", 'TLS that begins otherwise'],
    ["\x16\x03\x01\x00\x00" x 3, 'empty records'],
    ["GET / HTTP/1.1\r\nHost: other.example\r\n\r\n", 'HTTP for another host'],
    ["GET http://other.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", 'an absolute one'],
    ["GET / HTTP/1.1\r\n\r\n", 'HTTP for none'],
    ["\r\nGET / HTTP/1.1\r\nHost: other.example\r\n\r\n", 'the same after an empty line'],
    ["GET / HTTP/1.1 \r\nHost: other.example\r\n\r\n", 'with a blank at its end'],
    ["GET / http/1.1\r\nHost: other.example\r\n\r\n", 'in small letters'],
    ["GET\t/\tHTTP/1.1\r\nHost: other.example\r\n\r\n", 'with tabs'],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 'HTTP/2'],
    ["POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
	'two lengths'],
    ["CONNECT other.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", 'a tunnel in a tunnel'],
    ) {
	my ($bytes, $why, $fine) = @$_;
	next if $fine;
	($text, $how) = raw(4, $c443, $bytes);
	is("$text$how", "${established}closed", "in a tunnel: $why");
}
($text, $how) = raw(6, $c443, substr(hello('a.example'), 0, 20));
is("$text$how", "${established}closed", 'half a beginning is not waited for for ever');
($text) = raw(4, 'CONNECT 11.22.33.45:443 HTTP/1.1' . "\r\n\r\n", hello('denied.example'));
is($text, $established, 'by an address to a name that is denied');
my @reached = grep { !/ end$/ } $w->arrivals;
is_deeply(\@reached, [], 'nobody has heard a word of these');

# --- plain HTTP in a tunnel ------------------------------------------------------------
$w->forget;
my $c80 = "CONNECT a.example:80 HTTP/1.1\r\n\r\n";
($text) = raw(5, $c80, "GET /x HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive\r\n\r\n"
    . "GET /y HTTP/1.1\r\nHost: other.example\r\n\r\n");
is(() = $text =~ m{"port":80}g, 1, 'the first request is answered, a second is not');
unlike(join('', map { pack('H*', (split)[2]) } $w->arrivals), qr/other/, 'nor heard');

# --- SOCKS ---------------------------------------------------------------------------
my $auth = "\5\1\0";
sub socks { my ($cmd, $type, $addr, $port) = @_;
    return "\5" . chr($cmd) . "\0" . chr($type) . $addr . pack('n', $port) }
my $name = sub { chr(length $_[0]) . $_[0] };
($text) = raw(3, $auth, socks(1, 3, $name->('a.example'), 80));
is(unpack('H*', $text), '050005000001000000000000', 'a name');
($text) = raw(3, $auth, socks(1, 1, "\x0b\x16\x21\x2d", 80));
is(unpack('H*', $text), '050005000001000000000000', 'an address');
for ([socks(2, 3, $name->('a.example'), 80), '07', 'BIND'],
    [socks(3, 3, $name->('a.example'), 80), '07', 'UDP ASSOCIATE'],
    [socks(1, 9, 'xxxxx', 80), '08', 'a kind of address'],
    [socks(1, 3, $name->('b.example'), 80), '02', 'a name that no rule allows'],
    [socks(1, 3, $name->('127.0.0.1'), 80), '02', 'the loopback as a name'],
    [socks(1, 1, "\x7f\0\0\1", 80), '02', 'the loopback'],
    [socks(1, 4, ("\0" x 10) . "\xff\xff\x7f\0\0\1", 80), '02', 'the loopback as IPv6'],
    [socks(1, 3, $name->("a.example\0"), 80), '01', 'a zero byte'],
    [socks(1, 3, "\0", 80), '01', 'no name'],
    [socks(1, 3, $name->('a.example'), 0), '01', 'port 0'],
    ["\5\1\1\3" . $name->('a.example') . "\0\x50", '01', 'a byte that must be zero']) {
	my ($bytes, $reply, $why) = @$_;
	($text, $how) = raw(4, $auth, $bytes);
	is(unpack('H*', $text) . $how, "050005${reply}000100000000000" . '0closed', "SOCKS: $why");
}
($text, $how) = raw(4, "\5\1\2");
is(unpack('H*', $text) . $how, '05ffclosed', 'SOCKS with a password alone');

# --- and it is well ------------------------------------------------------------------
is(status(5, $ok), 200, 'the proxy is well');
my $n;
wait_for(20, sub {
	$n = grep { $_->{event} eq 'egress' && $_->{decision} eq 'deny' }
	    @{$d->ok('sandbox.events', { id => 'f' })->{events}};
	return $n > 30;
});
cmp_ok($n, '>', 30, 'and all that is in the log');
is((grep { (Sandboxd::title_of($_) // '') =~ /egress/ } $d->children) + 0, 1, 'one proxy');
is(() = (slurp($d->{log}) =~ /egress.*(?:died|lost|signal)/g), 0, 'that never died');

done_testing;
