# Limits of the proxy: many connections, slow and silent clients, those that leave. One
# sandbox's do not stop another's, and what waits is bounded.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::World;
use Test::More;

need_program('curl');
my $w = Sandboxd::World->new(names => { 'a.example' => ['11.22.33.44'] });
my $d = Sandboxd->start(conf => $w->conf("max_per_sandbox = 8\nidle_time = 3s\nheader_time = 2s\n"));
for my $id (qw(f g)) {
	$d->ok('sandbox.create', { id => $id, network => 'filtered', egress => {
	    allow => ['a.example'] } });
}
sub proxy { return (grep { Sandboxd::title_of($_) =~ /egress/ } $d->children)[0] }
sub fds { opendir(my $h, "/proc/$_[0]/fd") or return 0; return scalar(grep { /\d/ } readdir $h) }
sub rss { return (slurp("/proc/$_[0]/status") // '') =~ /^VmRSS:\s+(\d+)/m ? $1 : 0 }
sub code { my ($id) = @_; return $d->sh($id, 'curl -sS -m 30 -o /dev/null -w "%{http_code}" '
    . 'http://a.example/')->{stdout} }

is(code('f'), 200, 'served') for 1;
is(code('g'), 200, 'both');
my $proxy = proxy();
my ($fds, $rss) = (fds($proxy), rss($proxy));

# More at once than there are places: all are served, one after the other.
my $got = $d->sh('f', 'for i in $(seq 40); do curl -sS -m 50 -o /dev/null -w "%{http_code}\n" '
    . 'http://a.example/ & done; wait')->{stdout};
is(() = $got =~ /^200$/mg, 40, 'forty at once with eight places');

# A silent crowd takes every place; the other sandbox has its own.
my $c = $d->client;
$c->send('sandbox.exec', { id => 'f', timeout_ms => 60000, command => ['perl', '-e',
    'use Socket; my @s; for (1 .. 30) { socket(my $s, PF_INET, SOCK_STREAM, 0); '
    . 'connect($s, sockaddr_in(61080, inet_aton("127.0.0.1"))); push @s, $s } '
    . '$| = 1; print "there\n"; sleep 50'] });
is(($c->json // {})->{item}{data}, "there\n", 'thirty connections that say nothing');
is(code('g'), 200, 'another sandbox is served');
is(code('f'), 200, 'their own one too, once they have had their time');
$c->close;

# One that does not read: what waits for it is bounded, and it ends.
$got = $d->sh('f', 'perl -e \'use Socket; my @s; for (1 .. 8) { socket(my $s, PF_INET, '
    . 'SOCK_STREAM, 0); setsockopt($s, SOL_SOCKET, SO_RCVBUF, 4096); '
    . 'connect($s, sockaddr_in(61080, inet_aton("127.0.0.1"))); syswrite($s, '
    . '"GET http://a.example/stream HTTP/1.1\r\nHost: a.example\r\n\r\n"); push @s, $s } '
    . 'sleep 2; print "read"\'')->{stdout};
is($got, 'read', 'eight that ask for 26 MB each and do not read');
ok(rss($proxy) - $rss < 6000, 'take less than 6 MB') or diag(rss($proxy) . " was $rss");

# Those that leave in the middle.
$d->sh('f', 'for i in $(seq 20); do curl -sS -o /dev/null http://a.example/stream & '
    . 'p=$!; sleep 0.02; kill -9 $p; done; wait 2>/dev/null');
ok(wait_for(20, sub { fds($proxy) <= $fds }), 'no descriptor is left of any')
    or diag(fds($proxy) . " were $fds");
is(proxy(), $proxy, 'all by one process');
is(code('f'), 200, 'that serves on');

# Sandboxes that end while their connections stand.
$c = $d->client;
$c->send('sandbox.exec', { id => 'f', timeout_ms => 60000, command => ['sh', '-c',
    'echo there; curl -sS -o /dev/null --limit-rate 1k http://a.example/stream'] });
$c->json;
$d->ok('sandbox.destroy', { id => 'f' });
ok(wait_for(20, sub { fds($proxy) < $fds }), 'a destroyed sandbox leaves nothing there');
$c->close;
is(code('g'), 200, 'the other goes on');

done_testing;
