# sandboxctl run, diff and apply: an agent's work on a copy, looked at, taken over.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
need_program('git');
my $d = Sandboxd->start;
my $repo = Sandboxd->scratch_dir . '/repo';

sub git { return run_cmd(['git', '-C', $repo, '-c', 'user.name=t', '-c',
    'user.email=t@localhost', @_]) }
sub fresh {
	run_cmd(['rm', '-rf', $repo]);
	mkdir($repo);
	run_cmd(['git', 'init', '-q', '-b', 'main', $repo]);
	spew("$repo/a.txt", "one\ntwo\nthree\n");
	spew("$repo/gone.txt", "soon gone\n");
	mkdir("$repo/dir");
	spew("$repo/dir/b.txt", "b\n");
	symlink('a.txt', "$repo/link");
	git('add', '-A');
	git('commit', '-q', '-m', 'start');
}
sub status { return git('status', '--porcelain')->{out} }

fresh();
my $got = $d->ctl(['run', 'mock', 'hello world', '--dir', $repo]);
is($got->{status}, 0, 'run: a turn that changes nothing') or diag($got->{err});
like($got->{out}, qr/hello world/, 'its text is shown');
is(scalar @{$d->ok('sandbox.list')->{sandboxes}}, 0,
    'a sandbox without changes does not stay');

my $work = "run echo changed >>a.txt; rm gone.txt; mkdir -p new/deep; "
    . "echo n >new/deep/n.txt; chmod 755 dir/b.txt; ln -s /etc/passwd evil; "
    . "printf 'a\\0b' >bin.dat";
$got = $d->ctl(['run', 'mock', $work, '--dir', $repo, '--sandbox-id', 'job']);
is($got->{status}, 0, 'run: a turn that works on files') or diag($got->{err});
like($got->{out}, qr/sandboxctl diff job/, 'says how to go on');
is(status(), '', 'the directory is untouched');
is(scalar @{$d->ok('sandbox.list')->{sandboxes}}, 1, 'the sandbox stays');
is($d->ok('session.get', { id => 'job' })->{agent}, 'mock', 'with its session');

$got = $d->ctl(['diff', 'job']);
is($got->{status}, 0, 'diff') or diag($got->{err});
like($got->{out}, qr/^\+changed$/m, 'shows what was added');
like($got->{out}, qr/^deleted file mode/m, 'and what was removed');
like($got->{out}, qr/new\/deep\/n\.txt/, 'and what is new');
is(status(), '', 'diff changes nothing');
# The patch is one that git takes, but for bytes that no text patch can hold.
like($got->{out}, qr/bin\.dat/, 'bytes that are not text are named');
$got = $d->ctl(['diff', 'job', 'a.txt', 'gone.txt', 'new', 'dir']);
spew("$repo/../p.patch", $got->{out});
is(git('apply', '--check', "$repo/../p.patch")->{status}, 0, 'git can apply it')
    or diag(git('apply', '--check', "$repo/../p.patch")->{err});
like($d->ctl(['diff', 'job', '--stat'])->{out}, qr/a\.txt/, 'diff --stat');
$got = $d->ctl(['diff', 'job', 'a.txt']);
like($got->{out}, qr/a\.txt/, 'diff of one path');
unlike($got->{out}, qr/gone\.txt/, 'and of no other');

$got = $d->ctl(['apply', 'job', '--dry-run']);
is($got->{status}, 0, 'apply --dry-run');
is(status(), '', 'changes nothing');
$got = $d->ctl(['apply', 'job']);
is($got->{status}, 0, 'apply') or diag("$got->{out}$got->{err}");
is(slurp("$repo/a.txt"), "one\ntwo\nthree\nchanged\n", 'a file changed');
ok(!-e "$repo/gone.txt", 'a file removed');
is(slurp("$repo/new/deep/n.txt"), "n\n", 'a file made');
ok(-x "$repo/dir/b.txt", 'a mode changed');
is(slurp("$repo/bin.dat"), "a\0b", 'bytes');
ok(!-l "$repo/evil" || readlink("$repo/evil") eq '/etc/passwd',
    'a link stays a link');
