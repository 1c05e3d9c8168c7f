# A32: whoever ignores the proxy's variables has no other way out: TCP, UDP, ICMP, raw
# sockets, packet sockets, vsock, SCTP. The same program outside gets out by those that
# the kernel has.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::World;
use Test::More;

my $w = Sandboxd::World->new(names => {});
my $d = Sandboxd->start(conf => $w->conf);
my $program = <<'PERL';
use strict; use Socket; use Errno;
sub try { my ($what, $code) = @_; my $r = eval { $code->() }; print "$what ",
    $r ? 'out' : ($!{EAFNOSUPPORT} || $!{EPROTONOSUPPORT} || $!{ESOCKTNOSUPPORT}) ? 'absent' : "no $!", "\n" }
my $to = inet_aton('11.22.33.44');
sub opened { socket(my $s, $_[0], $_[1], $_[2]) or return; return $s }
try('tcp', sub { my $s = opened(PF_INET, SOCK_STREAM, 0) or return;
    local $SIG{ALRM} = sub { die }; alarm(5); connect($s, sockaddr_in(80, $to)) });
try('udp', sub { my $s = opened(PF_INET, SOCK_DGRAM, 0) or return;
    send($s, 'x', 0, sockaddr_in(53, $to)) });
try('ping', sub { my $s = opened(PF_INET, SOCK_DGRAM, 1) or return;
    send($s, pack('CCnnn', 8, 0, 0, 1, 1), 0, sockaddr_in(0, $to)) });
try('raw', sub { my $s = opened(PF_INET, SOCK_RAW, 1) or return;
    send($s, pack('CCnnn', 8, 0, 0xf7fd, 1, 1), 0, sockaddr_in(0, $to)) });
try('packet', sub { my $s = opened(17, SOCK_RAW, 0x0300) or return; 1 });
try('vsock', sub { my $s = opened(40, SOCK_STREAM, 0) or return;
    connect($s, pack('SSLLx4', 40, 0, 80, 2)) });
try('sctp', sub { my $s = opened(PF_INET, SOCK_STREAM, 132) or return;
    local $SIG{ALRM} = sub { die }; alarm(5); connect($s, sockaddr_in(80, $to)) });
try('tcp6', sub { my $s = opened(PF_INET6, SOCK_STREAM, 0) or return;
    connect($s, sockaddr_in6(80, inet_pton(AF_INET6, '2001:db8::1'))) });
try('netlink', sub { my $s = opened(16, SOCK_RAW, 0) or return;
    # a new link, which would be a way
    send($s, pack('LSSLL CxSlLL', 32, 16, 0x605, 1, 0, 0, 0, 0, 0, 0), 0, pack('SSLL', 16, 0, 0, 0));
    recv($s, my $a, 4096, 0); my $e = unpack('l', substr($a, 16, 4)); $! = -$e; $e == 0 });
PERL
my $dir = Sandboxd->scratch_dir;
spew("$dir/ways.pl", $program);
chmod(0755, $dir);
sub ways { my %h = map { /^(\w+) (.*)$/ ? ($1 => $2) : () } split /\n/, $_[0]; return \%h }
my $outside = ways(run_cmd(['perl', "$dir/ways.pl"])->{out});
is($outside->{$_}, 'out', "outside: $_ gets out") for qw(tcp udp raw packet);
ok($w->arrivals || wait_for(10, sub { () = $w->arrivals }), 'and arrives');
$w->forget;

$d->ok('sandbox.create', { id => $_, network => $_,
    mounts => [{ source => "$dir/ways.pl", target => '/opt/ways.pl' }] }) for qw(filtered none);
$d->ok('sandbox.update', { id => 'filtered', egress => { default => 'allow' } });
my $unset = 'unset HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy all_proxy '
    . 'no_proxy; exec perl /opt/ways.pl';
for my $box (qw(filtered none)) {
	for (Sandboxd::both_users()) {
		my ($who, $as) = @$_;
		my $inside = ways($d->exec($box, ['sh', '-c', $unset], %$as)->{stdout});
		for my $way (sort keys %$outside) {
			ok(($inside->{$way} // 'not tried') =~ /^(?:no|absent)/,
			    "$box, $who: no way by $way") or diag($inside->{$way} // '');
		}
	}
}
is_deeply([$w->arrivals, $w->queries], [], 'nothing has arrived');
is($d->sh('filtered', 'ls /sys/class/net')->{stdout}, "lo\n", 'loopback is all there is');

done_testing;
