# Which variables reach which agents: nothing but what is listed, never over what the
# session or its sandbox sets, and never into a log.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(sha256_hex);
use Sandboxd;
use Test::More;

need_root();
my $secret = 'sk-secret-' . (1e8 + int(rand 8e8));
# What the log shows of it.
my $hidden = 'sk-s' . '*' x (length($secret) - 4);
my %mock = (protocol => 'mock', agent_modes => ['build'],
    permission_modes => ['default']);
my $d = Sandboxd->start(
	conf => "[agent]\npass_env = GLOBAL_ONE PROXY_*\n",
	args => ['--log-level', 'debug'],
	env => { TST_API_KEY => $secret, TST_API_KEY_TWO => 'two', GLOBAL_ONE => 'g1',
	    PROXY_A => 'pa', PROXY_B => 'pb', PROXYX => 'px', UNLISTED => $secret,
	    FIXED => 'daemon', ANTHROPIC_API_KEY => '', OPENAI_API_KEY => $secret,
	    TST_EMPTY => '', TST_LONG => 'x' x 40_000, TST_BYTES => "\xff\xfe" },
	agents => {
		't.json' => { %mock, id => 't', name => 'T',
		    pass_env => ['TST_API_KEY', 'FIXED', 'TST_EMPTY', 'TST_LONG',
			'TST_BYTES', 'NOT_SET'],
		    env => { FIXED => 'definition', BASE => 'definition' },
		    credentials => ['anthropic', 'tst'] },
		'u.json' => { %mock, id => 'u', name => 'U',
		    pass_env => ['TST_*'], credentials => ['anthropic', 'openai'] },
		'v.json' => { %mock, id => 'v', name => 'V',
		    pass_env => ['OPENAI_*', 'ANTHROPIC_*'],
		    credentials => ['openai'] },
		'w.json' => { %mock, id => 'w', name => 'W',
		    pass_env => ['ANTHROPIC_*'], credentials => ['anthropic'] },
	});

sub env_of {
	my ($id) = @_;
	my ($out) = map { item_text($_) } grep { $_->{type} eq 'item.completed' &&
	    $_->{data}{item}{kind} eq 'tool_result' } $d->turn($id, 'run env');
	return { $out =~ /^(\w+)=(.*)$/mg };
}
# The digest of a variable, which the log may show.
sub sum_of {
	my ($id, $name) = @_;
	my ($out) = map { item_text($_) } grep { $_->{type} eq 'item.completed' &&
	    $_->{data}{item}{kind} eq 'tool_result' }
	    $d->turn($id, "run printf %s \"\$$name\" | sha256sum");
	return $out =~ /^([0-9a-f]{64})/ ? $1 : $out;
}
sub create { my (%o) = @_; $d->ok('session.create', \%o); return env_of($o{id}) }

$d->ok('sandbox.create', { id => 'box', env => { BASE => 'sandbox',
    FROM_BOX => '1' } });

my $e = create(id => 'a', agent => 't');
is($e->{TST_API_KEY}, $hidden, 'a variable that the definition lists');
is(sum_of('a', 'TST_API_KEY'), sha256_hex($secret), 'as it is');
is($e->{FIXED}, 'definition', 'what it sets itself goes before that');
is($e->{GLOBAL_ONE}, 'g1', 'what the configuration lists for all');
is("$e->{PROXY_A} $e->{PROXY_B}", 'pa pb', 'and by a beginning of names');
is($e->{TST_EMPTY}, '', 'an empty one');
for (qw(UNLISTED TST_API_KEY_TWO PROXYX OPENAI_API_KEY NOT_SET TST_LONG TST_BYTES LANG)) {
	ok(!exists $e->{$_}, "not $_");
}
unlike($e->{PATH}, qr/\Q$d->{dir}\E/, 'PATH is the sandbox\'s own');

$e = create(id => 'b', agent => 't', sandbox => 'box',
    env => { TST_API_KEY => 'mine', FIXED => '' });
is($e->{TST_API_KEY}, 'mine', 'what the session sets goes before all');
is($e->{FIXED}, '', 'also when it is empty');
is($e->{BASE}, 'sandbox', 'then the sandbox, then the definition');
is($e->{FROM_BOX}, '1', 'what the sandbox has');

$e = create(id => 'c', agent => 'u');
is("$e->{TST_API_KEY} $e->{TST_API_KEY_TWO}", "$hidden two", 'a beginning of names');
ok(!exists $e->{FIXED}, 'nothing of another agent');
$e = create(id => 'm', agent => 'mock');
is(join(' ', sort grep { /API_KEY|FIXED|UNLISTED/ } keys %$e), '',
    'the mock gets no key');
is($e->{GLOBAL_ONE}, 'g1', 'but what all get');

# A command of the sandbox is no agent.
my $out = $d->sh('box', 'env')->{stdout};
unlike($out, qr/TST_API_KEY|GLOBAL_ONE|PROXY_A/, 'commands get none of it');

# --- credentials -----------------------------------------------------------------

my %has = map { $_->{id} => $_->{credentials_available} }
    @{$d->ok('agent.list')->{agents}};
ok($has{t}, 'a key of a provider that has its own name');
ok(!$has{u}, 'a key that is there but not passed');
ok($has{v}, 'one that is');
ok(!$has{w}, 'an empty one is none');
ok($has{mock}, 'one that needs none');

# --- nowhere else ----------------------------------------------------------------

unlike(slurp($d->{log}), qr/\Q$secret\E/, 'not in the log');
for my $pid ($d->{pid}, $d->children) {
	my $title = slurp("/proc/$pid/cmdline") // '';
	unlike($title, qr/\Q$secret\E/, 'not in the title of a process')
	    if $title =~ /sandboxd/;
}
unlike(to_json($d->ok('session.list')), qr/\Q$secret\E/, 'not in records');
unlike(to_json($d->ok('agent.list')), qr/\Q$secret\E/, 'not in agent.list');
$d->stop;
my $found = run_cmd(['grep', '-rlaF', $secret, $d->{state}]);
is($found->{out}, '', 'not in files of the state directory, the log of events included');

# --- what may not be listed ------------------------------------------------------

for ('PATH', 'HOME', '*', 'AB*', 'A-B', 'OK =x') {
	my $conf = Sandboxd->scratch_dir . '/conf';
	spew($conf, "[agent]\npass_env = $_\n");
	my $got = run_cmd([program('sandboxd'), '-n', '-c', $conf]);
	is($got->{status}, 100, "pass_env = $_ is refused");
	like($got->{err}, qr/:2: agent\.pass_env: /, 'with its line');
}

done_testing;
