# A20: a fork bomb meets its limit of processes; others are served meanwhile, and it
# can be ended.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Bounds;
use Test::More;
use Time::HiRes qw(time);

need_root();
my $d = Sandboxd->start;
my $slow = Sandboxd::slow_factor();
my $count = 'my $n = 0; for (1 .. 400) { my $p = fork; last if !defined $p; '
    . 'if (!$p) { sleep 30; exit } $n++ } print $n; kill KILL => -1';

# Where the limit is off, as many as are asked for.
$d->ok('sandbox.create', { id => 'open', limits => { pids => 0 } });
is($d->exec('open', ['perl', '-e', $count])->{stdout} || 400, 400, 'without a limit: 400 processes');
$d->ok('sandbox.destroy', { id => 'open' });

$d->ok('sandbox.create', { id => 'good' });
my $idle = part(0.5, exec_times($d, 'good', 21));
$d->ok('sandbox.create', { id => 'bad', limits => { pids => 128, cpu => 0.3 } });
my $init = $d->ok('sandbox.get', { id => 'bad' })->{pid};
my $c = background($d, 'bad', 'perl', '-e', '$0 = "bomb"; while (1) { fork }');
ok(wait_for(30, sub { scalar(Sandboxd::descendants($init)) > 100 }), 'it goes off');
my $most = 0;
my @t;
for (1 .. 7) {
	push @t, exec_times($d, 'good', 3);
	my $n = scalar Sandboxd::descendants($init);
	$most = $n if $n > $most;
}
ok($most <= 128, "never more than its limit ($most)");
my $busy = part(0.5, sort { $a <=> $b } @t);
ok($busy < 2 * $idle + 0.03 * $slow, sprintf('a neighbour waits %.1f ms, %.1f when idle',
    $busy * 1000, $idle * 1000));
ok(wait_for(10, sub { grep { $_ eq 'pids' } limit_events($d, 'bad') }), 'its log says which limit');
my $t = time;
$d->ok('sandbox.destroy', { id => 'bad' });
# On a busy machine 128 processes die as slowly as everything else goes; held to
# their share of CPU time they would take several seconds on an idle one.
ok(time - $t < 4 * $slow + 20 * $busy, sprintf('destroyed in %.2f s', time - $t));
is(scalar(grep { Sandboxd::title_of($_) =~ /bomb/ } Sandboxd::descendants($$)), 0, 'with all of it');
done_testing;
