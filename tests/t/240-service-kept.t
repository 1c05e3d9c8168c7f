# A service goes on, with its process and what is known of it, while the supervisor
# is replaced; it is not hung while its sandbox is paused; it starts again with its
# sandbox, and with its sandbox's init.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Service;
use Test::More;
use Time::HiRes qw(sleep);

need_root();
my $slow = Sandboxd::slow_factor();
my $d = Sandboxd->start;
# It speaks each time, and says how often.
my $talk = 'echo >&3; n=0; while :; do n=$((n + 1)); echo $n; echo $n >/tmp/n; sleep 0.1; done';

sub state_of { return $d->ok('sandbox.get', { id => $_[0] })->{service_state} }
sub spoken { return $d->exec($_[0], 'cat /tmp/n')->{stdout} + 0 }
sub upgrade {
	my $r = $d->request('upgrade', { wait => '60s' }, timeout => 120);
	ok($r->{ok}, 'upgrade') or diag(to_json($r));
}

# --- over an upgrade ----------------------------------------------------------------

service($d, 'up', $talk, restart => 'always', backoff_ms => 50, ready => { notify => \1 },
    watchdog => { ms => 5000 * $slow });
ok(event($d, 'up', 'service.ready'), 'ready');
my $pid = event($d, 'up', 'service.started')->{pid};
ok($pid, 'its pid is told');
is($d->exec('up', "kill -KILL $pid")->{exit_code}, 0, 'it is killed');
ok(wait_for(20, sub { names($d, 'up', 'service.ready') >= 2 }), 'and ready again');
$pid = event($d, 'up', 'service.restarted')->{pid};
my $was = state_of('up');
is_deeply($was, { state => 'ready', restarts => 1 }, 'as its record says');
my $init = $d->ok('sandbox.get', { id => 'up' })->{pid};
my @before = names($d, 'up');
upgrade();
is_deeply(state_of('up'), $was, 'which stays');
is($d->ok('sandbox.get', { id => 'up' })->{pid}, $init, 'with its init');
my $n = spoken('up');
ok(wait_for(10, sub { spoken('up') > $n }), 'it goes on');
is_deeply([names($d, 'up')], \@before, 'and nothing is told of it');
# An end while nobody reads is told afterwards.
$d->exec('up', "(sleep 0.05; kill -KILL $pid) >/dev/null 2>&1 &");
upgrade();
ok(wait_for(20, sub { names($d, 'up', 'service.ready') >= 3 }), 'killed at that time it is started again');
is_deeply([(names($d, 'up'))[-3 .. -1]], [qw(service.exited service.restarted service.ready)], 'and told in order');
is(state_of('up')->{restarts}, 2, 'and counted');
service($d, 'n', 'sleep 600', watchdog => { ms => 200, action => 'nothing' });
ok(event($d, 'n', 'service.hung'), 'one is hung');
upgrade();
is(state_of('n')->{state}, 'hung', 'and still is');

# --- paused -------------------------------------------------------------------------

my $ms = 1500 * $slow;
service($d, 'p', $talk, watchdog => { ms => $ms });
service($d, 'late', 'sleep 600', ready => { exec => ['test', '-e', '/tmp/go'], timeout_ms => 2 * $ms });
ok(event($d, $_, 'service.started'), "$_ is started") for qw(p late);
$d->ok('sandbox.pause', { id => $_ }) for qw(p late);
sleep(2 * $ms / 1000 + 1);
$d->ok('sandbox.resume', { id => $_ }) for qw(late p);
$d->exec('late', 'touch /tmp/go');
ok(event($d, 'late', 'service.ready'), 'the time of the pause is not one to be ready in');
is_deeply([names($d, 'late', 'service.exited')], [], 'so it was not ended');
$n = spoken('p');
ok(wait_for(20, sub { spoken('p') > $n + 5 }), 'the other one goes on');
is_deeply([grep { /hung|exited/ } names($d, 'p')], [], 'and was not hung');

# --- with its sandbox -----------------------------------------------------------------

$d->ok('sandbox.stop', { id => 'up' });
my $rec = $d->ok('sandbox.get', { id => 'up' });
is($rec->{service_state}, undef, 'stopped: there is none');
is($rec->{service}{restart}, 'always', 'only what was asked for');
my @ends = grep { /exited|restarted/ } names($d, 'up');
is($ends[-1], 'service.exited', 'its end was told');
my $starts = names($d, 'up', 'service.started');
$d->ok('sandbox.start', { id => 'up' });
ok(wait_for(20, sub { (state_of('up') // {})->{state} eq 'ready' }), 'started: it is there and ready');
is(scalar(names($d, 'up', 'service.started')), $starts + 1, 'started, as told');
is(state_of('up')->{restarts}, 0, 'and not restarted');
kill('KILL', $d->ok('sandbox.get', { id => 'up' })->{pid});
ok(wait_for(30, sub { names($d, 'up', 'service.started') == $starts + 2 }), 'it comes again with its init');
ok(wait_for(20, sub { (state_of('up') // {})->{state} eq 'ready' }), 'and is ready');
$d->restart;
$d->ok('sandbox.start', { id => 'up' });
ok(wait_for(20, sub { (state_of('up') // { state => '' })->{state} eq 'ready' }), 'and with another sandboxd');
ok($d->stop, 'an orderly end');
is(join("\n", $d->leftovers), '', 'nothing is left');
done_testing;
