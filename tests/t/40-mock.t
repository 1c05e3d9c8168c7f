# The mock agent: each scripted behaviour, event by event.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => 'm' });
my $number = 0;

# A fresh session, one message, and the events after session.started. Those
# that end with a request have no turn.ended.
sub script {
	my ($text, $want) = @_;
	my $id = 'm' . ++$number;
	$d->ok('session.create', { id => $id, agent => 'mock', sandbox => 'm' });
	$d->ok('session.prompt', { id => $id, text => $text });
	my @e;
	wait_for(20, sub { @e = $d->events($id, after => 1); @e >= $want });
	@e = $d->events($id, after => 1);
	is(scalar @e, $want, "$text: $want events");
	is(Sandboxd::sequence_flaw(2, @e), '', "$text: in order");
	return @e;
}

# "started delta completed" of items as one word each, for comparison.
sub shape {
	return join(' ', map {
		(my $t = $_->{type}) =~ s/^item\.//;
		my $i = $_->{data}{item};
		$t .= ":$i->{kind}" if $i;
		$t .= '*' if $_->{synthetic};
		$t
	} @_);
}

my $user = 'turn.started* started:message completed:message';
my $said = 'started:message delta* completed:message';

my @e = script('hello there', 7);
is(shape(@e), "$user $said turn.ended*", 'plain text');
is($e[1]{data}{item}{role}, 'user', 'the user\'s message first');
is($e[1]{data}{item}{native_item_id}, 'mock_1_user', 'with its native id');
is($e[1]{data}{item}{content}[0]{text}, 'hello there', 'and its words');
is($e[1]{data}{item}{status}, 'in_progress', 'in progress');
is($e[2]{data}{item}{status}, 'completed', 'then completed');
is($e[2]{data}{item}{item_id}, $e[1]{data}{item}{item_id}, 'one item');
is($e[3]{data}{item}{native_item_id}, 'mock_1_reply', 'then the reply');
is($e[4]{data}{delta}, 'hello there', 'its text as a delta');
is($e[4]{data}{item_id}, $e[3]{data}{item}{item_id}, 'of the same item');
is($e[5]{data}{item}{content}[0]{text}, 'hello there', 'and whole');
is($e[0]{native_session_id}, 'mock-m1', 'native session id');
is($e[0]{source}, 'daemon', 'the turn is the daemon\'s');
is($e[1]{source}, 'agent', 'the item is the agent\'s');
like($e[0]{time}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/, 'time');
is($e[0]{data}{phase}, 'started', 'phase of the start');
is($e[-1]{data}{phase}, 'ended', 'phase of the end');
is_deeply([sort keys %{$e[0]}], [sort qw(event_id sequence time session_id
    native_session_id synthetic source type data raw)],
    'the members of an event');
is_deeply([sort keys %{$e[1]{data}{item}}], [sort qw(item_id native_item_id
    parent_id kind role content status)], 'the members of an item');

script('help', 7);
@e = script('echo  one   two', 7);
is($e[5]{data}{item}{content}[0]{text}, 'one two', 'echo joins by blanks');
is($e[3]{data}{item}{native_item_id}, 'mock_1_echo', 'echo has its id');
@e = script('  trimmed  ', 7);
is($e[1]{data}{item}{content}[0]{text}, 'trimmed', 'messages are trimmed');

@e = script('markdown', 14);
my @deltas = grep { $_->{type} eq 'item.delta' } @e;
is(scalar @deltas, 8, 'markdown comes in eight pieces');
is(scalar(grep { $_->{synthetic} } @deltas), 0, 'of the agent\'s own');
is(join('', map { $_->{data}{delta} } @deltas), item_text($e[12]),
    'that make up the whole');

@e = script('tool', 8);
is(shape(@e), "$user started:tool_call completed:tool_call started:tool_result "
    . 'completed:tool_result turn.ended*', 'tool');
is_deeply($e[4]{data}{item}{content}, [{ type => 'tool_call',
    name => 'mock.search', arguments => '{"query":"example"}',
    call_id => 'mock_1_call' }], 'the call');
