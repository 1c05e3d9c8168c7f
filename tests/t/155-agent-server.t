# sandbox-agent server: a sandboxd of one's own in the foreground, as root and as
# an ordinary user; what it serves, what it leaves, and what nobody sees.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use AgentCli;
use Test::More;
use Time::HiRes qw(time);

need_root();		# to become somebody else

# Those that are there and no zombies.
sub alive { return grep { (slurp("/proc/$_/stat") // '') =~ /\) [^ZX] /s } @_ }
sub words_of { return join(' ', map { slurp("/proc/$_/cmdline") // '' } @_) }

sub try_as {
	my ($who, %o) = @_;
	my $cli = AgentCli->new(%o, env => { GROQ_API_KEY => 'groq-of-env' });
	my $home = $cli->{home};
	my $work = "$home/work";
	spew("$work/file", "of the host\n");
	spew("$home/.claude.json", to_json({ apiKey => 'sk-ant-server-1' }));
	mkdir("$home/.codex");
	spew("$home/.codex/auth.json", to_json({ OPENAI_API_KEY => 'openai-file-1' }));
	run_cmd(['chown', '-R', "$o{uid}:$o{uid}", $home]) if defined $o{uid};

	my $token = 'token-of-the-server';
	my $s = $cli->server(['--token', $token], token => $token);
	ok($s->{up} && !$s->{ended}, "$who: it serves") or return;
	cmp_ok($s->{up_ms}, '<', 5000 * slow_factor(), "$who: soon, in $s->{up_ms} ms");
	is($s->request('GET', '/v1/health')->{body}, '{"status":"ok"}', "$who: health");
	is($s->status('/v1/health', token => undef), 401, "$who: not without the token");
	is($s->status('/v1/health', token => 'other'), 401, "$who: nor with another");

	# It is one process with all of it below; nothing says the token.
	my @all = ($s->{pid}, descendants($s->{pid}));
	like(words_of($s->{pid}), qr/^sandboxd: supervisor/, "$who: it became sandboxd");
	unlike(words_of(@all), qr/\Q$token\E/, "$who: no process shows the token");
	my %has = map { $_->{id} => $_->{credentialsAvailable} }
	    @{$s->request('GET', '/v1/agents')->{json}{agents}};
	ok($has{claude} && $has{codex}, "$who: the daemon has what its agents need");
	my @shown = map { slurp("/proc/$_/environ") // '' } @all;
	unlike("@shown", qr/sk-ant|openai-file|\Q$token\E/,
	    "$who: no environment shows a secret");
	unlike(slurp("$cli->{home}/.local/share/sandbox-agent/servers/127-0-0-1-$s->{port}"
	    . '/sandboxd.conf') . $s->log . words_of(@all), qr/sk-ant-server|openai-file/,
	    "$who: neither files nor titles have a key");

	# Its default sandbox: the directory it was started in, and the network.
	my $r = $s->command('pwd; cat file; echo inside > file; echo new > more; env');
	like($r->{stdout}, qr/\A\Q$work\E\nof the host\n/,
	    "$who: the sandbox works in the directory of the server")
	    or diag(to_json($r));
	unlike($r->{stdout}, qr/sk-ant|openai-file|groq-of/,
	    "$who: a command has no key of anybody");
	is(slurp("$work/file"), "of the host\n", "$who: what it wrote stays inside");
	ok(!-e "$work/more", "$who: also what is new");
	is($s->command('readlink /proc/self/ns/net')->{stdout},
	    readlink('/proc/self/ns/net') . "\n", "$who: it has the host's network");

	# But an agent has those that its definition lets it have, and no other.
	my ($socket) = glob("{/run/sandbox-agent,/tmp/sandbox-agent-$>,"
	    . '/tmp/sandbox-agent-' . ($o{uid} // $>)
	    . "}/127-0-0-1-$s->{port}-*/control.sock");
	my $control = Sandboxd::Client->new($socket);
	$r = $control->request('session.create', { id => 'env', agent => 'claude', command =>
	    ['/bin/sh', '-c', 'env > /tmp/of-agent.new; mv /tmp/of-agent.new /tmp/of-agent; '
		. 'exec sleep 600'] });
	$control->request('session.prompt', { id => 'env', text => 'x' }) if $r->{ok};
	my $given = wait_for(20, sub {
		$s->request('GET', '/v1/fs/file?path=/tmp/of-agent')->{body} =~ /=/
		    ? $s->request('GET', '/v1/fs/file?path=/tmp/of-agent')->{body} : undef;
	});
	like($given // '', qr/^ANTHROPIC_API_KEY=sk-ant-server-1$/m,
	    "$who: an agent has the key that is for it") or diag(to_json($r));
	unlike($given // '', qr/openai-file|groq-of/, "$who: and no other");
	$control->close;

	# Another at the same port changes nothing; one at another port is its own.
	my $second = $cli->run(['server', '--port', $s->{port}]);
	is("$second->{status} $second->{out}", '1 ', "$who: a second at the port: 1");
	like($second->{err}, qr/error="io error: Address in use \(os error 98\)"/,
	    "$who: and says so");
	is($s->status('/v1/health'), 200, "$who: the first goes on");
	my $other = $cli->server(['-n']);
	is($other->status('/v1/health'), 200, "$who: one at another port serves too");
	is($other->command('cat file')->{stdout}, "of the host\n",
	    "$who: and has a sandbox of its own");

	# The end: soon, in order, and nothing stays.
	for ([$other, 'INT'], [$s, 'TERM']) {
		my ($one, $signal) = @$_;
		my @below = descendants($one->{pid});
		my $seconds = $one->stop($signal);
		ok(defined $seconds && $seconds < 5, "$who: $signal ends it in time")
		    or diag($one->log);
		is($one->{wait_status}, 0, "$who: in order");
		ok(wait_for(5, sub { !alive(@below) }),
		    "$who: and all of it");
		is($one->status('/v1/health'), undef, "$who: nobody answers");
	}
	is(slurp($s->{out}) . slurp($s->{err}), '', "$who: it wrote to its log alone");
	like($s->log, qr/super: stopped/, "$who: which is there");

	# Again at this port, in this directory: what was there is there.
	$s = $cli->server(['--token', $token], token => $token, port => $s->{port});
	is($s->command('cat file more')->{stdout}, "inside\nnew\n",
	    "$who: it finds its files again");
	my @below = descendants($s->{pid});
	$s->stop('KILL');
	ok(wait_for(5 * slow_factor(), sub { !alive(@below) }),
	    "$who: killed, it leaves no process");

	# In another directory it is another sandbox; as it was told, none.
	mkdir("$home/work2");
	spew("$home/work2/file", "second\n");
	chown($o{uid}, $o{uid}, "$home/work2", "$home/work2/file") if defined $o{uid};
	$s = $cli->server(['--workspace', 'rw'], dir => "$home/work2", port => $s->{port});
	is($s->command('cat file; echo out > back')->{stdout}, "second\n",
	    "$who: another directory is another sandbox");
	is(slurp("$home/work2/back"), "out\n", "$who: --workspace rw reaches the host");
	$s->stop;
	$s = $cli->server([qw(--workspace none --network none)], port => $s->{port});
	$r = $s->command("cat $work/file; readlink /proc/self/ns/net");
	like($r->{stdout}, qr/\Anet:/, "$who: --workspace none shows nothing");
	isnt($r->{stdout}, readlink('/proc/self/ns/net') . "\n",
	    "$who: --network none is a network of its own");
	$s->stop;
	$s = $cli->server([], dir => $home);
	isnt($s->command("ls $home/.claude.json")->{exitCode}, 0,
	    "$who: a home is not shown unasked");
	$s->stop;
}

try_as('root');
my $reach = run_cmd(['setpriv', '--reuid=54321', '--regid=54321', '--clear-groups',
    AgentCli::exe(), '--version']);
if ($reach->{status} == 0) {
	try_as('user', uid => 54321);
} else {
	diag('no ordinary user can start it here');
}

# --- flags ---------------------------------------------------------------------------

my $cli = AgentCli->new;
my $s = $cli->server(['-O', 'http://page.test', '-M', 'GET', '-M', 'POST', '-A',
    'Content-Type', '-C', '--no-telemetry']);
my $r = $s->request('OPTIONS', '/v1/health', headers => { Origin => 'http://page.test',
    'Access-Control-Request-Method' => 'GET' });
is($r->{headers}{'access-control-allow-origin'}, 'http://page.test', 'CORS: the origin');
is($r->{headers}{'access-control-allow-methods'}, 'GET,POST', 'methods');
is($r->{headers}{'access-control-allow-headers'}, 'content-type', 'headers');
is($r->{headers}{'access-control-allow-credentials'}, 'true', 'credentials');
$s->stop;
for ([qr/invalid cors origin: /, '-O', "a\tb"], [qr/invalid cors method: /, '-M', 'A B'],
    [qr/invalid cors header: /, '-A', 'x:y'], [qr/credentials need methods/, '-C'],
    [qr/io error: /, '--host', '203.0.113.9'], [qr/io error: .*no address/, '--host', 'x']) {
	my ($want, @words) = @$_;
	my $got = $cli->run(['server', '-p', AgentCli::free_port(), @words]);
	is("$got->{status} $got->{out}", '1 ', "server @words: 1");
	like($got->{err}, $want, 'says why');
}
$s = $cli->server(['--token', '']);
is($s->status('/v1/health', token => ''), 401, 'an empty token lets nobody in');
$s->stop;
$s = $cli->server(['--no-token', '--token', 'both']);
is($s->status('/v1/health'), 401, 'with a token and --no-token the token counts');
$s->stop;

# Logs.
$cli->{env} = { SANDBOX_AGENT_LOG_DIR => "$cli->{home}/logs" };
$s = $cli->server([]);
$s->stop;
my ($log) = glob("$cli->{home}/logs/log-*");
like($log // '', qr/log-\d\d-\d\d-\d\d$/, 'SANDBOX_AGENT_LOG_DIR');
like(slurp($log // '/nonexistent') // '', qr/super: stopped/, 'holds the log');
$cli->{env} = { SANDBOX_AGENT_LOG_STDOUT => 1 };
$s = $cli->server([]);
$s->stop;
like(slurp($s->{out}), qr/super: stopped/, 'SANDBOX_AGENT_LOG_STDOUT=1');

# A daemon that cannot start says why here, not in its log only.
$cli->{env} = {};
$s = $cli->server([]);
my ($state) = glob($cli->data . "/servers/127-0-0-1-$s->{port}/state-*");
$s->stop;
open(my $lock, '+<', "$state/lock") or die "lock: $!";
flock($lock, 2 | 4) or die "flock: $!";
my $late = $cli->server([], port => $s->{port}, no_wait => 1);
ok(wait_for(20, sub { $late->ended }), 'without its state directory it ends');
isnt($late->{wait_status}, 0, 'as a failure');
ok(wait_for(10, sub { (slurp($late->{err}) // '') =~ /\Q$state\E/ }), 'and says why')
    or diag(slurp($late->{err}));
close($lock);

# Settings of one's own.
mkdir("$cli->{home}/.config");
mkdir("$cli->{home}/.config/sandbox-agent");
my $own = "$cli->{home}/.config/sandbox-agent/sandboxd.conf";
spew($own, "[gateway]\nprocesses = 1\n[sandbox]\ndefault_spec = {\"env\":{\"OWN\":\"yes\"}}");
$s = $cli->server([]);
is($s->command('echo $OWN; pwd')->{stdout}, "yes\n/root\n", 'sandboxd.conf of the caller');
is(scalar(grep { Sandboxd::title_of($_) =~ /gateway/ } descendants($s->{pid})), 1,
    'counts as well');
$s->stop;
spew($own, "[gateway]\nprocesses = none\n");
my $bad = $cli->run(['server', '-p', AgentCli::free_port()]);
is($bad->{status}, 1, 'one with a mistake: 1');
like($bad->{err}, qr/sandboxd\.conf:\d+: .*processes/, 'which is named');
unlink($own);

# XDG_DATA_HOME, and a run directory that is somebody else's.
my $xdg = Sandboxd->scratch_dir;
$cli->{env} = { XDG_DATA_HOME => $xdg };
$s = $cli->server([]);
ok(-d "$xdg/sandbox-agent/servers/127-0-0-1-$s->{port}", 'XDG_DATA_HOME');
$s->stop;
SKIP: {
	skip 'no ordinary user can start it here', 2 if $reach->{status} != 0;
	my $uid = 54322;
	my $theirs = "/tmp/sandbox-agent-$uid";
	skip "$theirs is there", 2 if -e $theirs || !mkdir($theirs, 0777);
	my $user = AgentCli->new(uid => $uid);
	my $got = $user->run(['server', '-p', AgentCli::free_port()]);
	rmdir($theirs);
	is($got->{status}, 1, "a run directory of another's is refused");
	like($got->{err}, qr/\Q$theirs\E is not a directory that only we may write to/,
	    'and named');
}
AgentCli::clean(0, 54321, 54322);
is(join("\n", grep { /sandbox/ } map { Sandboxd::title_of($_) } descendants($$)), '',
    'nothing is left');

done_testing;
