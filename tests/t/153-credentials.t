# credentials extract and extract-env, as sandboxctl and as sandbox-agent: keys of
# model providers from the environment and from the files of each agent.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use AgentCli;
use File::Path qw(make_path);
use Test::More;

my $cli = AgentCli->new;
my $ctl = AgentCli->new(program => AgentCli::prefix() . '/bin/sandboxctl');
$ctl->{home} = $cli->{home};
my $home = $cli->{home};

sub put {
	my ($name, $value) = @_;
	(my $dir = "$home/$name") =~ s{/[^/]*$}{};
	make_path($dir);
	spew("$home/$name", ref $value ? to_json($value) : $value);
}

sub with_env {
	my ($env, @words) = @_;
	local $cli->{env} = $env;
	return $cli->run(['credentials', @words]);
}
sub extract { return from_json(with_env({}, 'extract', @_)->{out}) }

# Nothing at all.
my $none = { anthropic => undef, openai => undef, other => {} };
is_deeply(extract(), $none, 'an empty home has none');
my $got = $cli->run([qw(credentials extract)]);
is($got->{out}, qq({\n  "anthropic": null,\n  "openai": null,\n  "other": {}\n}\n),
    'spread over lines, in this order');
$got = $cli->run([qw(credentials extract -a claude)]);
is("$got->{status} $got->{out}", '1 ', 'none for an agent: 1, nothing printed');
like($got->{err}, qr/no credentials found for provider anthropic/, 'and it says so');
$got = $cli->run([qw(credentials extract-env)]);
is("$got->{status} $got->{out}$got->{err}", '0 ', 'extract-env of none: nothing');

# Each file.
put('.claude.json', { primaryApiKey => 'sk-ant-api03-CCCCCCCC' });
put('.codex/auth.json', { OPENAI_API_KEY => undef,
    tokens => { access_token => 'codex-token-1234' } });
put('.local/share/opencode/auth.json', {
	'google-vertex' => { type => 'api', key => 'vertex-key-1234' },
	groq => { type => 'oauth', access => 'gsk_abcdefgh', expires => 1000 },
	short => { type => 'api', key => '12345678' } });
my $all = extract();
is_deeply($all->{anthropic}, { provider => 'anthropic', source => 'claude-code',
    auth_type => 'api_key', api_key => 'sk-a...CCCC', redacted => JSON::PP::true },
    'Claude, masked');
is_deeply($all->{openai}, { provider => 'openai', source => 'codex',
    auth_type => 'oauth', api_key => 'code...1234', redacted => JSON::PP::true },
    'Codex, a token');
is(join(' ', sort keys %{$all->{other}}), 'google-vertex short',
    'OpenCode, without what has ended');
is($all->{other}{short}{api_key}, '****', 'of a short key nothing is shown');
$got = with_env({}, 'extract');
unlike("$got->{out}$got->{err}", qr/CCCCCC|codex-token|12345678/,
    'no key is in the output');
$all = extract('--reveal');
is($all->{anthropic}{api_key}, 'sk-ant-api03-CCCCCCCC', '--reveal');
ok(!$all->{anthropic}{redacted}, 'says that it is not masked');
$all = extract('--no-oauth');
is($all->{openai}, undef, '--no-oauth');

# What a shell reads.
is(with_env({}, qw(extract-env --export))->{out}, <<'END', 'extract-env --export');
export ANTHROPIC_API_KEY=sk-ant-api03-CCCCCCCC
export CLAUDE_API_KEY=sk-ant-api03-CCCCCCCC
export OPENAI_API_KEY=codex-token-1234
export CODEX_API_KEY=codex-token-1234
export GOOGLE_VERTEX_API_KEY=vertex-key-1234
export SHORT_API_KEY=12345678
END
like(with_env({}, qw(extract-env --no-oauth))->{out},
    qr/\AANTHROPIC_API_KEY=\S+\nCLAUDE_API_KEY=\S+\nGOOGLE/, 'without export');

# One alone.
for (['sk-ant-api03-CCCCCCCC', qw(-a claude)], ['sk-ant-api03-CCCCCCCC', qw(-a amp)],
    ['codex-token-1234', qw(--agent codex)], ['codex-token-1234', qw(-a opencode)],
    ['vertex-key-1234', qw(-a opencode -p google-vertex)],
    ['vertex-key-1234', qw(--provider google-vertex)],
    ['sk-ant-api03-CCCCCCCC', qw(-a claude -p anthropic)]) {
	my ($want, @words) = @$_;
	$got = with_env({}, 'extract', @words);
	is("$got->{status} $got->{out}", "0 $want\n", "extract @words");
}
$got = with_env({}, qw(extract -a claude -p openai));
is($got->{status}, 1, 'claude has one provider only');
like($got->{err}, qr/agent claude only supports provider anthropic/, 'and says so');
is(with_env({}, qw(extract -a nope))->{status}, 2, 'an unknown agent is wrong use');
is(with_env({}, qw(extract -p groq))->{status}, 1, 'what has ended is none');
is(with_env({}, qw(extract too much))->{status}, 2, 'too many words');

