# The log over HTTP: pieces of it, and the streams of server-sent events. A
# client that is killed and comes back at random sees each event once.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
# A map that begins small: it grows while all this is read.
my $d = Sandboxd->start(http => 1, conf => "[store]\nmap_bytes = 1M\n");

sub get { return $d->http('GET', "/v1/sessions/$_[0]") }
sub seqs { return join(' ', map { $_->{sequence} } @_) }
sub post {
	my ($path, $json, %o) = @_;
	return $d->http('POST', "/v1/sessions/$path", json => $json, %o);
}
sub say_to { is(post("$_[0]/messages", { message => $_[1] })->{status}, 204, $_[1]) }
sub last_seq { return get($_[0])->{json}{eventCount} }

post('s', { agent => 'mock' });
say_to('s', 'first');
ok(wait_for(10, sub { last_seq('s') == 8 }), 'one turn');

# --- pieces ---------------------------------------------------------------------------

for (['', '1 2 3 4 5 6 7 8', 0], ['?offset=5', '6 7 8', 0],
    ['?limit=3', '1 2 3', 1], ['?offset=3&limit=2', '4 5', 1],
    ['?offset=6&limit=2', '7 8', 0], ['?limit=0', '', 1],
    ['?offset=8', '', 0], ['?offset=9999', '', 0], ['?limit=8', '1 2 3 4 5 6 7 8', 0],
    ['?offset=8&limit=0', '', 0],
    ['?offset=0&limit=9223372036854775807', '1 2 3 4 5 6 7 8', 0]) {
	my $j = get("s/events$_->[0]")->{json};
	is(seqs(@{$j->{events}}), $_->[1], "events$_->[0]");
	is($j->{hasMore} ? 1 : 0, $_->[2], 'hasMore');
}
for (qw(offset=abc offset=-1 offset= limit=1.5 include_raw=1 includeRaw=yes
    offset=99999999999999999999)) {
	is(get("s/events?$_")->{status}, 400, "400 for $_");
	is(get("s/events/sse?$_")->{status}, 400, "and of the stream");
}
is(get('nope/events')->{status}, 404, 'of nobody');
is(get('nope/events/sse')->{status}, 404, 'nor a stream');
is($d->http('POST', '/v1/sessions/s/events')->{status}, 405, 'POST is not there');
is($d->http('HEAD', '/v1/sessions/s/events')->{status}, 200, 'HEAD is');

# raw: null unless asked for.
say_to('s', 'unparsed');
ok(wait_for(10, sub { grep { $_->{type} eq 'agent.unparsed' }
    @{get('s/events')->{json}{events}} }), 'an event with a native message');
is((grep { defined $_->{raw} } @{get('s/events')->{json}{events}}), 0,
    'raw is not shown');
is((grep { !exists $_->{raw} } @{get('s/events')->{json}{events}}), 0,
    'but there');
for my $q (qw(include_raw=true includeRaw=true)) {
	my ($e) = grep { $_->{type} eq 'agent.unparsed' }
	    @{get("s/events?$q")->{json}{events}};
	is_deeply($e->{raw}, { raw => 'mock' }, "$q shows it");
}

# Events that are longer than any buffer.
my $long = join(' ', map { "word$_\xe9" } 1 .. 30000);
is(post('s/messages', { message => $long })->{status}, 204, 'a long message');
ok(wait_for(10, sub { (my $e = $d->wait_event('s', sub {
    $_[0]{type} eq 'turn.ended' && $_[0]{sequence} > 16 }, 10)) }), 'is worked on');
my @all = @{get('s/events')->{json}{events}};
is(seqs(@all), join(' ', 1 .. @all), 'all of it comes');
is(to_json(\@all), to_json([$d->events('s')]), 'the same as on the control socket');

# --- a reader of streams ----------------------------------------------------------------

