# Each sandbox has a log of its own: read in pieces, followed, over HTTP too;
# it outlives crashes of the store and of the daemon, and its sandbox for a time.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start(http => 1);

sub history { return $d->ok('sandbox.events', { id => $_[0] }) }
sub words { return join(' ', map { $_->{event} } @_) }
sub of { return words(@{history($_[0])->{events}}) }
sub items {
	my ($id, %args) = @_;
	my $r = $d->request('sandbox.events', { id => $id, %args });
	return (@{$r->{items}}, $r->{ok} // $r->{error});
}

$d->ok('sandbox.create', { id => 'box' });
ok(wait_for(10, sub { of('box') eq 'created started' }), 'created and started');
$d->ok('sandbox.pause', { id => 'box' });
$d->ok('sandbox.resume', { id => 'box' });
$d->ok('sandbox.stop', { id => 'box', grace_ms => 100 });
is(of('box'), 'created started paused resumed stopped', 'and all the rest');
my $h = history('box');
is(join(' ', map { $_->{seq} } @{$h->{events}}), '1 2 3 4 5', 'numbered');
is("$h->{first} $h->{last}", '1 5', 'first and last');
is($h->{events}[4]{reason}, 'stopped on request', 'with reasons');
ok(abs($h->{events}[0]{at} / 1000 - time) < 60, 'and times');

# --- pieces ---------------------------------------------------------------------------

my @got = items('box', after => 2);
my $final = pop @got;
is(words(@got), 'paused resumed stopped', 'after');
is("$final->{first} $final->{last} $final->{count}", '1 5 3', 'the final line');
@got = items('box', after => 1, limit => 2);
$final = pop @got;
is(words(@got), 'started paused', 'with a limit');
ok($final->{more}, 'and there is more');
@got = items('box', limit => 0);
is(scalar(@got), 1, 'none');
@got = items('box', after => 99);
is(scalar(@got), 1, 'none behind the end');
is($d->error('sandbox.events', { id => 'nobody' }), 'sandbox_not_found', 'of nobody');
is($d->error('sandbox.events', { id => 'nobody', after => 0 }),
    'sandbox_not_found', 'nor a piece');
for (['after', -1], ['after', 'x'], ['limit', 1.5], ['follow', 1]) {
	is($d->error('sandbox.events', { id => 'box', $_->[0] => $_->[1] }),
	    'bad_request', "$_->[0]: $_->[1]");
}

# --- following ------------------------------------------------------------------------

my $c = $d->client;
my $id = $c->send('sandbox.events', { id => 'box', after => 3, follow => \1 });
is($c->json->{item}{event}, 'resumed', 'what was');
is($c->json->{item}{event}, 'stopped', 'up to now');
$d->ok('sandbox.start', { id => 'box' });
is($c->json->{item}{event}, 'started', 'and what comes');
my $path = '/v1/sandboxes/box/events';
my $web = $d->http_client;
$web->write("GET $path?after=5 HTTP/1.1\r\nHost: x\r\n"
    . "Accept: text/event-stream\r\n\r\n") or die;
my $head = $web->head;
like($head->{headers}{'content-type'}, qr{^text/event-stream}, 'a stream over HTTP');
like($web->chunk, qr/^id: 6\ndata: \{"seq":6,"at":\d+,"event":"started"\}\n\n/,
    'with the number as its id');

# --- over HTTP, and by the tool ---------------------------------------------------------

sub web { return $d->http('GET', $path . ($_[0] // '')) }
my $r = web();
is(words(@{$r->{json}{events}}), 'created started paused resumed stopped started',
    'the list over HTTP');
like($r->{json}{events}[0]{at}, qr/^\d{4}-\d\d-\d\dT/, 'has readable times');
is("$r->{json}{first} $r->{json}{last}", '1 6', 'and numbers');
$r = web('?after=2&limit=2');
is(words(@{$r->{json}{events}}), 'paused resumed', 'a piece over HTTP');
ok($r->{json}{more}, 'of which there is more');
is(web("?$_")->{status}, 400, "$_ is refused") for qw(after=-1 limit=0 limit=9999 after=x);
is($d->http('GET', '/v1/sandboxes/nobody/events')->{status}, 404, 'of nobody');

my $out = $d->ctl(['history', 'box'])->{out};
like($out, qr/^SEQ +AGE +EVENT.*\n1 .*created/, 'sandboxctl history');
$out = $d->ctl(['history', '--after', 4, '--limit', 1, 'box'])->{out};
like($out, qr/^5 \S+Z stopped: stopped on request\n\z/, 'a piece of it');
$out = $d->ctl(['--json', 'history', '-a', 5, 'box'])->{out};
is(from_json($out)->{seq}, 6, 'as JSON');
my $bad = $d->ctl(['history', '-a', 'x', 'box']);
isnt($bad->{status}, 0, 'no number');

# --- crashes --------------------------------------------------------------------------

my ($store) = $d->children(qr/^sandboxd: store/);
ok($store, 'the store is killed');
{
	kill 'KILL', $store;
	ok(wait_for(20, sub { my $r = $d->request('sandbox.events',
	    { id => 'box' }); $r->{ok} }), 'the store is back');
}
$d->ok('sandbox.pause', { id => 'box' });
is(of('box'), 'created started paused resumed stopped started paused',
    'nothing is lost, nothing is twice');
$d->ok('sandbox.resume', { id => 'box' });
$d->kill_hard;
$d = $d->restart // $d;
$h = history('box');
is(words(@{$h->{events}}[0 .. 7]),
    'created started paused resumed stopped started paused resumed',
    'all is there after a crash of the daemon');
is(join(' ', map { $_->{seq} } @{$h->{events}}),
    join(' ', 1 .. @{$h->{events}}), 'and the numbers go on');

# --- the end of the sandbox -------------------------------------------------------------

$c = $d->client;
$id = $c->send('sandbox.events', { id => 'box', after => $h->{last}, follow => \1 });
$d->ok('sandbox.destroy', { id => 'box' });
$r = $c->finish($id);
like(words(@{$r->{items}}), qr/destroyed$/, 'a follower sees the end');
ok($r->{ok}, 'and is let go');
is($d->error('sandbox.get', { id => 'box' }), 'sandbox_not_found', 'it is gone');
like(of('box'), qr/^created .*destroyed$/, 'its log is not');
like(words(@{web()->{json}{events}}), qr/destroyed$/, 'nor over HTTP');
$d->ok('sandbox.create', { id => 'box' });
ok(wait_for(10, sub { of('box') eq 'created started' }),
    'another of the name has a log of its own');

# A create that fails leaves nothing, not even that.
isnt($d->error('sandbox.create', { id => 'no', user => 'nosuchuser' }), '', 'refused');
is($d->error('sandbox.events', { id => 'no' }), 'sandbox_not_found', 'has no log');
$d->stop;
done_testing();
