# A sandbox's end: by its time, over restarts, changed, and taken away; and
# those that end with their stop.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start;

sub gone { return $d->error('sandbox.get', { id => $_[0] }) }
sub is_gone {
	my ($id) = @_;
	return !grep { $_->{id} eq $id } @{$d->ok('sandbox.list')->{sandboxes}};
}
sub dir { return "$d->{state}/sandboxes/$_[0]" }

# On time.
my $began = time;
my $got = $d->ok('sandbox.create', { id => 'e', timeout => 1 });
my $at = $got->{expires_at} / 1000;
ok(abs($at - $began - 1) < 0.5, 'expires_at is a second from now');
ok(wait_for(10, sub { is_gone('e') }), 'it goes');
my $late = time - $at;
ok($late > -0.05 && $late < 1.5 * Sandboxd::slow_factor(),
    "at its time ($late s after)");
like(gone('e'), qr/sandbox_not_found/, 'for good');
ok(wait_for(5, sub { !-e dir('e') }), 'with its files');
is(scalar(my @left = $d->children(qr/\binit\b.*\be\b/)), 0, 'and its processes');

# Ways to write it, right and wrong.
for my $t ('10m', '600', 600, '600s', '600000ms') {
	my $r = $d->ok('sandbox.create', { id => 'w', timeout => $t });
	ok(abs($r->{expires_at} - (time + 600) * 1000) < 5000, "timeout $t");
	$d->ok('sandbox.destroy', { id => 'w' });
}
for my $t ('x', '', -1, '10y', 1e30, 0.5, [], {}, '99999999999999999999', '1ms') {
	like($d->error('sandbox.create', { id => 'w', timeout => $t }),
	    qr/bad_request/, 'timeout ' . to_json($t) . ' is refused');
}
ok(is_gone('w') && !-e dir('w'), 'and nothing is made');
is($d->ok('sandbox.create', { id => 'w', timeout => 0 })->{expires_at}, undef,
    '0 is never');

# Renewed, changed, taken away.
like($d->error('sandbox.renew', { id => 'w', timeout => 60 }),
    qr/sandbox_state/, 'what never expires is not renewed');
like($d->error('sandbox.renew', { id => 'none', timeout => 60 }),
    qr/sandbox_not_found/, 'nor what is not there');
$got = $d->ok('sandbox.update', { id => 'w', timeout => 2 });
ok($got->{expires_at}, 'update gives it an end');
for my $args ({}, { timeout => 0 }, { expires_at => 0 }, { expires_at => 1000 },
    { timeout => 5, expires_at => 1e15 }, { expires_at => 'x' }) {
	like($d->error('sandbox.renew', { id => 'w', %$args }), qr/bad_request/,
	    'renew ' . to_json($args) . ' is refused');
}
my $then = int((time + 3600) * 1000);
is($d->ok('sandbox.renew', { id => 'w', expires_at => $then })->{expires_at},
    $then, 'renew by a time');
sleep 2.2;
is($d->ok('sandbox.get', { id => 'w' })->{state}, 'running',
    'the former end is forgotten');
$got = $d->ok('sandbox.update', { id => 'w', timeout => 0 });
is($got->{expires_at}, undef, 'update takes it away');
$d->restart;
is($d->ok('sandbox.get', { id => 'w' })->{expires_at}, undef,
    'which is kept over a restart');

# Put off by use.
$got = $d->ok('sandbox.create', { id => 'use', timeout => 2,
    renew_on_access => 2 });
for (1 .. 6) {
	sleep 0.5;
	$d->ok('sandbox.touch', { id => 'use' });
}
ok(!is_gone('use'), 'uses put the end off');
ok($d->ok('sandbox.get', { id => 'use' })->{expires_at} > $got->{expires_at},
    'as the record says');
ok(wait_for(10, sub { is_gone('use') }), 'without them it comes');
$got = $d->ok('sandbox.create', { id => 'use', timeout => 600,
    renew_on_access => 2 });
is($d->ok('sandbox.touch', { id => 'use' })->{expires_at}, $got->{expires_at},
    'it never comes sooner by that');
$d->ok('sandbox.destroy', { id => 'use' });

# Over the end of the daemon: due meanwhile, and due later.
for my $signal (qw(TERM KILL)) {
	$d->ok('sandbox.create', { id => 'soon', timeout => 2 });
	$d->ok('sandbox.create', { id => 'late', timeout => 5 });
	my $late_at = $d->ok('sandbox.get', { id => 'late' })->{expires_at};
	$d->stop($signal);
	sleep 2.2;
	$d->launch;
	ok(wait_for(3, sub { is_gone('soon') }), "$signal: due while it was down");
	ok(wait_for(5, sub { !-e dir('soon') }), 'with its files');
	is($d->ok('sandbox.get', { id => 'late' })->{expires_at}, $late_at,
	    'the other keeps its end');
	ok(wait_for(10, sub { is_gone('late') }), 'and comes to it');
	ok(time >= $late_at / 1000 - 0.05, 'not before its time');
}

# In other states.
$d->ok('sandbox.create', { id => 'st', timeout => 2 });
$d->ok('sandbox.stop', { id => 'st' });
$d->ok('sandbox.create', { id => 'pa', timeout => 2 });
$d->ok('sandbox.pause', { id => 'pa' });
ok(wait_for(10, sub { is_gone('st') }), 'a stopped one expires');
ok(wait_for(10, sub { is_gone('pa') }), 'and a paused one');

# Ephemeral ones.
ok($d->ok('sandbox.create', { id => 'ep', ephemeral => JSON::PP::true })
    ->{ephemeral}, 'an ephemeral one says so');
is($d->ok('sandbox.stop', { id => 'ep' })->{state}, 'destroyed',
    'its stop is its end');
ok(is_gone('ep') && wait_for(5, sub { !-e dir('ep') }), 'with its files');
$d->ok('sandbox.create', { id => 'ep', ephemeral => JSON::PP::true });
my $init = $d->ok('sandbox.get', { id => 'ep' })->{pid};
kill('KILL', $init);
ok(wait_for(5, sub { is_gone('ep') }), 'so is the death of its init');
for my $signal (qw(TERM KILL)) {
	$d->ok('sandbox.create', { id => 'ep', ephemeral => JSON::PP::true });
	$d->restart($signal);
	ok(wait_for(3, sub { is_gone('ep') }), "$signal: and that of the daemon");
	ok(wait_for(5, sub { !-e dir('ep') }), 'with its files');
}
is(join(' ', $d->children(qr/\binit\b.*\bep\b/)), '', 'nothing of it runs');

# A name is free as soon as its sandbox cannot be seen any more, also while its
# processes and files are still being removed.
for my $round (1 .. 10) {
	$d->ok('sandbox.create', { id => 'again' });
	my ($first, $second) = ($d->client, $d->client);
	my $going = $first->send('sandbox.destroy', { id => 'again' });
	wait_for(5, sub { is_gone('again') });
	my $coming = $second->send('sandbox.create', { id => 'again' });
	my $made = $second->finish($coming);
	is($made->{ok}{state}, 'running', "made anew at once, round $round")
	    or diag(to_json($made));
	is($first->finish($going)->{ok}{state}, 'destroyed',
	    'and the former is told to be gone');
	$d->ok('sandbox.destroy', { id => 'again' });
}

done_testing;
