# A04: /dev/console, /dev/ptmx and /dev/pts as links, in an image and while 500
# terminals are opened. Whoever mounts or opens by name is led elsewhere: here
# nothing is mounted outside /dev, and no terminal is anything but a terminal.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
my $dir = Sandboxd->scratch_dir;

# An image whose /dev is full of links to a file of its own.
my $image = "$dir/image";
mkdir "$dir/$_" for qw(image image/dev image/target image/proc image/sys image/tmp image/etc);
spew("$dir/image/etc/passwd", "root:x:0:0:root:/:/ttys\n");
spew("$image/victim", "victim\n");
symlink '../victim', "$image/dev/$_" for qw(console ptmx null tty full);
symlink '../target', "$image/dev/$_" for qw(pts shm mqueue fd);

# Where names are trusted the mount lands on the link's target.
my $r = run_cmd(['unshare', '-m', 'sh', '-c', "mount --bind /dev/null '$image/dev/console' && " .
    "grep -c ' $image/victim ' /proc/self/mountinfo"]);
is($r->{out}, "1\n", 'a mount by name lands on what a link in /dev points to');

my $bin = helper('ttys');
spew("$image/ttys", slurp($bin));
chmod 0755, "$image/ttys";
sub mounts_of {
	my ($d, $id) = @_;
	my $pid = $d->ok('sandbox.get', { id => $id })->{pid};
	return sort map { (split ' ')[4] } split /\n/, slurp("/proc/$pid/mountinfo");
}
# A daemon that mounts into whatever /dev the image has, and follows its links.
{
	my $open = unguarded('own_dev no_links');
	$open->ok('sandbox.create', { id => 'o', image => $image });
	is(join(' ', grep { m{^/(?:victim|target)} } mounts_of($open, 'o')), '/target /target /target',
	    'unguarded: mounts have landed outside /dev');
	$open->stop;
}

# A terminal that a link leads elsewhere: whoever waits at that FIFO is let in by
# who opens it. True if it was.
sub led {
	my ($d, $id) = @_;
	my $pid = $d->ok('sandbox.get', { id => $id })->{pid};
	$d->exec($id, 'mkfifo /tmp/fifo; mv /dev/ptmx /dev/saved && ln -s /tmp/fifo /dev/ptmx');
	my $w = $d->ok('process.create', { id => $id, command => 'exec 3>/tmp/fifo; echo >/tmp/led' });
	# Again, since it may not have come to wait there yet; not if one was given.
	my $q;
	my $led = wait_for(10, sub {
		$q = $d->request('process.create', { id => $id, command => ['/bin/true'], tty => \1 });
		return $q->{ok} || -e "/proc/$pid/root/tmp/led";
	});
	$led = $q->{ok} || !$led ? 0 : 1;
	$d->ok('process.signal', { id => $id, process => $w->{process}, signal => 9, timeout_ms => 20000 });
	$d->exec($id, 'rm /tmp/fifo; mv /dev/saved /dev/ptmx');
	return $led;
}
sub terminal {
	my ($d) = @_;
	my $q = $d->request('process.create', { id => 'x', command => ['/opt/ttys', 'self'], tty => \1 });
	return undef if $q->{error};
	$d->ok('process.wait', { id => 'x', process => $q->{ok}{process}, timeout_ms => 20000 });
	return $q->{ok}{process};
}
sub swapping {
	my ($d) = @_;
	$d->exec('x', 'echo victim >/tmp/victim; mkdir /tmp/target');
	return $d->ok('process.create', { id => 'x', command => ['/opt/ttys', 'swap'] });
}
{
	# One whose sandboxes may write to /dev, and that opens its names as they are.
	my $open = unguarded('dev_ro terminal');
	$open->ok('sandbox.create', { id => 'x', mounts => [helper_mount('ttys')] });
	is(led($open, 'x'), 1, 'unguarded: what is opened as a terminal is what a link says');
	swapping($open);
	my $tries = 1;
	$tries++ while $tries < 300 && terminal($open);
	cmp_ok($tries, '<', 300, "unguarded, while names are swapped: after $tries tries too");
	$open->stop;
}

my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => 'i', image => $image });
is(join(' ', grep { m{^/(?:victim|target)} } mounts_of($d, 'i')), '', 'no mount has landed there');
is($d->exec('i', ['/ttys', 'look', '/victim'])->{stdout}, "regular 7\n", 'the file is as it was');
is($d->exec('i', ['/ttys', 'look', '/dev/null'])->{stdout}, "1:3\n", 'and /dev/null is a device');
my $p = $d->ok('process.create', { id => 'i', command => ['/ttys', 'self'], tty => \1 });
$d->ok('process.wait', { id => 'i', process => $p->{process}, timeout_ms => 20000 });
is($d->ctl(['logs', 'i', $p->{process}])->{out}, "terminal\r\n", 'a terminal in that image is one');

# 500 of them while a process inside swaps what stands in /dev.
$d->ok('sandbox.create', { id => 'x', mounts => [helper_mount('ttys')] });
is(led($d, 'x'), 0, 'a link in the place of a terminal is not made, or not followed');
my $swap = swapping($d);
my @before = mounts_of($d, 'x');
my (%said, $refused);
for (1 .. rounds(500)) {
	my $n = terminal($d);
	if (!$n) {
		$refused++;
		next;
	}
	if ($n % 25 == 0) {
		my $text = $d->ctl(['logs', 'x', $n])->{out};
		$said{$text}++;
	} 
	my $code = $d->ok('process.get', { id => 'x', process => $n })->{exit_code};
	$said{"code $code"}++ if $code != 0;
	$d->ok('process.delete', { id => 'x', process => $n });
}
is(join('|', sort keys %said), "terminal\r\n", 'each was a terminal') or diag(to_json(\%said));
is($refused // 0, 0, 'none was refused');
my $e = $d->ok('process.signal', { id => 'x', process => $swap->{process}, signal => 15, timeout_ms => 20000 });
my ($swaps, $tries) = $d->ctl(['logs', 'x', $swap->{process}])->{out} =~ /^(\d+) swaps of (\d+)/m;
ok(($tries // 0) > 100, 'while names were swapped, or would have been: ' . ($tries // 'never'));
# What is in /dev cannot be replaced at all; where it can, this very program does.
is($swaps, 0, 'which the sandbox does not let happen');
$r = run_cmd(['unshare', '-m', 'sh', '-c', "mount -t tmpfs none /dev && mknod /dev/ptmx c 5 2 && "
    . "mkdir /dev/pts && timeout -s TERM 1 '$bin' swap"]);
my ($free) = $r->{out} =~ /^(\d+) swaps/;
ok(($free // 0) > 0, 'in a /dev of its own it swaps') or diag("$r->{out}$r->{err}");
is_deeply([mounts_of($d, 'x')], \@before, 'no mount has come');
is($d->exec('x', 'cat /tmp/victim; ls /tmp/target')->{stdout}, "victim\n", 'nothing was led elsewhere');
done_testing;
