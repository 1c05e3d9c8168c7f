# Sessions whose agent is any program that speaks ACP, named by its command: what it
# does shows as events, and whatever it does to us (floods, silence, junk, death,
# children left behind) harms nobody else.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
need_program('perl');

# What is restored is restored when nothing was adopted.
my $d = Sandboxd->start(conf => "[sandbox]\nadopt = 0\n");
my $script = slurp(root_dir() . '/tests/t/lib/acp-agent.pl');
my $wait = 30 * slow_factor();

$d->ok('sandbox.create', { id => 'box', directory => '/tmp' });
$d->exec('box', ['sh', '-c', 'cat > /root/agent.pl'], stdin => $script);

sub session {
	my ($id, %o) = @_;
	return $d->ok('session.create', { id => $id, sandbox => 'box', agent => 'acp',
	    command => ['perl', '/root/agent.pl'], %o }, timeout => $wait);
}
sub end_of { return (grep { $_->{type} eq 'turn.ended' } @_)[-1]{data}{metadata}{stop_reason} }
sub text_of {
	return join('|', map { item_text($_) } grep { $_->{type} eq 'item.completed'
	    && $_->{data}{item}{kind} eq 'message'
	    && $_->{data}{item}{role} eq 'assistant' } @_);
}
sub kinds { return join(' ', map { $_->{data}{item}{kind} }
    grep { $_->{type} eq 'item.completed' } @_) }

# --- what it says ---------------------------------------------------------------------

is($d->error('session.create', { id => 'no', sandbox => 'box', agent => 'acp' }),
    'bad_request', 'without a command there is no program');
is($d->error('session.create', { id => 'no', sandbox => 'box', agent => 'acp',
    command => ['no-such-program'] }), 'agent_not_installed',
    'nor with one that is not there');
session('talk');
my @e = $d->turn('talk', 'think say one plan tool say two usage commands', timeout => $wait);
is(end_of(@e), 'end_turn', 'a turn');
is(kinds(@e), 'message message message status tool_call tool_result message',
    'of thoughts, words, a plan and a tool');
is(text_of(@e), 'hm|one|two', 'in their order');
my ($result) = grep { $_->{type} eq 'item.completed'
    && $_->{data}{item}{kind} eq 'tool_result' } @e;
is($result->{data}{item}{content}[0]{output}, 'file', 'with the tool\'s output');
my $native = $e[-1]{native_session_id};
is($native, 's1', 'in the agent\'s session');

# Leave, by the kind of the options.
sub asked {
	my ($reply, $kinds) = @_;
	my $from = ($d->events('talk'))[-1]{sequence};
	$d->ok('session.prompt', { id => 'talk', text => "ask $kinds" });
	my $ask = $d->wait_event('talk', sub { $_->{type} eq 'permission.requested' },
	    $wait, $from);
	$d->ok('session.permission.reply', { id => 'talk', reply => $reply,
	    permission_id => $ask->{data}{permission_id} });
	$d->wait_event('talk', sub { $_->{type} eq 'turn.ended' }, $wait, $from);
	return text_of($d->events('talk', after => $from));
}
is(asked('once', 'reject_once+allow_once+allow_always'), 'selected opt-allow_once', 'once');
is(asked('reject', 'reject_always+allow_once'), 'selected opt-reject_always',
    'no, as far as it can be said');
is(asked('reject', 'allow_once'), 'cancelled', 'no, where it cannot');
is(asked('always', 'allow_once+allow_always'), 'selected opt-allow_always', 'always');
@e = $d->turn('talk', 'ask allow_once+reject_once', timeout => $wait);
is(text_of(@e), 'selected opt-allow_once', 'the like is not asked for again');

# Settings.
$d->ok('session.configure', { id => 'talk', model => 'large', thought_level => 'high',
    permission_mode => 'plan' });
is($d->error('session.configure', { id => 'talk', model => 'huge' }),
    'bad_request', 'no such model');
@e = $d->turn('talk', 'mode ask', timeout => $wait);
is(end_of(@e), 'end_turn', 'settings are made');
is($d->ok('session.get', { id => 'talk' })->{permission_mode}, 'ask',
    'a mode that the agent changes is known');

# Errors and junk.
@e = $d->turn('talk', 'error', timeout => $wait);
is(end_of(@e), 'error', 'an error ends the turn');
is((grep { $_->{type} eq 'error' } @e)[0]{data}{details}{data}{n}, 7,
    'and is told with what is behind it');
