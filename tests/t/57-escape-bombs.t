# Bombs: a sandbox that does its worst disturbs itself only, and can be ended.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time);

need_root();
my $d = Sandboxd->start;
my $slow = Sandboxd::slow_factor();
$d->ok('sandbox.create', { id => 'good' });
$d->ok('sandbox.create', { id => 'bad', limits => { pids => 128,
    memory => '128M', cpu => 1 }, mounts => [Sandboxd->probe_mount] });

# Median time of a command beside it.
sub latency {
	my ($n) = @_;
	my @t;
	for (1 .. $n) {
		my $t = time;
		$d->exec('good', ['true']);
		push @t, time - $t;
	}
	return (sort { $a <=> $b } @t)[$n / 2];
}
my $idle = latency(15);

sub bomb {
	my ($name, $command) = @_;
	my $c = $d->client;
	$c->send('sandbox.exec', { id => 'bad', command => $command,
	    timeout_ms => 120000, output_bytes => 1000 });
	return $c;
}

sub is_ended {
	my ($name) = @_;
	my $t = time;
	$d->ok('sandbox.destroy', { id => 'bad' });
	my $took = time - $t;
	ok($took < 5 * $slow, sprintf('%s: destroyed in %.2f s', $name, $took));
	is(scalar(grep { Sandboxd::title_of($_) =~ /bomb/ } Sandboxd::descendants($$)),
	    0, "$name: no process of it is left");
	$d->ok('sandbox.create', { id => 'bad', limits => { pids => 128,
	    memory => '128M', cpu => 1 }, mounts => [Sandboxd->probe_mount] });
}

# Fork bomb, of the plain and of the restless kind.
my $c = bomb('fork', ['perl', '-e', '$0 = "bomb"; while (1) { fork }']);
ok(wait_for(20, sub {
	my ($init) = $d->children(qr/init\W+bad/);
	scalar(Sandboxd::descendants($init // 0)) > 90
}), 'fork bomb: it goes off');
ok(latency(11) < 0.2 * $slow + $idle * 20, 'fork bomb: a neighbour is served');
my ($init) = $d->children(qr/init\W+bad/);
ok(scalar(Sandboxd::descendants($init)) <= 128, 'fork bomb: within its limit');
is($d->ok('status')->{pid}, $d->{pid}, 'fork bomb: the daemon answers');
is_ended('fork bomb');
$c = bomb('restless', ['perl', '-e', '$0 = "bomb"; $SIG{CHLD} = "IGNORE"; '
    . 'while (1) { exit if !defined(my $p = fork) ? 0 : $p; }']);
sleep 1;
is_ended('fork bomb that is never where it was');

# Memory bomb: many at once, and growing.
$c = bomb('memory', ['perl', '-e', '$0 = "bomb"; for (1 .. 8) { fork } '
    . 'my @x; push @x, "x" x 1048576 while 1']);
my $rss = sub { slurp("/proc/$d->{pid}/status") =~ /VmRSS:\s+(\d+)/ ? $1 : 0 };
my $was = $rss->();
ok(wait_for(30, sub {
	($d->ok('sandbox.get', { id => 'bad' })->{usage}{oom_kills} // 0) > 0
}), 'memory bomb: met its limit');
ok(latency(11) < 0.2 * $slow + $idle * 20, 'memory bomb: a neighbour is served');
ok(abs($rss->() - $was) < 2000 * $slow, 'memory bomb: the daemon keeps its size');
is_ended('memory bomb');

# Memory by other ways.
my %ways = (
	memfd => 'my $fd = syscall(319, my $n = "bomb", 0); open(my $f, ">&=", $fd); '
	    . 'syswrite($f, "x" x 1048576) while 1',
	pipes => 'my @p; while (pipe(my $r, my $w)) { fcntl($w, 1031, 1048576); '
	    . 'fcntl($w, 4, 2048); syswrite($w, "x" x 1048576); push @p, $r, $w }',
	shm => 'open(my $f, ">", "/dev/shm/bomb"); syswrite($f, "x" x 1048576) for 1 .. 4000',
);
for my $way (sort keys %ways) {
	my $r = $d->exec('bad', ['perl', '-e', "\$0 = 'bomb'; $ways{$way}"],
	    timeout_ms => 15000);
	my $use = $d->ok('sandbox.get', { id => 'bad' })->{usage};
	ok($use->{memory} <= 130 * 1048576, "memory by $way: within the limit ("
	    . int($use->{memory} / 1048576) . ' MiB)');
	is_ended("memory by $way");
}

# Orphans by double fork are reaped and stay in the group.
my $said = $d->probe('bad', ['orphans', '60']);
is($said->{orphans}, 'done', 'sixty daemons by double fork')
    or diag(to_json($said));
if ($d->ok('sandbox.get', { id => 'bad' })->{isolation}{cgroup}) {
	($init) = $d->children(qr/init\W+bad/);
	my @out = grep { (slurp("/proc/$_/cgroup") // 'sandboxd-x/bad') !~ m{sandboxd-[^/]+/bad} }
	    Sandboxd::descendants($init);
	is("@out", '', 'all are in the sandbox\'s group');
	ok(scalar(Sandboxd::descendants($init)) >= 60, 'and below its init');
}
$d->sh('bad', 'pkill -KILL probe; for i in $(seq 300); do (true &) ; done');
ok(wait_for(10, sub {
	($init) = $d->children(qr/init\W+bad/);
	my @all = Sandboxd::descendants($init, 1);
	@all < 5
}), 'three hundred orphans later no zombie is left');
is_ended('daemons');

# Processor hog on all cores.
$c = bomb('cpu', ['perl', '-e', '$0 = "bomb"; fork for 1 .. 4; 1 while 1']);
sleep 1;
ok(latency(21) < 0.2 * $slow + $idle * 20, 'processor hog: a neighbour is served');
is_ended('processor hog');

# One that cannot be stopped gently: frozen by itself, ignoring everything.
$c = bomb('stubborn', ['perl', '-e', '$0 = "bomb"; $SIG{$_} = "IGNORE" for keys %SIG; '
    . 'fork; fork; kill STOP => $$; sleep 1 while 1']);
sleep 0.5;
is_ended('stubborn and stopped');

done_testing;
