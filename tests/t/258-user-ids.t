# An ordinary user to whom the host lends ids: his sandboxes have many, each its
# own, and nothing of theirs stays that he himself could not remove.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::User;
use Test::More;

alone();
need_program('setpriv', 'newuidmap', 'newgidmap');
my $user = Sandboxd::User->new(subuid => "rl:200000:65536\n",
    subgid => "rl:300000:65536\n");
my $uid = $user->{uid};
$user->reaches_or_skip;

my $d = Sandboxd->start(uid => $uid);
sub ids { return $d->ok('sandbox.get', { id => $_[0] })->{ids} }
sub out { my ($id, $script, %o) = @_; return $d->sh($id, $script, %o)->{stdout} }
sub left { my @there = glob("$d->{state}/$_[0]/*"); return scalar @there }
sub on_disk { return (stat("$d->{state}/sandboxes/$_[0]/upper/$_[1]"))[4, 5] }

# --- one sandbox ---
my $a = $d->ok('sandbox.create', { id => 'a' });
is_deeply($a->{ids}, { count => 4096, uid => 200000, gid => 300000,
    shared => JSON::PP::false, self_uid => 0, self_gid => 0 }, 'the record says which ids it has');
ok($a->{isolation}{user} && !$a->{isolation}{idmap}, 'and that they are not mapped on disk');
is(out('a', 'id -u; id -u nobody; touch /srv/r; touch /srv/n; chown nobody:nogroup /srv/n; '
    . 'mkdir /srv/d; chown 1000:1001 /srv/d; stat -c %u:%g /srv/n /srv/d'),
    "0\n65534\n65534:65534\n1000:1001\n", 'its root gives files to others');
is(out('a', 'id -u; id -g; echo mine >/srv/d/f && cat /srv/d/f',
    user => '1000:1001'), "1000\n1001\nmine\n", 'another user runs in it')
    or diag(out('a', 'id', user => '1000:1001'));
is(join(':', on_disk('a', 'srv/r')), "$uid:$uid", 'on disk, what its root has made is the caller\'s');
is(join(':', on_disk('a', 'srv/d/f')), '201000:301001', 'and what the other has, of a lent id');
is(out('a', 'setpriv --reuid 2000 --regid 2000 --groups 2001,2002 id -G 2>&1 || echo no'),
    "2000 2001 2002\n", 'groups, too');
like(out('a', 'grep -E "^(CapEff|CapBnd|NoNewPrivs)" /proc/self/status'),
    qr/^CapEff:\t0*4fb\nCapBnd:\t0*4fb\nNoNewPrivs:\t1\n\z/, 'its root has no more rights than any');
like(out('a', 'grep -E "^(CapEff|CapBnd|NoNewPrivs)" /proc/self/status', user => '1000'),
    qr/^CapEff:\t0*\nCapBnd:\t0*\nNoNewPrivs:\t1\n\z/, 'the others none');
isnt($d->sh('a', 'newuidmap $$ 0 0 1 || unshare -U true')->{exit_code}, 0, 'nor can they map ids');
isnt($d->sh('a', 'chown 5000 /srv/r')->{exit_code}, 0, 'there is no id beyond its own');

is($d->error('sandbox.create', { id => 'far', user => '5000' }), 'user_not_found',
    'nor a sandbox for a user beyond');
is($d->ok('status')->{ids}, 4096, 'status says how many there are');

# --- another user by default: the caller ---
my $lent = Sandboxd->scratch_dir;
spew("$lent/given", "x\n");
chown($uid, $uid, $lent, "$lent/given");
my $b = $d->ok('sandbox.create', { id => 'b', user => '1000', mounts =>
    [{ source => $lent, target => '/lent', mode => 'rw' },
     { source => $lent, target => '/cow', mode => 'cow' }] });
is($b->{ids}{uid}, 204096, 'the next sandbox has the next ids');
is(out('b', 'stat -c %u:%g / /lent /lent/given /cow/given; echo y >/lent/made; '
    . 'echo z >>/cow/given; cat /cow/given'),
    "0:0\n1000:1000\n1000:1000\n1000:1000\nx\nz\n", 'what it is lent is its user\'s');
is(join(':', (stat("$lent/made"))[4, 5]), "$uid:$uid", 'what he makes there is the caller\'s');
is(slurp("$lent/given"), "x\n", 'a copy does not touch it');
is(join(':', on_disk('b', '.')), '204096:304096', 'its root is somebody else');
is(out('b', 'touch /srv/q; chown 7:8 /srv/q; stat -c %u:%g /srv/q', user => '0'), "7:8\n",
    'and root all the same');
isnt($d->sh('b', 'chown 0 /lent/made')->{exit_code}, 0, 'its user is not');
is($b->{ids}{self_uid}, 1000, 'the record says who the caller is inside');
my $own = $user->run([program('sandboxctl'), '--socket', $d->{socket}, 'cp', "$lent/given", 'b:/tmp/own']);
is($own->{status}, 0, 'he copies a file of his into it') or diag($own->{err});
is(out('b', 'stat -c %u:%g /tmp/own'), "1000:1000\n", 'which is its user\'s');
is($user->run([program('sandboxctl'), '--socket', $d->{socket}, 'cp', 'b:/srv/q', "$lent/q"])->{status}, 0,
    'and out, whoever\'s it was');
is(join(':', (stat("$lent/q"))[4, 5]), "$uid:$uid", 'it is his');
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'b' });
is(($d->turn('s', 'hello'))[-1]{type}, 'turn.ended', 'a session works');

