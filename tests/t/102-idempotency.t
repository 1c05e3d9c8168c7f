# Idempotency-Key: a create or a message that comes again is done once, whoever
# died meanwhile.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start(http => 1);

sub post {
	my ($path, $json, $key, %h) = @_;
	my $r = eval { $d->http('POST', $path, json => $json, headers => {
	    %h, defined $key ? ('Idempotency-Key' => $key) : () }) };
	return $r // { status => 0, json => {} };
}
sub events { return @{$d->http('GET', "/v1/sessions/$_[0]/events")->{json}{events}} }
sub users { return grep { $_->{type} eq 'item.completed' &&
    ($_->{data}{item}{role} // '') eq 'user' } events($_[0]) }
sub idle { my $id = $_[0]; wait_for(20, sub {
	my @t = grep { /^turn/ } event_types(events($id));
	@t && $t[-1] eq 'turn.ended' && !(@t % 2) }) }

# --- create ---------------------------------------------------------------------------

my %body = (agent => 'mock', title => 'one');
my $r = post('/v1/sessions/c', \%body, 'k1');
is($r->{status}, 200, 'create with a key');
my $again = post('/v1/sessions/c', \%body, 'k1');
is($again->{status}, 200, 'the same again');
is_deeply($again->{json}, $r->{json}, 'has the same answer');
is(scalar(events('c')), 1, 'and made nothing');
$r = post('/v1/sessions/c', { %body, title => 'two' }, 'k1');
is($r->{status}, 422, 'the same key with another body');
is($r->{json}{type}, 'urn:sandbox-agent:error:idempotency_key_reused', 'is told');
is(post('/v1/sessions/c', \%body, 'k2')->{status}, 409, 'another key: it exists');
is(post('/v1/sessions/c', \%body)->{status}, 409, 'no key: it exists');
is(post('/v1/sessions/d', \%body)->{status}, 200, 'one without a key');
is(post('/v1/sessions/d', \%body, 'k1')->{status}, 409,
    'is not found by one that comes with it');
is(post('/v1/sessions/e', \%body, 'x' x 256)->{status}, 400, 'a key too long');
is(post('/v1/sessions/e', \%body, "\xff")->{status}, 400, 'a key that is no text');

my $n = post('/v1/sessions', \%body, 'n1');
is($n->{status}, 200, 'an id of the server with a key');
is(post('/v1/sessions', \%body, 'n1')->{json}{sessionId}, $n->{json}{sessionId},
    'the same id again');
isnt(post('/v1/sessions', \%body, 'n2')->{json}{sessionId},
    $n->{json}{sessionId}, 'another key, another id');
is(post('/v1/sessions', { agent => 'mock' }, 'n1')->{status}, 422,
    'another body is told');
# A fresh sandbox is made once.
my %own = (agent => 'mock', sandbox => { limits => { pids => 100 } });
my $f = post('/v1/sessions/own', \%own, 'f1');
is($f->{status}, 200, 'with a sandbox of its own');
is(post('/v1/sessions/own', \%own, 'f1')->{json}{sandbox}, $f->{json}{sandbox},
    'which is made once');
is(scalar @{$d->ok('sandbox.list')->{sandboxes}}, 2, 'really');

# Many at one time.
my @c = map { $d->http_client } 1 .. 8;
my $text = to_json(\%body);
$_->write("POST /v1/sessions/many HTTP/1.1\r\nHost: x\r\nIdempotency-Key: m\r\n"
    . "Content-Type: application/json\r\nContent-Length: " . length($text)
    . "\r\n\r\n$text") for @c;
is(join(' ', map { $_->response('POST')->{status} } @c), join(' ', (200) x 8),
    'eight at one time are all answered');
is(scalar(events('many')), 1, 'and made one');

# --- messages -------------------------------------------------------------------------

is(post('/v1/sessions/c/messages', { message => 'a' }, 'm1')->{status}, 204,
    'a message with a key') for 1 .. 3;
idle('c');
is(scalar(users('c')), 1, 'is said once');
is(post('/v1/sessions/c/messages', { message => 'b' }, 'm1')->{status}, 422,
    'another message with it');
is(post('/v1/sessions/c/messages', { message => 'a', attachments => [ {
    path => '/x' } ] }, 'm1')->{status}, 422, 'or with an attachment');
is(post('/v1/sessions/c/messages', { message => 'a' }, 'm2')->{status}, 204,
    'the same message with another key');
idle('c');
is(scalar(users('c')), 2, 'is another message');
is(post('/v1/sessions/d/messages', { message => 'a' }, 'm1')->{status}, 204,
    'a key is of one session');
idle('d');
is(scalar(users('d')), 1, 'only');
is(post('/v1/sessions/c/messages', { message => 'x' }, 'x' x 256)->{status},
    400, 'a key too long');

# A stream of a message that was said before: the same turn once more.
my $s1 = post('/v1/sessions/c/messages/stream', { message => 'str' }, 'm3');
my $s2 = post('/v1/sessions/c/messages/stream', { message => 'str' }, 'm3');
is($s1->{status}, 200, 'a stream with a key');
is($s2->{body}, $s1->{body}, 'is the same again');

# While one waits for its turn, short or long.
is(post('/v1/sessions/c/messages', { message => 'sleep 600' })->{status}, 204,
    'a turn runs');
is(post('/v1/sessions/c/messages', { message => 'short' }, 'w1')->{status}, 204,
    'a short one waits') for 1 .. 2;
@c = map { $d->http_client } 1 .. 3;
$text = to_json({ message => 'long ' . 'x' x 9000 });
$_->write("POST /v1/sessions/c/messages HTTP/1.1\r\nHost: x\r\n"
    . "Idempotency-Key: w2\r\nContent-Type: application/json\r\n"
    . "Content-Length: " . length($text) . "\r\n\r\n$text") for @c;
is(join(' ', map { $_->response('POST')->{status} } @c), '204 204 204',
    'a long one waits, and each is answered');
idle('c');
is(scalar(users('c')), 6, 'each was said once');

# The last 256 are kept.
my $flaw = '';
for my $i (1 .. 300) {
	my $w = post('/v1/sessions/d/messages', { message => '' . $i }, "many-$i");
	$flaw ||= "$i: $w->{status}" if $w->{status} != 204;
	wait_for(5, sub { (events('d'))[-1]{type} eq 'turn.ended' }) if $i % 40 == 0;
}
is($flaw, '', '300 messages');
idle('d');
my $users = users('d');
is(post('/v1/sessions/d/messages', { message => '45' }, 'many-45')->{status}, 204,
    'one of the last 256 again');
is(post('/v1/sessions/d/messages', { message => '300' }, 'many-300')->{status},
    204, 'and the last one');
sleep 0.1;
idle('d');
is(scalar(users('d')), $users, 'changes nothing');
my $rec = $d->ok('session.get', { id => 'd' });
ok(!exists $rec->{$_}, "$_ is not shown")
    for qw(keys idempotency_key request_hash);

# --- deaths ---------------------------------------------------------------------------

sub kill_one {
	my ($who) = @_;
	my ($pid) = $d->children($who) or return;
	kill('KILL', $pid);
	wait_for(20, sub { my @now = $d->children($who);
	    @now && !grep { $_ == $pid } @now });
}
kill_one(qr/session\W+d\b/);
is(post('/v1/sessions/d/messages', { message => '300' }, 'many-300')->{status},
    204, 'after the death of the worker');
is(post('/v1/sessions/d/messages', { message => '299' }, 'many-300')->{status},
    422, 'another one is told');
is(scalar(users('d')), $users, 'nothing was said twice');

# At any instant: each message is sent until it is acknowledged, while those who
# carry it die.
my @who = (qr/session\W+d\b/, qr/sandboxd-gateway|: gateway/, qr/: store/);
my $acked = 0;
my $end = time + 60 * slow_factor();
for my $i (1 .. 36) {
	my $c = eval { $d->http_client };
	my $body = to_json({ message => "note $i" });
	$c->write("POST /v1/sessions/d/messages HTTP/1.1\r\nHost: x\r\n"
	    . "Idempotency-Key: c-$i\r\nContent-Type: application/json\r\n"
	    . "Content-Length: " . length($body) . "\r\n\r\n$body") if $c;
	sleep rand(0.004);
	my @pids = $d->children($who[$i % 3]);
	kill('KILL', $pids[rand @pids]) if @pids;
	my $r = $c ? $c->response('POST', 10) : {};
	while (($r->{status} // 0) != 204 && time < $end) {
		sleep 0.05;
		$r = post('/v1/sessions/d/messages', { message => "note $i" },
		    "c-$i");
		last if ($r->{status} // 0) == 422;
	}
	$acked++ if ($r->{status} // 0) == 204;
}
is($acked, 36, 'all are acknowledged in the end');
# What waited in a worker that died is said by the next one, in its time.
my %said;
wait_for(30, sub {
	%said = ();
	eval { $said{item_text($_)}++ for users('d') };
	!grep { !$said{"note $_"} } 1 .. 36
});
idle('d');
%said = ();
$said{item_text($_)}++ for users('d');
is(join(',', grep { ($said{"note $_"} // 0) != 1 } 1 .. 36), '',
    'and said once') or diag(join(' ', map { "$_=" . ($said{"note $_"} // 0) } 1 .. 36));
is(Sandboxd::sequence_flaw(1, events('d')), '', 'the log is whole');

# A daemon that dies while it makes a session with a sandbox of its own: asked
# again it makes what is missing, and nothing twice.
for my $i (1 .. 8) {
	my $c = $d->http_client;
	my $body = to_json({ agent => 'mock', sandbox => { labels => { n => "$i" } } });
	$c->write("POST /v1/sessions/own-$i HTTP/1.1\r\nHost: x\r\n"
	    . "Idempotency-Key: o\r\nContent-Type: application/json\r\n"
	    . "Content-Length: " . length($body) . "\r\n\r\n$body");
	sleep rand(0.02);
	$d->restart('KILL');
	my $r;
	wait_for(20, sub {
		$r = post("/v1/sessions/own-$i", { agent => 'mock',
		    sandbox => { labels => { n => "$i" } } }, 'o');
		$r->{status} == 200
	});
	is($r->{status}, 200, "made in the end: $i");
	is($r->{json}{nativeSessionId}, "mock-own-$i", 'and works');
}
my %of;
for my $sb (@{$d->ok('sandbox.list')->{sandboxes}}) {
	push @{$of{$sb->{labels}{n}}}, $sb->{id} if $sb->{labels}{n};
}
is(join(' ', map { scalar @{$of{$_} // []} } 1 .. 8), '1 1 1 1 1 1 1 1',
    'each has one sandbox');
is(join(' ', map { $d->http('GET', "/v1/sessions/own-$_")->{json}{sandbox} } 1 .. 8),
    join(' ', map { $of{$_}[0] } 1 .. 8), 'its own');

# A daemon's restart.
$d->restart('KILL');
is(post('/v1/sessions/c', \%body, 'k1')->{status}, 200,
    'a create is known after a restart');
is(post('/v1/sessions/c/messages', { message => 'a' }, 'm1')->{status}, 204,
    'and a message');
is(post('/v1/sessions/c/messages', { message => 'z' }, 'm1')->{status}, 422,
    'with what it said');
is(scalar(users('c')), 6, 'which is not said again');
done_testing();
