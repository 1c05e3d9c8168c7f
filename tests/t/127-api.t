# sandboxctl api: the HTTP interface for scripts.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start(http => 1);
my $exe = program('sandboxctl');
my $url = $d->url;

sub api { my ($args, %o) = @_; return run_cmd([$exe, 'api', '-e', $url, @$args], %o) }
sub json { return from_json(api([@_])->{out}) }

# How it is written: two blanks a level, as the server ordered it; nothing for 204.
my $got = api(['health']);
is("$got->{status} $got->{out}", "0 {\n  \"status\": \"ok\"\n}\n", 'two blanks a level');
$got = api([qw(sessions create s1 --agent mock --agent-mode plan --title T -m m1
    --permission-mode default --variant high)]);
is($got->{status}, 0, 'sessions create') or diag($got->{err});
like($got->{out}, qr/\A\{\n  "healthy": true,\n  "nativeSessionId": "mock-s1"/,
    'its answer in the order that it has');
is(json(qw(sessions get s1))->{agentMode}, 'plan', 'sessions get');
is(json(qw(sessions list))->{sessions}[0]{sessionId}, 's1', 'sessions list');
$got = api([qw(sessions send-message s1 --message), 'Hello there']);
is("$got->{status} $got->{out}$got->{err}", '0 ', 'send-message: nothing to say');
wait_for(10, sub { $d->ok('session.get', { id => 's1' })->{event_count} >= 8 });
my $events = json(qw(sessions events s1 --offset 3 --limit 2));
is(join(' ', map { $_->{sequence} } @{$events->{events}}), '4 5', 'events: a piece');
ok($events->{hasMore}, 'and that there is more');
is(to_json(json(qw(sessions get-messages s1 -o 3 -l 2))), to_json($events),
    'get-messages is the same');
my ($full) = $d->events('s1');
is(to_json(json(qw(sessions events s1))->{events}[0]{data}), to_json($full->{data}),
    'data is as the server sent it');
$got = api([qw(sessions send-message-stream s1 -m again)]);
like($got->{out}, qr/^data: \{.*"turn\.started".*^data: \{.*"turn\.ended"/ms,
    'send-message-stream');

# Questions and permissions.
$d->ok('session.prompt', { id => 's1', text => 'question' });
my $q = $d->wait_event('s1', sub { $_->{type} eq 'question.requested' });
my $qid = $q->{data}{question_id};
is(api([qw(sessions reply-question s1), $qid, '--answers', 'Red'])->{status}, 1,
    'answers that are no JSON: 1');
is(api([qw(sessions reply-question s1), $qid, '--answers', '[["Red"]]'])->{status}, 0,
    'reply-question');
$got = api([qw(sessions reply-question s1), $qid, '-a', '[["Red"]]']);
is($got->{status}, 1, 'twice: 1');
is(from_json($got->{err} =~ /\A(\{.*^\})/ms)->{type},
    'urn:sandbox-agent:error:invalid_request', 'the problem is on standard error');
like($got->{err}, qr/^sandboxctl: .*400 Bad Request$/m, 'and the status');
is($got->{out}, '', 'and nothing on standard output');
is(api([qw(sessions reject-question s1 nope)])->{status}, 1, 'reject-question: unknown');
$d->ok('session.prompt', { id => 's1', text => 'permission' });
my $p = $d->wait_event('s1', sub { $_->{type} eq 'permission.requested' });
is(api([qw(sessions reply-permission s1), $p->{data}{permission_id}, qw(--reply maybe)])
    ->{status}, 2, 'a bad word: 2');
is(api([qw(sessions reply-permission s1), $p->{data}{permission_id}, qw(--reply once)])
    ->{status}, 0, 'reply-permission');
is(api([qw(sessions terminate s1)])->{status}, 0, 'terminate');
is(json(qw(sessions get s1))->{ended} ? 1 : 0, 1, 'it has ended');
is(api([qw(sessions send-message s1 -m x)])->{status}, 1, 'and takes no message');

# Names as they are.
is(api(['sessions', 'create', 'a b/c', '-a', 'mock'])->{status}, 0, 'a name with a slash');
is($d->ok('session.get', { id => 'a b/c' })->{id}, 'a b/c', 'is that name');

# Codes.
is(api(['sessions', 'get', 'none'])->{status}, 1, 'not there: 1');
for ([], ['nope'], ['sessions'], ['sessions', 'nope'], ['sessions', 'get'],
    ['sessions', 'get', 'a', 'b'], ['sessions', 'create', 'x'],
    ['sessions', 'list', '--nope'], ['sessions', 'list', '-e', 'ftp://x'],
    ['sessions', 'list', '-e', 'http://a@b'],
    ['request', 'get', '/'], ['request', 'GET', 'v1'],
    ['processes', 'resize', 'x', '--cols', 'many', '--rows', '1']) {
	$got = run_cmd([$exe, 'api', @$_]);
	is($got->{status}, 2, "wrong use: api @$_");
	like($got->{err}, qr/^sandboxctl: /, '... told on standard error');
}
$got = run_cmd([$exe, 'api', 'sessions', 'list', '-e', 'http://127.0.0.1:1']);
is($got->{status}, 1, 'nobody there: 1');
like($got->{err}, qr/127\.0\.0\.1:1\b/, 'with the address');
is(run_cmd([$exe, 'api', '--help'])->{status}, 0, '--help');
like(run_cmd([$exe, 'api', 'sessions', 'create', '--help'])->{out}, qr/--agent-mode/,
    '--help of an action');

# Where flags may stand.
is(run_cmd([$exe, 'api', '-e', $url, 'health'])->{status}, 0, '-e in front');
is(run_cmd([$exe, 'api', 'health', "--endpoint=$url"])->{status}, 0, '--endpoint=URL');
is(run_cmd([$exe, '--endpoint', $url, 'api', 'health'])->{status}, 0,
    '--endpoint in front of api');
is(run_cmd([$exe, 'api', 'health'], env => { SANDBOXCTL_ENDPOINT => $url })->{status}, 0,
    'SANDBOXCTL_ENDPOINT');

# Processes.
my $run = json(qw(processes run --cwd /tmp --env A=1 -- sh -c), 'echo $A; pwd; exit 3');
is("$run->{exitCode} $run->{stdout}", "3 1\n/tmp\n", 'processes run');
my $proc = json(qw(processes create -- sh -c), 'read x; echo got $x; sleep 0.1');
is(json('processes', 'list')->{processes}[0]{id}, $proc->{id}, 'processes list');
is(json('processes', 'input', $proc->{id}, '-d', "word\n")->{bytesWritten}, 5,
    'processes input');
wait_for(10, sub { json('processes', 'get', $proc->{id})->{status} eq 'exited' });
like(to_json(json('processes', 'logs', $proc->{id}, '--tail', '1')), qr/Z290IHdvcmQK/,
    'processes logs');
is(api(['processes', 'delete', $proc->{id}])->{status}, 0, 'processes delete');
is(api(['processes', 'get', $proc->{id}])->{status}, 1, 'it is gone');
is(json('processes', 'get-config')->{maxConcurrentProcesses}, 64, 'processes get-config');

# Files.
my $bytes = join('', map { chr(int rand 256) } 1 .. 100000);
is(api(['fs', 'put', '/tmp/a b'], stdin => $bytes)->{status}, 0, 'fs put');
is(api(['fs', 'get', '/tmp/a b'])->{out}, $bytes, 'fs get: the bytes');
is(json('fs', 'stat', '/tmp/a b')->{size}, 100000, 'fs stat');
my $file = spew(Sandboxd->scratch_dir . '/f', 'from a file');
is(api(['fs', 'put', '/tmp/f', $file])->{status}, 0, 'fs put from a file');
is(api(['fs', 'get', '/tmp/f'])->{out}, 'from a file', 'its content');
is(api(['fs', 'mkdir', '/tmp/x/y'])->{status}, 0, 'fs mkdir');
is(api(['fs', 'move', '/tmp/f', '/tmp/x/f'])->{status}, 0, 'fs move');
is((map { $_->{name} } grep { $_->{entryType} eq 'file' } @{json('fs', 'list', '/tmp/x')}),
    1, 'fs list');
is(api(['fs', 'delete', '/tmp/x'])->{status}, 1, 'fs delete: not empty');
is(api(['fs', 'delete', '/tmp/x', '-r'])->{status}, 0, 'fs delete -r');
run_cmd(['tar', '-cf', "$file.tar", '-C', '/etc', 'hostname']);
is(json('fs', 'upload-batch', '/tmp/up', "$file.tar")->{paths}[0], '/tmp/up/hostname',
    'fs upload-batch');

# Sandboxes, and another one's interface.
my $box = json('sandboxes', 'create', '--json',
    '{"image":{"uri":"host"},"entrypoint":["true"],"sandboxd":{"id":"own"}}');
is($box->{id}, 'own', 'sandboxes create');
is(json('sandboxes', 'get', 'own')->{status}{state}, 'Running', 'sandboxes get');
is(json('sandboxes', 'list')->{items}[0]{id}, 'own', 'sandboxes list');
is(json('-s', 'own', 'processes', 'run', 'hostname')->{stdout}, "own\n", '--sandbox')
    or diag(to_json($box));
is(json('processes', 'run', '-s', 'own', 'hostname')->{stdout}, "own\n",
    '--sandbox behind the action');
is(api(['sandboxes', 'stop', 'own'])->{status}, 0, 'sandboxes stop');
is(api(['sandboxes', 'delete', 'own'])->{status}, 0, 'sandboxes delete');

# Configuration.
is(api(['mcp', 'set', 'x', '-d', '/tmp', '--json', '{"type":"local","command":"c"}'])
    ->{status}, 0, 'mcp set');
is(json('mcp', 'get', 'x', '-d', '/tmp')->{command}, 'c', 'mcp get');
is(api(['mcp', 'delete', 'x', '-d', '/tmp'])->{status}, 0, 'mcp delete');

# Ports, and what else there is.
is(json('ports', 'expose', '8123')->{port}, 8123, 'ports expose');
is(json('ports', 'list')->{ports}[0]{port}, 8123, 'ports list');
is(api(['ports', 'unexpose', '8123'])->{status}, 0, 'ports unexpose');
is(api(['ports', 'expose', 'x'])->{status}, 2, 'a port that is none: 2');
like(to_json(json('fs', 'search', '/tmp', '-g', 'a?b')), qr{"/tmp/a b"}, 'fs search');
like(api(['processes', 'exec', '--', 'echo', 'streamed'])->{out},
    qr/^event: stdout\ndata: .*streamed.*^event: exit$/ms, 'processes exec');

# Each action goes somewhere: no route and no method of it is unknown.
for my $line (grep { /^  \w/ } split /\n/, run_cmd([$exe, 'api', '--help'])->{out}) {
	my ($words, $operands) = $line =~ /^  ((?:[a-z]+ )?[a-z-]+)((?: [A-Z\[.\]]+)*)  /
	    or fail("a line of help: $line"), next;
	next if $words =~ /^(?:request|.*follow|.*watch|.*-sse|.*set-config|agents.*)$/;
	my @given = grep { /^[A-Z]/ } split ' ', $operands;
	my @flags = $words =~ /create$|send-message/ && $words =~ /^sessions/ ?
	    ('-a', 'mock') : ();
	@flags = ('-m', 'x') if $words =~ /send-message/;
	@flags = ('--json', '{}') if $words =~ /metadata|sandboxes create|limits|set$/ &&
	    $words !~ /sandboxes limits/;
	@flags = ('-a', '[]') if $words =~ /reply-question/;
	@flags = ('-r', 'once') if $words =~ /reply-permission/;
	@flags = ('-d', 'x') if $words =~ /input/;
	@flags = ('--cols', 1, '--rows', 1) if $words =~ /resize/;
	push @flags, '-d', '/tmp' if $words =~ /^(?:mcp|skills)/;
	my $r = api([split(' ', $words), @flags, map { $_ eq 'PORT' ? 9 : 'nothing-here' }
	    @given], stdin => 'x', timeout => 20);
	unlike($r->{err}, qr/endpoint not found|405|wrong use|usage:/, "api $words has a route");
}

# Any request.
is(json('request', 'GET', '/v1/health')->{status}, 'ok', 'request');
is(json('request', 'POST', '/v1/processes/run', '--json', '{"command":"true"}')->{exitCode},
    0, 'request --json');
is(api(['request', 'POST', '/v1/processes/run', '--json', '{'])->{status}, 1,
    'as it is typed');
is(api(['request', 'PUT', '/v1/fs/file?path=/tmp/r', '--file', '-', '--content-type',
    'text/plain'], stdin => 'raw')->{status}, 0, 'request --file');
is(api(['fs', 'get', '/tmp/r'])->{out}, 'raw', 'its body');
like(api(['metrics'])->{out}, qr/^sandboxd_up 1$/m, 'what is no JSON comes as it is');

# Streams come line by line, not at their end.
$d->ok('session.create', { id => 'live', agent => 'mock' });
my ($seen, $asked) = (0, 0);
$got = run_cmd([$exe, 'api', 'sessions', 'events-sse', 'live', '-e', $url],
    timeout => 20, on_out => sub {
	my ($g, $pid) = @_;
	if (!$asked && $g->{out} =~ /session\.started/) {
		$asked = 1;
		# This is only answered while the stream is open.
		$d->request('session.prompt', { id => 'live', text => 'now' });
	}
	if ($g->{out} =~ /turn\.ended/) {
		$seen = 1;
		kill('TERM', $pid);
	}
});
ok($seen && !$got->{timed_out}, 'events-sse: as it happens');
like($got->{out}, qr/^data: \{"event_id":"evt_1",/m, 'the lines as the server sent them');

done_testing;
