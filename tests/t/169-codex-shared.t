# One process for several sessions: whatever it does (junk, floods, questions, its
# death), and whatever a session or a stranger does to it, each session is told and
# asked what is its own and none is held up for long. tests/e2e has the real program.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time);

need_root();
need_program('perl');
my $wait = 40 * slow_factor();
my $def = { id => 'shared', name => 'S', protocol => 'codex', program => 'none',
    shared => JSON::PP::true, permission_modes => ['*'], agent_modes => ['*'] };
my $d = Sandboxd->start(agents => { 'shared.json' => $def });
$d->ok('sandbox.create', { id => 'box', directory => '/tmp' });
$d->exec('box', ['sh', '-c', 'cat > /root/server.pl'],
    stdin => slurp(root_dir() . '/tests/t/lib/codex-server.pl'));

sub session {
	my ($id, %o) = @_;
	return $d->ok('session.create', { id => $id, sandbox => 'box', agent => 'shared',
	    command => ['perl', '/root/server.pl'], env => { REPLAY => '/tmp/heard' }, %o },
	    timeout => $wait);
}
sub prompt {
	my ($id, $text) = @_;
	my $from = ($d->events($id))[-1]{sequence};
	$d->ok('session.prompt', { id => $id, text => $text });
	return $from;
}
sub event {
	my ($id, $from, $type) = @_;
	return $d->wait_event($id, sub { $_->{type} eq $type }, $wait, $from);
}
sub end_of { return (event(@_, 'turn.ended') // {})->{data}{metadata}{stop_reason} }
sub text_of {
	return join('|', map { item_text($_) } grep { $_->{type} eq 'item.completed'
	    && $_->{data}{item}{kind} eq 'message'
	    && $_->{data}{item}{role} eq 'assistant' } @_);
}
sub said { return text_of($d->turn(@_, timeout => $wait)) }
sub count { my ($type, @e) = @_; return scalar(grep { $_->{type} eq $type } @e) }
sub servers { return $d->children(qr{perl /root/server\.pl}) }
sub keepers { return $d->children(qr/sandboxd-share keep/) }
sub heard { return $d->sh('box', 'cat /tmp/heard')->{stdout} }

# --- one for all ------------------------------------------------------------------------

session($_) for 'a', 'b', 'c';
is(said($_, "say of-$_"), "of-$_", "$_: its answer") for 'a', 'b', 'c';
is(scalar(servers()), 1, 'one server');
is(scalar(keepers()), 1, 'one keeper');
is(scalar(() = heard() =~ /"method":"initialize"/g), 1, 'greeted once');
is(scalar(() = heard() =~ /"method":"initialized"/g), 1, 'by all');
like(Sandboxd::title_of((keepers())[0]), qr/^sandboxd-share keep\s*$/,
    'its title shows no argument');
my %native = map { $_ => ($d->events($_))[-1]{native_session_id} } 'a', 'b', 'c';

# --- questions --------------------------------------------------------------------------

my %from = map { $_ => prompt($_, "ask run-$_ say end-$_") } 'a', 'b';
my %asked = map { $_ => event($_, $from{$_}, 'permission.requested') } 'a', 'b';
is($asked{$_}{data}{metadata}{command}, "run-$_", "$_: is asked its own") for 'a', 'b';
$d->ok('session.permission.reply', { id => 'b', reply => 'once',
    permission_id => $asked{b}{data}{permission_id} });
is(end_of('b', $from{b}), 'end_turn', 'one is answered');
is(count('turn.ended', $d->events('a', after => $from{a})), 0, 'the other waits');
$d->ok('session.cancel', { id => 'a' });
is(end_of('a', $from{a}), 'cancelled', 'and is cancelled');
is(text_of($d->events('b', after => $from{b})), 'accept|end-b', 'each had its answer');

# --- what it prints ---------------------------------------------------------------------

%from = map { $_ => prompt($_, 'hang') } 'a', 'b';
event($_, $from{$_}, 'turn.started') for 'a', 'b';
is(said('c', 'tell junk say fine'), 'fine', 'junk: the session goes on');
for my $s ('a', 'b', 'c') {
	ok($d->wait_event($s, sub { $_->{type} eq 'agent.unparsed' }, $wait), "$s: junk is told");
	is(count('agent.unparsed', $d->events($s)), 2, "$s: both lines of it");
}
$d->ok('session.cancel', { id => $_ }) for 'a', 'b';
is(end_of($_, $from{$_}), 'cancelled', "$_: still there") for 'a', 'b';

# --- a session that does not read -------------------------------------------------------

session('f');
is(said('f', 'say first'), 'first', 'another session');
my $native = ($d->events('f'))[-1]{native_session_id};
%from = map { $_ => prompt($_, 'hang') } 'b';
$from{f} = prompt('f', 'wait /tmp/go flood 8000 say all');
ok(wait_for($wait, sub { heard() =~ /flood/ }), 'a flood is about to come');
my ($slow) = $d->children(qr/sandboxd-session f$/);
kill('STOP', $slow);
$d->sh('box', 'touch /tmp/go');
my $began = time;
is(said('c', 'say through'), 'through', 'a session that does not read holds up no other');
cmp_ok(time - $began, '<', 25 * slow_factor(), 'for long');
kill('CONT', $slow);
my $error = event('f', $from{f}, 'error');
like($error->{data}{message}, qr/did not read, and was dropped/, 'it is dropped, and told');
is(end_of('f', $from{f}), 'error', 'its turn fails');
my @e = $d->turn('f', 'say back', timeout => $wait);
is(text_of(@e), 'back', 'and it comes back');
is($e[-1]{native_session_id}, $native, 'to its conversation');
is(scalar(servers()), 1, 'in the same process');
# The flood itself is no reason.
@e = $d->turn('f', 'flood 6000 say all', timeout => $wait);
is(text_of(@e), 'flooded|all', 'a flood that is read comes whole');
is(count('turn.ended', $d->events('b', after => $from{b})), 0, 'a third one is not touched');
$d->ok('session.delete', { id => 'f' }, timeout => $wait);

# --- strangers --------------------------------------------------------------------------

my $knock = <<'EOP';
use Socket;
my ($path) = glob('/tmp/.sandboxd-share-*/*[0-9a-f]');
my @kept;
for my $say ('', 'x', "j", "\0" x 4096) {
	socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die;
	connect($s, sockaddr_un($path)) or die "connect: $!";
	send($s, $say, 0) if length $say;
	push @kept, $s if $say eq '';
	next if $say eq '';
	my $n = sysread($s, my $got, 1);
	print !$n ? "closed\n" : "heard $n\n";
}
for (1 .. 400) {
	socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die;
	last unless connect($s, sockaddr_un($path));
	push @kept, $s;
}
print "done\n";
EOP
is($d->exec('box', ['perl', '-e', $knock])->{stdout},
    "closed\nclosed\nclosed\ndone\n", 'who joins without pipes is shown out');
is(said('c', 'say still'), 'still', 'and nobody is disturbed');

# --- its end ------------------------------------------------------------------------------

$from{a} = prompt('a', 'hang');
event('a', $from{a}, 'turn.started');
$from{c} = prompt('c', 'err out-of-luck exit 3');
for my $s ('a', 'b', 'c') {
	$error = event($s, $from{$s}, 'error');
	is($error->{data}{message}, 'codex exited with status 3: out-of-luck',
	    "it dies: $s is told");
	is(end_of($s, $from{$s}), 'error', "$s: the turn fails");
}
is(said($_, "say again-$_"), "again-$_", "$_: goes on") for 'a', 'b', 'c';
is(scalar(servers()), 1, 'in one new process');
is(($d->events($_))[-1]{native_session_id}, $native{$_}, "$_: its conversation")
    for 'a', 'b', 'c';

# A session that ends in its turn has it interrupted.
my $before = () = heard() =~ m{"turn/interrupt"}g;
$from{a} = prompt('a', 'hang');
event('a', $from{a}, 'turn.started');
$d->ok('session.end', { id => 'a' }, timeout => $wait);
ok(wait_for($wait, sub { (() = heard() =~ m{"turn/interrupt"}g) > $before }),
    'a session ends: its turn does');
ok(wait_for($wait, sub { heard() =~ m{"thread/unsubscribe".*\Q$native{a}\E} }),
    'and its thread is given up');
is(said('b', 'say here'), 'here', 'the others stay');

# The sandbox stops, with all that is in it; the sessions are resumed.
$d->ok('sandbox.stop', { id => 'box' }, timeout => $wait);
ok(wait_for($wait, sub { !servers() && !keepers() }), 'its sandbox stops: nothing runs');
$d->ok('sandbox.start', { id => 'box' }, timeout => $wait);
is(said($_, "say up-$_"), "up-$_", "$_: goes on") for 'b', 'c';
$d->ok('session.delete', { id => $_ }, timeout => $wait) for 'b', 'c';
ok(wait_for($wait, sub { !servers() && !keepers() }), 'the last one has left: nothing runs');
is($d->sh('box', 'ls -Ad /tmp/.sandboxd*')->{stdout}, '', 'and nothing is left');

# A user who is not root inside.
$d->ok('sandbox.create', { id => 'user', directory => '/tmp', user => '1000:1000' });
$d->exec('user', ['sh', '-c', 'cat > /tmp/server.pl'],
    stdin => slurp(root_dir() . '/tests/t/lib/codex-server.pl'));
for my $s ('u', 'v') {
	session($s, sandbox => 'user', command => ['perl', '/tmp/server.pl'], env => {});
	is(said($s, "say user-$s"), "user-$s", "as a user: $s");
}
is(scalar(keepers()), 1, 'share, too');
$d->ok('session.delete', { id => $_ }, timeout => $wait) for 'u', 'v';
ok(wait_for($wait, sub { !keepers() }), 'and leave nothing');

# A program that cannot be had, at once.
is($d->error('session.create', { id => 'no', sandbox => 'box', agent => 'shared',
    command => ['no-such-program'] }), 'agent_not_installed', 'no program: told at once');

# Killed with its supervisor; the sessions are there again.
session('z');
is(said('z', 'say one'), 'one', 'another');
$d->kill_hard;
$d->launch;
is(said('z', 'say two'), 'two', 'goes on when the supervisor was killed');

done_testing;
