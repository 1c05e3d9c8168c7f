# What is not adopted: a sandbox whose init is silent, or somebody else; one for
# which nobody came in time; all, where it is off. Each is ended and, if it is to
# run, started again: none is there twice.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time);

need_root();
need_program('python3');

sub alive {
	my ($pid) = @_;
	return (slurp("/proc/$pid/stat") // ') Z') !~ /\) [ZX]/;
}
sub pid_of { return $_[0]->ok('sandbox.get', { id => $_[1] })->{pid} // 0 }
sub runs {
	my ($d, $id) = @_;
	return wait_for(30, sub {
		$d->ok('sandbox.get', { id => $id })->{state} eq 'running'
	});
}
# Inits that run for ID: how many.
sub inits {
	my ($d, $id) = @_;
	return scalar grep { Sandboxd::title_of($_) eq "sandboxd-init $id" && alive($_) }
	    Sandboxd::descendants($$);
}

# --- off ------------------------------------------------------------------------------
my $d = Sandboxd->start(conf => "[sandbox]\nadopt = 0s\n");
$d->ok('sandbox.create', { id => 'a' });
$d->ok('sandbox.create', { id => 'p' });
$d->ok('sandbox.pause', { id => 'p' });
my $was = pid_of($d, 'a');
ok(!-e "$d->{state}/sandboxes/a/adopt.sock", 'off: no socket');
$d->kill_hard;
ok(wait_for(10, sub { !alive($was) }), 'off: its init dies with the supervisor');
$d->launch;
ok(runs($d, 'a'), 'off: and is started again');
isnt(pid_of($d, 'a'), $was, 'off: as another');
is($d->ok('sandbox.get', { id => 'p' })->{state}, 'stopped',
    'off: what was paused does not run unasked');
ok($d->stop, 'off: an orderly end');
is(join("\n", $d->leftovers), '', 'off: nothing is left');

# --- nobody comes ----------------------------------------------------------------------
$d = Sandboxd->start(conf => "[sandbox]\nadopt = 1s\n");
$d->ok('sandbox.create', { id => 'a' });
$d->sh('a', 'setsid sleep 7004 >/dev/null 2>&1 &');
$was = pid_of($d, 'a');
my $began = time;
$d->kill_hard;
ok(wait_for(10, sub { !alive($was) }), 'late: it has ended');
cmp_ok(time - $began, '>', 0.8, 'late: after its time');
is(scalar(grep { Sandboxd::title_of($_) =~ /sleep 7004/ && alive($_) }
    Sandboxd::descendants($$)), 0, 'late: with all that ran');
$d->launch;
ok(runs($d, 'a'), 'late: it is started again');
$d->ok('sandbox.create', { id => 'e', ephemeral => JSON::PP::true });
$was = pid_of($d, 'e');
$d->kill_hard;
ok(wait_for(10, sub { !alive($was) }), 'an ephemeral one ends with us');
ok($d->stop && $d->launch && $d->stop, 'late: an orderly end');
is(join("\n", $d->leftovers), '', 'late: nothing is left');

# --- silent ----------------------------------------------------------------------------
$d = Sandboxd->start(conf => "[sandbox]\nstart_time = 2s\n");
$d->ok('sandbox.create', { id => $_ }) for qw(mute good gone);
$d->note_groups;
my %was = map { $_ => pid_of($d, $_) } qw(mute good gone);
kill('STOP', $was{mute});
$d->kill_hard;
kill('KILL', $was{gone});
$began = time;
$d->launch;
ok(runs($d, 'good'), 'a stopped init holds nobody up');
cmp_ok(time - $began, '<', 1.5 * Sandboxd::slow_factor(), 'not for a moment');
is(pid_of($d, 'good'), $was{good}, 'its neighbour is adopted');
ok(runs($d, $_), "$_ runs") for qw(mute gone);
isnt(pid_of($d, $_), $was{$_}, "$_: by another init") for qw(mute gone);
ok(wait_for(10, sub { inits($d, $_) == 1 }), "$_: the only one")
    for qw(mute good gone);

# --- somebody else ---------------------------------------------------------------------
# Who listens on the socket: any process; the first of a namespace elsewhere; the
# first of a namespace in the right group, which lies.
my $liar = "$d->{dir}/liar.py";
spew($liar, <<'PY');
import os, socket, sys, time
path, says, group = sys.argv[1:4]
if group:
    open(group + "/cgroup.procs", "w").write("0")
os.unlink(path)
s = socket.socket(socket.AF_UNIX)
s.bind(path)
s.listen(8)
print("listening", flush=True)
c, _ = s.accept()
def frame(t):
    return len(t).to_bytes(4, "big") + t
try:
    if says == "nonsense":
        c.sendall(b"\0\0\0\5what?")
    elif says == "exited":
        c.sendall(frame(b'{"op":"exited","exec":1,"code":0,"timed_out":false}'))
    elif says == "version":
        c.sendall(frame(b'{"op":"adopted","last":5}') +
            frame(b'{"op":"hello","role":"init","version":"0"}'))
    elif says == "last":
        c.sendall(frame(b'{"op":"adopted","last":-7}'))
    elif says == "role":
        c.sendall(frame(b'{"op":"hello","role":"session","version":"0.1.0"}'))
except OSError:
    pass
time.sleep(60)
PY
my ($group) = map { m{^0::(.*)} ? $1 : () } split /\n/,
    slurp("/proc/" . pid_of($d, 'good') . '/cgroup');
my ($tree) = grep { -e "$_$group/cgroup.procs" } '/sys/fs/cgroup',
    '/sys/fs/cgroup/unified';
my $ns = "unshare --pid --fork --kill-child=KILL";
for my $case (['any process', '', 'nonsense', 0], ['of no group of ours', $ns,
    'nonsense', 0], map({ ["in its group: $_", $ns, $_, 1] }
    qw(nonsense exited version last role nothing))) {
	my ($what, $wrap, $says, $in) = @$case;
	$was = pid_of($d, 'good');
	($group) = map { m{^0::(.*)} ? $1 : () } split /\n/,
	    slurp("/proc/$was/cgroup");
	$d->kill_hard;
	pipe(my $r, my $w) or die;
	my $pid = fork // die;
	if ($pid == 0) {
		open(STDOUT, '>&', $w);
		exec(split(' ', $wrap), 'python3', $liar,
		    "$d->{state}/sandboxes/good/adopt.sock", $says,
		    $in && $tree ? "$tree$group" : '') or POSIX::_exit(1);
	}
	close($w);
	is(readline($r), "listening\n", "$what: a liar listens");
	$d->launch;
	ok(runs($d, 'good'), "$what: the sandbox runs");
	isnt(pid_of($d, 'good'), $was, "$what: by a new init");
	ok(wait_for(15, sub { inits($d, 'good') == 1 && !alive($was) }),
	    "$what: and none but that") or diag($d->log_tail);
	is($d->sh('good', 'echo in')->{stdout}, "in\n", "$what: which works");
	ok(alive($pid), "$what: who is not of a sandbox is let alone")
	    if !$wrap;
	kill('KILL', $pid);
	waitpid($pid, 0);
}
ok(runs($d, 'mute') && runs($d, 'gone'), 'nobody else was touched');
ok($d->stop, 'an orderly end');
is(join("\n", $d->leftovers), '', 'nothing is left');

done_testing;
