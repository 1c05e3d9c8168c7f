# The real OpenCode through the whole daemon, by ACP: text, thoughts, commands, files,
# leave asked for and given or not, modes, models, thought levels, pictures, MCP servers,
# skills, interruption, errors, and going on after every kind of end.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../t/lib";
use Sandboxd;
use Agents;
use Test::More;

need_root();
need_program('git');

my $d = Sandboxd->start(env => { PATH => agents_path('opencode') });
my $llm = Agents::FakeLlm->start;
my $repo = git_repository();
my $wait = 90 * slow_factor();

$d->ok('sandbox.create', { id => 'work', network => 'host',
    mounts => [{ source => $repo, target => '/workspace', mode => 'cow' }],
    directory => '/workspace' }, timeout => $wait);
my %model = (reasoning => \1, tool_call => \1, attachment => \1,
    modalities => { input => ['text', 'image'], output => ['text'] },
    limit => { context => 200000, output => 8000 });
my $config = { model => 'fake/one', small_model => 'fake/one',
    enabled_providers => ['fake'], autoupdate => \0, share => 'disabled',
    permission => { edit => 'ask', bash => 'ask' },
    provider => { fake => { npm => '@ai-sdk/openai-compatible', options => {
	baseURL => $llm->url . '/v1', apiKey => $llm->{key} },
	models => { one => \%model, two => { %model } } } } };
$d->exec('work', ['sh', '-c', 'mkdir -p /root/.config/opencode && '
    . 'cat > /root/.config/opencode/opencode.json'], stdin => to_json($config));

sub session {
	my ($id, %o) = @_;
	return $d->ok('session.create', { id => $id, sandbox => 'work',
	    agent => 'opencode', %o }, timeout => $wait);
}

# Send a prompt and answer what is asked by the words of REPLIES.
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
			next unless $e->{type} eq 'permission.requested';
			push @asked, $e;
			# It may be answered already: allowed for the session.
			$d->request('session.permission.reply', { id => $id,
			    permission_id => $e->{data}{permission_id},
			    reply => shift @replies // 'reject' });
		}
		return 0;
	});
	ok($done, 'the turn ends: ' . substr(to_json($prompt->{text}), 0, 60));
	return ([$d->events($id, after => $from)], @asked);
}

sub end_of { return (grep { $_->{type} eq 'turn.ended' } @_)[-1]{data}{metadata} }
sub last_plan { return ($llm->seen('plan'))[-1] }

session('work');

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
is(last_plan()->{model}, 'one', 'the model is that of the configuration');
my $native = $e[-1]{native_session_id};
like($native, qr/^ses_/, 'the conversation has an id');

# --- commands and files ---------------------------------------------------------------

my ($e, @asked) = turn_with('work', 'fake:bash cmd="echo one; sleep 0.3; echo two; pwd"',
    'once');
is($asked[0]{data}{action}, 'bash', 'a command is asked for, by the tool\'s name');
like($asked[0]{data}{metadata}{title}, qr/echo one/, 'with its text');
my ($call) = tool_items('tool_call', @$e);
is($asked[0]{data}{metadata}{toolCallId}, $call->{native_item_id}, 'and the call that it is');
like($call->{content}[0]{arguments}, qr/echo one/, 'which has its arguments');
my ($result) = tool_items('tool_result', @$e);
is($result->{content}[0]{output}, "one\ntwo\n/workspace\n", 'its output is the result');
is(join('', map { $_->{data}{delta} } grep { $_->{type} eq 'item.delta'
    && $_->{data}{item_id} eq $result->{item_id} } @$e),
    substr("one\ntwo\n/workspace\n", 0, length join('', map { $_->{data}{delta} }
    grep { $_->{type} eq 'item.delta' && $_->{data}{item_id} eq $result->{item_id} } @$e)),
    'and streams before');
like(answer_text(@$e), qr/The tool answered/, 'opencode goes on');

($e, @asked) = turn_with('work', 'fake:write path=new.txt content="one\ntwo\n"', 'once');
is($asked[0]{data}{metadata}{kind}, 'edit', 'a new file is asked for');
($result) = tool_items('tool_result', @$e);
my ($ref) = grep { $_->{type} eq 'file_ref' } @{$result->{content}};
is($ref->{path}, '/workspace/new.txt', 'its result names the file');
is($ref->{action}, 'write', 'as written');
is($ref->{diff}, "@@ -0,0 +1,2 @@\n+one\n+two\n", 'with the difference');
is($d->sh('work', 'cat new.txt')->{stdout}, "one\ntwo\n", 'it is there');
ok(!-e "$repo/new.txt", 'in the copy alone');

($e, @asked) = turn_with('work', 'fake:edit path=add.c old="a - b" new="a + b"', 'once');
like($d->sh('work', 'cat add.c')->{stdout}, qr/a \+ b/, 'a file is edited');
($result) = (tool_items('tool_result', @$e))[1];
($ref) = grep { $_->{type} eq 'file_ref' } @{$result->{content}};
is($ref->{action}, 'patch', 'as a patch');
like($ref->{diff}, qr/^\+\treturn a \+ b;$/m, 'that is shown');
($result) = tool_items('tool_result', @$e);
($ref) = grep { $_->{type} eq 'file_ref' } @{$result->{content}};
is($ref->{action}, 'read', 'the reading before is told as that');

