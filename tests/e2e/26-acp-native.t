# Claude Code over ACP, served from its native adapter: no bridge runs, and an ACP
# client finds text, thoughts, tools with their changes, permissions, questions,
# modes, errors and cancellation where it looks for them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Acp;
use Agents;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();

my $llm = Agents::FakeLlm->start;
my $d = claude_daemon(http => 1);
$d->ok('sandbox.create', { id => 'default', network => 'host', directory => '/tmp',
    env => claude_env($llm) }, timeout => 30);
my $a = Sandboxd::Acp->new($d, 'c', agent => 'claude');
my $stream;
my @seen;

sub of_kind {
	my ($kind) = @_;
	return grep { $_->{sessionUpdate} eq $kind } map { $_->{params}{update} }
	    grep { ($_->{method} // '') eq 'session/update' } @seen;
}
sub text_of { return join('', map { $_->{content}{text} } of_kind($_[0] // 'agent_message_chunk')) }
# A whole turn; ANSWER is told each request of the agent and gives its result.
sub turn {
	my ($s, $text, $answer) = @_;
	my $e = $a->prompt_envelope($s, $text);
	my $c = $a->begin($e);

	@seen = ();
	while (1) {
		push @seen, $stream->until(sub { defined $_->{id} &&
		    ($_->{method} || $_->{id} eq $e->{id}) }, 30);
		last if !$stream->{found} || !$seen[-1]{method};
		$a->post({ jsonrpc => '2.0', id => $seen[-1]{id},
		    result => $answer->($seen[-1]) });
	}
	return $c->response('POST', 30)->{json};
}
sub chosen { return { outcome => { outcome => 'selected', optionId => $_[0] } } }

my $r = $a->call('initialize', { protocolVersion => 1,
    clientCapabilities => { elicitation => { form => {} } } });
is($r->{result}{agentInfo}{name}, 'claude', 'an agent');
$stream = $a->stream;
$r = $a->call('session/new', { cwd => '/tmp', mcpServers => [] })->{result};
my $s = $r->{sessionId};
ok(length $s, 'a session');
ok((grep { $_->{id} eq 'plan' } @{$r->{modes}{availableModes}}), 'with modes');

is(turn($s, 'Say hello.')->{result}{stopReason}, 'end_turn', 'a turn');
like(text_of(), qr/You said: Say hello\./, 'with the model\'s words');
ok(!(grep { ($_->{params}{update}{content}{text} // '') =~ /Say hello\..*Say hello\./s } @seen),
    'said once');
turn($s, 'fake:think fake:text say="Thought through."');
like(text_of('agent_thought_chunk'), qr/^First I look/, 'a thought is one');
is(text_of(), 'Thought through.', 'and the answer another thing');
turn($s, 'fake:stream n=8 delay=20');
is(text_of(), join('', map { "part $_ of 8, " } 1 .. 8), 'deltas in order');
cmp_ok(scalar(of_kind('agent_message_chunk')), '>=', 8, 'as they come');

# --- tools and permissions ----------------------------------------------------------

my @asked;
my $reply = sub { push @asked, $_[0]; return chosen('allow_once') };
is(turn($s, 'fake:write path=acp-native.txt content="x y"', $reply)->{result}{stopReason},
    'end_turn', 'a file is written');
is(scalar @asked, 1, 'after a question');
is($asked[0]{method}, 'session/request_permission', 'for permission');
my ($call) = of_kind('tool_call');
is($asked[0]{params}{toolCall}{toolCallId}, $call->{toolCallId}, 'of that call');
is($call->{kind}, 'edit', 'which is an edit');
my ($diff) = grep { $_->{type} eq 'diff' } @{$call->{content}};
like($diff->{newText}, qr/^x y/, 'and shows what it writes');
is((of_kind('tool_call_update'))[-1]{status}, 'completed', 'it is done');
@asked = ();
turn($s, 'fake:bash cmd="touch /tmp/acp-refused"', sub { push @asked, @_;
    return chosen('reject_once') });
is(scalar @asked, 1, 'a command is asked for');
is($asked[0]{params}{toolCall}{title}, 'touch /tmp/acp-refused', 'in its words');
is((of_kind('tool_call_update'))[-1]{status}, 'failed', 'and refused');
@asked = ();
turn($s, 'fake:bash cmd="touch /tmp/acp-one"', sub { push @asked, @_;
    return chosen('allow_always') });
is((of_kind('tool_call_update'))[-1]{status}, 'completed', 'allowed for good');
turn($s, 'fake:bash cmd="touch /tmp/acp-two"', $reply);
is(scalar @asked, 1, 'it is not asked for again');

# --- questions ----------------------------------------------------------------------

@asked = ();
turn($s, 'fake:ask question="Which colour?" options="Red|Blue"', sub { push @asked, @_;
    return { action => 'accept', content => { answer => 'Blue' } } });
is($asked[0]{method}, 'elicitation/create', 'a question is a form');
like($asked[0]{params}{message}, qr/Which colour/, 'with its words');
like(text_of(), qr/Blue/, 'the answer reaches the model');

# --- settings, errors, cancellation ---------------------------------------------------

@asked = ();
$a->call('session/set_mode', { sessionId => $s, modeId => 'acceptEdits' });
turn($s, 'fake:write path=acp-native-2.txt content="z"', $reply);
is(scalar @asked, 0, 'in the mode for it edits are not asked for');
$r = turn($s, 'fake:error status=400');
is($r->{error}{code}, -32603, 'an error of the model is one of the request');
like($r->{error}{message}, qr/400/, 'in its words');
my $e = $a->prompt_envelope($s, 'fake:slow delay=20000');
my $plans = $llm->seen('plan');
my $c = $a->begin($e);
# Two requests of one time may come in any order.
wait_for(30, sub { $llm->seen('plan') > $plans }) or diag('the model hears nothing');
my $queued = $a->begin($a->prompt_envelope($s, 'Say never.'));
sleep(0.5);
my $at = time;
$a->post({ jsonrpc => '2.0', method => 'session/cancel', params => { sessionId => $s } });
is($c->response('POST', 30)->{json}{result}{stopReason}, 'cancelled', 'cancelled');
is($queued->response('POST', 30)->{json}{result}{stopReason}, 'cancelled',
    'with what waited');
cmp_ok(time - $at, '<', 5 * slow_factor(), 'soon');

# --- restoration ------------------------------------------------------------------------

my $before = ($llm->seen('plan'))[-1]{messages};
$d->restart('TERM');
$stream = $a->stream($stream->{last});
is(turn($s, 'Once more.')->{result}{stopReason}, 'end_turn',
    'after a restart the session goes on');
cmp_ok(($llm->seen('plan'))[-1]{messages}, '>=', $before, 'with all that was said');
is($stream->{flaw}, '', 'and its log has no gap');
is($a->delete->{status}, 204, 'the end');
ok(wait_for(10, sub { !grep { Sandboxd::title_of($_) =~ /claude/ } $d->children }),
    'nothing of it is left');

done_testing;
