# A15: looking into, changing and stealing from init, from the session's worker and
# from processes of the host and of another sandbox.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
my @m = (mounts => [helper_mount('hostile')]);
my $open = unguarded('seccomp landlock');
my $d = Sandboxd->start;
for my $x ($open, $d) {
	$x->ok('sandbox.create', { id => $_, @m }) for qw(p q);
}
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'p' });
my $victim = fork // die "fork: $!";
exec('sleep', 600) if $victim == 0;
my $c = $d->client;
$c->send('sandbox.exec', { id => 'q', command => ['sleep', '601'] });
wait_for(10, sub { ($d->children(qr/^sleep 601/))[0] });
my ($other) = $d->children(qr/^sleep 601/);
my @calls = qw(process_vm_readv process_vm_writev pidfd_getfd kcmp ptrace);
for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	# Of itself: only the filter forbids that.
	my $script = 'sleep 5 & exec /opt/hostile trace $!';
	my $free = said($open->sh('p', $script, %$as));
	is($free->{ptrace}, 'ok', "$who: without the filter a child is traced");
	my $said = said($d->sh('p', $script, %$as));
	is($said->{$_}, 'EPERM', "$who: not with it, $_") for @calls;
	# Init, by its number inside; everybody else's numbers of the host.
	my @pids = map { /^(\d+)$/ ? $1 : () } split /\n/,
	    $d->sh('p', 'ls /proc', %$as)->{stdout};
	for my $pid (1, @pids, $victim, $other, $d->{pid}) {
		$said = hostile($d, 'p', ['trace', $pid], %$as);
		my @bad = grep { ($said->{$_} // '') !~ /^(?:EPERM|ESRCH|EBADF)$/ } @calls;
		is(join(' ', map { "$_ $said->{$_}" } @bad), '', "$who: nothing of process $pid");
	}
	# Without the filter it is still another's: two walls.
	$free = hostile($open, 'p', ['trace', 1], %$as);
	isnt($free->{$_}, 'ok', "$who: init is closed even without the filter, $_")
	    for qw(process_vm_readv process_vm_writev pidfd_getfd ptrace);
	isnt($d->sh('p', "cat /proc/1/$_ 2>/dev/null | head -c 10 | grep .", %$as)->{exit_code}, 0,
	    "$who: /proc/1/$_ is closed") for qw(mem maps environ auxv syscall stack);
}
is(waitpid($victim, POSIX::WNOHANG()), 0, 'the process of the host lives');
is((slurp("/proc/$other/status") // '') =~ /TracerPid:\s+0\n/ ? 1 : 0, 1,
    'that of the other sandbox has no tracer');
kill('KILL', $victim);
waitpid($victim, 0);
done_testing;
