# Who may do what over HTTP: forms of the token, what is open, tokens with limits.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use MIME::Base64 qw(encode_base64);
use Sandboxd;
use Test::More;

need_root();
my $secret = 'a b+c/%64"\\';	# everything that somebody might decode
my $d = Sandboxd->start(http => 1, token => $secret);
my $urn = 'urn:sandbox-agent:error:';

sub ask {
	my ($method, $path, %h) = @_;
	return $d->http($method, $path, token => undef, headers => \%h);
}
sub status { return ask(@_)->{status} // 'none' }

# --- forms ---------------------------------------------------------------------------
sub b64 { return encode_base64($_[0], '') }
for my $c (["Bearer $secret", 'Bearer'], ["bearer $secret", 'in any case'],
    ["BEARER $secret", 'in capitals'], ["Token $secret", 'Token'],
    ["token   $secret", 'with more blanks'],
    ['Basic ' . b64("user:$secret"), 'Basic with a password'],
    ['basic ' . b64(":$secret"), 'Basic without a user'],
    ['Basic ' . b64($secret), 'Basic, the whole of it']) {
	is(status('GET', '/v1/health', Authorization => $c->[0]), 200,
	    "$c->[1] is taken");
}
for my $c ($secret, '', 'Bearer', 'Bearer ', "Bearer  ", "Bearer x$secret",
    "Bearer ${secret}x", 'Bearer ' . substr($secret, 0, -1), "Bearer \U$secret",
    "Digest $secret", "Bearer$secret", "Bearer Bearer $secret",
    "Basic $secret", 'Basic ' . b64("$secret:"), 'Basic ' . b64("$secret:x"),
    'Basic ' . b64("x:$secret:"), 'Basic !!!', 'Basic =',
    'Bearer ' . 'x' x 5000, 'Bearer ' . b64($secret)) {
	my $r = ask('GET', '/v1/health', Authorization => $c);
	is($r->{status}, 401, 'refused: ' . substr($c, 0, 30));
}
my $r = ask('GET', '/v1/health');
is($r->{status}, 401, 'none at all');
is($r->{body}, qq({"type":"${urn}token_invalid","title":"Token Invalid",)
    . '"status":401,"detail":"token invalid","details":{"message":'
    . '"missing or invalid bearer token"}}', 'said as clients know it');
ok(!exists $r->{headers}{'www-authenticate'}, 'browsers are not made to ask');
is(status('GET', '/v1/health', 'X-API-Key' => $secret), 401, 'no other header');
is(status('GET', '/v1/health', 'OPEN-SANDBOX-API-KEY' => $secret), 401,
    'nor that of other routes');

# --- what is open -----------------------------------------------------------------------
is(status('GET', $_), 200, "$_ is open") for '/', '/openapi.json';
is(status('GET', $_), 404, "$_ is not there, and that is open")
    for '/nope', '/v1/nope', '/i/x/nope';
is(status('OPTIONS', $_), 200, "OPTIONS $_ is open")
    for '/v1/health', '/v1/sessions', '/nope', '*';
is(status(@$_), 401, "@$_ is not") for ['GET', '/v1/sessions'],
    ['GET', '/metrics'], ['GET', '/v1/ready'], ['GET', '/i/x/v1/health'],
    ['POST', '/v1/sessions'], ['HEAD', '/v1/health'],
    ['POST', '/v1/health'], ['FOO', '/v1/sessions'];
is(ask('POST', '/v1/health')->{headers}{allow}, 'GET,HEAD',
    'a wrong method is refused first, with what is allowed');
is(status('POST', '/v1/health', Authorization => "Bearer $secret"), 405,
    'and is wrong only for those who may');

# A refusal comes before anything else is looked at.
is($d->http('POST', '/v1/sessions', token => 'nope', body => '{')->{status}, 401,
    'before the body');
is(status('GET', '/v1/sessions/x/events?offset=x'), 401, 'before the query');

# --- in the query -----------------------------------------------------------------------
(my $q = $secret) =~ s/([^\w])/sprintf '%%%02X', ord $1/ge;
my $sse = '/v1/sessions/none/events/sse';
is(status('GET', "$sse?access_token=$q"), 404, 'where browsers need it');
is(status('GET', "$sse?access%5Ftoken=$q"), 404, 'also encoded');
is(status('GET', "$sse?access_token=${q}x"), 401, 'not a wrong one');
is(status('GET', "$sse?access_token="), 401, 'not an empty one');
is(status('GET', "$_?access_token=$q"), 401, "not on $_") for '/v1/health',
    '/v1/sessions', '/metrics';
is(status('GET', "$sse?access_token=$q", Authorization => 'Bearer nope'), 401,
    'a header counts more');

# --- OpenSandbox's header and errors ---------------------------------------------------
$r = ask('GET', '/v1/sandboxes');
is($r->{status}, 401, 'no key');
is($r->{json}{code}, 'MISSING_API_KEY', 'is said in their words');
is($r->{headers}{'content-type'}, 'application/json', 'as plain JSON');
is(join(',', sort keys %{$r->{json}}), 'code,message', 'with nothing else');
like($r->{headers}{'x-request-id'}, qr/^[0-9a-f]{32}$/, 'and an id');
$r = ask('GET', '/v1/sandboxes', 'open-sandbox-api-key' => 'nope');
is($r->{status}, 401, 'a wrong key');
is($r->{json}{code}, 'INVALID_API_KEY', 'is another thing');
is(status('GET', '/v1/sandboxes', 'OPEN-SANDBOX-API-KEY' => $secret), 200,
    'the right one');
is(status('GET', '/v1/sandboxes', Authorization => "Bearer $secret"), 200,
    'or as everywhere');

# --- tokens with limits ---------------------------------------------------------------
$d->ok('sandbox.create', { id => 'box' });
sub token { return $d->ok('token.create', { @_ })->{token} }
my $box = token(sandbox => 'box');
my $usual = token(sandbox => 'default');
my $reader = token(read_only => JSON::PP::true());
my $box_reader = token(sandbox => 'box', read_only => JSON::PP::true());
sub as {
	my ($token, @ask) = @_;
	return status(@ask, Authorization => "Bearer $token");
}
for my $c (
    [$box, 'GET', '/i/box/v1/health', 200, 'its sandbox'],
    [$box, 'GET', '/i/%62ox/v1/health', 200, 'however it is written'],
    [$box, 'GET', '/i/box2/v1/health', 403, 'no longer name'],
    [$box, 'GET', '/i/bo/v1/health', 403, 'no shorter one'],
    [$box, 'GET', '/i/BOX/v1/health', 403, 'no other case'],
    [$box, 'GET', '/i/default/v1/health', 403, 'not the usual one'],
    [$box, 'GET', '/v1/health', 403, 'not without a name'],
    [$box, 'GET', '/v1/sessions', 403, 'not everybody\'s sessions'],
    [$box, 'GET', '/metrics', 403, 'not the figures'],
    [$box, 'GET', '/v1/sandboxes', 403, 'not the list'],
    [$box, 'POST', '/v1/sandboxes', 403, 'no new one'],
    [$box, 'GET', '/v1/sandboxes/other', 403, 'no other one'],
    [$box, 'GET', '/v1/sandboxes/box', 200, 'its own'],
    [$box, 'GET', '/i/box/nope', 404, 'what is not there is not'],
    [$box, 'POST', '/i/box/v1/health', 405, 'a wrong method is wrong'],
    [$usual, 'GET', '/v1/health', 200, 'the usual sandbox'],
    [$usual, 'GET', '/i/default/v1/health', 200, 'by its name'],
    [$usual, 'GET', '/i/box/v1/health', 403, 'no other'],
    [$reader, 'GET', '/v1/sessions', 200, 'reading'],
    [$reader, 'HEAD', '/v1/sessions', 200, 'or less'],
    [$reader, 'GET', '/metrics', 200, 'the figures, too'],
    [$reader, 'POST', '/v1/sessions', 403, 'no writing'],
    [$reader, 'POST', '/v1/sandboxes', 403, 'no making'],
    [$box_reader, 'GET', '/i/box/v1/sessions', 200, 'reading there'],
    [$box_reader, 'POST', '/i/box/v1/sessions', 403, 'no writing there'],
    [$box_reader, 'GET', '/i/x/v1/sessions', 403, 'no reading elsewhere']) {
	my ($token, $method, $path, $want, $what) = @$c;
	is(as($token, $method, $path), $want, "$method $path: $what");
}
$r = ask('GET', '/i/x/v1/health', Authorization => "Bearer $box");
is($r->{json}{type}, "${urn}permission_denied", 'said as a problem');
like($r->{json}{detail}, qr/^permission denied: /, 'in words');

# --- nothing was asked for: everything is open ----------------------------------------
my $open = Sandboxd->start(http => 1);
is($open->http('GET', '/v1/sessions', token => $_)->{status}, 200,
    'without a token all is open' . ($_ ? ', whatever comes' : ''))
    for undef, 'nonsense';

done_testing;
