# sandboxctl over HTTP when the other side is not there, or not what it should be.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Digest::SHA ();
use IO::Socket::INET;
use MIME::Base64 ();

my $exe = program('sandboxctl');
-x $exe or Sandboxd::plan_skip('sandboxctl has not been built');

sub ctl { my ($url, @args) = @_; return run_cmd([$exe, '--endpoint', $url, @args], timeout => 20) }

# Places that are none.
for my $url ('ftp://x', 'http://', 'http://a@b', 'http://x/?q', "http://a b", '', 'unix:',
    'unix:' . 'x' x 200) {
	my $got = ctl($url, 'ls');
	is($got->{status}, 100, 'no endpoint: ' . substr($url, 0, 30));
	like($got->{err}, qr/endpoint/, '... is told');
}

# Nobody there.
for my $url ('http://127.0.0.1:1', '127.0.0.1:1', 'unix:/no/such.sock') {
	my $got = ctl($url, 'ls');
	is($got->{status}, 111, "nobody at $url");
	like($got->{err}, qr/no server answers/, '... is told');
	my $json = from_json(run_cmd([$exe, '--json', '--endpoint', $url, 'ls'])->{err});
	is($json->{error}{code}, 'system', '... as JSON too');
}
my $began = time;
is(ctl('http://127.0.0.1:1', 'events', '--follow', 'x')->{status}, 111,
    'events --follow: nobody was ever there');
cmp_ok(time - $began, '<', 10, 'and it does not wait for him');
is(ctl('http://127.0.0.1:1', 'exec', 'box', 'true')->{status}, 111, 'exec: as well');

# A server that says what it wants: the answers in turn, one a connection.
sub serve {
	my (@answers) = @_;
	my $s = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die $!;
	my $pid = fork // die "fork: $!";
	if ($pid == 0) {
		for my $answer (@answers) {
			my $c = $s->accept or last;
			my $head = '';
			while ($head !~ /\r\n\r\n/) {
				sysread($c, $head, 65536, length $head) or last;
			}
			syswrite($c, $answer);
			close($c);
		}
		POSIX::_exit(0);
	}
	return ('http://127.0.0.1:' . $s->sockport, $pid);
}

sub answer {
	my ($status, $type, $body) = @_;
	return "HTTP/1.1 $status X\r\nContent-Type: $type\r\nContent-Length: "
	    . length($body) . "\r\nConnection: close\r\n\r\n$body";
}

