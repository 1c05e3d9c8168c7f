# Commands that go on without their client: operations and commands, how they
# ended, what they printed, input, and their bounds.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => 'x', env => { BASE => 'b' } });

# One's whole life.
my $p = $d->ok('process.create', { id => 'x', env => { MORE => 'm' },
    directory => '/usr', command => 'echo $BASE$MORE $PWD; echo err >&2; read x; exit 7' });
is($p->{state}, 'running', 'it runs');
ok($p->{pid} > 1, 'under a number');
is_deeply($p->{command}, ['/bin/sh', '-c', 'echo $BASE$MORE $PWD; echo err >&2; read x; exit 7'],
    'its command');
my $n = $p->{process};
my $e = $d->ok('process.wait', { id => 'x', process => $n, timeout_ms => 20000 });
is("$e->{state} $e->{exit_code}", 'exited 7', 'its input is empty: it ends, with its code');
is($d->ok('process.get', { id => 'x', process => $n })->{exit_code}, 7, 'which can be asked for later');
sub logs {
	my ($n, %o) = @_;
	my $r = $d->request('process.logs', { id => 'x', process => $n, %o }, timeout => 30);
	return $r->{error} ? $r->{error}{code} : join '', map { $_->{data} } @{$r->{items}};
}
is(logs($n, stream => 'stdout'), "bm /usr\n", 'what it printed');
is(logs($n, stream => 'stderr'), "err\n", 'and what it complained');
like(logs($n), qr/^(?:bm|err).*(?:bm|err)/s, 'both');
is($d->ctl(['logs', '--stream', 'stdout', 'x', $n])->{out}, "bm /usr\n", 'as a command');
is(logs($n, stream => 'no'), 'bad_request', 'no such stream');

# Signals, waiting.
$p = $d->ok('process.create', { id => 'x', command => ['sleep', '600'] });
$e = $d->ok('process.wait', { id => 'x', process => $p->{process}, timeout_ms => 50 });
is($e->{state}, 'running', 'a wait that is over is answered too');
is($d->ctl(['wait', '--timeout', '50ms', 'x', $p->{process}])->{status}, 124, 'with 124');
is($d->error('process.delete', { id => 'x', process => $p->{process} }), 'process_state',
    'one that runs is not forgotten');
$e = $d->ok('process.signal', { id => 'x', process => $p->{process}, signal => 10, timeout_ms => 20000 });
is("$e->{signal} $e->{exit_code}", '10 138', 'a signal ends it');
$d->ok('process.delete', { id => 'x', process => $p->{process} });
is($d->error('process.get', { id => 'x', process => $p->{process} }), 'process_not_found', 'forgotten');

# Input, and a terminal without anybody at it.
$p = $d->ok('process.create', { id => 'x', command => ['cat'], input => \1 });
$d->ok('process.input', { id => 'x', process => $p->{process}, text => "typed\n" });
ok(wait_for(10, sub { logs($p->{process}) eq "typed\n" }), 'input reaches it');
is($d->error('process.resize', { id => 'x', process => $p->{process}, columns => 1, rows => 1 }),
    'process_state', 'it has no size');
$d->ok('process.signal', { id => 'x', process => $p->{process}, signal => 9, timeout_ms => 20000 });
is($d->error('process.input', { id => 'x', process => $p->{process}, text => 'x' }), 'process_state',
    'nobody is there any more');
$p = $d->ok('process.create', { id => 'x', tty => \1, columns => 90, rows => 30,
    command => 'trap "stty size; exit 4" WINCH; stty size; echo ready; while :; do read x; done' });
ok(wait_for(10, sub { logs($p->{process}) =~ /^30 90\r\nready/ }), 'a terminal of a size')
    or diag(logs($p->{process}));
$d->ok('process.resize', { id => 'x', process => $p->{process}, columns => 100, rows => 40 });
$e = $d->ok('process.wait', { id => 'x', process => $p->{process}, timeout_ms => 20000 });
is($e->{exit_code}, 4, 'is told of another size');
like(logs($p->{process}), qr/40 100\r\n$/, 'and has it');

