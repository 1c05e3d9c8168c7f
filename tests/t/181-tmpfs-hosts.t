# tmpfs, hosts and hostname: right on the host's root and on a directory, and
# neither written to the image.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;

# --- tmpfs ---
my $rec = $d->ok('sandbox.create', { id => 'a', limits => { memory => '64M' }, tmpfs => [
    { target => '/srv/one', size => '1M', inodes => 20, mode => '0750', exec => JSON::PP::false },
    { target => '/srv/two/three/', size => 2097152 },
    { target => '/tmp', size => '3M' },
] });
is_deeply($rec->{tmpfs}[0], { target => '/srv/one', size => 1 << 20, inodes => 20, mode => '0750',
    exec => JSON::PP::false }, 'the record has it');
is($rec->{tmpfs}[1]{target}, '/srv/two/three', 'targets are clean');
my $r = $d->sh('a', 'for t in /srv/one /srv/two/three /tmp; do '
    . 'findmnt -n -o FSTYPE,OPTIONS $t | tail -n 1; stat -c "%a %u" $t; done');
my @l = split /\n/, $r->{stdout};
like($l[0], qr/^tmpfs.*nosuid.*nodev.*noexec.*size=1024k.*nr_inodes=20/, 'size, inodes, no exec');
is($l[1], '750 0', 'mode');
like($l[2], qr/^tmpfs.*nosuid,nodev.*size=2048k/, 'another');
unlike($l[2], qr/noexec/, 'where programs may be run');
is($l[3], '1777 0', 'open to all unless told');
like($l[4], qr/size=3072k/, '/tmp too');
$r = $d->sh('a', 'head -c 9M /dev/zero >/srv/one/f; stat -c %s /srv/one/f; '
    . 'for i in $(seq 40); do echo >/srv/one/$i; done 2>/dev/null; ls /srv/one | wc -l; '
    . 'cp /bin/true /srv/two/three; /srv/two/three/true && echo runs; '
    . 'rm /srv/one/*; cp /bin/true /srv/one; /srv/one/true || echo does not');
is_deeply([split /\n/, $r->{stdout}], [1 << 20, 19, 'runs', 'does not'], 'and all that holds');
$r = $d->ok('sandbox.get', { id => 'a' })->{usage};
# What lies there is the sandbox's memory.
my $before = $d->ok('sandbox.get', { id => 'a' })->{usage}{memory};
$d->sh('a', 'head -c 2M /dev/urandom >/srv/two/three/f');
my $after = $d->ok('sandbox.get', { id => 'a' })->{usage}{memory};
ok($after - $before > 1 << 20, 'it counts as memory of the sandbox');
$d->ok('sandbox.stop', { id => 'a' });
$d->ok('sandbox.start', { id => 'a' });
is($d->sh('a', 'ls /srv/one /srv/two/three | grep -v :; findmnt -n -o SIZE /srv/one')->{stdout} =~ s/\s//gr,
    '1M', 'after a restart it is there, and empty');
for my $bad ([{ target => 'x' }], [{ target => '/' }], [{ target => '/proc/x' }], [{ target => '/a/../b' }],
    [{ target => '/dev/shm' }], [{ target => '/a', mode => '7777' }], [{ target => '/a', mode => '9' x 3 }],
    [{ target => '/a', size => -1 }], [{ target => '/a', size => 12 }], [{ target => '/a', what => 1 }],
    [{ target => '/a' }, { target => '/a/' }], [{}], ['x'], [map { { target => "/a$_" } } 1 .. 17]) {
	like($d->error('sandbox.create', { id => 'bad', tmpfs => $bad }), qr/^(bad_request|mount_refused)$/,
	    'refused: ' . to_json($bad));
}
is($d->ok('sandbox.list')->{total}, 1, 'and nothing was made');

