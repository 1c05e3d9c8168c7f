# A full disk refuses new work with a clear error, loses nothing that was
# acknowledged, and everything goes on by itself when there is room again.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
# The daemon's own small disk.
my $disk = File::Temp::tempdir('sandboxd-t.XXXXXXXX', TMPDIR => 1);
my $mounted = !system('mount', '-t', 'tmpfs', '-o', 'size=48m,mode=755', 'none', $disk);
END { local $?; system('umount', '-l', $disk) if $mounted; rmdir $disk if $disk }
plan(skip_all => 'no tmpfs can be mounted here') unless $mounted;

my $d = Sandboxd->start(http => 1, state => "$disk/state",
    conf => "[store]\nmap_bytes = 1M\n[sandbox]\ndisk_reserve = 0\n");
sub fill {
	open(my $fh, '>', "$disk/filler") or die;
	1 while syswrite($fh, "\0" x 65536);
	1 while syswrite($fh, "\0" x 512);
	close($fh);
}
sub make_room { unlink "$disk/filler" or die }
sub post {
	my ($path, $json) = @_;
	return $d->http('POST', $path, json => $json);
}

$d->ok('session.create', { id => 's', agent => 'mock' });
$d->turn('s', "turn $_") for 1 .. 5;
my @before = $d->event_texts('s');
fill();

# Pages that are free already are used first: ask until there are none. What is
# refused is told so, and has left nothing.
my @good;
sub refused {
	my ($op, $look, %args) = @_;
	for my $n (1 .. 300) {
		my $id = "$op$n" =~ tr/./-/r;
		my $r = $d->request($op, { %args, ($look ? (id => $id) : ()) });
		if ($r->{ok}) { push @good, [ $look, $id ] if $look; next }
		return (undef, $r->{error}{code}) unless $look;
		return ($id, $r->{error}{code});
	}
	return ('', 'never');
}
for (['session.create', 'session.get', agent => 'mock'],
    ['sandbox.create', 'sandbox.get'], ['token.create', undef]) {
	my ($op, $look, %args) = @$_;
	my ($id, $code) = refused($op, $look, %args);
	is($code, 'disk_full', "$op is refused");
	like($d->error($look, { id => $id }), qr/_not_found$/, 'and leaves nothing') if $look;
}
sub web_refused {
	my ($path, $json) = @_;
	for (1 .. 300) {
		my $r = post(ref($path) ? $path->($_) : $path, $json);
		return $r->{status} if $r->{status} >= 300;
	}
	return 'never';
}
is(web_refused('/v1/sandboxes', { image => { uri => 'host' },
    entrypoint => ['sleep', '1000'], resourceLimits => {} }), 507, 'over HTTP with 507');
is(web_refused(sub { "/v1/sessions/web$_[0]" }, { agent => 'mock' }), 507,
    'a session over HTTP too');
is($d->ok('status')->{version} ne '', 1, 'who only looks is served');
is_deeply([ $d->event_texts('s') ], \@before, 'what was stored is there');
is($d->http('GET', '/v1/sessions/s/events')->{status}, 200, 'over HTTP too');

# With the store killed in the midst of it.
my ($store) = $d->children(qr/^sandboxd: store/);
ok($store, 'the store');
kill 'KILL', $store;
ok(wait_for(30, sub { my $r = $d->request('session.events', { id => 's' });
    $r->{ok} && @{$r->{items}} == @before }), 'a store that died reads again');

make_room();
ok(wait_for(60, sub { !$d->error('session.create', { id => 'later' . int(time * 1000),
    agent => 'mock' }) }), 'sessions are made again');
is($d->error('sandbox.create', { id => 'box' }), '', 'and sandboxes');
$d->turn('s', 'it goes on');
my @all = $d->event_texts('s');
is_deeply([ @all[0 .. $#before] ], \@before, 'nothing was lost');
is(Sandboxd::texts_flaw(@all), '', 'and numbers are whole');
is(scalar(grep { $d->error($_->[0], { id => $_->[1] }) } @good), 0,
    'all that were acknowledged are there: ' . @good);
$d->stop;
done_testing();