# As commands.
my $r = $d->ctl(['exec', '-d', 'x', 'sh', '-c', 'echo out; sleep 1; exit 3']);
chomp(my $m = $r->{out});
like($m, qr/^\d+$/, 'exec -d prints a number') or diag($r->{err});
is($d->ctl(['wait', 'x', $m])->{status}, 3, 'wait ends with its code');
like($d->ctl(['execs', 'x'])->{out}, qr/^\Q$m\E +exited 3 +no .*sh -c echo out/m, 'execs tells');
$r = $d->ctl(['attach', 'x', $m]);
is("$r->{status} $r->{out}", "3 out\n", 'attach to one that has ended: what it printed, its code');
is($d->ctl(['forget', 'x', $m])->{status}, 0, 'forget');
is($d->ctl(['attach', 'x', $m])->{status}, 1, 'is forgotten');
$r = $d->ctl(['exec', '--detach-keys', 'none', 'x', 'sh', '-c', 'echo 1; echo 2 >&2; exit 5']);
is("$r->{status} $r->{out} $r->{err}", "5 1\n 2\n", 'exec that could be left, but was not');
unlike($d->ctl(['execs', 'x'])->{out}, qr/echo 1; echo 2/, 'leaves no record');
like($d->ctl(['exec', '-d', '--timeout', '1s', 'x', 'true'])->{err}, qr/--timeout/, 'no timeout');
like($d->ctl(['attach', '--detach-keys', 'ctrl-1', 'x', 1])->{err}, qr/no keys/, 'keys that are none');
like($d->ctl(['kill', '-s', 'WRONG', 'x', 1])->{err}, qr/no signal/, 'a signal that is none');
is($d->ctl(['exec', '-d', 'x', '/no/such'])->{status}, 1, 'a program that is not there');

# The client dies, the process does not. What it prints meanwhile is kept.
$p = $d->ok('process.create', { id => 'x', command => 'sleep 1; echo late; sleep 600' });
my $pid = fork // die;
if ($pid == 0) {
	open STDIN, '<', '/dev/null';
	open STDOUT, '>', '/dev/null';
	exec program('sandboxctl'), '--socket', $d->{socket}, 'attach', 'x', $p->{process};
}
sleep 1;
kill 'KILL', $pid;
waitpid $pid, 0;
ok(wait_for(20, sub { logs($p->{process}) eq "late\n" }), 'output goes on without a viewer');
is($d->ok('process.get', { id => 'x', process => $p->{process} })->{state}, 'running', 'and so does it');

# Bounds: output, records, processes.
$p = $d->ok('process.create', { id => 'x', command => 'head -c 40000000 /dev/zero | tr "\\0" z; echo END' });
$d->ok('process.wait', { id => 'x', process => $p->{process}, timeout_ms => 60000 });
$r = $d->ctl(['logs', 'x', $p->{process}], timeout => 60);
ok(length $r->{out} <= 11 << 20, 'a log has its bound');
like($r->{out}, qr/zEND\n$/, 'and the newest is what is kept');
my $refused;
for (1 .. 70) {
	my $q = $d->request('process.create', { id => 'x', command => ['sleep', '600'] });
	$refused = $q->{error}{code}, last if $q->{error};
}
is($refused, 'process_state', 'no more than 64 at a time');
is($d->error('process.create', { id => 'x', command => [] }), 'bad_request', 'no command');
is($d->error('process.create', { id => 'x', command => ['a'], env => { '1x' => '' } }), 'bad_request',
    'no name of a variable');
is($d->error('process.attach', { id => 'x', process => 99999, fds => 0 }), 'process_not_found', 'no process');
$d->ok('sandbox.stop', { id => 'x', grace_ms => 0 });
is($d->error('process.list', { id => 'x' }), 'sandbox_state', 'stopped');
$d->ok('sandbox.start', { id => 'x' });
is_deeply($d->ok('process.list', { id => 'x' })->{processes}, [], 'they go with the sandbox');
done_testing;
