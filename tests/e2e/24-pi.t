# The real Pi through the whole daemon: text, thoughts, tools, dialogs of an
# extension, models and thought levels, skills, interruption, errors and retries, and
# going on after every kind of end.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../t/lib";
use Sandboxd;
use Agents;
use Test::More;

need_root();
need_program('git');

my $d = Sandboxd->start(env => { PATH => agents_path('pi') });
my $llm = Agents::FakeLlm->start;
my $repo = git_repository();
my $wait = 60 * slow_factor();
my $box = 'work';

$d->ok('sandbox.create', { id => $box, network => 'host',
    mounts => [{ source => $repo, target => '/workspace', mode => 'cow' }],
    directory => '/workspace' }, timeout => $wait);

# Where Pi's models are, and an extension that asks: before bash, and on wish.
my $models = to_json({ providers => { fake => { baseUrl => $llm->url . '/v1',
    api => 'openai-completions', apiKey => $llm->{key}, models => [
	{ id => 'one', reasoning => \1, input => ['text', 'image'],
	    contextWindow => 200000, maxTokens => 8000 },
	{ id => 'two', contextWindow => 100000, maxTokens => 8000 } ] } } });
my $settings = to_json({ defaultProvider => 'fake', defaultModel => 'one',
    quietStartup => \1, retry => { enabled => \1, maxRetries => 1,
    baseDelayMs => 200 } });
my $gate = <<'EOT';
export default function (pi) {
	pi.on('tool_call', async (event, ctx) => {
		if (event.toolName !== 'bash')
			return;
		const word = event.input.command;
		if (word.includes('colour')) {
			const v = await ctx.ui.select('Which colour?', ['Red', 'Blue']);
			ctx.ui.notify('colour ' + v, 'info');
		} else if (word.includes('guarded')) {
			const v = await ctx.ui.select('Allow ' + word + '?', ['Allow', 'Deny']);
			if (v !== 'Allow')
				return { block: true, reason: 'Denied by the user' };
		} else if (word.includes('sure')) {
			if (!await ctx.ui.confirm('Sure?', word))
				return { block: true, reason: 'Not sure' };
		}
	});
	pi.registerCommand('hello', { description: 'Say hello.', handler: async (args, ctx) => {
		ctx.ui.notify('hello ' + args, 'info');
	} });
}
EOT
sub put {
	my ($path, $text) = @_;
	$d->exec($box, ['sh', '-c', 'mkdir -p "$(dirname "$1")" && cat > "$1"', 'sh',
	    $path], stdin => $text);
}
put('/tmp/home/.pi/agent/models.json', $models);
put('/tmp/home/.pi/agent/settings.json', $settings);
put('/tmp/gate/extensions/gate.js', $gate);
put('/tmp/my-skills/greet/SKILL.md',
    "---\nname: greet\ndescription: Greets people.\n---\nSay hi.\n");

sub session {
	my ($id, %o) = @_;
	return $d->ok('session.create', { id => $id, sandbox => $box, agent => 'pi',
	    directory => '/workspace', env => { HOME => '/tmp/home' }, %o },
	    timeout => $wait);
}
sub end_of { return (grep { $_->{type} eq 'turn.ended' } @_)[-1]{data}{metadata} }
sub labels {
	return map { $_->{content}[0]{label} } tool_items('status', @_);
}
sub unparsed { return grep { $_->{type} eq 'agent.unparsed' } @_ }

# Send a prompt and answer what is asked.
sub turn_with {
	my ($id, $text, @replies) = @_;
	my $from = ($d->events($id))[-1]{sequence};
	my ($seen, @asked) = ($from);

	$d->ok('session.prompt', { id => $id, text => $text });
	ok(wait_for($wait, sub {
		for my $e ($d->events($id, after => $seen)) {
			$seen = $e->{sequence};
			return 1 if $e->{type} eq 'turn.ended';
			next unless $e->{type} =~ /^(permission|question)\.requested$/;
			push @asked, $e;
			my $reply = shift @replies // 'reject';
			$d->ok("session.$1.reply", { id => $id,
			    "${1}_id" => $e->{data}{"${1}_id"}, ref $reply ?
			    (answers => [$reply]) : (reply => $reply) });
		}
		return 0;
	}), 'the turn ends: ' . substr($text, 0, 60));
	return ([$d->events($id, after => $from)], @asked);
}

# --- text, thoughts, tools -----------------------------------------------------------

