# The command line of sandbox-agent where no server is needed: words, help, codes,
# and the requests that `api` sends, against a server of this test's own.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use AgentCli;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(sleep);

my $cli = AgentCli->new;
sub run { return $cli->run([@_], timeout => 20) }
sub problem { return $_[0]{err} =~ /error="((?:[^"\\]|\\.)*)"$/m ? $1 : "?$_[0]{err}" }

# Called by its name, and only then.
like(run('--version')->{out}, qr/\Asandbox-agent \d\S+\n\z/, '--version');
is(run('-V')->{out}, run('--version')->{out}, '-V');
my $ctl = run_cmd([AgentCli::prefix() . '/bin/sandboxctl', '--version']);
like($ctl->{out}, qr/\Asandboxctl /, 'sandboxctl stays what it is');
my $help = run('--help');
is($help->{status}, 0, '--help: 0');
for (qw(server daemon api install-agent credentials opencode)) {
	like($help->{out}, qr/^  \Q$_\E\b/m, "$_ is in it");
}
unlike($help->{out}, qr/mock-agent-process/, 'what only programs start is not');
for (['daemon'], ['daemon', '--help'], [qw(help daemon)]) {
	my $got = run(@$_);
	my $bare = @$_ == 1;
	is($got->{status}, $bare ? 2 : 0, "@$_: its code");
	like($bare ? $got->{err} : $got->{out}, qr/daemon stop/, "@$_: its commands");
}
like(run(qw(server --help))->{out}, qr/--cors-allow-origin ORIGIN/, 'server --help');
like(run(qw(help server))->{out}, qr/--cors-allow-origin ORIGIN/, 'help server');
like(run(qw(api --help))->{out}, qr/acp post/, 'api --help');
my $acp = run(qw(api acp --help));
like($acp->{out}, qr/acp post/, 'api acp --help');
unlike($acp->{out}, qr/sessions create/, 'tells of acp only');
like(run(qw(api acp post --help))->{out}, qr/--server-id ID/, 'api acp post --help');

# Wrong use is 2, with nothing on standard output.
for ([], ['nope'], ['install'], ['credentials'], [qw(credentials nope)], [qw(server nope)],
    [qw(server --nope)], [qw(server --port x)], [qw(server -p 65536)], [qw(server --port)],
    ['--token'], [qw(daemon start now)], [qw(daemon start -p 0)], [qw(help nope)],
    ['install-agent'], [qw(install-agent mock --all)], [qw(install-agent a b)],
    [qw(install desktop --package-manager nope)], [qw(opencode -p x)], ['api'],
    [qw(api nope)], [qw(api acp)], [qw(api acp post)], [qw(api acp stream)],
    [qw(api acp close)], [qw(api agents install)], [qw(--json server)],
    [qw(server --network some)], [qw(server --workspace some)]) {
	my $got = run(@$_);
	is("$got->{status} $got->{out}", '2 ', "'@$_' is wrong use");
	like($got->{err}, qr/\S/, 'and says why');
}
my $got = run(qw(install-agent --all --agent-version 1));
is($got->{status}, 1, '--all with a version: 1');
is(problem($got), 'server error: --agent-version and --agent-process-version are only '
    . 'supported for single-agent installs', 'in these words');
$got = run('opencode');
is($got->{status}, 1, 'opencode: 1');
like(problem($got), qr/not served/, 'says that it is not served');

# What a desktop needs.
$got = run(qw(install desktop --print-only --package-manager apt));
is("$got->{status}\n$got->{out}", <<'END', 'install desktop --print-only');
0
Desktop package manager: apt
Desktop packages:
  - xvfb
  - openbox
  - xdotool
  - imagemagick
  - ffmpeg
  - x11-xserver-utils
  - dbus-x11
  - xauth
  - fonts-dejavu-core
Install command:
  apt-get update && env DEBIAN_FRONTEND=noninteractive apt-get install -y xvfb openbox xdotool imagemagick ffmpeg x11-xserver-utils dbus-x11 xauth fonts-dejavu-core
END
like(run(qw(install desktop --print-only --no-fonts --package-manager dnf))->{out},
    qr/^  dnf install -y xorg-x11-server-Xvfb .* xauth$/m, 'dnf, without fonts');
like(run(qw(install desktop --print-only --package-manager apk))->{out},
    qr/^  apk add --no-cache xvfb .* ttf-dejavu$/m, 'apk');
$got = run(qw(install desktop --yes --package-manager apk));
is($got->{status}, 1, 'without --print-only nothing is installed: 1');
like($got->{out}, qr/apk add/, 'but told');

# The agent that says everything back.
$got = $cli->run(['mock-agent-process'], stdin => join("\n",
    '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"a":1e3}}', '',
    '{"method":"note"}', '{"id":"r","result":{"ok":1}}', '{"id":7,"error":{"code":-1}}',
    'not json', '[1,"x"]', '{"id":1,"method":5}', '{"id":null,"method":"last"}'));
