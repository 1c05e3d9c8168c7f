# limits.idle: a sandbox that nobody uses stops, one in use does not, and its
# next use starts it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start(http => 1);
my $slow = Sandboxd::slow_factor();
my $idle = 2 * $slow;
sub state_of { $d->ok('sandbox.get', { id => $_[0] })->{state} }
sub stopped { my ($id) = @_; wait_for(60, sub { state_of($id) eq 'stopped' }) }

my $began = time;
$d->ok('sandbox.create', { id => 'a', limits => { idle => $idle } });
$d->sh('a', 'echo kept >/kept; setsid sleep 600 >/dev/null 2>&1 &');
ok(stopped('a'), 'unused it stops, whatever it does by itself');
ok(time - $began >= $idle, 'not before its time');
my $rec = $d->ok('sandbox.get', { id => 'a' });
like($rec->{reason}, qr/^idle/, 'the record says why');
is($rec->{limits}{idle}, $idle, 'and has the limit');
my @e = @{$d->ok('sandbox.events', { id => 'a' })->{events}};
ok((grep { $_->{event} eq 'limit' && ($_->{limit} // '') eq 'idle' } @e), 'an event tells');
is($e[-1]{event}, 'stopped', 'before that of the stop');
is(join(' ', $d->children(qr/sleep/)), '', 'nothing of it runs');
$d->ok('sandbox.start', { id => 'a' });
is($d->sh('a', 'cat /kept')->{stdout}, "kept\n", 'started again it has its files');

# In use: by a command.
is($d->sh('a', 'sleep ' . ($idle * 2) . '; echo done')->{stdout}, "done\n",
    'a command may take longer than that');
is(state_of('a'), 'running', 'and its end begins the time anew');
ok(stopped('a'), 'then it stops');

# By a session's turn; and a session starts it.
$d->ok('sandbox.start', { id => 'a' });
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'a' });
my @t = $d->turn('s', 'wait ' . ($idle * 2000), timeout => 60);
is($t[-1]{type}, 'turn.ended', 'a turn longer than that ends');
ok(stopped('a'), 'a session that is asked nothing keeps it not');
@t = $d->turn('s', 'hello', timeout => 60);
is($t[-1]{type}, 'turn.ended', 'a message starts it');
is(state_of('a'), 'running', 'it runs');

# By HTTP: files, and a command that takes long.
ok(stopped('a'), 'idle again');
is($d->http(GET => '/i/a/v1/fs/file?path=/kept')->{body}, "kept\n", 'a file asked for starts it');
my $until = time + $idle * 2;
my $bad = 0;
while (time < $until) {
	$bad++ if state_of('a') ne 'running';
	$bad++ if $d->http(GET => '/i/a/v1/fs/file?path=/kept')->{status} != 200;
	sleep 0.3;
}
is($bad, 0, 'files that are read keep it up');
my $run = $d->http(POST => '/i/a/v1/processes/run',
    headers => { 'Content-Type' => 'application/json' }, body => to_json({ command => 'sh',
    args => ['-c', 'sleep ' . ($idle * 2) . '; echo done'] }));
like($run->{body} // '', qr/done/, 'so does a command over HTTP') or diag(to_json($run));
ok(stopped('a'), 'and then it stops');

# Given, changed, taken away while it runs; over a restart of ours.
$d->ok('sandbox.create', { id => 'b' });
is($d->ok('sandbox.update', { id => 'b', limits => { idle => $idle } })->{limits}{idle}, $idle, 'given later');
$d->restart;
wait_for(30, sub { state_of('b') eq 'running' || state_of('b') eq 'stopped' });
ok(stopped('b'), 'it holds after a restart');
$d->ok('sandbox.start', { id => 'b' });
ok(!$d->ok('sandbox.update', { id => 'b', limits => { idle => 0 } })->{limits}{idle}, 'taken away');
sleep $idle * 1.5;
is(state_of('b'), 'running', 'then it stays');
is($d->error('sandbox.create', { id => 'c', limits => { idle => $_ } }), 'bad_request', "refused: $_")
    for '1s', -1, 'soon';

# A paused one is not stopped.
$d->ok('sandbox.update', { id => 'b', limits => { idle => $idle } });
if ($d->request('sandbox.pause', { id => 'b' })->{ok}) {
	sleep $idle * 1.5;
	is(state_of('b'), 'paused', 'a paused one stays so');
	$d->ok('sandbox.resume', { id => 'b' });
	ok(stopped('b'), 'resumed its time goes on');
}
done_testing;
