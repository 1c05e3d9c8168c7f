# Cancel and end a session.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => 'm' });
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'm' });

# Cancel a long command of the agent.
$d->ok('session.prompt', { id => 's', text => 'run sleep 200' });
ok(wait_for(10, sub { scalar $d->children(qr/^sleep 200/) }), 'a long turn');
is($d->ok('session.get', { id => 's' })->{state}, 'turn', 'its state');
$d->ok('session.cancel', { id => 's' });
ok($d->wait_event('s', sub { $_[0]{type} eq 'turn.ended' }), 'cancel ends the turn');
ok(wait_for(10, sub { !$d->children(qr/^sleep 200/) }), 'and its work');
my @e = $d->events('s');
my %open;
for (@e) {
	my $i = $_->{data}{item} or next;
	$_->{type} eq 'item.started' ? $open{$i->{item_id}}++
	    : delete $open{$i->{item_id}};
}
is(join(' ', keys %open), '', 'no item stays open');
is($d->ok('session.get', { id => 's' })->{state}, 'idle', 'idle again');
is($d->error('session.cancel', { id => 's' }), 'turn_not_running', 'not twice');
@e = $d->turn('s', 'still here');
is($e[-1]{type}, 'turn.ended', 'the session goes on');

# Messages that wait are dropped by a cancel, in a way one can see.
$d->ok('session.prompt', { id => 's', text => 'run sleep 201' });
my $r = $d->ok('session.prompt', { id => 's', text => 'second' });
ok($r->{queued}, 'a message during a turn waits');
$d->ok('session.cancel', { id => 's' });
ok(wait_for(10, sub {
	$d->ok('session.get', { id => 's' })->{state} eq 'idle'
}), 'cancel ends both');
@e = $d->turn('s', 'third');
is(item_text((grep { $_->{type} eq 'item.completed' } @e)[-1]), 'third',
    'what comes after is answered by itself');

# In order when they are not cancelled.
my $from = ($d->events('s'))[-1]{sequence};
$d->ok('session.prompt', { id => 's', text => "queued $_" }) for 1 .. 5;
wait_for(20, sub { 5 == grep { $_->{type} eq 'turn.ended' }
    $d->events('s', after => $from) });
@e = grep { $_->{type} eq 'item.completed'
    && $_->{data}{item}{role} eq 'assistant' } $d->events('s', after => $from);
is(join(',', map { item_text($_) } @e), join(',', map { "queued $_" } 1 .. 5),
    'five messages at once are answered in order');

# End.
my ($worker) = $d->children(qr/session/);
ok($worker, 'a worker serves the session');
$d->ok('session.end', { id => 's' });
@e = $d->events('s');
is($e[-1]{type}, 'session.ended', 'session.ended is last');
is($e[-1]{data}{reason}, 'terminated', 'reason');
is($e[-1]{data}{terminated_by}, 'daemon', 'by whom');
is($d->ok('session.get', { id => 's' })->{state}, 'ended', 'state');
ok(wait_for(10, sub { !$d->children(qr/session/) }), 'its worker has ended');
for (['session.prompt', { text => 'x' }], ['session.cancel', {}],
    ['session.permission.reply', { permission_id => 'x', reply => 'once' }],
    ['session.question.reject', { question_id => 'x' }]) {
	is($d->error($_->[0], { id => 's', %{$_->[1]} }), 'session_ended',
	    "$_->[0] after the end");
}
$r = $d->request('session.end', { id => 's' });
ok($r->{ok} || $r->{error}{code} eq 'session_ended', 'ending twice does no harm');
is(scalar(my @same = $d->events('s')), scalar @e, 'and adds no event');

# End in the middle of a turn.
$d->ok('session.create', { id => 't', agent => 'mock', sandbox => 'm' });
$d->ok('session.prompt', { id => 't', text => 'run sleep 202' });
wait_for(10, sub { scalar $d->children(qr/^sleep 202/) });
$d->ok('session.end', { id => 't' });
ok(wait_for(10, sub { !$d->children(qr/^sleep 202/) }), 'end stops the work');
@e = $d->events('t');
is($e[-1]{type}, 'session.ended', 'nothing comes after session.ended');
is(scalar(grep { $_->{type} eq 'session.ended' } @e), 1, 'and it comes once');

done_testing;
