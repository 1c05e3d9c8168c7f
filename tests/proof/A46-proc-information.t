# A46: what /proc and /sys tell of others: processes, mounts, addresses and the log
# of the kernel, its memory, firmware.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
my $word = 'planted' . int(rand 1e9);
my $d = Sandboxd->start;
my $open = unguarded('masks');
$_->ok('sandbox.create', { id => 'a' }) for $d, $open;
$d->ok('sandbox.create', { id => 'b' });
my $c = $d->client;
$c->send('sandbox.exec', { id => 'b', command => ['/bin/sh', '-c', "sleep 300; : $word"] });
my $pid = fork // die;
exec('/bin/sh', '-c', "sleep 300; : $word") if $pid == 0;
ok(wait_for(10, sub { (grep { Sandboxd::title_of($_) =~ /$word/ } descendants($$)) >= 2 }),
    'on the host both are seen');
# Masks: what they cover can be read where they are off.
my @masked = grep { -e } map { "/proc/$_" } qw(kallsyms timer_list vmallocinfo keys key-users);
my @told = grep { $open->sh('a', "head -c 9 $_ | wc -c")->{stdout} eq "9\n" } @masked;
cmp_ok(scalar @told, '>', 0, "without masks these tell something: @told");
for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	unlike($d->sh('a', 'cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ /proc/[0-9]*/comm', %$as)->{stdout},
	    qr/$word/, "$who: no process of the host or of another sandbox");
	# every number that a process of either has on the host
	my $n = join(' ', $pid, $d->{pid}, (map { descendants($_) } $d->{pid}));
	is($d->sh('a', "for p in $n; do test \$p -lt 100 || cat /proc/\$p/comm; done 2>/dev/null", %$as)->{stdout},
	    '', "$who: nor by its number");
	my $m = $d->sh('a', 'cat /proc/self/mountinfo /proc/self/mounts /proc/1/mountinfo 2>/dev/null', %$as)->{stdout};
	my ($below) = $d->{dir};
	unlike($m, qr/sandboxd-t.*upper|\Q$d->{run}\E/, "$who: the host's mounts are not told");
	cmp_ok(scalar(split /\n/, $m), '<', 180, "$who: few mounts are");
	for my $path (@masked, qw(/proc/kcore /proc/kmsg /proc/sched_debug /proc/latency_stats /proc/kpagecount)) {
		next unless -e $path;
		is($d->sh('a', "head -c 64 $path 2>/dev/null | wc -c", %$as)->{stdout}, "0\n", "$who: $path tells nothing");
	}
	isnt($d->sh('a', 'dmesg', %$as)->{exit_code}, 0, "$who: dmesg is refused");
	for my $dir (qw(/sys/kernel/debug /sys/kernel/tracing /sys/firmware /sys/fs/bpf /proc/acpi /proc/scsi /sys/fs/pstore)) {
		is($d->sh('a', "ls -A $dir 2>/dev/null | head -n 3", %$as)->{stdout}, '', "$who: $dir is empty or closed");
	}
	is($d->sh('a', 'find /sys /proc/sys /proc/irq /proc/bus /proc/fs -type f -perm -o+w -exec sh -c '
	    . '"echo >\$0 && echo \$0" {} \; 2>/dev/null | head', %$as, timeout_ms => 60000)->{stdout}, '',
	    "$who: nothing below /sys can be written");
	unlike($d->sh('a', 'cat /proc/self/cgroup /proc/1/cgroup; hostname; cat /proc/sys/kernel/hostname', %$as)->{stdout},
	    qr/sandboxd-|\Q@{[(POSIX::uname())[1]]}\E/, "$who: neither groups nor the name of the host");
	is($d->sh('a', 'cat /proc/net/unix | wc -l', %$as)->{stdout} < 20 ? 1 : 0, 1, "$who: sockets of its own only");
}
kill('KILL', $pid);
waitpid($pid, 0);
done_testing;
