# A55: what somebody can do who has taken over one of our processes: calls are made
# in their place, by ptrace as root of the host.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
plan(skip_all => 'calls are made by registers of x86_64') if (POSIX::uname())[4] ne 'x86_64';
my $inject = helper('inject');
my $host = Sandboxd->scratch_dir;
spew("$host/secret", "of the host\n");
chmod(0600, "$host/secret");
sub inject {
	my ($pid, @calls) = @_;
	my $got = run_cmd([$inject, $pid, @calls], timeout => 20);
	return { map { /^(\S+) (.*)$/ ? ($1 => $2) : () } split /\n/, $got->{out} };
}
my $d = Sandboxd->start(http => 1);
$d->ok('sandbox.create', { id => $_ }) for qw(a b);
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'a' });
$d->sh('b', 'echo of-b >/root/secret');
my ($b_init) = $d->children(qr/init\W+b/);
my $other = fork // die;
exec('sleep', 300) if $other == 0;
my @calls = ("open=$host/secret", "openw=$d->{state}/store/data.mdb", 'openw=/data.mdb', "open=$d->{state}/lock",
    "open=/proc/$b_init/root/root/secret", "open=$d->{socket}", 'clone', "kill=$d->{pid}", 'socket', 'packet');
my @deadly = ('fork', 'execve=/bin/sh', "ptrace=$d->{pid}", "vm=$d->{pid}", 'setuid', 'unshare', 'mount', 'keyctl',
    'chroot=/', 'bpf');

# In an ordinary process of root's everything of it succeeds.
{
	my $pid = fork // die;
	exec('sleep', 300) if $pid == 0;
	wait_for(5, sub { (slurp("/proc/$pid/comm") // '') eq "sleep\n" && (slurp("/proc/$pid/syscall") // '') =~ /^\d/ });
	my $got = inject($pid, "open=$host/secret", "openw=$d->{state}/store/data.mdb", 'clone', 'socket', 'packet',
	    "ptrace=$other", 'setuid', 'keyctl', 'unshare', 'getpid');
	like($got->{$_} // 'nothing', qr/^ok/, "an ordinary process: $_") for sort keys %$got;
	is(scalar keys %$got, 10, 'all were made');
	my @made = descendants($pid);
	kill('KILL', $pid, @made);
	waitpid($pid, 0);
}
# Title, what may be had in spite of all.
my %role = (
	gateway => [qr/gateway/, {}],
	store => [qr/store/, { 'openw=/data.mdb' => 'it writes the store', clone => 'copies write backups' }],
	relay => [qr/relay/, {}],
	# these live in the sandbox: its files, processes and sockets are theirs
	session => [qr/sandboxd-session/, { clone => 'it starts agents', socket => 'as all of its sandbox' }],
	init => [qr/init\W+a/, { clone => 'it starts commands', socket => 'as all of its sandbox' }],
);
for my $name (sort keys %role) {
	my ($title, $may) = @{$role{$name}};
	my $inside = $name =~ /session|init/;
	my $find = sub { wait_for(20, sub { ($d->children($title))[0] }) };
	my $pid = $find->();
	my $status = slurp("/proc/$pid/status");
	like($status, qr/^NoNewPrivs:\s+1$/m, "$name: no_new_privs");
	like($status, qr/^Seccomp:\s+2$/m, "$name: a filter") unless $ENV{SANDBOXD_SANITIZED};
	unlike($status, qr/^Uid:.*\b0\b/m, "$name: not root");
	my $got = inject($pid, 'getpid', @calls);
	like($got->{getpid}, qr/^ok/, "$name: calls are made in its place");
	for my $call (@calls) {
		my $answer = $got->{$call} // 'nothing';
		$may->{$call} ? like($answer, qr/^ok/, "$name: $call, for $may->{$call}") :
		    like($answer, qr/^(?:E\w+|killed)/, "$name: $call");
	}
	# Some of these end it; the supervisor starts another, so a few of them each.
	# (inside, root may become root: that is no more than it is)
	my @some = $inside ? grep({ !/setuid|fork|execve/ } @deadly) : @deadly;
	for my $call ($inside ? @some : @some[0 .. 3]) {
		$got = inject($find->(), $call);
		like($got->{$call} // 'nothing', qr/^(?:E\w+|killed)/, "$name: $call");
		next unless ($got->{$call} // '') =~ /^killed/;
		like($got->{$call}, qr/SIGSYS/, "$name: by its filter");
		wait_for(20, sub { my $n = ($d->children($title))[0]; $n && $n != $pid && ($pid = $n) });
		wait_for(20, sub { ($d->request('status')->{ok} // {})->{pid} });
	}
}
is($d->ok('status')->{pid}, $d->{pid}, 'the supervisor is the same');
ok(wait_for(20, sub { $d->sh('b', 'cat /root/secret')->{stdout} eq "of-b\n" }), 'the other sandbox is well');
is(waitpid($other, POSIX::WNOHANG()), 0, 'a stranger lives');
kill('KILL', $other);
waitpid($other, 0);
done_testing;
