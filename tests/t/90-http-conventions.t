# What every route has in common: headers, methods, paths, queries, bodies,
# errors, and the description of all of it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start(http => 1);
my $vary = 'origin, access-control-request-method, '
    . 'access-control-request-headers';
my $urn = 'urn:sandbox-agent:error:';

sub ask { return $d->http(@_) }

sub problem_is {
	my ($r, $status, $type, $what) = @_;
	is($r->{status}, $status, "$what: $status");
	is($r->{headers}{'content-type'}, 'application/problem+json',
	    "$what: a problem document");
	is($r->{json}{type}, "$urn$type", "$what: of type $type");
	is($r->{json}{status}, $status, "$what: which names the status");
	is($r->{headers}{vary}, $vary, "$what: varies as all answers do");
}

# --- an answer in full -----------------------------------------------------------------
my $r = ask('GET', '/v1/health');
is($r->{status}, 200, 'health');
is($r->{body}, '{"status":"ok"}', 'its body');
is($r->{headers}{'content-type'}, 'application/json', 'JSON without a charset');
is($r->{headers}{vary}, $vary, 'the vary line');
is($r->{headers}{'content-length'}, 15, 'its length');
like($r->{headers}{date}, qr/^\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT$/, 'a date');
ok(!exists $r->{headers}{server}, 'no server header');
ok(!exists $r->{headers}{'x-request-id'}, 'no request id that nobody gave');
like($r->{head}, qr/^$_: /m, "$_ in lower case") for qw(content-type vary);

is(ask('GET', '/i/any-name/v1/health')->{body}, '{"status":"ok"}',
    'the same below a sandbox, which need not be there for it');
$r = ask('GET', '/');
is($r->{status}, 200, 'the root');
is(join(',', sort keys %{$r->{json}}), 'docs,name,version', 'says who we are');

for my $path ('/v1/health', '/', '/openapi.json', '/nope') {
	my $get = ask('GET', $path);
	my $head = ask('HEAD', $path);
	is($head->{status}, $get->{status}, "HEAD $path as GET");
	is($head->{headers}{'content-length'},
	    $get->{headers}{'content-length'}, 'with the length');
	is($head->{body}, '', 'without the body');
}

# --- paths and methods -----------------------------------------------------------------
for my $path ('/nope', '/v1', '/v1/', '/v1/health/', '//v1/health',
    '/v1//health', '/V1/health', '/v1/Health', '/i/x', '/i/x/', '/i/x/nope',
    '/i/x/openapi.json', '/i//v1/health', '/v1/health/x', '/metrics/',
    '/v1/he%61lth', '/v1%2Fhealth', '/' . 'a/' x 500) {
	my $r = ask('GET', $path);
	problem_is($r, 404, 'invalid_request', "GET " . substr($path, 0, 30));
	is($r->{json}{detail}, 'endpoint not found', 'the detail');
}
problem_is(ask('DELETE', '/nope'), 404, 'invalid_request', 'DELETE of nothing');
for my $c (['POST', '/v1/health', 'GET,HEAD'], ['DELETE', '/', 'GET,HEAD'],
    ['PATCH', '/i/x/v1/health', 'GET,HEAD'], ['FOO', '/v1/health', 'GET,HEAD'],
    ['TRACE', '/v1/health', 'GET,HEAD'], ['get', '/v1/health', 'GET,HEAD'],
    ['PUT', '/v1/sessions', 'GET,HEAD,POST'],
    ['GET', '/v1/sessions/x/messages', 'POST'],
    ['HEAD', '/v1/sessions/x/messages', 'POST']) {
	my ($method, $path, $allow) = @$c;
	my $r = ask($method, $path);
	is($r->{status}, 405, "$method $path: 405");
	is($r->{headers}{allow}, $allow, "$method $path: allow $allow");
	is($r->{json}{type}, "${urn}invalid_request", 'a problem document')
	    if $method ne 'HEAD';
}
for my $c (['/v1/sessions/%00', 'a NUL'], ['/v1/sessions/a%00b', 'a NUL inside'],
    ['/v1/sessions/%ff', 'no UTF-8'], ['/v1/sessions/%c0%af', 'overlong UTF-8'],
    ['/v1/sessions/%ed%a0%80', 'a surrogate'], ['/v1/sessions/%zz', 'no escape'],
    ['/v1/sessions/%2', 'half an escape'], ['/i/%ff/v1/health', 'in the sandbox']) {
	problem_is(ask('GET', $c->[0]), 400, 'invalid_request', $c->[1]);
}
# Segments are decoded after they are split.
$r = ask('GET', '/v1/sessions/a%2Fb%20%c3%a9');
problem_is($r, 404, 'session_not_found', 'a segment with a slash in it');
like($r->{json}{detail}, qr{a/b \x{e9}}, 'is one name');
is(ask('GET', "http://other.example/v1/health")->{status}, 200,
    'the form that proxies use');

