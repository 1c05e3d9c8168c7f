# One instance only on a state directory; a stale lock does not block.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

# Control groups of the instance that has this state directory.
sub groups {
	my $name = Sandboxd->group_name($_[0]) // return ();
	my @found = grep { -d } map { glob("/sys/fs/cgroup/$_$name") } '', '*/', '*/*/';
	return @found;
}

need_root();
my $d = Sandboxd->start;

my $got = run_cmd([$d->argv], timeout => 20);
ok(!$got->{timed_out} && $got->{status} != 0, 'a second instance refuses');
is($got->{status}, 111, 'with the exit status for what the system refused');
like($got->{err}, qr/\b$d->{pid}\b/, 'and says which pid holds the state');
is($d->ok('status')->{pid}, $d->{pid}, 'the first one goes on');

# The same state by another run directory.
$got = run_cmd([program('sandboxd'), '-c', "$d->{dir}/conf", '--state-dir',
    $d->{state}, '--run-dir', "$d->{dir}/run2", '--no-http'], timeout => 20);
isnt($got->{status}, 0, 'nor by another run directory');
# The same run directory with another state.
$got = run_cmd([program('sandboxd'), '-c', "$d->{dir}/conf", '--state-dir',
    "$d->{dir}/state2", '--run-dir', $d->{run}, '--no-http'], timeout => 20);
isnt($got->{status}, 0, 'nor another state on the same socket');
is($d->ok('status')->{pid}, $d->{pid}, 'the first one is still the one');

# After a crash the lock and the socket are only files.
$d->kill_hard;
ok(-e $d->{socket}, 'a killed one leaves its socket');
$d->launch;
is($d->ok('status')->{pid}, $d->{pid}, 'and does not block the next');

# Two side by side on their own directories do not meet.
my $e = Sandboxd->start;
$d->ok('sandbox.create', { id => 'same' });
$e->ok('sandbox.create', { id => 'same' });
$d->note_groups;
$e->note_groups;
ok(!keys %{$d->{groups}} || groups($d->{state}), 'it has groups by that name');
is($d->sh('same', 'echo d >/srv/who; cat /srv/who')->{stdout}, "d\n", 'one');
is($e->sh('same', 'cat /srv/who')->{stdout}, '', 'another');
$d->ok('sandbox.destroy', { id => 'same' });
is($e->sh('same', 'echo on')->{stdout}, "on\n", 'the other is not touched');
ok($d->stop, 'one ends');
is($e->sh('same', 'echo on')->{stdout}, "on\n", 'the other goes on');
ok($e->stop, 'and ends');
is(join("\n", $d->leftovers, $e->leftovers), '', 'nothing is left of either');
is(join("\n", map { groups($_) } $d->{state}, "$d->{dir}/state2"), '',
    'nor of those that were refused');

done_testing;
