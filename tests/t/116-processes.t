# /v1/processes: create, list, get, stop, kill, delete, input, resize, config;
# each right, wrong, and in the wrong state.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use MIME::Base64 qw(encode_base64 decode_base64);
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start(http => 1);
my $p = '/v1/processes';

sub get { return $d->http(GET => "$p$_[0]") }
sub post { my ($path, $json) = @_;
	return $d->http(POST => "$p$path", defined $json ? (json => $json) : ()) }
sub create { my ($command, @args) = @_;
	return post('', { command => $command, args => \@args })->{json} }
sub input { my ($id, $data, $encoding) = @_;
	return post("/$id/input", { data => $data,
	    defined $encoding ? (encoding => $encoding) : () }) }
sub logs { my ($id) = @_;
	return join '', map { decode_base64($_->{data}) }
	    @{get("/$id/logs")->{json}{entries}} }
sub logs_have { my ($id, $pattern) = @_;
	return wait_for(5, sub { logs($id) =~ $pattern }) }
sub exited { my ($id) = @_;
	return wait_for(5, sub { my $i = get("/$id")->{json};
	    $i->{status} eq 'exited' && $i }) }
sub problem { my ($r, $status, $type, $detail, $name) = @_;
	is("$r->{status} " . ($r->{json}{type} // ''),
	    "$status urn:sandbox-agent:error:$type", $name)
	    or diag($r->{body});
	is($r->{json}{detail}, $detail, "$name: why") if defined $detail }

# --- life -------------------------------------------------------------------

my $r = post('', { command => 'sh', args => ['-c', 'sleep 0.3; exit 7'],
    cwd => '/tmp', env => { A => 'b' }, owner => 'system', interactive => JSON::PP::true });
is($r->{status}, 200, 'a process is started');
like($r->{body}, qr/\A\{"id":"proc_1","command":"sh","args":\["-c","sleep 0.3; exit 7"\],"cwd":"\/tmp","tty":false,"interactive":true,"owner":"user","status":"running","pid":\d+,"createdAtMs":\d{13}\}\z/,
    'as clients know it');
my $info = exited('proc_1');
like(get('/proc_1')->{body}, qr/"owner":"user","status":"exited","exitCode":7,"createdAtMs":\d+,"exitedAtMs":\d+\}\z/,
    'after its end: the code, no pid');
cmp_ok($info->{exitedAtMs} - $info->{createdAtMs}, '>=', 290, 'times');
my $id = create('sleep', '1000')->{id};
is($id, 'proc_2', 'ids count');
problem(post('', { command => 'nope' }), 502, 'stream_error',
    'stream error: failed to spawn process: No such file or directory (os error 2)', 'no such program');
problem(post('', { command => 'nope', tty => JSON::PP::true }), 502, 'stream_error',
    'stream error: failed to spawn tty process: No such file or directory (os error 2)', 'on a terminal');
is(create('true')->{id}, 'proc_5', 'what failed has used its number');
my $at = time;
$r = post('/proc_2/stop');
is("$r->{status} $r->{json}{status}", '200 exited', 'stop waits for the end');
ok(!exists $r->{json}{exitCode}, 'after a signal there is no code');
cmp_ok(time - $at, '<', 1.5, 'which comes at once');
$r = post('/proc_2/stop');
is("$r->{status} $r->{json}{status}", '200 exited', 'stopping what has ended is no error');

my $stubborn = create('sh', '-c', 'trap : TERM; echo up; while :; do sleep 0.1; done')->{id};
logs_have($stubborn, qr/up/);
$at = time;
$r = post("/$stubborn/stop?waitMs=200");
is("$r->{status} $r->{json}{status}", '200 running', 'one that ignores SIGTERM runs on');
cmp_ok(time - $at, '<', 1.5, 'waitMs');
$at = time;
is(post("/$stubborn/stop")->{json}{status}, 'running', 'without waitMs');
cmp_ok(abs(time - $at - 2), '<', 0.8, 'two seconds');
problem($d->http(DELETE => "$p/$stubborn"), 409, 'conflict',
    'conflict: process is still running; stop or kill it before delete', 'it cannot be deleted');
