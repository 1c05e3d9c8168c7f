# sandboxctl run claude: one command from a directory to a reviewed change.
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
(my $bin = claude_program()) =~ s{/[^/]*$}{};
my %env = (%{claude_env($llm)}, PRIVATE_WORD => 'not-for-the-agent');
# Found in PATH, as a person has it; its directory is not one that the image shows.
my $link = Sandboxd->scratch_dir;
symlink(claude_program(), "$link/claude");
$env{PATH} = "$link:$ENV{PATH}";

my $got = $d->ctl(['run', 'claude', 'fake:edit path=add.c old="a - b" new="a + b"',
    '--dir', $repo, '--yes', 'once', '--sandbox-id', 'fix'], env => \%env,
    timeout => 60);
is($got->{status}, 0, 'run claude') or diag("$got->{out}$got->{err}");
like($got->{out}, qr/Edit/, 'the tool call is shown');
like($got->{out} . $got->{err}, qr/host/, 'that it has the host\'s network is said');
is($d->ok('sandbox.get', { id => 'fix' })->{network}, 'host', 'which it needs');
like(slurp("$repo/add.c"), qr/a - b/, 'the directory is as it was');
like($d->ctl(['diff', 'fix'])->{out}, qr/^\+\treturn a \+ b;$/m, 'diff');
is($d->ctl(['apply', 'fix'])->{status}, 0, 'apply');
like(slurp("$repo/add.c"), qr/a \+ b/, 'the change is taken over');
is(git_in($repo, 'status', '--porcelain')->{out}, " M add.c\n", 'and nothing else');
unlike(to_json([$d->events('fix', raw => JSON::PP::true)]), qr/not-for-the-agent/,
    'no other variable of the caller went in');
unlike(slurp($d->{log}), qr/\Q$llm->{key}\E/, 'the key is not in the log');

# An error is told by the exit status.
$got = $d->ctl(['run', 'claude', 'fake:error status=400', '--dir', $repo],
    env => \%env, timeout => 60);
isnt($got->{status}, 0, 'a turn that fails');
like($got->{out} . $got->{err}, qr/400|as the test wished/, 'and says why');
# Nobody to ask.
$got = $d->ctl(['run', 'claude', 'fake:write path=n.txt content="n"', '--dir', $repo],
    env => \%env, timeout => 60);
ok(!$got->{timed_out}, 'nobody to ask: it ends');
like($got->{out} . $got->{err}, qr/reject/, 'and the request was rejected');
$d->ctl(['rm', 'fix']);
is(scalar @{$d->ok('sandbox.list')->{sandboxes}}, 0, 'nothing stays');

done_testing;
