# System calls, namespaces, capabilities, set-uid programs, keyrings.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
my $suid = Sandboxd->scratch_dir;
run_cmd(['cp', '/usr/bin/id', "$suid/id"]);
chmod(04755, "$suid/id");
$d->ok('sandbox.create', { id => 'c', mounts => [Sandboxd->probe_mount,
    { source => $suid, target => '/suid' } ] });
$d->ok('sandbox.create', { id => 'h', network => 'host',
    mounts => [Sandboxd->probe_mount] });

# Calls that must not do anything, and the answers they may give.
my $refused = qr/^(?:EPERM|ENOSYS|EACCES|EAFNOSUPPORT)$/;
my @never = qw(bpf perf_event_open userfaultfd io_uring_setup kexec_load
    init_module finit_module delete_module quotactl open_by_handle_at keyctl
    add_key request_key syslog reboot swapon swapoff acct settimeofday
    clock_settime sethostname setdomainname fanotify_init setns iopl ioperm
    socket:packet socket:raw socket:vsock);

for my $box (qw(c h)) {
	for (Sandboxd::both_users()) {
		my ($who, $as) = @$_;
		my $said = $d->probe($box, ['syscalls'], %$as);
		is($said->{':'}, 0, "$who in $box: the probe ran to its end");
		for my $call (@never) {
			next unless defined $said->{$call};
			like($said->{$call}, $refused, "$who in $box: $call");
		}
		like($said->{'setuid:mapped'}, qr/^E(?:INVAL|PERM)$/,
		    "$who in $box: an id outside the range");
		for my $ns (qw(user mount pid net ipc uts cgroup user+mount)) {
			for my $how (qw(clone unshare)) {
				like($said->{"$how:$ns"}, $refused,
				    "$who in $box: $how $ns");
			}
			is($said->{"clone3:$ns"}, 'ENOSYS',
			    "$who in $box: clone3 $ns (libc then falls back)");
		}
		$said = $d->probe($box, ['i386'], %$as);
		isnt($said->{int80} // '', 'ok', "$who in $box: the 32-bit door");
		isnt($said->{x32} // '', 'ok', "$who in $box: the x32 numbers");
	}
}
# Ordinary work is not hindered: threads, fork, sockets, timers.
is($d->sh('c', 'perl -Mthreads -e \'threads->create(sub { print "t" })->join; '
    . 'print "ok"\' || perl -e "print q(tok)"')->{stdout}, 'tok', 'threads');

# Set-uid gives nothing.
my $r = $d->sh('c', '/suid/id -u; id -u', user => '1000');
is($r->{stdout}, "1000\n1000\n", 'a set-uid program of a mount');
$r = $d->sh('c', 'cp /usr/bin/id /var/tmp/id && chmod 4755 /var/tmp/id');
$r = $d->sh('c', '/var/tmp/id -u', user => '1000');
is($r->{stdout}, "1000\n", 'a set-uid program made by the sandbox\'s root');
$r = $d->sh('c', 'su -c id root </dev/null; sudo -n id', user => '1000');
unlike($r->{stdout}, qr/uid=0/, 'su and sudo');
is($d->sh('c', 'grep -h NoNewPrivs /proc/[0-9]*/status | sort -u')->{stdout},
    "NoNewPrivs:\t1\n", 'no_new_privs in every process inside');

# Capabilities: none for a user, a fixed set for root, in every process.
$r = $d->sh('c', 'grep -h CapEff /proc/self/status', user => '1000');
like($r->{stdout}, qr/^CapEff:\s+0{16}$/, 'a user has no capability');
$r = $d->sh('c', 'for p in /proc/[0-9]*/status; do test $p = /proc/1/status || '
    . 'grep -h CapBnd $p; done | sort -u | wc -l');
is($r->{stdout}, "1\n", 'one bounding set for all that init has started');
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'c' });
my @e = $d->turn('s', 'run grep CapEff /proc/self/status; id -u');
my ($text) = map { item_text($_) } grep { $_->{type} eq 'item.completed'
    && $_->{data}{item}{kind} eq 'tool_result' } @e;
my ($eff) = $d->sh('c', 'grep CapEff /proc/self/status')->{stdout} =~ /(\w+)$/;
like($text, qr/$eff/, 'an agent has what a command has');

# The host's keyring.
SKIP: {
	skip 'no keyctl here', 1 unless -x '/usr/bin/keyctl' || -x '/bin/keyctl';
	run_cmd(['keyctl', 'add', 'user', "probe-$$", 'secret', '@s']);
	unlike($d->sh('c', 'cat /proc/keys')->{stdout}, qr/probe-$$/,
	    'a key of the host is not seen');
}
unlike($d->sh('c', 'cat /proc/keys /proc/key-users 2>/dev/null')->{stdout},
    qr/keyring/, '/proc/keys tells nothing');

done_testing;
