# Sessions over HTTP: create, list, get, talk, replies, terminate, and what is
# said to those who ask wrongly.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start(http => 1);
my ($true, $false) = (JSON::PP::true, JSON::PP::false);

sub post { my ($path, $json, %o) = @_; return $d->http('POST', $path, json => $json, %o) }
sub get { return $d->http('GET', $_[0]) }
sub urn { return 'urn:sandbox-agent:error:' . $_[0] }

# A problem of this type and status, with these members besides.
sub problem {
	my ($r, $status, $type, $name, %more) = @_;
	my $j = $r->{json} // {};
	is($r->{status}, $status, "$name: $status");
	is($j->{type}, urn($type), "$name: $type");
	is($j->{status}, $status, "$name: the status is in the document");
	is($r->{headers}{'content-type'}, 'application/problem+json',
	    "$name: its type");
	is_deeply($j->{$_}, $more{$_}, "$name: $_") for sort keys %more;
}

# --- create ---------------------------------------------------------------------------

my $r = get('/v1/sessions');
is($r->{status}, 200, 'a list of none');
is_deeply($r->{json}, { sessions => [] }, 'is empty');

$r = post('/v1/sessions/s1', { agent => 'mock' });
is($r->{status}, 200, 'create');
ok($r->{json}{healthy}, 'is healthy');
is($r->{json}{nativeSessionId}, 'mock-s1', 'and tells the native id');
is($r->{headers}{'content-type'}, 'application/json', 'as JSON');

is(post('/v1/sessions/', { agent => 'mock' })->{status}, 404, 'an empty id');
problem(post('/v1/sessions/s1', { agent => 'mock' }), 409,
    'session_already_exists', 'the same once more', sessionId => 's1',
    detail => 'session already exists: s1');
problem(post('/v1/sessions/s1', { agent => 'nope' }), 400, 'unsupported_agent',
    'an unknown agent, whatever the id', agent => 'nope',
    detail => 'unsupported agent: nope');
problem(post('/v1/sessions/s2', { agent => '' }), 400, 'unsupported_agent',
    'no agent', agent => '');
problem(post('/v1/sessions/s1', { agent => 'mock', agentMode => 'wat' }), 409,
    'session_already_exists', 'the name before the modes');
problem(post('/v1/sessions/s2', { agent => 'mock', agentMode => 'wat' }), 400,
    'mode_not_supported', 'an unknown agent mode', agent => 'mock',
    details => { mode => 'wat' }, detail => 'mode not supported: mock wat');
problem(post('/v1/sessions/s2', { agent => 'mock', permissionMode => 'wat' }),
    400, 'invalid_request', 'an unknown permission mode',
    detail => 'invalid request: invalid permission mode: wat');
problem(post('/v1/sessions/s2', {}), 422, 'invalid_request', 'no agent at all');
problem(post('/v1/sessions/s2', { agent => 5 }), 422, 'invalid_request',
    'an agent of a wrong type');
problem(post('/v1/sessions/s2', [ 'mock' ]), 422, 'invalid_request',
    'a body that is no object');
problem($d->http('POST', '/v1/sessions/s2', body => '{"agent":',
    headers => { 'Content-Type' => 'application/json' }), 400,
    'invalid_request', 'a body that is no JSON');
problem($d->http('POST', '/v1/sessions/s2', body => '{"agent":"mock"}',
    headers => { 'Content-Type' => 'text/plain' }), 415,
    'unsupported_media_type', 'a body of another type');
problem($d->http('POST', '/v1/sessions/s2'), 415, 'unsupported_media_type',
    'no body');
problem(post('/v1/sessions/' . 'x' x 129, { agent => 'mock' }), 400,
    'invalid_request', 'an id too long');
problem(post('/v1/sessions/a%0Ab', { agent => 'mock' }), 400,
    'invalid_request', 'an id with a line end');
problem(post('/v1/sessions/s2', { agent => 'mock', sandbox => 'none' }), 404,
    'not_found', 'a sandbox that is not there');
problem(post('/v1/sessions/s2', { agent => 'mock', sandbox => 7 }), 422,
    'invalid_request', 'a sandbox of a wrong type');
problem(post('/v1/sessions/s2', { agent => 'mock', env => { '1x' => 'y' } }),
    400, 'invalid_request', 'a name that is none of a variable');
problem(post('/v1/sessions/s2', { agent => 'mock', directory => 'rel' }), 400,
    'invalid_request', 'a directory that is not absolute');
is(scalar @{get('/v1/sessions')->{json}{sessions}}, 1,
    'nothing of all that is left behind');

my %mcp = (a => { type => 'stdio', command => ['x', 'y'], args => ['1'],
	environment => { K => 'V' }, timeout => 5 },
    b => { type => 'http', url => 'http://127.0.0.1:1', headers => { a => 'b' },
	oauth => $false, transport => 'sse', bearer_token_env_var => 'T' });
