# Claude Code's settings and what it remembers: levels of effort, modes by its own names,
# to-do lists as plans, pictures, and a conversation whose file is gone.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../t/lib";
use Sandboxd;
use Agents;
use Test::More;

need_root();

my $d = Sandboxd->start(http => 1, env => { PATH => agents_path('claude') });
my $llm = Agents::FakeLlm->start;
my $wait = 60 * slow_factor();
my $box = 'c';
my %env = (%{claude_env($llm)}, HOME => '/tmp/home', IS_SANDBOX => '1');

sub end_of { return (grep { $_->{type} eq 'turn.ended' } @_)[-1]{data}{metadata} }
sub labels { return map { $_->{content}[0]{label} } tool_items('status', @_) }
sub arguments {
	return $d->sh($box, 'tr "\0" " " < /proc/$(pgrep -f "input-format strea[m]" | tail -1)/cmdline')
	    ->{stdout};
}

$d->ok('sandbox.create', { id => $box, network => 'host', directory => '/tmp', env => \%env },
    timeout => $wait);
$d->ok('session.create', { id => 's', sandbox => $box, agent => 'claude',
    permission_mode => 'dontAsk', thought_level => 'low' }, timeout => $wait);
my @e = $d->turn('s', 'fake:bash cmd="touch asked.txt"', timeout => $wait);
ok(!(grep { $_->{type} eq 'permission.requested' } @e), 'dontAsk: nobody is asked');
is((tool_items('tool_result', @e))[0]{status}, 'failed', 'what would need leave fails');
like(arguments(), qr/--permission-mode dontAsk --effort low/, 'it was started so');
my $r = $d->request('session.configure', { id => 's', permission_mode => 'wat' });
is($r->{error}{code}, 'mode_not_supported', 'a mode that it does not have');
$d->ok('session.configure', { id => 's', permission_mode => 'bypassPermissions' });
@e = $d->turn('s', 'fake:bash cmd="touch asked.txt"', timeout => $wait);
is((tool_items('tool_result', @e))[0]{status}, 'completed', 'its own name for bypass');
like(arguments(), qr/--permission-mode bypassPermissions/, 'takes another process');

# --- plans ------------------------------------------------------------------------------

@e = $d->turn('s', 'fake:tool use=TaskCreate input="{\"subject\":\"look\",\"description\":\"d\"}"',
    timeout => $wait);
ok((grep { $_ eq 'turn.plan.updated' } labels(@e)), 'a task is a plan');
@e = $d->turn('s', 'fake:tool use=TaskUpdate input="{\"taskId\":\"1\",\"status\":\"completed\"}"',
    timeout => $wait);
my ($plan) = grep { $_->{content}[0]{label} eq 'turn.plan.updated' } tool_items('status', @e);
like($plan->{content}[0]{detail} // '', qr/"look","status":"completed"/, 'which goes on');

# --- a conversation that is lost -----------------------------------------------------------

$d->ok('session.create', { id => 'm', sandbox => $box, agent => 'claude' }, timeout => $wait);
$d->turn('m', 'my name is Ada', timeout => $wait);
my $native = ($d->events('m'))[-1]{native_session_id};
my $file = '/tmp/home/.claude/projects/-tmp/' . $native . '.jsonl';
ok(wait_for($wait, sub { $d->sh($box, "grep -q Ada $file")->{exit_code} == 0 }), 'it is kept');
$d->sh($box, 'pkill -KILL -f "input-format strea[m]"; sleep 0.2; rm -r /tmp/home/.claude/projects');
ok(wait_for($wait, sub { $d->sh($box, 'pgrep -f "input-format strea[m]"')->{exit_code} }), 'killed');
@e = $d->turn('m', 'do you remember?', timeout => $wait);
is(end_of(@e)->{stop_reason}, 'end_turn', 'the turn goes well');
ok((grep { $_ eq 'resume_failed' } labels(@e)), 'that it was lost is told');
ok(!(grep { $_->{type} eq 'error' } @e), 'and no error');
like(answer_text(@e), qr/my name is Ada.*do you remember/s, 'the model hears of both');
isnt($e[-1]{native_session_id}, $native, 'it is another conversation');

# --- over ACP: options, pictures -------------------------------------------------------------

my $n = 0;
sub rpc {
	my ($method, $params) = @_;
	my $res = $d->http('POST', "/i/$box/v1/acp/x?agent=claude", json => { jsonrpc => '2.0',
	    id => ++$n, method => $method, params => $params });
	return from_json($res->{body});
}
rpc('initialize', { protocolVersion => 1, clientCapabilities => {} });
my $sid = rpc('session/new', { cwd => '/tmp', mcpServers => [] })->{result}{sessionId};
ok($sid, 'an ACP session');
$r = rpc('session/prompt', { sessionId => $sid, prompt => [
    { type => 'text', text => 'What is this?' },
    { type => 'image', mimeType => 'image/png', data => 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCA'
	. 'YAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==' },
    { type => 'resource_link', uri => 'file:///tmp/x.c', name => 'x.c' }] });
is($r->{result}{stopReason}, 'end_turn', 'a prompt with a picture');
my $seen = ($llm->seen('plan'))[-1];
is($seen->{images}, 1, 'which the model sees');
like($seen->{user}, qr{- /tmp/x\.c}, 'as it hears of the file');
$r = rpc('session/set_config_option', { sessionId => $sid, configId => 'thought_level',
    value => 'max' });
my %option = map { $_->{id} => $_ } @{$r->{result}{configOptions}};
is($option{thought_level}{currentValue}, 'max', 'a level is set');
cmp_ok(scalar @{$option{model}{options}}, '>', 3, 'its models are known');
ok((grep { $_->{value} eq 'bypassPermissions' } @{$option{mode}{options}}), 'and its modes');
$r = rpc('session/set_config_option', { sessionId => $sid, configId => 'model', value => 'haiku' });
rpc('session/prompt', { sessionId => $sid, prompt => [{ type => 'text', text => 'again' }] });
like(($llm->seen('plan'))[-1]{model}, qr/haiku/, 'a model is set');

ok(!(grep { $_->{type} eq 'agent.unparsed' } $d->events('s'), $d->events('m')),
    'everything was understood');

done_testing;
