# Limits that are met become entries of the sandbox's own log: memory,
# processes, time; they outlive it and us.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
sub events { my ($id, $what) = @_;
	grep { $_->{event} eq $what } @{$d->ok('sandbox.events', { id => $id })->{events}} }

# Memory: the process ends, the sandbox goes on, and says so.
$d->ok('sandbox.create', { id => 'm', limits => { memory => '48M' } });
my $init = $d->ok('sandbox.get', { id => 'm' })->{pid};
my $r = $d->sh('m', 'sleep 100 & perl -e \'my $x = "x" x (200 << 20)\'; kill -0 $! && echo lives');
like($r->{stdout}, qr/lives/, 'another process of it lives');
ok(wait_for(20, sub { events('m', 'oom') }), 'an event tells of the one that does not');
my ($e) = events('m', 'oom');
ok($e->{count} >= 1, 'how many');
like($e->{reason}, qr/48|50331648/, 'and of which limit');
my $rec = $d->ok('sandbox.get', { id => 'm' });
ok($rec->{ooms} >= 1 && $rec->{usage}{oom_kills} >= 1, 'the record counts');
is($rec->{pid}, $init, 'its init is the same');
is($rec->{restarts}, 0, 'nothing was restarted');
# Its processes go before ours.
my $score = sub { slurp("/proc/$_[0]/oom_score_adj") + 0 };
ok($score->($init) >= $score->($d->{pid}) + 100 || $score->($init) == 1000, 'its processes go before ours');
is($d->sh('m', 'cat /proc/self/oom_score_adj')->{stdout} + 0, $score->($init), 'commands too');
$r = $d->sh('m', 'echo -1000 >/proc/$$/oom_score_adj; echo -1 >/proc/$$/oom_score_adj; '
    . 'echo 0 >/proc/$$/oom_score_adj; cat /proc/$$/oom_score_adj')->{stdout};
ok($r >= $score->($d->{pid}), "and never come below us ($r)");

# Processes.
$d->ok('sandbox.create', { id => 'p', limits => { pids => 20 } });
$d->exec('p', ['perl', '-e', 'for (1 .. 60) { my $p = fork; if (defined $p && !$p) { sleep 3; exit } }']);
ok(wait_for(20, sub { events('p', 'limit') }), 'forks that were refused are an event');
is((events('p', 'limit'))[0]{limit}, 'pids', 'which says which limit');
my $n = () = events('p', 'limit');
ok($n <= 5, "and they are not one each ($n)");

# Time.
$d->ok('sandbox.create', { id => 't', limits => { time => 1 } });
ok(wait_for(30, sub { $d->ok('sandbox.get', { id => 't' })->{state} eq 'stopped' }), 'time is over');
is((events('t', 'limit'))[0]{limit}, 'time', 'is an event');

# A group that dies with its init: what happened just before is not lost.
$d->ok('sandbox.create', { id => 'q', ephemeral => JSON::PP::false, limits => { memory => '32M' } });
$d->sh('q', 'perl -e \'my $x = "x" x (200 << 20)\'');
$d->ok('sandbox.stop', { id => 'q', grace_ms => 0 });
ok(wait_for(10, sub { events('q', 'oom') }), 'seen at the end at the latest');
$d->ok('sandbox.start', { id => 'q' });
ok($d->ok('sandbox.get', { id => 'q' })->{ooms} >= 1, 'the count goes on');

$d->restart;
ok(events('m', 'oom') && events('p', 'limit'), 'a restart of ours loses none');
ok($d->ok('sandbox.get', { id => 'q' })->{ooms} >= 1, 'nor the count');

# Weights.
SKIP: {
	my $r = $d->request('sandbox.create', { id => 'w', limits => { cpu_weight => 10 } });
	is($r->{error}{code}, 'isolation_unavailable', 'a weight that cannot be had is refused'), last
	    if !$r->{ok};
	is($r->{ok}{limits}{cpu_weight}, 10, 'cpu_weight is in the record');
	my ($group) = grep { /cpu/ && m{/w$} } $d->groups;
	my $v = -e "/sys/fs/cgroup/cpu" ? join('', map { slurp($_) } '/sys/fs/cgroup/cpu/' . $d->group_name . '/w/cpu.shares') : undef;
	skip 'version 2', 1 if !defined $v || $v eq '';
	like($v, qr/^102$/m, 'and in force');
}
$r = $d->request('sandbox.create', { id => 'io', limits => { io_weight => 10 } });
like($r->{ok} ? 'ok' : $r->{error}{code}, qr/^(ok|isolation_unavailable)$/, 'io_weight: had, or refused');
is($d->error('sandbox.create', { id => 'x', limits => { cpu_weight => $_ } }), 'bad_request', "refused: $_")
    for 10001, -1, 'x', 1.5;
done_testing;
