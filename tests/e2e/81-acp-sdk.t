# The unmodified npm package sandbox-agent, all of it that is about agents and
# sessions: over ACP, with the mock, with an agent of our own that does what it is
# told, with two hundred at one time, and over a restart of the server.
#
# Each real agent that is there does the same with the model server of the tests. What
# was really exercised of each is written as a table to the file that
# SANDBOXD_FEATURES names, if it is set.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../t/lib";
use Agents;
use IO::Socket::INET;
use Sandboxd;
use Test::More;

need_root();
need_program('node');
my $dir = $ENV{SANDBOXD_AGENTS} // root_dir() . '/build/agents';
Sandboxd::plan_skip("$dir has no sandbox-agent: contrib/check installs it")
    unless -e "$dir/node_modules/sandbox-agent/package.json";

# Its lines become ours, each under the scope that it was said of.
sub run_sdk {
	my ($scope, $script, $args, %o) = @_;
	my $got = run_cmd(['node', root_dir() . "/tests/e2e/$script", $dir, @$args],
	    timeout => 300, %o);
	my ($plan, $seen) = (undef, 0);

	for my $line (split /\n/, $got->{out}) {
		if ($line =~ /^(not )?ok \d+ - (.*)/) {
			ok(!$1, "$scope: $2");
			$seen++;
		} elsif ($line =~ /^1\.\.(\d+)$/) {
			$plan = $1;
		} else {
			note($line);
			diag($line) if $line =~ /^# (?:got|Error|no )/;
		}
	}
	is($got->{status}, 0, "$scope: the script came to its end")
	    or diag($got->{err});
	is($plan // 0, $seen, "$scope: all that it planned was seen");
	return $got;
}

my $token = 'a-token-for-tests';
my $d = Sandboxd->start(http => 1, token => $token);
$d->ok('sandbox.create', { id => 'own' });
run_sdk('mock', 'acp-sdk.mjs', [$d->url, $token, 'agents', 'raw', 'mock']);
run_sdk('scripted', 'acp-sdk.mjs', [$d->url, $token, 'scripted']);
run_sdk('/i/own', 'acp-sdk.mjs', [$d->url('/i/own'), $token, 'raw', 'scripted']);
ok(wait_for(10, sub { !$d->children(qr/amp-acp|session acp/) }),
    'nothing of it is left alive');
is_deeply($d->http('GET', '/v1/sessions')->{json}{sessions}, [],
    'none of it is a session of ours');
$d->stop;

# Two hundred clients from one address.
my $many = Sandboxd->start(http => 1, conf => "[gateway]\nmax_per_address = 0\n");
# Two hundred; with sanitizers fewer, which take as long.
run_sdk('many', 'acp-sdk.mjs', [$many->url, '-', 'many'], timeout => 400,
    env => { MANY => $ENV{SANDBOXD_SANITIZED} ? 50 : 200 });
$many->stop;

# The server goes and comes while a client lives.
my $probe = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1);
my $port = $probe->sockport;
close($probe);
my $again = Sandboxd->start(http => 1, listen => ["127.0.0.1:$port"]);
for my $how ('TERM', 'KILL') {
	my $done = 0;
	run_sdk("restart by $how", 'acp-sdk.mjs', [$again->url, '-', 'restart'],
	    on_out => sub {
		my ($got, $pid) = @_;
		return if $done || $got->{out} !~ /^# restart$/m;
		$done = 1;
		$again->restart($how);
		kill('USR2', $pid);
	});
	ok($done, "restart by $how: it was asked for");
}

$again->stop;

# --- real agents -------------------------------------------------------------------------

my $llm = Agents::FakeLlm->start;
my $base = $llm->url;
my %fake_model = (reasoning => \1, tool_call => \1, attachment => \1,
    modalities => { input => ['text', 'image'], output => ['text'] },
    limit => { context => 200000, output => 8000 });
