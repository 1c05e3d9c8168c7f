# B35: 50 stubborn sandboxes: the stop takes their grace and a second, and the service
# manager is asked for the time.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Manager;
use Test::More;
use Time::HiRes qw(time);

need_root();
need_program('python3');
my ($n, $grace) = ($ENV{STUBBORN} // 50, 2);
my $d = Sandboxd->start(no_launch => 1, conf => "[sandbox]\nstop_grace = ${grace}s\n");
my $m = Sandboxd::Manager->start($d, []);
ok($m->ready, 'it is up');
for my $i (1 .. $n) {
	$d->ok('sandbox.create', { id => "s$i", entrypoint => ['/bin/sh', '-c',
	    'trap "" TERM HUP INT; touch /tmp/deaf; while :; do sleep 1000; done'] });
}
my $deaf = 0;
for my $i (1 .. $n) {
	$deaf++ if wait_for(20, sub {
	    $d->exec("s$i", ['test', '-e', '/tmp/deaf'])->{exit_code} == 0 });
}
is($deaf, $n, "$n sandboxes are deaf to TERM");
$d->note_groups;
my $began = time;
my $e = $m->stop;
my $took = $e->{at} - $began;
is($e->{ended}, 0, 'it ends in order');
cmp_ok($took, '>=', $grace - 0.1, sprintf('not before the grace is over: %.2f s', $took));
cmp_ok($took, '<', $grace + 1 * ($ENV{SLOW} // 1) * Sandboxd::slow_factor(),
    'and within a second more');
my ($asked) = grep { $_->{notify}{STOPPING} } @{$m->{events}};
cmp_ok($asked->{notify}{EXTEND_TIMEOUT_USEC} // 0, '>=', $grace * 1e6,
    'the manager was asked for the time');
is(join("\n", $d->leftovers), '', 'nothing is left');
done_testing;
