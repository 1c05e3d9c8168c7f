# limits.disk and limits.inodes: held to, kept over stop, crash and restart,
# refused where they cannot be, and changed by nobody.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
my $by = $d->ok('status')->{disk_by};
like($by, qr/^(projectquota|image|none)$/, "this host: $by");
if ($by eq 'none') {
	is($d->error('sandbox.create', { id => 'a', limits => { disk => '64M' } }),
	    'isolation_unavailable', 'a limit that cannot be held to is refused');
	done_testing;
	exit;
}

sub loops { my $n = () = (`losetup -a` =~ /\Q$d->{state}\E/g); $n }
my $image = "$d->{state}/sandboxes/a/disk";

my $rec = $d->ok('sandbox.create', { id => 'a', limits => { disk => '64M', inodes => 1000 } });
is($rec->{disk_by}, $by, 'the record says how');
is_deeply([@{$rec->{limits}}{qw(disk inodes)}], [64 << 20, 1000], 'and how much');
my $use = $rec->{usage};
ok($use->{disk_used} < 4 << 20 && $use->{disk_free} > 40 << 20
    && $use->{disk_free} <= 64 << 20, 'what is used and free');
ok($use->{inodes_used} < 50 && $use->{inodes_free} > 900
    && $use->{inodes_free} <= 1024, 'files too');
unlike(slurp('/proc/self/mountinfo'), qr/\Q$d->{state}\E/, 'no mount of it in our table');
unlike(slurp("/proc/$d->{pid}/mountinfo"), qr/loop/, 'nor in the daemon\'s');

# Bytes.
my $r = $d->sh('a', 'head -c 200M /dev/zero >/big; stat -c %s /big');
like($r->{stderr}, qr/No space left|quota exceeded/, 'no more than its disk');
my ($wrote) = $r->{stdout} =~ /^(\d+)/;
ok($wrote > 40 << 20 && $wrote <= 64 << 20, 'and no less, about (' . ($wrote >> 20) . ' MiB)');
ok(wait_for(20, sub {
	grep { $_->{event} eq 'limit' && ($_->{limit} // '') eq 'disk' }
	    @{$d->ok('sandbox.events', { id => 'a' })->{events}}
}), 'an event tells of it');
is($d->sh('a', 'rm /big && echo x >/small && cat /small')->{stdout}, "x\n", 'there is room again');

# Files.
$r = $d->exec('a', ['perl', '-e', 'mkdir "/m"; my $i = 0; '
    . '$i++ while $i < 5000 && open(my $f, ">", "/m/$i"); print $i']);
ok($r->{stdout} > 800 && $r->{stdout} <= 1024, "no more than its files ($r->{stdout})");
ok(wait_for(20, sub {
	grep { $_->{event} eq 'limit' && ($_->{limit} // '') eq 'inodes' }
	    @{$d->ok('sandbox.events', { id => 'a' })->{events}}
}), 'an event tells of that too');
$d->sh('a', 'rm -rf /m; echo kept >/kept; chmod 640 /kept; chown 7:8 /kept');

# Cow mounts count.
my $src = Sandboxd->scratch_dir;
spew("$src/f", "theirs\n");
$d->ok('sandbox.create', { id => 'c', limits => { disk => '32M' },
    mounts => [{ source => $src, target => '/src', mode => 'cow' }] });
$r = $d->sh('c', 'head -c 100M /dev/zero >/src/big; echo mine >/src/f 2>/dev/null; '
    . 'stat -c %s /src/big');
ok($r->{stdout} <= 32 << 20, 'what a cow mount holds counts');
is(slurp("$src/f"), "theirs\n", 'and the source is as it was');
$d->ok('sandbox.destroy', { id => 'c' });

# It stays over stop and start, a crash of its init, and one of ours.
for my $how ('stop and start', 'a death of its init', 'a restart of the daemon',
    'a killed daemon') {
	if ($how =~ /^stop/) {
		$d->ok('sandbox.stop', { id => 'a' });
		is(loops(), 0, 'stopped: nothing is attached') if $by eq 'image';
		$d->ok('sandbox.start', { id => 'a' });
	} elsif ($how =~ /init/) {
		my ($init) = $d->children(qr/init\W+a\b/);
		kill KILL => $init;
		wait_for(20, sub {
			my $g = $d->ok('sandbox.get', { id => 'a' });
			$g->{state} eq 'running' && $g->{pid} != $init
		}) or fail('it came back');
	} elsif ($how =~ /killed/) {
		$d->restart('KILL');
	} else {
		$d->restart;
	}
	wait_for(20, sub { $d->ok('sandbox.get', { id => 'a' })->{state} eq 'running' });
	is($d->sh('a', 'cat /kept; stat -c "%a %u %g" /kept')->{stdout},
	    "kept\n640 7 8\n", "$how: its files are there");
	$r = $d->sh('a', 'head -c 200M /dev/zero >/big; stat -c %s /big; rm /big');
	ok($r->{stdout} > 40 << 20 && $r->{stdout} <= 64 << 20, "$how: its limit holds");
}

# Nobody changes it.
if ($by eq 'image') {
	is($d->error('sandbox.update', { id => 'a', limits => { disk => '128M' } }),
	    'sandbox_state', 'an image keeps its size');
	ok(-e $image && (stat _)[7] == 64 << 20, 'which is the size of a file');
	ok((stat $image)[12] * 512 < 64 << 20, 'that is sparse');
	is((stat $image)[2] & 07777, 0600, 'and ours alone');
	is($d->sh('a', 'ls -d /disk /dev/loop* 2>/dev/null; true')->{stdout}, '',
	    'inside there is no image and no loop device');
}
for my $bad ({ disk => '1M' }, { disk => 'much' }, { inodes => 1000 }, { disk => '64M', inodes => 3 },
    { disk => -1 }, { disk => '17T' }, { disk => [] }) {
	is($d->error('sandbox.create', { id => 'bad', limits => $bad }), 'bad_request', 'refused: ' . to_json($bad));
}
ok(!-e "$d->{state}/sandboxes/bad", 'and nothing is left of those');
is($d->error('sandbox.update', { id => 'a', limits => { disk => 0, inodes => 0 } }),
    'sandbox_state', 'a limit cannot be taken away');

# Many at once; destroying leaves nothing.
my @c = map { my $c = $d->client; [$c, $c->send('sandbox.create', { id => "m$_",
    limits => { disk => '32M' } })] } 1 .. 6;
is(scalar(grep { $_->[0]->finish($_->[1])->{ok} } @c), 6, 'six at once');
$d->ok('sandbox.destroy', { id => "m$_" }) for 1 .. 6;
$d->ok('sandbox.destroy', { id => 'a' });
# A large one goes by way of the trash.
$d->ok('sandbox.create', { id => 'l', limits => { disk => '400M' } });
$d->sh('l', 'head -c 300M /dev/zero >/big; sync');
$d->ok('sandbox.destroy', { id => 'l' });
is(join(' ', glob("$d->{state}/sandboxes/* $d->{state}/trash/*")), '', 'destroyed: no files');
ok(wait_for(10, sub { loops() == 0 }), 'and no loop device');
done_testing;