is(post("/$stubborn/kill")->{json}{status}, 'exited', 'kill');
is($d->http(DELETE => "$p/$stubborn")->{status}, 204, 'now it can be deleted');
problem(get("/$stubborn"), 404, 'not_found', "not found: process $stubborn", 'and is gone');

# The whole tree, and the answer without waiting.
my $tree = create('sh', '-c', 'sleep 71 & setsid sleep 72 & sleep 73')->{id};
sleep 0.3;
$r = post("/$tree/kill?waitMs=0");
is($r->{status}, 200, 'kill without waiting');
my $left = sub { $d->http(POST => "$p/run", json => { command => 'sh',
    args => ['-c', 'ps ax -o args | grep "^sleep 7[1-3]" | wc -l'] })->{json}{stdout} + 0 };
ok(wait_for(5, sub { $left->() == 0 }), 'nothing of its tree is left');

# --- list -------------------------------------------------------------------

create('true') for 1 .. 10;
my @ids = map { $_->{id} } @{get('')->{json}{processes}};
is_deeply(\@ids, [sort @ids], 'a list is sorted by id as text');
ok((grep { $_ eq 'proc_10' } @ids) && $ids[1] eq 'proc_10', 'proc_10 before proc_2');
is(scalar @{get('?owner=user')->{json}{processes}}, scalar @ids, 'of an owner');
is(scalar @{get('?owner=desktop')->{json}{processes}}, 0, 'of another');
is(get('?owner=me')->{status}, 400, 'of nobody');
is(get('?owner=user&owner=user')->{status}, 400, 'given twice');

# --- not found, wrong -------------------------------------------------------

for my $bad (qw(proc_999 proc_0 proc_01 proc_ proc_-1 x 1 PROC_1 proc_1x
    proc_99999999999999999999 proc_1%00 ..)) {
	next if $bad eq '..';
	my $want = $bad =~ /%00/ ? 400 : 404;
	is(get("/$bad")->{status}, $want, "GET $bad");
	is(post("/$bad/stop")->{status}, $want, "stop $bad");
	is($d->http(DELETE => "$p/$bad")->{status}, $want, "DELETE $bad");
}
is_deeply(get('/proc_999')->{json}{details}, { id => 'proc_999', resource => 'process' },
    'which one was not found');
for my $bad ('', 'x', '-1', '1.5', '1e3', '99999999999999999999') {
	is(post("/proc_1/stop?waitMs=$bad")->{status}, 400, "waitMs '$bad'");
}
is(post('/proc_1/stop?waitMs=99999999999')->{status}, 200, 'a very long wait for what has ended');
for my $body ('{}', '{"command":1}', '{"command":"x","tty":null}', '{"command":"x","interactive":null}',
    '{"command":"x","tty":"yes"}', '{"command":"x","args":{}}', '[]', 'null') {
	is($d->http(POST => $p, body => $body, headers => { 'Content-Type' => 'application/json' })->{status},
	    422, "create $body");
}
is($d->http(POST => $p, body => 'x', headers => { 'Content-Type' => 'application/json' })->{status}, 400, 'create x');
is($d->http(POST => $p, body => '{}')->{status}, 415, 'create without a type');
$r = $d->http(PUT => "$p/config", json => {});
is("$r->{status} $r->{headers}{allow}", '405 GET,HEAD,POST', 'PUT config');
is($d->http(GET => "$p/proc_1/stop")->{status}, 405, 'GET stop');
is($d->http(HEAD => "$p/proc_1")->{status}, 200, 'HEAD');

# --- input ------------------------------------------------------------------

