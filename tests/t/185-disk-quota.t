# limits.disk by project quota: where the file system of the state directory has
# them, a sandbox needs no image, and its limit can be changed while it runs.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
need_program('mke2fs');
my $dir = Sandboxd->scratch_dir;
my $at = "$dir/fs";
mkdir($at);
run_cmd(['truncate', '-s', '400M', "$dir/image"]);
run_cmd(['mke2fs', '-q', '-F', '-t', 'ext4', '-O', 'quota,project', '-E', 'quotatype=prjquota',
    "$dir/image"])->{status} == 0 or plan(skip_all => 'this mke2fs knows no project quotas');
my $got = run_cmd(['mount', '-o', 'loop,prjquota', "$dir/image", $at]);
plan(skip_all => 'this kernel has no project quotas on ext4 (CONFIG_QFMT_V2)') if $got->{status} != 0;
END { my $s = $?; run_cmd(['umount', $at]) if defined $at && $got && !$got->{status}; $? = $s }

my $d = Sandboxd->start(state => "$at/state");
is($d->ok('status')->{disk_by}, 'projectquota', 'this is found');
my $fill = 'head -c 100M /dev/zero >/big 2>/tmp/err; stat -c %s /big; cat /tmp/err; rm /big';
my $rec = $d->ok('sandbox.create', { id => 'a', limits => { disk => '32M', inodes => 500 } });
is($rec->{disk_by}, 'projectquota', 'the record says so');
ok(!-e "$d->{state}/sandboxes/a/disk", 'there is no image');
my $r = $d->sh('a', $fill);
ok($r->{stdout} =~ /^(\d+)/ && $1 > 28 << 20 && $1 <= 32 << 20, 'no more than its disk');
like($r->{stdout}, qr/quota exceeded|No space left/, 'which it is told');
ok($rec->{usage}{disk_free} <= 32 << 20, 'what is free');
$r = $d->exec('a', ['perl', '-e', 'mkdir "/m"; my $i = 0; $i++ while $i < 2000 && open(my $f, ">", "/m/$i"); print $i']);
ok($r->{stdout} > 450 && $r->{stdout} <= 500, "nor than its files ($r->{stdout})");
$d->sh('a', 'rm -rf /m; echo kept >/kept');
isnt($d->exec('a', ['chattr', '-p', '0', '/kept'])->{exit_code}, 0, 'it cannot leave its project');
$d->ok('sandbox.create', { id => 'b' });
is($d->sh('b', $fill)->{stdout}, (100 << 20) . "\n", 'one without a limit has none');
$d->ok('sandbox.create', { id => 'c', limits => { disk => '64M' } });
$r = $d->sh('c', $fill);
ok($r->{stdout} =~ /^(\d+)/ && $1 > 58 << 20 && $1 <= 64 << 20, 'each has its own');
$d->ok('sandbox.update', { id => 'a', limits => { disk => '48M' } });
$r = $d->sh('a', $fill);
ok($r->{stdout} =~ /^(\d+)/ && $1 > 44 << 20 && $1 <= 48 << 20, 'it grows while it runs');
$d->restart('KILL');
ok(wait_for(20, sub { $d->ok('sandbox.get', { id => 'a' })->{state} eq 'running' }), 'after a restart');
$r = $d->sh('a', "cat /kept; $fill");
ok($r->{stdout} =~ /^kept\n(\d+)/ && $1 <= 48 << 20, 'it holds, and its files are there');
$d->ok('sandbox.destroy', { id => $_ }) for qw(a b c);
# The number of a project that has gone bounds nobody.
$d->ok('sandbox.create', { id => 'e' });
is($d->sh('e', $fill)->{stdout}, (100 << 20) . "\n", 'who comes after has no limit');
$d->ok('sandbox.destroy', { id => 'e' });
$d->stop;
done_testing;
