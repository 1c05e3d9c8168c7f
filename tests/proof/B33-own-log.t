# B33: own log bounded and rotated. The log is standard error: who keeps it bounds
# it (journald, or whatever the file is rotated by). What is ours to promise: that a
# log nobody reads blocks no process of ours, and that lines which were lost are told.
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
done_testing;