($e, @asked) = turn_with('work', 'fake:bash cmd="touch denied"', 'reject');
my ($resolved) = grep { $_->{type} eq 'permission.resolved' } @$e;
is($resolved->{data}{status}, 'reject', 'leave denied');
is($d->sh('work', 'test -e denied')->{exit_code}, 1, 'nothing was done');
($result) = tool_items('tool_result', @$e);
is($result->{status}, 'failed', 'the call has failed');

($e, @asked) = turn_with('work',
    'fake:bash cmd="touch a1" fake:bash cmd="touch a2"', 'always', 'reject');
is($d->sh('work', 'ls a1 a2')->{exit_code}, 0, 'always: the second is not asked about');
is(scalar(grep { $_->{type} eq 'permission.resolved'
    && $_->{data}{status} eq 'reject' } @$e), 0, 'nor refused');

# --- modes, models, thought levels ----------------------------------------------------

session('free', permission_mode => 'bypass');
($e, @asked) = turn_with('free', 'fake:write path=free.txt content="f" '
    . 'fake:bash cmd="cat free.txt"', 'reject');
is(scalar @asked, 0, 'bypass: nothing is asked for');
is($d->sh('work', 'cat free.txt')->{stdout}, 'f', 'all is done');
session('edits', permission_mode => 'acceptEdits');
($e, @asked) = turn_with('edits', 'fake:write path=ed.txt content="e" '
    . 'fake:bash cmd="touch cmd.txt"', 'reject');
is(join(' ', map { $_->{data}{action} } @asked), 'bash',
    'acceptEdits: only the command is asked for');
is($d->sh('work', 'cat ed.txt')->{stdout}, 'e', 'and the file written');

