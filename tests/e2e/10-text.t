# Claude Code in a sandbox: text, streamed deltas, thinking, several turns, and
# exactly the environment it was given.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../t/lib";
use Sandboxd;
use Agents;
use Test::More;

need_root();

my $d = claude_daemon(env => { STRAY => 'must-not-be-inside' });
my $llm = Agents::FakeLlm->start;
my $r = claude_session($d, $llm, 'talk', env => { GIVEN => 'given-word' });
is($d->ok('session.get', { id => 'talk' })->{agent}, 'claude', 'a session');

my @e = $d->turn('talk', 'Say hello.');
is(Sandboxd::sequence_flaw($e[0]{sequence}, @e), '', 'events in order');
is($e[0]{type}, 'turn.started', 'a turn begins');
is($e[-1]{type}, 'turn.ended', 'and ends');
like(answer_text(@e), qr/You said: Say hello\./, 'with the model\'s answer');
my ($user) = grep { ($_->{data}{item}{role} // '') eq 'user' } @e;
is(item_text($user), 'Say hello.', 'the user\'s words stand in the log');
my $native = $e[-1]{native_session_id};
like($native, qr/^[0-9a-f]{8}-/, 'the native session id is known');
is($d->ok('session.get', { id => 'talk' })->{native_session_id}, $native,
    'and in the record');
my @plan = $llm->seen('plan');
is(scalar @plan, 1, 'the model was asked once');
ok((grep { $_ eq 'Edit' } @{$plan[0]{tools}}), 'by a real agent with its tools');
like((grep { ($_->{method} // '') eq 'POST' } $llm->seen('request'))[0]{agent},
    qr/^claude-cli/, 'which is Claude Code');

# Streamed deltas.
@e = $d->turn('talk', 'fake:stream n=8 delay=30');
my @deltas = grep { $_->{type} eq 'item.delta' && !$_->{synthetic} } @e;
ok(@deltas >= 8, 'a delta for each piece that the model sent');
my $whole = join('', map { "part $_ of 8, " } 1 .. 8);
is(join('', map { $_->{data}{delta} } @deltas), $whole, 'in order');
is(answer_text(@e), $whole, 'and the whole text at the end');
my %item = map { $_->{data}{item_id} => 1 } @deltas;
is(scalar keys %item, 1, 'all of one item');
is((grep { $_->{type} eq 'item.started' && $item{$_->{data}{item}{item_id}} } @e), 1,
    'which was started once');

# Thinking.
@e = $d->turn('talk', 'fake:think fake:text say="Thought through."');
my @parts = map { @{$_->{content}} } tool_items('message', @e);
my ($thought) = grep { $_->{type} eq 'reasoning' } @parts;
like($thought->{text} // '', qr/^First I look/, 'thinking is kept as reasoning');
like(answer_text(@e), qr/Thought through/, 'beside the answer');

# The conversation goes on: the model is sent what was said before.
@e = $d->turn('talk', 'Once more.');
like(answer_text(@e), qr/Once more/, 'a fourth turn');
@plan = $llm->seen('plan');
ok($plan[-1]{messages} > $plan[0]{messages} + 4, 'with the history of the others');
is($e[-1]{native_session_id}, $native, 'in the same native session');

# Words that need care on their way.
for my $words ("zwei Wörter \x{1F600} \"quoted\" \\ back\tslash",
    "line one\nline two", '{"type":"user"}', '/unknown-command', ' ' x 3) {
	@e = $d->turn('talk', $words, timeout => 40);
	my ($item) = grep { ($_->{data}{item}{role} // '') eq 'user' } @e;
	is(item_text($item), $words, 'kept as said: ' . to_json($words)) if $item;
	ok(scalar(grep { $_->{type} eq 'turn.ended' } @e), '... and the turn ends');
}

# Its environment: what the session was given, and nothing else.
my ($pid) = $d->children(qr/claude/);
ok($pid, 'claude runs below the daemon');
my %env = map { /^([^=]+)=(.*)/s ? ($1 => $2) : () }
    split /\0/, slurp("/proc/$pid/environ");
my %given = (%{claude_env($llm)}, GIVEN => 'given-word');
for (sort keys %given) {
	is($env{$_}, $given{$_}, "$_ is as given");
}
my %base = map { $_ => 1 } qw(PATH HOME USER LOGNAME SHELL TERM LANG PWD);
is(join(' ', grep { !exists $given{$_} && !$base{$_} } sort keys %env), '',
    'and no variable that was not given');
isnt(readlink("/proc/$pid/ns/mnt"), readlink('/proc/self/ns/mnt'),
    'in the sandbox\'s own mounts');
my ($uid) = slurp("/proc/$pid/status") =~ /^Uid:\s+(\d+)/m;
ok($uid >= 65536, "as no user of the host ($uid)");
unlike(slurp($d->{log}), qr/\Q$llm->{key}\E/, 'the key is not in the log');
unlike(to_json([$d->events('talk', raw => JSON::PP::true)]), qr/\Q$llm->{key}\E/,
    'nor in the events');

# Raw messages are there when asked for.
my @raw = grep { defined $_->{raw} } $d->events('talk', raw => JSON::PP::true);
ok((grep { ref $_->{raw} && ($_->{raw}{type} // '') eq 'assistant' } @raw),
    'native messages are kept');
is((grep { $_->{type} eq 'agent.unparsed' } $d->events('talk')), 0,
    'and there was none that we did not understand');

$d->ok('session.end', { id => 'talk' });
ok(wait_for(10, sub { !$d->children(qr/claude/) }), 'claude ends with its session');
ok($d->stop, 'an orderly stop');
is(join("\n", $d->leftovers), '', 'leaves nothing');

done_testing;
