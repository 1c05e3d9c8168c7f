# POST /v1/processes/run and /v1/processes/exec: how a command is started, what
# comes back, and when; timeouts, floods, bytes that are no text, wrong bodies.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use MIME::Base64 qw(decode_base64);
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start(http => 1);
my $box = '';	# prefix of the path: a sandbox other than `default`

sub post { my ($path, $json) = @_;
	return $d->http(POST => "$box$path", json => $json) }
sub run { return post('/v1/processes/run', { command => $_[0], @_[1 .. $#_] }) }
sub sh { my ($script, %o) = @_;
	return run('sh', args => ['-c', $script], %o)->{json} }

# --- the answer -------------------------------------------------------------

my $r = run('sh', args => ['-c', 'echo out; echo err >&2; exit 3']);
is($r->{status}, 200, 'a run answers');
is($r->{headers}{'content-type'}, 'application/json', 'with JSON');
like($r->{body}, qr/\A\{"exitCode":3,"timedOut":false,"stdout":"out\\n","stderr":"err\\n","stdoutTruncated":false,"stderrTruncated":false,"durationMs":\d+\}\z/,
    'in the order that clients know');
$r = sh('kill -9 $$');
ok(exists $r->{exitCode} && !defined $r->{exitCode} && !$r->{timedOut},
    'after a signal there is no code');
is(sh('cat; echo done')->{stdout}, "done\n", 'stdin is empty');
is(sh('pwd', cwd => '/usr/lib')->{stdout}, "/usr/lib\n", 'cwd');
is(sh('echo $A-$TERM', env => { A => 'b' })->{stdout}, "b-xterm-256color\n",
    'env, and TERM');
is(sh('echo $TERM', env => { TERM => 'dumb' })->{stdout}, "dumb\n", 'TERM as told');
is(sh('echo a >/dev/stdout; echo b >/dev/stderr; exit 0')->{stderr}, "b\n",
    'its pipes can be opened by name');
is(run('pwd', cwd => 'no-such', args => [])->{status}, 502,
    'a relative cwd that is not there');
is(run('./sh', cwd => '/bin', args => ['-c', 'echo here'])->{json}{stdout},
    "here\n", 'a relative program is relative to cwd');

# --- bytes ------------------------------------------------------------------

is(sh(q(printf 'a\377b\342\202')) ->{stdout}, "a\x{fffd}b\x{fffd}",
    'what is no UTF-8 becomes U+FFFD, once for a cut character');
is(sh(q(printf 'a\000b'))->{stdout}, "a\0b", 'NULs survive');
is(sh(q(printf 'h\303\244user')) ->{stdout}, "h\x{e4}user", 'UTF-8 survives');
$r = sh(q(printf 'ab\303\244'), maxOutputBytes => 3);
is($r->{stdout}, "ab\x{fffd}", 'a character cut by the cap');
ok($r->{stdoutTruncated} && !$r->{stderrTruncated}, 'is told');
$r = sh('echo text', maxOutputBytes => 0);
is("$r->{stdout}$r->{stdoutTruncated}", '1', 'a cap of nothing');
$r = sh('head -c 3000000 /dev/zero | tr "\0" x; echo e >&2', maxOutputBytes => 9_000_000);
is(length $r->{stdout}, 1 << 20, 'the cap of the configuration cannot be raised');
is($r->{stderr}, "e\n", 'and what comes after is still read');
ok($r->{stdoutTruncated}, 'cut');

# --- time -------------------------------------------------------------------

my $at = time;
$r = sh('echo before; sleep 60', timeoutMs => 300);
ok($r->{timedOut} && !defined $r->{exitCode}, 'a run is ended after its time');
is($r->{stdout}, "before\n", 'with what it had printed');
cmp_ok(time - $at, '<', 3, 'at the time');
cmp_ok($r->{durationMs}, '>=', 290, 'and not before');

# Whoever holds the pipe: in a session of its own, and orphaned.
for my $how ('setsid sleep 61 & sleep 62', '(setsid sleep 61 &); sleep 62',
    '(setsid sh -c "trap : TERM HUP; sleep 61; sleep 61" &) ; sleep 62') {
	$at = time;
	$r = sh("echo x; $how", timeoutMs => 300);
	ok($r->{timedOut} && $r->{stdout} eq "x\n", "timed out: $how");
	cmp_ok(time - $at, '<', 3, 'answered at the time-out');
	ok(wait_for(5, sub { sh('ps ax -o args | grep "^slee[p] 6" | wc -l')->{stdout} == 0 }),
	    'and nothing is left of the tree');
}

$at = time;
$r = sh('sleep 8 & echo $!');
cmp_ok(time - $at, '<', 4, 'what stays behind does not delay the answer');
ok(!$r->{timedOut} && $r->{stdout} =~ /^\d+\n\z/, 'a plain end');
chomp(my $pid = $r->{stdout});
is(sh("kill -0 $pid && echo alive")->{stdout}, "alive\n", 'and lives on');
sh("kill $pid");
$at = time;
$r = sh('yes & sleep 0.2; echo end >&2; kill $! ; exit 0');
cmp_ok(time - $at, '<', 10, 'a flood ends with its command');
$r = sh('(setsid yes &) ; sleep 0.1; exit 5');
is($r->{exitCode}, 5, 'a flood that goes on does not hold the answer');
sh('kill $(ps ax -o pid,args | awk \'$2=="yes"{print $1}\')');

# --- refusals ---------------------------------------------------------------

my @wrong = (
	[400, '{', 'broken'], [400, '', 'empty'], [422, '[]', 'no object'],
	[422, '{}', 'no command'], [422, '{"command":7}', 'a number'],
	[422, '{"command":null}', 'null'],
	[422, '{"command":"ls","args":null}', 'args null'],
	[422, '{"command":"ls","args":"x"}', 'args a string'],
	[422, '{"command":"ls","args":[1]}', 'args of numbers'],
	[422, '{"command":"ls","env":null}', 'env null'],
	[422, '{"command":"ls","env":{"A":1}}', 'env of numbers'],
	[422, '{"command":"ls","timeoutMs":-1}', 'a time below zero'],
	[422, '{"command":"ls","timeoutMs":"1"}', 'a time that is a string'],
	[422, '{"command":"ls","timeoutMs":1.5}', 'half a millisecond'],
	[422, '{"command":"ls","cwd":7}', 'cwd a number'],
	[400, '{"command":""}', 'no name'], [400, '{"command":" \t"}', 'a blank name'],
	[502, '{"command":"no such"}', 'a missing program'],
	[502, '{"command":"/etc"}', 'a directory'],
	[502, '{"command":"/etc/passwd"}', 'not executable'],
	[502, '{"command":"ls","cwd":""}', 'an empty cwd'],
	[502, '{"command":"ls","cwd":"/none"}', 'a missing cwd'],
	[502, '{"command":"ls","cwd":"/etc/passwd"}', 'a cwd that is a file'],
	[502, '{"command":"a\u0000b"}', 'a NUL in the name'],
	[502, '{"command":"ls","args":["a\u0000b"]}', 'a NUL in an argument'],
);
for my $path ('/v1/processes/run', '/v1/processes/exec') {
	for my $w (@wrong) {
		my ($status, $body, $name) = @$w;
		my $r = $d->http(POST => $path, body => $body,
		    headers => { 'Content-Type' => 'application/json' });
		is($r->{status}, $status, "$path: $name")
		    or diag($r->{body});
	}
}
$r = run('nope-nope');
is($r->{json}{detail}, 'stream error: failed to spawn process: No such file or directory (os error 2)',
    'why it did not start');
is($r->{json}{details}{message}, 'failed to spawn process: No such file or directory (os error 2)',
    'also as a member');
is($r->{headers}{'content-type'}, 'application/problem+json', 'a problem document');
$r = $d->http(POST => '/v1/processes/run', body => '{"command":"true"}',
    headers => { 'Content-Type' => 'text/plain' });
is($r->{status}, 415, 'another type of body');
for my $type ('application/json; charset=utf-8', 'APPLICATION/JSON', 'application/x+json') {
	is($d->http(POST => '/v1/processes/run', body => '{"command":"true"}',
	    headers => { 'Content-Type' => $type })->{status}, 200, $type);
}
$r = run('true', args => undef, timeoutMs => undef);
is($r->{status}, 422, 'null for a list');
$r = run('true', timeoutMs => undef, cwd => undef, maxOutputBytes => undef, extra => 1);
is($r->{status}, 200, 'null for what may be missing, and a stranger');
$r = $d->http(GET => '/v1/processes/run');
is("$r->{status} $r->{headers}{allow}", '405 POST', 'only POST');
my $long = 'x' x 100_000;
is(run('echo', args => ['-n', $long])->{json}{stdout}, $long, 'a long argument');
is(run('true', args => ['x' x 300_000])->{status}, 502, 'one that is too long for the system');
is(run('true', args => [('y' x 1000) x 2000])->{status}, 413, 'more than a request may hold');

# --- many at a time, and clients that leave ---------------------------------

my @c = map { $d->http_client } 1 .. 20;
my $body = to_json({ command => 'sh', args => ['-c', 'sleep 0.3; echo $$'] });
$at = time;
$_->write("POST /v1/processes/run HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
    . length($body) . "\r\n\r\n$body") for @c;
my %pids = map { ($_->response->{json}{stdout} // 'none') => 1 } @c;
is(scalar keys %pids, 20, 'twenty runs');
cmp_ok(time - $at, '<', 5, 'beside each other');
my $c = $d->http_client;
$body = to_json({ command => 'sh', args => ['-c', 'sleep 0.5; echo x; echo y; echo late > /tmp/late'] });
$c->write("POST /v1/processes/run HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
    . length($body) . "\r\n\r\n$body");
sleep 0.2;
$c->close;
ok(wait_for(5, sub { sh('cat /tmp/late')->{stdout} eq "late\n" }),
    'a client that leaves does not end its command');

# --- exec -------------------------------------------------------------------

# Events of a body: [event, data] each.
sub events {
	return map { [/^event: (\S+)$/m, from_json((/^data: (.*)$/m)[0])] }
	    grep { /^event: / } split /\n\n/, $_[0];
}
sub exec_events { return events(post('/v1/processes/exec', { @_ })->{body}) }

$r = post('/v1/processes/exec', { command => 'sh', args => ['-c', 'cat; echo e >&2; exit 4'],
    stdin => "line \x{e4}\n" });
is($r->{status}, 200, 'exec answers');
is($r->{headers}{'content-type'}, 'text/event-stream', 'with events');
my @e = events($r->{body});
is_deeply([map { $_->[0] } @e], [qw(stdout stderr exit)], 'output, errors, end');
is($e[0][1]{data}, "line \x{e4}\n", 'stdin was read');
is_deeply([@{$e[2][1]}{qw(exitCode timedOut)}], [4, JSON::PP::false], 'how it ended');
@e = exec_events(command => 'sh', args => ['-c', q(printf 'a\377'; kill $$)]);
is(join('', map { $_->[1]{encoding} ? decode_base64($_->[1]{data}) : $_->[1]{data} }
    grep { $_->[0] eq 'stdout' } @e), "a\xff", 'bytes');
is((grep { $_->[0] eq 'stdout' } @e)[-1][1]{encoding}, 'base64',
    'those that are no text in base64');
is($e[-1][1]{signal}, 15, 'the signal');
@e = exec_events(command => 'sh', args => ['-c', q(printf 'a\303'; sleep 0.2; printf '\244b')]);
is(join('', map { $_->[1]{data} } grep { $_->[0] eq 'stdout' } @e), "a\x{e4}b",
    'a character that comes in two halves');
is(scalar(grep { exists $_->[1]{encoding} } @e), 0, 'is text');
@e = exec_events(command => 'sleep', args => ['50'], timeoutMs => 200);
ok($e[-1][1]{timedOut}, 'exec has its time, too');
is(length join('', map { $_->[1]{data} // '' } exec_events(command => 'sh',
    args => ['-c', 'head -c 5000000 /dev/zero | tr "\0" y'])), 5_000_000,
    'all of the output, without a cap');
is(post('/v1/processes/exec', { command => 'cat', stdin => 7 })->{status}, 422,
    'stdin that is no text');
is(post('/v1/processes/exec', { command => 'nope' })->{status}, 502, 'not started');
is(join('', map { $_->[1]{data} // '' } exec_events(command => 'wc', args => ['-c'],
    stdin => 'z' x 2_000_000)), "2000000\n", 'a long stdin');

# Live, and ended with its client.
$c = $d->http_client;
$body = to_json({ command => 'sh', args => ['-c', 'echo first; sleep 63'] });
$c->write("POST /v1/processes/exec HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
    . length($body) . "\r\n\r\n$body");
is($c->head->{status}, 200, 'headers come at once');
like($c->chunk // '', qr/first/, 'and output as it is printed');
$c->close;
ok(wait_for(25, sub { sh('ps ax -o args | grep "^slee[p] 63" | wc -l')->{stdout} == 0 }),
    'a client that leaves ends its command');

# A slow client slows its command and nobody else.
$c = $d->http_client;
$body = to_json({ command => 'yes' });
$c->write("POST /v1/processes/exec HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
    . length($body) . "\r\n\r\n$body");
is($c->head->{status}, 200, 'a flood');
sleep 1;
my ($gateway) = grep { (slurp("/proc/$_/cmdline") // '') =~ /sandboxd-gateway/ } descendants($d->{pid});
my ($rss) = (slurp("/proc/$gateway/status") // '') =~ /VmRSS:\s+(\d+)/;
cmp_ok($rss, '<', 40_000 * slow_factor(), 'costs no memory when nobody reads');
is(sh('echo ok')->{stdout}, "ok\n", 'others are served meanwhile');
$c->close;
ok(wait_for(5, sub { sh('ps ax -o args | grep "^ye[s]" | wc -l')->{stdout} == 0 }),
    'and ends');

# --- another sandbox --------------------------------------------------------

$d->ok('sandbox.create', { id => 'other', user => 'nobody' });
$box = '/i/other';
is(sh('hostname; id -un')->{stdout}, "other\nnobody\n",
    'below /i/ it is that sandbox, with its user');
$r = sh('echo a >/dev/stdout; echo b >/dev/stderr; echo $HOME');
like($r->{stdout}, qr{\Aa\n/}, 'whose pipes are its own');
is($r->{stderr}, "b\n", 'both of them');
$box = '';
is($d->http(POST => '/i/none/v1/processes/run', json => { command => 'true' })->{status}, 404,
    'an unknown sandbox');

$d->stop;
done_testing();
