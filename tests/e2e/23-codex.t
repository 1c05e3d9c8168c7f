# The real Codex through the whole daemon: text, thoughts, commands, patches, leave
# asked for and given or not, modes, plans, questions, pictures, MCP servers, skills,
# models and thought levels, interruption, errors, and going on after every kind of
# end.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../t/lib";
use Sandboxd;
use Agents;
use Test::More;

need_root();
need_program('git');

my $d = Sandboxd->start(env => { PATH => agents_path('codex') });
my $llm = Agents::FakeLlm->start;
my $repo = git_repository();
# A model that is driven by plain tools.
my $model = 'gpt-5.5';
my $wait = 60 * slow_factor();

sub codex_env {
	return { OPENAI_BASE_URL => $llm->url . '/v1', OPENAI_API_KEY => $llm->{key},
	    MY_TOKEN => 'tok' };
}

sub session {
	my ($id, $box, %o) = @_;
	my $env = delete $o{env} // codex_env();
	return $d->ok('session.create', { id => $id, sandbox => $box,
	    agent => 'codex', model => $model, env => $env, %o },
	    timeout => $wait);
}

# Send a prompt and answer what is asked: permissions by the words of REPLIES,
# questions by lists.
sub turn_with {
	my ($id, $text, @replies) = @_;
	my $from = ($d->events($id))[-1]{sequence};
	my ($seen, @asked) = ($from);
	my $prompt = ref $text ? $text : { text => $text };

	$d->ok('session.prompt', { id => $id, %$prompt });
	my $done = wait_for($wait, sub {
		for my $e ($d->events($id, after => $seen)) {
			$seen = $e->{sequence};
			return 1 if $e->{type} eq 'turn.ended';
			next unless $e->{type} =~ /^(permission|question)\.requested$/;
			push @asked, $e;
			my $reply = shift @replies // ['reject'];
			my ($word, $message) = ref $reply ? @$reply : ($reply);
			# It may be answered already: allowed for the session.
			$d->request("session.$1.reply", { id => $id,
			    "${1}_id" => $e->{data}{"${1}_id"},
			    $1 eq 'question' ? (answers => [$reply]) :
			    (reply => $word,
			     defined $message ? (message => $message) : ()) });
		}
		return 0;
	});
	ok($done, 'the turn ends: ' . substr(to_json($prompt->{text}), 0, 60));
	return ([$d->events($id, after => $from)], @asked);
}

sub end_of { return (grep { $_->{type} eq 'turn.ended' } @_)[-1]{data}{metadata} }
sub last_plan { return ($llm->seen('plan'))[-1] }
sub labels {
	return map { $_->{content}[0]{label} } tool_items('status', @_);
}

$d->ok('sandbox.create', { id => 'work', network => 'host',
    mounts => [{ source => $repo, target => '/workspace', mode => 'cow' }],
    directory => '/workspace' }, timeout => $wait);
session('work', 'work');

# --- text, thoughts, usage ----------------------------------------------------------

