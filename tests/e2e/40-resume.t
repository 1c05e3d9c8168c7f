# A conversation with Claude Code outlives the agent, the worker, the sandbox's
# stop, and the daemon.
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
claude_session($d, $llm, 'r');

my @e = $d->turn('r', 'My name is Ada.');
my $native = $e[-1]{native_session_id};
settled('You said: My name is Ada.');

# What the model was sent in the last request.
sub history { return ($llm->seen('plan'))[-1]{messages} }

# Claude Code writes its own history a moment after the turn has ended; what it
# has not written it cannot resume, so wait for the words to be in its file.
sub settled {
	my ($words) = @_;
	return wait_for(10, sub { $d->exec('r', ['grep', '-rqF', $words,
	    '/root/.claude/projects'])->{exit_code} == 0 });
}

sub goes_on {
	my ($name) = @_;
	my $before = history();
	my @e = $d->turn('r', "After: $name", timeout => 60);
	like(answer_text(@e), qr/After: \Q$name\E/, "$name: the session goes on");
	is($e[-1]{native_session_id}, $native, "$name: the same conversation");
	# A turn that was cut may be missing from what claude itself kept.
	cmp_ok(history(), '>', $before - ($name =~ /cut/ ? 2 : 0), "$name: the model is sent all of it");
	is(Sandboxd::sequence_flaw(1, $d->events('r')), '', "$name: no gap");
	ok(settled("You said: After: $name"), "$name: claude has it in its history");
}

goes_on('nothing at all');
my ($pid) = $d->children(qr/claude/);
kill('KILL', $pid);
ok(wait_for(10, sub { !-e "/proc/$pid" }), 'claude is killed, and its worker knows');
goes_on('claude was killed');

my ($worker) = $d->children(qr/session/);
kill('KILL', $worker);
ok(wait_for(10, sub {
	my ($now) = $d->children(qr/session/);
	$now && $now != $worker
	    && $d->ok('session.get', { id => 'r' })->{state} eq 'idle'
}), 'a killed worker is replaced');
goes_on('its worker was killed');

$d->ok('sandbox.stop', { id => 'r' });
$d->ok('sandbox.start', { id => 'r' });
ok(wait_for(20, sub { $d->ok('session.get', { id => 'r' })->{state} eq 'idle' }),
    'stopped and started');
goes_on('the sandbox was stopped and started');

$d->restart('KILL');
ok(wait_for(20, sub { $d->ok('session.get', { id => 'r' })->{state} eq 'idle' }),
    'sandboxd was killed');
goes_on('sandboxd was killed');

$d->restart('TERM');
wait_for(20, sub { $d->ok('session.get', { id => 'r' })->{state} eq 'idle' });
goes_on('sandboxd was restarted');

# In the middle of a turn, of which nothing is lost: it goes on.
my $last = ($d->events('r'))[-1]{sequence};
$d->ok('session.prompt', { id => 'r', text => 'fake:stream n=60 delay=50' });
ok($d->wait_event('r', sub { $_[0]{type} eq 'item.delta' }, 20, $last),
    'a turn is streaming');
$d->restart('KILL');
my $end = $d->wait_event('r', sub { $_[0]{type} eq 'turn.ended' }, 30, $last);
is($end->{data}{metadata}{stop_reason}, 'end_turn', 'it ends after sandboxd was killed');
my @now = $d->events('r', after => $last);
like(join('', map { answer_text($_) } @now), qr/part 60 of 60/, 'with all of its text');
ok(!(grep { $_->{type} eq 'error' } @now), 'and no error');
goes_on('a turn outlived it');

# With its worker: the turn is closed, the conversation is not lost.
$last = ($d->events('r'))[-1]{sequence};
$d->ok('session.prompt', { id => 'r', text => 'fake:stream n=500 delay=50' });
ok($d->wait_event('r', sub { $_[0]{type} eq 'item.delta' }, 20, $last),
    'a turn is streaming');
my @seen = $d->events('r', after => $last);
($worker) = $d->children(qr/session/);
$d->kill_hard;
kill('KILL', $worker);
$d->launch;
ok($d->wait_event('r', sub { $_[0]{type} eq 'turn.ended' }, 30, $last),
    'it is closed after sandboxd and its worker were killed');
@now = $d->events('r', after => $last);
is(to_json([@now[0 .. $#seen]]), to_json(\@seen), 'what was shown before is there');
ok((grep { $_->{type} eq 'error' && $_->{data}{code} eq 'worker_restarted' } @now),
    'with an error that says why');
goes_on('a turn was cut');

done_testing;
