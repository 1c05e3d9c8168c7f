# When the model or the agent fails: errors are events, turns end, sessions live.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../t/lib";
use Sandboxd;
use Agents;
use Test::More;

need_root();

my $d = claude_daemon();
my $llm = Agents::FakeLlm->start;
claude_session($d, $llm, 'e', env => { CLAUDE_CODE_MAX_RETRIES => '1' });

for my $case (['400', 'fake:error status=400'], ['401', 'fake:error status=401'],
    ['429', 'fake:error status=429'], ['500', 'fake:error status=500'],
    ['529', 'fake:error status=529'], ) {
	my ($name, $text) = @$case;
	my @e = $d->turn('e', $text, timeout => 60);
	is($e[-1]{type}, 'turn.ended', "$name: the turn ends");
	my ($error) = grep { $_->{type} eq 'error' } @e;
	ok($error, "$name: with an error event") or diag(to_json([event_types(@e)]));
	like(to_json($error->{data} // {}), qr/$name|rror|verload/, "$name: that says what");
	is($d->ok('session.get', { id => 'e' })->{state}, 'idle', "$name: idle again");
}
my @e = $d->turn('e', 'fake:error status=529 times=1', timeout => 60);
like(answer_text(@e), qr/Hello from the fake model/,
    'an error that a retry overcomes is none');
is((grep { $_->{type} eq 'error' } @e), 0, 'and no error event');
@e = $d->turn('e', 'fake:drop', timeout => 60);
is($e[-1]{type}, 'turn.ended', 'a connection cut: the turn ends');
@e = $d->turn('e', 'Fine?');
like(answer_text(@e), qr/Fine/, 'the session goes on');
is(Sandboxd::sequence_flaw(1, $d->events('e')), '', 'without a gap');

# A wrong key.
claude_session($d, $llm, 'key', env => { ANTHROPIC_API_KEY => 'wrong',
    CLAUDE_CODE_MAX_RETRIES => '0' });
@e = $d->turn('key', 'Hello?', timeout => 60);
ok((grep { $_->{type} eq 'error' } @e), 'a wrong key is an error');
unlike(answer_text(@e), qr/Hello from the fake/, 'and no answer');

# No network: the agent cannot reach its model, and that is said.
$d->ok('sandbox.create', { id => 'alone' });
$d->ok('session.create', { id => 'alone', agent => 'claude', sandbox => 'alone',
    env => { %{claude_env($llm)}, CLAUDE_CODE_MAX_RETRIES => '0' } });
@e = $d->turn('alone', 'Anybody?', timeout => 60);
is($e[-1]{type}, 'turn.ended', 'without a network the turn ends');
ok((grep { $_->{type} eq 'error' } @e), 'with an error');

# A program that is no agent, or none at all.
$d->ok('session.create', { id => 'true', agent => 'claude', sandbox => 'e',
    command => ['/bin/true'] });
@e = $d->turn('true', 'Hello?', timeout => 30);
is($e[-1]{type}, 'turn.ended', 'a program that only ends: the turn ends');
ok((grep { $_->{type} eq 'error' } @e), 'with an error');
my $r = $d->request('session.create', { id => 'none', agent => 'claude',
    sandbox => 'e', command => ['/no/such/claude'] });
if ($r->{ok}) {
	@e = $d->turn('none', 'Hello?', timeout => 30);
	ok((grep { $_->{type} eq 'error' } @e), 'a program that is not there');
} else {
	like($r->{error}{code}, qr/agent/, 'a program that is not there');
}
# One that talks nonsense.
$d->ok('session.create', { id => 'noise', agent => 'claude', sandbox => 'e',
    command => ['/bin/sh', '-c', 'echo "not json"; echo "{\"type\":\"what\"}"; '
    . 'head -c 3000000 /dev/zero | tr "\\\\0" x; echo; exit 3'] });
@e = $d->turn('noise', 'Hello?', timeout => 30);
is($e[-1]{type}, 'turn.ended', 'one that talks nonsense: the turn ends');
my @unparsed = grep { $_->{type} eq 'agent.unparsed' } $d->events('noise',
    raw => JSON::PP::true);
ok(@unparsed >= 2, 'what could not be parsed is kept');
like(to_json(\@unparsed), qr/not json/, 'with its words');
is($d->ok('status')->{pid}, $d->{pid}, 'the daemon is well');

done_testing;