my @e = $d->turn('work', 'fake:think fake:stream n=5 delay=20', timeout => $wait);
my @deltas = grep { $_->{type} eq 'item.delta' } @e;
cmp_ok(scalar @deltas, '>=', 6, 'text and thoughts stream');
my ($thought) = grep { ($_->{content}[0]{type} // '') eq 'reasoning' }
    tool_items('message', @e);
like($thought->{content}[0]{text}, qr/First I look/, 'a thought is told as one');
like(answer_text(@e), qr/part 5 of 5/, 'and the text');
my $end = end_of(@e);
is($end->{stop_reason}, 'end_turn', 'the turn ends');
is($end->{usage}{total_tokens}, 144, 'and tells its tokens');
is(scalar(grep { $_->{type} eq 'item.completed'
    && ($_->{data}{item}{role} // '') eq 'user' } @e), 1, 'the user\'s message is there once');
is(last_plan()->{model}, $model, 'the model is as wished');
my $native = $e[-1]{native_session_id};
ok($native, 'the conversation has an id');

# --- commands and files ---------------------------------------------------------------

(my $e, my @asked) = turn_with('work', 'fake:bash cmd="echo one; echo two; pwd"',
    'once');
is($asked[0]{data}{action}, 'commandExecution', 'a command is asked for');
like($asked[0]{data}{metadata}{command}, qr/echo one/, 'with its text');
my ($call) = tool_items('tool_call', @$e);
is($asked[0]{data}{metadata}{toolCallId}, $call->{native_item_id}, 'and the call that it is');
my ($result) = tool_items('tool_result', @$e);
is($result->{content}[0]{output}, "one\ntwo\n/workspace\n", 'its output is the result');
is($result->{content}[1]{json}{exitCode}, 0, 'with the status');
like(answer_text(@$e), qr/The tool answered/, 'codex goes on');

($e, @asked) = turn_with('work', 'fake:bash cmd="exit 3"', 'once');
($result) = tool_items('tool_result', @$e);
is($result->{status}, 'failed', 'a command that fails');

($e, @asked) = turn_with('work', 'fake:write path=new.txt content="one\ntwo\n"', 'once');
is($asked[0]{data}{action}, 'fileChange', 'a new file is asked for');
($result) = tool_items('tool_result', @$e);
my ($ref) = grep { $_->{type} eq 'file_ref' } @{$result->{content}};
is($ref->{path}, '/workspace/new.txt', 'its result names the file');
is($ref->{diff}, "@@ -0,0 +1,2 @@\n+one\n+two\n", 'with the difference');
is($d->sh('work', 'cat new.txt')->{stdout}, "one\ntwo\n", 'it is there');
ok(!-e "$repo/new.txt", 'in the copy alone');

($e, @asked) = turn_with('work', 'fake:edit path=add.c old="\treturn a - b;" '
    . 'new="\treturn a + b;"', 'once', 'once');
like($d->sh('work', 'cat add.c')->{stdout}, qr/a \+ b/, 'a file is edited');
($result) = (tool_items('tool_result', @$e))[1];
($ref) = grep { $_->{type} eq 'file_ref' } @{$result->{content}};
is($ref->{action}, 'patch', 'as a patch');
like($ref->{diff}, qr/^\+\treturn a \+ b;$/m, 'that is shown');

($e, @asked) = turn_with('work', 'fake:bash cmd="touch denied"',
    ['reject', 'fake:text say="I was told not to."']);
my ($resolved) = grep { $_->{type} eq 'permission.resolved' } @$e;
is($resolved->{data}{status}, 'reject', 'leave denied');
is($d->sh('work', 'test -e denied')->{exit_code}, 1, 'nothing was done');
like(answer_text(@$e), qr/I was told not to/, 'and the model hears why');

($e, @asked) = turn_with('work',
    'fake:bash cmd="touch a1" fake:bash cmd="touch a2"', 'always', 'reject');
is($d->sh('work', 'ls a1 a2')->{exit_code}, 0, 'always: the second is not asked about');
is(scalar(grep { $_->{type} eq 'permission.resolved'
    && $_->{data}{status} eq 'accept_for_session' } @$e), 2, 'but told');

# --- modes ------------------------------------------------------------------------------

sub mode {
	my ($box, $mode) = @_;
	my $id = "mode-$mode";
	session($id, $box, permission_mode => $mode);
	return $id;
}
my $id = mode('work', 'acceptEdits');
($e, @asked) = turn_with($id,
    'fake:write path=free.txt content="f" fake:bash cmd="touch cmd.txt"', 'reject');
is(join(' ', map { $_->{data}{action} } @asked), 'commandExecution',
    'acceptEdits: only the command is asked for');
is($d->sh('work', 'cat free.txt')->{stdout}, "f\n", 'and the file written');

for my $free ('bypass', 'full-access', 'auto') {
	$id = mode('work', $free);
	($e, @asked) = turn_with($id, "fake:write path=$free.txt content=\"f\" "
	    . "fake:bash cmd=\"cat $free.txt\"", 'reject');
	is(scalar @asked, 0, "$free: nothing is asked for");
	is($d->sh('work', "cat $free.txt")->{stdout}, "f\n", "$free: all is done");
}
$id = mode('work', 'read-only');
($e, @asked) = turn_with($id, 'fake:write path=ro.txt content="f"', 'reject');
is(scalar @asked, 1, 'read-only: a file is asked for');

$id = mode('work', 'plan');
($e, @asked) = turn_with($id, 'fake:ask question="Which colour?" options="Red|Blue" '
    . 'fake:write path=planned.txt content="f" fake:plan plan="# Steps\n1. Paint"',
    ['Blue']);
is($asked[0]{data}{prompt}, 'Which colour?', 'plan: codex asks a question');
is_deeply($asked[0]{data}{options}, ['Red', 'Blue'], 'with its options');
is($d->sh('work', 'test -e planned.txt')->{exit_code}, 1, 'a file is not written');
like(answer_text(@$e), qr/1\. Paint/, 'and the plan is told');
$d->ok('session.configure', { id => $id, permission_mode => 'bypass' });
($e, @asked) = turn_with($id, 'fake:ask question="Which?" fake:bash cmd="touch after-plan"');
is(scalar @asked, 0, 'after the plan: it asks no questions any more');
is($d->sh('work', 'test -e after-plan')->{exit_code}, 0, 'but works');
ok($d->request('session.create', { id => 'no', sandbox => 'work', agent => 'codex',
    permission_mode => 'wat' })->{error}, 'no such mode');

# --- models and thought levels --------------------------------------------------------

$d->ok('session.configure', { id => $id, model => 'gpt-5.6-luna', thought_level => 'high' });
$d->turn($id, 'fake:text say="x"', timeout => $wait);
is(last_plan()->{model}, 'gpt-5.6-luna', 'another model');
is(last_plan()->{effort}, 'high', 'thinks harder');

# --- pictures and files --------------------------------------------------------------

my $png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC';
$d->exec('work', ['sh', '-c', 'base64 -d > /tmp/dot.png'], stdin => $png);
($e) = turn_with($id, { text => 'Look', attachments => [
    { path => '/tmp/dot.png', mime => 'image/png' }, { path => '/workspace/add.c' }] });
like((last_plan()->{images} // [''])->[0] // '', qr{^data:image/png;base64,iVBOR},
    'a picture reaches the model');
like(last_plan()->{user}, qr{/workspace/add\.c}, 'a file is named');

# --- MCP servers and skills --------------------------------------------------------------

my $server = <<'EOF';
import readline from 'node:readline';
const out = (m) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...m }) + '\n');
readline.createInterface({ input: process.stdin }).on('line', (line) => {
	const m = JSON.parse(line);
	if (m.method === 'initialize')
		out({ id: m.id, result: { protocolVersion: m.params.protocolVersion,
		    capabilities: { tools: {} }, serverInfo: { name: 't', version: '1' } } });
	else if (m.method === 'tools/list')
		out({ id: m.id, result: { tools: [{ name: 'tell', description: 'Tell.',
		    inputSchema: { type: 'object', properties: { word: { type: 'string' } } } }] } });
	else if (m.method === 'tools/call')
		out({ id: m.id, result: { content: [{ type: 'text', text:
		    `word=${m.params.arguments.word} mark=${process.env.MARK} cwd=${process.cwd()}` }] } });
	else if (m.id !== undefined)
		out({ id: m.id, result: {} });
});
EOF
my $remote = <<'EOF';
import http from 'node:http';
import fs from 'node:fs';
const s = http.createServer((req, res) => {
	fs.appendFileSync('/tmp/remote.log', JSON.stringify(req.headers) + '\n');
	res.writeHead(405).end();
}).listen(0, '127.0.0.1', () => fs.writeFileSync('/tmp/remote.port', String(s.address().port)));
EOF
$d->exec('work', ['sh', '-c', 'cat > /tmp/server.mjs'], stdin => $server);
$d->exec('work', ['sh', '-c', 'cat > /tmp/remote.mjs; mkdir -p /tmp/sub /tmp/my-skills/greet; '
    . 'printf -- "---\nname: greet\ndescription: Greets.\n---\nSay hi.\n" '
    . '> /tmp/my-skills/greet/SKILL.md; node /tmp/remote.mjs >/dev/null 2>&1 &'],
    stdin => $remote);
my $port = wait_for(20, sub { $d->exec('work', ['cat', '/tmp/remote.port'])->{stdout} });
session('mcp', 'work', mcp => {
	pipes => { type => 'local', command => ['node', '/tmp/server.mjs'],
	    env => { MARK => 'secret-mark' }, cwd => '/tmp/sub' },
	web => { type => 'remote', url => "http://127.0.0.1:$port/mcp",
	    headers => { 'X-Plain' => 'p' }, bearerTokenEnvVar => 'MY_TOKEN' },
	broken => { type => 'local', command => '/nonexistent' } },
    skills => { sources => [{ type => 'local', source => '/tmp/my-skills' }] });
($e, @asked) = turn_with('mcp',
    'fake:tool use=mcp__pipes/tell input="{\"word\":\"salt\"}"', 'once');
is($asked[0]{data}{action}, 'pipes.tell', 'a tool of a server is asked for');
($call) = tool_items('tool_call', @$e);
is($call->{content}[0]{name}, 'pipes.tell', 'it is called');
($result) = tool_items('tool_result', @$e);
is($result->{content}[0]{output}, 'word=salt mark=secret-mark cwd=/tmp/sub',
    'with environment and directory as configured');
my $heard = $d->exec('work', ['cat', '/tmp/remote.log'])->{stdout};
like($heard, qr/"authorization":"Bearer tok"/, 'the server on HTTP gets its token');
like($heard, qr/"x-plain":"p"/, 'and its header');
ok((grep { $_ eq 'mcp.startup.failed' } labels(@$e)), 'a broken server is told');
ok((grep { $_ eq 'greet' } @{last_plan()->{skills}}), 'the skill is known');
my $titles = $d->exec('work', ['sh', '-c', 'cat /proc/[0-9]*/cmdline | tr "\0" " "'])->{stdout};
unlike($titles, qr/secret-mark|Bearer tok|\Q$llm->{key}\E/, 'no secret stands in arguments');

# --- interruption ------------------------------------------------------------------------

sub cut_at {
	my ($text, $type) = @_;
	my $from = ($d->events('work'))[-1]{sequence};
	$d->ok('session.prompt', { id => 'work', text => $text });
	ok($d->wait_event('work', sub { $_->{type} eq $type
	    && ($type ne 'item.started' || $_->{data}{item}{kind} eq 'tool_result') },
	    $wait, $from), "it is at work: $text");
	$d->ok('session.cancel', { id => 'work' });
	my $end = $d->wait_event('work', sub { $_->{type} eq 'turn.ended' }, $wait, $from);
	is($end->{data}{metadata}{stop_reason}, 'cancelled', 'and stops');
	return $d->events('work', after => $from);
}
@e = cut_at('fake:stream n=500 delay=50', 'item.delta');
is(scalar(grep { $_->{type} eq 'error' } @e), 0, 'without an error');
$d->ok('session.configure', { id => 'work', permission_mode => 'bypass' });
cut_at('fake:bash cmd="sleep 1000"', 'item.started');
ok(wait_for(10, sub { !grep { slurp("/proc/$_/cmdline") =~ /^sleep\0001000/ }
    descendants($d->{pid}) }), 'its command ends, too');
$d->ok('session.prompt', { id => 'work', text => 'fake:hang' });
$d->ok('session.cancel', { id => 'work' });
ok($d->wait_event('work', sub { $_->{type} eq 'turn.ended'
    && $_->{data}{metadata}{stop_reason} eq 'cancelled' }, $wait,
    $e[-1]{sequence} + 1), 'at once');
@e = $d->turn('work', 'fake:text say="Still here."', timeout => $wait);
like(answer_text(@e), qr/Still here/, 'it goes on');
is($e[-1]{native_session_id}, $native, 'in the same process and conversation');

# --- errors -------------------------------------------------------------------------------

@e = $d->turn('work', 'fake:error status=400', timeout => $wait);
my ($error) = grep { $_->{type} eq 'error' } @e;
is($error->{data}{code}, 'api_error', 'the model\'s server refuses');
is(end_of(@e)->{stop_reason}, 'error', 'the turn fails');
@e = $d->turn('work', 'fake:error status=500 times=1', timeout => $wait);
is(scalar(grep { $_->{type} eq 'error' } @e), 0, 'once: it tries again');
@e = $d->turn('work', 'fake:incomplete', timeout => $wait);
is(end_of(@e)->{stop_reason}, 'max_tokens', 'an answer that is cut off');
session('key', 'work', env => { %{codex_env()}, OPENAI_API_KEY => 'wrong' });
@e = $d->turn('key', 'hello', timeout => $wait * 2);
ok((grep { $_->{type} eq 'error' && $_->{data}{message} =~ /401/ } @e), 'a wrong key');

# --- going on ---------------------------------------------------------------------------

sub history { return last_plan()->{messages} }
sub goes_on {
	my ($name) = @_;
	my $before = history();
	my @e = $d->turn('work', "After: $name", timeout => $wait);
	like(answer_text(@e), qr/After: \Q$name\E/, "$name: the session goes on");
	is($e[-1]{native_session_id}, $native, "$name: the same conversation");
	cmp_ok(history(), '>', 10, "$name: the model is sent all of it");
	is(Sandboxd::sequence_flaw(1, $d->events('work')), '', "$name: no gap");
}
sub codex_of {
	return grep { slurp("/proc/$_/cmdline") =~ /app-server/ } $d->children(qr/codex|node/);
}
my @pids = codex_of();
ok(scalar @pids, 'codex runs');
kill('KILL', @pids);
ok(wait_for(20, sub { !grep { -e "/proc/$_" } @pids }), 'and is killed');
goes_on('codex was killed');
$d->ok('sandbox.stop', { id => 'work' }, timeout => $wait);
$d->ok('sandbox.start', { id => 'work' }, timeout => $wait);
goes_on('its sandbox was stopped');

# What codex kept is gone: the session tells it what was said.
session('lost', 'work');
@e = $d->turn('lost', 'My name is Ada.', timeout => $wait);
$native = $e[-1]{native_session_id};
$d->ok('sandbox.stop', { id => 'work' }, timeout => $wait);
$d->ok('sandbox.start', { id => 'work' }, timeout => $wait);
$d->exec('work', ['rm', '-rf', '/root/.codex']);
@e = $d->turn('lost', 'Do you remember?', timeout => $wait);
is(end_of(@e)->{stop_reason}, 'end_turn', 'without its files: the session goes on');
isnt($e[-1]{native_session_id}, $native, 'in another conversation');
like(last_plan()->{user}, qr/My name is Ada.*Do you remember/s, 'which is told what was said');
is(scalar(grep { $_->{type} eq 'error' } @e), 0, 'without an error');

# --- what can be set, told without a session -------------------------------------------

$d->request('agent.probe', { id => 'codex' }, timeout => $wait);
my $told = $d->ok('session.get', { id => 'probe:codex' });
like($told->{version}, qr/\d+\.\d+/, 'its version');
my %option = map { $_->{id} => $_ } @{$told->{options}};
ok((grep { $_->{value} eq $model } @{$option{model}{options}}), 'it tells its models');
is_deeply([map { $_->{value} } @{$option{mode}{options}}],
    [qw(read-only auto full-access acceptEdits plan)], 'its modes');
ok((grep { $_->{value} eq 'high' } @{$option{thought_level}{options}}), 'and thought levels');

# A user who is not root inside; and output without end.
$d->ok('sandbox.create', { id => 'user', network => 'host', directory => '/tmp',
    user => '1000:1000' }, timeout => $wait);
session('user', 'user', permission_mode => 'bypass');
@e = $d->turn('user', 'fake:bash cmd="id -u; yes | head -c 30000000"', timeout => $wait);
($result) = tool_items('tool_result', @e);
like($result->{content}[0]{output}, qr/^1000\ny/, 'as a user, with more output than fits');
is(end_of(@e)->{stop_reason}, 'end_turn', 'the turn ends');

# --- all in all ---------------------------------------------------------------------------

for my $s ('work', 'mcp', 'key', 'lost', 'user', map { "mode-$_" } qw(plan bypass auto)) {
	is(scalar(grep { $_->{type} eq 'agent.unparsed' } $d->events($s)), 0,
	    "$s: all was understood");
}
ok(!grep({ $_->{path} && $_->{ev} eq 'unknown' } $llm->seen), 'nothing else was asked of the model\'s server');
$d->ok('session.end', { id => 'mcp' }, timeout => $wait);

done_testing;
