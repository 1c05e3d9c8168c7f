# The mock agent over ACP: everything that the echo agent of old says, and beside
# it sessions, turns, updates, permissions, questions and settings.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Acp;
use Test::More;

need_root();
my $d = Sandboxd->start(http => 1);
my $a = Sandboxd::Acp->new($d, 'm', agent => 'mock');
my $stream;

# Updates of one kind among envelopes.
sub of_kind {
	my ($kind, @seen) = @_;
	return grep { $_->{sessionUpdate} eq $kind } map { $_->{params}{update} }
	    grep { ($_->{method} // '') eq 'session/update' } @seen;
}
sub text_of {
	return join('', map { $_->{content}{text} } of_kind('agent_message_chunk', @_));
}
# A whole turn: the response, and what came before it on the stream.
sub turn {
	my ($s, $text) = @_;
	my $e = $a->prompt_envelope($s, $text);
	my $r = $a->post($e)->{json};
	my @seen = $stream->until(sub { !$_->{method} && defined $_->{id} &&
	    $_->{id} eq $e->{id} });
	return ($r, @seen);
}

# --- the beginning ------------------------------------------------------------------

my $r = $a->call('initialize', { protocolVersion => 1 });
is($r->{result}{protocolVersion}, 1, 'a version');
is($r->{result}{echoed}{method}, 'initialize', 'and an echo');
$stream = $a->stream;
$r = $a->call('session/new', { cwd => '/tmp', mcpServers => [] })->{result};
my $s = $r->{sessionId};
ok(length $s, 'a session');
is_deeply([map { $_->{id} } @{$r->{configOptions}}], [qw(model mode thought_level)],
    'with options');
my $agents = $d->http('GET', '/v1/agents/mock?config=true')->{json};
is_deeply($r->{configOptions}, $agents->{configOptions},
    'which are those that the list of agents shows');
is($r->{modes}{currentModeId}, 'normal', 'its mode');

# --- turns --------------------------------------------------------------------------

my ($answer, @seen) = turn($s, 'say something');
is($answer->{result}{stopReason}, 'end_turn', 'a turn ends');
is($answer->{result}{echoed}{params}{sessionId}, $s, 'with its echo');
is(text_of(@seen), 'something', 'and what was said is on the stream before it');
is($stream->{flaw}, '', 'without a gap');
for my $word (qw(help markdown tool status image unknown error unparsed end think
    plan usage commands)) {
	($answer, @seen) = turn($s, $word);
	is($answer->{result}{stopReason}, 'end_turn', $word);
}
($answer, @seen) = turn($s, 'run echo one; exit 3');
my ($call) = of_kind('tool_call', @seen);
my @more = of_kind('tool_call_update', @seen);
is($call->{kind}, 'execute', 'a command is a tool call');
is($call->{title}, 'echo one; exit 3', 'by its own words');
is($more[-1]{toolCallId}, $call->{toolCallId}, 'its result is of the same call');
is($more[-1]{status}, 'failed', 'and tells how it went');
is($more[-1]{content}[0]{content}{text}, "one\n", 'and what it printed');
($answer) = turn($s, 'exit 3');
is($answer->{error}{code}, -32603, 'a turn that fails is an error');
is($answer->{error}{data}{code}, 'process_exit', 'which says why');

# --- what it asks -------------------------------------------------------------------

sub reply {
	my ($request, $result) = @_;
	return $a->post({ jsonrpc => '2.0', id => $request->{id},
	    result => $result })->{status};
}
sub chosen { return { outcome => { outcome => 'selected', optionId => $_[0] } } }

my $e = $a->prompt_envelope($s, 'permission');
my $c = $a->begin($e);
my $asks = sub { ($_->{method} // '') eq 'session/request_permission' };
my $first = ($stream->until($asks))[-1];
my $second = ($stream->until($asks))[-1];
is($first->{params}{sessionId}, $s, 'a permission is asked for');
is_deeply([map { $_->{kind} } @{$first->{params}{options}}],
    [qw(allow_once allow_always reject_once)], 'with the usual options');
is($first->{params}{toolCall}{kind}, 'execute', 'and what it is for');
isnt($first->{id}, $second->{id}, 'then another');
is(reply($first, chosen('allow_once')), 202, 'an answer is taken');
is(reply($second, { outcome => { outcome => 'cancelled' } }), 202, 'so is none');
is($c->response('POST', 20)->{json}{result}{stopReason}, 'end_turn',
    'and the turn goes on to its end');
$c = $a->begin($a->prompt_envelope($s, 'question'));
my @questions = map { ($stream->until($asks))[-1] } 1, 2;
is(reply($_, chosen('choice-0')), 202, 'a question is a choice') for @questions;
is($c->response('POST', 20)->{json}{result}{stopReason}, 'end_turn', 'and answered');

# --- settings -----------------------------------------------------------------------

$r = $a->call('session/set_config_option', { sessionId => $s, configId => 'model',
    value => 'mock-fast' })->{result}{configOptions};
is((grep { $_->{id} eq 'model' } @$r)[0]{currentValue}, 'mock-fast', 'a model is set');
$r = $a->call('session/set_config_option', { sessionId => $s,
    configId => 'thought_level', value => 'high' })->{result}{configOptions};
is((grep { $_->{id} eq 'thought_level' } @$r)[0]{currentValue}, 'high',
    'a thought level');
$a->call('session/set_mode', { sessionId => $s, modeId => 'plan' });
@seen = $stream->until(sub { ($_->{params}{update}{sessionUpdate} // '')
    eq 'current_mode_update' });
is($seen[-1]{params}{update}{currentModeId}, 'plan', 'a mode, of which all are told');

# --- several at once ----------------------------------------------------------------

my $t = $a->session;
isnt($t, $s, 'a second session');
my @c = map { $a->begin($a->prompt_envelope($s, $_)) } 'sleep 400', 'say later';
($answer) = turn($t, 'say now');
is($answer->{result}{stopReason}, 'end_turn', 'waits for no other');
is($_->response('POST', 20)->{json}{result}{stopReason}, 'end_turn',
    'prompts of one session wait for each other') for @c;
# Each on a connection of its own: the second after the first has arrived.
@c = ();
for ('sleep 60000', 'say never') {
	my $words = $_;
	push @c, $a->begin($a->prompt_envelope($s, $words));
	$stream->until(sub { ($_->{method} // '') eq 'mock/echo' &&
	    Sandboxd::to_json($_) =~ /\Q$words\E/ });
}
$a->post({ jsonrpc => '2.0', method => 'session/cancel',
    params => { sessionId => $s } });
is($_->response('POST', 20)->{json}{result}{stopReason}, 'cancelled', 'cancelled')
    for @c;
is_deeply([map { $_->{sessionId} } @{$a->call('session/list', {})->{result}{sessions}}],
    [$s, $t], 'both are listed, the last used first');

is($a->delete->{status}, 204, 'the end');
$stream->until(sub { 0 }, 5);
ok($stream->{ended}, 'ends the stream');
is($stream->{flaw}, '', 'which had no gap');

done_testing;
