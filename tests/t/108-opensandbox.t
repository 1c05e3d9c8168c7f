# The lifecycle API in OpenSandbox's words: every route, right and wrong, by
# plain HTTP. What that API lacks and we have is beside it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);
use Time::Local qw(timegm);

need_root();
my $d = Sandboxd->start(http => 1, token => 'secret',
    conf => "[sandbox]\nimages = ubuntu=host\n");
my @idle = ('tail', '-f', '/dev/null');
my $false = JSON::PP::false;

# A request as the SDK sends it: the key in its own header.
sub call {
	my ($method, $path, $body, %o) = @_;
	my %h = ('OPEN-SANDBOX-API-KEY' => $o{key} // 'secret',
	    %{$o{headers} // {}});
	delete $h{'OPEN-SANDBOX-API-KEY'} if $o{no_key};
	$h{'Content-Type'} //= 'application/json' if defined $body;
	return $d->http($method, $path, token => undef, headers => \%h,
	    defined $body ? (body => ref $body ? to_json($body) : $body) : ());
}
sub sdk {		# what Sandbox.create() sends
	my (%more) = @_;
	return { image => { uri => 'ubuntu' }, entrypoint => [@idle],
	    resourceLimits => { cpu => '1', memory => '2Gi' },
	    secureAccess => $false, env => {}, metadata => {},
	    extensions => {}, timeout => 600, %more };
}
sub code { my ($r) = @_; return "$r->{status} " . ($r->{json}{code} // '?') }
sub ms {
	my ($t) = @_;
	my @f = ($t // '') =~ /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)\.(\d{3})Z$/
	    or return undef;
	return timegm(@f[5, 4, 3, 2], $f[1] - 1, $f[0]) * 1000 + $f[6];
}
sub made {
	my $r = call('POST', '/v1/sandboxes', sdk(@_));
	diag("create: $r->{status} $r->{body}") if $r->{status} != 202;
	return $r->{json}{id};
}

# --- who may ------------------------------------------------------------------------
is(code(call('GET', '/v1/sandboxes', undef, no_key => 1)),
    '401 MISSING_API_KEY', 'no key');
is(code(call('GET', '/v1/sandboxes', undef, key => 'guess')),
    '401 INVALID_API_KEY', 'a wrong key');
is($d->http('GET', '/v1/sandboxes')->{status}, 200, 'a bearer token does too');
my $r = $d->http('GET', '/health', token => undef);
is("$r->{status} $r->{body}", '200 {"status":"healthy"}', 'health is open');
is(call('POST', '/v1/metrics/events', { eventType => 'sandbox.create' })
    ->{status}, 204, 'figures are taken');

# --- create -------------------------------------------------------------------------
my $before = time * 1000;
$r = call('POST', '/v1/sandboxes', sdk(metadata => { team => 'a' },
    env => { WHO => 'me' }), headers => { 'X-Request-ID' => 'mine-1' });
is($r->{status}, 202, 'create');
is($r->{headers}{'x-request-id'}, 'mine-1', 'its request id comes back');
my $box = $r->{json};
my $id = $box->{id};
ok($id, 'it has an id');
is($box->{status}{state}, 'Running', 'and runs at once');
is($box->{status}{reason}, 'CONTAINER_RUNNING', 'for this reason');
ok(abs(ms($box->{createdAt}) - $before) < 10000, 'created now');
ok(abs(ms($box->{expiresAt}) - ms($box->{createdAt}) - 600000) < 2000,
    'and expires in ten minutes');
is_deeply($box->{metadata}, { team => 'a' }, 'metadata');
is_deeply($box->{entrypoint}, \@idle, 'entrypoint');
ok(!exists $box->{image}, 'the image is not in this answer');
is($d->sh($id, 'echo $WHO')->{stdout}, "me\n", 'its environment holds');
my $limits = $d->ok('sandbox.get', { id => $id })->{limits};
is_deeply([ @$limits{qw(memory cpu)} ], [ 2 << 30, 1 ], 'and its limits');

$r = call('GET', "/v1/sandboxes/$id");
is($r->{status}, 200, 'get');
is($r->{json}{image}{uri}, 'ubuntu', 'with the image as it was called');
like($r->{headers}{'x-request-id'}, qr/^[0-9a-f]{32}$/, 'a request id of ours');
is($r->{headers}{'content-type'}, 'application/json', 'as JSON');
is(call('GET', "/sandboxes/$id")->{json}{id}, $id, 'also without /v1');

# Quantities.
for ([ '500m', '512Mi', 0.5, 512 << 20 ], [ '2', '1G', 2, 10**9 ],
    [ '1.5', '1e9', 1.5, 10**9 ], [ '0.25', '134217728', 0.25, 134217728 ],
    [ '1000m', '1.5Gi', 1, 1536 << 20 ]) {
	my ($cpu, $mem, $cores, $bytes) = @$_;
	my $got = made(resourceLimits => { cpu => $cpu, memory => $mem });
	my $l = $d->ok('sandbox.get', { id => $got })->{limits};
	is_deeply([ @$l{qw(cpu memory)} ], [ $cores, $bytes ], "$cpu, $mem");
	call('DELETE', "/v1/sandboxes/$got");
}
my $never = made(timeout => undef);
ok(!exists call('GET', "/v1/sandboxes/$never")->{json}{expiresAt},
    'without a timeout it never expires');

# What is refused, and by which word.
sub without { my ($k, %more) = @_; my $b = sdk(%more); delete $b->{$k}; $b }
for (
	[ 'no image', without('image'), '422 INVALID_REQUEST' ],
	[ 'image and snapshot', sdk(snapshotId => 's'), '422 INVALID_REQUEST' ],
	[ 'a snapshot', without('image', snapshotId => 's'),
	    '400 SANDBOX::API_NOT_SUPPORTED' ],
	[ 'no entrypoint', without('entrypoint'), '422 INVALID_REQUEST' ],
	[ 'an empty entrypoint', sdk(entrypoint => []), '422 INVALID_REQUEST' ],
	[ 'entrypoint of numbers', sdk(entrypoint => [1]), '422 INVALID_REQUEST' ],
	[ 'image is text', sdk(image => 'ubuntu'), '422 INVALID_REQUEST' ],
	[ 'empty uri', sdk(image => { uri => '' }), '422 INVALID_REQUEST' ],
	[ 'unknown image', sdk(image => { uri => 'python:3' }),
	    '400 IMAGE_NOT_FOUND' ],
	[ 'no directory', sdk(image => { uri => '/no/such' }),
	    '400 IMAGE_NOT_FOUND' ],
	[ 'timeout 59', sdk(timeout => 59), '422 INVALID_REQUEST' ],
	[ 'timeout text', sdk(timeout => '600'), '422 INVALID_REQUEST' ],
	[ 'timeout too long', sdk(timeout => 1e18), '422 INVALID_REQUEST' ],
	[ 'label value', sdk(metadata => { a => 'x y' }),
	    '400 SANDBOX::INVALID_METADATA_LABEL' ],
	[ 'label key', sdk(metadata => { '-a' => 'x' }),
	    '400 SANDBOX::INVALID_METADATA_LABEL' ],
	[ 'label number', sdk(metadata => { a => 1 }),
	    '400 SANDBOX::INVALID_METADATA_LABEL' ],
	[ 'long label', sdk(metadata => { a => 'x' x 64 }),
	    '400 SANDBOX::INVALID_METADATA_LABEL' ],
	[ 'reserved label', sdk(metadata => { 'opensandbox.io/x' => 'y' }),
	    '400 SANDBOX::INVALID_METADATA_LABEL' ],
	[ 'env number', sdk(env => { A => 1 }), '422 INVALID_REQUEST' ],
	[ 'env name', sdk(env => { 'A B' => 'x' }), '400 INVALID_REQUEST' ],
	[ 'extension', sdk(extensions => { x => 'y' }),
	    '400 SANDBOX::API_NOT_SUPPORTED' ],
	[ 'renewal too short', sdk(extensions =>
	    { 'access.renew.extend.seconds' => '299' }), '400 INVALID_EXTENSION' ],
	[ 'renewal as number', sdk(extensions =>
	    { 'access.renew.extend.seconds' => 300 }), '400 INVALID_EXTENSION' ],
	[ 'egress rules', sdk(networkPolicy => { defaultAction => 'deny',
	    egress => [ { action => 'ask', target => 'pypi.org' } ] }),
	    '422 INVALID_REQUEST' ],
	[ 'egress target', sdk(networkPolicy => { egress =>
	    [ { action => 'allow', target => 'http://pypi.org' } ] }),
	    '400 INVALID_REQUEST' ],
	[ 'default action', sdk(networkPolicy => { defaultAction => 'maybe' }),
	    '422 INVALID_REQUEST' ],
	[ 'secure access', sdk(secureAccess => JSON::PP::true),
	    '400 SANDBOX::API_NOT_SUPPORTED' ],
	[ 'credential proxy', sdk(credentialProxy =>
	    { enabled => JSON::PP::true }), '400 SANDBOX::API_NOT_SUPPORTED' ],
	[ 'platform', sdk(platform => { os => 'windows', arch => 'amd64' }),
	    '400 SANDBOX::API_NOT_SUPPORTED' ],
	[ 'pvc', sdk(volumes => [ { name => 'v', mountPath => '/v',
	    pvc => { claimName => 'c' } } ]), '400 SANDBOX::API_NOT_SUPPORTED' ],
	[ 'volume without path', sdk(volumes => [ { name => 'v',
	    mountPath => '/v', host => {} } ]), '422 INVALID_REQUEST' ],
	[ 'volume that climbs', sdk(volumes => [ { name => 'v', mountPath => '/v',
	    host => { path => '/srv' }, subPath => '../etc' } ]),
	    '422 INVALID_REQUEST' ],
	[ 'volume of nothing', sdk(volumes => [ { name => 'v', mountPath => '/v',
	    host => { path => '/no/such/place' } } ]), '400 MOUNT_REFUSED' ],
	[ 'cpu text', sdk(resourceLimits => { cpu => 'one' }),
	    '422 INVALID_REQUEST' ],
	[ 'memory 0', sdk(resourceLimits => { memory => '0' }),
	    '422 INVALID_REQUEST' ],
	[ 'negative cpu', sdk(resourceLimits => { cpu => '-1' }),
	    '422 INVALID_REQUEST' ],
	[ 'another resource', sdk(resourceLimits => { gpu => '1' }),
	    '400 SANDBOX::API_NOT_SUPPORTED' ],
	[ 'ours unknown', sdk(sandboxd => { colour => 'red' }),
	    '422 INVALID_REQUEST' ],
	[ 'network twice', sdk(networkPolicy => { defaultAction => 'deny' },
	    sandboxd => { network => 'none' }), '422 INVALID_REQUEST' ],
	[ 'limit twice', sdk(sandboxd => { limits => { cpu => 1 } }),
	    '422 INVALID_REQUEST' ],
	[ 'a list', [1], '422 INVALID_REQUEST' ],
	[ 'no JSON', '{"image":', '400 INVALID_REQUEST' ],
	[ 'an empty body', '', '400 INVALID_REQUEST' ],
    ) {
	my ($what, $body, $want) = @$_;
	my $got = call('POST', '/v1/sandboxes', $body);
	is(code($got), $want, "create: $what");
	ok(length($got->{json}{message} // ''), 'with a message')
	    or diag($got->{body});
}
is(call('POST', '/v1/sandboxes', to_json(sdk()), headers =>
    { 'Content-Type' => 'text/plain' })->{status}, 415, 'another content type');

# What is ours, in the same body.
my $lent = Sandboxd->scratch_dir(0777);
spew("$lent/f", "shown\n");
$r = call('POST', '/v1/sandboxes', sdk(networkPolicy => { defaultAction =>
    'deny' }, platform => { os => 'linux' }, resourceRequests => { cpu => '1' },
    volumes => [ { name => 'v', mountPath => '/vol',
    host => { path => $lent }, readOnly => JSON::PP::true } ], sandboxd => {
    id => 'named', hostname => 'hostly', user => '1000:1000',
    ephemeral => JSON::PP::true, limits => { pids => 50 },
    mounts => [ { source => $lent, target => '/cow', mode => 'cow' } ] }));
is($r->{status}, 202, 'our own members are taken') or diag($r->{body});
is($r->{json}{id}, 'named', 'a name of ours');
is_deeply([ @{$r->{json}{sandboxd}}{qw(network hostname user ephemeral)} ],
    [ 'none', 'hostly', '1000:1000', JSON::PP::true ], 'and are told');
is($d->sh('named', 'cat /vol/f /cow/f; hostname; id -u')->{stdout},
    "shown\nshown\nhostly\n1000\n", 'and hold');
isnt($d->sh('named', 'echo x >/vol/f')->{exit_code}, 0, 'read-only is');
is(code(call('POST', '/v1/sandboxes', sdk(sandboxd => { id => 'named' }))),
    '409 SANDBOX::ALREADY_EXISTS', 'a name that is taken');

# The same request twice.
my $key = { 'Idempotency-Key' => 'once' };
$r = call('POST', '/v1/sandboxes', sdk(), headers => $key);
my $again = call('POST', '/v1/sandboxes', sdk(), headers => $key);
is($again->{json}{id}, $r->{json}{id}, 'a key makes one sandbox');
is(code(call('POST', '/v1/sandboxes', sdk(timeout => 700), headers => $key)),
    '422 IDEMPOTENCY_KEY_REUSED', 'and is for one request');
call('DELETE', "/v1/sandboxes/$r->{json}{id}");

# --- get, delete --------------------------------------------------------------------
for my $wrong ('none', '..%2f..', '%ff', 'a' x 100, '-x', 'a%00b') {
	for (['GET', ''], ['DELETE', ''], ['POST', '/pause'],
	    ['POST', '/resume'], ['GET', '/events'], ['GET', '/stats'],
	    ['GET', '/endpoints/80']) {
		my ($m, $p) = @$_;
		my $got = call($m, "/v1/sandboxes/$wrong$p");
		ok($got->{status} == 404 || $got->{status} == 400,
		    "$m $wrong$p: $got->{status}");
		ok(length $got->{body}, 'with a body');
	}
}
is(code(call('GET', '/v1/sandboxes/none')), '404 DOCKER::SANDBOX_NOT_FOUND',
    'no such sandbox');
$r = call('DELETE', "/v1/sandboxes/$never");
is($r->{status}, 204, 'delete');
is(code(call('DELETE', "/v1/sandboxes/$never")),
    '404 DOCKER::SANDBOX_NOT_FOUND', 'but once');
$r = call('PUT', "/v1/sandboxes/$id");
is($r->{status}, 405, 'no PUT');
like($r->{headers}{allow} // '', qr/DELETE/, 'the methods are told');

# --- pause and resume ---------------------------------------------------------------
is(code(call('POST', "/v1/sandboxes/$id/resume")),
    '409 DOCKER::SANDBOX_NOT_PAUSED', 'one that runs is not resumed');
$r = call('POST', "/v1/sandboxes/$id/pause");
is("$r->{status} $r->{headers}{'content-length'} '$r->{body}'", "202 0 ''",
    'pause');
is(call('GET', "/v1/sandboxes/$id")->{json}{status}{state}, 'Paused', 'paused');
is(code(call('POST', "/v1/sandboxes/$id/pause")),
    '409 DOCKER::SANDBOX_NOT_RUNNING', 'not twice');
is(call('GET', "/v1/sandboxes/$id/endpoints/80")->{status}, 200,
    'addresses are told all the same');
is(call('GET', "/i/$id/v1/processes")->{status}, 409, 'but nothing answers');
is(call('GET', "/v1/sandboxes/$id/proxy/80/")->{status}, 409, 'nor a port');
$r = call('POST', "/v1/sandboxes/$id/resume");
is("$r->{status} $r->{headers}{'content-length'} '$r->{body}'", "202 0 ''",
    'resume');
is(call('GET', "/v1/sandboxes/$id")->{json}{status}{state}, 'Running', 'runs');

# --- renew --------------------------------------------------------------------------
$r = call('POST', "/v1/sandboxes/$id/renew-expiration",
    { expiresAt => '2100-11-21T03:40:22.931Z' });
is("$r->{status} $r->{body}", '200 {"expiresAt":"2100-11-21T03:40:22.931Z"}',
    'renew');
is(call('GET', "/v1/sandboxes/$id")->{json}{expiresAt},
    '2100-11-21T03:40:22.931Z', 'and it is');
is(call('POST', "/v1/sandboxes/$id/renew-expiration",
    { expiresAt => '2100-01-01T02:00:00+02:00' })->{json}{expiresAt},
    '2100-01-01T00:00:00.000Z', 'in another zone');
for my $at ('2001-01-01T00:00:00Z', 'tomorrow', '', '2100-02-30T00:00:00Z',
    '2100-13-01T00:00:00Z', '2100-01-01', '2100-01-01T25:00:00Z',
    '2100-01-01T00:00:00', '2100-01-01T00:00:00.Z', '2100-01-01T00:00:00Zx') {
	is(code(call('POST', "/v1/sandboxes/$id/renew-expiration",
	    { expiresAt => $at })), '400 DOCKER::INVALID_EXPIRATION',
	    "renew '$at'");
}
is(call('POST', "/v1/sandboxes/$id/renew-expiration", {})->{status}, 422,
    'renew without a time');
$never = made(timeout => undef);
is(code(call('POST', "/v1/sandboxes/$never/renew-expiration",
    { expiresAt => '2100-01-01T00:00:00Z' })),
    '409 DOCKER::INVALID_EXPIRATION', 'what never expires is not renewed');

# --- rules for the network ------------------------------------------------------------
$r = call('POST', '/v1/sandboxes', sdk(networkPolicy => { egress => [
    { action => 'allow', target => 'PyPI.org' }, { action => 'deny', target => 'pypi.org' },
    { action => 'deny', target => '*.evil.example' } ] }, sandboxd => { id => 'ruled' }));
is($r->{status}, 202, 'rules for hosts') or diag($r->{body});
is($r->{json}{sandboxd}{network}, 'filtered', 'make the network filtered');
is_deeply(call('GET', '/v1/sandboxes/ruled/network')->{json}, { id => 'ruled',
    network => 'filtered', egress => { allow => ['PyPI.org'], deny => ['*.evil.example'],
    default => 'deny' } }, 'of the same target the first counts');
$r = call('POST', '/v1/sandboxes', sdk(sandboxd => { id => 'ruled2', network => 'filtered',
    egress => { default => 'allow' } }));
is($r->{json}{sandboxd}{egress}{default}, 'allow', 'our own form of rules');
call('DELETE', "/v1/sandboxes/$_") for qw(ruled ruled2);

# --- endpoints ----------------------------------------------------------------------
my $at = $d->http_address(qr/^[^u]/);
$r = call('GET', "/v1/sandboxes/$id/endpoints/44772?use_server_proxy=false",
    undef, headers => { Host => 'sandboxes.example:81' });
is($r->{json}{endpoint}, "sandboxes.example:81/i/$id/port/44772",
    'an address by the name that was asked');
is(call('GET', "/v1/sandboxes/$id/endpoints/18080")->{status}, 200,
    'of the egress sidecar too');
$r = call('GET', "/v1/sandboxes/$id/endpoints/8080?use_server_proxy=true",
    undef, headers => { Host => 'h' });
is($r->{json}{endpoint}, "h/v1/sandboxes/$id/proxy/8080", 'by the proxy');
for my $port (0, 65536, -1, 'x', '80x', '99999999999') {
	is(code(call('GET', "/v1/sandboxes/$id/endpoints/$port")),
	    '400 DOCKER::INVALID_PORT', "port $port");
}
is(code(call('GET', "/v1/sandboxes/$id/endpoints/80?expires=123")),
    '400 SANDBOX::API_NOT_SUPPORTED', 'no signed addresses');
is(code(call('GET', "/v1/sandboxes/none/endpoints/80")),
    '404 DOCKER::SANDBOX_NOT_FOUND', 'of no sandbox');

# A server inside, by both addresses.
$d->sh($id, 'setsid perl -MIO::Socket::INET -e \'
    my $l = IO::Socket::INET->new(LocalAddr => "127.0.0.1:8080", Listen => 5,
        ReuseAddr => 1) or die;
    open(my $f, ">", "/tmp/up"); close $f;
    while (my $c = $l->accept) {
        my $h = ""; while (defined(my $x = <$c>)) { last if $x eq "\r\n"; $h .= $x }
        my $s = join(" ", $h =~ /^(\S+ \S+)/, map { lc } sort $h =~
            /^(authorization|cookie|open-sandbox-api-key|x-forwarded-\w+)/mig);
        print $c "HTTP/1.1 200 OK\r\nContent-Length: ", length $s,
            "\r\nConnection: close\r\n\r\n$s"; close $c }\' >/dev/null 2>&1 &');
ok(wait_for(10, sub { $d->exec($id, ['test', '-e', '/tmp/up'])->{exit_code}
    == 0 }), 'a server listens inside');
for my $proxy ('true', 'false') {
	my $e = call('GET',
	    "/v1/sandboxes/$id/endpoints/8080?use_server_proxy=$proxy",
	    undef, headers => { Host => $at })->{json};
	my ($path) = $e->{endpoint} =~ m{^\Q$at\E(/.*)$};
	$r = call('GET', "$path/a/b?c=d", undef, headers =>
	    { Cookie => 'x=y', %{$e->{headers}} });
	is($r->{status}, 200, "use_server_proxy=$proxy: it answers")
	    or diag($r->{body} // $r->{broken});
	like($r->{body} // '', qr{^GET /a/b\?c=d }, 'what was asked');
	unlike($r->{body} // '', qr/open-sandbox-api-key/, 'without our key');
}
unlike(call('GET', "/sandboxes/$id/proxy/8080/", undef, headers =>
    { Cookie => 'x=y', Authorization => 'Basic Zm9v' })->{body},
    qr/cookie|authorization/, 'the proxy passes on neither cookie nor token');
is(call('GET', "/v1/sandboxes/$id/proxy/8080/x", undef, no_key => 1)->{status},
    401, 'and wants the key');
is(call('GET', "/v1/sandboxes/$id/proxy/9/x")->{status}, 502,
    'nothing listens there');
is(call('GET', "/v1/sandboxes/none/proxy/80/")->{status}, 404,
    'no such sandbox');
is(code(call('GET', "/v1/sandboxes/$id/proxy/0/")), '400 DOCKER::INVALID_PORT',
    'no such port');

# An end that each use puts off.
my $used = made(timeout => 60, extensions =>
    { 'access.renew.extend.seconds' => '300' });
my $end = ms(call('GET', "/v1/sandboxes/$used")->{json}{expiresAt});
call('GET', "/v1/sandboxes/$used/proxy/9/");
my $moved = wait_for(5, sub {
	my $e = ms(call('GET', "/v1/sandboxes/$used")->{json}{expiresAt});
	return $e > $end ? $e : 0;
});
ok(abs(($moved // 0) - (time + 300) * 1000) < 10000, 'a use puts its end off');
my $fixed = ms(call('GET', "/v1/sandboxes/$id")->{json}{expiresAt});
call('GET', "/v1/sandboxes/$id/proxy/9/");
sleep 0.2;
is(ms(call('GET', "/v1/sandboxes/$id")->{json}{expiresAt}), $fixed,
    'but only of those that asked for it');

# --- metadata -----------------------------------------------------------------------
$r = call('PATCH', "/v1/sandboxes/$id/metadata", { role => 'patched',
    team => undef });
is($r->{status}, 200, 'metadata');
is_deeply($r->{json}{metadata}, { role => 'patched' }, 'set and removed');
is($r->{json}{image}{uri}, 'ubuntu', 'with the whole sandbox');
for my $bad ({ 'opensandbox.io/a' => 'x' }, { a => 'x y' }, { a => 1 },
    { a => {} }, { '' => 'x' }, { 'a/b/c' => 'x' }) {
	is(code(call('PATCH', "/v1/sandboxes/$id/metadata", $bad)),
	    '400 INVALID_METADATA_LABEL', 'refused: ' . to_json($bad));
}
is(call('PATCH', "/v1/sandboxes/$id/metadata", [])->{status}, 422, 'a list');
is(call('PATCH', "/v1/sandboxes/$id/metadata", { 'example.com/a' => '' })
    ->{json}{metadata}{'example.com/a'}, '', 'a prefix, and an empty value');

# --- the list -----------------------------------------------------------------------
my @ids = map { made(metadata => { set => 'l', n => "$_" }) } 1 .. 5;
call('POST', "/v1/sandboxes/$ids[1]/pause");
sub list {
	my ($q) = @_;
	my $got = call('GET', "/v1/sandboxes?$q");
	return ([ map { $_->{id} } @{$got->{json}{items} // []} ],
	    $got->{json}{pagination}, $got);
}
my ($got, $page) = list('metadata=set%3Dl');
is_deeply($got, [ reverse @ids ], 'by a label, newest first');
is_deeply($page, { page => 1, pageSize => 20, totalItems => 5, totalPages => 1,
    hasNextPage => $false }, 'one page');
($got, $page) = list('metadata=set%3Dl&page=2&pageSize=2');
is_deeply($got, [ @ids[2, 1] ], 'the second page of two');
is_deeply($page, { page => 2, pageSize => 2, totalItems => 5, totalPages => 3,
    hasNextPage => JSON::PP::true }, 'and there is a third');
is_deeply((list('metadata=set%3Dl&page=9&pageSize=2'))[0], [], 'none so far on');
is_deeply((list('metadata=set%3Dl%26n%3D3'))[0], [ $ids[2] ], 'by two labels');
is_deeply((list('metadata=set%3Dl&state=PAUSED'))[0], [ $ids[1] ],
    'by state, in any case');
is_deeply((list('metadata=set%3Dl&state=Paused&state=running'))[0],
    [ reverse @ids ], 'by states');
is_deeply((list('state=Snapshotting'))[0], [], 'by a state of none');
is((list(''))[1]{totalItems}, scalar(@{$d->ok('sandbox.list')->{sandboxes}}),
    'all');
for my $q ('page=0', 'page=-1', 'page=x', 'pageSize=0', 'pageSize=201',
    'pageSize=1e2', 'page=99999999999999999999') {
	is((list($q))[2]{status}, 422, "list?$q");
}
for my $q ('metadata=set', 'metadata=%3Dx', 'metadata=set%3Dl%26b') {
	is(code((list($q))[2]), '400 INVALID_METADATA_FORMAT', "list?$q");
}

# --- what is beside it --------------------------------------------------------------
my $one = $ids[0];
$r = call('GET', "/v1/sandboxes/$one/stats");
ok($r->{json}{usage}{pids} >= 1 && $r->{json}{limits}{memory}, 'stats')
    or diag($r->{body});
is_deeply([ map { $_->{event} } @{call('GET', "/v1/sandboxes/$one/events")
    ->{json}{events}} ], [qw(created started)], 'events');
ok(defined ms(call('GET', "/v1/sandboxes/$one/events")->{json}{events}[0]{at}),
    'with times');
$r = call('GET', "/v1/sandboxes/$one/isolation")->{json};
is($r->{wanted}, 'available', 'isolation: wanted');
ok($r->{holds}{pid}, 'and held');
is(call('GET', "/v1/sandboxes/$one/network")->{json}{network}, 'none', 'network');
is_deeply(call('GET', "/v1/sandboxes/named/mounts")->{json}{mounts}[0],
    { source => $lent, target => '/vol', mode => 'ro' }, 'mounts');
is(call('GET', "/v1/sandboxes/$one/limits")->{json}{limits}{cpu}, 1, 'limits');
is(call('PATCH', "/v1/sandboxes/$one/limits", { memory => '64M' })
    ->{json}{limits}{memory}, 64 << 20, 'other limits');
is(code(call('PATCH', "/v1/sandboxes/$one/limits", { time => 5 })),
    '409 SANDBOX::LIMIT_FIXED', 'not all while it runs');
is(code(call('PATCH', "/v1/sandboxes/$one/limits", { x => 5 })),
    '400 INVALID_REQUEST', 'no others');
$r = call('POST', "/v1/sandboxes/$one/stop", { graceMs => 100 });
is_deeply($r->{json}, { id => $one, state => 'Terminated' }, 'stop');
is(call('GET', "/v1/sandboxes/$one")->{json}{status}{state}, 'Terminated',
    'it has ended');
is(code(call('POST', "/v1/sandboxes/$one/pause")),
    '409 DOCKER::SANDBOX_NOT_RUNNING', 'and is not paused');
is(call('POST', "/v1/sandboxes/$one/start")->{json}{status}{state}, 'Running',
    'start');
is(call('POST', '/v1/sandboxes/named/stop')->{json}{state}, 'Terminated',
    'an ephemeral one');
is(call('GET', '/v1/sandboxes/named')->{status}, 404, 'is gone then');

# --- an end that comes --------------------------------------------------------------
$d->ok('sandbox.update', { id => $one, timeout => 1 });
ok(wait_for(10, sub { call('GET', "/v1/sandboxes/$one")->{status} == 404 }),
    'expired: 404');

# --- a token for one sandbox --------------------------------------------------------
my $tok = $d->ok('token.create', { sandbox => $ids[2] })->{token};
ok($tok, 'a token for one sandbox');
is(call('GET', "/v1/sandboxes/$ids[2]", undef, key => $tok)->{status}, 200,
    'reads its own');
is(call('POST', "/v1/sandboxes/$ids[2]/pause", undef, key => $tok)->{status},
    202, 'pauses its own');
is(call('POST', "/v1/sandboxes/$ids[2]/resume", undef, key => $tok)->{status},
    202, 'resumes its own');
for (['GET', "/v1/sandboxes/$ids[3]"], ['DELETE', "/v1/sandboxes/$ids[3]"],
    ['POST', "/v1/sandboxes/$ids[3]/pause"], ['GET', '/v1/sandboxes'],
    ['GET', "/v1/sandboxes/$ids[3]/endpoints/80"],
    ['GET', "/v1/sandboxes/$ids[3]/proxy/80/"],
    ['GET', "/v1/sandboxes/$ids[3]/events"]) {
	is(call(@$_, undef, key => $tok)->{status}, 403,
	    "$_->[0] $_->[1] is not for it");
}
is(call('POST', '/v1/sandboxes', sdk(), key => $tok)->{status}, 403,
    'nor does it create');
is(call('PATCH', "/v1/sandboxes/$ids[2]/limits", { memory => 0 }, key => $tok)
    ->{status}, 403, 'nor loosen its own limits');
is(call('DELETE', "/v1/sandboxes/$ids[2]", undef, key => $tok)->{status}, 204,
    'but its own it may end');

done_testing;
