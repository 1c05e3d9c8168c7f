# A28: writes with sync without end leave the store's commits their time, where
# the host can weigh io.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Bounds;
use Test::More;

need_root();
my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => 'good' });
my @idle = store_times($d, 'good', 60);
my $hog = 'while :; do dd if=/dev/zero of=/big bs=64k count=200 oflag=dsync conv=notrunc 2>/dev/null; done';
$d->ok('sandbox.create', { id => 'open' });
my $c = background($d, 'open', 'sh', '-c', $hog);
ok(wait_for(20, sub { $d->sh('open', 'stat -c %s /big 2>/dev/null')->{stdout} > 0 }), 'a hog writes');
my @free = store_times($d, 'good', 60);
diag(sprintf('commit at p99: idle %.1f ms, beside a hog %.1f ms', part(0.99, @idle) * 1000,
    part(0.99, @free) * 1000));
ok(part(0.5, @free) < 1 * Sandboxd::slow_factor(), 'the store commits all the same');
$d->ok('sandbox.destroy', { id => 'open' });
SKIP: {
	my $r = $d->request('sandbox.create', { id => 'bad', limits => { io_weight => 1 } });
	skip "io cannot be weighed here: $r->{error}{detail}", 1 if !$r->{ok};
	$c = background($d, 'bad', 'sh', '-c', $hog);
	my @held = store_times($d, 'good', 60);
	my ($was, $is) = (part(0.99, @idle), part(0.99, @held));
	ok($is <= 3 * $was + 0.02, sprintf('p99 %.1f ms, idle %.1f', $is * 1000, $was * 1000));
}
done_testing;