# Complete events that have come, as [id, text]; comments are counted.
package Reader;
sub new {
	my ($class, $path, %o) = @_;
	my $c = $d->http_client;
	my %h = (Host => 'x', %{$o{headers} // {}});
	my $method = $o{method} // 'GET';
	my $body = $o{body} // '';
	$h{'Content-Type'} = 'application/json', $h{'Content-Length'} = length $body
	    if length $body;
	$c->write("$method $path HTTP/1.1\r\n"
	    . join('', map { "$_: $h{$_}\r\n" } sort keys %h) . "\r\n$body");
	my $self = bless { c => $c, text => '', comments => 0 }, $class;
	$self->{head} = $c->head(20);
	return $self;
}
sub more {	# 1: something came; 0: the end; undef: nothing in time
	my ($self, $seconds) = @_;
	my $chunk = $self->{c}->chunk($seconds // 20);
	return undef if !defined $chunk;
	$self->{text} .= $chunk;
	return length $chunk ? 1 : 0;
}
sub events {
	my ($self) = @_;
	my @e;
	while (1) {
		if ($self->{text} =~ s/\Aid: (\d+)\ndata: ([^\n]*)\n\n//) {
			push @e, [$1, $2];
		} elsif ($self->{text} =~ s/\A:[^\n]*\n\n//) {
			$self->{comments}++;
		} else {
			last;
		}
	}
	return @e;
}
sub upto {	# events until SEQUENCE has come
	my ($self, $sequence, $seconds) = @_;
	my $end = Time::HiRes::time() + ($seconds // 20) * Sandboxd::slow_factor();
	my @e = $self->events;
	while (!@e || $e[-1][0] < $sequence) {
		last unless $self->more($end - Time::HiRes::time());
		push @e, $self->events;
	}
	return @e;
}
sub close { $_[0]{c}->close }
package main;

my $n = last_seq('s');
my $s = Reader->new('/v1/sessions/s/events/sse');
is($s->{head}{status}, 200, 'a stream');
is($s->{head}{headers}{'content-type'}, 'text/event-stream', 'of events');
is($s->{head}{headers}{'cache-control'}, 'no-cache', 'not to be kept');
my @e = $s->upto($n);
is(join(' ', map { $_->[0] } @e), join(' ', 1 .. $n), 'history, with ids');
is(to_json([map { from_json($_->[1]) } @e]), to_json(\@all), 'the same events');
say_to('s', 'more');
is(join(' ', map { $_->[0] } $s->upto($n + 7)), join(' ', $n + 1 .. $n + 7),
    'then what comes');
is($s->{text}, '', 'and no half event');
$n += 7;

for (['?offset=' . ($n - 2), {}, 2, 'offset'],
    ['', { 'Last-Event-ID' => $n - 3 }, 3, 'Last-Event-ID'],
    ['?offset=1', { 'last-event-id' => $n - 1 }, 1, 'Last-Event-ID before offset'],
    ['?offset=' . ($n - 2), { 'Last-Event-ID' => 'x' }, 2, 'one that is none'],
    ['?limit=1&offset=' . ($n - 4), {}, 4, 'a limit, which is not for streams']) {
	my $r = Reader->new("/v1/sessions/s/events/sse$_->[0]", headers => $_->[1]);
	is(join(' ', map { $_->[0] } $r->upto($n)),
	    join(' ', $n - $_->[2] + 1 .. $n), $_->[3]);
	$r->close;
}
my $raw = Reader->new('/v1/sessions/s/events/sse?include_raw=true');
my @raw = map { from_json($_->[1]) } $raw->upto($n);
is((grep { defined $_->{raw} } @raw) > 0 ? 1 : 0, 1, 'raw, when asked for');
$raw->close;

# From the end on: headers at once, then nothing.
my $idle = Reader->new("/v1/sessions/s/events/sse?offset=$n");
is($idle->{head}{status}, 200, 'a stream with nothing to say begins at once');
is($d->http('HEAD', '/v1/sessions/s/events/sse')->{status}, 200, 'HEAD of a stream');

# --- the stream of a turn -------------------------------------------------------------

sub turn {
	my ($id, $text, %o) = @_;
	my $r = Reader->new("/v1/sessions/$id/messages/stream", method => 'POST',
	    body => to_json({ message => $text }), %o);
	return $r->{head} if $r->{head}{status} != 200;
	my @got;
	while (1) {
		my $more = $r->more(20);
		push @got, $r->events;
		last if !$more;
	}
	is($r->{text}, '', "$text: no half event");
	return map { from_json($_->[1]) } @got;
}
post('t', { agent => 'mock' });
for (['plain', 'turn.started item.started item.completed item.started '
	. 'item.delta item.completed turn.ended'],
    ['permission', 'turn.started item.started item.completed permission.requested'],
    ['error', 'turn.started item.started item.completed error'],
    ['unparsed', 'turn.started item.started item.completed agent.unparsed'],
    ['end', 'turn.started item.started item.completed session.ended']) {
	post('t-' . $_->[0], { agent => 'mock' });
	my @t = turn('t-' . $_->[0], $_->[0]);
	is(join(' ', event_types(@t)), $_->[1], "turn: $_->[0]");
	is($t[0]{sequence}, 2, 'from its start');
}
is(turn('nope', 'x')->{status}, 404, 'an error comes before the stream');
# One that has to wait for another gets all of its own.
say_to('t', 'sleep 700');
@e = turn('t', 'waits');
is((grep { $_->{type} eq 'turn.ended' } @e), 2, 'a waiting turn: both ends');
is(item_text((grep { ($_->{data}{item}{native_item_id} // '') =~ /reply/ &&
    $_->{type} eq 'item.completed' } @e)[-1]), 'waits', 'and its own answer');
# A client that leaves in the midst of it disturbs nothing.
my $left = Reader->new('/v1/sessions/t/messages/stream', method => 'POST',
    body => to_json({ message => 'sleep 300' }));
$left->more(5);
$left->close;
ok(wait_for(10, sub { (my @x = $d->events('t'))[-1]{type} eq 'turn.ended' }),
    'a turn whose client left goes on');

# --- killed and resumed at random -------------------------------------------------------

post('r', { agent => 'mock' });
my ($want, $times, $rounds) = (1000, 0, 0);
my ($after, $flaw, $end) = (0, '', time + 40 * slow_factor());
my $total = 1;
srand(3);
while ($times < $want && time < $end && !$flaw) {
	if ($after >= $total) {	# more to read
		is(post('r/messages', { message => 'flood 30000' })->{status}, 204,
		    'flood');
		$total += 30006;
		$rounds++;
	}
	my @how = rand() < 0.5 ? ("?offset=$after", {}) :
	    ('', { 'Last-Event-ID' => $after });
	my $r = Reader->new("/v1/sessions/r/events/sse$how[0]", headers => $how[1]);
	my $stop = int(rand(120));
	my @got;
	while (@got < $stop && $after + @got < $total) {
		$r->more(20) or $flaw = "nothing after $after";
		push @got, $r->events;
		last if $flaw;
	}
	for (@got) {
		$flaw ||= "$_->[0] after $after" if $_->[0] != $after + 1;
		$flaw ||= "text of $_->[0]"
		    if index($_->[1], qq("event_id":"evt_$_->[0]","sequence":$_->[0],)) != 1;
		$after = $_->[0];
	}
	$r->close;	# in the midst of whatever comes
	$times++;
}
is($flaw, '', 'each event once, in order');
ok($times >= ($want < 300 ? $want : 300), "killed and resumed $times times");
note "$times times, up to $after of $total, $rounds rounds";

# --- heartbeat and the end ------------------------------------------------------------

ok($idle->more(20), 'a stream that is silent gives a sign of life');
$idle->events;
is($idle->{comments}, 1, 'which is a comment');
is(post('s/messages', { message => 'on' })->{status}, 204, 'and then goes on');
is(join(' ', map { $_->[0] } $idle->upto($n + 7)), join(' ', $n + 1 .. $n + 7),
    'with events');
is($d->http('POST', '/v1/sessions/s/terminate')->{status}, 204, 'the end');
is((from_json(($idle->upto($n + 8))[-1][1]))->{type}, 'session.ended', 'is shown');
is($idle->more(1), undef, 'and the stream stays open');
my $late = Reader->new('/v1/sessions/s/events/sse?offset=' . ($n + 7));
is(scalar($late->upto($n + 8)), 1, 'what has ended can be read');
is(scalar(@{get('s/events')->{json}{events}}), $n + 8, 'all of it');
done_testing();
