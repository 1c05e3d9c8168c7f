# MCP servers and skills by directory and name: normal forms, the file that they are
# kept in, and what becomes of broken input.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();

my $d = Sandboxd->start(http => 1, conf => "[gateway]\nprocesses = 2\n");
$d->ok('sandbox.create', { id => 'box', directory => '/tmp' });

sub call {
	my ($method, $kind, $name, $value, $dir) = @_;
	my $key = $kind eq 'mcp' ? 'mcpName' : 'skillName';
	$dir //= '/tmp/w';
	return $d->http($method, "/i/box/v1/config/$kind?directory=$dir&$key=$name",
	    defined $value ? (body => $value, headers => {
		'Content-Type' => 'application/json' }) : ());
}
sub file {
	return $d->exec('box', ['cat', "/tmp/w/.sandbox-agent/config/$_[0].json"])->{stdout};
}
# What a PUT of TEXT gives back, as text.
sub normal {
	my ($text, $kind) = @_;
	my $r = call('PUT', $kind // 'mcp', 'n', $text);
	return "PUT $r->{status} $r->{body}" if $r->{status} != 204;
	is($r->{body}, '', 'PUT has no body');
	return call('GET', $kind // 'mcp', 'n')->{body};
}

# --- there and not there ----------------------------------------------------------

my $r = call('GET', 'mcp', 'x');
is($r->{status}, 404, 'an entry that is not there');
is($r->{headers}{'content-type'}, 'application/problem+json', 'is a problem');
is($r->{body}, '{"type":"urn:sandbox-agent:error:session_not_found",'
    . '"title":"Session Not Found","status":404,'
    . '"detail":"session not found: mcp:x","sessionId":"mcp:x"}', 'of this form');
is(call('GET', 'skills', 'd')->{json}{sessionId}, 'skills:d', 'skills, too');
is(call('GET', 'mcp', '%22%5C%0A')->{json}{sessionId}, "mcp:\"\\\n", 'names are escaped');
is(call('DELETE', 'skills', 'd')->{status}, 204, 'DELETE of what is not there');
is(file('skills'), '{}', 'makes the file');
is(call('PUT', 'mcp', 'x', '{"type":"local","command":"npx"}')->{status}, 204, 'PUT');
is(call('PUT', 'mcp', 'rem', '{"type":"remote","url":"https://example.com/mcp"}')->{status}, 204,
    'another');
is(file('mcp'), <<'END' =~ s/\n\z//r, 'the file: in order, over several lines, no end of line');
{
  "rem": {
    "type": "remote",
    "url": "https://example.com/mcp"
  },
  "x": {
    "type": "local",
    "command": "npx",
    "args": []
  }
}
END
is(call('GET', 'mcp', 'x')->{body}, '{"type":"local","command":"npx","args":[]}', 'GET');
is(call('DELETE', 'mcp', 'rem')->{status}, 204, 'DELETE');
is(call('GET', 'mcp', 'rem')->{status}, 404, 'it is gone');
is(call('GET', 'mcp', 'x')->{status}, 200, 'the other is not');
is($d->http('HEAD', '/i/box/v1/config/mcp?directory=/tmp/w&mcpName=x')->{status}, 200, 'HEAD');

# --- normal forms -----------------------------------------------------------------

for (
    ['{"type":"local","command":"node","args":["a","b"],"cwd":"/x","enabled":false,"env":{"Z":"1","A":"2"},"timeoutMs":5000,"extra":1}',
     '{"type":"local","command":"node","args":["a","b"],"env":{"A":"2","Z":"1"},"enabled":false,"timeoutMs":5000,"cwd":"/x"}'],
    ['{"type":"stdio","command":"x"}', '{"type":"local","command":"x","args":[]}'],
    ['{"type":"local","command":[]}', '{"type":"local","command":[],"args":[]}'],
    ['{"type":"local","command":""}', '{"type":"local","command":"","args":[]}'],
    ['{"type":"local","command":["a","b"],"environment":{"K":"v"},"timeout":7}',
     '{"type":"local","command":["a","b"],"args":[],"env":{"K":"v"},"timeoutMs":7}'],
    ['{"type":"local","command":"x","timeout_ms":1,"workingDirectory":"/","env":null,"cwd":null,"enabled":null}',
     '{"type":"local","command":"x","args":[]}'],
    ['{"type":"remote","url":"x","oauth":null,"enabled":null}', '{"type":"remote","url":"x"}'],
    ['{"transport":"sse","timeout":1,"enabled":true,"oauth":{"scope":"s","clientSecret":"c","clientId":"i","x":1},'
     . '"envHttpHeaders":{"B":"b","A":"a"},"bearer_token_env_var":"T","headers":{"b":"1","a":"2"},"url":"u","type":"http"}',
     '{"type":"remote","url":"u","headers":{"a":"2","b":"1"},"bearerTokenEnvVar":"T","envHeaders":{"A":"a","B":"b"},'
     . '"oauth":{"clientId":"i","clientSecret":"c","scope":"s"},"enabled":true,"timeoutMs":1,"transport":"sse"}'],
    ['{"type":"remote","url":"x","oauth":true}', '{"type":"remote","url":"x","oauth":true}'],
    ['{"type":"remote","url":"x","oauth":false,"httpHeaders":{"a":"b"},"env_headers":{"a":"b"}}',
     '{"type":"remote","url":"x","oauth":false}'],
    ['{"type":"remote","url":"x","oauth":{"client_id":"i"}}', '{"type":"remote","url":"x","oauth":{}}'],
    ['{"type":"remote","url":"\u00e4\u20ac/\n\"","transport":"http"}',
     "{\"type\":\"remote\",\"url\":\"\xc3\xa4\xe2\x82\xac/\\n\\\"\",\"transport\":\"http\"}"],
) {
	is(normal($_->[0]), $_->[1], "normal form of $_->[0]");
}
for (
    ['{"sources":[]}', '{"sources":[]}'],
    ['{"x":1,"sources":[{"type":"github","source":"rivet-dev/skills","skills":["sandbox-agent"]},'
     . '{"source":"/w/x","type":"local"},{"subpath":"skills","ref":"main","type":"git","source":"https://x/y.git","z":2},'
     . '{"type":"anything","source":"","skills":null,"ref":null}]}',
     '{"sources":[{"type":"github","source":"rivet-dev/skills","skills":["sandbox-agent"]},'
     . '{"type":"local","source":"/w/x"},{"type":"git","source":"https://x/y.git","ref":"main","subpath":"skills"},'
     . '{"type":"anything","source":""}]}'],
) {
	is(normal($_->[0], 'skills'), $_->[1], 'normal form of skills');
}

# --- wrong ------------------------------------------------------------------------

for (
    [422, 'mcp', '{}'], [422, 'mcp', '[]'], [422, 'mcp', '"x"'], [422, 'mcp', 'null'],
    [422, 'mcp', '{"type":"x"}'], [422, 'mcp', '{"type":"sse","url":"x"}'],
    [422, 'mcp', '{"type":1,"command":"x"}'], [422, 'mcp', '{"type":"local"}'],
    [422, 'mcp', '{"type":"local","command":1}'], [422, 'mcp', '{"type":"local","command":{"a":1}}'],
    [422, 'mcp', '{"type":"local","command":[1]}'], [422, 'mcp', '{"type":"local","command":null}'],
    [422, 'mcp', '{"type":"local","command":"x","args":null}'],
    [422, 'mcp', '{"type":"local","command":"x","args":"y"}'],
    [422, 'mcp', '{"type":"local","command":"x","env":{"a":1}}'],
    [422, 'mcp', '{"type":"local","command":"x","env":[]}'],
    [422, 'mcp', '{"type":"local","command":"x","enabled":"yes"}'],
    [422, 'mcp', '{"type":"local","command":"x","timeoutMs":-1}'],
    [422, 'mcp', '{"type":"local","command":"x","timeoutMs":1.5}'],
    [422, 'mcp', '{"type":"local","command":"x","env":{},"environment":{}}'],
    [422, 'mcp', '{"type":"remote"}'], [422, 'mcp', '{"type":"remote","url":null}'],
    [422, 'mcp', '{"type":"remote","url":"x","transport":"ws"}'],
    [422, 'mcp', '{"type":"remote","url":"x","oauth":"x"}'],
    [422, 'mcp', '{"type":"remote","url":"x","oauth":{"clientId":1}}'],
    [422, 'skills', '{}'], [422, 'skills', '{"sources":null}'], [422, 'skills', '{"sources":{}}'],
    [422, 'skills', '{"sources":[1]}'], [422, 'skills', '{"sources":[{"type":"local"}]}'],
    [422, 'skills', '{"sources":[{"source":"x"}]}'],
    [422, 'skills', '{"sources":[{"type":"local","source":"x","skills":"y"}]}'],
    [400, 'mcp', ''], [400, 'mcp', '{'], [400, 'mcp', '{"type":"local","command":"x"} x'],
    [400, 'mcp', "{\"type\":\"local\",\"command\":\"\xff\"}"],
    [400, 'mcp', '[' x 200 . ']' x 200],
) {
	my ($status, $kind, $text) = @$_;
	my $before = file($kind);
	$r = call('PUT', $kind, 'bad', $text);
	is($r->{status}, $status, "PUT $kind " . substr($text, 0, 70));
	is(file($kind), $before, 'and nothing was changed');
}
is($d->http('PUT', '/i/box/v1/config/mcp?directory=/tmp/w&mcpName=x', body => '{}')->{status}, 415,
    'without a content type');
is(call('POST', 'mcp', 'x', '{}')->{status}, 405, 'POST');
for my $q ('mcpName=x', 'directory=/tmp', '', 'directory=&mcpName=x', 'directory=/tmp&mcpName=',
    'directory=/tmp&mcpName=%20', 'directory=%20&mcpName=x') {
	is($d->http('GET', "/i/box/v1/config/mcp?$q")->{status}, 400, "the query '$q'");
}
like($d->http('GET', '/i/box/v1/config/skills?directory=/tmp&skillName=')->{json}{detail},
    qr/^invalid request: missing required 'skillName' query parameter$/, 'in words');

# --- files that are no good ---------------------------------------------------------

sub with_file {
	my ($shell) = @_;
	$d->exec('box', ['sh', '-c', "mkdir -p /tmp/w/.sandbox-agent/config; "
	    . "cd /tmp/w/.sandbox-agent/config; rm -rf mcp.json; $shell"]);
	return call('GET', 'mcp', 'x');
}
is(with_file('printf "" > mcp.json')->{status}, 404, 'an empty file counts as {}');
is(with_file('printf " \n\t" > mcp.json')->{status}, 404, 'so does a blank one');
for ('{oops', '[]', 'null', '{"x":1}', '{"x":{"type":"y"}}', '{"x":{"type":"local"}}') {
	$r = with_file("printf '%s' '$_' > mcp.json");
	is($r->{status}, 400, "a file of $_");
	like($r->{json}{detail},
	    qr{^invalid request: invalid config file /tmp/w/\.sandbox-agent/config/mcp\.json: },
	    'says which');
	is(call('PUT', 'mcp', 'y', '{"type":"local","command":"x"}')->{status}, 400, 'PUT does, too');
	is(file('mcp'), $_, 'and leaves it as it is');
}
is(with_file('head -c 2000000 /dev/zero | tr "\0" " " > mcp.json')->{status}, 413, 'a huge one');
is(with_file('mkfifo mcp.json')->{status}, 400, 'a pipe');
is(with_file('mkdir mcp.json')->{status}, 400, 'a directory');
isnt(with_file('ln -s /dev/zero mcp.json')->{status}, 200, 'a device');
is(with_file('ln -s mcp.json mcp.json')->{status}, 502, 'a link to itself');
is(with_file('echo \'{"x":{"type":"local","command":"c"}}\' > ../real; ln -s ../real mcp.json')->{status},
    200, 'a link to a file');
is(call('PUT', 'mcp', 'y', '{"type":"local","command":"x"}', '/proc/nowhere')->{status}, 502,
    'where nothing can be written');
is(call('GET', 'mcp', 'y', undef, '/etc/passwd')->{status}, 502, 'below a file');
with_file('true');

# --- directories ------------------------------------------------------------------

call('PUT', 'mcp', 'here', '{"type":"local","command":"x"}', 'sub/dir');
ok($d->exec('box', ['test', '-f', '/tmp/sub/dir/.sandbox-agent/config/mcp.json'])->{exit_code} == 0,
    'a relative directory is below the sandbox\'s own');
is(call('GET', 'mcp', 'here', undef, 'sub/../sub/dir')->{status}, 200, 'also with dots');
is(call('GET', 'mcp', 'here', undef, '/tmp/sub/dir/')->{status}, 200, 'and the whole path is the same');
call('PUT', 'mcp', 'tilde', '{"type":"local","command":"x"}', '~');
ok($d->exec('box', ['test', '-d', '/tmp/~/.sandbox-agent'])->{exit_code} == 0, '~ is a name like others');
is(call('GET', 'mcp', '%00')->{status}, 400, 'no NUL');

# --- many at a time ---------------------------------------------------------------

my @all = map { $d->http_client } 1 .. 40;
for my $i (0 .. $#all) {
	my $body = "{\"type\":\"local\",\"command\":\"c$i\"}";
	$all[$i]->write("PUT /i/box/v1/config/mcp?directory=/tmp/w&mcpName=n$i HTTP/1.1\r\nHost: x\r\n"
	    . "Content-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n$body");
}
is(scalar(grep { ($_->response->{status} // 0) == 204 } @all), 40, 'forty at a time');
is(scalar(keys %{from_json(file('mcp'))}), 40, 'none is lost');
is(join(' ', sort keys %{from_json(file('mcp'))}), join(' ', sort map { "n$_" } 0 .. 39),
    'each under its name');
unlike($d->exec('box', ['ls', '-A', '/tmp/w/.sandbox-agent/config'])->{stdout}, qr/\.tmp|~/,
    'nothing is left beside the file');
is($d->http('PUT', '/v1/config/mcp?directory=/tmp&mcpName=x', json => { type => 'local',
    command => 'x' })->{status}, 204, 'in the default sandbox');
is($d->http('GET', '/i/nope/v1/config/mcp?directory=/tmp&mcpName=x')->{status}, 404, 'in none');

ok($d->stop, 'the end');
is_deeply([$d->leftovers], [], 'nothing is left');
done_testing;