problem(post('/v1/sessions/s2', { agent => 'mock', mcp => { a => {
    type => 'wat' } } }), 422, 'invalid_request', 'an MCP server of no type');
problem(post('/v1/sessions/s2', { agent => 'mock', mcp => { a => {
    type => 'local', command => [] } } }), 400, 'invalid_request',
    'an MCP server without a program');
problem(post('/v1/sessions/s2', { agent => 'mock', skills => {} }), 422,
    'invalid_request', 'skills without sources');
problem(post('/v1/sessions/s2', { agent => 'mock', skills => { sources => [ {
    type => 'wat', source => 'x' } ] } }), 400, 'invalid_request',
    'skills of an unknown kind');
$r = post('/v1/sessions/a%20b%2Fc', { agent => 'mock', agentMode => 'plan',
    permissionMode => 'acceptEdits', model => 'm1', variant => 'high',
    directory => '/tmp', title => "T\x{e9}", unknown => 1, mcp => \%mcp,
    skills => { sources => [] }, agentVersion => undef, sandbox => undef,
    env => { A => 'b' } });
is($r->{status}, 200, 'create with everything');
is($r->{json}{nativeSessionId}, 'mock-a b/c', 'the id was decoded');

$r = get('/v1/sessions')->{json}{sessions};
is(join(',', map { $_->{sessionId} } @$r), 'a b/c,s1', 'the newest first');
my $s = $r->[0];
like($s->{$_}, qr/^\d{13}$/, "$_ in ms") for qw(createdAt updatedAt);
delete @$s{qw(createdAt updatedAt state)};
is_deeply($s, { sessionId => 'a b/c', agent => 'mock', agentMode => 'plan',
    permissionMode => 'default', model => 'm1', variant => 'high',
    nativeSessionId => 'mock-a b/c', ended => $false, eventCount => 1,
    directory => '/tmp', title => "T\x{e9}", sandbox => 'default',
    skills => { sources => [] }, mcp => {
	a => { type => 'local', command => 'x', args => ['y', '1'],
	    env => { K => 'V' }, timeoutMs => 5 },
	b => { type => 'remote', url => 'http://127.0.0.1:1',
	    headers => { a => 'b' }, oauth => $false, transport => 'sse',
	    bearerTokenEnvVar => 'T' } } }, 'all of it is listed');
$s = $r->[1];
is($s->{model}, 'mock', 'the default model');
ok(exists $s->{$_} && !defined $s->{$_}, "$_ is null")
    for qw(variant directory title);
ok(!exists $s->{$_}, "no $_") for qw(mcp skills);
is_deeply(get('/v1/sessions/s1')->{json}, $s, 'one of them is the same');
problem(get('/v1/sessions/nope'), 404, 'session_not_found', 'one that is not',
    sessionId => 'nope', detail => 'session not found: nope');