# --- queries ------------------------------------------------------------------------------
my $events = '/v1/sessions/none/events';
for my $c (['offset=0&offset=1', 'a repeated parameter'],
    ['offset=x', 'no number'], ['offset=', 'nothing'], ['offset=1.5', 'a fraction'],
    ['offset=+1', 'a blank before it'], ['offset=-1', 'a negative number'],
    ['offset=99999999999999999999', 'a number too great'],
    ['offset=0x10', 'another base'], ['o%66fset=x', 'an encoded name'],
    ['include_raw=1', 'a truth value that is none'],
    ['include_raw=True', 'another'], ['include_raw=', 'an empty one'],
    ['include_raw', 'one without a value'],
    ['offset=%00', 'a NUL']) {
	problem_is(ask('GET', "$events?$c->[0]"), 400, 'invalid_request', $c->[1]);
}
for my $c (['', 'an empty query'], ['&&&', 'separators only'],
    ['unknown=1&unknown=2', 'unknown parameters'], ['=', 'no name'],
    ['offset=1&limit=2', 'known ones'], ['off%73et=1', 'an encoded one'],
    ['x=%zz&y=%ff', 'bad escapes in unknown ones']) {
	is(ask('GET', "$events?$c->[0]")->{status}, 404, "$c->[1]: asked");
}

