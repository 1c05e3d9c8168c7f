# Roles in status; crash loops; reset.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Manager;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();

sub role {
	my ($d, $name) = @_;
	my ($r) = grep { $_->{name} eq $name } @{$d->ok('status')->{roles}};
	return $r // {};
}

# A store and a relay that can be broken while they are down.
my $broken = Sandboxd->scratch_dir;
my $programs = Sandboxd::Manager->programs_with(map { ("sandboxd-$_" =>
    "test -e $broken/$_ && exit 3\nexec \@REAL\@ \"\$@\"") } qw(store relay));
my $d = Sandboxd->start(args => ['--libexec-dir', $programs], http => 1);
is(join(' ', map { "$_->{name}=$_->{state}" } @{$d->ok('status')->{roles}}[0 .. 4]),
    'store=running relay=running courier=down egress=down gateway 0=running', 'all helpers');
my $r = role($d, 'store');
like($r->{pid}, qr/^\d+$/, 'with their pid');
is($r->{restarts}, 0, 'never started again');
is($r->{why}, undef, 'nothing to explain');
is($r->{next_start_ms}, undef, 'and no start ahead');
$d->ok('sandbox.create', { id => 'box' });
is_deeply($d->ok('status')->{inits}, { starting => 0, running => 1, stopping => 0,
    waiting => 0, failed => 0 }, 'inits are counted');
$d->ok('session.create', { id => 'ses', agent => 'mock', sandbox => 'box' });
is($d->ok('status')->{workers}{running}, 1, 'workers are counted');

# A kill from outside is told, and is no crash loop.
for my $n (1 .. 7) {
	my $pid = wait_for(20, sub { my $s = role($d, 'relay');
	    $s->{state} eq 'running' && $s->{pid} });
	kill('KILL', $pid);
	wait_for(10, sub { (role($d, 'relay')->{pid} // 0) != $pid });
}
ok(wait_for(20, sub { role($d, 'relay')->{state} eq 'running' }),
    'seven kills and it is up again');
$r = role($d, 'relay');
is($r->{restarts}, 7, 'restarts are counted');
is($r->{why}, 'killed by signal 9', 'and why');

# One that cannot start fails, and says why.
spew("$broken/store", '');
my $was = role($d, 'store')->{pid};
kill('KILL', $was);
ok(wait_for(20, sub { role($d, 'store')->{state} eq 'failed' }), 'a crash loop fails');
$r = role($d, 'store');
like($r->{why}, qr/died 5 times in 10 s.*exited with 3/, 'says why');
cmp_ok($r->{next_start_ms}, '<', 12600, 'and is tried again in ten seconds');
is($r->{pid}, undef, 'no pid');
my $began = time;
for (['sandbox.create', { id => 'no' }], ['session.prompt', { id => 'ses',
    text => 'hello' }], ['sandbox.destroy', { id => 'box' }]) {
	my $e = $d->request(@$_)->{error} // {};
	is($e->{code}, 'store_unavailable', "$_->[0] is refused");
	like($e->{detail}, qr/has failed: .*exited with 3.*role\.reset/, 'clearly');
}
cmp_ok(time - $began, '<', 5, 'at once');
is($d->sh('box', 'echo on')->{stdout}, "on\n", 'what needs no store goes on');
is(scalar(@{$d->ok('sandbox.list')->{sandboxes}}), 1, 'so does looking');
my $shown = $d->ctl(['status']);
like($shown->{out}, qr/state=failed.*exited with 3/, 'sandboxctl status shows it');

# Reset while it is still broken, then mended.
is_deeply($d->ok('role.reset')->{reset}, ['store'], 'reset');
ok(wait_for(20, sub { role($d, 'store')->{state} eq 'failed' }), 'still broken: failed');
unlink("$broken/store");
my $got = $d->ctl(['reset', 'store']);
is("$got->{status} $got->{out}", "0 store reset\n", 'sandboxctl reset');
ok(wait_for(20, sub { role($d, 'store')->{state} eq 'running' }), 'mended: it runs');
is($d->ok('sandbox.create', { id => 'again' })->{state}, 'running', 'and works');
is(($d->turn('ses', 'hello'))[-1]{type}, 'turn.ended', 'the session goes on');
is_deeply($d->ok('role.reset')->{reset}, [], 'nothing has failed any more');
is($d->error('role.reset', { id => 'nobody' }), 'role_not_found', 'an unknown name');
$got = $d->ctl(['reset', 'nobody']);
isnt($got->{status}, 0, 'and for sandboxctl');

# An init: who looks sees it by name, a stranger does not.
my $init = $d->ok('sandbox.get', { id => 'again' })->{pid};
my ($pid) = $init ? $init : $d->children(qr/init.*again|again.*init/);
ok($pid, 'the init is found');
kill('KILL', $pid);
ok(wait_for(10, sub { role($d, 'init again')->{restarts} }), 'a killed init is told of');
like(role($d, 'init again')->{why}, qr/killed by signal 9/, 'with why');
my $stranger = run_cmd(['setpriv', '--reuid=12345', '--regid=12345',
    '--clear-groups', 'socat', '-t', '5', '-', "UNIX-CONNECT:$d->{socket}"],
    stdin => "status\n");
like($stranger->{out}, qr/"role":"store"/, 'a stranger sees helpers');
unlike($stranger->{out}, qr/again/, 'but no names of sandboxes');
my $denied = run_cmd(['setpriv', '--reuid=12345', '--regid=12345',
    '--clear-groups', 'socat', '-t', '5', '-', "UNIX-CONNECT:$d->{socket}"],
    stdin => "role.reset\n");
like($denied->{out}, qr/"denied"/, 'and may not reset');

# An orderly end with a failed role.
is_deeply($d->ok('role.reset', { id => 'relay' })->{reset}, ['relay'],
    'one that runs can be reset too: its delay begins anew');
spew("$broken/relay", '');
kill('KILL', role($d, 'relay')->{pid});
ok(wait_for(20, sub { role($d, 'relay')->{state} eq 'failed' }), 'the relay fails');
ok($d->stop, 'and the daemon still ends');
is($d->{status}, 0, 'in order');
is(join("\n", $d->leftovers), '', 'nothing is left');

done_testing;
