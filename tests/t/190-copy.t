# sandboxctl cp: files and trees into a sandbox and out of it, and tar streams.
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

sub cp { return $d->ctl(['cp', @_], timeout => 120) }
# mode, owner, size, links, time, type, name; one line each
sub look {
	my ($root) = @_;
	return run_cmd(['sh', '-c', "cd '$root' && find . -printf " .
	    "'%M %U:%G %s %n %T@ %p %l\\n' | sort -k6 | grep -v '^d.* \\. \$'"])->{out};
}
sub look_inside {
	my ($root) = @_;
	return $d->exec('x', ['sh', '-c', "cd '$root' && find . -printf " .
	    "'%M %U:%G %s %n %T@ %p %l\\n' | sort -k6 | grep -v '^d.* \\. \$'"])->{stdout};
}
sub sizeless { return join "\n", map { s/^(d\S+ \S+) \d+ \d+/$1/r } split /\n/, $_[0] }

# A tree with a bit of everything.
mkdir "$dir/$_" for qw(tree tree/sub tree/empty tree/locked);
spew("$dir/tree/a", "hello\n");
spew("$dir/tree/sub/b", join '', map { "line $_\n" } 1 .. 200000);
spew("$dir/tree/locked/inside", 'x');
spew("$dir/tree/" . 'n' x 200, 'long');
spew("$dir/tree/with \n newline", 'nl');
link "$dir/tree/a", "$dir/tree/sub/hard";
symlink '../a', "$dir/tree/sub/soft";
symlink '/etc/passwd', "$dir/tree/absolute";
symlink 'y' x 150, "$dir/tree/dangling";
run_cmd(['truncate', '-s', '64M', "$dir/tree/sparse"]);
chown 1000, 1001, "$dir/tree/a", "$dir/tree/sub";
run_cmd(['chown', '-h', '12:13', "$dir/tree/sub/soft"]);
chmod 0640, "$dir/tree/a";
chmod 0555, "$dir/tree/locked";
utime 1000000000, 1000000001, "$dir/tree/sub/b", "$dir/tree/empty";

