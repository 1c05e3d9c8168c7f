# WebSocket and other upgrades through the proxy: the handshake passes, then bytes
# go both ways until both sides have closed.
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

my $d = Sandboxd->start(http => 1, token => 'sesame',
    conf => "[gateway]\nprocesses = 1\nproxy_time = 2s\ntunnel_time = 3s\n");
$d->ok('sandbox.create', { id => 'box' });
ok(Sandboxd::Backend::start($d, 'box', 8080), 'a server listens inside');
my $at = '/i/box/port/8080';
my ($gateway) = $d->children(qr/gateway/);

sub upgrade {
	my (%o) = @_;
	my $c = $d->http_client;
	$c->write(join("\r\n", ($o{method} // 'GET') . " $at/" . ($o{path} // 'ws') . " HTTP/1.1",
	    'Host: x', $o{plain} ? () : ('Authorization: Bearer sesame'),
	    'Upgrade: ' . ($o{to} // 'websocket'),
	    'Connection: ' . ($o{connection} // 'keep-alive, Upgrade'),
	    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
	    'Sec-WebSocket-Version: 13', @{$o{headers} // []}, '', $o{early} // ''));
	return ($c, $c->head);
}

my ($c, $r) = upgrade();
is($r->{status}, 101, 'a WebSocket handshake');
is(lc $r->{headers}{upgrade}, 'websocket', 'Upgrade');
like($r->{headers}{connection}, qr/upgrade/i, 'Connection');
is($r->{headers}{'x-key'}, 'dGhlIHNhbXBsZSBub25jZQ==', 'the key has passed');
is($c->take(qr/hello\n/), "hello\n", 'what came right behind the handshake');
$c->write("one\0two\xff\n");
is($c->take(qr/one.*\n/), "one\0two\xff\n", 'bytes there and back');
my $big = join('', map { pack('N', $_) } 1 .. 500_000);
my $pid = fork;
if ($pid == 0) { $c->write($big, 30); POSIX::_exit(0) }
is($c->bytes(length $big, 30), $big, 'two megabytes, both ways at once');
waitpid($pid, 0);
$c->half_close;
is($c->take(qr/bye\n/), "bye\n", 'after our half is closed the server still speaks');
ok($c->closed(5), 'then all is closed');

($c, $r) = upgrade(to => 'echo/1', early => "early\n");
is($r->{headers}{upgrade}, 'echo/1', 'any protocol');
is($c->take(qr/hello\nearly\n/), "hello\nearly\n", 'and bytes that come with the request');
$c->close;
($c, $r) = upgrade(plain => 1, path => 'ws?access_token=sesame');
is($r->{status}, 101, 'with the token in the query, as browsers do');
$c->close;
is((upgrade(plain => 1))[1]{status}, 401, 'without a token');

# What is no upgrade.
($c, $r) = upgrade(connection => 'keep-alive', path => 'echo');
is($r->{status}, 200, 'Upgrade without Connection');
unlike($c->bytes(200), qr/"Upgrade"/i, 'does not reach the server');
($c, $r) = upgrade(method => 'POST', path => 'echo',
    headers => ['Content-Length: 3'], early => 'abc');
is($r->{status}, 200, 'one with a body is a plain request');
($c, $r) = upgrade(path => 'raw?' . unpack('H*',
    "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"), to => 'x');
is($r->{status}, 403, 'a server that refuses');
is($c->bytes(2), 'no', 'with its words');
($c, $r) = upgrade(path => 'raw?' . unpack('H*', "HTTP/1.1 101 Go\r\n\r\n"));
is($r->{status}, 502, 'a 101 that does not say to what');
$c->close;

# Idle ones end.
($c, $r) = upgrade();
my $began = time;
ok($c->closed(10), 'a connection on which nobody speaks ends');
my $took = time - $began;
ok($took > 2.5 && $took < 6 * slow_factor(), 'when its time is over');

# Both sides may vanish.
for (1 .. 20) {
	my ($one) = upgrade();
	$one->write('x' x 100_000) if $_ % 2;
	$one->close;
}
my @open = map { (upgrade())[0] } 1 .. 20;
$d->ok('sandbox.stop', { id => 'box', grace_ms => 100 });
is(scalar(grep { $_->closed(10) } @open), 20, 'those of a sandbox that stops end');
ok(wait_for(10, sub {
	opendir(my $dh, "/proc/$gateway/fd") or return 0;
	return grep({ /^\d/ } readdir $dh) < 30;
}), 'and leave no descriptor behind');
is(($d->children(qr/gateway/))[0], $gateway, 'the gateway is the one that it was');

# Open ones do not hold up the end.
$d->ok('sandbox.start', { id => 'box' });
ok(Sandboxd::Backend::start($d, 'box', 8080), 'the server again');
($c, $r) = upgrade();
is($r->{status}, 101, 'a last connection');
ok($d->stop('TERM', 15), 'the end');
ok($c->closed(5), 'of that, too');
is_deeply([$d->leftovers], [], 'nothing is left');
done_testing;
