# A21: a tree that is never where it was is ended as a whole: by its control group,
# not by a list of pids.
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
# Each process lives for a moment, and leaves the next one.
my $restless = '$0 = "restless"; $SIG{CHLD} = "IGNORE"; $SIG{TERM} = "IGNORE"; '
    . 'fork for 1 .. 3; while (1) { my $p = fork; exit if $p; }';
my $init;
sub pids { return map { split /\n/, slurp("$_/cgroup.procs") // '' } (groups_of($d, 'bad'))[0] }
sub begin {
	$d->ok('sandbox.create', { id => 'bad', limits => { pids => 200, cpu_weight => 10 } });
	$init = $d->ok('sandbox.get', { id => 'bad' })->{pid};
	$d->ok('sandbox.exec', { id => 'bad', command => ['sh', '-c',
	    'setsid perl -e "$1" >/dev/null 2>&1 &', 'sh', $restless] });
	return wait_for(20, sub { $d->ok('sandbox.get', { id => 'bad' })->{usage}{pids} > 4 });
}

# Killing what a list of processes shows does not end it.
ok(begin(), 'it runs');
for (1 .. 5) {
	my @listed = grep { $_ != $init } pids();
	sleep 0.1;	# who walks /proc takes longer
	kill KILL => @listed;
}
ok($d->ok('sandbox.get', { id => 'bad' })->{usage}{pids} > 1, 'killing each pid that is listed does not end it');

for my $how ('destroyed', 'stopped', 'its init killed') {
	begin() if $how ne 'destroyed';
	my @groups = groups_of($d, 'bad');
	my $began = time;
	if ($how eq 'destroyed') {
		$d->ok('sandbox.destroy', { id => 'bad' });
	} elsif ($how eq 'stopped') {
		$d->ok('sandbox.stop', { id => 'bad', grace_ms => 200 });
	} else {
		kill KILL => $init;
		wait_for(20, sub { ($d->ok('sandbox.get', { id => 'bad' })->{pid} // 0) != $init });
	}
	ok(time - $began < 5 * Sandboxd::slow_factor(), sprintf('%s in %.2f s', $how, time - $began));
	ok(wait_for(20, sub { !-e "/proc/$init" || slurp("/proc/$init/stat") =~ /\) Z/ }), "$how: its init is gone");
	ok(wait_for(20, sub { !grep { Sandboxd::title_of($_) =~ /restless/ } Sandboxd::descendants($$) }),
	    "$how: and all of it");
	ok(wait_for(20, sub { !grep { -d } @groups }), "$how: its groups too") if $how ne 'its init killed';
	$d->request('sandbox.destroy', { id => 'bad' });
}
done_testing;