my $cat = create('cat')->{id};
$r = input($cat, encode_base64("hello\n", ''));
is($r->{body}, '{"bytesWritten":6}', 'base64 when nothing is said');
is(input($cat, "w\x{f6}rld\n", 'utf8')->{json}{bytesWritten}, 7, 'utf8');
is(input($cat, "more\n", 'text')->{json}{bytesWritten}, 5, 'text');
is(input($cat, '')->{json}{bytesWritten}, 0, 'nothing');
ok(logs_have($cat, qr/\Ahello\nw\xc3\xb6rld\nmore\n\z/), 'it came');
is(get("/$cat")->{json}{status}, 'running', 'stdin stays open');
my %why = ('a' => 'Invalid input length: 1', 'YQ' => 'Invalid padding', 'YQ=' => 'Invalid padding',
    'a bc' => 'Invalid symbol 32, offset 1.', 'YQ==YQ==' => undef, 'YR==' => undef, '=' => undef,
    "YWJj\n" => undef, 'YW_-' => undef);
for my $bad (sort keys %why) {
	problem(input($cat, $bad), 400, 'invalid_request', defined $why{$bad}
	    ? "invalid request: invalid base64 input: $why{$bad}" : undef, "base64 '$bad'" =~ s/\n/\\n/r);
}
for my $bad ('utf-8', 'UTF8', '', 'hex') {
	problem(input($cat, 'x', $bad), 400, 'invalid_request',
	    'invalid request: encoding must be one of: base64, utf8, text', "encoding '$bad'");
}
is(input('proc_999', '!!')->{status}, 400, 'base64 before the process');
is(input('proc_999', 'x' x 70000, 'text')->{status}, 413, 'the size before the process');
is(input('proc_999', 'eA==')->{status}, 404, 'an unknown process');
problem(input($cat, 'x' x 65537, 'utf8'), 413, 'invalid_request',
    'invalid request: input payload exceeds maxInputBytesPerRequest (65536)', 'too much');
is(input($cat, 'y' x 65535 . "\n", 'utf8')->{json}{bytesWritten}, 65536, 'as much as is allowed');
ok(wait_for(5, sub { length(logs($cat)) == 6 + 7 + 1 + 4 + 65536 }), 'all of it came');
is($d->http(POST => "$p/$cat/input", json => { data => $_ })->{status}, 422, 'data that is no text')
    for undef, 7, [];
post("/$cat/kill");
problem(input($cat, 'eA=='), 409, 'conflict', 'conflict: process is not running', 'after its end');

# One that does not read: some waits, then no more is taken, nobody hangs.
my $deaf = create('sleep', '1000')->{id};
my @status = map { input($deaf, 'x' x 60000, 'utf8')->{status} } 1 .. 4;
is_deeply(\@status, [200, 200, 429, 429], 'input that nobody reads is refused in the end')
    or diag("@status");
is(get("/$deaf")->{json}{status}, 'running', 'and init serves on');
post("/$deaf/kill");
my $slow = create('sh', '-c', 'sleep 0.5; wc -c | cat; echo never')->{id};
is(input($slow, 'x' x 60000, 'utf8')->{status}, 200, 'a late reader') for 1 .. 2;
my $late = create('sh', '-c', 'sleep 0.3; head -c 120000 | wc -c')->{id};
input($late, 'x' x 60000, 'utf8') for 1 .. 2;
ok(logs_have($late, qr/\A120000\n/), 'gets all that waited');
post("/$slow/kill");

# --- terminals --------------------------------------------------------------

$r = post('', { command => 'sh', args => ['-c', 'stty size; read x; stty size; tty; exit 3'],
    tty => JSON::PP::true })->{json};
my $tty = $r->{id};
ok($r->{tty}, 'a terminal');
ok(logs_have($tty, qr/^24 80\r\n/), 'of 24 rows and 80 columns');
$r = post("/$tty/terminal/resize", { cols => 120, rows => 40 });
is($r->{body}, '{"cols":120,"rows":40}', 'is resized');
input($tty, "\n", 'text');
ok(logs_have($tty, qr/^40 120\r\n\/dev\/pts\/\d+\r\n/m), 'which it sees');
is(exited($tty)->{exitCode}, 3, 'its end');
problem(post("/$tty/terminal/resize", { cols => 1, rows => 1 }), 409, 'conflict',
    'conflict: PTY resize handle unavailable', 'no resize after it');
problem(post("/$cat/terminal/resize", { cols => 1, rows => 1 }), 409, 'conflict',
    'conflict: process is not running in tty mode', 'nor without a terminal');
