# Mount tricks, and what passes between the host's mounts and the sandbox's.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
my $host = Sandboxd->scratch_dir;
spew("$host/f", "host\n");
$d->ok('sandbox.create', { id => 'm', mounts => [Sandboxd->probe_mount,
    { source => $host, target => '/mnt/ro' } ] });
my $before = join("\n", sort map { (split)[4] }
    split /\n/, slurp('/proc/self/mountinfo'));

for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	my $said = $d->probe('m', ['syscalls'], %$as);
	my @calls = grep { /^(?:u?mount|pivot_root|open_tree|move_mount|fsopen|fspick)/ }
	    sort keys %$said;
	ok(@calls > 12, "$who: the probe tried them");
	like($said->{$_}, qr/^(?:EPERM|ENOSYS|EACCES)$/, "$who: $_") for @calls;

	# With the tools that people have.
	for my $cmd ('mount -t tmpfs none /tmp', 'mount --bind / /tmp',
	    'mount -o remount,rw,bind /mnt/ro', 'mount -o remount,rw /',
	    'umount /proc/sysrq-trigger', 'umount -l /mnt/ro', 'umount -l /proc',
	    'umount -l /sys', 'umount -l /dev', 'mount --make-rshared /',
	    'unshare -m true', 'unshare -Ur true', 'unshare -Urm true',
	    'nsenter -t 1 -m true', 'mount -t cgroup -o memory none /tmp',
	    'mount -t debugfs none /tmp', 'mount -t securityfs none /tmp',
	    'mount -t binfmt_misc none /tmp', 'mount -o loop /bin/ls /tmp') {
		isnt($d->sh('m', "$cmd 2>/dev/null", %$as)->{exit_code}, 0,
		    "$who: $cmd");
	}
}
is(join("\n", sort map { (split)[4] } split /\n/, slurp('/proc/self/mountinfo')),
    $before, 'the host\'s mount table is as it was');
is(slurp("$host/f"), "host\n", 'and the read-only file too');

# A host mount made later does not arrive inside.
my $late = "$host/late";
mkdir($late);
if (run_cmd(['mount', '-t', 'tmpfs', 'none', $late])->{status} == 0) {
	spew("$late/secret", "late\n");
	is($d->sh('m', 'cat /mnt/ro/late/secret')->{stdout}, '',
	    'a mount made on the host later is not seen inside');
	run_cmd(['umount', $late]);
}
# Of every mount inside: nothing set-uid, no device.
my @info = map { [split] } split /\n/,
    $d->sh('m', 'cat /proc/self/mountinfo')->{stdout};
for (@info) {
	my ($where, $options) = @$_[4, 5];
	next if $where =~ m{^/dev/};	# the few nodes that are meant
	next if $_->[3] =~ m{/null$};	# a mask is /dev/null itself
	my $ok = $options =~ /nodev/ || $where eq '/dev';
	ok($ok, "$where has no device nodes ($options)");
}
my ($ro) = grep { $_->[4] eq '/mnt/ro' } @info;
like($ro->[5], qr/^ro,|,ro,|^ro$/, 'a read-only mount says so');

# Masks: what an OCI runtime hides is hidden.
for my $path (qw(/proc/kcore /proc/keys /proc/timer_list /proc/sched_debug
    /proc/sysrq-trigger /proc/latency_stats)) {
	next unless -e $path;
	my $r = $d->sh('m', "head -c 64 $path 2>/dev/null | wc -c");
	is($r->{stdout}, "0\n", "$path tells nothing");
}
for my $path (qw(/proc/acpi /proc/scsi /sys/firmware /sys/kernel/debug)) {
	my $r = $d->sh('m', "ls -A $path 2>/dev/null | wc -l");
	is($r->{stdout}, "0\n", "$path is empty");
}
for my $path (qw(/proc/sys /proc/bus /proc/fs /proc/irq /sys)) {
	next unless -e $path;
	my $r = $d->sh('m', "find $path -type f -writable 2>/dev/null | head -n 3; "
	    . "mkdir $path/x 2>/dev/null && echo made");
	unlike($r->{stdout}, qr/made/, "$path takes nothing");
}

done_testing;
