# sandbox-agent api against a server of its own: agents, ACP and sessions as a
# person types them, and the end of what was begun.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use AgentCli;
use Test::More;

need_root();

my $cli = AgentCli->new;
my $s = $cli->server(['--token', 'token-of-api'], token => 'token-of-api');
ok($s->{up}, 'it serves') or BAIL_OUT('no server');
my @where = ('-e', "http://$s->{at}", '-t', 'token-of-api');
sub api { return $cli->run(['api', @_, @where], timeout => 60) }
sub json {
	my $got = api(@_);
	is($got->{status}, 0, "api @_") or diag($got->{err});
	return $got->{out} eq '' ? undef : from_json($got->{out});
}

# Agents.
my @ids = qw(claude codex opencode amp pi cursor mock);
is(join(' ', map { $_->{id} } @{json(qw(agents list))->{agents}}), "@ids",
    'the agents in their order');
my $report = json(qw(agents report));
is(join(' ', map { $_->{id} } @{$report->{agents}}), "@ids", 'report: the same');
is($report->{endpoint}, "http://$s->{at}", 'from where');
my ($mock) = grep { $_->{id} eq 'mock' } @{$report->{agents}};
ok($mock->{installed}, 'mock is there');
is($mock->{models}{currentValue}, 'mock', 'its model');
is(join(' ', map { $_->{value} } @{$mock->{models}{values}}), 'mock mock-fast',
    'its models');
is(json(qw(agents install mock))->{already_installed}, JSON::PP::true,
    'install of what is there');
my $got = api(qw(agents install nope));
is("$got->{status} $got->{out}", '1 ', 'of what is none: 1');
is(from_json($got->{err} =~ /\A(\{.*^\})/ms)->{agent}, 'nope', 'the problem names it');
like($got->{err}, qr/error="unexpected http status: 400 Bad Request"$/m, 'and the status');
$got = $cli->run([qw(api agents list -e), "http://$s->{at}"]);
is($got->{status}, 1, 'without the token: 1');
like($got->{err}, qr/401 Unauthorized/, 'which is said');
is($cli->run(['-t', 'token-of-api', qw(api agents list -e), "http://$s->{at}"])->{status},
    0, 'a token in front of the command');

# An agent by ACP: the mock says back what it heard.
my $init = json(qw(acp post --server-id by-hand --agent mock --json),
    '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":1}}');
is_deeply($init->{result}{echoed}, { jsonrpc => '2.0', id => 0, method => 'initialize',
    params => { protocolVersion => 1 } }, 'acp post: initialize');
my $new = json(qw(acp post --server-id by-hand --json), to_json({ jsonrpc => '2.0',
    id => 'n', method => 'session/new', params => { cwd => "$cli->{home}/work",
	mcpServers => [] } }));
is($new->{id}, 'n', 'acp post: session/new');
spew("$cli->{home}/note", '{"jsonrpc":"2.0","method":"session/cancel","params":{}}');
is(json(qw(acp post --server-id by-hand --json-file), "$cli->{home}/note"), undef,
    'a notification has no answer');
is(join(' ', map { "$_->{serverId}/$_->{agent}" } @{json(qw(acp list))->{servers}}),
    'by-hand/mock', 'acp list');
$got = api(qw(acp post --server-id other --json), '{"id":1,"method":"x"}');
is($got->{status}, 1, 'a first post without an agent: 1');
like($got->{err}, qr/400 Bad Request/, 'which the server says');

# The stream: all from the first, and at once what comes.
my $posted = 0;
my @argv = $cli->argv(qw(api acp stream --server-id by-hand), @where);
$got = run_cmd(\@argv, timeout => 60, on_out => sub {
	my ($so_far, $pid) = @_;
	# Seen what was there: something new, and then the end.
	if (!$posted && $so_far->{out} =~ /"id":"n"/) {
		$posted = 1;
		api(qw(acp post --server-id by-hand --json),
		    '{"id":"late","method":"session/x"}');
	} elsif ($posted == 1 && $so_far->{out} =~ /"id":"late"/) {
		$posted = 2;
		api(qw(acp close --server-id by-hand));
	}
});
is($posted, 2, 'acp stream: what was there, and at once what came');
is($got->{status}, 0, 'it ends when the agent is closed');
my @numbers = $got->{out} =~ /^id: (\d+)$/mg;
is("@numbers", join(' ', 1 .. @numbers), 'its numbers from 1 on');
is(api(qw(acp close --server-id by-hand))->{status}, 0, 'closed twice');
is_deeply(json(qw(acp list))->{servers}, [], 'nothing is left of it');
is(api(qw(acp stream --server-id by-hand))->{status}, 1, 'nothing to stream: 1');

# Sessions.
is(json(qw(sessions create s1 -a mock -p bypass))->{healthy}, JSON::PP::true,
    'sessions create');
$got = api(qw(sessions send-message-stream s1 -m hello));
like($got->{out}, qr/"turn\.started".*"turn\.ended"/s, 'send-message-stream');
my $events = json(qw(sessions events s1 --limit 2));
is(join(' ', map { $_->{sequence} } @{$events->{events}}), '1 2', 'events');
is(api(qw(sessions terminate s1))->{status}, 0, 'terminate');

my $seconds = $s->stop;
ok(defined $seconds && $seconds < 5, 'the server ends in time');
is(join("\n", grep { /sandbox/ } map { Sandboxd::title_of($_) } descendants($$)), '',
    'and nothing is left');
AgentCli::clean(0);

done_testing;
