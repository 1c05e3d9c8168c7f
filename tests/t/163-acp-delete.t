# The end of ACP servers: quick, whole, and with nothing left alive, whatever the
# agent does.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Acp;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start(http => 1);
Sandboxd::Acp->install($d, 'amp');
# One that does not heed anything, and has children.
Sandboxd::Acp->install($d, 'pi', script => <<'AGENT');
#!/bin/sh
trap '' TERM INT HUP PIPE
sleep 86399 &
setsid sleep 86398 &
while read -r line; do
	echo '{"jsonrpc":"2.0","id":0,"result":{}}'
done
while :; do sleep 86397; done
AGENT

my %clients = map { $_ => 1 } descendants($d->{pid});

sub made {
	my ($id, $agent) = @_;
	my $a = Sandboxd::Acp->new($d, $id, agent => $agent // 'amp');
	$a->call('initialize', {});
	return $a;
}
sub alive { return grep { Sandboxd::title_of($_) =~ /acp-agent|amp-acp|pi-acp|sleep 8639/ }
    descendants($d->{pid}) }
sub workers { return $d->children(qr/sandboxd-session|session acp:/) }

is(scalar(alive()), 0, 'nothing of ours runs');
made('warm');
ok(scalar(alive()) >= 1, 'an agent runs');
is(Sandboxd::Acp->new($d, 'warm')->delete->{status}, 204, 'and is ended');
ok(wait_for(5, sub { !alive() }), 'it is gone');

# --- how long it takes --------------------------------------------------------------------

for my $kind ('idle', 'in a turn', 'hung', 'deaf') {
	my @took;
	for my $i (1 .. 5) {
		my $a = made("t$i", $kind eq 'deaf' ? 'pi' : 'amp');
		my ($c, $s);
		if ($kind eq 'in a turn' || $kind eq 'hung') {
			my $at = $a->session;
			$s = $a->stream;
			$c = $a->begin($a->prompt_envelope($at, $kind eq 'hung'
			    ? 'say on hang' : 'say on wait'));
			$s->until(sub { ($_->{method} // '') eq 'session/update' });
		} elsif ($kind eq 'deaf') {
			wait_for(5, sub { 2 <= grep { Sandboxd::title_of($_) =~
			    /sleep 8639/ } descendants($d->{pid}) });
		}
		my $conn = $d->http_client;
		my $began = time;
		my $r = $conn->request('DELETE', $a->path(''));
		push @took, 1000 * (time - $began);
		is($r->{status}, 204, "$kind: 204") if $r->{status} != 204;
		is((grep { $_ eq "t$i" } Sandboxd::Acp->listed($d)), 0, "$kind: not listed");
		if ($c) {
			my $got = $c->response('POST', 10);
			ok(($got->{status} // 0) >= 400, "$kind: who waits is told")
			    or diag($got->{body} // $got->{broken});
			my @rest = $s->until(sub { 0 }, 10);
			is($s->{ended}, 1, "$kind: its stream ends");
			is($s->{flaw}, '', "$kind: in order");
		}
	}
	my ($median) = (sort { $a <=> $b } @took)[2];
	note sprintf('%s: %s ms', $kind, join(' ', map { sprintf '%.1f', $_ } @took));
	ok($median < 250 * slow_factor(), "$kind: the answer is quick");
	my $gone = wait_for(5, sub { !alive() });
	ok($gone, "$kind: nothing is left alive")
	    or diag(join("\n", map { "$_ " . Sandboxd::title_of($_) } alive()));
}
ok(wait_for(5, sub { !workers() }), 'nor any worker');

# --- what it leaves ------------------------------------------------------------------------

my $a = made('name');
$a->call("echo/$_", {}) for 1 .. 5;
my @streams = map { $a->stream } 1 .. 5;
$_->upto(6) for @streams;
is($a->delete->{status}, 204, 'one with history');
$_->until(sub { 0 }, 10) for @streams;
is(join('', map { $_->{ended} } @streams), '11111', 'every stream ends');
is($a->stream->{head}{status}, 404, 'it cannot be heard');
is(Sandboxd::Acp->new($d, 'name')->post('{}')->{status}, 400, 'nor spoken to');
is($a->delete->{status}, 204, 'to remove it again is no error');
my $again = made('name');
my $s = $again->stream;
my @e = map { from_json($_) } $s->upto(1);
is(scalar(@e), 1, 'a new one of that name');
is($s->{flaw}, '', 'begins at 1');
$again->delete;

# --- at every moment -----------------------------------------------------------------------

srand(11);
for my $i (1 .. 40) {
	my $a = Sandboxd::Acp->new($d, 'race', agent => $i % 2 ? 'amp' : 'mock');
	my @c = map { $a->begin($a->envelope('initialize', {})) } 1 .. 3;
	sleep(rand(0.03));
	my $r = $a->delete(timeout => 20);
	is($r->{status}, 204, 'removed while it was made') if ($r->{status} // 0) != 204;
	for (@c) {
		my $got = $_->response('POST', 20);
		next if ($got->{status} // 0) =~ /^(?:200|400|404|500|502)$/;
		fail('an envelope is answered');
		diag("$i: " . ($got->{status} // $got->{broken}) . " $got->{body}");
	}
	$a->delete;
}
is(join(' ', Sandboxd::Acp->listed($d)), '', 'removed at random: nothing is left');
ok(wait_for(10, sub { !alive() && !workers() }), 'and nothing lives')
    or diag(join("\n", map { "$_ " . Sandboxd::title_of($_) } alive(), workers()));

# A sandbox that goes takes its servers along.
$d->ok('sandbox.create', { id => 'box' });
my $in = Sandboxd::Acp->new($d, 'in', agent => 'mock', sandbox => 'box');
$in->call('x', {});
my $heard = $in->stream;
$d->ok('sandbox.destroy', { id => 'box' });
$heard->until(sub { 0 }, 3);
is(join(' ', Sandboxd::Acp->listed($d, sandbox => 'box')), '',
    'one whose sandbox is gone is not listed');
is($in->post('{"id":1,"method":"x"}')->{status}, 404, 'nor made again without it');
$d->ok('sandbox.create', { id => 'box' });
is($in->post('{"id":1,"method":"x"}')->{status}, 200, 'but with it');
is(join(' ', Sandboxd::Acp->listed($d, sandbox => 'box')), 'in', 'and is there');
my $fresh = $in->stream;
is(scalar($fresh->upto(2)), 2, 'with a log of its own');
is($fresh->{flaw}, '', 'from 1');

done_testing;
