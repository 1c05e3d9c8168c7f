# session.delete: at once, with all that the agent has started, record and events; the
# id is free when it is answered, and whoever wants it before that waits.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => 'box' });

# Processes in the box, but for init and the command that looks: names.
sub inside {
	my ($id) = @_;
	my $got = $d->sh($id, 'for p in /proc/[0-9]*; do read -r n < $p/comm && '
	    . 'echo $n; done 2>/dev/null');
	return grep { !/^(?:sandboxd-init|sh|sandbox-init)$/ }
	    split /\n/, $got->{stdout};
}
sub create { my ($id, %o) = @_; return $d->ok('session.create', { id => $id,
    agent => 'mock', sandbox => 'box', %o }) }
sub gone {
	my ($id, $what) = @_;

	is($d->error('session.get', { id => $id }), 'session_not_found',
	    "$what: no record");
	is($d->error('session.events', { id => $id }), 'session_not_found',
	    "$what: no events");
	ok(!(grep { $_->{id} eq $id } @{$d->ok('session.list')->{sessions}}),
	    "$what: in no list");
}

# --- one that is idle ------------------------------------------------------------

create('idle');
$d->turn('idle', 'hello');
is_deeply($d->ok('session.delete', { id => 'idle' }),
    { id => 'idle', state => 'deleted' }, 'an idle session');
gone('idle', 'idle');
is(scalar($d->children(qr/session.*\bidle\b/)), 0, 'no worker');
is($d->error('session.delete', { id => 'idle' }), 'session_not_found', 'once');
is($d->ok('status')->{sessions}, 0, 'it counts no more');

create('idle');
my @e = $d->events('idle');
is(scalar(@e), 1, 'the id is free, and nothing of the old log is there');
is($e[0]{sequence}, 1, 'sequences begin anew');
$d->turn('idle', 'again');
$d->ok('session.delete', { id => 'idle' });

# --- one that works --------------------------------------------------------------

create('busy');
my $c = $d->client;
$c->send('session.prompt', { id => 'busy', stream => JSON::PP::true, text =>
    'run setsid sleep 1001 & sleep 1002 & (trap "" TERM HUP; sleep 1003) & wait' });
ok(wait_for(15, sub { 3 == grep { $_ eq 'sleep' } inside('box') }),
    'an agent that has started processes, one in a session of its own');
my $began = time;
$d->ok('session.delete', { id => 'busy' });
my $took = time - $began;
ok(wait_for(2, sub { !inside('box') }), 'nothing of it is left')
    or diag(join ' ', inside('box'));
ok($took < 1 * slow_factor(), 'and nobody waited for it to end') or diag($took);
gone('busy', 'busy');

# --- one that has ended, one whose worker hangs ----------------------------------

create('ended');
$d->turn('ended', 'hello');
$d->ok('session.end', { id => 'ended' });
is($d->ok('session.delete', { id => 'ended' })->{state}, 'deleted', 'an ended one');
gone('ended', 'ended');

create('hung');
my ($worker) = $d->children(qr/session.*\bhung\b/);
kill('STOP', $worker);
$began = time;
$d->ok('session.delete', { id => 'hung' });
ok(time - $began < 2 * slow_factor(), 'a worker that does nothing is not asked');
gone('hung', 'hung');

# --- at the same time ------------------------------------------------------------

# A store that stands still holds the deletion up.
create('twice');
my ($store) = $d->children(qr/sandboxd-store|: store/);
kill('STOP', $store);
my @c = map { $d->client } 1 .. 3;
my @n = $c[0]->send('session.delete', { id => 'twice' });
ok(wait_for(10, sub { $d->error('session.prompt', { id => 'twice', text => 'x' }) eq
    'session_not_found' }), 'to others it is gone from the beginning');
is($d->error('session.delete', { id => 'twice' }), 'session_not_found',
    'also to those who delete it');
push @n, $c[1]->send('session.create', { id => 'twice', agent => 'mock',
    sandbox => 'box' });
push @n, $c[2]->send('session.create', { id => 'twice', agent => 'mock',
    sandbox => 'box' });
