# Pause freezes every process of a sandbox, resume lets them go on; nothing may
# be asked of a paused one but its end.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start;
my $scratch = $d->scratch_dir . '/shared';
mkdir($scratch) or die "$scratch: $!";
chmod(0777, $scratch);

# A counter that is seen from outside: what it has written tells whether it runs.
sub counting {
	my ($id) = @_;
	$d->ok('sandbox.create', { id => $id, mounts => [ { source => $scratch,
	    target => '/shared', mode => 'rw' } ] });
	$d->sh($id, "setsid sh -c 'while :; do echo >>/shared/$id; sleep 0.01; "
	    . "done' >/dev/null 2>&1 &");
	return wait_for(10, sub { -s "$scratch/$id" });
}
sub count { return -s "$scratch/$_[0]" // 0 }
sub state_of { return $d->ok('sandbox.get', { id => $_[0] })->{state} }

ok(counting('p'), 'a counter runs');
my $got = $d->ok('sandbox.pause', { id => 'p' });
is($got->{state}, 'paused', 'pause answers with the record');
my $stood = count('p');
sleep 0.5;
is(count('p'), $stood, 'it stands still from the answer on');
is(state_of('p'), 'paused', 'and is said to be paused');
is($d->ok('status')->{sandboxes}{paused}, 1, 'status counts it');
is_deeply([ map { $_->{id} } @{$d->ok('sandbox.list',
    { state => 'paused' })->{sandboxes}} ], ['p'], 'and the list finds it');

like($d->error('sandbox.exec', { id => 'p', command => ['true'] }),
    qr/sandbox_state/, 'no command');
like($d->error('sandbox.pause', { id => 'p' }), qr/sandbox_state/, 'not twice');
like($d->error('sandbox.start', { id => 'p' }), qr/sandbox_state/, 'no start');
like($d->error('session.create', { agent => 'mock', sandbox => 'p' }),
    qr/sandbox_state/, 'no session');

$got = $d->ok('sandbox.resume', { id => 'p' });
is($got->{state}, 'running', 'resume answers');
ok(wait_for(5, sub { count('p') > $stood }), 'and the counter goes on');
is($d->sh('p', 'echo yes')->{stdout}, "yes\n", 'commands run again');
like($d->error('sandbox.resume', { id => 'p' }), qr/sandbox_state/,
    'one that runs cannot be resumed');
for (1 .. 20) {
	$d->ok('sandbox.pause', { id => 'p' });
	$d->ok('sandbox.resume', { id => 'p' });
}
$stood = count('p');
ok(wait_for(5, sub { count('p') > $stood }), 'it survives twenty of both');

# Sessions.
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'p' });
$d->ok('sandbox.pause', { id => 'p' });
like($d->error('session.prompt', { id => 's', text => 'hi' }),
    qr/sandbox_state/, 'a session of it takes no message');
like($d->error('session.end', { id => 's' }), qr/sandbox_state/,
    'nor can it be ended');
ok($d->ok('session.events', { id => 's' }), 'but its events can be read');
$d->ok('sandbox.resume', { id => 'p' });
ok($d->ok('session.prompt', { id => 's', text => 'hi' })->{turn_id},
    'then it goes on');

# Stop and destroy.
$d->ok('sandbox.pause', { id => 'p' });
my $began = time;
is($d->ok('sandbox.stop', { id => 'p', grace_ms => 500 })->{state}, 'stopped',
    'a paused one can be stopped');
ok(time - $began < 4 * Sandboxd::slow_factor(), 'in time');
like($d->error('sandbox.pause', { id => 'p' }), qr/sandbox_state/,
    'a stopped one cannot be paused');
like($d->error('sandbox.resume', { id => 'p' }), qr/sandbox_state/,
    'nor resumed, since it was not paused');
$d->ok('sandbox.start', { id => 'p' });
$d->ok('sandbox.pause', { id => 'p' });
$began = time;
$d->ok('sandbox.destroy', { id => 'p' });
ok(time - $began < 4 * Sandboxd::slow_factor(), 'a paused one can be destroyed');
like($d->error('sandbox.pause', { id => 'p' }), qr/sandbox_not_found/,
    'pause of none');
like($d->error('sandbox.resume', { id => 'p' }), qr/sandbox_not_found/,
    'resume of none');

# Killed from outside while it is paused: it does not run unasked.
ok(counting('k'), 'another counter');
my $init = $d->ok('sandbox.get', { id => 'k' })->{pid};
$d->ok('sandbox.pause', { id => 'k' });
kill('KILL', $init);
ok(wait_for(10, sub { state_of('k') eq 'stopped' }), 'killed it is stopped');
is($d->ok('sandbox.resume', { id => 'k' })->{state}, 'running',
    'resume starts it');

# Over the end of the daemon, in order or not.
for my $signal (qw(TERM KILL)) {
	# Killed it leaves it as it was, for the next one to adopt.
	my $is = $signal eq 'KILL' ? 'paused' : 'stopped';
	$d->ok('sandbox.pause', { id => 'k' });
	$d->restart($signal);
	is(state_of('k'), $is, "$signal: it does not run unasked");
	sleep 0.3;
	is(state_of('k'), $is, 'nor a moment later');
	ok($is eq 'paused' || $d->ok('sandbox.get', { id => 'k' })->{was_paused},
	    'and is known');
	is($d->ok('sandbox.resume', { id => 'k' })->{state}, 'running',
	    'resume starts it');
	ok(!$d->ok('sandbox.get', { id => 'k' })->{was_paused}, 'all is said');
}
is_deeply([ grep { /paused|resumed/ } map { $_->{event} }
    @{$d->ok('sandbox.events', { id => 'k' })->{events}} ],
    [ ('paused', 'resumed') x 3 ], 'the events tell of it');

# A stop of the daemon with one that is paused is no slower.
$d->ok('sandbox.pause', { id => 'k' });
$began = time;
ok($d->stop, 'the daemon ends');
ok(time - $began < 6 * Sandboxd::slow_factor(), 'in time');
is(join("\n", $d->leftovers), '', 'and leaves nothing');

# Without control groups of one's own nothing can be frozen, and that is said.
my $uid = 54322;
SKIP: {
	my $reach = run_cmd(['setpriv', "--reuid=$uid", "--regid=$uid",
	    '--clear-groups', program('sandboxd'), '--version']);
	skip('the build directory is not open to other users', 2)
	    if $reach->{status} != 0;
	my $mine = Sandboxd->start(uid => $uid);
	skip('no sandbox without root here', 2)
	    if $mine->error('sandbox.create', { id => 'r' });
	skip('that user has control groups', 2) if $mine->ok('status')->{cgroups};
	is($mine->error('sandbox.pause', { id => 'r' }), 'isolation_unavailable',
	    'no freezer: refused');
	is($mine->ok('sandbox.get', { id => 'r' })->{state}, 'running',
	    'and it runs on');
}

done_testing;
