# B23: in a crash loop the delays grow to a cap, with chance in them; never a spin.
# (That a stable minute sets them back is in tests/unit/test_proc.c, with a clock
# that need not be waited for.)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start;
sub relay {
	my ($r) = grep { $_->{name} eq 'relay' } @{$d->ok('status')->{roles}};
	return $r;
}
my ($began, $rounds) = (time, 7);
for my $n (1 .. $rounds) {
	my $pid = wait_for(20, sub { my $r = relay();
	    $r->{state} eq 'running' && $r->{pid} }) or last;
	kill('KILL', $pid);
	wait_for(10, sub { (relay()->{pid} // 0) != $pid });
}
my $took = time - $began;
my @delays = slurp($d->{log}) =~ /lost proc=relay .*?next_start_ms=(\d+)/g;
is(scalar(@delays), $rounds, "one delay for each death: @delays");
my @off = grep { my $base = 20 * 2 ** $_; $base = 4000 if $base > 4000;
    $delays[$_] < $base || $delays[$_] > $base * 1.25 } 0 .. $#delays;
is("@off", '', 'each is twice the one before, and up to a quarter more');
ok(scalar(grep { my $base = 20 * 2 ** $_; $delays[$_] != $base } 0 .. $#delays),
    'by chance');
my $sum = 0;
$sum += $_ for @delays;
cmp_ok($took * 1000, '>=', $sum - $delays[-1], 'and they were waited for: no spin');
ok(wait_for(20, sub { relay()->{state} eq 'running' }), 'it runs again');
ok($d->stop, 'it ends');
is(join("\n", $d->leftovers), '', 'nothing is left');
done_testing;
