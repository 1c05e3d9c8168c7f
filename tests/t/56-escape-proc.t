# /proc and /sys: the kernel's switches cannot be turned, its secrets not read.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
my @probe = (mounts => [Sandboxd->probe_mount]);
$d->ok('sandbox.create', { id => 'none', @probe });
$d->ok('sandbox.create', { id => 'host', network => 'host', @probe });

my @watched = qw(kernel/core_pattern kernel/modprobe kernel/hostname
    kernel/randomize_va_space kernel/pid_max vm/overcommit_memory vm/drop_caches
    fs/suid_dumpable net/ipv4/ip_forward net/core/somaxconn
    kernel/yama/ptrace_scope kernel/panic);
sub sysctls { return join("\n", map { "$_=" . (slurp("/proc/sys/$_") // '') } @watched) }
my $before = sysctls();

for my $box (qw(none host)) {
	for (Sandboxd::both_users()) {
		my ($who, $as) = @$_;
		# Writing back what was read does no harm if it is let through.
		my $r = $d->sh($box, 'find /proc/sys -type f 2>/dev/null | while read f; do '
		    . 'v=$(cat "$f" 2>/dev/null) || continue; '
		    . '(printf "%s" "$v" >"$f") 2>/dev/null && echo "$f"; done',
		    %$as, timeout_ms => 60000);
		# What belongs to a network namespace of its own is harmless.
		my @open = grep { !($box eq 'none' && m{^/proc/sys/net/}) }
		    split /\n/, $r->{stdout};
		is("@open", '', "$who in $box: nothing below /proc/sys takes a write");
		for my $try ('echo "|/tmp/x" >/proc/sys/kernel/core_pattern',
		    'echo b >/proc/sysrq-trigger', 'echo 1 >/proc/sys/vm/drop_caches',
		    'echo /tmp/x >/proc/sys/kernel/modprobe',
		    'echo /tmp/x >/sys/kernel/uevent_helper',
		    'echo -1000 >/proc/1/oom_score_adj',
		    'echo 0 >/proc/self/oom_score_adj && echo -900 >/proc/self/oom_score_adj',
		    'echo 1 >/proc/sys/net/ipv4/ip_forward') {
			isnt($d->sh($box, "$try 2>/dev/null", %$as)->{exit_code}, 0,
			    "$who in $box: $try");
		}
	}
}
is(sysctls(), $before, 'no switch of the kernel has moved');

for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	is($d->sh('none', 'head -c 100 /proc/kcore /proc/kmsg /proc/kpagecount '
	    . '2>/dev/null', %$as)->{stdout} =~ s/==>.*?<==|\s//gr, '',
	    "$who: memory of the kernel");
	isnt($d->sh('none', 'dmesg 2>/dev/null', %$as)->{exit_code}, 0, "$who: dmesg");
	my $k = $d->sh('none', 'head -n 50 /proc/kallsyms 2>/dev/null | cut -c1-16 | '
	    . 'sort -u', %$as)->{stdout};
	ok($k eq '' || $k =~ /^0+$/, "$who: addresses of the kernel");
	is($d->sh('none', 'ls -A /sys/kernel/debug /sys/kernel/tracing /sys/firmware '
	    . '/sys/fs/bpf 2>/dev/null | grep -v : | grep .', %$as)->{stdout}, '',
	    "$who: debugfs, tracing, firmware, bpf");
	# Control groups: nothing can be written, no release_agent exists.
	my $r = $d->sh('none', 'find /sys/fs/cgroup \\( -name release_agent -o '
	    . '-name cgroup.procs -o -name tasks \\) -writable 2>/dev/null | while '
	    . 'read f; do echo 0 2>/dev/null >>$f && echo $f; done | head', %$as);
	is($r->{stdout}, '', "$who: no control group can be joined or changed");
	is($d->sh('none', 'find / -xdev -name release_agent 2>/dev/null | head -1',
	    %$as)->{stdout}, '', "$who: no release_agent");
	# Links and mounts over parts of /proc do not redirect our own writes.
	$d->sh('none', 'ln -sf /tmp/x /proc/self/attr/exec 2>/dev/null', %$as);
	is($d->sh('none', 'echo on', %$as)->{stdout}, "on\n", "$who: joins go on");
}
# The host is not told by its own names.
unlike($d->sh('none', 'cat /proc/self/cgroup /proc/1/cgroup')->{stdout},
    qr/sandboxd/, 'cgroup paths of the host are not shown');
my $host_mounts = $d->sh('none', 'wc -l </proc/self/mountinfo')->{stdout};
ok($host_mounts < 60, "few mounts are shown ($host_mounts)");

done_testing;