ok($d->ok('sandbox.list'), 'nobody else is held up');
kill('CONT', $store);
is($c[0]->finish($n[0])->{ok}{state}, 'deleted', 'then it is deleted');
my @r = map { $c[$_]->finish($n[$_]) } 1, 2;
is(join(' ', sort map { $_->{ok}{state} // $_->{error}{code} } @r),
    'idle session_exists', 'and one of two creates that came meanwhile is first')
    or diag(to_json(\@r));
is(scalar($d->events('twice')), 1, 'a new session');
$d->ok('session.delete', { id => 'twice' });

# Many times over, and fast: the middle one of these is what is promised.
my @ms;
for my $i (1 .. 40) {
	create('many');
	$d->turn('many', 'x') if $i % 4 == 0;
	$began = time;
	$d->ok('session.delete', { id => 'many' });
	push @ms, (time - $began) * 1000;
}
@ms = sort { $a <=> $b } @ms;
diag(sprintf('delete: median %.1f ms, worst %.1f ms', $ms[20], $ms[-1]));
ok($ms[20] < 20 * slow_factor() * 3, 'forty times, in no time');
ok(!inside('box'), 'and nothing is left') or diag(join ' ', inside('box'));
is($d->ok('status')->{sessions}, 0, 'no session');

# --- with its sandbox ------------------------------------------------------------

$d->ok('session.create', { id => 'own', agent => 'mock',
    sandbox_spec => { id => 'its-own' } });
$d->ok('session.delete', { id => 'own' });
is($d->error('sandbox.get', { id => 'its-own' }), 'sandbox_not_found',
    'a sandbox that was made for it is gone when that is answered');
ok(!-e "$d->{state}/sandboxes/its-own", 'with its files');
gone('own', 'own');
$d->ok('session.create', { id => 'own', agent => 'mock',
    sandbox_spec => { id => 'its-own' } });
$d->turn('own', 'hello');
$d->ok('session.end', { id => 'own' });
$d->ok('session.delete', { id => 'own' });
is($d->error('sandbox.get', { id => 'its-own' }), 'sandbox_not_found',
    'also when the session had ended, and its sandbox was on its way');
$d->ok('session.create', { id => 'own', agent => 'mock',
    sandbox_spec => { id => 'its-own' } });
my @both = map { $d->client } 1, 2;
my @asked = ($both[0]->send('sandbox.destroy', { id => 'its-own' }),
    $both[1]->send('session.delete', { id => 'own' }));
is($both[1]->finish($asked[1])->{ok}{state}, 'deleted', 'or was being destroyed');
my $other = $both[0]->finish($asked[0]);
is($other->{error}{code} // 'sandbox_not_found', 'sandbox_not_found',
    'by somebody else, who is told that, or that he was late');

create('frozen');
$d->ok('sandbox.pause', { id => 'box' });
is($d->error('session.delete', { id => 'frozen' }), 'sandbox_state',
    'one that is paused stays');
$d->ok('sandbox.resume', { id => 'box' });
$d->ok('sandbox.stop', { id => 'box' });
is($d->ok('session.delete', { id => 'frozen' })->{state}, 'deleted',
    'one whose sandbox does not run');
create('last');
$d->turn('last', 'x');
$d->ok('sandbox.destroy', { id => 'box' });
is($d->ok('session.delete', { id => 'last' })->{state}, 'deleted',
    'one whose sandbox is gone');

# --- over a restart --------------------------------------------------------------

$d->ok('sandbox.create', { id => 'box' });
create('a');
create('b');
$d->turn($_, 'x') for 'a', 'b';
$d->ok('session.delete', { id => 'a' });
$d->restart('KILL');
gone('a', 'after a restart');
is($d->ok('session.get', { id => 'b' })->{id}, 'b', 'the other one is there');
is($d->ok('session.delete', { id => 'b' })->{state}, 'deleted',
    'and is deleted without a worker');

# While the store is away.
create('c');
($store) = $d->children(qr/sandboxd-store|: store/);
kill('KILL', $store);
is($d->ok('session.delete', { id => 'c' })->{state}, 'deleted',
    'when the store is back, it is done');
gone('c', 'after that');

$d->stop;
is(join("\n", $d->leftovers), '', 'nothing is left');

done_testing;
