# /v1/agents: the list, what agents tell of themselves, how often they are asked,
# and what is shown of those that cannot be asked.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Acp;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $bin = Sandboxd->scratch_dir;
my %agents;

# Agents of our own: one that can be asked, one that hangs, one that ends, one that
# is not there.
my $agent = slurp(root_dir() . '/tests/t/lib/acp-agent.pl');
my $static = '[{"id":"model","name":"Model","category":"model","type":"select",'
    . '"currentValue":"stale","options":[{"value":"stale","name":"Stale"}]}]';
sub define {
	my ($id, $script, $more) = @_;
	if (defined $script) {
		# Each in a folder of its own: that is what sandboxes see.
		mkdir("$bin/$id");
		spew("$bin/$id/$id.pl", $script);
		spew("$bin/$id/$id", "#!/bin/sh\n"
		    . "if [ \"\$1\" = --version ]; then\n"
		    . "	echo version >>/tmp/$id.log\n"
		    . "	printf '\\n  $id 1.2.3 (Test, of course)\\nmore\\n'; exit\nfi\n"
		    . "echo start >>/tmp/$id.log\n"
		    . "exec perl \"\${0%/*}/$id.pl\"\n");
		chmod(0755, "$bin/$id/$id");
	}
	$agents{"$id.json"} = { id => $id, name => ucfirst $id,
	    protocol => 'acp', program => "$bin/$id/$id",
	    version_args => ['--version'], options => from_json($static),
	    agent_modes => ['build', '*'], %{$more // {}} };
}
define('good', $agent);
define('hangs', "sleep 3600\n");
define('ends', "print STDERR qq(no key\\n); exit 4;\n");
define('absent');
define('secret', $agent, { hidden => JSON::PP::true });

my $d = Sandboxd->start(http => 1, agents => \%agents);
sub get { return $d->http('GET', "/v1/agents$_[0]", timeout => 60) }
sub agent { return (grep { $_->{id} eq $_[0] } @{$_[1]{json}{agents}})[0] }
# How often one was started, and asked for its version.
sub asked {
	my ($id) = @_;
	my $r = $d->http('POST', '/v1/processes/run', json => { command => 'sh',
	    args => ['-c', "cat /tmp/$id.log 2>/dev/null"] });
	return join(' ', map { my $w = $_; $w . '=' . grep { $_ eq $w }
	    split /\n/, $r->{json}{stdout} } qw(start version));
}

# --- the list ---------------------------------------------------------------------------

my @known = qw(claude codex opencode amp pi cursor mock);
my $began = time;
my $list = get('');
ok(time - $began < 5 * slow_factor(), 'the list asks nobody');
is($list->{status}, 200, 'a list') or diag($list->{body}, $d->log_tail);
my @ids = map { $_->{id} } @{$list->{json}{agents}};
is("@ids[0 .. 6]", "@known", 'the seven first, in their order');
is("@ids[7 .. $#ids]", 'absent ends good hangs', 'then others by name');
my %all = map { $_->{id} => 1 } @{get('?all=true')->{json}{agents}};
is(join(' ', grep { !$all{$_} } @ids, 'secret'), '', 'all of them, hidden ones too');
ok(keys %all > @ids, 'which are more');
my @caps = qw(planMode permissions questions toolCalls toolResults textMessages images
    fileAttachments sessionLifecycle errorEvents reasoning status commandExecution
    fileChanges mcpTools streamingDeltas itemStarted sharedProcess);
my @members = (['mock', qr/^\{"id":"mock","installed":true,"credentialsAvailable":true,"capabilities":\{/],
    ['absent', qr/^\{"id":"absent","installed":false,"credentialsAvailable":true,"capabilities":\{/]);
for (@members) {
	my $text = get("/$_->[0]")->{body};
	like($text, $_->[1], "$_->[0]: its members in order");
	my ($inner) = $text =~ /"capabilities":\{([^}]*)\}/;
	is(join(' ', $inner =~ /"(\w+)":(?:true|false)/g), "@caps",
	    "$_->[0]: its capabilities in order");
}
for (@{$list->{json}{agents}}) {
	ok(!exists $_->{version} && !exists $_->{path} && !exists $_->{configOptions},
	    "$_->{id}: no configuration");
}
for ('nope', 'MOCK', 'mock%20', 'x' x 300, '%2E%2E') {
	my $r = get("/$_");
	is($r->{status}, 400, "no agent $_");
	is($r->{json}{type}, 'urn:sandbox-agent:error:unsupported_agent', 'is told so');
	ok(exists $r->{json}{agent}, 'by name');
}
is(get('?config=1')->{status}, 400, 'config=1');
is(get('?no_cache=yes')->{status}, 400, 'no_cache=yes');
is(get('/')->{status}, 404, 'an empty name');
is($d->http('POST', '/v1/agents')->{status}, 405, 'POST of the list');
is($d->http('HEAD', '/v1/agents/mock')->{status}, 200, 'HEAD');
is($d->http('GET', '/i/none/v1/agents/mock')->{status}, 200, 'below any sandbox');

# --- asked ---------------------------------------------------------------------------------

$began = time;
my $full = get('?config=true');
my $took = time - $began;
is($full->{status}, 200, 'with configuration');
ok($took < 30 * slow_factor(), 'whoever hangs is not waited for long');
note sprintf('%.1f s', $took);
my $good = agent('good', $full);
is($good->{installed}, JSON::PP::true, 'one that can be asked');
is($good->{version}, 'good 1.2.3', 'its version: the first line, without brackets');
is($good->{path}, "$bin/good/good", 'where it is');
is(join(' ', map { $_->{id} } @{$good->{configOptions}}), 'model thinking style mode',
    'its own options') or diag(to_json($good->{configOptions}));
is($good->{configError}, undef, 'and no error');
for my $id ('hangs', 'ends') {
	my $one = agent($id, $full);
	is_deeply($one->{configOptions}, from_json($static),
	    "$id: what its definition says");
	ok(length($one->{configError} // ''), "$id: and why") or diag(to_json($one));
}
my $absent = agent('absent', $full);
is_deeply($absent->{configOptions}, from_json($static), 'one that is not there');
is($absent->{path}, undef, 'is nowhere');
is($absent->{version}, undef, 'without a version');
is($absent->{configError}, undef, 'which is no error');
my $mock = agent('mock', $full);
is($mock->{version}, 'builtin', 'mock is built in');
is(join(' ', map { $_->{category} } @{$mock->{configOptions}}),
    'model mode thought_level', 'with its three options');
for my $a (@{$full->{json}{agents}}) {
	my ($model) = grep { $_->{category} eq 'model' } @{$a->{configOptions}};
	ok($model && (grep { $_->{value} eq $model->{currentValue} }
	    @{$model->{options}}), "$a->{id}: its model is one of those offered");
}
is(asked('good'), 'start=1 version=1', 'it was asked once');
$began = time;
is_deeply(get('/good?config=true')->{json}, $good, 'again: the same');
get('/good?config=true') for 1 .. 3;
get('/good/models');
get('/good/modes');
ok(time - $began < 5 * slow_factor(), 'at once');
is(asked('good'), 'start=1 version=1', 'and it is not asked again');
get('/good?config=true&no_cache=true');
is(asked('good'), 'start=2 version=2', 'unless told');
# Many at one time ask once.
my @c = map { my $c = $d->http_client; $c->write("GET /v1/agents/good?config=true"
    . "&no_cache=true HTTP/1.1\r\nHost: x\r\n\r\n"); $c } 1 .. 10;
my @same = map { $_->response('GET', 30)->{json}{version} // '-' } @c;
is("@same", join(' ', ('good 1.2.3') x 10), 'ten ask at one time');
my ($starts) = asked('good') =~ /start=(\d+)/;
ok($starts <= 5, 'it is started for few of them') or diag(asked('good'));
# Another program is asked anew.
define('better', $agent);
rename("$bin/better", "$bin/good2");
$d->agent_file('good.json', { %{$agents{'good.json'}},
    program => "$bin/good2/better" });
$d->ok('agent.reload');
my $new = get('/good?config=true');
is($new->{json}{path}, "$bin/good2/better", 'its definition names another program');

# --- modes and models -----------------------------------------------------------------------

is_deeply(get('/mock/models')->{json}, { defaultModel => 'mock', models => [
    { id => 'mock', name => 'Mock' }, { id => 'mock-fast', name => 'Mock Fast' }] },
    'models of mock');
my %modes = map { $_->{id} => $_ } @{get('/mock/modes')->{json}{modes}};
ok($modes{build} && $modes{plan}, 'modes of mock');
is_deeply([sort keys %{$modes{plan}}], [qw(description id name)], 'by three words');
is_deeply(get('/ends/models')->{json}, { defaultModel => 'stale', models =>
    [{ id => 'stale', name => 'Stale' }] }, 'models of one that cannot be asked');
is(get('/claude/modes')->{status}, 200, 'modes of one that is not there');
is(get("/nope/$_")->{status}, 400, "$_ of nobody") for qw(modes models);

# --- servers of it ----------------------------------------------------------------------------

is(get('/mock')->{json}{serverStatus}, undef, 'without a server no status');
my $a = Sandboxd::Acp->new($d, 's', agent => 'mock');
$a->call('x', {});
sleep(0.3);
Sandboxd::Acp->new($d, 't', agent => 'mock')->call('x', {});
my $status = get('/mock')->{json}{serverStatus};
is($status->{status}, 'running', 'with one it runs');
ok($status->{uptimeMs} >= 300 && $status->{uptimeMs} < 60000 * slow_factor(),
    'since the oldest is there') or diag(to_json($status));
is($d->http('GET', '/i/other/v1/agents/mock')->{json}{serverStatus}, undef,
    'of another sandbox it does not');
is(get('/claude')->{json}{serverStatus}, undef, 'nor of another agent');
$a->delete;
Sandboxd::Acp->new($d, 't')->delete;
is(get('/mock')->{json}{serverStatus}, undef, 'and then no more');
is((grep { /probe/ } map { $_->{sessionId} }
    @{$d->http('GET', '/v1/sessions')->{json}{sessions}}), 0, 'probes are no sessions');

# --- installing ---------------------------------------------------------------------------------

sub install { return $d->http('POST', "/v1/agents/$_[0]/install", json => $_[1] // {}) }
is_deeply(install('mock')->{json}, { already_installed => JSON::PP::true,
    artifacts => [] }, 'mock is there');
my $again = install('mock', { reinstall => JSON::PP::true })->{json};
is($again->{already_installed}, JSON::PP::false, 'again');
is_deeply([map { [@$_{qw(kind source version)}] } @{$again->{artifacts}}],
    [['agent_process', 'builtin', 'builtin']], 'as one artifact');
is(install('nope')->{status}, 400, 'nobody');
my $r = install('good');
ok($r->{status} == 500 && $r->{json}{type} =~ /install_failed$/ ||
    $r->{status} == 200, 'one without a recipe') or diag($r->{body});
is($r->{json}{agent}, 'good', 'is named') if $r->{status} == 500;
ok(length $r->{json}{details}{stderr}, 'with the reason') if $r->{status} == 500;
is($d->http('POST', '/v1/agents/mock/install')->{status}, 415, 'no body');
is(install('mock', [])->{status}, 422, 'a list');
is(install('mock', { reinstall => 'yes' })->{status}, 422, 'a word for a truth');
# An agent that is not there and cannot be had.
$r = Sandboxd::Acp->new($d, 'n', agent => 'absent')->post('{"id":1,"method":"x"}');
is($r->{status}, 404, 'an ACP server of one that is not there') or diag($r->{body});
is($r->{json}{type}, 'urn:sandbox-agent:error:agent_not_installed', 'is told so');
is($r->{json}{agent}, 'absent', 'by name');
is(Sandboxd::Acp->new($d, 'n', agent => 'absent')->post('{"id":1,"method":"x"}')
    ->{status}, 404, 'each time');
ok(wait_for(5, sub { !Sandboxd::Acp->listed($d) }), 'and leaves nothing');
is(Sandboxd::Acp->new($d, 'n', agent => 'mock')->post('{"id":1,"method":"x"}')
    ->{status}, 200, 'its name is free');
$r = Sandboxd::Acp->new($d, 'g', agent => 'secret')->post(
    '{"id":1,"method":"initialize"}');
is($r->{status}, 200, 'one that is there') or diag($r->{body});
is($r->{json}{result}{agentInfo}{name}, 'scripted', 'is spoken to');

done_testing;
