# The death of a worker or of the store costs nobody an acknowledged event.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => 'm' });
$d->ok('session.create', { id => $_, agent => 'mock', sandbox => 'm' })
    for qw(a b);
$d->turn($_, 'before') for qw(a b);

# A worker dies while idle: its session goes on, its neighbour notices nothing.
my ($worker) = $d->children(qr/session\W+a\b/);
ok($worker, 'the worker of a is known by its title');
kill('KILL', $worker);
ok(wait_for(20, sub {
	my ($now) = $d->children(qr/session\W+a\b/);
	$now && $now != $worker
}), 'a killed worker is started again');
my $before = scalar(my @e = $d->events('a'));
@e = $d->turn('a', 'after');
is($e[-1]{type}, 'turn.ended', 'its session goes on');
is(Sandboxd::sequence_flaw(1, $d->events('a')), '', 'without a gap');
is((grep { $_->{type} eq 'error' } $d->events('a')), 0,
    'an idle session has nothing to complain of');
@e = $d->turn('b', 'neighbour');
is($e[-1]{type}, 'turn.ended', 'the neighbour goes on');
is($e[0]{sequence}, 9, 'and has no event more');

# In the middle of a turn.
$d->ok('session.prompt', { id => 'a', text => 'run sleep 300' });
wait_for(10, sub { scalar $d->children(qr/^sleep 300/) });
my $last = ($d->events('a'))[-1]{sequence};
kill('KILL', $d->children(qr/session\W+a\b/));
ok($d->wait_event('a', sub { $_[0]{type} eq 'turn.ended' }, 20, $last),
    'a turn whose worker dies is closed');
my @closing = $d->events('a', after => $last);
is(join(' ', grep { /error|turn/ } event_types(@closing)), 'error turn.ended',
    'with an error and an end');
is(scalar(grep { !$_->{synthetic} } @closing), 0, 'of the daemon\'s own');
ok(wait_for(10, sub { !$d->children(qr/^sleep 300/) }),
    'what the agent had started has ended');
@e = $d->turn('a', 'goes on');
is($e[-1]{type}, 'turn.ended', 'and goes on');

# Open requests are resolved.
$d->ok('session.prompt', { id => 'a', text => 'permission' });
ok($d->wait_event('a', sub { $_[0]{type} eq 'permission.requested' }, 10,
    $e[-1]{sequence}), 'a request is open');
$last = ($d->events('a'))[-1]{sequence};
kill('KILL', $d->children(qr/session\W+a\b/));
wait_for(20, sub { grep { $_->{type} eq 'permission.resolved' }
    $d->events('a', after => $last) });
my @resolved = grep { $_->{type} eq 'permission.resolved' }
    $d->events('a', after => $last);
is(join(' ', map { $_->{data}{status} } @resolved), 'reject reject',
    'open requests are resolved as rejected');

# The store dies during a flood: the turn ends well all the same.
my $c = $d->client;
my $id = $c->send('session.prompt', { id => 'b', text => 'flood 20000' });
$c->finish($id);
for (1 .. 3) {
	my ($store) = $d->children(qr/store/);
	kill('KILL', $store) if $store;
	ok(wait_for(20, sub {
		my ($now) = $d->children(qr/store/);
		$now && $now != ($store // 0)
	}), 'a killed store is started again');
}
ok(wait_for(60, sub {
	my $s = $d->request('session.get', { id => 'b' });
	$s->{ok} && $s->{ok}{state} eq 'idle'
}), 'the flood ends');
wait_for(20, sub { $d->request('session.events', { id => 'b', limit => 1 })->{ok} });
@e = $d->events('b');
is(Sandboxd::sequence_flaw(1, @e), '', 'without a gap');
ok(@e > 20000, 'with all of it');
is((grep { $_->{type} eq 'error' } @e), 0, 'and without an error');

# A follower lives through it, or is told.
my $f = $d->client;
$id = $f->send('session.events', { id => 'b', follow => JSON::PP::true,
    after => scalar @e });
kill('KILL', $d->children(qr/store/));
my $r = $f->finish($id, timeout => 10);
like($r->{error}{code} // $r->{broken} // '', qr/store_unavailable|closed/,
    'a follower is told that the store went');
ok(wait_for(20, sub { $d->request('session.events', { id => 'b',
    limit => 1 })->{ok} }), 'and can come back');

# The relay.
$d->sh('m', 'true');
my ($relay) = $d->children(qr/relay/);
SKIP: {
	skip 'no relay runs', 1 unless $relay;
	kill('KILL', $relay);
	ok(wait_for(10, sub { ($d->sh('m', 'echo on')->{stdout} // '') eq "on\n" }),
	    'a killed relay is replaced');
}

done_testing;