# --- hosts ---
need_program('busybox');
my $busybox = (grep { -x } map { "$_/busybox" } split /:/, $ENV{PATH})[0];
sub image {
	my ($dir) = Sandboxd->scratch_dir;
	mkdir("$dir/$_") for qw(bin tmp);
	run_cmd(['cp', $busybox, "$dir/bin/busybox"]);
	link("$dir/bin/busybox", "$dir/bin/$_") for qw(sh cat uname);
	Sandboxd::lend_libraries($dir);
	return $dir;
}
my $image = image();
mkdir("$image/etc");
spew("$image/etc/passwd", "root:x:0:0::/:/bin/sh\n");
my %kinds = (host => {}, directory => { image => $image });
for my $kind (sort keys %kinds) {
	$d->ok('sandbox.create', { id => $kind, hostname => 'box-1', %{$kinds{$kind}},
	    hosts => { db => '10.1.2.3', 'www.example.com' => '2001:db8::1' } });
	my $o = $d->sh($kind, 'cat /etc/hosts');
	my $h = $o->{stdout} // diag(to_json($o)) // '';
	like($h, qr/^127\.0\.0\.1\tlocalhost$/m, "$kind: localhost");
	like($h, qr/^127\.0\.1\.1\tbox-1$/m, "$kind: its own name");
	like($h, qr/^10\.1\.2\.3\tdb$/m, "$kind: a name of ours");
	like($h, qr/^2001:db8::1\twww\.example\.com$/m, "$kind: and one of version 6");
	is($d->sh($kind, 'cat /etc/hostname; uname -n')->{stdout}, "box-1\nbox-1\n", "$kind: host name");
}
is($d->sh('host', 'getent hosts db')->{stdout} =~ s/\s+/ /gr, '10.1.2.3 db ', 'which are found');
is(join(' ', map { s{.*/}{}r } glob("$image/etc/*")), 'passwd', 'the image is as it was');
$d->ok('sandbox.create', { id => 'plain' });
is(scalar(() = $d->sh('plain', 'cat /etc/hosts')->{stdout} =~ /\n/g), 3, 'without names: three lines');
$d->ok('sandbox.create', { id => 'net', network => 'host' });
is($d->sh('net', 'cat /etc/hosts')->{stdout}, slurp('/etc/hosts'), 'on the host\'s network: the host\'s');
# A mount that was asked for is what is seen.
my $mine = Sandboxd->scratch_dir;
spew("$mine/hosts", "mine\n");
$d->ok('sandbox.create', { id => 'mine', mounts => [{ source => "$mine/hosts", target => '/etc/hosts' }] });
is($d->sh('mine', 'cat /etc/hosts')->{stdout}, "mine\n", 'a mount over it');
# A hostile image: a link that leads to the host.
my $evil = image();
symlink("$mine", "$evil/etc");
$d->ok('sandbox.create', { id => 'evil', image => $evil, hosts => { x => '1.2.3.4' } });
is(slurp("$mine/hosts"), "mine\n", 'a link in an image leads nowhere outside');
is(join(' ', map { s{.*/}{}r } glob("$mine/*")), 'hosts', 'and nothing is made there');
for my $bad ({ 'a b' => '1.2.3.4' }, { a => 'b' }, { a => "1.2.3.4\n5.6.7.8 c" }, { "a\n" => '1.2.3.4' },
    { a => 1 }, { '-a' => '1.2.3.4' }, { a => '' }, { ('a' x 254) => '1.2.3.4' }, []) {
	is($d->error('sandbox.create', { id => 'bad', hosts => $bad }), 'bad_request', 'refused: ' . to_json($bad));
}

# --- the client ---
my $c = $d->ctl([qw(create ctl --tmpfs /srv/x:4M --tmpfs /srv/y --host db=10.0.0.1)]);
is($c->{status}, 0, 'sandboxctl create') or diag($c->{err});
is($d->sh('ctl', 'findmnt -n -o SIZE /srv/x; getent hosts db')->{stdout} =~ s/\s+/ /gr =~ s/^ //r, '4M 10.0.0.1 db ',
    '--tmpfs and --host');
done_testing;