# --- they are kept ---
my @before = (ids('a'), ids('b'));
$d->ok('sandbox.stop', { id => 'a' });
$d->ok('upgrade');
ok(wait_for(20, sub { ($d->ok('status')->{upgrades} // 0) == 1 }), 'an upgrade');
is_deeply(ids('b'), $before[1], 'leaves them');
is(out('b', 'stat -c %u:%g /srv/q'), "7:8\n", 'in the same sandbox');
my $init = $d->ok('sandbox.get', { id => 'b' })->{pid};
$d->restart('KILL');
$d->ok('sandbox.start', { id => 'a' });
ok(wait_for(20, sub { $d->ok('sandbox.get', { id => 'b' })->{state} eq 'running' }),
    'after a crash of the daemon it runs');
is($d->ok('sandbox.get', { id => 'b' })->{pid}, $init, 'still, though its init is nobody of the caller\'s');
is_deeply([ids('a'), ids('b')], \@before, 'with the same ids');
is(out('a', 'stat -c %u:%g /srv/d/f'), "1000:1001\n", 'and files are whose they were');

# --- more than there are slices ---
$d->ok('sandbox.create', { id => "c$_" }) for 3 .. 16;
is(join(' ', grep { ids($_)->{shared} } 'a', 'b', map { "c$_" } 3 .. 16), '',
    'sixteen have each their own');
$d->ok('sandbox.create', { id => 'c17' });
ok(ids('c17')->{shared}, 'the next shares, and that is said');
my ($with) = grep { ids($_)->{shared} } 'a', 'b', map { "c$_" } 3 .. 16;
is($with && ids($with)->{uid}, ids('c17')->{uid}, 'of both');
$d->ok('sandbox.destroy', { id => $_ }) for 'c17', map { "c$_" } 4 .. 16;
$d->ok('sandbox.create', { id => 'again' });
ok(!ids('again')->{shared}, 'what was let go of is given again');

# --- what was lent goes ---
is($d->sh('a', 'cd /srv/d && for i in $(seq 40); do mkdir -m 700 n$i && cd n$i && '
    . 'touch x && chown 99:98 . x; done; mkdir /srv/w && cd /srv/w && seq 400 | xargs touch && '
    . 'chown -R 50:51 . && chmod 0 .')->{exit_code}, 0, 'a tree of others');
$d->ok('sandbox.destroy', { id => $_ }) for 'a', 'b', 'c3', 'again';
is(left('{sandboxes,trash}'), 0, 'destroyed, nothing is left');

# Killed while it removes: the next one goes on.
$d->ok('sandbox.create', { id => 'big' });
$d->sh('big', 'mkdir -m 700 /srv/b; cd /srv/b && seq 20000 | xargs touch && chown -R 9:9 /srv/b');
my $going = $d->client;
$going->send('sandbox.destroy', { id => 'big' });
wait_for(10, sub { left('trash') });
$d->restart('KILL');
ok(wait_for(30, sub { !left('{sandboxes,trash}') }),
    'killed meanwhile, the next one removes the rest');

# --- when they cannot be mapped after all ---
my $fake = Sandboxd->scratch_dir . '/fake';
spew($fake, "#!/bin/sh\necho 'not today' >&2\nexit 3\n");
chmod(04755, $fake);
cover($fake, '/usr/bin/newuidmap');
my $r = $d->request('sandbox.create', { id => 'no' });
like($r->{error}{detail}, qr{map the sandbox's ids: \S*/newuidmap: exit status 3: not today},
    'a create says what newuidmap said');
uncover('/usr/bin/newuidmap');
spew($fake, "#!/bin/sh\nexec sleep 300\n");
cover($fake, '/usr/bin/newuidmap');
my $c = $d->client;
$c->send('sandbox.create', { id => 'slow' });
my $sleeper = wait_for(8, sub {
	for (descendants($d->{pid})) {
		return $_ if (slurp("/proc/$_/cmdline") // '') eq "sleep\x00300\x00";
	}
	return undef;
});
ok($sleeper, 'one that does not end');
ok($d->ok('status'), 'holds up nobody');
is(join(' ', map { /^(\w+)=/ } grep { !/^(?:PWD|OLDPWD|_|SHLVL)=/ }
    split /\x00/, slurp("/proc/$sleeper/environ")), 'LC_ALL', 'it has nothing of our environment');
kill('KILL', $sleeper);
like($c->json(20)->{error}{detail}, qr{newuidmap was ended by signal 9}, 'its end is told');
uncover('/usr/bin/newuidmap');
$d->ok('sandbox.create', { id => 'well' });
is(ids('well')->{count}, 4096, 'later all is well');

# --- the host takes them back, and lends others ---
$d->sh('well', 'touch /srv/o; chown 5:5 /srv/o');
$user->put(subuid => "rl:500000:200000\n");
$user->put(subgid => "rl:500000:200000\n");
$d->restart;
ok(wait_for(20, sub { $d->ok('sandbox.get', { id => 'well' })->{state} eq 'running' }), 'it starts');
is(ids('well')->{count}, 65536, 'with other ids, a whole range now');
is(out('well', 'touch /srv/p && chown 60000:65535 /srv/p && stat -c %u:%g /srv/p'), "60000:65535\n",
    'all of them can be used');
like(slurp($d->{log}), qr/its ids are lent to us no more/, 'the log says so');

ok($d->stop, 'it ends in order');
is(join("\n", $d->leftovers), '', 'and leaves nothing');
done_testing;
