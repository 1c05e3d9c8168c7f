# A45: mounts of the inside do not show on the host, nor later ones of the host
# inside; not even from a sandbox that can mount.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
my $ro = Sandboxd->scratch_dir;
my $rw = Sandboxd->scratch_dir(0777);
mkdir("$_/late") for $ro, $rw;
my @m = (mounts => [helper_mount('hostile'), { source => $ro, target => '/mnt/ro' },
    { source => $rw, target => '/mnt/rw', mode => 'rw' }]);
my $open = unguarded('seccomp landlock');
my $d = Sandboxd->start;
$_->ok('sandbox.create', { id => 'p', @m }) for $open, $d;
sub mine { return join("\n", grep { /\Q$ro\E|\Q$rw\E|\Q$d->{dir}\E|\Q$open->{dir}\E/ } split /\n/, slurp('/proc/self/mountinfo')) }
my $before = mine();
is(hostile($open, 'p', ['nested'])->{'mount:tmpfs'}, 'ok', 'one without filter and Landlock mounts');
is(mine(), $before, 'and the host sees nothing of it');
# Judged by the kernel's word: nothing inside is shared or a slave of the host's.
for my $x ($open, $d) {
	my ($init) = $x->children(qr/init\W+p/);
	my @tags = grep { / (?:shared|master):\d+ / } split /\n/, slurp("/proc/$init/mountinfo");
	is(join("\n", @tags), '', 'no mount of it is shared with anything');
}
# Between two of the host's namespaces it does pass when nobody forbids it.
my $r = run_cmd(['unshare', '-m', '/bin/sh', '-c', "mount --bind $ro $ro && mount --make-shared $ro && "
    . "unshare -m --propagation unchanged sleep 5 & sleep 0.3; mount -t tmpfs none $ro/late 2>/dev/null; "
    . "p=\$(pgrep -nf 'sleep 5'); nsenter -m -t \$p grep -c '$ro/late' /proc/self/mountinfo; kill \$p"], timeout => 20);
SKIP: {
	skip 'mounts cannot be shared here', 1 if $r->{out} eq '';
	cmp_ok($r->{out}, '>', 0, 'where mounts are shared a later one passes');
}
for my $dir ($ro, $rw) {
	is(run_cmd(['mount', '-t', 'tmpfs', 'none', "$dir/late"])->{status}, 0, 'a mount on the host, later');
	spew("$dir/late/secret", "late\n");
}
for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	is($d->sh('p', 'cat /mnt/ro/late/secret /mnt/rw/late/secret', %$as)->{stdout}, '',
	    "$who: a later mount of the host is not seen");
}
is($open->sh('p', 'cat /mnt/ro/late/secret')->{stdout}, '', 'nor there');
run_cmd(['umount', "$_/late"]) for $ro, $rw;
done_testing;