$r = $d->http('DELETE', '/v1/sessions/s1');
is($r->{status}, 405, 'DELETE is not there');
like($r->{headers}{allow} // '', qr/POST/, 'Allow tells what is');
$r = $d->http('HEAD', '/v1/sessions');
is($r->{status}, 200, 'HEAD works');
is($r->{body}, '', 'without a body');

$r = post('/v1/sessions', { agent => 'mock' });
is($r->{status}, 200, 'create with an id of the server');
like($r->{json}{sessionId}, qr/^s-\w{16,}$/, 'which it tells');
is(get("/v1/sessions/$r->{json}{sessionId}")->{status}, 200, 'and keeps');

# --- talking --------------------------------------------------------------------------

sub events { return @{get("/v1/sessions/$_[0]/events" . ($_[1] // ''))->{json}{events}} }
sub settled {
	my ($id, $type) = @_;
	return wait_for(10, sub { grep { $_->{type} eq $type } events($id) });
}

$r = post('/v1/sessions/s1/messages', { message => 'hello' });
is($r->{status}, 204, 'a message');
is($r->{body}, '', 'no body');
ok(settled('s1', 'turn.ended'), 'its turn ends');
my @e = events('s1');
is(join(' ', event_types(@e)), 'session.started turn.started item.started '
    . 'item.completed item.started item.delta item.completed turn.ended',
    'as in the reference');
for my $e (@e) {
	is(join(' ', sort keys %$e), 'data event_id native_session_id raw '
	    . 'sequence session_id source synthetic time type',
	    "members of event $e->{sequence}");
}
is_deeply([map { $_->{session_id} } @e], [('s1') x 8], 'the session is named');
is(item_text($e[6]), 'hello', 'the answer');
is(get('/v1/sessions/s1')->{json}{eventCount}, 8, 'they are counted');

problem(post('/v1/sessions/nope/messages', { message => 'x' }), 404,
    'session_not_found', 'a message to nobody', sessionId => 'nope');
problem(post('/v1/sessions/s1/messages', {}), 422, 'invalid_request',
    'no message');
problem(post('/v1/sessions/s1/messages', { message => "a\0b" }), 422,
    'invalid_request', 'a NUL in it');
problem(post('/v1/sessions/s1/messages', { message => 'x' x 1000001 }), 413,
    'invalid_request', 'one too long');
problem(post('/v1/sessions/s1/messages', { message => 'x', attachments =>
    [ { mime => 'x' } ] }), 422, 'invalid_request',
    'an attachment without a path');
problem(post('/v1/sessions/s1/messages', { message => 'x', attachments =>
    [ 7 ] }), 422, 'invalid_request', 'an attachment that is none');
is(post('/v1/sessions/s1/messages', { message => 'look', attachments => [ {
    path => '/x', mime => 'text/plain', filename => undef } ] })->{status}, 204,
    'an attachment');
ok(wait_for(10, sub { (events('s1'))[-1]{sequence} == 15 }), 'is taken');
like(item_text((events('s1', '?offset=8'))[2]), qr{look\n\nAttachments:\n- /x},
    'and named to the agent');

# Requests of the agent.
is(post('/v1/sessions/s1/messages', { message => 'permission' })->{status}, 204,
    'a command that asks');
ok(settled('s1', 'permission.requested'), 'it asks');
my ($p) = map { $_->{data} } grep { $_->{type} eq 'permission.requested' }
    events('s1');
problem(post("/v1/sessions/s1/permissions/nope/reply", { reply => 'once' }), 400,
    'invalid_request', 'a reply to nothing',
    detail => 'invalid request: unknown permission id: nope');
problem(post("/v1/sessions/s1/permissions/$p->{permission_id}/reply",
    { reply => 'maybe' }), 422, 'invalid_request', 'an unknown word');
problem(post("/v1/sessions/nope/permissions/$p->{permission_id}/reply",
    { reply => 'once' }), 404, 'session_not_found', 'of another session');
is(post("/v1/sessions/s1/permissions/$p->{permission_id}/reply",
    { reply => 'once' })->{status}, 204, 'a reply');
my ($res) = grep { $_->{type} eq 'permission.resolved' } events('s1');
is($res->{data}{status}, 'accept', 'is in the log when it is answered');
problem(post("/v1/sessions/s1/permissions/$p->{permission_id}/reply",
    { reply => 'once' }), 400, 'invalid_request', 'a second reply');

$d->ok('session.create', { id => 'q', agent => 'mock' });
is(post('/v1/sessions/q/messages', { message => 'question' })->{status}, 204,
    'questions');
ok(settled('q', 'question.requested'), 'are asked');
my @q = map { $_->{data}{question_id} }
    grep { $_->{type} eq 'question.requested' } events('q');
is(scalar @q, 2, 'two of them');
problem(post("/v1/sessions/q/questions/$q[0]/reply", { answers => 'Red' }), 422,
    'invalid_request', 'answers that are no list');
problem(post("/v1/sessions/q/questions/$q[0]/reply", { answers => [ 'Red' ] }),
    422, 'invalid_request', 'nor a list of words');
is(post("/v1/sessions/q/questions/$q[0]/reply", { answers => [ [ 'Red' ] ] })
    ->{status}, 204, 'an answer');
is($d->http('POST', "/v1/sessions/q/questions/$q[1]/reject")->{status}, 204,
    'a rejection, without a body');
is(join(' ', map { $_->{data}{status} . ':' . ($_->{data}{response} // '-') }
    grep { $_->{type} eq 'question.resolved' } events('q')),
    'answered:Red rejected:-', 'both are in the log');
problem($d->http('POST', "/v1/sessions/q/questions/$q[1]/reject"), 400,
    'invalid_request', 'a second one',
    detail => "invalid request: unknown question id: $q[1]");

# Cancel.
problem($d->http('POST', '/v1/sessions/q/cancel'), 409, 'conflict',
    'cancel of nothing');
is(post('/v1/sessions/q/messages', { message => 'sleep 60000' })->{status}, 204,
    'a long turn');
is($d->http('POST', '/v1/sessions/q/cancel')->{status}, 204, 'is cancelled');
ok(wait_for(10, sub { (events('q'))[-1]{type} eq 'turn.ended' }), 'and ends');

# Terminate.
is($d->http('POST', '/v1/sessions/q/terminate')->{status}, 204, 'terminate')
    for 1 .. 2;
my $last = (events('q'))[-1];
is($last->{type}, 'session.ended', 'is the end of the log');
is_deeply($last->{data}, { reason => 'terminated', terminated_by => 'daemon' },
    'as in the reference');
is(get('/v1/sessions/q')->{json}{ended}, $true, 'it is listed as ended');
for (['messages', { message => 'x' }], ['messages/stream', { message => 'x' }],
    ["questions/$q[0]/reply", { answers => [] }]) {
	problem(post("/v1/sessions/q/$_->[0]", $_->[1]), 400, 'invalid_request',
	    "$_->[0] after it", detail => 'invalid request: session terminated');
}
problem($d->http('POST', '/v1/sessions/nope/terminate'), 404,
    'session_not_found', 'of nobody');
problem(post('/v1/sessions/q', { agent => 'mock' }), 409,
    'session_already_exists', 'its name stays taken');

# --- sandboxes ------------------------------------------------------------------------

$d->ok('sandbox.create', { id => 'box' });
is(post('/i/box/v1/sessions/inside', { agent => 'mock' })->{status}, 200,
    'a session below /i/box');
is(get('/v1/sessions/inside')->{json}{sandbox}, 'box', 'runs there');
is(join(',', map { $_->{sessionId} } @{get('/i/box/v1/sessions')->{json}{sessions}}),
    'inside', 'and is the only one there');
problem(get('/i/box/v1/sessions/s1'), 404, 'session_not_found',
    'another one is not there');
problem(get('/i/box/v1/sessions/s1/events'), 404, 'session_not_found',
    'nor its events');
problem(post('/i/box/v1/sessions/s1/messages', { message => 'x' }), 404,
    'session_not_found', 'nor can it be spoken to');
problem(post('/i/box/v1/sessions/x', { agent => 'mock', sandbox => 'default' }),
    403, 'permission_denied', 'nor can one be made elsewhere');
is(post('/v1/sessions/named', { agent => 'mock', sandbox => 'box' })->{status},
    200, 'a session may name its sandbox');
is(get('/i/box/v1/sessions/named')->{status}, 200, 'and is there');

# A fresh one, which goes with its session.
$r = post('/v1/sessions/fresh', { agent => 'mock', sandbox => {
    limits => { memory => '256M', pids => 64 }, network => 'none',
    labels => { of => 'fresh' }, mounts => [ { source => '/usr/share',
    target => '/mnt/share' } ] } });
is($r->{status}, 200, 'a session with a sandbox of its own');
my $own = $r->{json}{sandbox};
isnt($own, 'default', 'whose name is told');
is(get('/v1/sessions/fresh')->{json}{sandbox}, $own, 'and kept');
my $sb = $d->ok('sandbox.get', { id => $own });
is($sb->{limits}{pids}, 64, 'it has the limits');
is($sb->{mounts}[0]{target}, '/mnt/share', 'and the mounts');
my @turn = $d->turn('fresh', 'run ls /mnt/share | head -1; ulimit -u >/dev/null');
is($turn[-1]{type}, 'turn.ended', 'it works in there');
is($d->http('POST', '/v1/sessions/fresh/terminate')->{status}, 204, 'its end');
ok(wait_for(10, sub { $d->error('sandbox.get', { id => $own }) eq
    'sandbox_not_found' }), 'is the end of its sandbox');
is((events('fresh'))[-1]{type}, 'session.ended', 'its log stays');
is(join(',', sort map { $_->{id} } @{$d->ok('sandbox.list')->{sandboxes}}),
    'box,default', 'no other sandbox went');
problem(post('/v1/sessions/bad', { agent => 'mock', sandbox => {
    limits => { pids => 'x' } } }), 400, 'invalid_request',
    'limits that are none');
problem(post('/v1/sessions/bad', { agent => 'mock', sandbox => {
    owner => 's1' } }), 400, 'invalid_request', 'a field that is none');
problem(post('/v1/sessions/bad', { agent => 'mock', sandbox => {
    image => '/nowhere' } }), 400, 'invalid_request', 'an image that is none');
problem(post('/v1/sessions/bad', { agent => 'mock', agentMode => 'wat',
    sandbox => { id => 'left' } }), 400, 'mode_not_supported',
    'a session that fails');
is(scalar @{$d->ok('sandbox.list')->{sandboxes}}, 2, 'leaves no sandbox');

# --- a long list -----------------------------------------------------------------------

my @names = map { "many-$_" } 1 .. 150;
for my $n (@names) {
	my $w = post("/v1/sessions/$n", { agent => 'mock', title => 'x' x 250,
	    mcp => { m => { type => 'local', command => 'y' x 900 } } });
	is($w->{status}, 200, $n) if $w->{status} != 200;
}
$r = get('/v1/sessions');
ok(length $r->{body} > 150_000, 'a list longer than any buffer');
is($r->{headers}{'transfer-encoding'} // '', 'chunked', 'is written in pieces');
is(join(',', map { $_->{sessionId} } @{$r->{json}{sessions}}[0 .. 149]),
    join(',', reverse @names), 'and is whole, the newest first');
done_testing();