problem(post('/proc_999/terminal/resize', { cols => 1, rows => 1 }), 404, 'not_found', undef, 'nor of nobody');
for my $bad ({ cols => 70000, rows => 1 }, { cols => -1, rows => 1 }, { cols => 1 }, { cols => '1', rows => 1 }, {}) {
	is(post("/$tty/terminal/resize", $bad)->{status}, 422, 'resize ' . to_json($bad));
}
my $sh = post('', { command => 'cat', tty => JSON::PP::true })->{json}{id};
is(post("/$sh/terminal/resize", { cols => 0, rows => 0 })->{status}, 200, 'nothing is a size');
post("/$sh/kill");

# --- config -----------------------------------------------------------------

my %def = (maxConcurrentProcesses => 64, defaultRunTimeoutMs => 30000, maxRunTimeoutMs => 300000,
    maxOutputBytes => 1048576, maxLogBytesPerProcess => 10485760, maxInputBytesPerRequest => 65536);
is(get('/config')->{body}, '{"maxConcurrentProcesses":64,"defaultRunTimeoutMs":30000,"maxRunTimeoutMs":300000,"maxOutputBytes":1048576,"maxLogBytesPerProcess":10485760,"maxInputBytesPerRequest":65536}',
    'the limits');
for my $name (sort keys %def) {
	my %c = %def;
	delete $c{$name};
	is(post('/config', \%c)->{status}, 422, "without $name");
	is(post('/config', { %def, $name => -1 })->{status}, 422, "$name below zero");
	my $why = $name =~ /Timeout/ ? 'timeouts must be greater than 0' : $name =~ /Bytes/
	    ? 'byte limits must be greater than 0' : 'maxConcurrentProcesses must be greater than 0';
	problem(post('/config', { %def, $name => 0 }), 400, 'invalid_request',
	    "invalid request: $why", "$name zero");
}
is(post('/config', { %def, defaultRunTimeoutMs => 999999 })->{json}{defaultRunTimeoutMs}, 300000,
    'the default time is at most the longest');
is(post('/config', { %def, maxRunTimeoutMs => 300, defaultRunTimeoutMs => 100 })->{status}, 200, 'short times');
$at = time;
ok(post('/run', { command => 'sleep', args => ['9'], timeoutMs => 9999999 })->{json}{timedOut}, 'a long time is cut');
ok(post('/run', { command => 'sleep', args => ['9'] })->{json}{timedOut}, 'and the default used');
cmp_ok(time - $at, '<', 3, 'both');
post('/config', { %def, maxOutputBytes => 5 });
is(post('/run', { command => 'echo', args => ['123456789'], maxOutputBytes => 8 })->{json}{stdout}, '12345',
    'the cap of the output');
post('/config', { %def, maxInputBytesPerRequest => 3 });
is(input($cat, 'xxxx', 'text')->{status}, 413, 'the cap of the input');
post('/config', { %def, maxConcurrentProcesses => 1 });
my $one = create('sleep', '1000')->{id};
problem(post('', { command => 'sleep', args => ['1'] }), 409, 'conflict',
    'conflict: max concurrent process limit reached (1)', 'no second one');
is(post('/run', { command => 'true' })->{json}{exitCode}, 0, 'runs do not count');
post("/$one/kill");
is($d->http(POST => $p, json => { command => 'true' })->{status}, 200, 'nor does what has ended');
post('/config', \%def);

# --- other sandboxes, and the end of this one ---------------------------------

is_deeply($d->http(GET => "/i/default$p/proc_1")->{json}, get('/proc_1')->{json}, 'below /i/ it is the same');
$d->ok('sandbox.create', { id => 'other' });
is_deeply($d->http(GET => "/i/other$p")->{json}, { processes => [] }, 'another sandbox has its own');
is($d->http(POST => "/i/other$p", json => { command => 'true' })->{json}{id}, 'proc_1', 'and counts from 1');

# A client that leaves does not end what it has started.
my $stay = create('sleep', '1000')->{id};
is(get("/$stay")->{json}{status}, 'running', 'a process outlives its client');
$d->stop;
done_testing();
