# Claude Code works on a git repository: tool calls allowed, denied, always; files
# really written and edited, in a copy that apply takes over.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../t/lib";
use Sandboxd;
use Agents;
use Test::More;

need_root();

need_program('git');
my $d = claude_daemon();
my $llm = Agents::FakeLlm->start;
my $repo = git_repository();
claude_session($d, $llm, 'work', workspace => $repo);

# Send a prompt and answer each permission request by the words of REPLIES.
sub turn_with {
	my ($id, $text, @replies) = @_;
	my $from = ($d->events($id))[-1]{sequence};
	my @asked;

	$d->ok('session.prompt', { id => $id, text => $text });
	my $seen = $from;
	my $done = wait_for(40, sub {
		for my $e ($d->events($id, after => $seen)) {
			$seen = $e->{sequence};
			return 1 if $e->{type} eq 'turn.ended';
			next unless $e->{type} eq 'permission.requested';
			push @asked, $e;
			my $reply = shift @replies // 'reject';
			my ($word, $message) = ref $reply ? @$reply : ($reply);
			$d->ok('session.permission.reply', { id => $id,
			    permission_id => $e->{data}{permission_id},
			    reply => $word,
			    defined $message ? (message => $message) : () });
		}
		return 0;
	});
	ok($done, 'the turn ends: ' . substr($text, 0, 60));
	return ([$d->events($id, after => $from)], @asked);
}

# A file written, after leave was given.
my ($e, @asked) = turn_with('work',
    'fake:write path=hello.txt content="Hi there\n"', 'once');
is(scalar @asked, 1, 'writing is asked for');
is($asked[0]{data}{action}, 'Write', 'by the tool\'s name');
like(to_json($asked[0]{data}{metadata}), qr/hello\.txt/, 'with the file\'s name');
my ($call) = tool_items('tool_call', @$e);
is($call->{content}[0]{name}, 'Write', 'the call is an item');
like($call->{content}[0]{arguments}, qr/Hi there/, 'with its arguments');
my ($result) = tool_items('tool_result', @$e);
is($result->{status}, 'completed', 'its result too');
is($result->{content}[0]{call_id}, $call->{content}[0]{call_id}, 'of the same call');
isnt($result->{item_id}, $call->{item_id}, 'as an item of its own');
my ($resolved) = grep { $_->{type} eq 'permission.resolved' } @$e;
is($resolved->{data}{status}, 'accept', 'the permission is resolved');
is($d->sh('work', 'cat hello.txt')->{stdout}, "Hi there\n",
    'the file is there, in the sandbox');
ok(!-e "$repo/hello.txt", 'and not in the repository: it is a copy');
like(answer_text(@$e), qr/The tool answered/, 'the agent goes on');

# A file read and edited.
($e, @asked) = turn_with('work',
    'fake:edit path=add.c old="a - b" new="a + b"', 'once');
is($d->sh('work', 'cat add.c')->{stdout}, "int\nadd(int a, int b)\n{\n\treturn a + b;\n}\n",
    'a file of the repository is really edited');
like($d->sh('work', 'git -c safe.directory=* diff --stat')->{stdout}, qr/add\.c/,
    'git sees it');
is(join(' ', map { $_->{content}[0]{name} } tool_items('tool_call', @$e)),
    'Read Edit', 'read, then edited');

# Denied, with words for the agent.
($e, @asked) = turn_with('work', 'fake:write path=denied.txt content="no"',
    ['reject', 'Not in this folder, please.']);
($resolved) = grep { $_->{type} eq 'permission.resolved' } @$e;
is($resolved->{data}{status}, 'reject', 'a call denied');
($result) = tool_items('tool_result', @$e);
is($result->{status}, 'failed', 'its result has failed');
like(to_json($result), qr/Not in this folder/, 'the agent was told why');
is($d->sh('work', 'test -e denied.txt')->{exit_code}, 1, 'nothing was written');
like(answer_text(@$e), qr/The tool failed.*Not in this folder/,
    'and the model knows it');

# A command.
($e, @asked) = turn_with('work',
    'fake:bash cmd="touch made-by-command && pwd && hostname"', 'once');
($result) = tool_items('tool_result', @$e);
like(item_text({ data => { item => $result } }), qr{^/workspace\nwork$}m, 'a command runs inside');
ok(!-e "$repo/made-by-command", 'on the copy');

# Always: the next of its kind is not asked for.
($e, @asked) = turn_with('work',
    'fake:write path=one.txt content="1" fake:write path=two.txt content="2"',
    'always', 'reject');
is(scalar(grep { $_->{type} eq 'permission.resolved'
    && $_->{data}{status} eq 'accept_for_session' } @$e) >= 1, 1, 'always');
is($d->sh('work', 'cat one.txt two.txt')->{stdout}, '12', 'covers the second file');

# Modes: acceptEdits does not ask for edits, plan does not write.
$d->ok('session.configure', { id => 'work', permission_mode => 'acceptEdits' });
($e, @asked) = turn_with('work', 'fake:write path=free.txt content="f"');
is(scalar @asked, 0, 'acceptEdits: a file is not asked for');
is($d->sh('work', 'cat free.txt')->{stdout}, 'f', 'and written');

# What the agent did is looked at and taken over.
my $diff = $d->ctl(['diff', 'work']);
like($diff->{out}, qr/^\+\treturn a \+ b;$/m, 'diff shows the edit');
is(git_in($repo, 'status', '--porcelain')->{out}, '', 'the repository is untouched');
is($d->ctl(['apply', 'work'])->{status}, 0, 'apply');
like(slurp("$repo/add.c"), qr/a \+ b/, 'the edit is in the repository');
is(slurp("$repo/hello.txt"), "Hi there\n", 'and the new file');
ok(!-e "$repo/denied.txt", 'but not what was denied');

# A user who is not root inside, on the directory itself.
run_cmd(['chown', '-R', '1000:1000', $repo]);
claude_session($d, $llm, 'user', workspace => $repo, mode => 'rw',
    user => '1000:1000', args => { permission_mode => 'bypass' });
($e, @asked) = turn_with('user', 'fake:write path=by-user.txt content="u"');
is(slurp("$repo/by-user.txt"), 'u', 'bypass as a user, straight to the directory');
is((stat "$repo/by-user.txt")[4], 1000, 'belongs to its owner');

done_testing;
