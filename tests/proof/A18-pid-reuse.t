# A18: signals while pids are used again at once. In a pid namespace with few pids,
# commands are stopped while a storm forks; a bystander in the namespace is never
# hit, and strace sees no signal of ours to a number.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
need_program('strace', 'taskset', 'unshare');
my $bystanders = Sandboxd->scratch_dir . '/hit';
# Outside, a signal to a number that was used again hits somebody else: pids are few.
my $few = run_cmd(['unshare', '--pid', '--fork', '--mount-proc', '/bin/sh', '-c', <<'E'], timeout => 60);
echo 400 >/proc/sys/kernel/pid_max 2>/dev/null; test "$(cat /proc/sys/kernel/pid_max)" = 400 || { echo none; exit; }
old=0; while [ $old -lt 301 ]; do : & old=$!; wait $old; done; i=0
while [ $i -lt 2000 ]; do sleep 5 & new=$!
	[ $new = $old ] && { kill -9 $old; wait $new; echo "hit $?"; exit; }
	kill -9 $new; wait $new 2>/dev/null; i=$((i + 1)); done
E
my $per_ns = $few->{out} !~ /none/;
SKIP: {
	skip 'this kernel has one pid_max for all', 1 unless $per_ns;
	like($few->{out}, qr/hit 137/, 'a signal to an old number hits whoever has it now');
}