# ANSWERS, ARGUMENTS, status, pattern, name
for (
    [[answer(200, 'application/json', '{"items":')], ['ls'], 1, qr/server's answer/,
	'JSON that is cut'],
    [[answer(200, 'text/html', '<html>')], ['ls'], 1, qr/server's answer/, 'no JSON'],
    [[answer(500, 'text/plain', 'oops')], ['ls'], 1, qr/500/, 'an error without a document'],
    [[answer(404, 'application/problem+json',
	'{"type":"urn:sandbox-agent:error:session_not_found","detail":"session not found: x"}')],
	['session', 'get', 'x'], 1, qr/session not found: x/, 'a problem document'],
    [[answer(404, 'application/json', '{"code":"DOCKER::SANDBOX_NOT_FOUND","message":"no box"}')],
	['get', 'x'], 1, qr/no box/, 'the other form'],
    [[answer(503, 'application/problem+json',
	'{"type":"urn:sandbox-agent:error:unavailable","detail":"unavailable: restarting"}')],
	['session', 'get', 'x'], 1, qr/restarting/, 'not now'],
    [[answer(302, 'text/plain', '')], ['ls'], 1, qr/302/, 'elsewhere is not followed'],
    [["HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"], ['ls'], 111, qr/./,
	'hung up within the answer'],
    [["SSH-2.0-x\r\n"], ['ls'], 111, qr/./, 'no HTTP at all'],
    [[''], ['ls'], 111, qr/./, 'hung up at once'],
    [["HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: stdout\ndata: {\"data\":\"some\"}\n\n"],
	['exec', 'x', 'true'], 111, qr/^some.*hung up/s, 'exec: cut in the middle'],
    [["HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: stdout\ndata: nonsense\n\n"],
	['exec', 'x', 'true'], 1, qr/event/, 'exec: an event that is none'],
    [["HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: beat\r\n\r\n"
	. "event:stdout\r\ndata:{\"data\":\r\ndata: \"\\u001b[2J\"}\r\n\r\n"
	. "event: exit\ndata: {\"exitCode\":4}\n\n"],
	['exec', 'x', 'true'], 4, qr/^\x1b\[2J\z/, 'exec: frames of every form'],
) {
	my ($answers, $args, $status, $pattern, $name) = @$_;
	my ($url, $pid) = serve(@$answers);
	my $got = ctl($url, @$args);
	is($got->{status}, $status, $name) or diag("$got->{out}$got->{err}");
	like("$got->{out}$got->{err}", $pattern, '... is told');
	kill('KILL', $pid);
	waitpid($pid, 0);
}

# A terminal of a server that breaks the rules of WebSockets. CODE gets the
# connection after the request and what it must be answered.
sub terminal {
	my ($name, $status, $pattern, $code, $bad_key) = @_;
	my $s = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die $!;
	my $pid = fork // die "fork: $!";
	if ($pid == 0) {
		while (my $c = $s->accept) {
			my $head = '';
			while ($head !~ /\r\n\r\n/) {
				sysread($c, $head, 65536, length $head) or last;
			}
			if ($head =~ /^sec-websocket-key: (\S+)/mi) {
				my $accept = MIME::Base64::encode_base64(
				    Digest::SHA::sha1($bad_key // $1,
				    '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'), '');
				syswrite($c, "HTTP/1.1 101 X\r\nConnection: upgrade\r\n"
				    . "Upgrade: websocket\r\n"
				    . "Sec-WebSocket-Accept: $accept\r\n\r\n");
				$code->($c);
			} elsif ($head =~ m{^POST \S+/processes }) {
				syswrite($c, answer(200, 'application/json', '{"id":"p"}'));
			} else {
				syswrite($c, answer(200, 'application/json', '{}'));
			}
			close($c);
		}
		POSIX::_exit(0);
	}
	my $got = ctl('http://127.0.0.1:' . $s->sockport, 'exec', '-t', 'x', 'true');
	is($got->{status}, $status, "terminal: $name") or diag("$got->{out}$got->{err}");
	like("$got->{out}$got->{err}", $pattern, '... is told');
	kill('KILL', $pid);
	waitpid($pid, 0);
}

my $exit = "\x81" . chr(28) . '{"exitCode":4,"type":"exit"}';
terminal('whole frames', 4, qr/^abc\z/, sub { syswrite($_[0], "\x82\x03abc$exit") });
terminal('fragments with a ping between', 4, qr/^abcdef\z/, sub {
	syswrite($_[0], "\x02\x03abc\x89\x01p\x80\x03def$exit");
	sysread($_[0], my $pong, 7);
});
terminal('byte by byte', 4, qr/^abc\z/, sub {
	my ($c) = @_;
	syswrite($c, $_), select(undef, undef, undef, 0.01)
	    for split //, "\x82\x03abc$exit";
});
terminal('a masked frame', 1, qr/rules/, sub { syswrite($_[0], "\x82\x83aaaaabc") });
terminal('a reserved bit', 1, qr/rules/, sub { syswrite($_[0], "\xc2\x03abc") });
terminal('a frame without end', 1, qr/too long/,
    sub { syswrite($_[0], "\x82\x7f" . "\x7f" x 8) });
terminal('a rest without a beginning', 1, qr/order/,
    sub { syswrite($_[0], "\x80\x03abc") });
terminal('two beginnings', 1, qr/order/,
    sub { syswrite($_[0], "\x02\x01a\x02\x01b") });
terminal('text that is no JSON', 1, qr/terminal's message/,
    sub { syswrite($_[0], "\x81\x01{") });
terminal('a close', 111, qr/closed/, sub { syswrite($_[0], "\x88\x00") });
terminal('hung up', 111, qr/hung up/, sub { });
terminal('an answer to another key', 1, qr/no WebSocket/, sub { syswrite($_[0], $exit) },
    'another');

# What a server says does not reach the terminal as it is.
my ($url, $pid) = serve(answer(404, 'application/problem+json',
    '{"type":"x","detail":"\u001b[2Jcleared"}'));
my $got = ctl($url, 'session', 'get', 'x');
unlike($got->{err}, qr/\x1b/, 'controls of a server are spelled out');
kill('KILL', $pid);
waitpid($pid, 0);

# A stream's lines come one by one: the second only after the first was seen.
pipe(my $r, my $w) or die;
my $s = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die $!;
$pid = fork // die "fork: $!";
if ($pid == 0) {
	my $c = $s->accept;
	sysread($c, my $head, 65536);
	syswrite($c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n");
	sysread($r, my $go, 1);
	syswrite($c, "data: two\n\n");
	close($c);
	POSIX::_exit(0);
}
my $told = 0;
$got = run_cmd([$exe, 'api', '-e', 'http://127.0.0.1:' . $s->sockport, 'sessions',
    'events-sse', 'x'], timeout => 20, on_out => sub {
	syswrite($w, 'x') if !$told++ && $_[0]{out} eq "data: one\n\n";
});
is($got->{out}, "data: one\n\ndata: two\n\n", 'api: line by line, as it comes');
is($got->{status}, 0, 'to its end');
kill('KILL', $pid);
waitpid($pid, 0);

# The program that does it is where it should be.
my $alone = Sandboxd->scratch_dir . '/sandboxctl';
run_cmd(['cp', $exe, $alone]);
$got = run_cmd([$alone, '--endpoint', 'http://127.0.0.1:1', 'ls']);
like($got->{err}, qr/sandboxctl-http|no server answers/, 'without it: which one is missing');
isnt($got->{status}, 0, 'is an error');

done_testing;
