# /v1/acp as plain HTTP: every status and problem of the protocol in its order,
# ids of envelopes and of servers, the list.
use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Acp;
use Test::More;
use Time::HiRes qw(time sleep);

binmode(Test::More->builder->$_, ':utf8') for qw(output failure_output todo_output);
need_root();
my $d = Sandboxd->start(http => 1);
my $json = 'application/json';

sub problem {
	my ($r, $status, $type, $detail, $name, %ext) = @_;
	is($r->{status}, $status, $name) or diag($r->{body});
	is($r->{headers}{'content-type'}, 'application/problem+json',
	    "$name: a problem");
	my %got = %{$r->{json} // {}};
	is(delete $got{type}, "urn:sandbox-agent:error:$type", "$name: $type");
	is(delete $got{status}, $status, "$name: its status again");
	like(delete $got{detail}, $detail, "$name: the detail");
	ok(delete $got{title}, "$name: a title");
	is_deeply(\%got, \%ext, "$name: and nothing else");
}
sub post {
	my ($path, $body, %h) = @_;
	utf8::encode($body);
	return $d->http('POST', "/v1/acp/$path", body => $body,
	    headers => { 'Content-Type' => $json, %h }, timeout => 60);
}
sub text { return (detail => { message => $_[0] }) }

# --- before any server is there --------------------------------------------------------

is_deeply($d->http('GET', '/v1/acp')->{json}, { servers => [] }, 'none is there');
problem(post('a?agent=mock', '{}', 'Content-Type' => $_), 415, 'unsupported_media_type',
    qr/^unsupported media type: content-type must be application\/json$/,
    "content type '$_'", details => { message =>
    'content-type must be application/json' })
    for 'text/plain', 'application/json5', 'application/vnd.x+json', 'application/*', '';
is($d->http('POST', '/v1/acp/a?agent=mock', body => '{}')->{status}, 415,
    'none at all is 415');
problem(post('a?agent=mock', '{}', Accept => $_), 406, 'not_acceptable',
    qr/^not acceptable: accept must allow application\/json$/, "accept '$_'",
    details => { message => 'accept must allow application/json' })
    for 'text/html', 'text/event-stream', 'application/xml, text/*;q=1',
    'application/jsonx';
problem(post('a?agent=mock', '{}', 'Content-Type' => 'text/plain',
    Accept => 'text/html'), 415, 'unsupported_media_type', qr/./,
    'the content type comes first', details => { message =>
    'content-type must be application/json' });
problem(post('a?agent=mock', 'x', Accept => 'text/html'), 406, 'not_acceptable', qr/./,
    'then Accept', details => { message => 'accept must allow application/json' });
problem(post('a?agent=nope', $_), 400, 'invalid_request',
    qr/^invalid request: invalid JSON body: ./, "then JSON: '$_'")
    for '', '{', '{a:1}', "\xff", '{} {}', '{"a":1,}', 'nul',
    '[' x 200 . ']' x 200;
problem(post('a?agent=' . Sandboxd::Acp::escape($_), '{}'), 400, 'unsupported_agent',
    qr/^unsupported agent: \Q$_\E$/, "then the agent: '$_'", agent => $_)
    for 'nope', '', 'Mock', 'mock ', "mo\"ck", 'x' x 200;
is(post('a?agent=mock&agent=mock', '{}')->{status}, 400, 'agent twice is 400');
problem(post('a', '{"jsonrpc":"2.0","id":1,"method":"x"}'), 400, 'invalid_request',
    qr{^invalid request: missing required 'agent' query parameter for first POST to /v1/acp/a$},
    'without an agent');
problem($d->http('GET', '/v1/acp/a'), 404, 'session_not_found',
    qr/^session not found: a$/, 'its stream', sessionId => 'a');
is($d->http('DELETE', '/v1/acp/a')->{status}, 204, 'its end is no error');
is_deeply($d->http('GET', '/v1/acp')->{json}, { servers => [] },
    'nothing of that has made one');
is($d->http('POST', '/v1/acp/' . ('x' x 200) . '?agent=mock', body => '{}',
    headers => { 'Content-Type' => $json })->{status}, 400, 'a name that is too long');
is($d->http('DELETE', '/v1/acp/' . ('x' x 200))->{status}, 204, 'which nobody has');
is($d->http('GET', '/v1/acp/' . ('x' x 200))->{status}, 404, 'nor hears');
is($d->http('GET', '/v1/acp/')->{status}, 404, 'an empty name is no route');

# --- a server ---------------------------------------------------------------------------

my $a = Sandboxd::Acp->new($d, 'a', agent => 'mock');
my $began = int(time * 1000);
my $r = $a->post({ jsonrpc => '2.0', id => 0, method => 'initialize',
    params => { protocolVersion => 1 } });
is($r->{status}, 200, 'the first envelope makes it') or diag($r->{body}, $d->log_tail);
is($r->{headers}{'content-type'}, $json, 'its answer is JSON');
is($r->{json}{id}, 0, 'to the same id');
is($r->{json}{result}{protocolVersion}, 1, 'from the agent');
is($r->{json}{result}{echoed}{method}, 'initialize', 'mock echoes');
my $list = $d->http('GET', '/v1/acp')->{json}{servers};
is(@$list, 1, 'it is listed');
is_deeply([sort keys %{$list->[0]}], [qw(agent createdAtMs serverId)], 'by three words');
is_deeply([@{$list->[0]}{qw(serverId agent)}], ['a', 'mock'], 'whose it is');
ok($list->[0]{createdAtMs} >= $began && $list->[0]{createdAtMs} <= 1000 * time,
    'since when');
like($d->http('GET', '/v1/acp')->{body}, qr/^\{"servers":\[\{"serverId":"a","agent":/,
    'in that order');

$a = Sandboxd::Acp->new($d, 'a');
is($a->post({ jsonrpc => '2.0', id => 1, method => 'x' })->{status}, 200,
    'the agent is named once');
is(post('a?agent=mock', '{"id":2,"method":"x"}')->{status}, 200, 'or again');
problem(post('a?agent=claude', '{"id":2,"method":"x"}'), 409, 'conflict',
    qr/^conflict: server 'a' already exists for agent 'mock'; requested 'claude'$/,
    'another one', details => { message =>
    "server 'a' already exists for agent 'mock'; requested 'claude'" });
problem(post('a?agent=nope', '{}'), 400, 'unsupported_agent', qr/nope/,
    'one that nobody knows is worse', agent => 'nope');
problem(post('a?agent=', '{}'), 400, 'unsupported_agent', qr/./, 'so is none',
    agent => '');

# Bodies that are no object; requests, and the rest.
problem(post('a', $_), 400, 'invalid_request',
    qr/^invalid request: request body must be a JSON-RPC object$/, "a body $_")
    for '[]', '"text"', '1', 'null', 'true', '[{"id":1,"method":"x"}]';
problem(post('new?agent=mock', '[]'), 400, 'invalid_request', qr/must be a JSON-RPC object/,
    'for a new one too');
is((grep { $_ eq 'new' } Sandboxd::Acp->listed($d)), 1, 'which is there by then');
for my $e ('{}', '{"jsonrpc":"2.0"}', '{"method":"note"}', '{"id":5,"result":{}}',
    '{"id":"x","error":{"code":-1,"message":"x"}}', "{\n  \"method\": \"lines\"\n}\n",
    '{"result":1}') {
	my $got = post('a', $e);
	is($got->{status}, 202, "202 for $e");
	is($got->{body}, '', 'without a body');
	is($got->{headers}{'content-type'}, undef, 'or a type');
}
for my $id ('0', '-1', '"abc"', '"1"', '1.5', 'null', '{"a":[1]}', '[]', 'true',
    '"ü\u0001🦊"', '""', '12345678901234567890123') {
	my $got = post('a', qq({"jsonrpc":"2.0","id":$id,"method":"m"}));
	is($got->{status}, 200, "a request of id $id");
	like($got->{body}, qr/"id":/, 'is answered');
	utf8::encode(my $bytes = $id);
	is(to_json($got->{json}{id}), to_json(from_json($bytes)), 'with the same');
}
is(post('a', '{"id":1,"method":5}')->{status}, 200, 'a method need not be a text');
is(post('a', '{"id":1,"method":"x"}', 'Content-Type' => 'APPLICATION/json; charset=utf-8',
    Accept => 'text/html, application/*;q=0.1')->{status}, 200, 'types as they come');
is(post('a', '{"id":1,"method":"x"}', Accept => '*/*')->{status}, 200, 'anything goes');

# --- names ------------------------------------------------------------------------------

for my $name ('with blank', 'a/b', '/', '..', '%41', 'ünïcode', 'a"b\\c', 'a:b', ':',
    'x' x 100, '+', 'a?b#c', 'acp:default:a') {
	my $n = Sandboxd::Acp->new($d, $name, agent => 'mock');
	is($n->post('{"id":1,"method":"x"}')->{status}, 200, "a server '$name'");
	is((grep { $_ eq $name } Sandboxd::Acp->listed($d)), 1, 'is listed as such');
	my $s = $n->stream;
	is($s->{head}{status}, 200, 'can be heard');
	is($n->delete->{status}, 204, 'and removed');
	is((grep { $_ eq $name } Sandboxd::Acp->listed($d)), 0, 'for good');
	is(Sandboxd::Acp->new($d, $name)->post('{}')->{status}, 400, 'it must be made again');
}
is(Sandboxd::Acp->new($d, "\n", agent => 'mock')->post('{}')->{status}, 400,
    'but no control characters');
Sandboxd::Acp->new($d, $_, agent => 'mock')->post('{}') for qw(b B 10 9 aa);
is(join(' ', Sandboxd::Acp->listed($d)), '10 9 B a aa b new', 'the list is sorted');

# --- methods ----------------------------------------------------------------------------

for (['PUT', 405], ['PATCH', 405], ['OPTIONS', 200], ['HEAD', 200]) {
	my $got = $d->http($_->[0], '/v1/acp/a');
	is($got->{status}, $_->[1], "$_->[0] is $_->[1]");
	my %allow = map { $_ => 1 } split /,\s*/, $got->{headers}{allow} // '';
	is_deeply([sort keys %allow], [qw(DELETE GET HEAD POST)], 'what is allowed')
	    if $_->[0] ne 'HEAD';
	is($got->{headers}{'content-type'}, 'text/event-stream', 'as of GET')
	    if $_->[0] eq 'HEAD';
}
is($d->http('POST', '/v1/acp', json => {})->{status}, 405, 'POST of the list');
is($d->http('HEAD', '/v1/acp')->{headers}{'content-type'}, $json, 'HEAD of the list');
is($d->http('HEAD', '/v1/acp/none')->{status}, 404, 'HEAD of nobody');

# --- they are no sessions -----------------------------------------------------------------

is_deeply($d->http('GET', '/v1/sessions')->{json}, { sessions => [] },
    'not in the list of sessions');
for (['GET', ''], ['GET', '/events'], ['GET', '/events/sse'], ['POST', '/cancel'],
    ['POST', '/terminate']) {
	is($d->http($_->[0], "/v1/sessions/acp:default:a$_->[1]")->{status}, 404,
	    "$_->[0] $_->[1] of one");
}
is($d->http('POST', "/v1/sessions/$_", json => { agent => 'mock' })->{status}, 400,
    "no session can be called $_") for 'acp:default:z', 'acp:', 'probe:mock';
is($a->post('{"id":1,"method":"x"}')->{status}, 200, 'the server is still there');

done_testing;
