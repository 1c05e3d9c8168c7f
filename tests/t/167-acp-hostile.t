# ACP agents and clients that mean harm: what an agent prints never costs its server the
# store, and what a client has it remember never keeps its next worker from starting.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Acp;
use Test::More;
use Time::HiRes qw(sleep);

need_root();
need_program('perl');

my $d = Sandboxd->start(http => 1);
Sandboxd::Acp->install($d, 'amp');

# --- what the store would read otherwise than we -----------------------------------------

my $n = 0;
sub survives {
	my ($what, @lines) = @_;
	my $a = Sandboxd::Acp->new($d, 'h' . ++$n, agent => 'amp');
	my $r = eval { $a->post($a->envelope('raw/say', { lines => [@lines] }),
	    timeout => 15 * slow_factor()) };
	is(ref $r ? $r->{status} : undef, 200, "$what: the request is answered")
	    or diag($@ || (ref $r ? $r->{body} : ''));
	$r = eval { $a->post($a->envelope('echo/x', { a => 1 }),
	    timeout => 15 * slow_factor()) };
	is(ref $r ? $r->{status} : undef, 200, "$what: so is the next one");
	my $s = $a->stream;
	my @texts = $s->upto(@lines + 2);
	is(scalar(@texts), @lines + 2, "$what: one envelope for each line");
	is($s->{flaw}, '', "$what: without a gap");
	$s->close;
	is($a->delete->{status}, 204, "$what: removed");
	return @texts;
}
sub said { return '{"jsonrpc":"2.0","method":"x","params":' . $_[0] . '}' }

my @texts = survives('half a pair that reads as a question mark',
    said('{"\ud800":1,"?":2}'));
is($texts[0], said('{"\ufffd":1,"?":2}'), 'it is replaced');
survives('half a pair that joins what follows',
    said('{"\ud800\u0041":1,"\ud800\udc41":2}'), said('["\udc00\ud800\ud800"]'));
survives('names twice', said('{"a":1,"a":2}'), said('{"a":1,"\u0061":2}'),
    said('{"\ud800":1,"\udfff":2}'), said('{"a\u0000b":1,"a\u0000c":2}'));
survives('blanks and strings that are none', "{}\f", "\x0b{}", '{} "', '{} "x', '{}{}',
    '{"a":1} // b', '/* a */ {}');
survives('depth', map { said(('[' x $_) . (']' x $_)) } 61 .. 75);
survives('long ids', map { '{"jsonrpc":"2.0","id":"' . ('x' x $_) . '","result":null}' }
    4096, 899_000, 921_500, 921_600, 1_048_000);
survives('ids in other forms', map { qq({"jsonrpc":"2.0","id":$_,"result":1}) }
    '{"a":[]}', 'null', '1.0', '1e0', '"1"', 'true', '[[]]');
survives('many names', said('{' . join(',', map { "\"$_\":1" } 1 .. 60_000) . '}'));
survives('many values', said('[' . join(',', ('[]') x 250_000) . ']'));

# --- what is remembered -------------------------------------------------------------------

my $deep = ('[' x 57) . (']' x 57);
my $a = Sandboxd::Acp->new($d, 'deep', agent => 'amp');
$a->call('initialize', { protocolVersion => 1 });
my $id = $a->session;
is($a->post(qq({"jsonrpc":"2.0","id":"n","method":"session/new","params":)
    . qq({"cwd":"/tmp","mcpServers":[],"x":$deep}}))->{status}, 200, 'a deep session');
is($a->post(qq({"jsonrpc":"2.0","id":"s","method":"session/set_config_option","params":)
    . qq({"sessionId":"$id","configId":"model","value":"small","x":$deep}}))->{status},
    200, 'a deep setting');
# The next worker reads back what was said, which is deep too.
is($a->post($a->envelope('raw/say', { lines => [said(('[' x 62) . (']' x 62))] }))->{status},
    200, 'a deep envelope');
for my $round (1, 2) {
	my ($pid) = $d->children(qr/session acp:default:deep/);
	ok($pid, "worker $round") and kill 'KILL', $pid;
	ok(wait_for(20, sub {
		my $r = eval { $a->post($a->prompt_envelope($id, 'say again'),
		    timeout => 5 * slow_factor()) };
		return ref $r && ($r->{status} // 0) == 200 && $r->{json}{result};
	}), "another one follows worker $round");
}

# --- ends that meet ----------------------------------------------------------------------

# A session is deleted while somebody waits for its end, and its worker is deaf.
for my $round (1 .. 3) {
	my $id = "deaf$round";
	$d->ok('session.create', { id => $id, agent => 'mock' });
	my ($pid) = $d->children(qr/session \Q$id\E/);
	ok($pid, "$id has a worker") and kill 'STOP', $pid;
	my $c = $d->client;
	$c->send('session.end', { id => $id });
	sleep 0.3;	# usually it comes first; both must be answered either way
	is($d->ok('session.delete', { id => $id })->{state}, 'deleted', "$id is deleted");
	my $got = $c->json;
	is($got->{ok}{state} // $got->{error}{code}, $got->{ok} ? 'ended' :
	    'session_not_found', 'who waited for its end is told');
	$c->close;
	is($d->error('session.get', { id => $id }), 'session_not_found',
	    'nothing of it is written again');
}
is_deeply([map { $_->{id} } @{$d->ok('session.list')->{sessions}}], ['acp:default:deep'],
    'no other session is left');
# Made and deleted at once, again and again: answers to the dead find nobody.
my @clients = map { $d->client } 1 .. 4;
for my $round (1 .. 60) {
	my $c = $clients[$round % 4];
	$c->send('session.create', { id => 'now', agent => 'mock' });
	$c->send('session.delete', { id => 'now' });
	my ($pid) = $d->children(qr/session now/);
	kill 'KILL', $pid if $pid && $round % 3 == 0;
	$c->json for 1, 2;
}
ok($d->ok('status'), 'the supervisor has seen it all');
$d->request('session.delete', { id => 'now' });
ok(wait_for(10, sub { !$d->children(qr/session now/) }), 'no worker is left');

done_testing();
