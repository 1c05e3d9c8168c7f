# A44: remounting, mounting over masks and taking them off, new roots.
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
spew("$ro/f", "host\n");
my @m = (mounts => [Sandboxd->probe_mount, helper_mount('hostile'), { source => $ro, target => '/mnt/ro' }]);
my $open = unguarded('seccomp landlock');
my $d = Sandboxd->start;
$_->ok('sandbox.create', { id => 'm', @m }) for $open, $d;
for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	my $free = hostile($open, 'm', ['nested'], %$as);
	my $said = hostile($d, 'm', ['nested'], %$as);
	for my $call (qw(mount:tmpfs mount:overmask fsopen open_tree)) {
		is($free->{$call}, 'ok', "$who: without filter and Landlock $call succeeds");
		is($said->{$call}, 'EPERM', "$who: with them it does not");
	}
	$said = $d->probe('m', ['syscalls'], %$as);
	like($said->{$_} // 'none', qr/^(?:EPERM|ENOSYS)$/, "$who: $_") for qw(mount:tmpfs mount:proc mount:bind
	    mount:overlay mount:remount mount:shared umount:proc umount:sysrq umount:root pivot_root open_tree
	    move_mount fsopen fspick mount_setattr);
	is($d->probe('m', ['chroot', '/tmp/jail'], %$as)->{chroot}, 'EPERM', "$who: chroot and fchdir");
	my @points = map { (split)[4] } split /\n/, $d->sh('m', 'cat /proc/self/mountinfo', %$as)->{stdout};
	cmp_ok(scalar @points, '>', 10, "$who: mounts are there");
	my $all = join(' ', @points);
	is($d->sh('m', "for m in $all; do umount -l \$m && echo \$m; mount -o remount,bind,rw \$m && echo \$m; "
	    . 'mount --bind /tmp $m && echo $m; done 2>/dev/null', %$as, timeout_ms => 60000)->{stdout}, '',
	    "$who: none is taken off, remounted or covered");
	isnt($d->sh('m', 'echo x >/mnt/ro/f', %$as)->{exit_code}, 0, "$who: what is read-only stays so");
	is($d->sh('m', 'head -c 9 /proc/kallsyms; cat /proc/keys', %$as)->{stdout}, '', "$who: masks hold");
}
is(slurp("$ro/f"), "host\n", 'the host\'s file is as it was');
done_testing;