# --- bodies --------------------------------------------------------------------------------
my $new = '/v1/sessions';
for my $c (['', 'nothing'], ['{', 'half an object'], ['{"agent":}', 'a hole'],
    ['{"agent":"mock"} x', 'more behind it'], ["{\"agent\":\"\xff\"}", 'bad UTF-8'],
    ['{agent:"mock"}', 'no JSON'], ['{"a":1,"a":2}', 'a name twice'],
    ['[' x 200 . ']' x 200, 'a deep one'], ['{"a":' x 100000, 'a very deep one'],
    ['nul', 'half a word']) {
	problem_is(ask('POST', $new, body => $c->[0],
	    headers => { 'Content-Type' => 'application/json' }),
	    400, 'invalid_request', "a body with $c->[1]");
}
for my $c ([[], 'an array'], ['x', 'a string'], [undef, 'null'], [{}, 'nothing in it'],
    [{ agent => 5 }, 'a number for a word'], [{ agent => undef }, 'null for a word'],
    [{ agent => ['mock'] }, 'a list for a word'],
    [{ agent => "a\0b" }, 'a NUL'],
    [{ agent => 'mock', directory => 7 }, 'a wrong optional member'],
    [{ agent => 'x' x 300 }, 'a word too long']) {
	problem_is(ask('POST', $new, json => $c->[0]), 422, 'invalid_request',
	    "a body with $c->[1]");
}
for my $type ('text/plain', 'application/jsonx', 'application/x-json', 'json',
    'application/json+x', 'application/+json', 'multipart/form-data', undef) {
	problem_is(ask('POST', $new, body => '{"agent":"nope"}',
	    headers => { 'Content-Type' => $type }), 415,
	    'unsupported_media_type', 'a body of ' . ($type // 'no type'));
}
for my $type ('application/json', 'APPLICATION/JSON', 'application/json; charset=utf-8',
    'application/json;charset=x', 'application/vnd.api+json', 'Application/Problem+JSON') {
	is(ask('POST', $new, body => '{"agent":"nope","more":[1,{"x":null}]}',
	    headers => { 'Content-Type' => $type })->{json}{type},
	    "${urn}unsupported_agent", "a body of $type is read");
}
is(ask('POST', $new, json => { agent => 'nope', directory => undef })->{status},
    400, 'null is as good as a missing member');
is(ask('GET', '/v1/health', body => 'not asked for')->{status}, 200,
    'a body that nobody needs is read and dropped');
problem_is(ask('POST', "$new/x/terminate", body => 'y' x 3_000_000), 413,
    'invalid_request', 'unless it is long');

# Chunks, and the question whether to go on.
my $c = $d->http_client;
my $head = "POST $new HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
$c->write("${head}Transfer-Encoding: chunked\r\n\r\n7\r\n{\"agent\r\n"
    . "8;x=y\r\n\":\"nope\"\r\n1\r\n}\r\n0\r\nTrailer: x\r\n\r\n");
is($c->response->{json}{type}, "${urn}unsupported_agent", 'a body in chunks');
$c->write("${head}Content-Length: 16\r\nExpect: 100-continue\r\n\r\n");
is($c->head->{status}, 100, 'a client that asks is told to go on');
$c->write('{"agent":"nope"}');
is($c->response->{json}{type}, "${urn}unsupported_agent", 'and then answered');
$c->write("${head}Content-Length: 999999999\r\nExpect: 100-continue\r\n\r\n");
is($c->head->{status}, 413, 'or not, when the body would be too long');
ok($c->closed(5), 'and the connection ends');
is(ask('POST', $new, headers => { 'Content-Length' => 999999999,
    'Content-Type' => 'application/json' })->{status}, 413,
    'a length over the limit is refused before the body comes');

# --- connections ---------------------------------------------------------------------------
$c = $d->http_client;
$c->write("GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n" x 50);
is(scalar(grep { $c->response->{status} == 200 } 1 .. 50), 50,
    'fifty requests at once on one connection');
$c->write("POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde"
    . "GET /v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
is($c->response->{status}, 404, 'a refused body is read');
is($c->response->{status}, 200, 'and the connection goes on');
ok($c->closed(5), 'until the client wants no more');
$c = $d->http_client;
$c->write("GET /v1/health HTTP/1.0\r\n\r\n");
$r = $c->response;
is($r->{status}, 200, 'HTTP/1.0 without a host');
ok($c->closed(5), 'which is closed then');

# --- the client's name for a request ---------------------------------------------------------
for my $path ('/v1/health', '/nope', $events) {
	is(ask('GET', $path, headers => { 'X-Request-ID' => 'my own/1' })
	    ->{headers}{'x-request-id'}, 'my own/1', "$path: comes back");
}
like(ask('GET', '/v1/sandboxes')->{headers}{'x-request-id'}, qr/^[0-9a-f]{32}$/,
    'one is made where clients expect one');

# --- what the server says about itself -----------------------------------------------------
$r = ask('GET', '/v1/ready');
is($r->{status}, 200, 'ready');
is($r->{json}{status}, 'ok', 'all of it');
is($r->{json}{checks}{$_}, 'ok', $_) for qw(store map supervisor gateways);

$r = ask('GET', '/metrics');
is($r->{headers}{'content-type'}, 'text/plain; version=0.0.4', 'metrics');
my @wrong = grep { !/^(?:# (?:HELP|TYPE) sandboxd_\w+ .+|sandboxd_\w+(?:\{\w+="[^"]*"(?:,\w+="[^"]*")*\})? -?[\d.e+]+)$/ }
    split /\n/, $r->{body};
is(join('|', @wrong), '', 'in the text form');
my ($n) = $r->{body} =~
    /^sandboxd_http_requests_total\{route="\/v1\/health",method="GET",status="2xx"\} (\d+)$/m;
cmp_ok($n // 0, '>=', 50, 'requests were counted');
like($r->{body}, qr/^sandboxd_$_/m, "$_ is there") for qw(up sandboxes sessions
    events store_latency_seconds restarts_total http_connections
    http_request_seconds_bucket http_sent_bytes_total http_refused_total
    memory_bytes store_commits_total);

# --- the description ----------------------------------------------------------------------------
my $api = ask('GET', '/openapi.json')->{json};
is($api->{openapi}, '3.1.0', 'a description of the API');
my (%ids, @bad);
sub refs {
	my ($v, $at) = @_;
	if (ref $v eq 'HASH') {
		if (defined $v->{'$ref'}) {
			my $to = $api;
			$to = ref $to eq 'HASH' ? $to->{$_} : undef
			    for grep { $_ ne '#' } split m{/}, $v->{'$ref'};
			push @bad, "$at: $v->{'$ref'}" unless $to;
		}
		refs($v->{$_}, "$at/$_") for keys %$v;
	} elsif (ref $v eq 'ARRAY') {
		refs($v->[$_], "$at/$_") for 0 .. $#$v;
	}
}
refs($api, '#');
is(join("\n", @bad), '', 'whose references all lead somewhere');
@bad = ();
for my $path (sort keys %{$api->{paths}}) {
	push @bad, "$path: no path" if $path !~ m{^/} || $path =~ /\*/;
	my @in_path = sort $path =~ /\{(\w+)\}/g;
	for my $method (sort keys %{$api->{paths}{$path}}) {
		my $op = $api->{paths}{$path}{$method};
		my $name = "$method $path";
		push @bad, "$name: method" if $method !~ /^(?:get|post|put|delete|patch)$/;
		push @bad, "$name: operationId" if $ids{$op->{operationId} // ''}++;
		push @bad, "$name: summary" if !$op->{summary};
		my @params = @{$op->{parameters}};
		my %seen;
		push @bad, "$name: a parameter twice"
		    if grep { $seen{"$_->{in} $_->{name}"}++ } @params;
		push @bad, "$name: parameters of the path" if join(',', @in_path) ne
		    join(',', sort map { $_->{name} } grep { $_->{in} eq 'path' && $_->{required} } @params);
		push @bad, "$name: a parameter without a schema"
		    if grep { ref $_->{schema} ne 'HASH' } @params;
		push @bad, "$name: no good answer"
		    if !grep { /^[123]\d\d$/ } keys %{$op->{responses}};
		push @bad, "$name: an answer without words"
		    if grep { !defined $_->{description} && !$_->{'$ref'} } values %{$op->{responses}};
		push @bad, "$name: unknown security" if grep {
		    !$api->{components}{securitySchemes}{(keys %$_)[0]} } @{$op->{security}};
	}
}
is(join("\n", @bad), '', 'each operation is described in full');
ok($api->{paths}{'/v1/health'} && $api->{paths}{'/i/{sandbox}/v1/health'},
    'for the usual sandbox and for any');

# Live answers against it.
sub fits {
	my ($schema, $v, $at) = @_;
	my $name = $schema->{'$ref'};
	if ($name) {
		$name =~ s{.*/}{};
		return fits($api->{components}{schemas}{$name}, $v, "$at($name)");
	}
	return map { fits($_, $v, $at) } @{$schema->{allOf}} if $schema->{allOf};
	if ($schema->{anyOf}) {
		my @tries = map { [fits($_, $v, $at)] } @{$schema->{anyOf}};
		return (grep { !@$_ } @tries) ? () : @{$tries[0]};
	}
	my $type = $schema->{type} // return;
	return "$at: no $type" if
	    $type eq 'object' ? ref $v ne 'HASH' :
	    $type eq 'array' ? ref $v ne 'ARRAY' :
	    $type eq 'null' ? defined $v :
	    $type eq 'boolean' ? !JSON::PP::is_bool($v) :
	    $type eq 'string' ? ref $v || !defined $v :
	    $type eq 'integer' ? ref $v || !defined $v || $v !~ /^-?\d+$/ : 0;
	my @wrong;
	if ($type eq 'object') {
		push @wrong, map { "$at: no $_" }
		    grep { !exists $v->{$_} } @{$schema->{required} // []};
		push @wrong, map { fits($schema->{properties}{$_}, $v->{$_}, "$at.$_") }
		    grep { exists $v->{$_} } sort keys %{$schema->{properties} // {}};
	} elsif ($type eq 'array') {
		push @wrong, map { fits($schema->{items}, $v->[$_], "$at\[$_]") } 0 .. $#$v;
	}
	return @wrong;
}
for my $path ('/', '/v1/health', '/v1/ready', '/v1/sessions') {
	my $r = ask('GET', $path);
	my $schema = $api->{paths}{$path}{get}{responses}{200}{content}
	    {'application/json'}{schema};
	ok($schema, "GET $path has a shape") or next;
	is(join(', ', fits($schema, $r->{json}, $path)), '', 'and keeps to it');
}
my $problem = $api->{components}{responses}{Problem}{content}
    {'application/problem+json'}{schema};
is(join(', ', fits($problem, ask('GET', '/nope')->{json}, 'problem')), '',
    'so do errors');
isnt(join(', ', fits($problem, { type => 5 }, 'problem')), '',
    'which this test would have seen');

# --- the access log -------------------------------------------------------------------------
ok(Sandboxd::slurp($d->{log}) !~ / access: /, 'nobody is logged unasked');
my $l = Sandboxd->start(http => 1, token => 'secret',
    conf => "[gateway]\naccess_log = yes\n");
$l->http('GET', '/v1/health?access_token=secret');
$l->http('POST', "/v1/nope%0a\xff", token => undef);
my $line = qr{access: GET path=/v1/health status=200 bytes=15 us=\d+ peer=127\.0\.0\.1 token=global};
ok(wait_for(5, sub { Sandboxd::slurp($l->{log}) =~ $line }), 'a line for a request');
ok(wait_for(5, sub { Sandboxd::slurp($l->{log}) =~ m{access: POST path="/v1/nope%0a\\+xff" status=404} }),
    'also for one that was refused, escaped');
unlike(Sandboxd::slurp($l->{log}), qr/secret/, 'no token is in it');

done_testing;