$d->ok('session.configure', { id => 'work', model => 'fake/two', thought_level => 'high' });
$d->turn('work', 'fake:text say="x"', timeout => $wait);
is(last_plan()->{model}, 'two', 'another model');
is(last_plan()->{effort}, 'high', 'thinks harder');
is(($d->request('session.configure', { id => 'work', model => 'fake/none' })
    ->{error} // {})->{code}, 'bad_request', 'no such model');
session('plan', model => 'fake/two', agent_mode => 'plan');
@e = $d->turn('plan', 'What now?', timeout => $wait);
is(end_of(@e)->{stop_reason}, 'end_turn', 'it plans');
is(last_plan()->{model}, 'two', 'with the model of its creation');
session('wrong', model => 'fake/none');
@e = $d->turn('wrong', 'hello', timeout => $wait);
is(end_of(@e)->{stop_reason}, 'error', 'a model that is not there fails the turn');
like((grep { $_->{type} eq 'error' } @e)[0]{data}{message}, qr{no model fake/none},
    'and says so');
$d->ok('session.configure', { id => 'wrong', model => 'fake/one' });
@e = $d->turn('wrong', 'hello', timeout => $wait);
like(answer_text(@e), qr/You said: hello/, 'until another is chosen');

# --- files that come along -------------------------------------------------------------

($e) = turn_with('free', { text => 'Look', attachments => [
    { path => '/workspace/add.c', mime => 'text/plain' }] });
is(end_of(@$e)->{stop_reason}, 'end_turn', 'a file is named to the agent');

# --- MCP servers and skills --------------------------------------------------------------

my $server = <<'EOS';
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
EOS
$d->exec('work', ['sh', '-c', 'cat > /tmp/server.mjs'], stdin => $server);
$d->exec('work', ['sh', '-c', 'mkdir -p /tmp/sub /tmp/my-skills/greet; '
    . 'printf -- "---\nname: greet\ndescription: Greets.\n---\nSay hi.\n" '
    . '> /tmp/my-skills/greet/SKILL.md']);
session('mcp', mcp => { pipes => { type => 'local',
    command => ['node', '/tmp/server.mjs'], env => { MARK => 'secret-mark' },
    cwd => '/tmp/sub' } },
    skills => { sources => [{ type => 'local', source => '/tmp/my-skills' }] });
($e) = turn_with('mcp', 'fake:tool use=pipes_tell input="{\"word\":\"salt\"}"', 'once');
($call) = tool_items('tool_call', @$e);
is($call->{content}[0]{name}, 'pipes_tell', 'a tool of a server is called');
($result) = tool_items('tool_result', @$e);
is($result->{content}[0]{output}, 'word=salt mark=secret-mark cwd=/tmp/sub',
    'with environment and directory as configured');
is($d->exec('work', ['readlink', '/workspace/.claude/skills/greet'])->{stdout},
    "/tmp/my-skills/greet\n", 'the skill is linked');
# It is known by its name; loading it needs a program that is not here.
($e) = turn_with('mcp', 'fake:tool use=skill input="{\"name\":\"greet\"}"', 'once');
my ($known) = tool_items('tool_result', @$e);
($e) = turn_with('mcp', 'fake:tool use=skill input="{\"name\":\"unheard\"}"', 'once');
my ($unknown) = tool_items('tool_result', @$e);
like($unknown->{content}[0]{output}, qr/not found/i, 'an unknown skill is not found');
unlike($known->{content}[0]{output}, qr/not found/i, 'this one is');
my $titles = $d->exec('work', ['sh', '-c', 'cat /proc/[0-9]*/cmdline | tr "\0" " "'])->{stdout};
unlike($titles, qr/secret-mark/, 'no secret stands in arguments');

# --- interruption ------------------------------------------------------------------------

sub cut_at {
	my ($text, $what) = @_;
	my $from = ($d->events('free'))[-1]{sequence};
	$d->ok('session.prompt', { id => 'free', text => $text });
	ok($d->wait_event('free', $what, $wait, $from), "it is at work: $text");
	$d->ok('session.cancel', { id => 'free' });
	my $end = $d->wait_event('free', sub { $_->{type} eq 'turn.ended' }, $wait, $from);
	is($end->{data}{metadata}{stop_reason}, 'cancelled', 'and stops');
	return $d->events('free', after => $from);
}
@e = cut_at('fake:stream n=500 delay=50', sub { $_->{type} eq 'item.delta' });
is(scalar(grep { $_->{type} eq 'error' } @e), 0, 'without an error');
cut_at('fake:bash cmd="sleep 1000"', sub { $_->{type} eq 'item.completed'
    && $_->{data}{item}{kind} eq 'tool_call' });
ok(wait_for(20, sub { !grep { slurp("/proc/$_/cmdline") =~ /sleep[\0 ]1000/ }
    descendants($d->{pid}) }), 'its command ends, too');
# It would try again for ever.
cut_at('fake:error status=529', sub { $_->{type} eq 'turn.started' });
@e = $d->turn('free', 'fake:text say="Still here."', timeout => $wait);
like(answer_text(@e), qr/Still here/, 'it goes on');

# --- errors -------------------------------------------------------------------------------

@e = $d->turn('work', 'fake:error status=400', timeout => $wait);
my ($error) = grep { $_->{type} eq 'error' } @e;
is($error->{data}{code}, 'api_error', 'the model\'s server refuses');
is(end_of(@e)->{stop_reason}, 'error', 'the turn fails');

# --- going on ---------------------------------------------------------------------------

sub goes_on {
	my ($name) = @_;
	my @e = $d->turn('work', "After: $name", timeout => $wait);
	like(answer_text(@e), qr/After: \Q$name\E/, "$name: the session goes on");
	is($e[-1]{native_session_id}, $native, "$name: the same conversation");
	cmp_ok(last_plan()->{messages}, '>', 10, "$name: the model is sent all of it");
	is(last_plan()->{model}, 'two', "$name: what was set is set");
	is(Sandboxd::sequence_flaw(1, $d->events('work')), '', "$name: no gap");
}
my @pids = grep { slurp("/proc/$_/cmdline") =~ /opencode\S*\0acp/ }
    descendants($d->{pid});
ok(scalar @pids, 'opencode runs');
kill('KILL', @pids);
ok(wait_for(20, sub { !grep { -e "/proc/$_" } @pids }), 'and is killed');
goes_on('opencode was killed');
$d->ok('sandbox.stop', { id => 'work' }, timeout => $wait);
$d->ok('sandbox.start', { id => 'work' }, timeout => $wait);
goes_on('its sandbox was stopped');
$d->restart('KILL');
ok(wait_for($wait, sub { $d->ok('session.get', { id => 'work' })->{state} eq 'idle' }),
    'sandboxd was killed');
goes_on('sandboxd was killed');

# What opencode kept is gone: the session tells it what was said.
session('lost');
@e = $d->turn('lost', 'My name is Ada.', timeout => $wait);
$native = $e[-1]{native_session_id};
$d->ok('sandbox.stop', { id => 'work' }, timeout => $wait);
$d->ok('sandbox.start', { id => 'work' }, timeout => $wait);
$d->exec('work', ['rm', '-rf', '/root/.local/share/opencode']);
@e = $d->turn('lost', 'Do you remember?', timeout => $wait);
is(end_of(@e)->{stop_reason}, 'end_turn', 'without its files: the session goes on');
isnt($e[-1]{native_session_id}, $native, 'in another conversation');
like(last_plan()->{user}, qr/My name is Ada.*Do you remember/s, 'which is told what was said');
is(scalar(grep { $_->{type} eq 'error' } @e), 0, 'without an error');

# --- all in all ---------------------------------------------------------------------------

for my $s (qw(work free edits plan wrong mcp lost)) {
	is(scalar(grep { $_->{type} eq 'agent.unparsed' } $d->events($s)), 0,
	    "$s: all was understood");
}
ok(!grep({ $_->{path} && $_->{ev} eq 'unknown' } $llm->seen), 'nothing else was asked of the model\'s server');
$d->ok('session.end', { id => 'mcp' }, timeout => $wait);

done_testing;
