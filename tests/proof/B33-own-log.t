# B33: own log bounded and rotated. On standard error it is for whoever keeps that
# (journald) to bound it: ours to promise is that a log nobody reads blocks no process
# of ours, and that lines which were lost are told. As a file (daemon.log_file) the
# bound is ours too: while children log as fast as they can its size is kept, the
# newest lines are kept, and no child is blocked. SANDBOXD_LOG_BYTES says how much they
# log; ten gigabytes through the file alone: tests/unit/test_logfile with LOG_BYTES.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time);

need_root();
my $d = Sandboxd->start(no_launch => 1, args => ['--log-level', 'debug']);
pipe(my $r, my $w) or die;
fcntl($w, 1031, 16384) or die "F_SETPIPE_SZ: $!";	# a small one
my $pid = fork // die;
if ($pid == 0) {
	open(STDIN, '<', '/dev/null');
	open(STDOUT, '>', '/dev/null');
	open(STDERR, '>&', $w);
	exec($d->argv) or POSIX::_exit(127);
}
close($w);
$d->{pid} = $pid;
ok(wait_for(20, sub { my $c = eval { $d->client } or return 0;
    ($c->request('status')->{ok}{state} // '') eq 'running' }), 'it runs');
# More than the pipe holds, with nobody reading.
for my $n (1 .. 40) {
	$d->ok('sandbox.create', { id => "b$n" });
	$d->ok('sandbox.destroy', { id => "b$n" });
}
my $bits = '';
vec($bits, fileno($r), 1) = 1;
my $held = '';
my $began = time;
is($d->ok('status')->{state}, 'running', 'a full log blocks nobody');
cmp_ok(time - $began, '<', 2 * Sandboxd::slow_factor(), 'not for a moment');
sysread($r, $held, 1 << 20);
cmp_ok(length($held), '>=', 8000, 'the pipe was full: ' . length($held) . ' bytes');
$d->ok('sandbox.create', { id => 'after' });
my $text = '';
my $end = time + 10;
while (time < $end && $text !~ /lost|dropped/) {
	$bits = '';
	vec($bits, fileno($r), 1) = 1;
	last unless select($bits, undef, undef, 1) > 0;
	sysread($r, $text, 1 << 20, length $text) or last;
}
like($text, qr/lost|dropped/, 'and that lines were lost is told when there is room');
ok($d->stop, 'it ends');
is(join("\n", $d->leftovers), '', 'nothing is left');

# --- a file of our own ----------------------------------------------------------------

need_program('wrk');
my $dir = Sandboxd->scratch_dir;
my $max = 64 << 10;
my $files = 4;
my $want = $ENV{SANDBOXD_LOG_BYTES} // 2_000_000;
my $f = Sandboxd->start(http => 1, conf => "log_file = $dir/log\nlog_max_bytes = $max\n"
    . "log_files = $files\n[gateway]\naccess_log = yes\n");
my $load = fork // die;
if ($load == 0) {
	open(STDOUT, '>', "$f->{dir}/wrk");
	open(STDERR, '>&', \*STDOUT);
	exec('wrk', '-c4', '-t1', '-d600s', '--timeout', '10s', $f->url('/v1/health'))
	    or POSIX::_exit(127);
}
# What has been logged: rotations are seen by the inode of what is written now.
my ($logged, $inode, $most, $slowest) = (0, 0, 0, 0);
$end = time + 120 * Sandboxd::slow_factor() + $want / 100_000;
while ($logged * $max < $want && time < $end) {
	my @s = stat("$dir/log");
	($logged, $inode) = ($logged + 1, $s[1]) if @s && $s[1] != $inode;
	my $sum = 0;
	$sum += (-s "$dir/$_") // 0 for 'log', map { "log.$_" } 1 .. 9;
	$most = $sum if $sum > $most;
	my $asked = time;
	$f->ok('status');
	$slowest = time - $asked if time - $asked > $slowest;
}
kill('INT', $load);
waitpid($load, 0);
cmp_ok($logged * $max, '>=', $want, "seen at least $logged files of $max bytes");
cmp_ok($most, '<=', $max * $files, "never more than $files of them: $most bytes");
cmp_ok($slowest, '<', 5 * Sandboxd::slow_factor(), "nobody waited: $slowest s at most");
my $report = slurp("$f->{dir}/wrk");
like($report, qr/\d+ requests in/, 'requests were served');
unlike($report, qr/Socket errors|Non-2xx/, 'and none failed') or diag($report);
is(join(' ', sort map { s{.*/}{}r } glob("$dir/*")),
    join(' ', 'log', map { "log.$_" } 1 .. $files - 1), 'so many files');
# Of the second of the flood it may be one of the requests that are only counted.
ok(wait_for(10, sub { $f->http('GET', '/v1/sessions/newest-one');
    slurp("$dir/log") =~ /newest-one/ }), 'the newest is there');
my $bad = 0;
for my $file (glob("$dir/*")) {
	$bad++ for grep { !/^\d{4}-\S+Z \w+ \S+ \w+: .*$/ } split /\n/, slurp($file);
	$bad++ if slurp($file) !~ /\n\z/;
}
is($bad, 0, 'of whole lines only');
unlike(slurp($f->{log}), qr{/v1/health}, 'and none on standard error');
ok($f->stop, 'it ends');
like(slurp("$dir/log"), qr/ stopped exit_code=0$/m, 'and says so in the file');
is(join("\n", $f->leftovers), '', 'nothing is left');
done_testing;
