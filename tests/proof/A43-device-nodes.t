# A43: no node can be made, and those that are there are harmless.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
my $probe = Sandboxd->probe_mount;
my @m = (mounts => [$probe]);
my $open = unguarded('seccomp caps');
my $d = Sandboxd->start;
$_->ok('sandbox.create', { id => 'd', @m }) for $open, $d;
# On the host, as root of the host, nodes can be made and opened.
my $dir = Sandboxd->scratch_dir;
my $said = said(run_cmd([$probe->{source}, 'nodes', $dir]));
is($said->{null}, 'ok', 'on the host a node is made');
unlink(glob("$dir/*"));
my %may = map { $_ => 1 } qw(null zero full random urandom tty ptmx pts shm mqueue fd stdin stdout stderr);
for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	my @there = split ' ', $d->sh('d', 'ls -A /dev', %$as)->{stdout};
	is(join(' ', grep { !$may{$_} } @there), '', "$who: /dev holds only what is harmless");
	is(join(' ', grep { my $n = $_; !grep { $_ eq $n } @there } sort keys %may), '', "$who: and all of that");
	is($d->sh('d', 'find / -xdev \( -type b -o -type c \) ! -path "/dev/*" ! -path "/proc/*" 2>/dev/null | head', %$as)
	    ->{stdout}, '', "$who: no node anywhere else");
	for my $at (qw(/tmp /dev /dev/shm /var/tmp /run)) {
		my $s = $d->probe('d', ['nodes', $at], %$as);
		is(join(' ', grep { ($s->{$_} // '') eq 'ok' } keys %$s), '', "$who: none made in $at");
	}
	is($d->probe('d', ['nodes', '/tmp'], %$as)->{sda}, 'EPERM', "$who: the filter says no");
	isnt($open->probe('d', ['nodes', '/tmp'], %$as)->{sda}, 'ok',
	    "$who: without it the user namespace still does");
	# every disk of the host, by every name
	my @disks = map { "/dev/$_" } grep { !m{^\.} } map { s{.*/}{}r } glob('/sys/block/*');
	isnt($d->sh('d', "head -c 1 $_", %$as)->{exit_code}, 0, "$who: $_ does not open")
	    for @disks[0 .. ($#disks > 6 ? 6 : $#disks)], '/dev/mem', '/dev/kmsg', '/dev/kvm', '/dev/fuse', '/dev/loop-control';
	# what a link in /dev leads to is of the process itself
	is($d->sh('d', 'readlink /dev/fd /dev/stdin /dev/ptmx | tr "\n" " "', %$as)->{stdout},
	    '/proc/self/fd /proc/self/fd/0 pts/ptmx ', "$who: links are as they should be");
}
done_testing;
