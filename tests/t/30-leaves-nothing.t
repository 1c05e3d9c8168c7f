# Whatever ends a sandbox, nothing of it stays: no process, mount, group, file.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
# What goes on when the supervisor is killed is the matter of 244.
my $d = Sandboxd->start(conf => "[sandbox]\nadopt = 0\n");
my $host = Sandboxd->scratch_dir;

# What there is of sandboxes, from outside.
sub traces {
	my @found;
	for my $pid (Sandboxd::descendants($$)) {
		my $t = Sandboxd::title_of($pid);
		push @found, "process $t" if $t =~ /init|session|sleep/;
	}
	push @found, map { "group $_" } grep { m{/sandboxd-[0-9a-f]+/.} } $d->groups;
	my $now = Sandboxd::mounts();
	push @found, map { "mount $_" } grep { !$d->{mounts}{$_} && /\Q$d->{dir}/ }
	    keys %$now;
	if (opendir(my $dh, "$d->{state}/sandboxes")) {
		push @found, map { "directory $_" } grep { !/^\./ } readdir $dh;
	}
	if (opendir(my $dh, "$d->{state}/trash")) {
		push @found, map { "trash $_" } grep { !/^\./ } readdir $dh;
	}
	return join("\n", sort @found);
}

sub is_clean {
	my ($name) = @_;
	wait_for(15, sub { traces() eq '' });
	is(traces(), '', $name);
}

is(traces(), '', 'nothing at first');

$d->ok('sandbox.create', { id => 'a', mounts => [ { source => $host,
    target => '/w', mode => 'cow' } ], limits => { memory => '100M' } });
$d->sh('a', 'setsid sleep 1000 >/dev/null 2>&1 & mkdir -p /deep; cd /deep; '
    . 'for i in $(seq 200); do mkdir d && cd d; done; '
    . 'for i in $(seq 500); do echo $i >/deep/$i; done; chattr +i /deep/1; '
    . 'chmod 0 /deep/d');
$d->note_groups;
isnt(traces(), '', 'a running sandbox leaves traces, of course');
$d->ok('sandbox.destroy', { id => 'a' });
is_clean('destroy');

# Destroy with a session and a command running.
$d->ok('sandbox.create', { id => 'b' });
$d->ok('session.create', { id => 'bs', agent => 'mock', sandbox => 'b' });
my $c = $d->client;
my $id = $c->send('sandbox.exec', { id => 'b', command => ['sleep', '100'] });
wait_for(10, sub { scalar $d->children(qr/^sleep 100/) });
$d->note_groups;
$d->ok('sandbox.destroy', { id => 'b' });
my $r = $c->finish($id);
ok($r->{error} || ($r->{ok} && ($r->{ok}{signal} // 0) == 9),
    'the command is told ' . to_json($r->{error} // $r->{ok}));
is_clean('destroy while used');
is($d->ok('session.get', { id => 'bs' })->{state}, 'ended', 'its session ended');
ok(scalar(my @e = $d->events('bs')), 'whose events stay');

# Creates that fail: each at another place.
for my $args (
    { image => '/no/such' },
    { mounts => [ { source => '/no/such', target => '/x' } ] },
    { mounts => [ { source => '/etc/passwd', target => '/usr' } ] },
    { mounts => [ { source => '/usr', target => '/etc/passwd' } ] },
    { isolation => 'full', network => 'host' },
    { user => 'no-such-user' },
    { limits => { memory => '4M' } },
    { image => $host },			# empty: no place for anything
) {
	my $r = $d->request('sandbox.create', { id => 'f', %$args });
	my $how = $r->{error}{code} // 'made';
	$d->ok('sandbox.destroy', { id => 'f' }) if $r->{ok};
	is_clean("create that fails: " . to_json($args) . " ($how)");
	is($d->error('sandbox.get', { id => 'f' }), 'sandbox_not_found',
	    'and leaves no record');
}

# The death of an init: all that it had is gone, then it is started again.
$d->ok('sandbox.create', { id => 'k' });
$d->sh('k', 'echo kept >/srv/f; setsid sleep 1000 >/dev/null 2>&1 &');
my ($init) = $d->children(qr/init/);
kill('KILL', $init);
ok(wait_for(15, sub {
	my ($now) = $d->children(qr/init/);
	$now && $now != $init
	    && $d->ok('sandbox.get', { id => 'k' })->{state} eq 'running'
}), 'a sandbox whose init was killed runs again');
is(scalar(my @s = $d->children(qr/^sleep/)), 0, 'without its former processes');
is($d->sh('k', 'cat /srv/f')->{stdout}, "kept\n", 'on the files it had');
$d->ok('sandbox.destroy', { id => 'k' });
is_clean('and destroyed');

# The supervisor itself: killed with sandboxes running.
$d->ok('sandbox.create', { id => "z$_" }) for 1 .. 3;
$d->ok('session.create', { id => 'zs', agent => 'mock', sandbox => 'z1' });
$d->note_groups;
$d->kill_hard;
ok(wait_for(10, sub { !grep { Sandboxd::title_of($_) =~ /sandboxd|init|session/ }
    descendants($$) }), 'without its supervisor no child goes on');
$d->launch;
$d->ok('sandbox.destroy', { id => "z$_" }) for 1 .. 3;
is_clean('killed, started again, all destroyed');

ok($d->stop, 'an orderly stop');
is(join("\n", $d->leftovers), '', 'leaves nothing');

done_testing;
