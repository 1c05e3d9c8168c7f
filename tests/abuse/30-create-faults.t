# A system call fails in the middle of making a sandbox, each kind of call in turn
# and at each of its first times: the create is refused or has not needed it, the
# daemon goes on, and nothing stays behind.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(sleep);

need_root();
need_program('strace');
plan_skip('strace and the leak check of a sanitizer exclude each other')
    if $ENV{SANDBOXD_SANITIZED};
my $d = Sandboxd->start;
my $scratch = Sandboxd->scratch_dir;

# Made once, so that what a first create makes for later ones is there.
$d->ok('sandbox.create', { id => 'first' });
$d->note_groups;
$d->ok('sandbox.destroy', { id => 'first' });

sub left {
	my @found;
	push @found, map { 'process ' . Sandboxd::title_of($_) } grep {
		Sandboxd::title_of($_) =~ /init|sleep/ }
	    Sandboxd::descendants($d->{pid});
	push @found, map { "group $_" } grep { m{/sandboxd-[0-9a-f]+/.} } $d->groups;
	for my $dir (qw(sandboxes trash)) {
		opendir(my $dh, "$d->{state}/$dir") or next;
		push @found, map { "$dir/$_" } grep { !/^\./ } readdir $dh;
	}
	return join("\n", @found);
}

# What the daemon holds open, each with how often.
sub descriptors {
	my %n;
	opendir(my $dh, "/proc/$d->{pid}/fd") or return {};
	$n{ (readlink("/proc/$d->{pid}/fd/$_") // 'gone') =~ s/:.*//r }++
	    for grep { /^\d/ } readdir $dh;
	return \%n;
}

# Let CALL fail from now on at its Nth time in each process that makes it, until
# what it gives back is called.
sub with_fault {
	my ($call, $error, $n) = @_;
	my $log = "$scratch/strace";

	unlink $log;
	my $pid = fork // die "fork: $!";
	if ($pid == 0) {
		open(STDERR, '>', "$scratch/words");
		exec('strace', '-f', '-qq', '-p', $d->{pid}, '-o', $log,
		    '-e', "trace=$call", '-e', "inject=$call:error=$error:when=$n");
		exit 127;
	}
	# It is attached when the kernel says who traces the daemon.
	wait_for(10, sub { (slurp("/proc/$d->{pid}/status") // '')
	    =~ /^TracerPid:\s+\Q$pid\E$/m }) or die "strace does not attach\n";
	return sub {
		kill('TERM', $pid);
		waitpid($pid, 0);
		wait_for(10, sub { (slurp("/proc/$d->{pid}/status") // '')
		    =~ /^TracerPid:\s+0$/m });
		return (slurp($log) // '') =~ /\(INJECTED\)/;
	};
}

# What is made ahead for later sandboxes is made when there is nothing to do.
my ($base, $same) = (descriptors(), 0);
wait_for(20, sub {
	my $now = descriptors();
	$same = to_json($now) eq to_json($base) ? $same + 1 : 0;
	$base = $now;
	return $same > 10;
});
my ($hit, $refused) = (0, 0);
my %codes;
for my $one (
    # in the supervisor
    [clone3 => 'EAGAIN', 1], [socketpair => 'EMFILE', 1], [pipe2 => 'EMFILE', 2],
    [mkdirat => 'ENOSPC', 5], [openat => 'EMFILE', 12], [openat => 'EIO', 6],
    [write => 'EIO', 4], [fchown => 'EPERM', 2], [fchownat => 'EPERM', 2],
    [fcntl => 'EMFILE', 3], [dup3 => 'EBUSY', 1], [fchmod => 'EPERM', 2],
    [setns => 'EPERM', 1], [open_tree => 'EMFILE', 3], [mount_setattr => 'EINVAL', 3],
    # in what becomes init
    [fsopen => 'ENODEV', 3], [fsconfig => 'ENOSPC', 6], [fsmount => 'ENOMEM', 3],
    [move_mount => 'EINVAL', 6], [mount => 'ENOMEM', 4], [umount2 => 'EBUSY', 2],
    [pivot_root => 'EINVAL', 1], [sethostname => 'EPERM', 1], [setgroups => 'EPERM', 1],
    [setresuid => 'EAGAIN', 1], [setresgid => 'EPERM', 1], [unshare => 'ENOSPC', 1],
    [capset => 'EPERM', 2], [prctl => 'EINVAL', 6], [seccomp => 'EINVAL', 1],
    [landlock_create_ruleset => 'ENOMEM', 1], [landlock_add_rule => 'ENOMEM', 2],
    [landlock_restrict_self => 'E2BIG', 1], [prlimit64 => 'EPERM', 2],
    [mknodat => 'ENOSPC', 2], [symlinkat => 'ENOSPC', 2], [execveat => 'ENOMEM', 1],
    [fchdir => 'EACCES', 2], [chdir => 'EACCES', 1]) {
	my ($call, $error, $times) = @$one;
	for my $n (1 .. $times) {
		my $end = with_fault($call, $error, $n);
		my $r = $d->client->request('sandbox.create', { id => 'f' },
		    timeout => 30);
		my $injected = $end->();
		my $what = "$call fails by $error, time $n";

		if ($r->{ok}) {
			$d->ok('sandbox.destroy', { id => 'f' }, timeout => 30);
		} else {
			$refused++;
			$codes{ $r->{error}{code} // 'none' }++;
			ok(length($r->{error}{detail} // ''), "$what: refused")
			    or diag(to_json($r));
		}
		$hit++ if $injected;
		wait_for(10, sub { left() eq '' });
		is(left(), '', "$what: nothing is left");
		my @more;
		wait_for(8, sub {
			my $now = descriptors();
			@more = map { "$_ ($now->{$_})" } grep {
				$now->{$_} > ($base->{$_} // 0) } sort keys %$now;
			return !@more;
		});
		is(join(' ', @more), '', "$what: no descriptor is kept");
		last if !$injected;
	}
}
note(to_json(\%codes));
cmp_ok($hit, '>', 30, "a call was made to fail $hit times");
cmp_ok($refused, '>', 20, "and a create refused for it $refused times");
is($d->ok('sandbox.create', { id => 'good' })->{state}, 'running',
    'afterwards all is well');
is($d->ok('status')->{pid}, $d->{pid}, 'with the same supervisor');
is($d->ok('status')->{restarts}{store}, 0, 'and the same store');

done_testing;
