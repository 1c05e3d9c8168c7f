# A24: writing until nothing goes any more ends at the limit of the disk; the host
# loses no more than that, and the store commits.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Bounds;
use Test::More;

need_root();
my $d = Sandboxd->start;
my $s = $d->ok('status');
plan(skip_all => "no limit of the disk here: $s->{disk_missing}") if $s->{disk_by} eq 'none';

my $src = Sandboxd->scratch_dir;
my @fill = ('sh', '-c', 'head -c 120M /dev/zero >/a 2>/dev/null; head -c 120M /dev/zero >/src/b 2>/dev/null; '
    . 'head -c 120M /dev/urandom >/var/tmp/c 2>/dev/null; sync; '
    . 'stat -c %s /a /src/b /var/tmp/c 2>/dev/null | { t=0; while read n; do t=$((t+n)); done; echo $t; }');
my @cow = (mounts => [{ source => $src, target => '/src', mode => 'cow' }]);
sub used { my ($k) = split ' ', `du -sk $d->{state}/sandboxes`; return $k * 1024 }

$d->ok('sandbox.create', { id => 'open', @cow });
my $r = $d->exec('open', \@fill, timeout_ms => 60000);
is($r->{stdout} + 0, 360 << 20, 'without a limit: 360 MiB');
$d->ok('sandbox.destroy', { id => 'open' });

$d->ok('sandbox.create', { id => 'bad', limits => { disk => '96M' }, @cow });
my $before = used();
$r = $d->exec('bad', \@fill, timeout_ms => 60000);
ok($r->{stdout} <= 96 << 20, 'with one of 96: ' . ($r->{stdout} >> 20) . ' MiB');
ok($r->{stdout} >= 70 << 20, 'nearly all of it');
ok(used() - $before <= 97 << 20, 'the host has lost no more');
ok(wait_for(20, sub { grep { $_ eq 'disk' } limit_events($d, 'bad') }), 'its log says so');
like($d->sh('bad', 'head -c 9000 /dev/zero >/more')->{stderr}, qr/No space left|quota/, 'it is full');

# Everybody else goes on.
$d->ok('sandbox.create', { id => 'good' });
is($d->sh('good', 'head -c 20M /dev/zero >/a; stat -c %s /a')->{stdout}, (20 << 20) . "\n", 'a neighbour writes');
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'bad' });
is(($d->turn('s', 'hello'))[-1]{type}, 'turn.ended', 'the store commits, even what a full sandbox says');
is($d->sh('bad', 'rm -f /a /src/b /var/tmp/c; echo x >/more && cat /more')->{stdout}, "x\n",
    'what is removed is free again');
if ($s->{disk_by} eq 'image') {
	ok(wait_for(30, sub { $d->sh('bad', 'sync'); used() - $before < 30 << 20 }), 'on the host too');
}
# Below the reserve nobody is let in.
my $disk = Sandboxd->scratch_dir;
my $owner = $$;
END { system('umount', '-l', $disk) if $disk && $$ == $owner }
is(system('mount', '-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', $disk), 0, 'a small disk');
my $tight = Sandboxd->start(state => "$disk/state");
$tight->ok('sandbox.create', { id => 'y' });
system("head -c 60M /dev/zero >$disk/fill");
is($tight->error('sandbox.create', { id => 'x' }), 'limit', 'below the reserve none is made');
unlink("$disk/fill");
is($tight->error('sandbox.create', { id => 'x' }), '', 'above it, one is');
$tight->stop;
done_testing;