is((stat "$repo/a.txt")[4], (stat $repo)[4], 'what is applied belongs to who owned it');
$d->ctl(['rm', 'job']);

# Somebody changed the same file meanwhile: not silently overwritten.
fresh();
$d->ctl(['run', 'mock', 'run echo agent >a.txt', '--dir', $repo, '--sandbox-id',
    'clash']);
spew("$repo/a.txt", "mine\n");
$got = $d->ctl(['apply', 'clash']);
isnt($got->{status}, 0, 'apply over a change made meanwhile is refused');
is(slurp("$repo/a.txt"), "mine\n", 'and nothing is lost');
$got = $d->ctl(['apply', 'clash', '--force']);
is(slurp("$repo/a.txt"), "agent\n", 'unless it is wanted');
$d->ctl(['rm', 'clash']);

# Links that lead out: apply never follows them.
fresh();
my $outside = Sandboxd->scratch_dir;
spew("$outside/victim", "safe\n");
$d->ctl(['run', 'mock', "run rm -rf dir; ln -s $outside dir; echo x >a.txt", '--dir',
    $repo, '--sandbox-id', 'trap']);
# The host's directory turns into a link between run and apply as well.
rename("$repo/dir", "$repo/dir.old");
symlink($outside, "$repo/dir");
$d->ctl(['apply', 'trap', '--force']);
is(join(' ', sort map { s{.*/}{}r } glob("$outside/*")), 'victim',
    'nothing is written through a link');
is(slurp("$outside/victim"), "safe\n", 'nor removed');
$d->ctl(['rm', 'trap']);

# --write works on the directory itself.
fresh();
$got = $d->ctl(['run', 'mock', 'write w.txt by the agent', '--dir', $repo, '--write']);
is($got->{status}, 0, 'run --write');
is(slurp("$repo/w.txt"), "by the agent\n", 'writes to the directory');
is((stat "$repo/w.txt")[4], (stat $repo)[4], 'as its owner');
is(scalar @{$d->ok('sandbox.list')->{sandboxes}}, 0, 'and does not stay');

# --keep, --json, exit status by outcome.
$got = $d->ctl(['run', 'mock', 'hi', '--dir', $repo, '--keep', '--sandbox-id', 'kept']);
is($d->ok('sandbox.get', { id => 'kept' })->{state}, 'running', 'run --keep');
$d->ctl(['rm', 'kept']);
$got = $d->ctl(['--json', 'run', 'mock', 'hi', '--dir', $repo]);
my @lines = map { from_json($_) } split /\n/, $got->{out};
is((grep { ($_->{type} // '') eq 'turn.ended' } @lines), 1, 'run --json: events');
is($lines[-1]{outcome}, 'completed', 'run --json: then the outcome');
$got = $d->ctl(['run', 'mock', 'exit 3', '--dir', $repo]);
isnt($got->{status}, 0, 'a turn that fails');
$got = $d->ctl(['run', 'parrot', 'hi', '--dir', $repo]);
isnt($got->{status}, 0, 'an agent that is not known');
is(scalar @{$d->ok('sandbox.list')->{sandboxes}}, 0, 'leaves nothing behind');
$got = $d->ctl(['run', 'mock', 'hi', '--dir', '/no/such']);
isnt($got->{status}, 0, 'a directory that is not there');
# Nobody to ask: rejected, and said; --yes answers.
$got = $d->ctl(['run', 'mock', 'permission', '--dir', $repo], timeout => 20);
ok(!$got->{timed_out}, 'a request with nobody to ask does not hang');
like($got->{err} . $got->{out}, qr/reject/, 'and is rejected');
$got = $d->ctl(['run', 'mock', 'permission', '--dir', $repo, '--yes', 'once'],
    timeout => 20);
ok(!$got->{timed_out}, '--yes answers');
is(scalar @{$d->ok('sandbox.list')->{sandboxes}}, 0, 'nothing stays');

done_testing;
