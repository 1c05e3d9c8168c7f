# A08 (CVE-2022-0492): control groups of version 1 and their release_agent.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
my @controllers = map { /^(\w+)\t/ ? $1 : () } split /\n/, slurp('/proc/cgroups');
my @mounts = (mounts => [helper_mount('hostile')]);
my $open = unguarded('seccomp landlock');
$open->ok('sandbox.create', { id => 'c', @mounts });
my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => 'c', @mounts });
# Found where they exist: on this host, by its root.
my $here = run_cmd(['find', '/sys/fs/cgroup', '-maxdepth', 2, '-name', 'release_agent'])->{out};
my %was = map { $_ => slurp($_) } split /\n/, $here;
for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	my $free = hostile($open, 'c', ['nested'], %$as);
	is($free->{'mount:cgroup2'}, 'ok',
	    "$who: without filter and Landlock control groups can be mounted")
	    or diag(to_json($free));
	my $said = hostile($d, 'c', ['nested'], %$as);
	is($said->{$_}, 'EPERM', "$who: $_") for qw(mount:cgroup mount:cgroup2);
	for my $c (@controllers, 'none,name=systemd', 'none,name=x') {
		isnt($d->sh('c', "mkdir -p /tmp/c; mount -t cgroup -o $c none /tmp/c", %$as)->{exit_code},
		    0, "$who: mount of $c");
	}
	is($d->sh('c', 'find / -xdev -name release_agent -print; find /sys /proc -name release_agent '
	    . '2>/dev/null', %$as)->{stdout}, '', "$who: no release_agent is there");
	is($d->sh('c', 'cat /proc/self/cgroup | cut -d: -f3 | sort -u', %$as)->{stdout}, "/\n",
	    "$who: its own group is the root of what it sees");
}
is(slurp($_), $was{$_}, "$_ is as it was") for sort keys %was;
my ($init) = $d->children(qr/init\W+c/);
isnt(readlink("/proc/$init/ns/cgroup"), readlink('/proc/self/ns/cgroup'),
    'a control group namespace of its own');
done_testing;
