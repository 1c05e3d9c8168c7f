# MCP servers and skills that were configured over HTTP reach the real Claude Code:
# a server on pipes is started and its tool called, a server on HTTP gets its
# headers, a local skill is listed; what is broken is told and does no harm.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../t/lib";
use Sandboxd;
use Agents;
use Test::More;

need_root();

my $d = claude_daemon(http => 1);
my $llm = Agents::FakeLlm->start;
my $box = 'tools';
$d->ok('sandbox.create', { id => $box, network => 'host', directory => '/tmp' });

# A server that tells what it was given, in few lines.
my $server = <<'EOF';
import readline from 'node:readline';
import fs from 'node:fs';
const out = (m) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...m }) + '\n');
readline.createInterface({ input: process.stdin }).on('line', (line) => {
	const m = JSON.parse(line);
	fs.appendFileSync('/tmp/mcp.log', line + '\n');
	if (m.method === 'initialize')
		out({ id: m.id, result: { protocolVersion: m.params.protocolVersion,
		    capabilities: { tools: {} }, serverInfo: { name: 't', version: '1' } } });
	else if (m.method === 'tools/list')
		out({ id: m.id, result: { tools: [{ name: 'tell', description: 'Tell.',
		    inputSchema: { type: 'object', properties: { word: { type: 'string' } } } }] } });
	else if (m.method === 'tools/call')
		out({ id: m.id, result: { content: [{ type: 'text', text:
		    `word=${m.params.arguments.word} env=${process.env.MARK} args=${process.argv.slice(2)} cwd=${process.cwd()}` }] } });
	else if (m.id !== undefined)
		out({ id: m.id, result: {} });
});
EOF
# A server on HTTP that refuses whoever lacks the headers.
my $remote = <<'EOF';
import http from 'node:http';
import fs from 'node:fs';
const s = http.createServer((req, res) => {
	fs.appendFileSync('/tmp/remote.log', JSON.stringify([req.method, req.headers]) + '\n');
	res.writeHead(405).end();
}).listen(0, '127.0.0.1', () => fs.writeFileSync('/tmp/remote.port', String(s.address().port)));
EOF
$d->exec($box, ['sh', '-c', 'cat > /tmp/server.mjs'], stdin => $server);
$d->exec($box, ['sh', '-c', 'cat > /tmp/remote.mjs; mkdir -p /tmp/w /tmp/my-skills/greet /tmp/sub; '
    . 'printf -- "---\nname: greet\ndescription: Greets.\n---\nSay hi.\n" > /tmp/my-skills/greet/SKILL.md; '
    . 'node /tmp/remote.mjs >/dev/null 2>&1 &'], stdin => $remote);
my $port = wait_for(10, sub {
	$d->exec($box, ['cat', '/tmp/remote.port'])->{stdout} });
ok($port, 'the HTTP server listens');

sub put {
	my ($kind, $name, $value) = @_;
	my $key = $kind eq 'mcp' ? 'mcpName' : 'skillName';
	my $r = $d->http('PUT', "/i/$box/v1/config/$kind?directory=/tmp/w&$key=$name",
	    json => $value);
	is($r->{status}, 204, "$kind $name is stored");
}
put('mcp', 'pipes', { type => 'local', command => ['node', '/tmp/server.mjs'],
    args => ['one'], env => { MARK => 'here' }, cwd => '/tmp/sub' });
put('mcp', 'off', { type => 'local', command => '/nonexistent', enabled => \0 });
put('mcp', 'web', { type => 'remote', url => "http://127.0.0.1:$port/mcp",
    headers => { 'X-Plain' => 'p' }, bearerTokenEnvVar => 'MY_TOKEN',
    envHeaders => { 'X-Env' => 'MY_ENV', 'X-Missing' => 'NOT_SET' } });
put('skills', 'mine', { sources => [{ type => 'local', source => '../my-skills' },
    { type => 'git', source => 'https://me:pass@127.0.0.1:1/skills' },
    { type => 'local', source => '/tmp/no-such-place' }] });

