# Replies to permissions and questions, once each.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => 'm' });

sub session {
	my ($id, $text) = @_;
	$d->ok('session.create', { id => $id, agent => 'mock', sandbox => 'm' });
	$d->ok('session.prompt', { id => $id, text => $text });
	my @e;
	wait_for(20, sub { (@e = $d->events($id)) >= 6 });
	return @e;
}

# The answer as the log has it; the turn may have ended after it.
sub last_event { return (grep { $_->{type} =~ /resolved$/ } $d->events($_[0]))[-1] }

my %status = (once => 'accept', always => 'accept_for_session',
    reject => 'reject');
for my $reply (qw(once always reject)) {
	session("p-$reply", 'permission');
	my %args = (id => "p-$reply", permission_id => 'mock_1_permission',
	    reply => $reply);
	$d->ok('session.permission.reply', \%args);
	my $e = last_event("p-$reply");
	is($e->{type}, 'permission.resolved', "$reply: resolved");
	is($e->{data}{status}, $status{$reply}, "$reply: status");
	is($e->{data}{action}, 'command_execution', "$reply: repeats the request");
	is($e->{source}, 'daemon', "$reply: the daemon's");
	is($d->error('session.permission.reply', \%args), 'permission_not_found',
	    "$reply: not twice");
}

# always: the like of it is answered at once from then on.
$d->ok('session.prompt', { id => 'p-always', text => 'permission' });
my @e;
wait_for(20, sub {
	@e = grep { $_->{type} =~ /^permission/ } $d->events('p-always');
	@e >= 6
});
is(join(' ', map { "$_->{type}:$_->{data}{permission_id}" } @e[3 .. 5]),
    'permission.requested:mock_2_permission '
    . 'permission.resolved:mock_2_permission '
    . 'permission.requested:mock_2_permission_denied',
    'always answers the next of its kind, and only that');
is($e[4]{data}{status}, 'accept_for_session', 'and says why');

session('q', 'question');
$d->ok('session.question.reply', { id => 'q', question_id => 'mock_1_question',
    answers => [['Blue']] });
my $e = last_event('q');
is($e->{type}, 'question.resolved', 'a question answered');
is($e->{data}{status}, 'answered', 'status');
is($e->{data}{response}, 'Blue', 'response');
is($e->{data}{prompt}, 'Choose a color', 'repeats the question');
is($d->error('session.question.reply', { id => 'q',
    question_id => 'mock_1_question', answers => [['Red']] }),
    'question_not_found', 'not twice');
$d->ok('session.question.reject', { id => 'q',
    question_id => 'mock_1_question_reject' });
$e = last_event('q');
is($e->{data}{status}, 'rejected', 'a question declined');
ok(!defined $e->{data}{response}, 'has no response');

session('q2', 'question');
$d->ok('session.question.reply', { id => 'q2', question_id => 'mock_1_question',
    answers => 'Red' });
is(last_event('q2')->{data}{response}, 'Red', 'a single word as answer');
session('q3', 'question');
$d->ok('session.question.reply', { id => 'q3', question_id => 'mock_1_question',
    answers => [] });
ok(!defined last_event('q3')->{data}{response}, 'an empty answer');
is($d->error('session.question.reply', { id => 'q3',
    question_id => 'mock_1_question_reject', answers => [[1]] }), 'bad_request',
    'an answer that is no word');
is($d->error('session.permission.reply', { id => 'q3',
    permission_id => 'mock_1_question_reject', reply => 'once' }),
    'permission_not_found', 'a question is no permission');

# Two clients answer at the same time: one is told so.
session('race', 'permission');
my @c = map { $d->client } 1 .. 4;
my @ids = map { $_->send('session.permission.reply', { id => 'race',
    permission_id => 'mock_1_permission', reply => 'once' }) } @c;
my @got = map { my $r = $c[$_]->finish($ids[$_]); $r->{ok} ? 'ok'
    : $r->{error}{code} } 0 .. 3;
is(join(' ', sort @got), join(' ', ('ok', ('permission_not_found') x 3)),
    'four replies at the same time: one counts');

done_testing;