# The environment stands above files, and its own names in order.
$all = from_json(with_env({ CLAUDE_API_KEY => 'from-environment',
    CLAUDE_CODE_OAUTH_TOKEN => 'token-of-env' }, 'extract')->{out});
is("$all->{anthropic}{source} $all->{anthropic}{api_key}", 'environment from...ment',
    'CLAUDE_API_KEY stands above the file and a token');
$all = from_json(with_env({ ANTHROPIC_AUTH_TOKEN => 'token-of-env-2' },
    'extract')->{out});
is("$all->{anthropic}{source} $all->{anthropic}{auth_type}", 'environment oauth',
    'a token in the environment too');
$all = from_json(with_env({ ANTHROPIC_AUTH_TOKEN => 'token-of-env-2' }, 'extract',
    '--no-oauth')->{out});
is($all->{anthropic}{source}, 'claude-code', 'but not with --no-oauth');
put('.amp/config.json', { apiKey => 'amp-key-12345678' });
is(extract()->{anthropic}{source}, 'amp', "Amp's stands above Claude's");
unlink("$home/.amp/config.json");

# Another home.
my $other = Sandboxd->scratch_dir;
spew("$other/.claude.json", to_json({ apiKey => 'sk-ant-other-1111' }));
is(extract('-d', $other)->{anthropic}{api_key}, 'sk-a...1111', '--home-dir');
is_deeply(extract('--home-dir', '/nonexistent'), $none, 'one that is not there');

# What a file may hold, a shell must not obey.
put('.local/share/opencode/auth.json', {
	evil => { type => 'api', key => q($(touch${IFS}pwned)`touch${IFS}pwned`'x') },
	line => { type => 'api', key => "a\nexport PATH=/evil" },
	"na\nme" => { type => 'api', key => 'x' } });
$got = with_env({}, qw(extract-env -e));
my $sh = run_cmd(['sh', '-c', 'cd "$1" && eval "$(cat)" && printf %s "$EVIL_API_KEY"',
    'sh', $home], stdin => $got->{out});
is($sh->{out}, q($(touch${IFS}pwned)`touch${IFS}pwned`'x'), 'a key stays a value');
ok(!-e "$home/pwned", 'and nothing is run');
unlike($got->{out}, qr/evil\b.*PATH|PATH=/, 'a key with a line break is none');

# Files that are not what they should be: passed over, told, and never waited for.
put('.local/share/opencode/auth.json', 'no json');
put('.claude.json', '[]');
unlink("$home/.codex/auth.json");
run_cmd(['mkfifo', "$home/.codex/auth.json"]);
$got = $cli->run([qw(credentials extract)], timeout => 5);
is_deeply(from_json($got->{out} || '{}'), $none, 'they hold nothing');
is($got->{status}, 0, 'which is no failure');
for (qw(.claude.json .codex/auth.json .local/share/opencode/auth.json)) {
	like($got->{err}, qr/~\/\Q$_\E is passed over/, "$_ is told of");
}
unlink("$home/.codex/auth.json");
put('.claude.json', '{"x":"' . 'y' x (17 << 20) . '","apiKey":"sk-ant-large-1"}');
is(extract()->{anthropic}, undef, 'a file without end');
put('.claude.json', '{"history":"' . 'y' x (4 << 20)
    . '","apiKey":"sk-ant-large-12"}');
is(extract()->{anthropic}{api_key}, 'sk-a...e-12', 'but one with a long history');

# Links: one's own are followed, another's are not.
unlink("$home/.claude.json");
spew("$home/elsewhere", to_json({ apiKey => 'sk-ant-linked-1' }));
symlink("$home/elsewhere", "$home/.claude.json");
is(extract()->{anthropic}{api_key}, 'sk-a...ed-1', 'a link in our own home');
SKIP: {
	skip 'needs root', 1 if $> != 0;
	chown(54321, 54321, $home);
	is(extract()->{anthropic}, undef, "a link in another's home is not followed");
	chown(0, 0, $home);
}

# The same as sandboxctl, with its own codes.
$got = $ctl->run([qw(credentials extract)]);
is(from_json($got->{out})->{anthropic}{api_key}, 'sk-a...ed-1', 'sandboxctl credentials');
is($ctl->run(['credentials'])->{out}, $got->{out}, 'in one word');
is($ctl->run([qw(credentials extract --json)])->{out} =~ tr/\n//, 1, 'in one line');
is($ctl->run([qw(credentials extract -a nope)])->{status}, 100, 'wrong use: 100');
is($ctl->run([qw(credentials extract -p nope)])->{status}, 1, 'none: 1');
like($ctl->run([qw(credentials extract-env)])->{out}, qr/^ANTHROPIC_API_KEY=sk-ant-l/,
    'sandboxctl credentials extract-env');
like($ctl->run([qw(help credentials extract)])->{out}, qr/--home-dir DIR/, 'its help');

done_testing;