$d->ok('session.create', { id => 's', sandbox => $box, agent => 'claude',
    directory => '/tmp/w', permission_mode => 'default',
    env => { %{claude_env($llm)}, MY_TOKEN => 'tok', MY_ENV => 'val' } },
    timeout => 30);

$d->ok('session.prompt', { id => 's', text =>
    'fake:tool use=mcp__pipes__tell input="{\"word\":\"salt\"}"' });
my $seen = 0;
my @asked;
ok(wait_for(60, sub {
	for my $e ($d->events('s', after => $seen)) {
		$seen = $e->{sequence};
		return 1 if $e->{type} eq 'turn.ended';
		next unless $e->{type} eq 'permission.requested';
		push @asked, $e->{data}{action};
		$d->ok('session.permission.reply', { id => 's', reply => 'once',
		    permission_id => $e->{data}{permission_id} });
	}
	return 0;
}), 'the turn ends');
my @e = $d->events('s');
is("@asked", 'mcp__pipes__tell', 'the tool is asked for by its name');
my ($result) = tool_items('tool_result', @e);
is($result->{status}, 'completed', 'its call succeeds');
like(to_json($result), qr{word=salt env=here args=one cwd=/tmp/sub},
    'with arguments, environment and directory as configured');
like($d->exec($box, ['cat', '/tmp/mcp.log'])->{stdout}, qr{tools/call},
    'the server was really asked');

my $log = $d->exec($box, ['cat', '/tmp/remote.log'])->{stdout};
like($log, qr/"authorization":"Bearer tok"/, 'the HTTP server got the token of the environment');
like($log, qr/"x-plain":"p"/, 'its header');
like($log, qr/"x-env":"val"/, 'and the one of the environment');

my @errors = map { $_->{data}{message} } grep { $_->{type} eq 'error' } @e;
ok((grep { /NOT_SET/ } @errors), 'a header without its variable is told');
ok((grep { m{https://\*\*\*\@127\.0\.0\.1:1/skills are left out: git failed} } @errors),
    'so is a source that cannot be fetched');
ok(!(grep { /pass\@/ } @errors), 'without its password');
ok((grep { /no-such-place/ } @errors), 'and one that is not there');
is($d->exec($box, ['readlink', '/tmp/w/.claude/skills/greet'])->{stdout},
    "/tmp/my-skills/greet\n", 'the local skill is linked');
my ($skill) = tool_items('tool_result', $d->turn('s',
    'fake:tool use=Skill input="{\"skill\":\"greet\"}"'));
is($skill->{status}, 'completed', 'where claude finds it');
($skill) = tool_items('tool_result', $d->turn('s',
    'fake:tool use=Skill input="{\"skill\":\"unheard-of\"}"'));
is($skill->{status}, 'failed', 'which it does not say of any name');
unlike($d->exec($box, ['sh', '-c', 'cat /proc/[0-9]*/cmdline | tr "\0" " "'])->{stdout},
    qr/Bearer tok/, 'no token stands in arguments');

# What the session was made with goes before; broken files only complain.
$d->exec($box, ['sh', '-c', 'mkdir -p /tmp/v/.sandbox-agent/config; '
    . 'echo "{oops" > /tmp/v/.sandbox-agent/config/mcp.json; '
    . 'mkfifo /tmp/v/.sandbox-agent/config/skills.json']);
$d->ok('session.create', { id => 't', sandbox => $box, agent => 'claude',
    directory => '/tmp/v', env => claude_env($llm), mcp => { pipes => {
    type => 'local', command => 'node', args => ['/tmp/server.mjs', 'two'] } } },
    timeout => 30);
@e = $d->turn('t', 'hello');
@errors = map { $_->{data}{message} } grep { $_->{type} eq 'error' } @e;
ok((grep { m{/tmp/v/.sandbox-agent/config/mcp.json is left out} } @errors), 'a broken file is told');
ok((grep { m{skills.json is left out: .*not a regular file} } @errors), 'so is a pipe');
like(answer_text(@e), qr/You said: hello/, 'and the turn goes well');
is($e[-1]{data}{metadata}{stop_reason} // $e[-1]{data}{stop_reason} // 'end_turn', 'end_turn',
    'to its end');

done_testing;
