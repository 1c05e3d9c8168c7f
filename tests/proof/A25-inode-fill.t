# A25: empty files until no more go: the sandbox's own number of them ends first.
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
my @fill = ('perl', '-e', 'mkdir "/m"; my $n = 0; $n++ while $n < 6000 && mknodish("/m/$n"); print $n; '
    . 'sub mknodish { open(my $f, ">", $_[0]) }');
$d->ok('sandbox.create', { id => 'open' });
is($d->exec('open', \@fill, timeout_ms => 60000)->{stdout}, 6000, 'without a limit: 6,000 files');
$d->ok('sandbox.destroy', { id => 'open' });

sub inodes { my (undef, $used) = split ' ', (split /\n/, `df --output=itotal,iused $d->{state}`)[1]; $used }
$d->ok('sandbox.create', { id => 'bad', limits => { disk => '64M', inodes => 2000 } });
my $before = inodes();
my $n = $d->exec('bad', \@fill, timeout_ms => 60000)->{stdout};
ok($n > 1900 && $n <= 2048, "with one of 2,000: $n files");
my $took = inodes() - $before;
# Others use this disk as well; an image takes none at all.
diag("the host lost $took inodes");
ok(wait_for(20, sub { grep { $_ eq 'inodes' } limit_events($d, 'bad') }), 'its log says so');
my $use = $d->ok('sandbox.get', { id => 'bad' })->{usage};
ok($use->{disk_free} > 30 << 20, 'though there are bytes left');
ok($use->{inodes_free} == 0, 'and no files');
my $mine = () = `find $d->{state}/sandboxes/bad | head -5000` =~ /\n/g;
ok($mine < 10, "the host has $mine files of it") if $s->{disk_by} eq 'image';
is($d->sh('bad', 'rm -rf /m; echo x >/f; cat /f')->{stdout}, "x\n", 'removed they are free again');
done_testing;