is($e[6]{data}{item}{status}, 'failed', 'its result has failed');
is($e[6]{data}{item}{role}, 'tool', 'and is the tool\'s');
is_deeply([map { $_->{type} } @{$e[6]{data}{item}{content}}],
    [qw(tool_result file_ref file_ref file_ref)], 'parts of the result');

@e = script('status', 6);
is($e[4]{data}{item}{content}[0]{detail}, 'Done', 'status');
@e = script('image', 7);
is($e[5]{data}{item}{content}[1]{mime}, 'image/png', 'image');
@e = script('unknown', 6);
is($e[3]{data}{item}{kind}, 'unknown', 'unknown kind');

@e = script('permission', 5);
is_deeply($e[3]{data}, { permission_id => 'mock_1_permission',
    action => 'command_execution', status => 'requested', metadata =>
    { codexRequestKind => 'commandExecution', command => 'echo mock' } },
    'permission one');
is($e[4]{data}{permission_id}, 'mock_1_permission_denied', 'permission two');
@e = script('question', 5);
is_deeply($e[3]{data}, { question_id => 'mock_1_question',
    prompt => 'Choose a color', options => ['Red', 'Blue'], response => undef,
    status => 'requested' }, 'question one');

@e = script('error', 6);
is_deeply($e[3]{data}, { message => 'Mock error event.', code => 'mock_error',
    details => { mock => JSON::PP::true } }, 'error');
is($e[4]{type}, 'agent.unparsed', 'and what could not be parsed');
@e = script('unparsed', 5);
is($e[3]{data}{location}, 'mock.stream', 'unparsed');
my ($raw) = $d->events("m$number", after => 4, limit => 1, raw => JSON::PP::true);
is_deeply($raw->{raw}, { raw => 'mock' }, 'with its payload when asked for');
ok(!defined $e[3]{raw}, 'and without when not');

@e = script('end', 4);
is_deeply($e[3]{data}, { reason => 'completed', terminated_by => 'agent' }, 'end');
script('', 1);
@e = script('Answer briefly and include your reasoning.', 8);
is_deeply([map { $_->{type} } @{$e[6]{data}{item}{content}}],
    [qw(text reasoning reasoning json)], 'the rich message');

for my $word (qw(OK FIRST SECOND)) {
	my $exact = $word eq 'OK' ? 'single word' : 'word';
	@e = script("Reply with exactly the $exact $word.", 7);
	is(item_text($e[5]), $word, "the word $word");
}
@e = script('DEMO', 67);
is($e[-1]{type}, 'turn.ended', 'demo ends its turn');
is(scalar(grep { $_->{type} eq 'permission.requested' } @e), 2, 'demo asks');

# Several messages: the prefix counts.
$d->ok('session.create', { id => 'multi', agent => 'mock', sandbox => 'm' });
for my $n (1 .. 3) {
	@e = $d->turn('multi', "message $n");
	is($e[1]{data}{item}{native_item_id}, "mock_${n}_user", "message $n");
}
@e = $d->events('multi');
is(Sandboxd::sequence_flaw(1, @e), '', 'three turns without a gap');
is($e[0]{type}, 'session.started', 'session.started is first');
my %seen;
$seen{$_->{data}{item}{item_id}}++ for grep { $_->{type} eq 'item.started' } @e;
is(scalar(grep { $_ > 1 } values %seen), 0, 'no item id is used twice');

# Real work: a file and a command, inside the sandbox.
@e = $d->turn('multi', 'write /tmp/made some words here');
is($d->sh('m', 'cat /tmp/made')->{stdout} =~ s/\n\z//r, 'some words here',
    'write makes a file in the sandbox');
@e = $d->turn('multi', 'run echo $((40 + 2)) ; hostname');
my ($result) = grep { ($_->{data}{item}{kind} // '') eq 'tool_result'
    && $_->{type} eq 'item.completed' } @e;
like(item_text($result), qr/^42\nm\n?/, 'run runs a command in the sandbox');
ok(!-e '/tmp/made' || slurp('/tmp/made') !~ /some words/,
    'and none of it on the host');

done_testing;
