# sandboxctl over HTTP: every command that works over the control socket works
# over HTTP and shows the same, and those that cannot say so.
use strict;
use warnings;
use FindBin;
use POSIX ();
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $path = Sandboxd->scratch_dir . '/http.sock';
my $d = Sandboxd->start(http => 1, listen => ['127.0.0.1:0', "unix:$path"]);
my $exe = program('sandboxctl');
my $url = $d->url;

# Over HTTP: what it says, with its code.
sub ctl {
	my ($args, %o) = @_;
	return run_cmd([$exe, '--endpoint', $o{endpoint} // $url, @$args],
	    timeout => 30, %o);
}

sub is_ctl {
	my ($args, $status, $pattern, %o) = @_;
	my $got = ctl($args, %o);
	my $name = substr("@$args", 0, 80);
	ok(!defined $status || $got->{status} == $status, $name) or diag("$got->{out}$got->{err}");
	like("$got->{out}$got->{err}", $pattern, "... says so") if $pattern;
	return $got;
}

is_ctl(['status'], 0, qr/endpoint\s+\Q$url\E.*version\s+\d.*status\s+ok/s);
is_ctl(['create', 'box', '-l', 'team=red', '-e', 'A=1', '--pids', '100',
    '--expire', '10m'], 0, qr/^box$/m);
is($d->ok('sandbox.get', { id => 'box' })->{labels}{team}, 'red', 'it was made');
is($d->ok('sandbox.get', { id => 'box' })->{limits}{pids}, 100, 'with its limits');
is_ctl(['create', 'box'], 1, qr/exists/);
is_ctl(['ls'], 0, qr/^ID\s+STATE.*\n.*box\s+running\s+host\s+none\s.*team=red/m);
is_ctl(['ls', '-q', '-l', 'team=red'], 0, qr/^box\n\z/);
is_ctl(['ls', '-q', '-l', 'team=blue'], 0, qr/^\z/);
is_ctl(['ls', '-q', '-s', 'stopped'], 0, qr/^\z/);
is_ctl(['get', 'box'], 0, qr/isolation\s.*seccomp/);
is_ctl(['get', 'none'], 1, qr/none/);
my $record = from_json(ctl(['--json', 'get', 'box'])->{out});
is($record->{state}, 'running', 'get --json');
ok($record->{isolation}{seccomp}, 'has the isolation');

# exec
my $got = is_ctl(['exec', 'box', 'sh', '-c', 'echo out; echo err >&2; exit 7'], 7);
is($got->{out}, "out\n", 'exec: standard output');
is($got->{err}, "err\n", 'exec: standard error');
is_ctl(['exec', 'box', '--', 'sh', '-c', 'kill -9 $$'], 137);
is_ctl(['exec', 'box', '/no/such'], 127, qr/No such file/);
is_ctl(['exec', '-i', 'box', 'cat'], 0, qr/^some words\z/, stdin => 'some words');
my $bytes = join('', map { chr(int rand 256) } 1 .. 300000);
is(ctl(['exec', '-i', 'box', 'cat'], stdin => $bytes)->{out}, $bytes,
    'exec: bytes as they are, both ways');
is_ctl(['exec', '-u', '1000', '-w', '/usr', '-e', 'B=2', 'box', 'sh', '-c',
    'id -u; pwd; echo $A$B'], 0, qr{^1000\n/usr\n12\n\z});
is_ctl(['exec', '--timeout', '300ms', 'box', 'sleep', '50'], 124);
is(length ctl(['exec', 'box', 'sh', '-c', 'yes | head -c 5000000'])->{out}, 5000000,
    'exec: five megabytes');
$got = run_cmd(['sh', '-c', "$exe --endpoint $url exec box yes | head -n 1"],
    timeout => 15);
is("$got->{timed_out} $got->{out}$got->{err}", "0 y\n",
    'exec: ends quietly when nobody reads any more');
ok(wait_for(10, sub { $d->sh('box', 'pgrep -x yes')->{stdout} eq '' }),
    'and so does the command');
my @items = map { from_json($_) } split /\n/,
    ctl(['--json', 'exec', 'box', 'echo', 'hi'])->{out};
is($items[0]{data}, "hi\n", 'exec --json: an item');
is($items[-1]{exit_code}, 0, 'and the end');
is_ctl(['exec', 'none', 'true'], 1, qr/none/);

# On a terminal, by a WebSocket.
$got = is_ctl(['exec', '-t', 'box', 'sh', '-c', 'tty; stty size; exit 3'], 3);
like($got->{out}, qr{^/dev/pts/\d+\r\n\d+ \d+\r\n\z}, 'exec -t: all of its output');
SKIP: {
	skip 'script is not installed', 3 unless -x '/usr/bin/script';
	$got = run_cmd(['script', '-qec',
	    "stty rows 33 cols 99; $exe --endpoint $url shell box", '/dev/null'],
	    stdin => "stty size; id -u; exit 5\n", timeout => 20);
	like($got->{out}, qr/33 99/, 'shell: the size of the terminal here');
	like($got->{out}, qr/^0\r?$/m, 'and what was typed');
	is($got->{status}, 5, 'and its code');
}
is(scalar @{from_json(run_cmd([$exe, 'api', '-e', $url, '-s', 'box', 'processes',
    'list'])->{out})->{processes}}, 0, 'no process of a terminal is left behind');

# Its life.
is_ctl(['pause', 'box'], 0, qr/box paused/);
is_ctl(['ls', '-q', '-s', 'paused'], 0, qr/^box\n\z/);
is_ctl(['pause', 'box'], 1);
is_ctl(['resume', 'box'], 0, qr/box resumed/);
is_ctl(['renew', 'box', '1h'], 0, qr/box renewed/);
cmp_ok($d->ok('sandbox.get', { id => 'box' })->{expires_at}, '>',
    (time + 3000) * 1000, 'renewed it was');
is_ctl(['update', 'box', '-l', 'team=blue', '-l', 'x=y', '--pids', '90'], 0);
is($d->ok('sandbox.get', { id => 'box' })->{labels}{team}, 'blue', 'update: labels');
is_ctl(['update', 'box', '-l', 'x'], 0);
ok(!exists $d->ok('sandbox.get', { id => 'box' })->{labels}{x}, 'update: one less');
is_ctl(['history', 'box'], 0, qr/created.*paused.*resumed/s);
is_ctl(['expose', 'box', '8000'], 0, qr{/i/box/port/8000/});
is_ctl(['unexpose', 'box', '8000'], 0);
is_ctl(['unexpose', 'box', '0'], 100, qr/no port/);
is_ctl(['stop', 'box'], 0, qr/box stopped/);
is($d->ok('sandbox.get', { id => 'box' })->{state}, 'stopped', 'stopped it is');
is_ctl(['start', 'box'], 0, qr/box started/);

# Sessions.
is_ctl(['session', 'new', 'mock', '--id', 'talk', '-s', 'box', '--title', 'A title'],
    0, qr/^talk$/m);
is($d->ok('session.get', { id => 'talk' })->{sandbox}, 'box', 'in that sandbox');
is_ctl(['session', 'new', 'mock', '--id', 'talk'], 1, qr/exists/);
is_ctl(['session', 'new', 'nobody'], 1, qr/nobody/);
is_ctl(['session', 'ls'], 0, qr/talk\s+mock\s+idle\s+box/);
is_ctl(['session', 'ls', '-q', '-s', 'none'], 0, qr/^\z/);
is_ctl(['session', 'get', 'talk'], 0, qr/A title/);
is_ctl(['prompt', 'talk', 'hello from afar'], 0, qr/hello from afar/);
is_ctl(['events', 'talk'], 0, qr/hello from afar/);
my @events = map { from_json($_) } split /\n/, ctl(['--json', 'events', 'talk'])->{out};
is(Sandboxd::sequence_flaw(1, @events), '', 'events --json: all, in order');
is(scalar @events, 8, 'eight of them');
is(to_json(\@events), to_json([$d->events('talk')]), 'the same as over the socket');
@events = map { from_json($_) } split /\n/,
    ctl(['--json', 'events', 'talk', '-a', '5', '-n', '2'])->{out};
is(join(' ', map { $_->{sequence} } @events), '6 7', 'events --after --limit');
like(ctl(['events', 'talk', '-r', '-a', '6', '-n', '1'])->{out}, qr/^\{.*"raw"/,
    'events --raw');
is_ctl(['events', 'none'], 1, qr/none/);
$got = ctl(['--json', 'prompt', 'talk', 'as json']);
is((grep { /"turn\.ended"/ } split /\n/, $got->{out}), 1, 'prompt --json');
is_ctl(['prompt', 'talk', 'permission', '--no-wait'], 0);
wait_for(10, sub { 2 == grep { $_->{type} eq 'permission.requested' }
    $d->events('talk') });
my ($ask) = grep { $_->{type} eq 'permission.requested' } $d->events('talk');
is_ctl(['reply', 'talk', $ask->{data}{permission_id}, 'once'], 0);
is_ctl(['reply', 'talk', $ask->{data}{permission_id}, 'once'], 1, qr/no permission/);
is_ctl(['cancel', 'talk'], 0);
is_ctl(['cancel', 'talk'], 1);
is_ctl(['prompt', 'talk', 'permission', '--yes', 'always'], 0);
is_ctl(['session', 'set', 'talk', '--model', 'other'], 0);
is($d->ok('session.get', { id => 'talk' })->{model}, 'other', 'session set');
is_ctl(['session', 'set', 'talk', '--agent-mode', 'plan', '--thought-level', 'high'], 0);
my $talk = $d->ok('session.get', { id => 'talk' });
is("$talk->{agent_mode} $talk->{thought_level}", 'plan high', 'modes and thought level');
is_ctl(['session', 'new', 'mock', '--id', 'thinks', '-s', 'box', '--thought-level',
    'low'], 0);
is($d->ok('session.get', { id => 'thinks' })->{thought_level}, 'low', 'session new: it');
is_ctl(['session', 'new', 'mock', '--install'], 100, qr/agents install/);
is_ctl(['session', 'rm', 'thinks'], 0, qr/thinks removed/);
is_ctl(['session', 'rm', 'thinks'], 1, qr/session not found/);
ok(!(grep { $_->{id} eq 'thinks' } @{$d->ok('session.list')->{sessions}}), 'removed it was');
is_ctl(['session', 'end', 'talk'], 0, qr/talk ended/);
is_ctl(['prompt', 'talk', 'x'], 100, qr/terminated/);
$got = ctl(['events', '--follow', '--json', 'talk'], timeout => 20);
is($got->{timed_out}, 0, 'events --follow ends with the session');
is_ctl(['run', '--no-dir', 'mock', 'hello'], 0, qr/hello/);
is((grep { $_->{id} =~ /^run-/ } @{$d->ok('sandbox.list')->{sandboxes}}), 0,
    'run leaves nothing');
is_ctl(['rm', 'box'], 0, qr/box removed/);
is_ctl(['rm', 'box'], 1);

# What has no route of its own goes as the operation that it is.
$d->ok('sandbox.create', { id => 'left' });
$got = is_ctl(['exec', '-d', 'left', 'sh', '-c', 'echo out; echo err >&2; sleep 0.2; exit 9'], 0, qr/^(\d+)\n\z/);
my ($process) = $got->{out} =~ /(\d+)/;
is_ctl(['execs', 'left'], 0, qr/^$process\s.*sleep/m);
is_ctl(['wait', 'left', $process], 9);
is_ctl(['logs', 'left', $process, '--stream', 'stdout'], 0, qr/^out\n\z/);
is_ctl(['logs', 'left', $process, '--stream', 'stderr'], 0, qr/^err\n\z/);
is_ctl(['logs', 'left', $process], 0, qr/^out\nerr\n\z/);
is_ctl(['forget', 'left', $process], 0, qr/forgotten/);
is_ctl(['wait', 'left', $process], 1, qr/not found/);
is_ctl(['logs', 'left', $process], 1, qr/not found/);
$process = is_ctl(['exec', '-d', '-t', 'left', 'echo', 'on a terminal'], 0)->{out} + 0;
is_ctl(['wait', 'left', $process], 0);
is_ctl(['logs', 'left', $process, '--stream', 'stdout'], 0, qr/^on a terminal\r\n\z/);
is_ctl(['stats', 'left'], 0, qr/left/);
$d->ok('process.create', { id => 'left', command => ['sleep', '4321'] });
is_ctl(['ps', 'left'], 0, qr/sleep 4321/);
is_ctl(['ps', 'none'], 1, qr/none/);
$process = is_ctl(['exec', '-d', '-i', 'left', 'sh', '-c',
    'echo begun; read x; echo "got $x"; echo err >&2; exit 7'], 0)->{out} + 0;
$got = is_ctl(['attach', 'left', $process], 7, undef, stdin => "typed\n");
is("$got->{out}|$got->{err}", "begun\ngot typed\n|err\n", 'attached: all of it, both ways');
is_ctl(['attach', '--no-replay', 'left', $process], 7, qr/^\z/);
$process = is_ctl(['exec', '-d', 'left', 'sh', '-c', 'sleep 1; kill -9 $$'], 0)->{out} + 0;
is_ctl(['attach', '--no-stdin', 'left', $process], 137);
$process = is_ctl(['exec', '-d', 'left', 'sh', '-c', 'i=0; while :; do echo $i; '
    . 'i=$((i + 1)); sleep 0.05; done'], 0)->{out} + 0;
$got = run_cmd(['sh', '-c', "timeout -s INT 1 $exe --endpoint $url attach left $process"], timeout => 20);
like($got->{out}, qr/^0\n1\n2\n/, 'attached, and left by a signal');
is(from_json(ctl(['--json', 'execs', 'left'])->{out})->{processes}[-1]{state} // '', 'running', 'it goes on');
is_ctl(['kill', 'left', $process, '-s', 'KILL'], 0);
is_ctl(['attach', 'left', '9999'], 1, qr/not found/);
my $files = Sandboxd->scratch_dir;
mkdir "$files/tree";
spew("$files/tree/bytes", $bytes x 20);
spew("$files/tree/script", "#!/bin/sh\n");
chmod 0750, "$files/tree/script";
is_ctl(['cp', "$files/tree", 'left:/tmp/there'], 0);
like($d->sh('left', 'stat -c "%a %s" /tmp/there/*')->{stdout},
    qr/^644 6000000\n750 10\n\z/, 'a tree went in');
is_ctl(['cp', 'left:/tmp/there', "$files/back"], 0);
is(slurp("$files/back/bytes"), $bytes x 20, 'and came back');
is((stat "$files/back/script")[2] & 07777, 0750, 'with its modes');
is_ctl(['cp', 'left:/tmp/nothing', "$files/no"], 111, qr/nothing/);
is_ctl(['cp', "$files/tree", 'none:/tmp'], 1, qr/none/);
is_ctl(['cp', "$files/tree", 'left:/tmp/not/there'], 111, qr{/tmp/not});
my $tar = ctl(['cp', 'left:/tmp/there/script', '-'])->{out};
is(run_cmd(['tar', 'xOf', '-', 'script'], stdin => $tar)->{out}, "#!/bin/sh\n",
    'as a tar stream');
is_ctl(['cp', '-', 'left:/tmp'], 0, undef, stdin => $tar);
is($d->sh('left', 'cat /tmp/script')->{stdout}, "#!/bin/sh\n", 'and from one');
is_ctl(['agents', 'ls', '-q'], 0, qr/^mock$/m);
is_ctl(['agents', 'install', 'mock'], 0, qr/mock/);
is_ctl(['agents', 'install', 'nobody'], 1, qr/nobody/);
is_ctl(['agents', 'reload'], 0);
is_ctl(['doctor'], undef, qr/seccomp/);
is_ctl(['reset', 'nothing'], 1, qr/nothing/);

# What needs this machine says so.
is_ctl(['raw', 'session.get', 'id=talk'], 0, qr/"id":"talk"/);
$d->ok('sandbox.create', { id => 'cow', mounts => [{ source => '/tmp',
    target => '/w', mode => 'cow' }] });
for (['backup', '/tmp/none'], ['compact'], ['upgrade'], ['diff', 'cow'], ['apply', 'cow'], ['token', 'list'], ['run', 'mock', 'x', '--dir', '/tmp']) {
	is_ctl($_, 100, qr/control socket/);
}

# A socket of the file system; variables; what is told here goes before.
is_ctl(['status'], 0, qr/\Q$path\E/, endpoint => "unix:$path");
is_ctl(['create', 'two'], 0, qr/two/, endpoint => "unix://$path");
is_ctl(['exec', 'two', 'echo', 'by socket'], 0, qr/by socket/,
    endpoint => "unix:$path");
is_ctl(['exec', '-t', 'two', 'echo', 'by socket'], 0, qr/by socket/,
    endpoint => "unix:$path");
$got = run_cmd([$exe, 'ls', '-q'], env => { SANDBOXCTL_ENDPOINT => $url });
like($got->{out}, qr/^two$/m, 'SANDBOXCTL_ENDPOINT');
$got = run_cmd([$exe, '--socket', $d->{socket}, 'status'],
    env => { SANDBOXCTL_ENDPOINT => 'http://127.0.0.1:1' });
like($got->{out}, qr/pid\s+$d->{pid}/, '--socket goes before it');
$got = run_cmd([$exe, 'ls', '-q', '--endpoint', $url],
    env => { SANDBOXCTL_ENDPOINT => 'http://127.0.0.1:1' });
like($got->{out}, qr/^two$/m, 'so does --endpoint, also behind the command');
is(run_cmd([$exe, '--endpoint', $url, 'help'])->{status}, 0, 'help needs no server');

# A stream that is cut is taken up where it was: each event once.
$d->ok('session.create', { id => 'long', agent => 'mock', sandbox => 'two' });
my $out = Sandboxd->scratch_dir . '/events';
my $pid = fork // die "fork: $!";
if ($pid == 0) {
	open(STDOUT, '>', $out);
	open(STDERR, '>', '/dev/null');
	exec($exe, '--endpoint', $url, '--json', 'events', '--follow', 'long');
}
for my $n (1 .. 3) {
	$d->turn('long', "turn $n");
	ok(wait_for(10, sub { (slurp($out) // '') =~ /turn $n"/ }), "turn $n is seen");
	kill('KILL', $_) for $d->children(qr/gateway/);
	wait_for(10, sub { $d->http('GET', '/v1/health')->{status} // 0 == 200 });
}
$d->turn('long', 'the last');
ok(wait_for(20, sub { (slurp($out) // '') =~ /the last/ }), 'the stream goes on');
kill('INT', $pid);
ok(wait_for(10, sub { waitpid($pid, POSIX::WNOHANG) == $pid }), 'INT ends it')
    or do { kill('KILL', $pid); waitpid($pid, 0) };
@events = map { from_json($_) } split /\n/, slurp($out);
is(Sandboxd::sequence_flaw(1, @events), '',
    'each event once, although the gateways were killed three times');

done_testing;
