# The supervisor is killed; the sandboxes are not. The next one adopts them: the
# same processes, limits, sessions and files, and a stop ends all of it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start(http => 1);

sub pid_of { return $d->ok('sandbox.get', { id => $_[0] })->{pid} }
sub state_of { return $d->ok('sandbox.get', { id => $_[0] })->{state} }
sub runs {
	my ($id) = @_;
	return wait_for(20, sub { state_of($id) eq 'running' });
}
# A process of the sandbox, by its name inside: its number there.
sub inside {
	my ($id, $name) = @_;
	return $d->sh($id, "pgrep -xf '$name'")->{stdout} =~ s/\s+/ /gr;
}

$d->ok('sandbox.create', { id => 'plain', limits => { pids => 60,
    memory => '200M' } });
$d->ok('sandbox.create', { id => 'entry', entrypoint => ['sleep', '7001'] });
$d->ok('sandbox.create', { id => 'served', entrypoint => ['/bin/sh', '-c',
    'exec sleep 7005'], service => { restart => 'always' } });
$d->ok('sandbox.create', { id => 'ice' });
$d->ok('sandbox.create', { id => 'off' });
$d->ok('sandbox.create', { id => 'timed', limits => { time => 3600 } });
$d->ok('sandbox.stop', { id => 'off' });
# What goes on: daemons, managed processes, the entrypoint.
$d->sh('plain', 'setsid sleep 7002 >/dev/null 2>&1 & echo kept >/srv/file');
my $made = $d->http('POST', '/i/plain/v1/processes', json => {
    command => 'sh', args => ['-c', 'n=0; while :; do echo line $n; '
    . 'n=$((n+1)); sleep 0.1; done'] })->{json};
ok($made->{id}, 'a managed process') or diag(to_json($made));
$d->sh('ice', 'setsid sh -c \'n=0; while :; do n=$((n+1)); echo $n >/srv/n; '
    . 'sleep 0.05; done\' >/dev/null 2>&1 &');
my $counter = "$d->{state}/sandboxes/ice/upper/srv/n";
ok(wait_for(10, sub { slurp($counter) }), 'something counts');
$d->ok('sandbox.pause', { id => 'ice' });

my %init = map { $_ => pid_of($_) } qw(plain entry ice timed served);
my %was = (plain => inside('plain', 'sleep 7002'),
    entry => inside('entry', 'sleep 7001'));
ok($was{plain} =~ /\d/ && $was{entry} =~ /\d/, 'processes run');
my $since = $d->ok('sandbox.get', { id => 'timed' })->{started_at};
my $isolation = $d->ok('sandbox.get', { id => 'plain' })->{isolation};

for my $round (1 .. 3) {
	# One whose client waits for it has nobody any more.
	my $c = $d->client;
	$c->send('sandbox.exec', { id => 'plain', command => ['sleep', '7003'] });
	ok(wait_for(10, sub { inside('plain', 'sleep 7003') =~ /\d/ }),
	    "$round: a client waits for a command");
	$d->restart('KILL');
	is(state_of('ice'), 'paused', "$round: what was frozen is");
	ok(runs($_), "$round: $_ runs") for qw(plain entry timed served);
	is(join(' ', map { pid_of($_) } sort keys %init),
	    join(' ', map { $init{$_} } sort keys %init),
	    "$round: each with the same init");
	is(state_of('off'), 'stopped', "$round: what was stopped stays so");
	is(inside('plain', 'sleep 7002'), $was{plain}, "$round: a daemon goes on");
	is(inside('entry', 'sleep 7001'), $was{entry},
	    "$round: so does the entrypoint, and once");
	is($d->ok('sandbox.get', { id => 'served' })->{service_state}{state},
	    'running', "$round: and the service");
	ok(wait_for(10, sub { inside('plain', 'sleep 7003') !~ /\d/ }),
	    "$round: what nobody waits for has ended");
	is($d->sh('plain', 'cat /srv/file')->{stdout}, "kept\n",
	    "$round: new commands run");
	my $list = $d->http('GET', '/i/plain/v1/processes')->{json}{processes};
	is(join(' ', map { "$_->{id} $_->{status} $_->{pid}" } @$list),
	    "$made->{id} running $made->{pid}", "$round: the managed process too");
}
my $now = $d->ok('sandbox.get', { id => 'timed' })->{started_at};
cmp_ok(abs($now - $since), '<', 3000, 'it is known when it was started');
is_deeply($d->ok('sandbox.get', { id => 'plain' })->{isolation}, $isolation,
    'and what holds for it');

