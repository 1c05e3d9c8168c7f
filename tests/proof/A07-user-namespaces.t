# A07 (CVE-2022-0185 and its like): no user namespace, and so none of the kernel's
# code that only its root can reach.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc', 'taskset');
my @mounts = (mounts => [Sandboxd->probe_mount, helper_mount('hostile')]);
my $open = unguarded('seccomp landlock');
$open->ok('sandbox.create', { id => 'u', @mounts });
my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => 'u', @mounts });
for my $how ('at full speed', 'on one busy processor') {
	handicapped($d) if $how =~ /one/;
	for (Sandboxd::both_users()) {
		my ($who, $as) = @$_;
		my $said = hostile($d, 'u', ['nested'], %$as);
		my $free = hostile($open, 'u', ['nested'], %$as);
		for my $call ('unshare:user', 'unshare:others', 'mount:tmpfs', 'fsopen', 'open_tree') {
			is($free->{$call}, 'ok', "$who: without filter and Landlock $call succeeds");
			is($said->{$call}, 'EPERM', "$who, $how: with it it does not");
		}
		$said = $d->probe('u', ['syscalls'], %$as);
		$free = $open->probe('u', ['syscalls'], %$as);
		is($said->{"clone3:$_"}, 'ENOSYS', "$who, $how: clone3 $_") for qw(user user+mount);
		is($said->{"clone:$_"}, 'EPERM', "$who, $how: clone $_")
		    for qw(user mount pid net ipc uts cgroup user+mount);
		is($free->{"$_:user"}, 'ok', "$who: $_ succeeds without") for qw(clone clone3);
	}
}
# Judged from outside: everything of the sandbox is in one user namespace.
my %ns = map { (readlink("/proc/$_/ns/user") // 'gone') => 1 }
    map { ($_, descendants($_)) } $d->children(qr/init\W+u/);
delete $ns{gone};
is(scalar keys %ns, 1, 'one user namespace');
isnt((keys %ns)[0], readlink('/proc/self/ns/user'), 'which is not the host\'s');
done_testing;
