# Bind mounts: read-only, read-write, and private copies.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
my $host = Sandboxd->scratch_dir;

mkdir("$host/$_") for qw(ro rw cow cow/sub);
spew("$host/ro/f", "ro\n");
spew("$host/rw/f", "rw\n");
spew("$host/cow/f", "cow\n");
spew("$host/cow/sub/g", "g\n");
spew("$host/single", "one file\n");
symlink('/etc/shadow', "$host/ro/link");
chown(1000, 1000, "$host/rw", "$host/rw/f");

$d->ok('sandbox.create', { id => 'm', mounts => [
    { source => "$host/ro", target => '/mnt/ro' },
    { source => "$host/rw", target => '/mnt/rw', mode => 'rw' },
    { source => "$host/cow", target => '/data/deep/cow', mode => 'cow' },
    { source => "$host/single", target => '/etc/single' },
] });

is($d->sh('m', 'cat /mnt/ro/f')->{stdout}, "ro\n", 'ro: read');
isnt($d->sh('m', 'echo x >/mnt/ro/f')->{exit_code}, 0, 'ro: not written');
isnt($d->sh('m', 'rm -f /mnt/ro/f')->{exit_code}, 0, 'ro: not removed');
isnt($d->sh('m', 'touch /mnt/ro/new')->{exit_code}, 0, 'ro: not added to');
isnt($d->sh('m', 'mount -o remount,rw,bind /mnt/ro')->{exit_code}, 0,
    'ro: not remounted');
is(slurp("$host/ro/f"), "ro\n", 'ro: the host has what it had');
isnt($d->sh('m', 'cat /mnt/ro/link')->{exit_code}, 0,
    'ro: a link leads to the sandbox\'s own shadow, if anywhere');

is($d->sh('m', 'cat /mnt/rw/f; echo new >/mnt/rw/f; echo made >/mnt/rw/made')
    ->{exit_code}, 0, 'rw: read and written');
is(slurp("$host/rw/f"), "new\n", 'rw: the host has what was written');
is(slurp("$host/rw/made"), "made\n", 'rw: and what was made');
my ($uid) = (stat "$host/rw/made")[4];
is($uid, 1000, 'rw: what is made belongs to the owner of the directory')
    or diag('or to root if the kernel has no idmapped mounts');
is($d->sh('m', 'stat -c %u /mnt/rw/f')->{stdout}, "0\n",
    'rw: inside it belongs to the sandbox\'s user');
isnt($d->sh('m', 'mknod /mnt/rw/null c 1 3')->{exit_code}, 0,
    'rw: no device node');
$d->sh('m', 'cp /bin/true /mnt/rw/suid; chmod 4755 /mnt/rw/suid');
is(((stat "$host/rw/suid")[4] // 1000), 1000,
    'rw: no set-uid file that belongs to the host\'s root');

is($d->sh('m', 'cat /data/deep/cow/f; echo mine >/data/deep/cow/f; '
    . 'rm /data/deep/cow/sub/g; mkdir /data/deep/cow/d; '
    . 'echo h >/data/deep/cow/d/h; cat /data/deep/cow/f')->{stdout},
    "cow\nmine\n", 'cow: read and written');
is(slurp("$host/cow/f"), "cow\n", 'cow: the host has what it had');
ok(-e "$host/cow/sub/g" && !-e "$host/cow/d", 'cow: in every way');

is($d->sh('m', 'cat /etc/single')->{stdout}, "one file\n", 'a single file');
isnt($d->sh('m', 'echo x >/etc/single')->{exit_code}, 0, 'read-only as asked');

# Files survive a stop, and the mounts are there again.
$d->ok('sandbox.stop', { id => 'm' });
$d->ok('sandbox.start', { id => 'm' });
is($d->sh('m', 'cat /data/deep/cow/f /mnt/ro/f')->{stdout}, "mine\nro\n",
    'after stop and start');

# A target that the sandbox's own files turn into a trap.
$d->ok('sandbox.create', { id => 'trap', mounts => [
    { source => "$host/ro", target => '/opt/t/x', mode => 'ro' } ] });
$d->sh('trap', 'true');
$d->ok('sandbox.stop', { id => 'trap' });
my $root = "$d->{state}/sandboxes/trap";
SKIP: {
	my @upper = grep { -d } "$root/upper/opt/t", "$root/upper/opt";
	skip 'no upper directory with this name', 2 unless -d "$root/upper";
	run_cmd(['rm', '-rf', "$root/upper/opt/t"]);
	mkdir("$root/upper/opt");
	symlink('/', "$root/upper/opt/t");
	my $r = $d->request('sandbox.start', { id => 'trap' });
	ok(!-e '/x', 'a link in the way makes no mount point on the host');
	ok($r->{error} || $d->sh('trap', 'true')->{exit_code} == 0,
	    'it starts inside itself or not at all');
}

# A user who is not root inside.
$d->ok('sandbox.create', { id => 'u', user => '1000:1000', mounts => [
    { source => "$host/rw", target => '/w', mode => 'rw' },
    { source => "$host/cow", target => '/c', mode => 'cow' } ] });
is($d->sh('u', 'id -u; echo u >/w/by-user && echo c >/c/f && cat /c/f')->{stdout},
    "1000\nc\n", 'a user writes to what is theirs');
is((stat "$host/rw/by-user")[4] // -1, 1000, 'and the host sees the owner');

# Nothing on the host has moved.
my $now = Sandboxd::mounts();
my @new = grep { !$d->{mounts}{$_} && /sandboxd-t|\/mnt\/r/ } keys %$now;
is("@new", '', 'no mount shows on the host');

done_testing;
