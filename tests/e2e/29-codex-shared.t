# Real Codex, one process for the sessions of a sandbox: each is told and asked what is
# its own, what is done to one leaves the others alone, the death of the process ends
# no session, and nothing of it is left when the last one has gone.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../t/lib";
use Sandboxd;
use Agents;
use Test::More;

need_root();
my $def = from_json(slurp(root_dir() . '/etc/agents.d/codex.json'));
$def->{shared} = JSON::PP::true;
my $d = Sandboxd->start(env => { PATH => agents_path('codex') },
    agents => { 'codex.json' => $def });
my $llm = Agents::FakeLlm->start;
my $wait = 60 * slow_factor();
my %env = (OPENAI_BASE_URL => $llm->url . '/v1', OPENAI_API_KEY => $llm->{key});

sub session {
	my ($id, $box, %o) = @_;
	return $d->ok('session.create', { id => $id, sandbox => $box,
	    agent => 'codex', model => 'gpt-5.5', env => \%env, %o },
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
sub end_of { return event(@_, 'turn.ended')->{data}{metadata}{stop_reason} }
# App-servers of a sandbox, seen from inside: the launcher of npm is none.
sub servers {
	my ($box, $word) = @_;
	my $got = $d->sh($box // 'one', 'for p in /proc/[0-9]*; do '
	    . 'echo "${p#/proc/} $(readlink $p/exe | sed "s,.*/,,") '
	    . '$(tr "\0" " " < $p/cmdline)"; done');
	return map { /^(\d+)/ } grep { /^\d+ codex .*app-server/ }
	    split /\n/, $got->{stdout};
}
sub keepers { return $d->children(qr/sandboxd-share keep/) }

for my $box ('one', 'two') {
	$d->ok('sandbox.create', { id => $box, network => 'host',
	    directory => '/tmp' }, timeout => $wait);
}

# --- together -------------------------------------------------------------------------

session($_, 'one') for 'a', 'b';
my ($cap) = grep { $_->{id} eq 'codex' } @{$d->ok('agent.list', {})->{agents}};
ok($cap->{capabilities}{sharedProcess}, 'the agent says that its process is shared');
my %from = map { $_ => prompt($_, "fake:stream n=40 delay=40 fake:text say=\"I am $_.\"") }
    'a', 'b';
ok(event($_, $from{$_}, 'item.delta'), "$_: begins to answer") for 'a', 'b';
is(scalar(servers()), 1, 'one app-server for two sessions at work');
is(scalar(keepers()), 1, 'and one keeper');
for my $s ('a', 'b') {
	is(end_of($s, $from{$s}), 'end_turn', "$s: the turn ends");
	my $text = answer_text($d->events($s, after => $from{$s}));
	like($text, qr/part 40 of 40.*I am $s\./s, "$s: all of its answer");
	unlike($text, qr/I am (?!$s)/, "$s: nothing of the other's");
}
my ($native_a, $native_b) = map { ($d->events($_))[-1]{native_session_id} } 'a', 'b';
isnt($native_a, $native_b, 'two conversations');

session('other', 'two');
$d->turn('other', 'fake:text say="x"', timeout => $wait);
is(scalar(servers('two')), 1, 'another sandbox has a process of its own');
session('env', 'one', env => { %env, MORE => '1' });
session('dir', 'one', directory => '/');
$d->turn('env', 'fake:text say="x"', timeout => $wait);
$d->turn('dir', 'fake:text say="x"', timeout => $wait);
is(scalar(servers()), 3, 'and so have another environment and another directory');
$d->ok('session.end', { id => $_ }, timeout => $wait) for 'env', 'dir', 'other';
ok(wait_for(20, sub { servers() == 1 && servers('two') == 0 && keepers() == 1 }),
    'what was kept for them goes with them');

# --- what is asked --------------------------------------------------------------------

%from = map { $_ => prompt($_, "fake:bash cmd=\"echo of-$_ > /tmp/of-$_\"") } 'a', 'b';
my %asked = map { $_ => event($_, $from{$_}, 'permission.requested') } 'a', 'b';
for my $s ('a', 'b') {
	like($asked{$s}{data}{metadata}{command}, qr/of-$s /, "$s: is asked about its own");
}
$d->ok('session.permission.reply', { id => 'b', reply => 'reject',
    permission_id => $asked{b}{data}{permission_id} });
is(end_of('b', $from{b}), 'end_turn', 'b: refused');
$d->ok('session.permission.reply', { id => 'a', reply => 'once',
    permission_id => $asked{a}{data}{permission_id} });
is(end_of('a', $from{a}), 'end_turn', 'a: allowed');
is($d->sh('one', 'cd /tmp; ls of-*')->{stdout}, "of-a\n", 'each got its own answer');
for my $s ('a', 'b') {
	is(scalar(grep { $_->{type} eq 'permission.requested' }
	    $d->events($s, after => $from{$s})), 1, "$s: was asked once");
}

# --- what is done to one --------------------------------------------------------------

%from = map { $_ => prompt($_, 'fake:stream n=60 delay=50') } 'a', 'b';
event($_, $from{$_}, 'item.delta') for 'a', 'b';
$d->ok('session.cancel', { id => 'a' });
is(end_of('a', $from{a}), 'cancelled', 'one is cancelled');
is(end_of('b', $from{b}), 'end_turn', 'the other goes on');
like(answer_text($d->events('b', after => $from{b})), qr/part 60 of 60/, 'to its end');

# A worker that is killed: its turn and its commands end, and it resumes.
$d->ok('session.configure', { id => 'a', permission_mode => 'bypass' });
my ($server) = servers();
%from = (a => prompt('a', 'fake:bash cmd="sleep 4321"'),
    b => prompt('b', 'fake:stream n=60 delay=50'));
sub sleepers {
	return grep { slurp("/proc/$_/cmdline") =~ /^sleep\0004321/ } descendants($d->{pid});
}
ok(wait_for($wait, sub { sleepers() }), 'a command of one runs');
my ($worker) = $d->children(qr/sandboxd-session a$/);
kill('KILL', $worker);
ok(wait_for(20, sub { !sleepers() }), 'its worker is killed: its command ends');
is(end_of('b', $from{b}), 'end_turn', 'the other goes on');
like(answer_text($d->events('b', after => $from{b})), qr/part 60 of 60/, 'to its end');
my @e = $d->turn('a', 'fake:text say="Back."', timeout => $wait);
like(answer_text(@e), qr/Back\./, 'the killed one goes on, too');
is($e[-1]{native_session_id}, $native_a, 'in its conversation');
is((servers())[0], $server, 'all that in one process');

# --- the process is lost --------------------------------------------------------------

for my $what ('the app-server', 'the keeper') {
	%from = map { $_ => prompt($_, 'fake:stream n=200 delay=50') } 'a', 'b';
	event($_, $from{$_}, 'item.delta') for 'a', 'b';
	kill('KILL', $what eq 'the keeper' ? keepers() :
	    grep { readlink("/proc/$_/exe") =~ m{/codex$} } descendants($d->{pid}));
	for my $s ('a', 'b') {
		my $error = event($s, $from{$s}, 'error');
		is($error->{data}{code}, 'process_exit', "$what is killed: $s is told");
		like($error->{data}{message}, qr/shared process/, "$s: what it was");
		is(end_of($s, $from{$s}), 'error', "$s: the turn fails");
	}
	%from = map { $_ => prompt($_, "fake:text say=\"After $what.\"") } 'a', 'b';
	for my $s ('a', 'b') {
		is(end_of($s, $from{$s}), 'end_turn', "$s: goes on");
		like(answer_text($d->events($s, after => $from{$s})),
		    qr/After $what/, "$s: with an answer");
	}
	is(($d->events('a'))[-1]{native_session_id}, $native_a, 'a: in its conversation');
	is(($d->events('b'))[-1]{native_session_id}, $native_b, 'b: in its conversation');
	is(scalar(servers()), 1, 'one process again');
	is(scalar(keepers()), 1, 'and one keeper');
}

# --- the end ----------------------------------------------------------------------------

for my $s ('a', 'b') {
	is(scalar(grep { $_->{type} eq 'agent.unparsed' } $d->events($s)), 0,
	    "$s: all was understood");
	is(Sandboxd::sequence_flaw(1, $d->events($s)), '', "$s: no gap");
}
$d->ok('session.end', { id => 'a' }, timeout => $wait);
@e = $d->turn('b', 'fake:text say="Alone."', timeout => $wait);
like(answer_text(@e), qr/Alone/, 'one has left: the other goes on');
$d->ok('session.end', { id => 'b' }, timeout => $wait);
ok(wait_for(20, sub { !servers() && !keepers() }), 'all have left: nothing runs');
is($d->sh('one', 'ls -Ad /tmp/.sandboxd*')->{stdout}, '', 'and nothing is left');

done_testing;
