# A33: a tunnel to an allowed name is used for another: by TLS that asks for another name,
# by a Host field, by two lengths, by HTTP/2 without TLS. Each is closed before the server
# hears it; the same bytes reach it when they are sent past the proxy. (tests/t/202 has the
# long list.)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::World;
use Test::More;

my $w = Sandboxd::World->new(names => { 'good.example' => ['11.22.33.44'] });
my $d = Sandboxd->start(conf => $w->conf);
my $client = "$FindBin::Bin/../t/lib/raw-client.pl";
$d->ok('sandbox.create', { id => 'f', network => 'filtered', egress => { allow => ['good.example'] },
    mounts => [{ source => $client, target => '/opt/raw.pl' }] });

sub hello {
	my $sni = pack('n/a*', pack('Cn/a*', 0, $_[0]));
	my $body = pack('n', 0x303) . ('r' x 32) . "\0" . pack('n/a*', "\x13\x01") . "\1\0"
	    . pack('n/a*', pack('nn/a*', 0, $sni));
	return pack('Cnn/a*', 22, 0x301, "\1" . substr(pack('N', length $body), 1) . $body);
}
sub through {
	my ($port, $bytes) = @_;
	my $r = $d->exec('f', ['perl', '/opt/raw.pl', '61080', '2', unpack('H*',
	    "CONNECT good.example:$port HTTP/1.1\r\nHost: good.example:$port\r\n\r\n"),
	    unpack('H*', $bytes)]);
	return $r->{stdout} =~ /(\w+)$/ ? $1 : 'failed';
}
sub heard { return grep { / [0-9a-f]+$/ } $w->arrivals }

is(through(443, hello('good.example')), 'open', 'TLS for the name itself goes through');
ok(heard() == 1, 'and is heard');
for ([443, hello('evil.example'), 'TLS for another name'],
    [80, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 'another Host'],
    [80, "POST / HTTP/1.1\r\nHost: good.example\r\nContent-Length: 4\r\n"
	. "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 'two lengths'],
    [80, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 'HTTP/2 with prior knowledge'],
    [443, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 'the same on port 443']) {
	my ($port, $bytes, $why) = @$_;
	$w->forget;
	my $s = IO::Socket::INET->new(PeerAddr => "11.22.33.44:$port", Timeout => 10) or die "$!";
	syswrite($s, $bytes);
	ok(wait_for(10, sub { heard() > 0 }), "$why: past the proxy the server hears it");
	close($s);
	$w->forget;
	is(through($port, $bytes), 'closed', "$why: through it the connection is closed");
	ok(heard() == 0, 'and nothing is heard');
}
$w->forget;
my $r = $d->exec('f', ['perl', '/opt/raw.pl', '61080', '2', unpack('H*',
    "GET http://good.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n")]);
like(pack('H*', ($r->{stdout} =~ /^([0-9a-f]*)/)[0]), qr{^HTTP/1\.1 400 }, 'Host differs: 400');
ok(heard() == 0, 'and nothing is heard');

done_testing;
