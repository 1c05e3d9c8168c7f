# Programs from npm that make ACP agents of Claude Code, Codex and Pi, each through the
# whole daemon as agent "acp" with a command: what they have in common, and what is
# peculiar to each.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../t/lib";
use Sandboxd;
use Agents;
use Test::More;

need_root();

my $path = agents_path(qw(claude claude-agent-acp codex-acp pi-acp pi));
my ($bin) = split /:/, $path;
my $d = Sandboxd->start(env => { PATH => $path });
my $llm = Agents::FakeLlm->start;
my $wait = 60 * slow_factor();

$d->ok('sandbox.create', { id => 'box', network => 'host', directory => '/tmp' },
    timeout => $wait);
sub put {
	my ($file, $text) = @_;
	$d->exec('box', ['sh', '-c', 'mkdir -p "$(dirname "$1")" && cat > "$1"', 'sh', $file],
	    stdin => $text);
}
put('/root/.codex/config.toml', <<"EOS");
model = "gpt-5.5"
model_provider = "fake"
check_for_update_on_startup = false
[analytics]
enabled = false
[features]
plugins = false
[model_providers.fake]
name = "fake"
base_url = "@{[$llm->url]}/v1"
env_key = "FAKE_API_KEY"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1
EOS
my @model = (reasoning => \1, contextWindow => 200000, maxTokens => 8000);
put('/root/.pi/agent/models.json', to_json({ providers => { fake => {
    baseUrl => $llm->url . '/v1', api => 'openai-completions', apiKey => $llm->{key},
    models => [{ id => 'one', @model }, { id => 'two', @model }] } } }));
put('/root/.pi/agent/settings.json', to_json({ defaultProvider => 'fake',
    defaultModel => 'one', quietStartup => \1, retry => { enabled => \0 } }));

my %env = (
	claude => { %{claude_env($llm)} },
	codex => { FAKE_API_KEY => $llm->{key} },
	pi => { PATH => $path, PI_OFFLINE => '1', PI_SKIP_VERSION_CHECK => '1',
	    PI_TELEMETRY => '0' },
);
my %program = (claude => 'claude-agent-acp', codex => 'codex-acp', pi => 'pi-acp');

sub session {
	my ($id, $kind, %o) = @_;
	$d->exec('box', ['mkdir', '-p', "/tmp/$id"]);
	return $d->ok('session.create', { id => $id, sandbox => 'box', agent => 'acp',
	    command => ["$bin/$program{$kind}"], directory => "/tmp/$id",
	    env => $env{$kind}, %o }, timeout => $wait);
}

# Send a prompt and answer what is asked: permissions by the words of REPLIES,
# questions by lists.
sub turn_with {
	my ($id, $text, @replies) = @_;
	my $from = ($d->events($id))[-1]{sequence};
	my ($seen, @asked) = ($from);

	$d->ok('session.prompt', { id => $id, text => $text });
	my $done = wait_for($wait, sub {
		for my $e ($d->events($id, after => $seen)) {
			$seen = $e->{sequence};
			return 1 if $e->{type} eq 'turn.ended';
			next unless $e->{type} =~ /^(permission|question)\.requested$/;
			push @asked, $e;
			my $reply = shift @replies // 'reject';
			$d->request("session.$1.reply", { id => $id,
			    "${1}_id" => $e->{data}{"${1}_id"},
			    ref $reply ? (answers => [$reply]) : (reply => $reply) });
		}
		return 0;
	});
	ok($done, "$id: the turn ends: " . substr($text, 0, 50));
	return ([$d->events($id, after => $from)], @asked);
}
sub end_of { return (grep { $_->{type} eq 'turn.ended' } @_)[-1]{data}{metadata} }
sub last_plan { return ($llm->seen('plan'))[-1] }
sub file { return $d->exec('box', ['cat', "/tmp/$_[0]"])->{stdout} }

