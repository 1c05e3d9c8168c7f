# sandboxctl cp against streams and trees that want to get out: hostile tar
# streams going in, a sandbox that swaps directories for links while it is
# copied out, names that were not asked for.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
my $dir = Sandboxd->scratch_dir;
$d->ok('sandbox.create', { id => 'x' });
my $ctl = program('sandboxctl') . " --socket $d->{socket}";

# One header of a tar archive, with data behind it.
sub entry {
	my ($name, $type, $data, $link, $mode) = @_;
	$data //= '';
	my $h = pack 'a100 a8 a8 a8 a12 a12 a8 a1 a100 a8 a247', $name,
	    sprintf('%07o', $mode // 0644), '0000000', '0000000',
	    sprintf('%011o', length $data), sprintf('%011o', 1e9), ' ' x 8, $type,
	    $link // '', "ustar\00000", '';
	$h = pack 'a512', $h;
	substr $h, 148, 8, sprintf "%06o\0 ", unpack '%32C*', $h;
	return $h . $data . "\0" x (-length($data) % 512);
}
my $end = "\0" x 1024;

# Into a directory next to which there is one that must stay as it is.
my @cases = (
	['an absolute name', entry('/tmp/out/evil', 0, 'e') ],
	['a name with ..', entry('../out/evil', 0, 'e') ],
	['a name with .. within', entry('a/../../out/evil', 0, 'e') ],
	['a file through a link', entry('l', 2, '', '/tmp/out') . entry('l/evil', 0, 'e') ],
	['a file through a link upwards', entry('l', 2, '', '../out') . entry('l/evil', 0, 'e') ],
	['a directory through a link', entry('l', 2, '', '../out') . entry('l/evil/', 5) ],
	['a link through a link', entry('l', 2, '', '../out') . entry('l/evil', 2, '', 'x') ],
	['a hard link out', entry('h', 1, '', '../out/victim') ],
	['a hard link through a link',
	    entry('l', 2, '', '../out') . entry('h', 1, '', 'l/victim') ],
	['a hard link, absolute', entry('h', 1, '', '/tmp/out/victim') ],
	['a device', entry('dev', 3, '', '', 0666) ],
	['a FIFO', entry('fifo', 6) ],
	['an entry of no type', entry('q', 'Z', 'e') ],
	['a size that lies', substr(entry('big', 0, 'e' x 4096), 0, 1024) ],
	['a name that is too long', entry(('d' x 99) . '/', 5) x 1 . entry('x/' x 50, 0, 'e') ],
);
$d->exec('x', 'mkdir -p /tmp/out && echo victim >/tmp/out/victim');
for (@cases) {
	my ($name, $tar) = @$_;
	$d->exec('x', 'rm -rf /tmp/in; mkdir /tmp/in');
	spew("$dir/t", $tar . $end);
	my $r = run_cmd(['sh', '-c', "$ctl cp - x:/tmp/in <$dir/t"], timeout => 60);
	isnt($r->{status}, 0, "$name: refused") if $name !~ /too long/;
	is($d->exec('x', 'ls /tmp/out; cat /tmp/out/victim; find /tmp/in -type b -o -type c -o -type p'
	    . '; stat -c %h /tmp/out/victim')->{stdout}, "victim\nvictim\n1\n",
	    'and nothing has come of it elsewhere') or diag("$r->{out}$r->{err}");
}
ok(-s "$dir/t", 'the streams were there');
# The guard's absence: plain tar, told to trust names, follows the same link.
mkdir "$dir/$_" for qw(plain plain/in plain/out);
spew("$dir/t", entry('l', 2, '', '../out') . entry('l/evil', 0, 'e') . $end);
run_cmd(['tar', '-C', "$dir/plain/in", '-P', '-xf', "$dir/t"]);
ok(-e "$dir/plain/out/evil", 'a plain tar -P is led out by the same stream');

# On top of what is there: nothing is written through a link or another name.
$d->exec('x', 'rm -rf /tmp/in; mkdir /tmp/in; ln -s ../out/victim /tmp/in/f; ln /tmp/out/victim /tmp/in/g');
spew("$dir/t", entry('f', 0, 'new') . entry('g', 0, 'new') . $end);
is(run_cmd(['sh', '-c', "$ctl cp - x:/tmp/in <$dir/t"])->{status}, 0, 'files in place of links');
is($d->exec('x', 'cat /tmp/out/victim /tmp/in/f')->{stdout}, "victim\nnew", 'replace the links');

# A secret of the host at a path that a sandbox can name but not see.
mkdir "$dir/host";
spew("$dir/host/secret", 'SECRET-OF-THE-HOST');
$d->exec('x', "mkdir -p /tmp/race/a; ln -s $dir/host /tmp/race/l; echo in >/tmp/race/a/secret; " .
    "ln -s /proc/1/root$dir/host /tmp/race/m");
$d->ok('process.create', { id => 'x', command => 'cd /tmp/race; while :; do ' .
    'mv a b; mv l a; mv a l; mv m a; mv a m; mv b a; done' });
my ($copies, $good) = (0, 0);
my $until = time + 6;
while (time < $until) {
	run_cmd(['rm', '-rf', "$dir/got"]);
	my $r = $d->ctl(['cp', 'x:/tmp/race', "$dir/got"], timeout => 60);
	$copies++;
	$good++ if $r->{status} == 0;
	my $seen = run_cmd(['grep', '-rlsa', 'SECRET-OF-THE-HOST', '--exclude-dir=none', "$dir/got"]);
	# A link that leads to it from here is followed by nobody but us.
	my @files = grep { !-l $_ } split /\n/, $seen->{out};
	is("@files", '', 'a file of the host came out') if @files;
}
ok($copies >= 5 && $good >= 1, "$copies copies of a tree that changes, $good whole");
is(slurp("$dir/host/secret"), 'SECRET-OF-THE-HOST', 'what lies outside is as it was');

# Copying out onto links of ours: the sandbox's file replaces ours, never what
# ours points to.
mkdir "$dir/onto";
symlink "$dir/host/secret", "$dir/onto/f";
$d->exec('x', 'mkdir /tmp/o; echo inside >/tmp/o/f; chmod 7777 /tmp/o/f');
is($d->ctl(['cp', 'x:/tmp/o/f', "$dir/onto"])->{status}, 0, 'over a link');
is(slurp("$dir/host/secret"), 'SECRET-OF-THE-HOST', 'whose target stays');
is((lstat "$dir/onto/f")[2] & 07000, 01000, 'no set-id bit comes along');
symlink "$dir/host", "$dir/onto/o";
like($d->ctl(['cp', 'x:/tmp/o', "$dir/onto"])->{err}, qr/link leads out/,
    'a directory of ours that is a link is not entered');
is(join(' ', glob "$dir/host/*"), "$dir/host/secret", 'nothing in it');

# Who fills all places for copies costs his own sandbox only.
$d->ok('sandbox.create', { id => 'y' });
$d->exec('x', 'head -c 5000000 /dev/zero >/tmp/large');
my @stuck;
for (1 .. 20) {
	my $pid = open(my $fh, '-|', program('sandboxctl'), '--socket', $d->{socket},
	    'cp', 'x:/tmp/large', '-') or die;
	push @stuck, [$pid, $fh];
}
ok(wait_for(20, sub { $d->ctl(['ps', 'x'])->{err} =~ /copies and lists are being made/ }),
    'one place too many is told so');
is($d->ctl(['ps', 'y'])->{status}, 0, 'another sandbox is as it was');
kill 'KILL', map { $_->[0] } @stuck;
close $_->[1] for @stuck;
ok(wait_for(20, sub { $d->ctl(['ps', 'x'])->{status} == 0 }), 'places are free when their clients are gone');
done_testing;
