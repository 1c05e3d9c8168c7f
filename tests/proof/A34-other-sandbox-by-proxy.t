# A34: paths, hosts and ports that should lead from one sandbox's address to
# another's server. Whatever is asked below A is answered by A or by us.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
my $d = Sandboxd->start(http => 1, token => 'sesame');
my %word = (A => 'server-of-A', B => 'server-of-B');
for my $box (qw(A B)) {
	$d->ok('sandbox.create', { id => lc $box });
	for my $port ($box eq 'A' ? (8080) : (8080, 9090)) {
		my $got = $d->sh(lc $box, "cat >/tmp/s.pl; setsid perl /tmp/s.pl $port >/tmp/o.$port 2>&1 </dev/null & "
		    . "for i in \$(seq 200); do grep -q ready /tmp/o.$port && exit 0; sleep 0.05; done; exit 1",
		    stdin => <<"E");
use IO::Socket::INET; \$| = 1; \$SIG{CHLD} = 'IGNORE';
my \$l = IO::Socket::INET->new(Listen => 50, LocalAddr => '127.0.0.1', LocalPort => \$ARGV[0], ReuseAddr => 1) or die;
print "ready\\n";
while (my \$c = \$l->accept) { my \$h = ''; while (<\$c>) { last if /^\\r?\\n/ }
	print \$c "HTTP/1.1 200 OK\\r\\nContent-Length: 11\\r\\nConnection: close\\r\\n\\r\\n$word{$box}"; close(\$c) }
E
		is($got->{exit_code}, 0, "$box serves on $port");
	}
}
# They are reached each by its own address: the road is open where it is meant.
is($d->http(GET => '/i/a/port/8080/')->{body}, $word{A}, 'A is reached by its address');
is($d->http(GET => '/i/b/port/8080/')->{body}, $word{B}, 'B by its own');
is($d->http(GET => '/i/b/port/9090/')->{body}, $word{B}, 'and on its other port');
my $at = $d->http_address(qr/^[^u]/);
my ($host, $tcp) = $at =~ /^(.*):(\d+)$/;
my @targets = (
    '/i/a/port/8080/../../../b/port/8080/', '/i/a/port/8080/%2e%2e/%2e%2e/%2e%2e/b/port/8080/',
    '/i/a/port/8080/..%2f..%2f..%2fb/port/8080/', '/i/a/port/8080%2f..%2f..%2fb%2fport%2f8080/',
    '/i/a%2f..%2fb/port/8080/', '/i/a/../b/port/8080/', '/i/a/port/../../b/port/8080/', '/i/a//b/port/8080/',
    '/i/a/port/9090/', '/i/a/port/8080@b/', '/i/a/port/8080;b/port/8080', "/i/a/port/8080/\\..\\..\\b",
    '/i/a/port/8080/%00/../b', '/i/a/port/08080/', '/i/a/port/8080:9090/', '/i/a/port/127.0.0.1:9090/',
    "http://$at/i/a/port/9090/", 'http://b/i/a/port/8080/', 'http://127.0.0.1:9090/', '//b/port/8080/',
    '/i/a/port/0/', '/i/a/port/-1/', '/i/a/port/65536/', '/i/a/port/8080%00/', '/i/a%00b/port/8080/', '/i/a?/../b/port/8080');
my @hosts = ($at, 'b', 'b:8080', '127.0.0.1:9090', "a.b", "$host:9090", 'localhost:9090');
my (@wrong, %codes);
for my $target (@targets) {
	for my $h (@hosts) {
		my $c = $d->http_client;
		$c->write("GET $target HTTP/1.1\r\nHost: $h\r\nAuthorization: Bearer sesame\r\n"
		    . "X-Forwarded-Host: b\r\nX-Original-URL: /i/b/port/8080/\r\nConnection: close\r\n\r\n");
		my $r = $c->response('GET', 10);
		$codes{$r->{status} // 'closed'}++;
		push @wrong, "$target with Host $h" if ($r->{body} // '') =~ /server-of-B/;
		$c->close;
	}
}
is(join("\n", @wrong), '', 'no request below A is answered by B');
diag('answers: ' . join ' ', map { "$_: $codes{$_}" } sort keys %codes);
done_testing;
