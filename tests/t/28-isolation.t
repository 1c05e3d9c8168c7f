# The isolation record: each mechanism that it claims is looked for from outside.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
my $rec = $d->ok('sandbox.create', { id => 'i' });
my $have = $rec->{isolation};
my ($init) = $d->children(qr/init/);

ok($init, 'its init is seen from outside');
diag('holds: ' . join(' ', grep { $have->{$_} } sort keys %$have));

sub ns { return readlink("/proc/$_[0]/ns/$_[1]") // 'none' }

for (['user', 'user'], ['pid', 'pid_for_children'], ['mount', 'mnt'],
    ['net', 'net'], ['ipc', 'ipc'], ['uts', 'uts'], ['cgroup', 'cgroup']) {
	my ($m, $name) = @$_;
	next unless $have->{$m};
	$name = 'pid' if $m eq 'pid';
	isnt(ns($init, $name), ns($$, $name), "$m: a namespace of its own");
}
ok($have->{$_}, "$_ holds for root") for qw(user pid mount net ipc uts overlay
    no_new_privs seccomp caps rlimits);

my $status = slurp("/proc/$init/status");
like($status, qr/^NoNewPrivs:\s+1$/m, 'no_new_privs') if $have->{no_new_privs};
like($status, qr/^Seccomp:\s+2$/m, 'a seccomp filter') if $have->{seccomp};
my %cap = $status =~ /^(Cap\w+):\s+([0-9a-f]+)$/mg;
# What a sandbox's root keeps: bits of CAP_CHOWN … none of SYS_*.
my $never = 0;
$never |= 1 << $_ for 12, 13 .. 14, 16, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27,
    30, 32 .. 40;
# NET_ADMIN, NET_RAW (kept for ping by some; not here), SYS_PTRACE, …
is(hex($cap{CapEff}) & $never, 0, "effective capabilities ($cap{CapEff})");
is(hex($cap{CapBnd}) & $never, 0, "bounding set ($cap{CapBnd})");
is(hex($cap{CapAmb}), 0, 'no ambient capability');

my $inside = $d->sh('i', 'cat /proc/self/status');
my %its = $inside->{stdout} =~ /^(Cap\w+):\s+([0-9a-f]+)$/mg;
is($its{CapEff}, $its{CapBnd}, 'a command of root has the bounding set');
is(hex($its{CapBnd}) & ~hex($cap{CapBnd}), 0, 'which has no more than init\'s');
$inside = $d->sh('i', 'cat /proc/self/status', user => 'nobody');
like($inside->{stdout}, qr/^CapEff:\s+0+$/m, 'a command of a user has none');
like($inside->{stdout}, qr/^CapPrm:\s+0+$/m, 'nor could it take one');
like($inside->{stdout}, qr/^Seccomp:\s+2$/m, 'and is filtered too');

# Ids: root inside is nobody outside, and each sandbox has its own range.
my ($uid) = $status =~ /^Uid:\s+(\d+)/m;
ok($uid >= 65536, "root inside is uid $uid outside");
$d->ok('sandbox.create', { id => 'j' });
my ($other) = grep { $_ != $init } $d->children(qr/init/);
my ($uid2) = slurp("/proc/$other/status") =~ /^Uid:\s+(\d+)/m;
ok(abs($uid - $uid2) >= 65536, 'another sandbox has another range');

# cgroup: outside sees the group; inside sees only its own.
if ($have->{cgroup}) {
	like(slurp("/proc/$init/cgroup"), qr{/sandboxd-[^/]+/i$}m,
	    'its processes are in its group');
	unlike($d->sh('i', 'cat /proc/self/cgroup')->{stdout}, qr/sandboxd/,
	    'inside it is the root of its own');
}

# isolation full: granted when all holds, refused when something is missing.
my @missing = grep { !$have->{$_} } keys %$have;
my $r = $d->request('sandbox.create', { id => 'full', isolation => 'full' });
if (@missing) {
	is($r->{error}{code}, 'isolation_unavailable', "full: @missing missing");
} else {
	ok($r->{ok}, 'full: granted');
}
is($d->error('sandbox.create', { id => 'full2', isolation => 'full',
    network => 'host' }), 'isolation_unavailable',
    'full with the host\'s network is a contradiction');
like($d->request('sandbox.create', { id => 'full2', isolation => 'full',
    network => 'host' })->{error}{detail}, qr/net/, 'and the answer names it');

done_testing;
