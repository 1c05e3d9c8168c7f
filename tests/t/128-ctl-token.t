# sandboxctl token: made once, shown once, good for what was said, until revoked.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $admin = 'the-administrator';
my $d = Sandboxd->start(http => 1, token => $admin);
my $exe = program('sandboxctl');
my $url = $d->url;
my %tokens;

sub make {
	my ($name, @flags) = @_;
	my $got = $d->ctl(['token', 'create', @flags, $name]);
	is($got->{status}, 0, "token create @flags") or diag($got->{err});
	like($got->{out}, qr/^\S{32,}\n\z/, 'the token is alone on standard output');
	like($got->{err}, qr/token \S+; it is shown only now/, 'its id beside it');
	chomp(my $text = $got->{out});
	$tokens{$name} = $text;
	return $text;
}

# A request with a token: its status.
sub status {
	my ($token, $method, $path, %o) = @_;
	return $d->http($method, $path, token => $token, %o)->{status};
}

$d->ok('sandbox.create', { id => $_ }) for qw(mine other);
make('all');
make('looker', '--read-only');
make('mine-only', '-s', 'mine');
make('mine-look', '-s', 'mine', '-r');
make('short', '--expire', '2s');

my $run = { command => 'true' };
is(status($tokens{all}, 'GET', '/v1/sandboxes'), 200, 'a token for everything');
is(status($tokens{looker}, 'GET', '/v1/sessions'), 200, 'read-only: reads');
is(status($tokens{looker}, 'POST', '/i/mine/v1/processes/run', json => $run), 403,
    'and does nothing');
is(status($tokens{'mine-only'}, 'POST', '/i/mine/v1/processes/run', json => $run), 200,
    'its own sandbox');
is(status($tokens{'mine-only'}, 'POST', '/i/other/v1/processes/run', json => $run), 403,
    'not another');
is(status($tokens{'mine-only'}, 'GET', '/v1/sandboxes/other'), 403, 'nor its record');
is(status($tokens{'mine-only'}, 'GET', '/v1/sandboxes'), 403, 'nor the list');
is(status($tokens{'mine-look'}, 'POST', '/i/mine/v1/processes/run', json => $run), 403,
    'its own, for reading only');
is(status($tokens{'mine-look'}, 'GET', '/i/mine/v1/processes'), 200, 'reads');
is(status($tokens{short}, 'GET', '/v1/sessions'), 200, 'a short one');
is(status("$tokens{all}x", 'GET', '/v1/sessions'), 401, 'a longer text is none');
is(status(substr($tokens{all}, 0, -1), 'GET', '/v1/sessions'), 401, 'nor a shorter one');

# Listed without their texts, and nowhere else.
my $list = $d->ctl(['token', 'list']);
like($list->{out}, qr/^ID\s+FOR\s+MAY\s+AGE\s+ENDS\s+LABEL$/m, 'token list');
like($list->{out}, qr/\bmine\s+read\s+\S+\s+never\s+mine-look/, 'a row');
is((grep { index($list->{out}, $_) >= 0 } values %tokens), 0, 'has no texts');
my @ids = split /\n/, $d->ctl(['token', 'list', '-q'])->{out};
is(scalar @ids, 5, 'token list --quiet');
is(scalar @{from_json($d->ctl(['--json', 'tokens'])->{out})->{tokens}}, 5,
    'tokens --json');
for my $text (values %tokens) {
	my $found = run_cmd(['grep', '-rlF', $text, $d->{dir}]);
	is($found->{out}, '', 'no file and no log has it');
}

# sandboxctl with them.
my $got = run_cmd([$exe, '--endpoint', $url, '--token', $tokens{all}, 'ls', '-q']);
is($got->{out}, "other\nmine\n", '--token');
my $file = spew(Sandboxd->scratch_dir . '/token', "$tokens{all}\n");
is(run_cmd([$exe, '--endpoint', $url, '--token-file', $file, 'ls', '-q'])->{status}, 0,
    '--token-file');
is(run_cmd([$exe, '--endpoint', $url, 'ls'], env => { SANDBOXCTL_TOKEN => $tokens{all} })
    ->{status}, 0, 'SANDBOXCTL_TOKEN');
$got = run_cmd([$exe, '--endpoint', $url, 'session', 'ls']);
is($got->{status}, 1, 'none: refused');
like($got->{err}, qr/token invalid/, 'and says so');
is(run_cmd([$exe, '--endpoint', $url, '--token', 'nope', 'session', 'ls'])->{status}, 1,
    'a wrong one: refused');
is(run_cmd([$exe, '--endpoint', $url, '--token', 'a b', 'ls'])->{status}, 100,
    'one that is none: wrong use');
is(run_cmd([$exe, '--endpoint', $url, '--token', "a\r\nX: y", 'ls'])->{status}, 100,
    'nor a line of its own');
is(run_cmd([$exe, '--endpoint', $url, '--token', 'a', '--token-file', $file, 'ls'])
    ->{status}, 100, 'both at once');
is(run_cmd([$exe, '--token', 'a', 'ls'])->{status}, 100, 'without an endpoint');
$got = run_cmd([$exe, '--endpoint', $url, '--token', $tokens{looker}, 'exec', 'mine',
    'true']);
is($got->{status}, 1, 'reading only: no exec');
like($got->{err}, qr/reading only/, 'and says so');
is(run_cmd([$exe, '--endpoint', $url, '--token', $tokens{'mine-only'}, 'exec', '-t',
    'mine', 'true'])->{status}, 0, 'a terminal with a token');
is(run_cmd([$exe, 'api', '-t', $tokens{all}, '-e', $url, 'sessions', 'list'])->{status}, 0,
    'api -t');
is(run_cmd([$exe, 'api', '-n', '-e', $url, 'sessions', 'list'],
    env => { SANDBOXCTL_TOKEN => $tokens{all} })->{status}, 1, 'api --no-token sends none');
# What a command line shows while it runs.
my $pid = fork // die "fork: $!";
if ($pid == 0) {
	open(STDOUT, '>', '/dev/null');
	exec($exe, '--endpoint', $url, '--token', $tokens{all}, 'exec', 'mine', 'sleep', '30');
}
ok(wait_for(10, sub { $d->sh('mine', 'pgrep -x sleep')->{stdout} ne '' }), 'a command runs');
unlike(slurp("/proc/$pid/cmdline"), qr/\Q$tokens{all}\E/,
    'the token is not in the process list');
kill('TERM', $pid);
waitpid($pid, 0);

# An end, and a restart between.
ok(wait_for(10, sub { status($tokens{short}, 'GET', '/v1/sessions') == 401 }),
    'the short one has ended');
$d->restart('KILL');
is(status($tokens{all}, 'GET', '/v1/sessions'), 200, 'after a crash it is good');
is(status($admin, 'GET', '/v1/sessions'), 200, 'as is that of the command line');
my ($id) = map { $_->{id} } grep { ($_->{label} // '') eq 'all' }
    @{$d->ok('token.list')->{tokens}};
is($d->ctl(['token', 'revoke', $id])->{status}, 0, 'token revoke');
ok(wait_for(2, sub { status($tokens{all}, 'GET', '/v1/sessions') == 401 }),
    'it is good for nothing');
is($d->ctl(['token', 'revoke', $id])->{status}, 1, 'twice: not there');
is($d->ctl(['token', 'create', '--expire', 'soon'])->{status}, 100, 'a time that is none');
is($d->ctl(['token', 'nope'])->{status}, 100, 'wrong use');

done_testing;
