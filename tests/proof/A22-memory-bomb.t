# A22: who allocates past its limit is killed inside; an event says so; nobody else
# pays, and ours are the last to be killed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Bounds;
use Test::More;

need_root();
my $d = Sandboxd->start;
my $take = 'my $x = "x" x (150 << 20); print "has it"';
$d->ok('sandbox.create', { id => 'open' });
is($d->exec('open', ['perl', '-e', $take])->{stdout}, 'has it', 'without a limit: 150 MiB');

$d->ok('sandbox.create', { id => 'good', limits => { memory => '64M' } });
$d->sh('good', 'sleep 300 >/dev/null 2>&1 &');
my ($good) = Sandboxd::descendants($d->ok('sandbox.get', { id => 'good' })->{pid});
$d->ok('sandbox.create', { id => 'bad', limits => { memory => '64M', pids => 64 } });
my $init = $d->ok('sandbox.get', { id => 'bad' })->{pid};
my $rss = rss_of($d);
my $r = $d->exec('bad', ['perl', '-e', $take]);
isnt($r->{stdout}, 'has it', 'with one: not');
is(Sandboxd::outcome($r), 'SIG9', 'it was killed');
my $c = background($d, 'bad', 'perl', '-e',
    '$0 = "bomb"; fork for 1 .. 3; my @x; while (1) { push @x, "x" x 1048576 }');
ok(wait_for(30, sub { ($d->ok('sandbox.get', { id => 'bad' })->{usage}{oom_kills} // 0) >= 3 }),
    'eight that grow are killed one after the other');
my $u = $d->ok('sandbox.get', { id => 'bad' });
ok($u->{usage}{memory_peak} <= 66 << 20, 'together they never had more');
ok(wait_for(10, sub { grep { $_ eq 'oom' } limit_events($d, 'bad') }), 'its log says so');
is($u->{pid}, $init, 'its init lives');
ok(abs(rss_of($d) - $rss) < 4000 * Sandboxd::slow_factor(), 'ours are as large as before');
ok(-e "/proc/$good" && $d->ok('sandbox.get', { id => 'good' })->{usage}{oom_kills} == 0,
    'a neighbour lost nothing');
# When the whole machine has none left: who goes first?
my $adj = sub { slurp("/proc/$_[0]/oom_score_adj") + 0 };
for my $pid ($d->{pid}, grep { Sandboxd::title_of($_) =~ /sandboxd-(store|relay)/ } Sandboxd::descendants($d->{pid})) {
	ok($adj->($pid) < $adj->($init), Sandboxd::title_of($pid) . ' is dearer than a sandbox');
}
done_testing;
