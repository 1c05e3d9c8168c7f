# Network none and host.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;

# A server on the host's loopback that answers with a word.
my $server = IO::Socket::INET->new(Listen => 8, LocalAddr => '127.0.0.1',
    ReuseAddr => 1) or die "listen: $!";
my $port = $server->sockport;
my $child = fork // die "fork: $!";
if ($child == 0) {
	while (my $c = $server->accept) {
		print $c "hello from the host\n";
		close($c);
	}
	POSIX::_exit(0);
}
close($server);

my $dial = "perl -MIO::Socket::INET -e 'my \$s = IO::Socket::INET->new("
    . "PeerAddr => \"127.0.0.1:$port\", Timeout => 3) or die \"no: \$!\"; print <\$s>'";

$d->ok('sandbox.create', { id => 'none' });
$d->ok('sandbox.create', { id => 'host', network => 'host' });

my $r = $d->sh('none', $dial);
unlike($r->{stdout}, qr/hello/, 'none: the host\'s loopback is not there');
is($d->sh('none', 'ls /sys/class/net')->{stdout}, "lo\n",
    'none: loopback is all there is');
like($d->sh('none', 'cat /sys/class/net/lo/operstate /sys/class/net/lo/flags')
    ->{stdout}, qr/0x9\b/, 'none: and it is up');
is($d->sh('none', "perl -MIO::Socket::INET -e '"
    . 'my $l = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die; '
    . 'my $c = IO::Socket::INET->new(PeerAddr => "127.0.0.1:" . $l->sockport) or die; '
    . "print \"ok\"'")->{stdout}, 'ok', 'none: loopback carries');
is($d->sh('none', 'cat /proc/net/route | wc -l')->{stdout}, "1\n",
    'none: no route');
ok(!$d->ok('sandbox.get', { id => 'none' })->{isolation}{net} == 0,
    'none: the record says that net holds');

is($d->sh('host', $dial)->{stdout}, "hello from the host\n",
    'host: the host\'s loopback is there');
is($d->ok('sandbox.get', { id => 'host' })->{network}, 'host', 'host: said');
ok(!$d->ok('sandbox.get', { id => 'host' })->{isolation}{net},
    'host: the record says that net does not hold');

# Two sandboxes without network do not meet.
$d->ok('sandbox.create', { id => 'none2' });
my $c = $d->client;
my $id = $c->send('sandbox.exec', { id => 'none2', timeout_ms => 20000, command =>
    ['perl', '-MIO::Socket::INET', '-e', '$| = 1; my $l = IO::Socket::INET->new('
    . 'Listen => 1, LocalAddr => "127.0.0.1", LocalPort => 5555) or die; '
    . 'print "up\n"; $l->accept; print "met\n"'] });
is(($c->json // {})->{item}{data}, "up\n", 'a listener in one sandbox');
$r = $d->sh('none', "perl -MIO::Socket::INET -e 'IO::Socket::INET->new("
    . "PeerAddr => \"127.0.0.1:5555\", Timeout => 2) and print \"met\"'");
is($r->{stdout}, '', 'is not there in the other');
$c->close;

kill('KILL', $child);
waitpid($child, 0);
done_testing;
