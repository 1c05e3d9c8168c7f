# sandboxctl: every command once, for people and as JSON.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;

# ctl([args], expected status, pattern of output, name)
sub ctl_is {
	my ($args, $status, $pattern, %o) = @_;
	my $got = $d->ctl($args, %o);
	my $name = "sandboxctl @$args";
	$name = substr($name, 0, 90) if length $name > 90;
	is($got->{status}, $status, $name) or diag("$got->{out}$got->{err}");
	like($got->{out} . $got->{err}, $pattern, "... says so") if $pattern;
	return $got;
}

sub ctl_json {
	my (@args) = @_;
	my $got = $d->ctl(['--json', @args]);
	my @objects = map { eval { from_json($_) } // { broken => $_ } }
	    split /\n/, $got->{out};
	return @objects == 1 ? $objects[0] : \@objects;
}

# Without a daemon, and with wrong use.
my $exe = program('sandboxctl');
my $got = run_cmd([$exe, '--socket', '/no/such.sock', 'status']);
is($got->{status}, 111, 'no daemon');
like($got->{err}, qr{/no/such\.sock}, 'is told with the path');
is(run_cmd([$exe])->{status}, 100, 'no command is wrong use');
is(run_cmd([$exe, 'fly'])->{status}, 100, 'an unknown command');
like(run_cmd([$exe, 'fly'])->{err}, qr/fly/, 'is named');
is(run_cmd([$exe, 'rm'])->{status}, 100, 'an operand missing');
is(run_cmd([$exe, 'ls', '--nonsense'])->{status}, 100, 'an unknown option');
is(run_cmd([$exe, '--help'])->{status}, 0, '--help');
is(run_cmd([$exe, 'help', 'run'])->{status}, 0, 'help of a command');
like(run_cmd([$exe, '--version'])->{out}, qr/^sandboxctl \d/, '--version');

# The socket: option, else variable.
$got = run_cmd([$exe, 'status'], env => { SANDBOXD_SOCKET => $d->{socket} });
is($got->{status}, 0, 'SANDBOXD_SOCKET');
like($got->{out}, qr/$d->{pid}/, 'reaches the daemon');

ctl_is(['status'], 0, qr/\d+\.\d+/);
is(ctl_json('status')->{pid}, $d->{pid}, 'status --json');
ctl_is(['create', 'box', '-l', 'team=red', '-e', 'A=1', '--pids', '100'], 0,
    qr/^box$/m);
ctl_is(['create', 'box'], 1, qr/exists/);
ctl_is(['ls'], 0, qr/^ID\s+STATE.*\n.*box\s+running/m);
is(ctl_json('ls')->{sandboxes}[0]{id}, 'box', 'ls --json');
ctl_is(['ls', '-q'], 0, qr/^box\n\z/);
ctl_is(['ls', '-l', 'team=blue', '-q'], 0, qr/^\z/);
ctl_is(['get', 'box'], 0, qr/seccomp/);
is(ctl_json('get', 'box')->{id}, 'box', 'get --json');
ctl_is(['get', 'none'], 1, qr/none/);

# exec: its own streams and exit code.
$got = ctl_is(['exec', 'box', 'sh', '-c', 'echo out; echo err >&2; exit 7'], 7);
is($got->{out}, "out\n", 'exec: standard output');
is($got->{err}, "err\n", 'exec: standard error');
ctl_is(['exec', 'box', '--', 'sh', '-c', 'kill -9 $$'], 137);
ctl_is(['exec', 'box', '/no/such'], 127, qr/no\/such/);
ctl_is(['exec', '-i', 'box', 'cat'], 0, qr/^some words\z/, stdin => 'some words');
my $bytes = join('', map { chr(int rand 256) } 1 .. 300000);
is($d->ctl(['exec', '-i', 'box', 'cat'], stdin => $bytes)->{out}, $bytes,
    'exec: bytes as they are');
ctl_is(['exec', '-u', '1000', '-w', '/usr', '-e', 'B=2', 'box', 'sh', '-c',
    'id -u; pwd; echo $A$B'], 0, qr{^1000\n/usr\n12\n\z});
$got = $d->ctl(['exec', '--timeout', '300ms', 'box', 'sleep', '50']);
ok($got->{status} != 0 && !$got->{timed_out}, 'exec: time-out');
$got = $d->ctl(['exec', 'box', 'sh', '-c', 'yes | head -c 20000000']);
is(length $got->{out}, 20000000, 'exec: twenty megabytes');
# A reader that closes early ends it, quietly.
$got = run_cmd(['sh', '-c', "$exe --socket $d->{socket} exec box yes | head -n 1"],
    timeout => 15);
ok(!$got->{timed_out}, 'exec: ends when nobody reads any more');
is($got->{out}, "y\n", 'exec: into head');

ctl_is(['stop', 'box'], 0, qr/box/);
ctl_is(['exec', 'box', 'true'], 1, qr/box/);
ctl_is(['start', 'box'], 0, qr/box/);

# Sessions.
ctl_is(['session', 'new', 'mock', '--id', 'talk', '-s', 'box', '--title', 'A title'],
    0, qr/^talk$/m);
ctl_is(['session', 'ls'], 0, qr/talk\s+mock\s+idle/);
ctl_is(['session', 'get', 'talk'], 0, qr/A title/);
ctl_is(['prompt', 'talk', 'hello from the terminal'], 0,
    qr/hello from the terminal/);
ctl_is(['events', 'talk'], 0, qr/hello from the terminal/);
$got = ctl_json('events', 'talk');
is(scalar @$got, 8, 'events --json: one a line');
is(Sandboxd::sequence_flaw(1, @$got), '', 'in order');
$got = ctl_json('events', 'talk', '--after', '6');
is(scalar @$got, 2, 'events --after');
$got = ctl_json('prompt', 'talk', 'as json');
is((grep { ($_->{type} // '') eq 'turn.ended' } @$got), 1, 'prompt --json');
ctl_is(['prompt', 'talk', 'permission', '--no-wait'], 0);
wait_for(10, sub { 2 == grep { $_->{type} eq 'permission.requested' }
    $d->events('talk') });
my ($ask) = grep { $_->{type} eq 'permission.requested' } $d->events('talk');
ctl_is(['reply', 'talk', $ask->{data}{permission_id}, 'once'], 0);
ctl_is(['reply', 'talk', $ask->{data}{permission_id}, 'once'], 1);
ctl_is(['reply', 'talk', 'mock_3_permission_denied', 'reject'], 0);
ctl_is(['cancel', 'talk'], 0) if $d->ok('session.get', { id => 'talk' })->{state}
    eq 'turn';
ctl_is(['cancel', 'talk'], 1);
ctl_is(['session', 'set', 'talk', '--model', 'other'], 0);
is($d->ok('session.get', { id => 'talk' })->{model}, 'other', 'session set');
ctl_is(['session', 'set', 'talk', '--agent-mode', 'plan', '--thought-level', 'high',
    '--mode', 'plan'], 0);
my $talk = $d->ok('session.get', { id => 'talk' });
is("$talk->{agent_mode} $talk->{permission_mode} $talk->{thought_level}",
    'plan plan high', 'modes and the thought level');
ctl_is(['session', 'set', 'talk'], 100, qr/--thought-level/);
ctl_is(['session', 'end', 'talk'], 0, qr/talk/);
ctl_is(['prompt', 'talk', 'x'], 1, qr/ended/);

# Sessions that are not for people are listed on request.
$d->ok('session.create', { id => 'acp:box:one', kind => 'acp', agent => 'mock',
    sandbox => 'box' });
unlike($d->ctl(['session', 'ls'])->{out}, qr/acp:/, 'no ACP server in session ls');
unlike($d->ctl(['session', 'ls', '-q'])->{out}, qr/acp:/, 'nor with -q');
is_deeply([map { $_->{id} } @{ctl_json('session', 'ls')->{sessions}}], ['talk'],
    'nor as JSON');
like($d->ctl(['session', 'ls', '-a'])->{out}, qr/^acp:box:one\s/m, 'but with --all');
like($d->ctl(['session', 'ls', '-aq'])->{out}, qr/^acp:box:one$/m, 'in any form');
is(scalar(@{ctl_json('session', 'ls', '-a')->{sessions}}), 2, 'as JSON, too');

ctl_is(['session', 'new', 'mock', '--id', 'more', '-s', 'box', '--thought-level', 'low',
    '--agent-mode', 'plan', '--no-install'], 0);
is($d->ok('session.get', { id => 'more' })->{thought_level}, 'low',
    'session new --thought-level');
ctl_is(['session', 'new', 'mock', '--install', '--no-install'], 100, qr/one of them/);
ctl_is(['session', 'rm', 'talk', 'more'], 0, qr/talk removed\nmore removed/);
is($d->error('session.get', { id => 'talk' }), 'session_not_found', 'it is gone');
ctl_is(['session', 'rm', 'talk', 'acp:box:one'], 1, qr/talk/);
is(scalar(@{$d->ok('session.list')->{sessions}}), 0, 'one that is not there is told');
ctl_is(['run', '--no-dir', '--agent-mode', 'plan', '--thought-level', 'low',
    '--no-install', '--sandbox-id', 'thinks', 'mock', 'hello'], 0, qr/hello/);
is($d->ok('session.get', { id => 'thinks' })->{thought_level}, 'low', 'run: likewise');

# raw: a request as one writes it to the socket.
$got = $d->ctl(['raw', 'sandbox.get id=box']);
is(eval { from_json((split /\n/, $got->{out})[0])->{ok}{id} }, 'box', 'raw');

ctl_is(['rm', 'box'], 0, qr/box/);
ctl_is(['rm', 'box'], 1);
is($d->ctl(['ls', '-q'])->{out}, '', 'nothing is left');

# What a sandbox says cannot drive the terminal.
$d->ok('sandbox.create', { id => 'esc', labels => { x => "\e[31mred\e]0;t\a" } });
unlike($d->ctl(['ls'])->{out} . $d->ctl(['get', 'esc'])->{out}, qr/\e/,
    'no escape sequence of a label reaches the terminal');
$d->ok('session.create', { id => 'e', agent => 'mock', sandbox => 'esc' });
unlike($d->ctl(['prompt', 'e', "say \e[2J\e]52;c;AAAA\a gone"])->{out}, qr/\e\[2J|\e\]/,
    'nor of an agent');

done_testing;
