# A05 (CVE-2025-52881): what we write below /proc cannot be led elsewhere from
# inside. Nothing of ours writes there by name once a sandbox has its own root.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('strace');

# What is ours inside and writes by name, since clients name the file: the file
# server. The sandbox's root puts a link of its own where that name is.
sub led {
	my ($d) = @_;
	$d->ok('sandbox.create', { id => 'w', mounts => [helper_mount('hostile')] });
	my $mount = $d->sh('w', 'mount -t tmpfs none /proc && mkdir /proc/self && ln -s /tmp /proc/self/attr');
	my $made = $d->http(POST => '/i/w/v1/fs/mkdir?path=/proc/self/attr/led');
	my ($init) = $d->children(qr/init\W+w/);
	return (Sandboxd::outcome($mount), $made->{status}, -d "/proc/$init/root/tmp/led" ? 1 : 0,
	    scalar grep { (split ' ')[4] eq '/proc' } split /\n/, slurp("/proc/$init/mountinfo"));
}
{
	# Where root inside may mount, what is written below /proc goes where it likes.
	my $open = unguarded('caps command_caps seccomp landlock', http => 1);
	my ($mount, $made, $there, $mounts) = led($open);
	is($mount, 0, 'unguarded: a file system comes to lie over /proc') or diag($mount);
	is($mounts, 2, 'as its mounts show');
	like($made, qr/^20/, 'a process of ours writes there by name');
	is($there, 1, 'and what it makes is led where a link points');
	$open->stop;
}
my $d = Sandboxd->start(http => 1);
my ($mount, $made, $there, $mounts) = led($d);
isnt($mount, 0, 'guarded: nothing is mounted there');
is($mounts, 1, 'as its mounts show');
unlike($made, qr/^20/, 'nothing is made by that name');
is($there, 0, 'and nothing is led anywhere');
my $trace = Sandboxd->scratch_dir . '/trace';
my $tracer = fork // die "fork: $!";
if ($tracer == 0) {
	exec('strace', '-f', '-qq', '-s', '200', '-o', $trace, '-e',
	    'trace=open,openat,openat2,creat,pivot_root,execve,execveat,clone,clone3,fork,vfork',
	    map { ('-p', $_) } $d->{pid}, descendants($d->{pid}));
}
wait_for(10, sub { (slurp("/proc/$d->{pid}/status") // '') =~ /TracerPid:\s+[1-9]/ })
    or BAIL_OUT('strace does not attach');
# Joins while names below /proc are attacked, and a sandbox that is made.
my $c = $d->client;
my $id = $c->send('sandbox.exec', { id => 'w', timeout_ms => 60000, command => ['/bin/sh', '-c',
    'for i in 1 2 3 4 5 6; do for f in attr/exec attr/current uid_map gid_map setgroups oom_score_adj; do '
    . 'ln -sf /tmp/x /proc/self/$f; mount -t tmpfs none /proc/self; echo 0 >/proc/self/$f; done; done 2>/dev/null'] });
$d->exec('w', ['/bin/true'], $_ % 2 ? () : (user => '1000')) for 1 .. rounds(15);
$d->ok('sandbox.create', { id => 'x' });
$d->exec('x', ['/bin/true']);
$c->finish($id);
is($d->sh('w', 'ls /tmp/x 2>/dev/null')->{stdout}, '', 'nothing was led to where a link points');
kill('INT', $tracer);
waitpid($tracer, 0);
my (%inside, @bad, $calls, $writes);
my %ours = map { $_ => 1 } $d->{pid};
for (split /\n/, slurp($trace)) {
	my ($pid, $call) = /^(\d+)\s+(.*)/ or next;
	$calls++;
	# From here on its root is the sandbox's.
	$inside{$pid} = 1 if $call =~ /^pivot_root/;
	# From here on it is no program of ours.
	$inside{$pid} = 0 if $call =~ m{^execve\("/};
	next unless $call =~ m{^open\w*\(.*"/?proc/} && $call =~ /O_WRONLY|O_RDWR|O_CREAT/;
	next if $call =~ /= -1/;
	$writes++;
	push @bad, $_ if $inside{$pid};
}
cmp_ok($calls // 0, '>', 100, "strace saw what was done ($calls calls)");
is(join("\n", @bad), '', 'no process of ours opens a file of /proc for writing by name inside');
# The guard off: a writer by name is led elsewhere, in namespaces of its own.
my $r = run_cmd(['unshare', '-m', '/bin/sh', '-c', 'mount -t tmpfs none /proc; mkdir -p /proc/self/attr; '
    . "ln -s $trace.led /proc/self/attr/exec; echo label >/proc/self/attr/exec"]);
is(slurp("$trace.led"), "label\n", 'outside, a writer by name is led where a link points');
# What is written by name in the host's namespace is not seen from inside: its /proc
# is another one, and nothing can be mounted over it or in it.
my $said = hostile($d, 'w', ['nested']);
is($said->{'mount:overmask'}, 'EPERM', 'nothing is mounted over a part of /proc');
done_testing;
