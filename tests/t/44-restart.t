# After a restart every sandbox and session is listed in a true state, and its
# events are all there; sequences go on.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;

$d->ok('sandbox.create', { id => 'run', labels => { k => 'v' },
    limits => { pids => 50 } });
$d->ok('sandbox.create', { id => 'stop' });
$d->ok('session.create', { id => 'idle', agent => 'mock', sandbox => 'run',
    title => 'A title', env => { SECRET_WORD => 'kept' } });
$d->ok('session.create', { id => 'over', agent => 'mock', sandbox => 'run' });
$d->ok('session.create', { id => 'cold', agent => 'mock', sandbox => 'stop' });
$d->turn('idle', 'one');
$d->turn('over', 'two');
$d->ok('session.end', { id => 'over' });
$d->ok('sandbox.stop', { id => 'stop' });
is($d->ok('session.get', { id => 'cold' })->{state}, 'stopped',
    'a session whose sandbox is stopped');

my %before = map { $_ => to_json([$d->events($_)]) } qw(idle over cold);
my $record = $d->ok('sandbox.get', { id => 'run' });

for my $signal (qw(TERM KILL KILL TERM)) {
	$d->restart($signal);
	is(join(' ', sort map { "$_->{id}:$_->{state}" }
	    @{$d->ok('sandbox.list')->{sandboxes}}) =~ s/creating/running/r,
	    'run:running stop:stopped', "$signal: sandboxes and states");
	ok(wait_for(20, sub {
		$d->ok('sandbox.get', { id => 'run' })->{state} eq 'running'
	}), "$signal: what ran runs");
	my $now = $d->ok('sandbox.get', { id => 'run' });
	is_deeply([@$now{qw(id labels limits image network created_at)}],
	    [@$record{qw(id labels limits image network created_at)}],
	    "$signal: its record is as it was");
	ok(wait_for(20, sub {
		join(' ', sort map { "$_->{id}:$_->{state}" }
		    @{$d->ok('session.list')->{sessions}})
		    eq 'cold:stopped idle:idle over:ended'
	}), "$signal: sessions and states")
	    or diag(to_json($d->ok('session.list')));
	for (qw(over cold idle)) {
		is(to_json([$d->events($_)]), $before{$_},
		    "$signal: events of $_ are as they were");
	}
	is($d->ok('session.get', { id => 'idle' })->{title}, 'A title',
	    "$signal: title");
	my @e = $d->turn('idle', 'run echo $SECRET_WORD');
	ok((grep { $_->{type} eq 'item.completed' && item_text($_) =~ /^kept/ }
	    @e), "$signal: the session goes on with its env");
	$before{idle} = to_json([$d->events('idle')]);
	is(Sandboxd::sequence_flaw(1, @{from_json($before{idle})}), '',
	    "$signal: and its sequence");
}

# A turn that was running when all was killed is closed, not left open.
$d->ok('session.prompt', { id => 'idle', text => 'run sleep 300' });
ok($d->wait_event('idle', sub { $_[0]{type} eq 'item.started'
    && $_[0]{data}{item}{kind} eq 'tool_call' }, 10,
    from_json($before{idle})->[-1]{sequence}), 'a turn is running');
my $last = ($d->events('idle'))[-1]{sequence};
my @workers = $d->children(qr/^sandboxd-session/);
$d->kill_hard;
kill('KILL', @workers);
$d->launch;
my $end = $d->wait_event('idle', sub { $_[0]{type} eq 'turn.ended' }, 30, $last);
ok($end, 'the turn is closed after the restart');
my @closing = $d->events('idle', after => $last);
my ($error) = grep { $_->{type} eq 'error' } @closing;
is($error->{data}{code}, 'worker_restarted', 'and an error says why');
is(Sandboxd::sequence_flaw(1, $d->events('idle')), '', 'no gap');
my %open;
for ($d->events('idle')) {
	my $i = $_->{data}{item} or next;
	$_->{type} eq 'item.started' ? $open{$i->{item_id}}++
	    : delete $open{$i->{item_id}};
}
is(join(' ', keys %open), '', 'no item stays open');
my @e = $d->turn('idle', 'goes on');
is($e[-1]{type}, 'turn.ended', 'and the session goes on');

# A stopped sandbox's session wakes with it.
$d->ok('sandbox.start', { id => 'stop' });
ok(wait_for(20, sub {
	$d->ok('session.get', { id => 'cold' })->{state} eq 'idle'
}), 'a cold session is idle again when its sandbox runs');
@e = $d->turn('cold', 'warm');
is($e[-1]{type}, 'turn.ended', 'and answers');

done_testing;
