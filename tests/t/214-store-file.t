# The database's file: made smaller at a start when much of it is free, left
# alone when a newer version has used it, and no page of it kept by readers that
# were killed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start(http => 1, conf => "[store]\nmap_bytes = 1M\n");
my $data = "$d->{state}/store/data.mdb";

# --- killed readers -------------------------------------------------------------------

$d->ok('session.create', { id => 'keep', agent => 'mock' });
$d->turn('keep', 'this stays');
my @keep = $d->event_texts('keep');
sub gateways { return $d->children(qr/^sandboxd-gateway/) }
sub churn {
	my ($id) = @_;
	$d->ok('session.create', { id => $id, agent => 'mock' });
	$d->request('session.prompt', { id => $id, text => 'flood 6000', stream => \1 },
	    timeout => 60, forget => 1);
	$d->ok('session.delete', { id => $id });
}
SKIP: {
	my $seen = eval { scalar(gateways()) };
	skip 'gateways are not seen', 2 unless $seen;
	churn('one');
	sleep 1;
	for my $n (1 .. 6) {
		my $c = $d->http_client;
		$c->write("GET /v1/sessions/keep/events/sse HTTP/1.1\r\nHost: x\r\n\r\n");
		$c->head;
		kill 'KILL', gateways();
		ok(wait_for(30, sub { eval { $d->http('GET', '/v1/health')->{status} == 200 } }),
		    "gateways are back ($n)") if $n == 6;
		wait_for(30, sub { scalar(gateways()) == $seen });
	}
	my $used = $d->ok('status')->{store}{used_bytes};
	churn("again$_") for 1 .. 6;
	cmp_ok($d->ok('status')->{store}{used_bytes}, '<', $used * 2 + (8 << 20),
	    'what was freed is used again');
}

# --- compaction -----------------------------------------------------------------------

churn('big');
ok(wait_for(30, sub { $d->ok('status')->{store}{events} < 200 }),
    'events of removed sessions go');
my $large = -s $data;
my $small = $large;
# Only while no gateway has it open, and they start together.
for (1 .. 10) {
	$d->stop;
	$d->launch;
	$small = -s $data;
	last if $small < $large / 2;
}
cmp_ok($small, '<', $large / 2, "a start makes it smaller ($large to $small)");
is_deeply([ $d->event_texts('keep') ], \@keep, 'and keeps what is kept');
is($d->http('GET', '/v1/sessions/keep/events')->{status}, 200, 'gateways read it');
$d->turn('keep', 'more');
is(($d->events('keep'))[scalar @keep]{sequence}, @keep + 1, 'numbers go on');
ok(!-e "$data.compact", 'nothing is left over');
$d->stop;

# A former try that did not end.
spew("$data.compact", 'x' x 10000);
$d->launch;
is_deeply([ ($d->event_texts('keep'))[0 .. $#keep] ], \@keep, 'a start after one');
$d->stop;

# --- a newer version's ----------------------------------------------------------------

my $was = slurp($data);
(my $newer = $was) =~ s/schema2/schema9/g;
isnt($newer, $was, 'a database of schema 9');
spew($data, $newer);
my $begin = time;
my $r = run_cmd([$d->argv]);
is($r->{status}, 102, 'sandboxd refuses it');
cmp_ok(time - $begin, '<', 10 * Sandboxd::slow_factor(), 'at once');
like($r->{err}, qr/schema 9 .*newer/, 'and says why');
cmp_ok(scalar(() = $r->{err} =~ /cannot start/g), '<=', 2, 'not again and again');
is(slurp($data), $newer, 'the file is as it was');
spew($data, $was);
$d->launch;
is_deeply([ ($d->event_texts('keep'))[0 .. $#keep] ], \@keep, 'back to ours');
$d->stop;
done_testing();
