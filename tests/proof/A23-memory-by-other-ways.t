# A23: memory that is nobody's heap is charged to the sandbox as well: tmpfs, shm,
# memory files, pipes, sockets.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Bounds;
use Test::More;

need_root();
my $d = Sandboxd->start;
my $mb = '"x" x 1048576';
# Each says how many MiB it could put away, of 150.
my %ways = (
	tmp => "open(my \$f, '>', '/tmp/bomb'); for (1 .. 150) { syswrite(\$f, $mb) or last; \$n++ }",
	shm => "open(my \$f, '>', '/dev/shm/bomb'); for (1 .. 150) { syswrite(\$f, $mb) or last; \$n++ }",
	tmpfs => "open(my \$f, '>', '/srv/t/bomb'); for (1 .. 150) { syswrite(\$f, $mb) or last; \$n++ }",
	memfd => "my \$fd = syscall(319, my \$s = 'bomb', 0); open(my \$f, '>&=', \$fd); "
	    . "for (1 .. 150) { syswrite(\$f, $mb) or last; \$n++ }",
	pipes => "my \@p; for (1 .. 150) { pipe(my \$r, my \$w) or last; fcntl(\$w, 1031, 1048576) or last; "
	    . "fcntl(\$w, 4, 2048); syswrite(\$w, $mb) or last; push \@p, \$r, \$w; \$n++ }",
	sockets => "use Socket; my \@p; my \$b = 0; for (1 .. 2000) { "
	    . "socketpair(my \$x, my \$y, AF_UNIX, SOCK_STREAM, 0) or last; "
	    . "setsockopt(\$x, SOL_SOCKET, SO_SNDBUF, 1 << 20); fcntl(\$x, 4, 2048); "
	    . "while (my \$k = syswrite(\$x, 'x' x 65536)) { \$b += \$k } push \@p, \$x, \$y; "
	    . "last if \$b > 150 << 20 } \$n = \$b >> 20",
);
my @tmpfs = (tmpfs => [{ target => '/srv/t' }]);
for my $way (sort keys %ways) {
	my @command = ('perl', '-e', "\$| = 1; my \$n = 0; $ways{$way}; print \$n");
	$d->ok('sandbox.create', { id => 'open', @tmpfs });
	my $free = $d->exec('open', \@command, timeout_ms => 30000)->{stdout} || 0;
	# As root inside, the machine's own bounds on pipes and sockets may be met.
	ok($free >= 30, "$way: without a limit $free MiB");
	$d->ok('sandbox.destroy', { id => 'open' });
	$d->ok('sandbox.create', { id => 'bad', limits => { memory => '24M' }, @tmpfs });
	my $r = $d->exec('bad', \@command, timeout_ms => 30000);
	my $got = $r->{stdout} || 0;
	my $use = $d->ok('sandbox.get', { id => 'bad' })->{usage};
	ok($got <= 24, "$way: with one of 24 it ends at $got");
	ok($use->{memory_peak} <= 26 << 20, "$way: charged to the sandbox ("
	    . ($use->{memory_peak} >> 20) . ' MiB at most)');
	$d->ok('sandbox.destroy', { id => 'bad' });
}
# Keys: none can be had at all.
$d->ok('sandbox.create', { id => 'k' });
is($d->exec('k', ['perl', '-e', 'my ($t, $n, $p) = ("user", "a", "x" x 100); '
    . 'print syscall(248, $t, $n, $p, 100, -2)'])->{stdout}, '-1', 'keyrings: no key can be added');
done_testing;
