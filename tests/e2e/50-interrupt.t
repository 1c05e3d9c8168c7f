# Interrupting Claude Code: in a stream, in a tool, in a request, twice.
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
claude_session($d, $llm, 'i', args => { permission_mode => 'default' });

sub open_items {
	my %open;
	for (@_) {
		my $i = $_->{data}{item} or next;
		$_->{type} eq 'item.started' ? $open{$i->{item_id}}++
		    : delete $open{$i->{item_id}};
	}
	return join(' ', keys %open);
}

# Prompt, wait for an event of TYPE, cancel, wait for the end.
sub interrupted {
	my ($name, $text, $type) = @_;
	my $from = ($d->events('i'))[-1]{sequence};
	$d->ok('session.prompt', { id => 'i', text => $text });
	ok($d->wait_event('i', sub { $_[0]{type} =~ /$type/ }, 30, $from),
	    "$name: it is at work");
	my $began = time;
	$d->ok('session.cancel', { id => 'i' });
	ok($d->wait_event('i', sub { $_[0]{type} eq 'turn.ended' }, 20, $from),
	    "$name: the turn ends");
	cmp_ok(time - $began, '<', 10 * Sandboxd::slow_factor(), "$name: soon");
	my @e = $d->events('i', after => $from);
	is($e[-1]{type}, 'turn.ended', "$name: nothing comes after the end");
	is(open_items(@e), '', "$name: no item stays open");
	return @e;
}

$d->turn('i', 'Hello.');
my ($pid) = $d->children(qr/claude/);
my @e = interrupted('in a stream', 'fake:stream n=1000 delay=50', 'item.delta');
ok(wait_for(10, sub { grep { $_->{aborted_by_client} } $llm->seen('response') }),
    'in a stream: the model server saw the connection end');
@e = $d->turn('i', 'Are you there?');
like(answer_text(@e), qr/Are you there/, 'the session goes on');
is(($d->children(qr/claude/))[0], $pid, 'with the same process');

interrupted('in a permission request', 'fake:write path=/tmp/x content="x"',
    'permission.requested');
my ($r) = grep { $_->{type} eq 'permission.resolved' } reverse $d->events('i');
is($r->{data}{status}, 'reject', 'an open request is resolved');

interrupted('before the first word', 'fake:hang', 'turn.started');
@e = $d->turn('i', 'And now?');
like(answer_text(@e), qr/And now/, 'and goes on');

# A tool that runs.
$d->ok('session.configure', { id => 'i', permission_mode => 'acceptEdits' });
my $from = ($d->events('i'))[-1]{sequence};
$d->ok('session.prompt', { id => 'i',
    text => 'fake:bash cmd="perl -e \'sleep 654\'"' });
my $asked = wait_for(20, sub {
	for ($d->events('i', after => $from)) {
		return $_ if $_->{type} eq 'permission.requested';
	}
	return scalar $d->children(qr/sleep 654/);
});
$d->ok('session.permission.reply', { id => 'i', permission_id =>
    $asked->{data}{permission_id}, reply => 'once' }) if ref $asked;
ok(wait_for(20, sub { scalar $d->children(qr/^perl.*sleep 654/) }),
    'in a tool: it runs');
$d->ok('session.cancel', { id => 'i' });
ok($d->wait_event('i', sub { $_[0]{type} eq 'turn.ended' }, 20, $from),
    'in a tool: the turn ends');
ok(wait_for(10, sub { !$d->children(qr/^perl.*sleep 654/) }),
    'in a tool: the command is ended');
is(open_items($d->events('i', after => $from)), '', 'in a tool: no item stays open');
@e = $d->turn('i', 'Still?');
like(answer_text(@e), qr/Still/, 'and goes on');

# A message during a turn waits its turn.
$from = ($d->events('i'))[-1]{sequence};
$d->ok('session.prompt', { id => 'i', text => 'fake:stream n=10 delay=50' });
ok($d->ok('session.prompt', { id => 'i', text => 'Second.' })->{queued}, 'queued');
ok(wait_for(30, sub { 2 == grep { $_->{type} eq 'turn.ended' }
    $d->events('i', after => $from) }), 'two turns');
my @types = grep { /^turn/ } event_types($d->events('i', after => $from));
is("@types", 'turn.started turn.ended turn.started turn.ended', 'one after the other');

done_testing;