# Its log went on all the time.
my $log = $d->http('GET', "/i/plain/v1/processes/$made->{id}/logs")->{json};
my @lines = map { Sandboxd::decode_base64($_->{data}) =~ /line (\d+)/g }
    @{$log->{entries} // []};
ok(@lines > 2, 'its output was kept') or diag(to_json($log));
is(join(' ', grep { $lines[$_] != $lines[0] + $_ } 0 .. $#lines), '',
    'without a gap');

# The frozen one hears of its new supervisor when it goes on.
# An upgrade carries on what has not yet heard of us.
my $up = $d->request('upgrade', {});
ok($up->{ok}, 'an upgrade in between') or diag(to_json($up->{error} // 0));
my $stood = slurp($counter);
ok(defined $stood, 'the frozen counter can be read');
select(undef, undef, undef, 0.3);
is(slurp($counter), $stood, 'and stands');
is($d->ok('sandbox.resume', { id => 'ice' })->{state}, 'running', 'it goes on');
is($d->sh('ice', 'echo in')->{stdout}, "in\n", 'with commands at once');
ok(wait_for(10, sub {
	(slurp($counter) || 0) > $stood + 3
}), 'and with what ran');
is(pid_of('ice'), $init{ice}, 'in the same init');

# A service is kept as before.
$d->sh('served', 'pkill -xf "sleep 7005"');
ok(wait_for(20, sub {
	($d->ok('sandbox.get', { id => 'served' })->{service_state}{restarts} // 0) == 1
}), 'a service that ends is started again');

# Limits hold.
my $r = $d->sh('plain', 'i=0; while [ $i -lt 90 ]; do sleep 30 & i=$((i+1)); done; '
    . 'echo all');
unlike($r->{stdout} // '', qr/all/, 'processes are limited');
$r = $d->exec('plain', ['perl', '-e', '$x = "a" x (400 << 20); print "all"']);
unlike($r->{stdout} // '', qr/all/, 'and memory');

# An upgrade in place carries them on, too.
ok($d->ok('upgrade', {}), 'an upgrade');
is(pid_of('entry'), $init{entry}, 'keeps what was adopted');
# Its init dies: that is seen, though it is no child of ours.
kill('KILL', $init{entry});
ok(wait_for(20, sub { pid_of('entry') && pid_of('entry') != $init{entry}
    && state_of('entry') eq 'running' }), 'one whose init dies is started anew');

$d->ok('sandbox.stop', { id => 'plain' });
is(state_of('plain'), 'stopped', 'one is stopped');
ok(!-e "/proc/$init{plain}" || slurp("/proc/$init{plain}/stat") =~ /\) Z/,
    'with its init');
$d->ok('sandbox.start', { id => 'plain' });
is($d->sh('plain', 'cat /srv/file')->{stdout}, "kept\n", 'and started');
$d->ok('sandbox.destroy', { id => 'ice' });
ok(!-e "/proc/$init{ice}" || slurp("/proc/$init{ice}/stat") =~ /\) Z/,
    'one is destroyed');
# What was started by itself after an orderly end, whose record is of that end.
$d->restart('TERM');
ok(runs('plain'), 'after an orderly restart it runs');
my $was = pid_of('plain');
$d->restart('KILL');
ok(runs('plain'), 'and after a kill then');
is(pid_of('plain'), $was, 'in the same init');

# As a service with control groups of version 2 alone none is left to the next.
$d->{options}{env}{INVOCATION_ID} = '0' x 32;
$d->restart('TERM');
ok(runs('plain'), 'a service runs it');
$was = pid_of('plain');
$d->restart('KILL');
ok(runs('plain'), 'and again');
my $kind = $d->ok('status')->{cgroups} // 'none';
is(pid_of('plain') != $was ? 1 : 0, $kind eq 'v2' ? 1 : 0, "in another init where systemd would have "
    . "no place beside it: $kind");
ok($d->stop, 'an orderly stop ends all');
is(join("\n", $d->leftovers), '', 'and leaves nothing');

# An ordinary user's too, with control groups or without.
my $uid = 54322;
SKIP: {
	my $reach = run_cmd(['setpriv', "--reuid=$uid", "--regid=$uid",
	    '--clear-groups', program('sandboxd'), '--version']);
	skip('the build directory is not open to other users', 4)
	    if $reach->{status} != 0;
	$d = Sandboxd->start(uid => $uid);
	skip('no sandbox without root here', 4)
	    if $d->error('sandbox.create', { id => 'r' });
	$was = pid_of('r');
	$d->restart('KILL');
	ok(runs('r'), 'without root: it runs');
	is(pid_of('r'), $was, 'without root: in the same init');
	ok($d->stop, 'without root: a stop ends it');
	is(join("\n", $d->leftovers), '', 'without root: nothing is left');
}

done_testing;
