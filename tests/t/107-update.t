# What can be changed of a sandbox that is there, what a create can be told
# besides, and what becomes known of it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $image = Sandboxd->scratch_dir;
mkdir("$image/$_") for qw(bin lib etc);
my $d = Sandboxd->start(conf => "[sandbox]\nimages = ubuntu=host "
    . "small=$image  ubuntu:22.04=host bad=/nonexistent/x\n");

sub get { return $d->ok('sandbox.get', { id => $_[0] }) }

# --- labels -------------------------------------------------------------------------
$d->ok('sandbox.create', { id => 'a', labels => { one => '1', two => '2' } });
is_deeply($d->ok('sandbox.update', { id => 'a', labels => { two => undef,
    three => '3', one => 'x' } })->{labels}, { one => 'x', three => '3' },
    'labels are set and removed');
is_deeply($d->ok('sandbox.update', { id => 'a' })->{labels},
    { one => 'x', three => '3' }, 'an update of nothing changes nothing');
for my $bad ({ n => 1 }, { n => [] }, { n => JSON::PP::true }, { '' => 'x' },
    { 'a=b' => 'x' }, { x => 'y' x 2000 }, { map { $_ => 'v' } 1 .. 70 }) {
	like($d->error('sandbox.update', { id => 'a', labels => $bad }),
	    qr/bad_request/, 'refused: ' . substr(to_json($bad), 0, 40));
}
is_deeply(get('a')->{labels}, { one => 'x', three => '3' }, 'all or nothing');
is($d->error('sandbox.update', { id => 'a', labels => { map { $_ => 'v' }
    1 .. 62 } }), '', 'up to 64 in all');
is_deeply([ map { $_->{id} } @{$d->ok('sandbox.list', { labels =>
    { three => '3' } })->{sandboxes}} ], ['a'], 'found by what was set');
like($d->error('sandbox.update', { id => 'zz', labels => {} }),
    qr/sandbox_not_found/, 'none by this name');

# --- limits -------------------------------------------------------------------------
$d->ok('sandbox.create', { id => 'l', limits => { memory => '256M', pids => 40,
    cpu => 2 } });
my $new = $d->ok('sandbox.update', { id => 'l', limits => { memory => '64M',
    pids => 12, cpu => 0.5 } })->{limits};
is_deeply([ @$new{qw(memory pids cpu)} ], [ 64 << 20, 12, 0.5 ], 'new limits');
like($d->sh('l', 'i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done')
    ->{stderr}, qr/fork|Resource|Cannot/i, 'pids holds at once');
isnt($d->sh('l', 'head -c 200000000 /dev/zero | tail -c 150000000 >/dev/null')
    ->{exit_code}, 0, 'memory holds at once');
$d->ok('sandbox.update', { id => 'l', limits => { pids => 0 } });
ok(!exists get('l')->{limits}{pids}, '0 takes one away');
for my $bad ({ memory => 'x' }, { pids => -1 }, { cpu => 'y' }, { foo => 1 },
    { memory => 1 }) {
	like($d->error('sandbox.update', { id => 'l', limits => $bad }),
	    qr/bad_request/, 'refused: ' . to_json($bad));
}
for my $fixed ({ open_files => 64 }, { time => 60 }) {
	like($d->error('sandbox.update', { id => 'l', limits => $fixed }),
	    qr/sandbox_state/, to_json($fixed) . ' of a running one');
}
$d->ok('sandbox.stop', { id => 'l', grace_ms => 100 });
is($d->ok('sandbox.update', { id => 'l', limits => { open_files => 64 } })
    ->{limits}{open_files}, 64, 'of a stopped one it can be');
$d->ok('sandbox.start', { id => 'l' });
is($d->sh('l', 'ulimit -n')->{stdout}, "64\n", 'and holds from its start');

# --- names of images ----------------------------------------------------------------
my $got = $d->ok('sandbox.create', { id => 'i', image => 'ubuntu:22.04' });
is_deeply([ @$got{qw(image image_name)} ], [ 'host', 'ubuntu:22.04' ],
    'a name for the host');
is($d->sh('i', 'echo in')->{stdout}, "in\n", 'which it shows');
$d->ok('sandbox.destroy', { id => 'i' });
for my $name ('ubunt', 'ubuntu:24.04', 'ubuntu=host', 'host=', 'python', 'bad',
    '../etc', 'small=') {
	like($d->error('sandbox.create', { id => 'i', image => $name }),
	    qr/image_not_found/, "no image $name");
}

my $conf = Sandboxd->scratch_dir . '/conf';
for my $bad ('ubuntu', 'ubuntu=', '=host', 'a=host b', 'a=hostile', 'a=rel/path',
    '/a=host') {
	spew($conf, "[sandbox]\nimages = $bad\n");
	my $ran = run_cmd([program('sandboxd'), '-c', $conf, '-n']);
	ok($ran->{status} != 0 && "$ran->{out}$ran->{err}" =~ /sandbox\.images/,
	    "images = $bad is a mistake");
}

# --- entrypoint ---------------------------------------------------------------------
my $dir = Sandboxd->scratch_dir(0777);
$got = $d->ok('sandbox.create', { id => 'n', entrypoint => ['/bin/sh', '-c',
    'echo "$WHO" >>/out/started; exec sleep 1000'], env => { WHO => 'me' },
    mounts => [ { source => $dir, target => '/out', mode => 'rw' } ] });
