# Pages of browsers: nobody's may use us, unless origins are named.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $origin = 'http://localhost:5173';
my $vary = 'origin, access-control-request-method, '
    . 'access-control-request-headers';
my @all = map { "access-control-$_" } qw(allow-origin allow-credentials
    allow-methods allow-headers max-age expose-headers);

# The CORS headers of an answer, as one line.
sub cors {
	my ($r) = @_;
	return join ' | ', map { "$_: $r->{headers}{$_}" }
	    grep { defined $r->{headers}{$_} } @all;
}

sub start { return Sandboxd->start(http => 1, args => [@_]) }
my $allow = 'access-control-allow';

# --- without flags --------------------------------------------------------------------
my $d = start();
for my $h ({ Origin => $origin, 'Access-Control-Request-Method' => 'GET',
	'Access-Control-Request-Headers' => 'authorization,content-type' },
    { Origin => $origin }, {}) {
	my $r = $d->http('OPTIONS', '/v1/health', headers => $h);
	is($r->{status}, 200, 'OPTIONS is answered');
	is(cors($r), "$allow-methods: * | $allow-headers: *",
	    'all methods and headers, no origin');
	is($r->{headers}{allow}, 'GET,HEAD', 'with the methods of the path');
	is($r->{headers}{vary}, $vary, 'and the vary line');
	is($r->{headers}{'content-length'}, 0, 'and nothing else');
}
is($d->http('OPTIONS', '/nope')->{headers}{allow}, undef,
    'no methods where there is nothing');
is(cors($d->http('GET', '/v1/health', headers => { Origin => $origin })), '',
    'an ordinary answer has none of it');

# --- one origin -------------------------------------------------------------------------
$d = start('--cors-allow-origin', $origin);
my $r = $d->http('OPTIONS', '/v1/health', headers => { Origin => $origin });
is(cors($r), "$allow-origin: $origin | $allow-methods: * | $allow-headers: *",
    'its pages may ask');
$r = $d->http('OPTIONS', '/v1/health', headers => { Origin => 'http://other' });
is(cors($r), "$allow-methods: * | $allow-headers: *", 'others may not');
is($r->{status}, 200, 'which is told by silence');
for my $path ('/v1/health', '/', '/nope', '/v1/sessions/x', '/metrics') {
	is(cors($d->http('GET', $path, headers => { Origin => $origin })),
	    "$allow-origin: $origin", "$path: readable for it");
	is(cors($d->http('GET', $path, headers => { Origin => "$origin/" })), '',
	    "$path: for no other");
}
for my $other ('null', '*', '', uc $origin, "$origin.evil", 'localhost:5173',
    "$origin, http://x", 'https://localhost:5173') {
	is(cors($d->http('GET', '/v1/health', headers => { Origin => $other })),
	    '', "not for '$other'");
}
my $c = $d->http_client;
$c->write("GET /v1/health HTTP/1.1\r\nHost: x\r\nOrigin: $origin\r\n"
    . "Origin: http://evil\r\n\r\n");
is(cors($c->response), '', 'not for two at once');

# --- everything ---------------------------------------------------------------------------
$d = start(map({ ('--cors-allow-origin', $_) } $origin, 'http://127.0.0.1:3000'),
    map({ ('--cors-allow-method', $_) } qw(GET POST)),
    map({ ('--cors-allow-header', $_) } qw(content-type Authorization)),
    '--cors-allow-credentials');
$r = $d->http('OPTIONS', '/v1/health', headers => { Origin => $origin });
is(cors($r), "$allow-origin: $origin | $allow-credentials: true | "
    . "$allow-methods: GET,POST | $allow-headers: content-type,authorization",
    'methods and headers as they were named, in lower case');
is(cors($d->http('GET', '/v1/health',
    headers => { Origin => 'http://127.0.0.1:3000' })),
    "$allow-origin: http://127.0.0.1:3000 | $allow-credentials: true",
    'the other origin');
is(cors($d->http('GET', '/v1/health', headers => { Origin => 'http://x' })),
    "$allow-credentials: true", 'and none');
is($d->http('POST', '/nope', headers => { Origin => $origin })
    ->{headers}{"$allow-origin"}, $origin, 'errors can be read');

# Without a token a page from elsewhere may look, but change nothing: a POST
# without a body needs no preflight. Pages of this machine and those named may.
for (['http://evil.example', 403], ['null', 403], ['http://127.0.0.1:3000', 200],
    ['http://localhost:8000', 200], [undef, 200]) {
	my ($from, $status) = @$_;
	my %h = defined $from ? (Origin => $from) : ();
	my $name = $from // 'no page';
	is($d->http('POST', '/v1/fs/mkdir?path=/tmp/by-page', headers => \%h)->{status},
	    $status, "a change by $name");
	is($d->http('GET', '/v1/fs/stat?path=/tmp', headers => \%h)->{status}, 200,
	    "a look by $name");
}

done_testing;
