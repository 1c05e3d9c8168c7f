# While the supervisor is dead, somebody inside tries to be the next one: the
# socket cannot be seen, reached, taken from init nor connected to from the
# sandbox's pid namespace or by another user.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
need_program(qw(python3 nsenter setpriv));
my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => 'box' });
$d->ok('sandbox.create', { id => 'other' });
my $init = $d->ok('sandbox.get', { id => 'box' })->{pid};
my $dir = "$d->{state}/sandboxes/box";
my $socket = "$dir/adopt.sock";

ok(-S $socket, 'there is a socket');
is((stat($socket))[2] & 0777, 0600, 'for us alone');
is((stat($dir))[2] & 0777, 0700, 'in a directory for us alone');
is((grep { ($_ // '') =~ /^socket/ } map { readlink("/proc/$init/fd/$_") } 4), 1,
    'init holds it');

# Nobody it starts has it, nor does a way lead there by name.
my $held = $d->sh('box', 'ls -l /proc/self/fd; ls -l /proc/*/fd 2>/dev/null; '
    . 'cat /proc/net/unix; find / -xdev -name "adopt*sock" 2>/dev/null')->{stdout};
unlike($held, qr/adopt/, 'no file, no name of it inside');
my $try = <<'PY';
import os, socket, struct, ctypes, time, glob, sys
libc = ctypes.CDLL(None, use_errno=True)
got = []
def attempt(name, fn):
    try:
        fn()
        got.append(name)
    except (OSError, PermissionError):
        pass
def knock(path):
    def go():
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        s.close()
    return go
def take():
    fd = libc.syscall(434, 1, 0)
    if fd < 0: raise OSError()
    if libc.syscall(438, fd, 4, 0) < 0: raise OSError()
end = time.time() + float(sys.argv[1])
while True:
    for path in [sys.argv[2], "/proc/1/fd/4", "/proc/1/root" + sys.argv[2],
        "/proc/self/fd/4", "adopt.sock", "/adopt.sock", "\0adopt.sock"]:
        attempt("connect " + path, knock(path))
    attempt("pidfd_getfd", take)
    attempt("open", lambda: os.open("/proc/1/fd/4", os.O_RDONLY))
    attempt("trace", lambda: libc.ptrace(16, 1, 0, 0) == 0 or (_ for _ in ()).throw(OSError()))
    attempt("memory", lambda: open("/proc/1/mem", "rb").close())
    if time.time() > end: break
    time.sleep(0.01)
open("/srv/result", "w").write("tried: " + " ".join(sorted(set(got))) + "\n")
PY
$d->sh('box', "cat >/srv/try.py <<'E'\n${try}E\n");
$d->sh('box', "setsid python3 /srv/try.py 3 '$socket' >/srv/out 2>&1 &");
$d->kill_hard;

# From outside, but of its pid namespace: connects, and is hung up on.
my $knock = 'use IO::Socket::UNIX; alarm 10; my $s = '
    . 'IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "refused: $!\n"; '
    . 'print "heard ", sysread($s, my $b, 100) // "error", "\n"';
my $r = run_cmd(['nsenter', '-t', $init, '-p', '/usr/bin/perl', '-e', $knock, $socket]);
is($r->{out}, "heard 0\n", 'one of its pid namespace is hung up on')
    or diag($r->{err});
ok(-e "/proc/$init", 'and nothing ends for it');
# Another user does not even get there.
$r = run_cmd(['setpriv', '--reuid=54321', '--regid=54321', '--clear-groups',
    '/usr/bin/perl', '-e', $knock, $socket]);
like($r->{err}, qr/refused: Permission/, 'another user cannot connect');
# One who may is heard: so the test can fail.
$r = run_cmd(['/usr/bin/perl', '-e', $knock, $socket]);
like($r->{out}, qr/^heard [1-9]/, 'root outside is a supervisor');

$d->launch;
ok(wait_for(20, sub { $d->ok('sandbox.get', { id => 'box' })->{state} eq 'running' }),
    'the next supervisor comes');
is($d->ok('sandbox.get', { id => 'box' })->{pid}, $init, 'and finds the same init');
ok(wait_for(20, sub { $d->sh('box', 'cat /srv/result 2>/dev/null')->{stdout} }),
    'those inside have tried all the time') or diag($d->sh('box', 'cat /srv/out')->{stdout});
is($d->sh('box', 'cat /srv/result')->{stdout}, "tried: \n", 'in vain');
ok($d->stop, 'an orderly end');
is(join("\n", $d->leftovers), '', 'nothing is left');

done_testing;
