# Limits of a sandbox: each is met from inside and seen from outside.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time);

need_root();
my $d = Sandboxd->start;

# Processes.
$d->ok('sandbox.create', { id => 'p', limits => { pids => 30 } });
my $r = $d->sh('p', 'for i in $(seq 60); do sleep 20 & done 2>/tmp/err; '
    . 'jobs | wc -l; head -n 1 /tmp/err');
my $n = $r->{stdout} =~ /^(\d+)/ ? $1 : -1;
ok($r->{exit_code} // 0 || $n < 30, "no more than the limit of processes ($n)");
ok(wait_for(10, sub {
	($d->sh('p', 'true')->{exit_code} // '') eq 0 || do {
		$d->sh('p', 'exec kill -9 -1');
		0;
	}
}), 'and when they have ended there is room again');

# Memory: a process that takes more is killed inside; nothing else is.
$d->ok('sandbox.create', { id => 'm', limits => { memory => '64M' } });
$d->ok('sandbox.create', { id => 'q' });
$r = $d->sh('m', 'exec perl -e \'my $x = "x" x (200 * 1024 * 1024); print "alive"\'');
ok($r->{stdout} !~ /alive/, 'no more than the limit of memory');
is(Sandboxd::outcome($r), 'SIG9', 'the one that took it is killed');
is($d->sh('m', 'echo on')->{stdout}, "on\n", 'the sandbox goes on');
my $use = $d->ok('sandbox.get', { id => 'm' })->{usage};
ok($use->{oom_kills} >= 1, 'the record counts it');
ok($use->{memory_peak} <= 65 * 1024 * 1024, 'the peak stayed below');
is($d->sh('q', 'echo on')->{stdout}, "on\n", 'and so do others');
# Files in memory are charged too.
$r = $d->sh('m', 'head -c 200000000 /dev/zero >/tmp/big; stat -c %s /tmp/big; '
    . 'rm -f /tmp/big /dev/shm/big');
ok(($r->{stdout} =~ /^(\d+)/ ? $1 : 0) < 200000000 ||
    $d->sh('m', 'findmnt -n -o FSTYPE -T /tmp')->{stdout} !~ /tmpfs/,
    'files on a tmpfs count as memory');
$r = $d->sh('m', 'head -c 200000000 /dev/zero >/dev/shm/big; stat -c %s /dev/shm/big; '
    . 'rm -f /dev/shm/big');
ok(($r->{stdout} =~ /^(\d+)/ ? $1 : 0) < 200000000, '/dev/shm counts as memory');
ok(wait_for(15, sub { ($d->sh('m', 'echo on')->{stdout} // '') eq "on\n" }),
    'the sandbox goes on, if need be as a fresh one');

# CPU: a tenth of a core gets about a tenth.
$d->ok('sandbox.create', { id => 'c', limits => { cpu => 0.1 } });
$r = $d->sh('c', 'perl -e \'my $end = time + 3; 1 while time < $end; '
    . 'my @t = times; print $t[0] + $t[1]\'');
my $used = $r->{stdout} || 99;
ok($used < 0.8, "a tenth of a core for 2 to 3 s gave $used s");

# Open files.
$d->ok('sandbox.create', { id => 'f', limits => { open_files => 40 } });
$r = $d->sh('f', 'ulimit -n; perl -e \'my @f; while (1) { open(my $f, "<", '
    . '"/dev/null") or last; push @f, $f } print scalar @f\'');
like($r->{stdout}, qr/^40\n3\d$/, 'open files');
is($d->sh('f', 'ulimit -n 1000000 2>/dev/null; ulimit -n')->{stdout}, "40\n",
    'the limit cannot be raised inside');

# Time: the whole sandbox stops.
my $began = time;
$d->ok('sandbox.create', { id => 't', limits => { time => 1 } });
$r = $d->sh('t', 'sleep 30');
ok(time - $began < 15 * Sandboxd::slow_factor(), 'a sandbox with a second to live');
ok(Sandboxd::outcome($r) ne '0', 'its command does not end well');
ok(wait_for(10, sub {
	$d->ok('sandbox.get', { id => 't' })->{state} eq 'stopped'
}), 'it is stopped');
like($d->ok('sandbox.get', { id => 't' })->{reason}, qr/time/, 'and says why');

# What is in force stands in the record.
is_deeply($d->ok('sandbox.get', { id => 'm' })->{limits}{memory}, 64 << 20,
    'memory in bytes');
is($d->ok('sandbox.get', { id => 'c' })->{limits}{cpu}, 0.1, 'cpu in cores');

done_testing;
