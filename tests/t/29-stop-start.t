# Stop keeps files, ends processes, and is in time; start goes on.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time);

need_root();
my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => 's', env => { KEEP => 'env' } });
$d->sh('s', 'mkdir -p /srv/data; echo kept >/srv/data/f; echo tmp >/tmp/t; '
    . 'rm /etc/profile; ln -s data /srv/link; chmod 600 /srv/data/f');
my ($init) = $d->children(qr/init/);
$d->sh('s', 'setsid sleep 300 >/dev/null 2>&1 & setsid sh -c "trap : TERM; '
    . 'touch /tmp/trapped; while :; do sleep 1; done" >/dev/null 2>&1 &');
ok(wait_for(5, sub { $d->exec('s', ['test', '-e', '/tmp/trapped'])->{exit_code} == 0 }),
    'something that ignores TERM runs');

my $began = time;
$d->ok('sandbox.stop', { id => 's', grace_ms => 500 });
my $took = time - $began;
ok($took >= 0.45 && $took < 5 * Sandboxd::slow_factor(),
    "one that ignores TERM is given its grace and no more ($took s)");
ok(!-e "/proc/$init" || slurp("/proc/$init/stat") =~ /\) Z/, 'its init is gone');
is(join(' ', $d->children(qr/sleep|init:/)), '', 'and all its processes');
is($d->ok('sandbox.get', { id => 's' })->{state}, 'stopped', 'state');

$d->ok('sandbox.start', { id => 's' }) for 1 .. 2;	# twice is no error
is($d->sh('s', 'cat /srv/link/f; stat -c %a /srv/data/f; echo $KEEP; '
    . 'test -e /etc/profile || echo removed')->{stdout},
    "kept\n600\nenv\nremoved\n", 'files, modes, links, removals and env are as left');
is($d->sh('s', 'ls /proc | grep -c "^[0-9]"')->{exit_code}, 0, 'it runs');

# A gentle one ends at once.
$began = time;
$d->ok('sandbox.stop', { id => 's', grace_ms => 20000 });
ok(time - $began < 5 * Sandboxd::slow_factor(), 'nothing to wait for');

# The files survive the daemon too.
$d->restart;
is($d->ok('sandbox.get', { id => 's' })->{state}, 'stopped',
    'a stopped one stays stopped over a restart');
$d->ok('sandbox.start', { id => 's' });
is($d->sh('s', 'cat /srv/data/f')->{stdout}, "kept\n", 'with its files');

# A running one runs again after a restart.
$d->restart;
ok(wait_for(20, sub {
	$d->ok('sandbox.get', { id => 's' })->{state} eq 'running'
}), 'a running one runs again after a restart');
is($d->sh('s', 'cat /srv/data/f; echo $KEEP')->{stdout}, "kept\nenv\n",
    'with its files and env');

# And after the daemon was killed.
$d->restart('KILL');
ok(wait_for(20, sub {
	$d->ok('sandbox.get', { id => 's' })->{state} eq 'running'
}), 'and after the daemon was killed');
is($d->sh('s', 'cat /srv/data/f')->{stdout}, "kept\n", 'with its files');
is(scalar(my @i = $d->children(qr/init/)), 1, 'once, not twice');

# A start that fails is told; the sandbox can be stopped, mended, started.
my $lent = $d->scratch_dir . '/lent';
mkdir($lent);
$d->ok('sandbox.create', { id => 'm', mounts => [ { source => $lent,
    target => '/lent' } ] });
$d->ok('sandbox.stop', { id => 'm' });
rmdir($lent);
ok($d->error('sandbox.start', { id => 'm' }), 'a start without its mount fails');
is($d->ok('sandbox.get', { id => 'm' })->{state}, 'error', 'and shows');
is($d->ok('sandbox.stop', { id => 'm' })->{state}, 'stopped', 'stop answers');
is($d->ok('sandbox.get', { id => 'm' })->{state}, 'stopped', 'and it is');
mkdir($lent);
is($d->ok('sandbox.start', { id => 'm' })->{state}, 'running', 'mended, it runs');

done_testing;