is(scalar(grep { $_->{type} eq 'agent.unparsed' } $d->events('talk')), 0,
    'all was understood so far');
@e = $d->turn('talk', 'junk array say fine', timeout => $wait);
is(scalar(grep { $_->{type} eq 'agent.unparsed' } @e), 2, 'junk is told as it is');
is(text_of(@e), 'fine', 'and the turn goes on');

# --- what it does -----------------------------------------------------------------------

my $n = 20000;
my $before = time;
@e = $d->turn('talk', "flood $n", timeout => 10 * $wait);
my @deltas = map { $_->{data}{delta} } grep { $_->{type} eq 'item.delta' } @e;
is(scalar @deltas, $n, "$n updates at once: none is lost");
is((grep { $deltas[$_] !~ /^c@{[$_ + 1]}x/ } 0 .. $#deltas)[0], undef, 'all in order');
note(sprintf('%d updates in %.1f s', $n, time - $before));
@e = $d->turn('talk', 'long 5000000 say next', timeout => 10 * $wait);
is(end_of(@e), 'end_turn', 'a line that is too long is left out');
like(text_of(@e), qr/next$/, 'and no more than that');

session('hung');
my $from = ($d->events('hung'))[-1]{sequence};
$d->ok('session.prompt', { id => 'hung', text => 'say hm hang' });
ok($d->wait_event('hung', sub { $_->{type} eq 'item.delta' }, $wait, $from), 'one hangs');
$d->ok('session.prompt', { id => 'hung', text => 'say waiting' });
sleep(0.5);
is(scalar(grep { $_->{type} eq 'turn.ended' } $d->events('hung')), 0,
    'what waits for it waits');
$d->ok('session.cancel', { id => 'hung' });
ok($d->wait_event('hung', sub { $_->{type} eq 'turn.ended' }, 2 * $wait, $from),
    'cancelled it ends, if need be by force');
@e = $d->turn('hung', 'say again', timeout => $wait);
is(text_of(@e), 'again', 'and the session goes on');

for my $end ('exit 3', 'die') {
	@e = $d->turn('hung', $end, timeout => $wait);
	is(end_of(@e), 'error', "$end: the turn has failed");
	my ($error) = grep { $_->{type} eq 'error' } @e;
	is($error->{data}{code}, 'process_exit', "$end: for this reason");
	@e = $d->turn('hung', 'blocks', timeout => $wait);
	is(end_of(@e), 'end_turn', "$end: the next one goes well");
	# It cannot load sessions: it is told. (Words of what was said would be
	# done again by this agent, did not quotes stand around them.)
	my ($block) = map { $_->{raw}{params}{update}{_meta}{blocks} // () }
	    grep { ref $_->{raw} } $d->events('hung', raw => \1,
	    after => $e[0]{sequence});
	like($block->[0]{text}, qr/began before.*again.*\nblocks$/s,
	    "$end: and the agent hears what was said");
}

# What it leaves behind goes with it.
session('children', command => ['sh', '-c',
    'setsid sleep 31415 >/dev/null 2>&1 & sleep 27182 & exec perl /root/agent.pl']);
$d->turn('children', 'say here', timeout => $wait);
sub sleepers { return grep { (slurp("/proc/$_/cmdline") // '') =~ /^sleep\000(31415|27182)/ }
    descendants($d->{pid}) }
is(scalar(sleepers()), 2, 'an agent has children');
$d->ok('session.end', { id => 'children' }, timeout => $wait);
ok(wait_for($wait, sub { !sleepers() }), 'when it ends none is left');

# --- restarts ----------------------------------------------------------------------------

session('long');
$from = ($d->events('long'))[-1]{sequence};
$d->ok('session.prompt', { id => 'long', text => 'say begun wait' });
$d->wait_event('long', sub { $_->{type} eq 'item.delta' }, $wait, $from);
$d->restart('KILL');
ok($d->wait_event('long', sub { $_->{type} eq 'turn.ended' }, $wait, $from),
    'sandboxd is killed: the turn is closed');
@e = $d->turn('long', 'say after', timeout => $wait);
is(text_of(@e), 'after', 'and the session goes on');
for my $s (qw(talk hung children long)) {
	is(Sandboxd::sequence_flaw(1, $d->events($s)), '', "$s: no gap");
}

done_testing;