session('s');
my @e = $d->turn('s', 'fake:think fake:stream n=5 delay=20', timeout => $wait);
cmp_ok(scalar(grep { $_->{type} eq 'item.delta' } @e), '>=', 6, 'text and thoughts stream');
my ($thought) = grep { ($_->{content}[0]{type} // '') eq 'reasoning' }
    tool_items('message', @e);
like($thought->{content}[0]{text}, qr/First I look/, 'a thought is told as one');
like(answer_text(@e), qr/part 5 of 5/, 'and the text');
is(end_of(@e)->{stop_reason}, 'end_turn', 'the turn ends');
is(end_of(@e)->{usage}{total_tokens}, 144, 'and tells its tokens');
like($e[-1]{native_session_id}, qr{^/tmp/home/\.pi/agent/sessions/.*\.jsonl$},
    'the conversation is known by its file');

@e = $d->turn('s', 'fake:write path=new.txt content="x" '
    . 'fake:bash cmd="echo one; sleep 0.3; echo two" fake:text say="Done."',
    timeout => $wait);
is($d->sh($box, 'cat /workspace/new.txt')->{stdout}, 'x', 'a file is written');
my @calls = tool_items('tool_call', @e);
is(join(' ', map { $_->{content}[0]{name} } @calls), 'write bash', 'both calls are told');
my ($write, $bash) = tool_items('tool_result', @e);
is($write->{content}[1]{path}, '/workspace/new.txt', 'and the file');
is($bash->{content}[0]{output}, "one\ntwo\n", 'output comes');
ok((grep { $_->{type} eq 'item.delta' && $_->{data}{delta} eq "one\n" } @e),
    'while the command runs');
@e = $d->turn('s', 'fake:edit path=add.c old="\treturn a - b;" new="\treturn a + b;"',
    timeout => $wait);
like($d->sh($box, 'cat /workspace/add.c')->{stdout}, qr/a \+ b/, 'a file is edited');
my ($ref) = grep { $_->{type} eq 'file_ref' && $_->{action} eq 'patch' }
    map { @{$_->{content}} } tool_items('tool_result', @e);
like($ref->{diff} // '', qr/return a \+ b/, 'with the difference');
@e = $d->turn('s', 'fake:bash cmd="exit 3"', timeout => $wait);
is((tool_items('tool_result', @e))[0]{status}, 'failed', 'a command fails');

# --- what can be set --------------------------------------------------------------------

my $r = $d->request('session.configure', { id => 's', model => 'fake/nine' });
is($r->{error}{code}, 'bad_request', 'a model that pi does not have');
$d->ok('session.configure', { id => 's', model => 'fake/two' });
$d->turn('s', 'hello', timeout => $wait);
is(($llm->seen('plan'))[-1]{model}, 'two', 'the other model is asked');
$r = $d->request('session.configure', { id => 's', permission_mode => 'plan' });
is($r->{error}{code}, 'mode_not_supported', 'pi has no modes');

# --- errors, retries ------------------------------------------------------------------

@e = $d->turn('s', 'fake:error status=400', timeout => $wait);
is(end_of(@e)->{stop_reason}, 'error', 'a call that fails ends the turn');
is(scalar(grep { $_->{type} eq 'error' && $_->{data}{code} eq 'api_error' } @e), 1,
    'it is told once');
@e = $d->turn('s', 'fake:error status=503 times=4 fake:text say="Back."', timeout => $wait);
like(answer_text(@e), qr/Back\./, 'a call is tried again');
ok((grep { $_ eq 'api_retry' } labels(@e)), 'which is told');
ok(!(grep { $_->{type} eq 'error' } @e), 'which is no error');

# --- interruption, death ----------------------------------------------------------------

sub start_work {
	my ($id, $text, $what) = @_;
	my $from = ($d->events($id))[-1]{sequence};
	$d->ok('session.prompt', { id => $id, text => $text });
	ok(wait_for($wait, sub { grep { $what->($_) } $d->events($id, after => $from) }),
	    'it works');
	return $from;
}
sub ended {
	my ($id, $from) = @_;
	my @seen;
	ok(wait_for($wait, sub { @seen = $d->events($id, after => $from);
	    grep { $_->{type} eq 'turn.ended' } @seen }), 'the turn ends');
	return @seen;
}
my $from = start_work('s', 'fake:bash cmd="sleep 300"',
    sub { $_[0]{type} eq 'item.completed' && $_[0]{data}{item}{kind} eq 'tool_call' });
$d->ok('session.cancel', { id => 's' });
@e = ended('s', $from);
is(end_of(@e)->{stop_reason}, 'cancelled', 'cancelled');
is($d->sh($box, 'pgrep -f "[s]leep 300" | wc -l')->{stdout}, "0\n", 'nothing of it runs');

$from = start_work('s', 'fake:hang', sub { $_[0]{type} eq 'item.delta' });
$d->sh($box, 'pkill -KILL -x pi');
@e = ended('s', $from);
is((grep { $_->{type} eq 'error' } @e)[0]{data}{code}, 'process_exit', 'killed');
@e = $d->turn('s', 'and now?', timeout => $wait);
is(end_of(@e)->{stop_reason}, 'end_turn', 'another one goes on');
like(to_json(($llm->seen('plan'))[-1]), qr/and now/, 'with the message');

# Its file gone, it is told what was said.
$d->sh($box, 'pkill -KILL -x pi');
ok(wait_for($wait, sub { $d->sh($box, 'pgrep -x pi')->{exit_code} }), 'reaped');
session('m');
$d->turn('m', 'my name is Ada', timeout => $wait);
$d->sh($box, 'pkill -KILL -x pi; rm -rf /tmp/home/.pi/agent/sessions');
ok(wait_for($wait, sub { $d->sh($box, 'pgrep -x pi')->{exit_code} }), 'reaped');
@e = $d->turn('m', 'do you remember?', timeout => $wait);
is(end_of(@e)->{stop_reason}, 'end_turn', 'a lost conversation goes on');
ok((grep { $_ eq 'resume_failed' } labels(@e)), 'which is told');
like(answer_text(@e), qr/my name is Ada.*do you remember/s, 'the model hears of both');
$d->ok('session.end', { id => 'm' }, timeout => $wait);
is(scalar(unparsed($d->events('s'))), 0, 'everything was understood');

# --- dialogs of an extension, skills, servers -------------------------------------------

$d->sh($box, 'mkdir -p /tmp/home/.pi/agent && cp -r /tmp/gate/extensions /tmp/home/.pi/agent/');
session('g', skills => { sources => [{ type => 'local', source => '/tmp/my-skills' }] },
    mcp => { web => { type => 'remote', url => 'http://127.0.0.1:1/' } });
my ($ev, @asked) = turn_with('g', 'fake:bash cmd="echo guarded > g.txt"', 'once');
is($asked[0]{type}, 'permission.requested', 'a gate asks for leave');
is($asked[0]{data}{action}, 'bash', 'for the tool');
is($asked[0]{data}{metadata}{toolCallId},
    (tool_items('tool_call', @$ev))[0]{native_item_id}, 'of this call');
is($d->sh($box, 'cat /workspace/g.txt')->{stdout}, "guarded\n", 'allowed');
ok((grep { $_ eq 'mcp.unsupported' } labels(@$ev)), 'that pi has no MCP servers is told');
is($d->sh($box, 'readlink /workspace/.agents/skills/greet')->{stdout},
    "/tmp/my-skills/greet\n", 'the skill is linked');
($ev, @asked) = turn_with('g', 'fake:bash cmd="echo guarded > h.txt"', 'reject');
is((tool_items('tool_result', @$ev))[0]{status}, 'failed', 'refused');
is($d->sh($box, 'test -e /workspace/h.txt')->{exit_code}, 1, 'nothing was done');
($ev, @asked) = turn_with('g', 'fake:bash cmd="echo colour"', ['Blue']);
is($asked[0]{type}, 'question.requested', 'a choice is a question');
is(to_json($asked[0]{data}{options}), '["Red","Blue"]', 'with its options');
ok((grep { ($_->{content}[0]{detail} // '') eq 'colour Blue' } tool_items('status', @$ev)),
    'the extension got the answer');
($ev, @asked) = turn_with('g', 'fake:bash cmd="echo sure"', 'reject');
is($asked[0]{type}, 'permission.requested', 'yes or no is a permission');
is((tool_items('tool_result', @$ev))[0]{status}, 'failed', 'no is no');
($ev, @asked) = turn_with('g', '/hello world');
ok((grep { ($_->{content}[0]{detail} // '') eq 'hello world' } tool_items('status', @$ev)),
    'an extension\'s command is a turn of its own');

$from = start_work('g', 'fake:bash cmd="echo guarded"',
    sub { $_[0]{type} eq 'permission.requested' });
$d->ok('session.cancel', { id => 'g' });
@e = ended('g', $from);
is(end_of(@e)->{stop_reason}, 'cancelled', 'cancelled while it asks');
is((grep { $_->{type} eq 'permission.resolved' } @e)[0]{data}{status}, 'reject',
    'which counts as no');
is(scalar(unparsed($d->events('g'))), 0, 'everything was understood');

$d->ok('session.end', { id => 'g' }, timeout => $wait);
$d->ok('session.end', { id => 's' }, timeout => $wait);
is($d->sh($box, 'pgrep -x pi | wc -l')->{stdout}, "0\n", 'nothing is left');

# --- without a key -------------------------------------------------------------------------

$d->ok('session.create', { id => 'n', sandbox => $box, agent => 'pi',
    directory => '/workspace', env => { HOME => '/tmp/empty' } }, timeout => $wait);
@e = $d->turn('n', 'hello', timeout => $wait);
is((grep { $_->{type} eq 'error' } @e)[0]{data}{code}, 'auth_required',
    'without a key it says what it lacks');

done_testing;
