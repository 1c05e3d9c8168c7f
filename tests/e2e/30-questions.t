# Questions of Claude Code: answered, declined.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../t/lib";
use Sandboxd;
use Agents;
use Test::More;

need_root();

my $d = claude_daemon();
my $llm = Agents::FakeLlm->start;
claude_session($d, $llm, 'q');

sub ask {
	my ($text) = @_;
	my $from = ($d->events('q'))[-1]{sequence};
	$d->ok('session.prompt', { id => 'q', text => $text });
	my $e = $d->wait_event('q', sub { $_[0]{type} eq 'question.requested' }, 30,
	    $from);
	return ($e, $from);
}

my ($q, $from) = ask('fake:ask question="Which colour?" options="Red|Blue"');
ok($q, 'a question is asked');
is($q->{data}{prompt}, 'Which colour?', 'with its words');
is_deeply($q->{data}{options}, ['Red', 'Blue'], 'and its options');
is($q->{data}{status}, 'requested', 'open');
is(scalar(grep { $_->{type} eq 'permission.requested' } $d->events('q',
    after => $from)), 0, 'it is no permission request');
$d->ok('session.question.reply', { id => 'q', question_id => $q->{data}{question_id},
    answers => [['Blue']] });
ok($d->wait_event('q', sub { $_[0]{type} eq 'turn.ended' }, 30, $from),
    'the turn goes on to its end');
my @e = $d->events('q', after => $from);
my ($r) = grep { $_->{type} eq 'question.resolved' } @e;
is($r->{data}{status}, 'answered', 'answered');
is($r->{data}{response}, 'Blue', 'with the word');
like(answer_text(@e), qr/Which colour.*Blue/s, 'and the model was told');

($q, $from) = ask('fake:ask question="Go on?" options="Yes|No"');
$d->ok('session.question.reject', { id => 'q',
    question_id => $q->{data}{question_id} });
ok($d->wait_event('q', sub { $_[0]{type} eq 'turn.ended' }, 30, $from),
    'declined: the turn ends');
@e = $d->events('q', after => $from);
($r) = grep { $_->{type} eq 'question.resolved' } @e;
is($r->{data}{status}, 'rejected', 'rejected');
ok(!defined $r->{data}{response}, 'without an answer');
like(answer_text(@e), qr/The tool failed/, 'and the model was told');

# A plan to approve is a question as well.
$d->ok('session.configure', { id => 'q', permission_mode => 'plan' });
($q, $from) = ask('fake:plan plan="First this, then that."');
ok($q, 'a plan is asked about');
is_deeply($q->{data}{options}, ['approve', 'reject'], 'with two answers');
$d->ok('session.question.reply', { id => 'q', question_id => $q->{data}{question_id},
    answers => [['approve']] });
ok($d->wait_event('q', sub { $_[0]{type} eq 'turn.ended' }, 30, $from),
    'approved: the turn goes on');

# Cancelled while it is open.
$d->ok('session.configure', { id => 'q', permission_mode => 'default' });
($q, $from) = ask('fake:ask question="Still there?" options="Yes|No"');
$d->ok('session.cancel', { id => 'q' });
ok($d->wait_event('q', sub { $_[0]{type} eq 'turn.ended' }, 30, $from),
    'cancel ends a turn that waits for an answer');
($r) = grep { $_->{type} eq 'question.resolved' } $d->events('q', after => $from);
is($r->{data}{status}, 'rejected', 'and resolves the question');
@e = $d->turn('q', 'And now?');
like(answer_text(@e), qr/And now/, 'the session goes on');

done_testing;
