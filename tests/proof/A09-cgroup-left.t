# A09: leaving the control group, by writing to others' and by forking wildly.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => 'g', mounts => [helper_mount('hostile')],
    limits => { pids => 300 } });
my ($init) = $d->children(qr/init\W+g/);
sub groups_of { return join("\n", sort split /\n/, slurp("/proc/$_[0]/cgroup") // 'gone') }
my $group = groups_of($init);
isnt($group, groups_of($$), 'it has groups of its own');

# Where the files can be written, one write is enough: as root of the host.
my ($v, $path) = $group =~ /^\d+:((?:pids)?):(\/.*sandboxd.*)$/m;
my ($dir) = grep { -e "$_/cgroup.procs" } map { "$_$path" }
    $v eq 'pids' ? '/sys/fs/cgroup/pids' : ('/sys/fs/cgroup', '/sys/fs/cgroup/unified');
SKIP: {
	skip 'its group is not below /sys/fs/cgroup here', 1 unless $dir;
	my $pid = fork // die "fork: $!";
	exec('sleep', 60) if $pid == 0;
	my $was = groups_of($pid);
	my ($mine) = $was =~ /^\d+:\Q$v\E:(.*)$/m;
	spew("$dir/cgroup.procs", $pid);
	my $moved = groups_of($pid) ne $was;
	(my $top = $dir) =~ s/\Q$path\E$//;
	spew("$top$mine/cgroup.procs", $pid);
	is($moved && groups_of($pid) eq $was, 1, 'on the host a write moves a process in and out');
	kill('KILL', $pid);
	waitpid($pid, 0);
}
for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	my $r = $d->sh('g', 'find / -xdev -name cgroup.procs -o -name tasks -path "*cgroup*" 2>/dev/null; '
	    . 'find /sys/fs/cgroup /proc -maxdepth 4 \( -name cgroup.procs -o -name cgroup.threads \) -writable '
	    . '2>/dev/null', %$as);
	is($r->{stdout}, '', "$who: there is no file of a control group to write");
	$r = hostile($d, 'g', ['spread', rounds(1000)], %$as);
	is($r->{spread}, rounds(1000), "$who: forked in every way");
	my @all = ($init, descendants($init));
	my @out = grep { my $g = groups_of($_); $g ne $group && $g ne 'gone' } @all;
	is(join(' ', map { "$_: " . groups_of($_) } @out), '', "$who: all " . @all . ' are in its groups');
	cmp_ok(scalar @all, '>', 5, "$who: some have stayed");
	# and none hides elsewhere: by their pid namespace, over the whole machine
	my $ns = readlink("/proc/$init/ns/pid");
	my %known = map { $_ => 1 } $init, descendants($init);
	my @lost = grep { (readlink("/proc/$_/ns/pid") // '') eq $ns && !$known{$_} }
	    map { m{/(\d+)$} } glob('/proc/[0-9]*');
	@lost = grep { my $p = $_; (groups_of($p) ne $group) && -d "/proc/$p" } @lost;
	is("@lost", '', "$who: no process of its pid namespace is anywhere else");
	$d->sh('g', 'kill -9 -1');
}
$d->ok('sandbox.destroy', { id => 'g' });
ok(wait_for(10, sub { !grep { /spread/ } map { slurp("/proc/$_/comm") // '' } descendants($$) }),
    'destroy ends all of them');
done_testing;