# What can be said of each of them.
for my $kind (qw(claude codex pi)) {
	session($kind, $kind);
	my ($e, @asked) = turn_with($kind, 'fake:think fake:stream n=4 delay=20');
	cmp_ok(scalar(grep { $_->{type} eq 'item.delta' } @$e), '>=', 4, "$kind: text streams");
	like(answer_text(@$e), qr/part 4 of 4/, "$kind: and is told");
	ok((grep { ($_->{content}[0]{type} // '') eq 'reasoning' }
	    tool_items('message', @$e)), "$kind: so are thoughts");
	is(end_of(@$e)->{stop_reason}, 'end_turn', "$kind: a turn");
	my $native = $e->[-1]{native_session_id};
	ok($native, "$kind: its conversation has an id");

	($e, @asked) = turn_with($kind, 'fake:write path=a.txt content="x\n"', 'once');
	is(file("$kind/a.txt"), "x\n", "$kind: writes a file");
	is(scalar @asked, $kind eq 'pi' ? 0 : 1, "$kind: asks before, if it does");
	my ($result) = tool_items('tool_result', @$e);
	is($result->{status}, 'completed', "$kind: with a result");
	if ($kind ne 'pi') {
		my ($ref) = grep { $_->{type} eq 'file_ref' } @{$result->{content}};
		is($ref->{path}, "/tmp/$kind/a.txt", "$kind: that names the file");
		like($ref->{diff}, qr/^\+x$/m, "$kind: and shows what was written");
	}
	($e, @asked) = turn_with($kind, 'fake:bash cmd="echo one; echo two" escalate=1', 'once');
	($result) = tool_items('tool_result', @$e);
	is($result->{status}, 'completed', "$kind: runs a command");
	like($result->{content}[0]{output}, qr/two/, "$kind: with its output");

	# Stopped while it speaks, and while a command runs.
	for my $text ('fake:stream n=500 delay=50', 'fake:bash cmd="sleep 1000"') {
		my $from = ($d->events($kind))[-1]{sequence};
		$d->ok('session.prompt', { id => $kind, text => $text });
		ok($d->wait_event($kind, sub { $_->{type} =~ /^(item\.delta|permission\.requested)$/
		    || ($_->{type} eq 'item.completed'
		    && $_->{data}{item}{kind} eq 'tool_call') }, $wait, $from),
		    "$kind: at work: $text");
		$d->ok('session.cancel', { id => $kind });
		my $end = $d->wait_event($kind, sub { $_->{type} eq 'turn.ended' }, $wait, $from);
		is($end->{data}{metadata}{stop_reason}, 'cancelled', "$kind: and stops");
		is(scalar(grep { $_->{type} eq 'error' } $d->events($kind, after => $from)), 0,
		    "$kind: without an error");
	}
	($e) = turn_with($kind, 'fake:error status=400');
	# Pi's bridge does not tell.
	is(end_of(@$e)->{stop_reason}, $kind eq 'pi' ? 'end_turn' : 'error',
	    "$kind: an error of the model's server");

	# Killed with all that it had started, and asked to go on.
	my @pids = grep { slurp("/proc/$_/cmdline") =~ /\Q$program{$kind}\E/ }
	    descendants($d->{pid});
	ok(scalar @pids, "$kind: runs");
	kill('KILL', @pids);
	ok(wait_for(20, sub { !grep { -e "/proc/$_" } @pids }), "$kind: and is killed");
	($e) = turn_with($kind, 'fake:text say="I am back."');
	like(answer_text(@$e), qr/I am back/, "$kind: the session goes on");
	is($e->[-1]{native_session_id}, $native, "$kind: in the same conversation");
	cmp_ok(last_plan()->{messages}, '>', 5, "$kind: of which the model is sent all");
	is(scalar(grep { $_->{type} eq 'agent.unparsed' } $d->events($kind)), 0,
	    "$kind: all was understood");
	is(Sandboxd::sequence_flaw(1, $d->events($kind)), '', "$kind: no gap");
}

# --- what only some have ------------------------------------------------------------------

my ($e, @asked) = turn_with('claude',
    'fake:ask question="Which colour?" options="Red|Blue"', ['Blue']);
is($asked[0]{data}{prompt}, 'Which colour?', 'claude asks a question');
is_deeply($asked[0]{data}{options}, ['Red', 'Blue'], 'with its options');
like(answer_text(@$e), qr/Blue/, 'and hears the answer');
$d->ok('session.configure', { id => 'claude', permission_mode => 'acceptEdits' });
($e, @asked) = turn_with('claude', 'fake:write path=free.txt content="f"');
is(scalar @asked, 0, 'acceptEdits: a file is not asked for');
is(file('claude/free.txt'), 'f', 'and written');
($e, @asked) = turn_with('claude', 'fake:write path=../outside.txt content="f"', 'reject');
session('plan', 'claude', permission_mode => 'plan');
($e, @asked) = turn_with('plan', 'fake:plan plan="1. Paint"', 'once');
is($asked[0]{data}{action}, 'ExitPlanMode', 'a plan is to be approved');
is($d->ok('session.get', { id => 'plan' })->{permission_mode}, 'default',
    'which changes the mode');

session('full', 'codex', permission_mode => 'bypass');
($e, @asked) = turn_with('full', 'fake:bash cmd="touch made" fake:write path=b.txt content="b"');
is(scalar @asked, 0, 'codex: full access asks for nothing');
is(file('full/b.txt'), "b\n", 'and writes');
session('denied', 'codex');
($e, @asked) = turn_with('denied', 'fake:write path=c.txt content="c"', 'reject');
is(end_of(@$e)->{stop_reason}, 'cancelled', 'codex: no ends its turn');

$d->ok('session.configure', { id => 'pi', model => 'fake/two', thought_level => 'high' });
($e) = turn_with('pi', 'fake:text say="x"');
is(last_plan()->{model}, 'two', 'pi: another model');
is(last_plan()->{effort}, 'high', 'pi: and it thinks harder');

# Nothing is left of them, launchers or not.
$d->ok('session.end', { id => $_ }, timeout => $wait)
    for qw(claude codex pi plan full denied);
ok(wait_for(20, sub { !grep { slurp("/proc/$_/cmdline") =~ /-acp/ }
    descendants($d->{pid}) }), 'when sessions end nothing of their agents is left');

done_testing;
