# A40: images with links in the place of directories, device nodes, whiteouts and
# overlayfs's own attributes. What the image says is contained. (Layers and opaque
# directories of archives need images by HTTP, which are a later feature: here
# images are directories.)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
use Sandboxd;
need_program('busybox');
my $host = Sandboxd->scratch_dir(0777);
spew("$host/secret", "of the host\n");
sub image {
	my ($spoil) = @_;
	my $dir = Sandboxd->scratch_dir;
	mkdir("$dir/$_") for qw(bin etc dev proc sys tmp run root);
	run_cmd(['cp', '/bin/busybox', "$dir/bin/busybox"]);
	symlink('busybox', "$dir/bin/$_") for qw(sh cat ls echo head stat dd find);
	spew("$dir/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
	$spoil->($dir);
	return $dir;
}
my $d = Sandboxd->start;
my $image = image(sub {
	my ($i) = @_;
	run_cmd(['mknod', "$i/mem", 'c', 1, 1]);
	run_cmd(['mknod', "$i/kmsg", 'c', 1, 11]);
	run_cmd(['mknod', "$i/zero", 'c', 1, 5]);
	run_cmd(['mknod', "$i/disk", 'b', 7, 0]);
	run_cmd(['mknod', "$i/white", 'c', 0, 0]);
	chmod(0666, map { "$i/$_" } qw(mem kmsg zero disk));
	mkdir("$i/opaque");
	spew("$i/opaque/f", 'x');
	run_cmd(['perl', '-e', 'for my $p ("trusted.overlay.redirect", "user.overlay.redirect") { '
	    . 'my ($f, $v) = ("$ARGV[0]/opaque", $ARGV[1]); syscall(188, $f, $p, $v, length $v, 0) } '
	    . 'for my $p ("trusted.overlay.opaque", "user.overlay.opaque") { my ($f, $v) = ("$ARGV[0]/opaque", "y"); '
	    . 'syscall(188, $f, $p, $v, 1, 0) } '
	    . 'for my $p ("user.overlay.metacopy", "trusted.overlay.metacopy") { my ($f, $v) = ("$ARGV[0]/etc/passwd", ""); }',
	    $i, $host]);
	symlink($host, "$i/out");
	symlink('../../../../../..' . $host, "$i/out2");
	mkdir("$i/suid");
	run_cmd(['cp', '/bin/busybox', "$i/suid/id"]);
	chmod(04755, "$i/suid/id");
});
# On the host these nodes work: they are what they seem.
is(run_cmd(['head', '-c', 3, "$image/zero"])->{out}, "\0\0\0", 'on the host such a node is read');
is(run_cmd(['cat', "$image/out/secret"])->{out}, "of the host\n", 'and such a link leads to the host');
my $r = $d->request('sandbox.create', { id => 'i', image => $image });
ok($r->{ok}, 'a sandbox is made of it') or diag(to_json($r));
for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	for my $node (qw(mem kmsg zero disk)) {
		my $x = $d->sh('i', "head -c 3 /$node; echo x >/$node", %$as);
		is($x->{stdout}, '', "$who: the image's node $node is not read");
		isnt($x->{exit_code}, 0, "$who: nor written");
	}
	is($d->sh('i', 'cat /out/secret /out2/secret', %$as)->{stdout}, '', "$who: links lead nowhere");
	is($d->sh('i', 'ls /white 2>/dev/null', %$as)->{stdout}, '', "$who: a whiteout is no file");
	unlike($d->sh('i', 'cat /opaque/* ; find /opaque', %$as)->{stdout}, qr/secret|of the host/,
	    "$who: a redirect leads nowhere");
}
# The places that we make things in must be directories: it fails closed.
for my $name (qw(proc dev sys tmp run)) {
	my $bad = image(sub { rmdir("$_[0]/$name"); symlink($host, "$_[0]/$name") });
	is($d->error('sandbox.create', { id => "x$name", image => $bad }), 'sandbox_failed', "/$name is a link: refused");
}
# /etc as a link: what is read there is of the image or not at all.
my $etc = image(sub { rename("$_[0]/etc", "$_[0]/real"); symlink($host, "$_[0]/etc") });
spew("$host/passwd", "root:x:0:0::/nowhere:/bin/sh\n");
$r = $d->request('sandbox.create', { id => 'etc', image => $etc });
if ($r->{ok}) {
	is($d->sh('etc', 'cat /etc/secret; echo $HOME')->{stdout} =~ /of the host|nowhere/ ? 1 : 0, 0,
	    '/etc is a link out: nothing of the host');
} else {
	ok(1, '/etc is a link out: refused');
}
is(join(' ', map { s{.*/}{}r } sort glob("$host/*")), 'passwd secret', 'the host has nothing new');
done_testing;
