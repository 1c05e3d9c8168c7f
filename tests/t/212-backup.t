# A backup is taken while sessions write, and holds what was acknowledged before
# it began; what restores it looks at it first and changes nothing if in doubt.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start;
my $dir = $d->scratch_dir;
my $file = "$dir/backup.mdb";

$d->ok('session.create', { id => 's', agent => 'mock' });
$d->turn('s', "turn $_") for 1 .. 3;
$d->ok('sandbox.pause', { id => 'default' });
$d->ok('sandbox.resume', { id => 'default' });
my @before = $d->event_texts('s');

# --- while others write ---------------------------------------------------------------

my $other = $d->client;
my $id = $other->send('session.prompt', { id => 's', text => 'flood 4000',
    stream => \1 });
my $r = $d->ctl(['backup', $file]);
is($r->{status}, 0, 'backup') or diag($r->{err});
ok(-s $file, 'a file');
is((stat $file)[2] & 0777, 0600, 'for its owner only');
opendir(my $dh, $dir) or die;
is(join(' ', grep { /^\./ && !/^\.\.?$/ } readdir $dh), '', 'nothing beside it');
my $done = $other->finish($id, timeout => 60);
ok($done->{ok}, 'the turn went on');
is(from_json($d->ctl(['--json', 'backup', $file])->{out})->{bytes}, -s $file,
    'again, in its place');

# --- what is refused --------------------------------------------------------------------

isnt($d->ctl(['backup', "$dir/none/x"])->{status}, 0, 'no directory');
isnt($d->ctl(['backup', $dir])->{status}, 0, 'a directory');
is($d->error('backup', { fds => 1 }), 'bad_request', 'no descriptor');
my $size = -s $file;
my $full = $d->scratch_dir . '/small';
mkdir $full;
SKIP: {
	skip 'no tmpfs', 3 if system('mount', '-t', 'tmpfs', '-o', 'size=64k', 'none', $full);
	my $r = $d->ctl(['backup', "$full/b"]);
	isnt($r->{status}, 0, 'no room for it');
	like($r->{err}, qr/disk_full|No space/, 'which is said');
	is(join(' ', glob("$full/* $full/.[a-z]*")), '', 'nothing stays');
	system('umount', $full);
}
$d->turn('s', 'all goes on');

# --- restoring --------------------------------------------------------------------------

sub restore {
	my ($d, @args) = @_;
	return run_cmd([$d->argv('--restore', @args)]);
}
$r = restore($d, $file);
isnt($r->{status}, 0, 'not while it runs');
like($r->{err}, qr/pid|running|instance/, 'which is said');
my @now = $d->event_texts('s');
$d->stop;
$r = restore($d, $file);
isnt($r->{status}, 0, 'not over a database');
like($r->{err}, qr/--force/, 'unless told to');

# Things that are no backups of ours.
sub is_refused {
	my ($what, $bytes) = @_;
	spew("$dir/bad", $bytes);
	my $r = restore($d, "$dir/bad", '--force');
	isnt($r->{status}, 0, "$what is refused") or diag($r->{out});
	like($r->{err}, qr/^sandboxd: restore /m, 'with a reason');
	ok(!-e "$d->{state}/store.new", 'nothing stays');
}
my $good = slurp($file);
is_refused('nothing', '');
is_refused('noise', pack('C*', map { ($_ * 7919) % 251 } 1 .. 20000));
is_refused('a piece', substr($good, 0, length($good) / 2));
is_refused('one with holes', do { my $x = $good;
    substr($x, $_ * 4096, 4096, "\xee" x 4096) for 3 .. 12; $x });
isnt(restore($d, "$dir/none", '--force')->{status}, 0, 'no file');
is(join('', glob("$d->{state}/store.before*")), '', 'the database is where it was');
$d->launch;
is_deeply([ $d->event_texts('s') ], \@now, 'and whole');
$d->stop;

$r = restore($d, $file, '--force');
is($r->{status}, 0, 'restore') or diag($r->{err});
my ($aside) = glob("$d->{state}/store.before-*");
ok($aside && -s "$aside/data.mdb", 'the former database is kept');
$d->launch;
my @all = $d->event_texts('s');
cmp_ok(scalar(@all), '>', scalar(@before) + 3000, 'all that was stored then');
cmp_ok(scalar(@all), '<', scalar(@now), 'and nothing from later');
is_deeply([ @all[0 .. $#before] ], \@before, 'as it was');
like(join(' ', map { $_->{event} } @{$d->ok('sandbox.events',
    { id => 'default' })->{events}}), qr/paused resumed/, 'logs of sandboxes too');
$d->ok('session.create', { id => 'after', agent => 'mock' });
$d->turn('after', 'it works');
$d->stop;

# On a new host: there is nothing to keep aside.
my $new = Sandboxd->start(no_launch => 1);
is(restore($new, $file)->{status}, 0, 'restore to an empty state directory');
ok(!-e "$new->{state}/store.new", 'nothing is left over');
$new->launch;
is_deeply([ ($new->event_texts('s'))[0 .. $#before] ], \@before, 'the same there');
$new->stop;
done_testing();
