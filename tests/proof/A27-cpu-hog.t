# A27: busy loops on all processors get their quota, and others are served.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Bounds;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start;
my $slow = Sandboxd::slow_factor();
my $hog = '$0 = "hog"; fork for 1 .. 3; 1 while 1';
# Cores that ID takes during a while.
sub takes {
	my ($id) = @_;
	my ($u, $t) = ($d->ok('sandbox.get', { id => $id })->{usage}{cpu_usec}, time);
	sleep 1.5;
	return ($d->ok('sandbox.get', { id => $id })->{usage}{cpu_usec} - $u) / (time - $t) / 1e6;
}

$d->ok('sandbox.create', { id => 'good' });
my @idle = exec_times($d, 'good', 60);
$d->ok('sandbox.create', { id => 'open' });
my $c = background($d, 'open', 'perl', '-e', $hog);
wait_for(10, sub { scalar(Sandboxd::descendants($d->ok('sandbox.get', { id => 'open' })->{pid})) >= 8 });
my $free = takes('open');
ok($free > 0.12, sprintf('without a limit: %.2f cores', $free));
$d->ok('sandbox.destroy', { id => 'open' });

my $r = $d->request('sandbox.create', { id => 'bad', limits => { cpu => 0.04, cpu_weight => 5 } });
plan(skip_all => "no cpu control group: $r->{error}{detail}") if !$r->{ok};
$c = background($d, 'bad', 'perl', '-e', $hog);
wait_for(10, sub { scalar(Sandboxd::descendants($d->ok('sandbox.get', { id => 'bad' })->{pid})) >= 8 });
my $held = takes('bad');
ok($held < 0.08, sprintf('with a limit of 0.04: %.3f', $held));
my @busy = exec_times($d, 'good', 60);
my ($was, $is) = (part(0.99, @idle), part(0.99, @busy));
ok($is <= 3 * $was + 0.05 * $slow, sprintf('a neighbour\'s command at p99: %.1f ms, idle %.1f',
    $is * 1000, $was * 1000));

# By weight alone, who has less gives way.
$d->ok('sandbox.destroy', { id => 'bad' });
my %w = (low => 10, high => 1000);
$d->ok('sandbox.create', { id => $_, limits => { cpu_weight => $w{$_} } }) for sort keys %w;
my @c = map { background($d, $_, 'perl', '-e', $hog) } sort keys %w;
sleep 0.5;
my ($l, $h) = map { $d->ok('sandbox.get', { id => $_ })->{usage}{cpu_usec} } qw(low high);
sleep 2;
my ($l2, $h2) = map { $d->ok('sandbox.get', { id => $_ })->{usage}{cpu_usec} } qw(low high);
ok($h2 - $h > 3 * ($l2 - $l), sprintf('weights 1000 and 10: %.2f s and %.2f s of processor',
    ($h2 - $h) / 1e6, ($l2 - $l) / 1e6));
done_testing;