my %real = (
	claude => { env => { %{claude_env($llm)} } },
	# A model of its that uses plain tools.
	codex => { env => { OPENAI_BASE_URL => "$base/v1",
	    OPENAI_API_KEY => $llm->{key} }, model => 'gpt-5.5' },
	opencode => { files => { '.config/opencode/opencode.json' => {
	    model => 'fake/one', small_model => 'fake/one', share => 'disabled',
	    enabled_providers => ['fake'], autoupdate => \0,
	    permission => { edit => 'ask', bash => 'ask' }, provider => { fake => {
		npm => '@ai-sdk/openai-compatible', options => {
		baseURL => "$base/v1", apiKey => $llm->{key} },
		models => { one => \%fake_model, two => { %fake_model } } } } } } },
	pi => { files => { '.pi/agent/models.json' => { providers => { fake => {
	    baseUrl => "$base/v1", api => 'openai-completions',
	    apiKey => $llm->{key}, models => [{ id => 'one', reasoning => \1,
		input => ['text', 'image'], contextWindow => 200000,
		maxTokens => 8000 }, { id => 'two', contextWindow => 100000,
		maxTokens => 8000 }] } } },
	    '.pi/agent/settings.json' => { defaultProvider => 'fake',
		defaultModel => 'one', quietStartup => \1,
		retry => { enabled => \1, maxRetries => 1, baseDelayMs => 200 } } } },
);
# What an agent does not offer, or not over ACP; all the rest must be there.
my %absent = (
	claude => [],
	codex => ['plans'],
	opencode => ['questions', 'plans'],
	pi => ['permission once', 'permission always', 'permission reject', 'questions',
	    'plans', 'modes', 'MCP servers'],
);
my (%table, @features);

# The same feature by the same name in every agent.
for my $agent (grep { !$ENV{SANDBOXD_ONLY} || /^(?:$ENV{SANDBOXD_ONLY})$/ } sort keys %real) {
	my $how = $real{$agent};
	if (!-x "$dir/node_modules/.bin/$agent") {
		note("$agent is not there");
		next;
	}
	my $d = Sandboxd->start(http => 1, env => { PATH => agents_path($agent),
	    %{$how->{env} // {}} });
	$d->ok('sandbox.create', { id => 'default', network => 'host' },
	    timeout => 30);
	for my $file (sort keys %{$how->{files} // {}}) {
		$d->exec('default', ['sh', '-c', 'mkdir -p "$(dirname "$HOME/$1")" && '
		    . 'cat > "$HOME/$1"', 'sh', $file],
		    stdin => to_json($how->{files}{$file}));
	}
	my $killed = 0;
	my $got = run_cmd(['node', root_dir() . '/tests/e2e/acp-agents.mjs', $dir,
	    $d->url, '-', $agent, $llm->{log}], timeout => 400,
	    env => { MODEL => $how->{model} // '' }, on_out => sub {
		my ($got, $pid) = @_;
		return if $killed || $got->{out} !~ /^# kill$/m;
		$killed = 1;
		my @workers = $d->children(qr/sandboxd-session acp/);
		kill('KILL', @workers);
		wait_for(5, sub { !grep { kill(0, $_) } @workers });
		sleep(0.5);
		kill('USR2', $pid);
	});
	my %absent_here = map { tr/ /_/r => 1 } @{$absent{$agent}};
	for (split /\n/, $got->{out}) {
		if (my ($name, $word, $more) = /^feature \S+ (\S+) (yes|no|-) ?(.*)/) {
			push @features, $name unless grep { $_ eq $name } @features;
			$table{$name}{$agent} = [$word, $more];
			ok($word eq 'yes' || $absent_here{$name} && $word eq '-',
			    "$agent: $name: $word $more");
		} else {
			diag("$agent: $_") if $_ ne '# kill';
		}
	}
	is($got->{status}, 0, "$agent: the script came to its end")
	    or diag($got->{err});
	ok($killed, "$agent: its worker was killed once");
	$d->stop;
	ok(wait_for(10, sub { !descendants($d->{pid} // 0) }), "$agent: nothing is left")
	    if $d->{pid};
}
if ($ENV{SANDBOXD_FEATURES}) {
	my @agents = grep { my $a = $_; grep { $table{$_}{$a} } @features } sort keys %real;
	spew($ENV{SANDBOXD_FEATURES}, join('', '| feature | ' . join(' | ', @agents)
	    . " |\n|---|" . '---|' x @agents . "\n", map {
		my $f = $_;
		'| ' . ($f =~ tr/_/ /r) . ' | ' . join(' | ', map {
		    my $c = $table{$f}{$_}; !$c ? '' : $c->[0] eq 'yes' ? 'yes'
		    : $c->[0] eq '-' ? '-' : 'no' } @agents) . " |\n" } @features));
}

done_testing;