# Init looks who belongs to a command, and signals them. In between one of them
# dies and somebody else is given its number: strace holds init there, and the
# host's root says which number comes next. True if that somebody was hit.
sub reused {
	my ($d, $name) = @_;
	my $hold = 2 * slow_factor();
	$d->ok('sandbox.create', { id => 'r', mounts => [helper_mount('hostile')] });
	my ($init) = $d->children(qr/init\W+r/);
	my $p = $d->ok('process.create', { id => 'r', command => ['/opt/hostile', 'victim'] });
	my ($number) = (wait_for(10, sub { $d->ctl(['logs', 'r', $p->{process}])->{out} =~ /^(victim \d+)/ && $1 })
	    // '') =~ /(\d+)/;
	my $b = $d->ok('process.create', { id => 'r', command => ['/opt/hostile', 'reuse', "$number"] });
	my $log = sub { $d->ctl(['logs', 'r', $b->{process}])->{out} };
	wait_for(10, sub { $log->() =~ /waits ok/ });
	my ($victim) = grep { (slurp("/proc/$_/status") // '') =~ /^NSpid:.*\s$number$/m } descendants($init);
	my ($other) = grep { Sandboxd::title_of($_) =~ /reuse/ } descendants($init);

	my $tracer = fork // die "fork: $!";
	if ($tracer == 0) {
		exec('strace', '-qq', '-o', '/dev/null', '-p', $init, '-e',
		    'inject=kill,pidfd_open:delay_enter=' . int($hold * 1e6));
	}
	wait_for(10, sub { (slurp("/proc/$init/status") // '') =~ /TracerPid:\s+[1-9]/ }) or BAIL_OUT('no strace');
	my $c = $d->client;
	my $id = $c->send('process.signal', { id => 'r', process => $p->{process}, signal => 15 });
	# Held, and not just stopped for a moment as strace does at each call.
	my $held = 0;
	wait_for(10, sub { $held = (slurp("/proc/$init/status") // '') =~ /^State:\s+t/m ? $held + 1 : 0; $held > 5 });
	kill('KILL', $victim);
	wait_for(5, sub { !-e "/proc/$victim" });
	run_cmd(['unshare', '-m', 'nsenter', "--pid=/proc/$init/ns/pid", '/bin/sh', '-c',
	    "mount -t proc proc /proc && echo @{[$number - 1]} >/proc/sys/kernel/ns_last_pid"]);
	kill('USR1', $other);
	like(wait_for(10, sub { $log->() =~ /reused (\w+)/ && $1 }) // 'no word', qr/^ok$/,
	    "$name: the number is somebody else's");
	$c->finish($id);
	kill('INT', $tracer);
	waitpid($tracer, 0);
	kill('USR1', $other);
	my $hit = wait_for(10, sub { $log->() =~ /hit (\w+)/ && $1 });
	$c->close;
	$d->ok('sandbox.destroy', { id => 'r' });
	return $hit;
}
SKIP: {
	skip 'this kernel does not let numbers be chosen', 4 unless -e '/proc/sys/kernel/ns_last_pid';
	my $open = unguarded('pidfds');
	is(reused($open, 'unguarded'), 15, 'unguarded: who has the number now is hit');
	$open->stop;
	my $d = Sandboxd->start;
	is(reused($d, 'guarded'), 'never', 'guarded: he is not');
	$d->stop;
}
my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => 'p', limits => { pids => 200 }, mounts => [helper_mount('hostile')] });
my ($init) = $d->children(qr/init\W+p/);
# The sandbox's pid namespace gets few pids, by the host, if it has a limit of its own.
if ($per_ns) {
	run_cmd(['unshare', '-m', 'nsenter', "--pid=/proc/$init/ns/pid", '/bin/sh', '-c',
	    'mount -t proc proc /proc && echo 400 >/proc/sys/kernel/pid_max']);
}
my $trace = Sandboxd->scratch_dir . '/trace';
my $tracer = fork // die "fork: $!";
if ($tracer == 0) {
	exec('strace', '-qq', '-o', $trace, '-e', 'trace=kill,tkill,tgkill,pidfd_send_signal,rt_sigqueueinfo',
	    '-p', $d->{pid}, '-p', $init);
}
wait_for(10, sub { (slurp("/proc/$init/status") // '') =~ /TracerPid:\s+[1-9]/ }) or BAIL_OUT('no strace');
my $stand = $d->client;
my $bid = $stand->send('sandbox.exec', { id => 'p', command => ['/bin/sh', '-c',
    'trap "echo hit" TERM INT HUP USR1; while :; do sleep 1 & wait $!; kill $! 2>/dev/null; done'] });
my $storm = $d->client;
my $sid = $storm->send('sandbox.exec', { id => 'p', timeout_ms => 100000, command => ['/bin/sh', '-c',
    'while :; do /bin/true & /bin/true & wait; done'] });
my $ended = 0;
for my $how ('at full speed', 'on one busy processor') {
	handicapped($d) if $how =~ /one/;
	for my $i (1 .. rounds(60)) {
		# ended by its time, by a client that leaves, or by itself just before
		my $r = $d->exec('p', ['sleep', $i % 3 ? '0.02' : '9'], timeout_ms => 20 + $i % 7);
		$ended++ if Sandboxd::outcome($r) =~ /^(?:timeout|0|SIG)/;
	}
	is($ended, rounds(60) * ($how =~ /one/ ? 2 : 1), "$how: each command was ended");
}
my ($by) = grep { Sandboxd::title_of($_) =~ /trap "echo hit"/ } descendants($init);
ok($by, 'the bystander lives');
$storm->close;
# Of a command in a group of its own init signals the group: it is its leader, not
# reaped yet, so that its number is nobody else's.
kill('INT', $tracer);
waitpid($tracer, 0);
my %calls;
for (split /\n/, slurp($trace)) {
	$calls{$1}++ if /^(?:\d+\s+)?(\w+)\(/ && !/SIGKILL\} \(|\), 0\)/;
}
my @numbers = grep { /\b(?:kill|tkill|tgkill)\((\d+), (?!0\))/ } split /\n/, slurp($trace);
is(join("\n", @numbers), '', 'no signal was sent to a number');
cmp_ok($calls{pidfd_send_signal} // 0, '>', 10, 'those that were sent went to pidfds')
    or diag(to_json(\%calls));
$stand->close;
done_testing;
