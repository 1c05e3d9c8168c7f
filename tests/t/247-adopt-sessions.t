# The supervisor is killed in the midst of sessions: workers and agents go on, by
# the same pids; turns are completed, permissions can still be answered; logs have
# no gap. A worker that dies meanwhile is replaced.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start(http => 1);
$d->ok('sandbox.create', { id => 'box', limits => { idle => 600 } });
$d->ok('sandbox.create', { id => 'ice' });
my @ids = qw(turn ask idle dies gone);
$d->ok('session.create', { id => $_, agent => 'mock', sandbox => 'box' }) for @ids;
$d->ok('session.create', { id => 'cold', agent => 'mock', sandbox => 'ice' });

sub worker_of {
	my ($id) = @_;
	return join(' ', grep { Sandboxd::title_of($_) eq "sandboxd-session $id" &&
	    slurp("/proc/$_/stat") !~ /\) [ZX]/ } Sandboxd::descendants($$));
}
sub last_of { return ($d->events($_[0]))[-1]{sequence} // 0 }
sub tools {
	return grep { $_->{type} eq 'item.started' &&
	    $_->{data}{item}{kind} eq 'tool_call' } @_;
}

$d->turn('idle', 'hello');
$d->turn('cold', 'hello');
my %pid = map { $_ => worker_of($_) } @ids, 'cold';
like($pid{$_}, qr/^\d+$/, "$_ has a worker") for sort keys %pid;
for my $round (1 .. 3) {
	my %from = map { $_ => last_of($_) } @ids;
	$d->ok('session.prompt', { id => 'turn', text =>
	    "run sleep 1.5; echo round-$round" });
	$d->ok('session.prompt', { id => 'dies', text => 'run sleep 300' });
	ok($d->wait_event($_, sub { tools($_[0]) }, 20, $from{$_}),
	    "$round: $_ is in a turn") for qw(turn dies);
	$d->ok('session.prompt', { id => 'ask', text => 'permission' });
	my $asked = $d->wait_event('ask', sub { $_[0]{type} eq
	    'permission.requested' }, 20, $from{ask});
	ok($asked && $d->wait_event('ask', sub { $_[0]{type} eq
	    'permission.requested' }, 20, $asked->{sequence}),
	    "$round: permissions are asked for");
	$d->ok('sandbox.pause', { id => 'ice' }) if $round == 1;
	$d->kill_hard;
	kill('KILL', worker_of('dies'));
	$d->launch;

	my $end = $d->wait_event('turn', sub { $_[0]{type} eq 'turn.ended' }, 30,
	    $from{turn});
	is($end->{data}{metadata}{stop_reason}, 'end_turn',
	    "$round: the turn is completed") or diag(to_json($end));
	my @e = $d->events('turn', after => $from{turn});
	is(scalar(grep { $_->{type} eq 'error' } @e), 0, "$round: without an error");
	ok((grep { $_->{type} eq 'item.completed' &&
	    item_text($_) =~ /^round-$round/m } @e),
	    "$round: with what its command printed");
	$d->ok('session.permission.reply', { id => 'ask', permission_id =>
	    $_, reply => 'once' }) for map { ($_, "${_}_denied") }
	    $asked->{data}{permission_id};
	ok($d->wait_event('ask', sub { $_[0]{type} eq 'turn.ended' }, 30,
	    $from{ask}), "$round: the permission can be given");
	ok($d->wait_event('dies', sub { $_[0]{type} eq 'turn.ended' }, 30,
	    $from{dies}), "$round: the turn of a worker that died is closed");
	for (qw(idle ask)) {
		@e = $d->turn($_, "round $round");
		is($e[-1]{type}, 'turn.ended', "$round: $_ goes on");
	}
	is(join(' ', map { worker_of($_) } qw(turn ask idle)),
	    join(' ', @pid{qw(turn ask idle)}), "$round: in the same workers");
	isnt(worker_of('dies'), $pid{dies}, "$round: or in a new one");
	is(Sandboxd::sequence_flaw(1, $d->events($_)), '', "$round: $_: no gap")
	    for @ids;
	is($d->ok('sandbox.get', { id => 'ice' })->{state}, 'paused',
	    "$round: what is frozen stays so");
}
$d->ok('sandbox.resume', { id => 'ice' });
my @e = $d->turn('cold', 'awake');
is($e[-1]{type}, 'turn.ended', 'a session wakes with its sandbox');
is(worker_of('cold'), $pid{cold}, 'in the same worker');

# A session that ends ends its worker, though init holds its channel.
$d->ok('session.end', { id => 'gone' });
ok(wait_for(10, sub { worker_of('gone') eq '' }), 'an ended one has no worker');
$d->ok('session.delete', { id => 'idle' });
ok(wait_for(10, sub { worker_of('idle') eq '' }), 'nor has a deleted one');
# And one that is killed is seen to be, though a former supervisor started it.
my $old = worker_of('ask');
kill('KILL', $old);
wait_for(10, sub { worker_of('ask') =~ /^(?!$old)\d/ });
@e = $d->turn('ask', 'again');
is($e[-1]{type}, 'turn.ended', 'one that dies is started again');
$d->ok('sandbox.stop', { id => 'box' });
is(join('', map { worker_of($_) } @ids), '', 'a stop ends all of them');
$d->ok('sandbox.start', { id => 'box' });
@e = $d->turn('turn', 'once more');
is($e[-1]{type}, 'turn.ended', 'and they go on after it');
ok($d->stop, 'an orderly end');
is(join("\n", $d->leftovers), '', 'nothing is left');

done_testing;
