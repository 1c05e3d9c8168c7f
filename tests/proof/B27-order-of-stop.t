# B27: stop in reverse order: gateways, sessions and inits, relay, store last.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time);

need_root();
my $d = Sandboxd->start(http => 1, args => ['--log-level', 'debug'],
    conf => "[sandbox]\nstop_grace = 1s\n");
for my $id ('a', 'b') {
	$d->ok('sandbox.create', { id => $id });
	$d->ok('session.create', { id => "s$id", agent => 'mock', sandbox => $id });
}
my %group;
$group{$_} = 'gateway' for $d->children(qr/gateway/);
$group{$_} = 'sandbox' for $d->children(qr/session|init/);
$group{$_} = 'relay' for $d->children(qr/relay/);
$group{$_} = 'store' for $d->children(qr/store/);
is(scalar(keys %{{ reverse %group }}), 4, 'all kinds run');
$d->note_groups;
kill('TERM', $d->{pid});
# From outside: who is gone first.
my %gone;
while (%group && !$d->ended) {
	for my $pid (keys %group) {
		next if (slurp("/proc/$pid/stat") // ') Z') !~ /\) [ZX]/;
		$gone{delete $group{$pid}} = time;
	}
}
ok(wait_for(20, sub { $d->ended }), 'it ends');
cmp_ok($gone{gateway}, '<=', $gone{sandbox} // 9e9, 'gateways before sandboxes');
# From its own words, where outside is too coarse.
my @order;
my $seen = slurp($d->{log});
while ($seen =~ /state proc="?([a-z]+)[^"\n]*"? from=\w+ to=down/g) {
	my $kind = $1 =~ /init|session/ ? 'sandbox' : $1;
	push @order, $kind unless @order && $order[-1] eq $kind;
}
is(join(' ', grep { !/courier|egress/ } @order), 'gateway sandbox relay store',
    'in this order, none twice');
is($d->{status}, 0, 'exit status 0');
is(join("\n", $d->leftovers), '', 'nothing is left');
done_testing;