my $r = cp("$dir/tree", 'x:/tmp');
is("$r->{status}$r->{err}", '0', 'a tree goes in');
my ($here, $there) = (look("$dir/tree"), look_inside('/tmp/tree'));
ok(length $there > 300, 'it is there');
is(sizeless($there), sizeless($here), 'modes, owners, sizes, links, times as they were');
my $blocks = $d->exec('x', ['stat', '-c', '%b', '/tmp/tree/sparse'])->{stdout};
ok($blocks < 1024, 'holes stay holes') or diag($blocks);
is($d->exec('x', ['sha256sum', '/tmp/tree/sub/b'])->{stdout} =~ s/ .*//rs,
    run_cmd(['sha256sum', "$dir/tree/sub/b"])->{out} =~ s/ .*//rs, 'the same bytes');

$r = cp('x:/tmp/tree', "$dir/back");
is("$r->{status}$r->{err}", '0', 'and comes out under a new name');
is(sizeless(look("$dir/back")), sizeless($here), 'the same again');

# Where it goes, as with cp(1).
is(cp("$dir/tree/a", 'x:/tmp/new')->{status}, 0, 'one file under a new name');
is($d->exec('x', ['cat', '/tmp/new'])->{stdout}, "hello\n", 'is that file');
is(cp("$dir/tree/sub/b", 'x:/tmp/new')->{status}, 0, 'over a file that is there');
is($d->exec('x', ['head', '-1', '/tmp/new'])->{stdout}, "line 1\n", 'which it replaces');
is(cp("$dir/tree/a", "$dir/tree/sub/b", 'x:/tmp/many')->{status}, 0, 'several, where nothing is');
is($d->exec('x', ['ls', '/tmp/many'])->{stdout}, "a\nb\n", 'make a directory');
mkdir "$dir/dst";
is(cp('x:/tmp/many/a', 'x:/tmp/many/b', "$dir/dst")->{status}, 0, 'several come out');
is(join(' ', sort map { s{.*/}{}r } glob "$dir/dst/*"), 'a b', 'into a directory');
is(cp('x:/tmp/many/.', "$dir/dst2")->{status}, 0, 'the contents of one');
is(join(' ', sort map { s{.*/}{}r } glob "$dir/dst2/*"), 'a b', 'into a new one');
like(cp("$dir/tree/a", 'x:/no/such/name')->{err}, qr{/no/such.*No such file}, 'no directory');
like(cp("$dir/tree/a", 'x:/tmp/none/')->{err}, qr/no such directory/, 'nor with a slash behind');
like(cp('x:/no/such', "$dir/dst")->{err}, qr/No such file/, 'no source inside');
like(cp("$dir/none", 'x:/tmp')->{err}, qr/none: No such file/, 'no source outside');
is($d->exec('x', ['ls', '/tmp/none'])->{exit_code}, 2, 'and nothing has come of that');
ok(!-e "$dir/dst/such", 'on neither side');
for (['x:/tmp/a', 'x:/tmp/b'], ["$dir/tree/a", 'x:/tmp/a', "$dir/dst"],
    ["$dir/tree/a", "$dir/dst"]) {
	is(cp(@$_)->{status}, 100, 'wrong use: ' . join ' ', map { s{^/.*/}{}r } @$_);
}

# Owners and set-id bits.
chmod 06755, "$dir/tree/a";
cp("$dir/tree/a", 'x:/tmp/setid');
is($d->exec('x', ['stat', '-c', '%a', '/tmp/setid'])->{stdout}, "755\n", 'set-id bits are dropped');
cp('--setid', "$dir/tree/a", 'x:/tmp/setid');
is($d->exec('x', ['stat', '-c', '%a %u', '/tmp/setid'])->{stdout}, "6755 1000\n", 'unless asked for');
cp('x:/tmp/setid', "$dir/setid");
is(sprintf('%o', (stat "$dir/setid")[2] & 07777), '755', 'nor do they come out');
is((stat _)[4], 1000, 'an owner does');
cp('--no-owner', 'x:/tmp/setid', "$dir/owner");
is((stat "$dir/owner")[4], 0, 'unless told not to');
cp('--owner', 'nobody', "$dir/tree/a", 'x:/tmp/given');
is($d->exec('x', ['stat', '-c', '%U', '/tmp/given'])->{stdout}, "nobody\n", 'all to one');
like(cp('--owner', 'nosuch', "$dir/tree/a", 'x:/tmp/given')->{err}, qr/nosuch/, 'who must be there');
chown 70000, 70000, "$dir/tree/a";
like(cp("$dir/tree/a", 'x:/tmp/far')->{err}, qr/70000:70000 does not exist/,
    'an owner that the sandbox does not have');
is(cp('--no-owner', "$dir/tree/a", 'x:/tmp/far')->{status}, 0, 'is no hindrance then');

# Streams, as tar(1) has them.
$r = run_cmd(['sh', '-c', "tar -C '$dir' -cf - tree | '" . program('sandboxctl') .
    "' --socket '$d->{socket}' cp --no-owner - x:/srv/s/deep"]);
is("$r->{status}$r->{err}", '0', 'a stream of tar(1) goes in');
is($d->exec('x', ['cat', '/srv/s/deep/tree/a'])->{stdout}, "hello\n", 'to where it was told');
$r = run_cmd(['sh', '-c', "mkdir '$dir/s' && '" . program('sandboxctl') .
    "' --socket '$d->{socket}' cp x:/tmp/tree - | tar -C '$dir/s' --numeric-owner -xpf -"]);
is("$r->{status}$r->{err}", '0', 'tar(1) reads one that comes out');
is(sizeless(look("$dir/s/tree")), sizeless(look("$dir/back")), 'and finds the same');
$r = run_cmd(['sh', '-c', "echo nonsense | '" . program('sandboxctl') .
    "' --socket '$d->{socket}' cp - x:/tmp/q"]);
like($r->{err}, qr/not a tar archive/, 'a stream that is none');

# What cannot be copied is left out and told.
run_cmd(['mkfifo', "$dir/fifo"]);
mkdir "$dir/odd";
rename "$dir/fifo", "$dir/odd/fifo";
spew("$dir/odd/plain", 'p');
$r = cp("$dir/odd", 'x:/tmp');
like($r->{err}, qr/1 devices, FIFOs/, 'a FIFO is left out, and that is said');
is($d->exec('x', ['ls', '/tmp/odd'])->{stdout}, "plain\n", 'the rest is there');
$d->exec('x', ['sh', '-c', 'mkdir /tmp/o; mkfifo /tmp/o/f; ln -s /proc/1/root /tmp/o/l; echo 1 >/tmp/o/p']);
$r = cp('x:/tmp/o', "$dir/o");
like($r->{err}, qr/1 devices/, 'and on the way out');
is(readlink("$dir/o/l"), '/proc/1/root', 'a link is a link');
ok(cp('x:/proc/self', "$dir/p")->{status} == 0 && !-d "$dir/p/fd", 'the kernel\'s files are not copied');

# With JSON; stopped, paused, unknown.
$r = $d->ctl(['--json', 'cp', "$dir/odd/plain", 'x:/tmp/j']);
is_deeply(from_json($r->{out}), { entries => 1, bytes => 1, skipped => 0 }, 'counts as JSON');
is($d->error('sandbox.copy.in', { id => 'x', path => '/tmp', fds => 1 }), 'bad_request',
    'without a descriptor');
is($d->error('sandbox.copy.out', { id => 'x', paths => ['tmp'], fds => 1 }), 'bad_request',
    'a relative path');
$d->ok('sandbox.pause', { id => 'x' });
like(cp("$dir/odd/plain", 'x:/tmp/z')->{err}, qr/sandbox is paused/, 'not while it is paused');
$d->ok('sandbox.resume', { id => 'x' });
$d->ok('sandbox.stop', { id => 'x', grace_ms => 0 });
like(cp("$dir/odd/plain", 'x:/tmp/z')->{err}, qr/sandbox is stopped/, 'nor when it is stopped');
like(cp("$dir/odd/plain", 'none:/tmp/z')->{err}, qr/no such sandbox/, 'nor where there is none');

# Somebody leaves in the midst: nothing hangs, nothing is left over.
$d->ok('sandbox.start', { id => 'x' });
for my $way (['in', "head -c 300M /dev/zero | tee /dev/null", '-', 'x:/tmp/cut']) {
	my $pid = fork // die;
	if ($pid == 0) {
		open STDIN, '<', '/dev/zero';
		exec program('sandboxctl'), '--socket', $d->{socket}, 'cp', 'x:/usr', "$dir/cut";
		exit 1;
	}
	wait_for(20, sub { -d "$dir/cut" });
	kill 'KILL', $pid;
	waitpid $pid, 0;
}
ok(wait_for(20, sub {
	my @p = split /\n/, $d->ctl(['ps', 'x'])->{out};
	@p == 2
}), 'a copier that is killed leaves no process inside') or diag($d->ctl(['ps', 'x'])->{out});
is(cp("$dir/odd/plain", 'x:/tmp/z')->{status}, 0, 'and the next one works');
done_testing;