is_deeply($got->{entrypoint}[0], '/bin/sh', 'kept');
ok(wait_for(5, sub { -s "$dir/started" }), 'started');
is(slurp("$dir/started"), "me\n", 'with the environment');
$d->ok('sandbox.stop', { id => 'n', grace_ms => 200 });
$d->ok('sandbox.start', { id => 'n' });
ok(wait_for(5, sub { slurp("$dir/started") eq "me\nme\n" }), 'at each start');
$d->ok('sandbox.create', { id => 'n2', entrypoint => ['/no/such/program'] });
ok(wait_for(5, sub { grep { $_->{event} eq 'error' }
    @{$d->ok('sandbox.events', { id => 'n2' })->{events}} }),
    'one that cannot be started is an event');
is(get('n2')->{state}, 'running', 'and no more');
$d->ok('sandbox.create', { id => 'n3', entrypoint =>
    ['tail', '-f', '/dev/null'] });
sleep 0.2;
unlike($d->sh('n3', 'cat /proc/[0-9]*/cmdline | tr "\\0" " "')->{stdout},
    qr/tail -f/, 'one that only waits is not started');

# --- create again -------------------------------------------------------------------
my %same = (idempotency_key => 'k1', request_hash => 'h1');
my $first = $d->ok('sandbox.create', { %same });
is($d->ok('sandbox.create', { %same })->{id}, $first->{id},
    'the same key: the same sandbox');
like($d->error('sandbox.create', { %same, request_hash => 'h2' }),
    qr/key_reused/, 'another request');
like($d->error('sandbox.create', { idempotency_key => 'k1' }), qr/key_reused/,
    'no hash is another request');
ok(!grep({ /idempotency|hash/ } keys %{get($first->{id})}), 'not shown');
$d->restart;
is($d->ok('sandbox.create', { %same })->{id}, $first->{id},
    'also after a restart');
$d->ok('sandbox.destroy', { id => $first->{id} });
isnt($d->ok('sandbox.create', { %same })->{id}, $first->{id},
    'once it is gone, another one');

# --- events -------------------------------------------------------------------------
$d->ok('sandbox.create', { id => 'ev' });
$d->ok('sandbox.stop', { id => 'ev', grace_ms => 100 });
$d->ok('sandbox.start', { id => 'ev' });
sub events { return map { $_->{event} } @{$d->ok('sandbox.events',
    { id => $_[0] })->{events}} }
is_deeply([ events('ev') ], [qw(created started stopped started)], 'events');
ok(wait_for(5, sub { $d->{pid} }) && sleep(0.6), '(they are stored soon)');
$d->restart('KILL');
wait_for(10, sub { events('ev') > 4 });
is_deeply([ (events('ev'))[0 .. 4] ],
    [qw(created started stopped started adopted)],
    'they are kept, and tell of our death') or diag(join ' ', events('ev'));
ok(wait_for(10, sub { get('ev')->{state} eq 'running' }), 'it runs again');
for (1 .. 60) {
	$d->ok('sandbox.pause', { id => 'ev' });
	$d->ok('sandbox.resume', { id => 'ev' });
}
my @all = events('ev');
is(scalar(@all), 100, 'the last hundred of them');
is($all[-1], 'resumed', 'the newest at the end');
my @at = map { $_->{at} } @{$d->ok('sandbox.events', { id => 'ev' })->{events}};
is_deeply(\@at, [ sort { $a <=> $b } @at ], 'in order');

# --- the list -----------------------------------------------------------------------
$d->ok('sandbox.create', { id => "p$_", labels => { page => 'y' } }) for 1 .. 7;
my $page = $d->ok('sandbox.list', { labels => { page => 'y' }, limit => 3 });
is_deeply([ map { $_->{id} } @{$page->{sandboxes}} ], [qw(p7 p6 p5)],
    'newest first');
is($page->{total}, 7, 'and how many there are');
$page = $d->ok('sandbox.list', { labels => { page => 'y' }, limit => 3,
    offset => 6, brief => JSON::PP::true });
is_deeply([ map { $_->{id} } @{$page->{sandboxes}} ], ['p1'], 'the last page');
ok(!exists $page->{sandboxes}[0]{env}, 'brief leaves out the environment');
is_deeply($d->ok('sandbox.list', { offset => 10000 })->{sandboxes}, [],
    'beyond the end');
$d->ok('sandbox.stop', { id => 'p1', grace_ms => 0 });
is_deeply([ map { $_->{id} } @{$d->ok('sandbox.list', { labels =>
    { page => 'y' }, states => ['stopped', 'paused'] })->{sandboxes}} ], ['p1'],
    'by states');

# --- figures ------------------------------------------------------------------------
$d->ok('sandbox.create', { id => 'f', limits => { memory => '128M' } });
$d->sh('f', 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done');
my $u = get('f')->{usage};
ok($u->{memory} > 0 && $u->{memory_peak} >= $u->{memory} && $u->{cpu_usec} > 0
    && $u->{pids} >= 1, 'memory, cpu and processes') or diag(to_json($u));

done_testing;
