# Reading events: after, limit, follow, until, several followers at once.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
my ($true, $false) = (JSON::PP::true, JSON::PP::false);
$d->ok('sandbox.create', { id => 'm' });
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'm' });
$d->turn('s', 'first');

sub seqs { return join(' ', map { $_->{sequence} } @_) }

is(seqs($d->events('s')), '1 2 3 4 5 6 7 8', 'all');
is(seqs($d->events('s', after => 5)), '6 7 8', 'after');
is(seqs($d->events('s', limit => 3)), '1 2 3', 'limit');
is(seqs($d->events('s', after => 3, limit => 2)), '4 5', 'after and limit');
is(seqs($d->events('s', limit => 0)), '', 'a limit of none');
is(seqs($d->events('s', after => 8)), '', 'after the last');
is(seqs($d->events('s', after => 9999)), '', 'after what is not there yet');
my $r = $d->ok('session.events', { id => 's', after => 3, limit => 2 });
is($r->{last}, 5, 'the final line tells the last sequence');
ok($r->{more}, 'and that there is more');
ok(!$d->ok('session.events', { id => 's' })->{more}, 'or that there is not');

# Follow: history, then what comes, without loss or repetition between.
my ($f, $g) = ($d->client, $d->client);
my $if = $f->send('session.events', { id => 's', follow => $true });
my $ig = $g->send('session.events', { id => 's', follow => $true, after => 7 });
is(seqs(map { $f->json->{item} } 1 .. 8), '1 2 3 4 5 6 7 8', 'history first');
is($g->json->{item}{sequence}, 8, 'from where was asked');
$d->turn('s', 'second');
is(seqs(map { $f->json->{item} } 1 .. 7), '9 10 11 12 13 14 15', 'then what comes');
is(seqs(map { $g->json->{item} } 1 .. 7), '9 10 11 12 13 14 15', 'to both');
$g->close;
$d->turn('s', 'third');
is(seqs(map { $f->json->{item} } 1 .. 7), '16 17 18 19 20 21 22',
    'one that leaves does not disturb the other');

# until turn.
my $c = $d->client;
my $id = $c->send('session.events', { id => 's', follow => $true,
    until => 'turn', after => 22 });
$d->ok('session.prompt', { id => 's', text => 'fourth' });
$r = $c->finish($id);
is(seqs(@{$r->{items}}), '23 24 25 26 27 28 29', 'until turn: one turn');
ok($r->{ok}, 'and the final line');
is($c->request('status')->{ok}{pid}, $d->{pid}, 'the connection goes on');

# limit with follow.
$id = $c->send('session.events', { id => 's', follow => $true, limit => 3,
    after => 28 });
$d->ok('session.prompt', { id => 's', text => 'fifth' });
$r = $c->finish($id);
is(seqs(@{$r->{items}}), '29 30 31', 'follow with a limit ends there');

# prompt with stream: exactly its own turn.
my @e = $d->turn('s', 'sixth');
is($e[0]{type}, 'turn.started', 'stream: from the start of the turn');
is($e[-1]{type}, 'turn.ended', 'to its end');
is(item_text($e[2]), 'sixth', 'its own turn');

# A follower from before is told of the end.
$d->ok('session.end', { id => 's' });
$r = $f->finish($if, timeout => 10);
is($r->{items}[-1]{type}, 'session.ended', 'follow: session.ended');
ok($r->{ok}, 'then the final line');
$r = $d->ok('session.events', { id => 's', follow => $true, after => 0 });
ok($r, 'following an ended session ends at its last event');

# Many followers of a busy session see the same.
$d->ok('session.create', { id => 'busy', agent => 'mock', sandbox => 'm' });
my @f = map { $d->client } 1 .. 12;
my @id = map { $_->send('session.events', { id => 'busy', follow => $true,
    until => 'turn' }) } @f;
$d->ok('session.prompt', { id => 'busy', text => 'flood 3000' });
my @flaws = map {
	my $got = $f[$_]->finish($id[$_], timeout => 60);
	my $flaw = Sandboxd::sequence_flaw(1, @{$got->{items}});
	$flaw || !$got->{ok} || @{$got->{items}} < 3000 ? "follower $_: $flaw "
	    . scalar @{$got->{items}} : ();
} 0 .. $#f;
is(join("\n", @flaws), '', 'twelve followers of a flood see all of it');

# One that does not read does not hold up the others.
$d->ok('session.create', { id => 'slow', agent => 'mock', sandbox => 'm' });
my $mute = $d->client;
$mute->send('session.events', { id => 'slow', follow => $true });
@e = $d->turn('slow', 'flood 5000');
is(Sandboxd::sequence_flaw($e[0]{sequence}, @e), '', 'beside one that does not read');
@e = $d->turn('slow', 'after');
is($e[-1]{type}, 'turn.ended', 'and the next turn too');
# When it reads at last it gets all, or is told that it was dropped.
my ($last, $n) = (0, 0);
while (my $msg = $mute->json(3)) {
	last unless $msg->{item};
	is($msg->{item}{sequence}, $last + 1, 'the slow one sees no gap') &&
	    last if $msg->{item}{sequence} != $last + 1;
	$last = $msg->{item}{sequence};
	$n++;
	last if $last >= $e[-1]{sequence};
}
ok($last >= $e[-1]{sequence} || $mute->{broken} =~ /closed/,
    "the slow one catches up ($n events)");

# Large histories come in order and whole.
my @all = $d->events('slow');
is(Sandboxd::sequence_flaw(1, @all), '', 'a long history is whole');
is($d->ok('session.get', { id => 'slow' })->{event_count}, scalar @all,
    'and counted right');

done_testing;
