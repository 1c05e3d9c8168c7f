# What is not kept: events by age, count and bytes, of one session and of all,
# sessions that have ended, logs of sandboxes that are gone. Numbers stay.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start(http => 1);

sub session {
	my ($id, $turns) = @_;
	$d->ok('session.create', { id => $id, agent => 'mock' });
	$d->turn($id, "turn $_ " . 'x' x 200) for 1 .. $turns;
}
sub seqs { return map { $_->{sequence} } $d->events($_[0]) }
sub final { return $d->request('session.events', { id => $_[0], after => 0 })->{ok} }
# The file is changed and read again.
sub keep {
	my ($lines) = @_;
	$d->{options}{conf} = "[store]\n$lines\n";
	$d->argv;
	kill 'HUP', $d->{pid};
}
sub kept { my ($id, $n) = @_; return wait_for(30, sub { my @s = seqs($id); @s == $n }) }

session('a', 3);
session('b', 3);
my @all = seqs('a');
my $last = $all[-1];
ok(@all > 20, 'events: ' . @all);
is(final('a')->{first}, 1, 'all of them are there');

# --- by count -------------------------------------------------------------------------

my $follow = $d->client;
my $fid = $follow->send('session.events', { id => 'a', after => $last, follow => \1 });
keep('retain_events = 10');
ok(kept('a', 10), 'ten are kept');
is(join(' ', seqs('a')), join(' ', $last - 9 .. $last), 'the newest');
is(final('a')->{first}, $last - 9, 'first tells');
my $rec = $d->ok('session.get', { id => 'a' });
is("$rec->{event_count} $rec->{first_sequence} $rec->{last_sequence}",
    '10 ' . ($last - 9) . " $last", 'so does the record');
is(join(' ', map { $_->{sequence} } @{$d->http('GET',
    '/v1/sessions/a/events?offset=2')->{json}{events}}),
    join(' ', $last - 9 .. $last), 'a removed offset over HTTP gets what is left');
my $web = $d->http_client;
$web->write("GET /v1/sessions/a/events/sse HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 3\r\n\r\n");
is($web->head->{status}, 200, 'a stream that goes on behind a removed one');
like($web->chunk, qr/^id: ${\($last - 9)}\n/, 'gets what is left');
$d->turn('a', 'more');
my $item = $follow->json;
is($item->{item}{sequence}, $last + 1, 'one that follows has missed nothing');
ok(wait_for(30, sub { my $f = final('a');
    $f->{last} > $last && $f->{last} - $f->{first} == 9 }), 'new ones push old ones out');

# --- restarts -------------------------------------------------------------------------

my @before = seqs('a');
$d->kill_hard;
$d->restart;
is(join(' ', seqs('a')), join(' ', @before), 'the same after a crash');
$d->turn('a', 'after the crash');
my @after = $d->events('a', after => $before[-1]);
is($after[0]{sequence}, $before[-1] + 1, 'numbers go on');

# --- by bytes, by age, in all ---------------------------------------------------------

keep('retain_bytes = 2000');
ok(wait_for(30, sub { my @s = seqs('b'); @s && @s < 10 }), 'bytes of a session');
keep('retain_age = 50ms');
ok(kept('b', 1), 'age leaves the last one');
session('c', 2);
ok(kept('c', 1), 'of a newer session too');
keep('retain_age = 1h');
session($_, 2) for qw(d e);
my $n = () = seqs('e');
my $sum = sub { my $s = 0; $s += seqs($_) for qw(a b c d e); return $s };
keep("retain_total_events = " . ($n + 8));
ok(wait_for(30, sub { $sum->() == $n + 8 }), 'as many as all may have')
    or diag($sum->());
is(scalar(seqs('e')), $n, 'the newest of all');
is(final('e')->{first}, 1, 'whole');
ok($d->ok('status')->{store}{events} >= $n, 'status counts');

# --- ended sessions -------------------------------------------------------------------

$d->ok('session.end', { id => 'c' });
keep('retain_ended = 100ms');
ok(wait_for(30, sub { $d->error('session.get', { id => 'c' })
    eq 'session_not_found' }), 'an ended session goes');
is($d->ok('session.get', { id => 'd' })->{id}, 'd', 'one that lives stays');

# --- sandboxes ------------------------------------------------------------------------

$d->ok('sandbox.create', { id => 'x' });
$d->ok('sandbox.create', { id => 'y' });
$d->ok('sandbox.destroy', { id => 'x' });
ok(@{$d->ok('sandbox.events', { id => 'x' })->{events}}, 'a log outlives its sandbox');
keep("retain_sandbox_age = 50ms\nretain_sandbox_events = 10");
ok(wait_for(30, sub { $d->error('sandbox.events', { id => 'x' })
    eq 'sandbox_not_found' }), 'for a time');
for (1 .. 6) {
	$d->ok('sandbox.pause', { id => 'y' });
	$d->ok('sandbox.resume', { id => 'y' });
}
my $y = $d->ok('sandbox.events', { id => 'y' });
is(scalar(@{$y->{events}}), 10, 'a log has so many entries');
is($y->{events}[0]{seq}, $y->{first}, 'first tells');
is($y->{events}[9]{seq}, 14, 'and numbers go on');
is($d->http('GET', '/v1/sandboxes/y/events?after=0')->{json}{events}[0]{seq},
    $y->{first}, 'over HTTP too');

# What is no rule changes nothing.
keep('retain_age = soon');
sleep 0.3;
is(scalar(@{$d->ok('sandbox.events', { id => 'y' })->{events}}), 10, 'a bad file');
$d->stop;
done_testing();
