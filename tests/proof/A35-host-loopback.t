# A35: services on the host's loopback, our own HTTP among them, are not reached from
# inside: not directly, not through the proxy, not by the host's other addresses. With the
# host's network they are.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::World;
use Test::More;

need_program('curl');
my $w = Sandboxd::World->new(names => { 'host.example' => ['127.0.0.1'],
    'self.example' => ['11.22.33.1'] });
my $d = Sandboxd->start(conf => $w->conf, http => 1, token => 'secret', listen => ['0.0.0.0:0']);
my ($port) = $d->http_address =~ /:(\d+)$/;
for my $box (qw(none filtered host)) {
	$d->ok('sandbox.create', { id => $box, network => $box,
	    ($box eq 'filtered' ? (egress => { default => 'allow', allow => ['*'] }) : ()) });
}
sub code { my ($box, $url, $how) = @_;
    return $d->sh($box, "curl -gsS $how -m 10 -o /dev/null -w '%{http_code}' $url 2>/dev/null")->{stdout} }

my @hosts = ('127.0.0.1', '127.9.9.9', '11.22.33.1');
for my $host (@hosts) {
	my $url = "http://$host:$port/v1/health";
	like(code('host', $url, "--noproxy '*'"), qr/^[24]/, "host: $host answers");
	for my $box (qw(none filtered)) {
		is(code($box, $url, "--noproxy '*'"), '000', "$box: $host does not");
	}
	is(code('filtered', $url, "--noproxy ''"), 403, "nor through the proxy: $host");
	is(code('filtered', $url, "--noproxy '' --proxy socks5h://127.0.0.1:61080"), '000',
	    'nor by SOCKS');
}
for my $name (qw(host.example self.example)) {
	is(code('filtered', "http://$name:$port/v1/health", ''), 403, "nor by a name: $name");
}

done_testing;