is($got->{status}, 0, 'mock-agent-process ends with its input');
my @said = split /\n/, $got->{out};
is($said[0], '{"jsonrpc":"2.0","method":"mock/echo","params":{"message":'
    . '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"a":1e3}}}}', 'an echo');
is_deeply(from_json($said[1]), { id => 0, jsonrpc => '2.0', result => { echoed =>
    from_json($said[0])->{params}{message} } }, 'and the answer of a request');
is(join(' ', map { my $j = from_json($_); ($j->{method} // 'answer') } @said),
    'mock/echo answer mock/echo mock/echo mock/client_response mock/echo '
    . 'mock/client_response mock/parse_error mock/echo mock/echo mock/echo answer',
    'each kind of line has its answer');
is_deeply(from_json($said[4])->{params}, { error => undef, id => 'r',
    result => { ok => 1 } }, 'a response of the client');
is(from_json($said[7])->{params}{raw}, 'not json', 'what is no JSON');

# --- api, against a server that tells what it was asked ------------------------------

my $listen = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', LocalPort => 0)
    or die "listen: $!";
my $url = 'http://127.0.0.1:' . $listen->sockport;

# Run `api WORDS` and answer its request so; its result, and what it asked.
sub serve {
	my ($answer, @words) = @_;
	pipe(my $r, my $w) or die "pipe: $!";
	my $pid = fork // die "fork: $!";
	if ($pid == 0) {
		alarm(20 * slow_factor());	# nobody may come
		my $c = $listen->accept or POSIX::_exit(1);
		my $in = '';
		while ($in !~ /\r\n\r\n/ || ($in =~ /^content-length: (\d+)/mi
		    && length($in) < index($in, "\r\n\r\n") + 4 + $1)) {
			sysread($c, $in, 65536, length $in) or last;
		}
		syswrite($w, $in);
		syswrite($c, $answer);
		close($c);
		POSIX::_exit(0);
	}
	close($w);
	my $got = run('api', @words, '-e', $url);
	local $/;
	$got->{asked} = <$r>;
	waitpid($pid, 0);
	return $got;
}
sub answer {
	my ($status, $body, $type) = @_;
	return "HTTP/1.1 $status\r\ncontent-type: " . ($type // 'application/json')
	    . "\r\ncontent-length: " . length($body) . "\r\nconnection: close\r\n\r\n$body";
}
sub first { return $_[0]{asked} =~ /\A(.*?)\r\n/ ? $1 : '' }
sub body { return $_[0]{asked} =~ /\r\n\r\n(.*)/s ? $1 : '' }

$got = serve(answer('200 OK', '{"jsonrpc":"2.0","id":1,"result":{"b":[1,{}],"a":"é"}}'),
    qw(acp post --server-id), 'a b', qw(--agent mock --json), '{"id":1, "method":"x"}',
    qw(-t secret));
is(first($got), 'POST /v1/acp/a%20b?agent=mock HTTP/1.1', 'acp post: its request');
like($got->{asked}, qr/^authorization: bearer secret\r$/mi, 'with the token');
is(body($got), '{"id":1, "method":"x"}', 'the envelope goes out as it was written');
is("$got->{status} $got->{out}$got->{err}", <<'END', 'and its answer in order, over lines');
0 {
  "id": 1,
  "jsonrpc": "2.0",
  "result": {
    "a": "é",
    "b": [
      1,
      {}
    ]
  }
}
END
spew("$cli->{home}/envelope", '{"method":"note"}');
$got = serve(answer('202 Accepted', ''), qw(acp post --server-id s --json-file),
    "$cli->{home}/envelope");
is("$got->{status} $got->{out}$got->{err}", '0 ', '202: nothing to print');
is(first($got), 'POST /v1/acp/s HTTP/1.1', 'no agent was named');
unlike($got->{asked}, qr/^authorization/mi, 'and no token sent');
$got = serve(answer('400 Bad Request', '{"type":"t","detail":"d","agent":"nope"}',
    'application/problem+json'), qw(acp post --server-id s --agent nope --json {}));
is("$got->{status} $got->{out}", '1 ', 'a refusal: 1');
like($got->{err}, qr/\A\{\n  "agent": "nope",\n  "detail": "d",\n  "type": "t"\n\}\n/,
    'the problem stands on standard error');
is(problem($got), 'unexpected http status: 400 Bad Request', 'and the status after it');
is(serve(answer('204 No Content', ''), qw(acp close --server-id s))->{status}, 0,
    'acp close');
$got = serve(answer('200 OK', '{"z":1,"agents":[{"id":"mock","a":1}]}'), qw(agents list));
is(first($got), 'GET /v1/agents HTTP/1.1', 'agents list');
like($got->{out}, qr/\A\{\n  "agents": \[\n    \{\n      "a": 1,/, 'in order');
$got = serve(answer('200 OK', '{"already_installed":true,"artifacts":[]}'),
    qw(agents install pi -r --agent-version 1.2 --agent-process-version 3));
is(first($got), 'POST /v1/agents/pi/install HTTP/1.1', 'agents install');
is_deeply(from_json(body($got)), { reinstall => JSON::PP::true, agentVersion => '1.2',
    agentProcessVersion => '3' }, 'what it asks for');
is(first(serve(answer('200 OK', '{}'), qw(agents modes pi))),
    'GET /v1/agents/pi/modes HTTP/1.1', 'agents modes');
is(first(serve(answer('200 OK', '{}'), qw(agents models pi))),
    'GET /v1/agents/pi/models HTTP/1.1', 'agents models');
$got = serve(answer('200 OK', '{"sessions":[],"a":1}'), qw(sessions list));
like($got->{out}, qr/\A\{\n  "sessions"/, 'sessions: as the server ordered it');

# The report.
$got = serve(answer('200 OK', to_json({ agents => [{ id => 'claude',
    installed => JSON::PP::false, configOptions => [
	{ id => 'model', category => 'model', currentValue => 'default', options => [
	    { name => 'Sonnet', value => 'sonnet' }, { name => 'Default', value => 'default' },
	    { name => 'More', options => [{ name => 'Haiku', value => 'haiku' }] }] },
	{ id => 'm', category => 'mode', currentValue => 'plan', options => [] }] },
    { id => 'mock', installed => JSON::PP::true }] })), qw(agents report));
is(first($got), 'GET /v1/agents?config=true HTTP/1.1', 'agents report');
like($got->{out}, qr/\A\{\n  "generatedAtMs": \d{13},\n  "endpoint": "\Q$url\E",\n  "agents"/,
    'when and where');
is_deeply(from_json($got->{out})->{agents}, [{ id => 'claude',
    installed => JSON::PP::false, models => { currentValue => 'default', values => [
	{ value => 'default', name => 'Default' }, { value => 'haiku', name => 'Haiku' },
	{ value => 'sonnet', name => 'Sonnet' }] },
    modes => { currentValue => 'plan', values => [] }, thoughtLevels => { values => [] } },
    { id => 'mock', installed => JSON::PP::true, map { $_ => { values => [] } }
	qw(models modes thoughtLevels) }], 'what each can be set to');
is(serve(answer('200 OK', 'nonsense'), qw(agents report))->{status}, 1,
    'an answer that is none');

# A stream is written as it comes: each event is seen before the next is sent.
my $file = "$cli->{home}/streamed";
my $server = fork // die "fork: $!";
if ($server == 0) {
	alarm(60 * slow_factor());
	my $c = $listen->accept or POSIX::_exit(1);
	my $in = '';
	sysread($c, $in, 65536, length $in) or last while $in !~ /\r\n\r\n/;
	spew("$file.asked", $in);
	syswrite($c, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
	    . "connection: close\r\n\r\n");
	for my $n (1 .. 3) {
		syswrite($c, "event: message\nid: $n\ndata: {\"n\":$n}\n\n");
		wait_for(10, sub { -e "$file.$n" }) or POSIX::_exit(1);
	}
	close($c);
	POSIX::_exit(0);
}
$got = run_cmd([$cli->argv(qw(api acp stream --server-id s --last-event-id 7 -e), $url)],
    on_out => sub {
	my ($so_far) = @_;
	spew("$file.$_", '') for $so_far->{out} =~ /"n":(\d)/g;
    });
waitpid($server, 0);
is($?, 0, 'acp stream: each event was out before the next came');
is($got->{out}, join('', map { "event: message\nid: $_\ndata: {\"n\":$_}\n\n" } 1 .. 3),
    'the bytes as they are');
is($got->{status}, 0, 'it ends with the stream');
like(slurp("$file.asked"), qr/^GET \/v1\/acp\/s HTTP.*^last-event-id: 7\r$/msi,
    '--last-event-id is the header');

# Without a server, and payloads that are none.
my $dead = 'http://127.0.0.1:' . AgentCli::free_port();
$got = run(qw(api agents list -e), $dead);
is("$got->{status} $got->{out}", '1 ', 'nobody answers: 1');
like(problem($got), qr/^http error: .*127\.0\.0\.1/, 'and it says so');
for (['server error: missing payload: provide --json or --json-file'],
    ['server error: provide either --json or --json-file, not both', '--json', '1',
	'--json-file', 'x'], [qr/^json error: /, '--json', 'x{'],
    [qr/^io error: .*No such file/, '--json-file', '/nonexistent']) {
	my ($want, @words) = @$_;
	$got = run(qw(api acp post --server-id s -e), $dead, @words);
	is("$got->{status} $got->{out}", '1 ', "acp post @words: 1");
	ref $want ? like(problem($got), $want, 'says why')
	    : is(problem($got), $want, 'says why');
}
$got = run(qw(api acp post --server-id a/b --json 1 -e), $dead);
is(problem($got), "server error: server id must not contain '/'", 'a slash in the id');

done_testing;
