# Limits that a host cannot hold a sandbox to are refused, with the reason, and so
# is what stands in the way of attaching a disk; nothing is left of any of it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(sleep);

need_root();

# --- no mke2fs: no image ---
my $none = Sandboxd->start(wrap => ['unshare', '-m', 'sh', '-c',
    'for p in /usr/sbin/mke2fs /sbin/mke2fs; do mount --bind /dev/null $p 2>/dev/null; done; exec "$@"', 'sh']);
my $s = $none->ok('status');
SKIP: {
	skip 'project quotas need no mke2fs', 4 if $s->{disk_by} eq 'projectquota';
	is($s->{disk_by}, 'none', 'without mke2fs there is no image');
	like($s->{disk_missing}, qr/mke2fs/, 'and it says so');
	my $r = $none->request('sandbox.create', { id => 'a', limits => { disk => '64M' } });
	is($r->{error}{code}, 'isolation_unavailable', 'a limit of the disk is refused');
	like($r->{error}{detail}, qr/limits\.disk.*mke2fs/, 'with the reason');
}
is($none->ok('sandbox.create', { id => 'b' })->{state}, 'running', 'others are made');
$none->stop;

# --- an ordinary user ---
my $uid = 54322;
my $reach = run_cmd(['setpriv', "--reuid=$uid", "--regid=$uid", '--clear-groups', program('sandboxd'), '--version']);
SKIP: {
	skip 'the build directory is not open to other users', 3 if $reach->{status} != 0;
	my $d = eval { Sandboxd->start(uid => $uid) } // skip 'it does not start here', 3;
	is($d->ok('status')->{disk_by}, 'none', 'rootless: none');
	my $r = $d->request('sandbox.create', { id => 'a', limits => { disk => '64M' } });
	is($r->{error}{code}, 'isolation_unavailable', 'and refused');
	like($r->{error}{detail}, qr/not root/, 'with the reason');
	my $t = $d->request('sandbox.create', { id => 't', tmpfs => [{ target => '/srv/x', size => '1M' }],
	    hosts => { db => '10.0.0.1' } });
	if ($t->{ok}) {
		is($d->sh('t', 'findmnt -n -o SIZE /srv/x; grep -c db /etc/hosts')->{stdout} =~ s/\s//gr, '1M1',
		    'tmpfs and hosts are had');
	}
}

# --- what goes wrong on the way ---
my $d = Sandboxd->start(conf => "[sandbox]\nstart_time = 4s\n", http => 1);
plan_or_done() if $d->ok('status')->{disk_by} ne 'image';
sub plan_or_done { done_testing; exit }
sub loops { my $n = () = (`losetup -a` =~ /\Q$d->{state}\E/g); $n }
$d->ok('sandbox.create', { id => 'a', limits => { disk => '32M' } });
$d->sh('a', 'echo kept >/kept; sync');
$d->ok('sandbox.stop', { id => 'a' });
my $image = "$d->{state}/sandboxes/a/disk";

# Somebody holds the image: a second mount of it would destroy it.
open(my $held, '+<', $image) or die;
flock($held, 2) or die;
my $r = $d->request('sandbox.start', { id => 'a' });
ok($r->{error}, 'an image that is in use is not mounted twice');
like($r->{error}{detail}, qr/image/, 'and that is said');
is($d->ok('status')->{state}, 'running', 'the daemon waits for nobody');
close($held);
ok(wait_for(20, sub { $d->request('sandbox.start', { id => 'a' })->{ok} }),
    'let go, it starts');
is($d->sh('a', 'cat /kept')->{stdout}, "kept\n", 'with its files');

# Destroyed, and the daemon stopped, while it waits.
$d->ok('sandbox.stop', { id => 'a' });
open($held, '+<', $image) or die;
flock($held, 2) or die;
my $c = $d->client;
my $id = $c->send('sandbox.start', { id => 'a' });
sleep 0.3;
$d->ok('sandbox.destroy', { id => 'a' });
ok($c->finish($id)->{error}, 'a start under way is told of a destroy');
close($held);
ok(!-e $image, 'and its files are gone');

# A damaged image: the start fails, says why, and harms nobody.
$d->ok('sandbox.create', { id => 'b', limits => { disk => '32M' } });
$d->ok('sandbox.stop', { id => 'b' });
spew("$d->{state}/sandboxes/b/disk", 'x' x 65536);
$r = $d->request('sandbox.start', { id => 'b' });
like($r->{error}{detail} // '', qr/mount the disk image/, 'a damaged image is not mounted') or diag(to_json($r));
is($d->ok('sandbox.get', { id => 'b' })->{state}, 'error', 'the record says error');
$d->ok('sandbox.destroy', { id => 'b' });

# Ten that are made and broken off at once, and a kill in the middle.
for my $round (1 .. 3) {
	my @c = map { my $c = $d->client; $c->send('sandbox.create', { id => "k$round-$_",
	    limits => { disk => '32M' } }); $c } 1 .. 5;
	sleep 0.02 * $round;
	$d->restart('KILL');
}
ok(wait_for(20, sub { !grep { $_->{state} eq 'creating' } @{$d->ok('sandbox.list')->{sandboxes}} }),
    'killed in the middle of creates it comes back');
for (@{$d->ok('sandbox.list')->{sandboxes}}) {
	my $o = $d->sh($_->{id}, 'echo x >/f && df -m / | awk "END { print \$2 }"');
	ok(($o->{stdout} // '') =~ /^(\d+)$/ && $1 < 33, "$_->{id} is whole, and limited")
	    or diag(to_json([$_, $o]));
	$d->ok('sandbox.destroy', { id => $_->{id} });
}
is(join(' ', glob("$d->{state}/sandboxes/*")), '', 'nothing is left on the disk');
ok(wait_for(10, sub { loops() == 0 }), 'nor attached');

# --- the other doors ---
my $h = $d->http(POST => '/v1/sandboxes', json => { image => { uri => 'host' }, entrypoint => ['tail', '-f', '/dev/null'],
    resourceLimits => { cpu => '1' }, sandboxd => { id => 'h', limits => { disk => '32M', idle => '1h' },
    tmpfs => [{ target => '/srv/x', size => '1M' }], hosts => { db => '10.0.0.1' } } });
is($h->{status}, 202, 'over HTTP') or diag(to_json($h));
wait_for(20, sub { $d->ok('sandbox.get', { id => 'h' })->{state} eq 'running' });
$h = $d->http(GET => '/v1/sandboxes/h')->{json}{sandboxd};
is_deeply([$h->{limits}{disk}, $h->{limits}{idle}, $h->{disk_by}, $h->{hosts}{db}, $h->{tmpfs}[0]{target}],
    [32 << 20, 3600, 'image', '10.0.0.1', '/srv/x'], 'and it tells of them');
$h = $d->http(POST => '/v1/sandboxes', json => { image => { uri => 'host' }, entrypoint => ['tail', '-f', '/dev/null'],
    resourceLimits => {}, sandboxd => { hosts => { db => 1 } } });
is($h->{status}, 422, 'what is wrong is refused there too');
my $ctl = $d->ctl([qw(create c --disk 32M --inodes 500 --idle 1h --pids 50)]);
is($ctl->{status}, 0, 'sandboxctl create --disk --inodes --idle') or diag($ctl->{err});
is_deeply([@{$d->ok('sandbox.get', { id => 'c' })->{limits}}{qw(disk inodes idle)}], [32 << 20, 500, 3600],
    'asks for them');
like($d->ctl([qw(create x --disk much)])->{err}, qr/--disk.*no size/, 'and says what is no size');
done_testing;
