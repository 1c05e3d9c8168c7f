# POST /v1/operations/{operation}: an operation of the control socket as it is, for
# whoever may do all, and for nobody else.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start(http => 1, token => 'admin secret');
my $urn = 'urn:sandbox-agent:error:';

sub ask {
	my ($name, $args, %o) = @_;
	return $d->http('POST', "/v1/operations/$name", %o,
	    defined $args ? (json => $args) : ());
}

sub refused {
	my ($r, $status, $code, $what) = @_;
	is($r->{status}, $status, "$what: $status");
	is($r->{json}{code}, $code, "$what: $code");
	like($r->{json}{type}, qr/^\Q$urn\E/, "$what: a problem");
}

# All that needs neither a stream nor a descriptor is told as over the socket.
is_deeply(ask('help')->{json}, $d->ok('help'), 'help, without a body');
is(ask('status', {})->{json}{pid}, $d->{pid}, 'status');
my $r = ask('sandbox.create', { id => 'box', labels => { a => 'b' } });
is("$r->{status} $r->{json}{state}", '200 running', 'a sandbox');
is_deeply(ask('sandbox.get', { id => 'box' })->{json}{labels}, { a => 'b' }, 'its record');
$r = ask('process.create', { id => 'box', command => 'sleep 0.3; exit 4' });
my $process = $r->{json}{process};
ok($process, 'a process');
$r = ask('process.wait', { id => 'box', process => $process, timeout_ms => 20000 });
is($r->{json}{exit_code}, 4, 'waited for');
is(ask('process.delete', { id => 'box', process => $process })->{status}, 200, 'forgotten');
$d->ok('session.create', { id => 'talk', agent => 'mock', sandbox => 'box' });
is(ask('session.delete', { id => 'talk' })->{status}, 200, 'a session is removed');
is($d->error('session.get', { id => 'talk' }), 'session_not_found', 'removed it is');
ok((grep { $_->{id} eq 'mock' } @{ask('agent.list')->{json}{agents}}), 'agents');

# What does not go, changes nothing and says why in both languages.
refused(ask('no.such'), 404, 'unknown_operation', 'an unknown one');
refused(ask('x' x 300), 404, 'unknown_operation', 'a long name');
is(ask('%00%ff')->{status}, 400, 'a name that is no text');
refused(ask('sandbox.get', {}), 400, 'bad_request', 'a missing argument');
refused(ask('sandbox.get', { id => 'box', more => 1 }), 400, 'bad_request', 'one too many');
refused(ask('sandbox.get', { id => 'none' }), 404, 'sandbox_not_found', 'no such sandbox');
refused(ask('sandbox.create', { id => 'box' }), 409, 'sandbox_exists', 'a name that is taken');
refused(ask('process.wait', { id => 'box', process => 99, timeout_ms => 0 }), 404,
    'process_not_found', 'no such process');
refused(ask('session.delete', { id => 'none' }), 404, 'session_not_found', 'no such session');
refused(ask('role.reset', { id => 'nothing' }), 404, 'role_not_found', 'no such role');
for my $own (qw(sandbox.exec session.events session.list upgrade store.compact backup
    token.create token.list token.revoke process.attach sandbox.copy.in
    sandbox.changes)) {
	refused(ask($own, {}), 400, 'bad_request', "$own is for the socket");
}
is($d->http('POST', '/v1/operations/status', json => [])->{status}, 422, 'a list');
is($d->http('POST', '/v1/operations/status', body => '{', headers => {
    'Content-Type' => 'application/json' })->{status}, 400, 'no JSON');
my $deep = '{"id":' . '[' x 60 . ']' x 60 . '}';
is($d->http('POST', '/v1/operations/sandbox.get', body => $deep, headers => {
    'Content-Type' => 'application/json' })->{status}, 400, 'deep JSON');
is($d->http('GET', '/v1/operations/status')->{status}, 405, 'to be posted');
is($d->http('POST', '/i/box/v1/operations/status', json => {})->{status}, 404,
    'not below a sandbox');

# A stream of bytes is the answer's body, or the request's.
$process = $d->ok('process.create', { id => 'box', command => ['echo', 'printed'] })->{process};
ask('process.wait', { id => 'box', process => $process, timeout_ms => 20000 });
$r = ask('process.logs', { id => 'box', process => $process }, headers => { TE => 'trailers' });
is("$r->{status} $r->{body}", "200 printed\n", 'what a process has printed');
my @ps = map { from_json($_) } split /\n/, ask('sandbox.processes', { id => 'box' })->{body};
ok((grep { $_->{pid} == 1 } @ps), 'the list of processes');
$d->sh('box', 'mkdir -p /tmp/d; head -c 3000000 /dev/urandom >/tmp/d/big; ln -s big /tmp/d/link');
my $sum = $d->sh('box', 'sha256sum </tmp/d/big')->{stdout};
my $tar = ask('sandbox.copy.out', { id => 'box', paths => ['/tmp/d'] });
is($tar->{status}, 200, 'a tree comes out');
like(run_cmd(['tar', 'tvf', '-'], stdin => $tar->{body})->{out}, qr/link -> big/, 'as an archive');
refused(ask('sandbox.copy.out', { id => 'box', paths => ['/tmp/none'] }), 502, 'system',
    'what is not there');
refused(ask('sandbox.copy.out', { id => 'box', paths => ['relative'] }), 400, 'bad_request',
    'a relative path');
refused(ask('sandbox.copy.out', { id => 'none', paths => ['/'] }), 404, 'sandbox_not_found',
    'out of nothing');
sub give {
	my ($name, $args, $body) = @_;
	my $text = to_json($args);
	$text =~ s/([^\w-])/sprintf('%%%02X', ord $1)/ge;
	return $d->http('POST', "/v1/operations/$name/input?args=$text", body => $body);
}
$r = give('sandbox.copy.in', { id => 'box', path => '/tmp/e', into => JSON::PP::true }, $tar->{body});
is("$r->{status} $r->{json}{entries}", '200 3', 'a tree goes in');
is($d->sh('box', 'sha256sum </tmp/e/d/big')->{stdout}, $sum, 'whole');
refused(give('sandbox.copy.in', { id => 'box', path => '/tmp/f', into => JSON::PP::true },
    substr($tar->{body}, 0, 1_000_000)), 400, 'bad_request', 'half an archive');
refused(give('sandbox.copy.in', { id => 'none', path => '/tmp' }, $tar->{body}), 404,
    'sandbox_not_found', 'into nothing');
refused(give('sandbox.copy.in', { id => 'box' }, ''), 400, 'bad_request', 'to no place');
refused(give('sandbox.copy.in', [], ''), 400, 'bad_request', 'arguments in a list');
refused(give('sandbox.get', { id => 'box' }, ''), 400, 'bad_request', 'one that reads nothing');
refused(give('no.such', {}, ''), 404, 'unknown_operation', 'an unknown one');

# One that is cut in the middle is not taken for whole; who looks at trailers sees why.
$d->sh('box', 'truncate -s 0 /tmp/e/d/link; i=0; while [ $i -lt 40 ]; do '
    . 'head -c 1000000 /dev/urandom >/tmp/e/$i; i=$((i + 1)); done');
for my $te (0, 1) {
	my $c = $d->http_client;
	my $body = to_json({ id => 'box', paths => ['/tmp/e'] });
	$c->write("POST /v1/operations/sandbox.copy.out HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	    . "Authorization: Bearer admin secret\r\nContent-Type: application/json\r\n"
	    . ($te ? "TE: trailers\r\n" : '') . 'Content-Length: ' . length($body)
	    . "\r\n\r\n$body");
	is($c->head->{status}, 200, 'the archive begins');
	# The child that packs waits for us, and is killed.
	my ($packer) = grep { Sandboxd::title_of($_) =~ /sandboxd-init/ }
	    Sandboxd::descendants($d->ok('sandbox.get', { id => 'box' })->{pid});
	ok($packer, 'it is packed') and kill KILL => $packer;
	my $rest = $c->rest(20) // '';
	cmp_ok(length $rest, '>', 100_000, 'a part of it has come');
	if ($te) {
		like($rest, qr/\r\n0\r\nx-answer: \{"error":.*killed.*\}\r\n\r\n\z/si, 'the trailer says why');
	} else {
		unlike($rest, qr/\r\n0\r\n/, 'the end is missing');
	}
	$c->close;
}

# Who leaves in the middle leaves nothing behind.
sub count_fds {
	my $n = 0;
	for my $pid ($d->{pid}, $d->children(qr/gateway|init/)) {
		opendir(my $dh, "/proc/$pid/fd") or next;
		$n += grep { /\d/ } readdir $dh;
	}
	return $n;
}
my $before = count_fds();
for my $n (1 .. 12) {
	my $c = $d->http_client;
	my $body = to_json({ id => 'box', paths => ['/tmp/e'] });
	my ($path, $length) = $n % 2 ? ('sandbox.copy.out', length $body)
	    : ('sandbox.copy.in/input?args=%7B%22id%22:%22box%22,%22path%22:%22/tmp%22%7D', 1e9);
	$c->write("POST /v1/operations/$path HTTP/1.1\r\nHost: x\r\n"
	    . "Authorization: Bearer admin secret\r\nContent-Type: application/json\r\n"
	    . "Content-Length: $length\r\n\r\n" . ($n % 2 ? $body : substr($tar->{body}, 0, 90000)));
	$c->head if $n % 2;
	$c->close;
}
ok(wait_for(20, sub { count_fds() <= $before }), 'all descriptors are closed')
    or diag("$before before, " . count_fds() . ' now');
ok(wait_for(20, sub { 1 == grep { Sandboxd::title_of($_) =~ /sandboxd-init/ }
    ($d->ok('sandbox.get', { id => 'box' })->{pid},
	Sandboxd::descendants($d->ok('sandbox.get', { id => 'box' })->{pid})) }),
    'no child of init is left');

# Others may not, whatever it is.
for my $who ([{}, 'all'], [{ sandbox => 'box' }, 'one sandbox'],
    [{ read_only => JSON::PP::true }, 'reading']) {
	my $t = $d->ok('token.create', $who->[0])->{token};
	my $expected = %{$who->[0]} ? 403 : 200;
	is(ask('sandbox.list', {}, token => $t)->{status}, $expected, "a token for $who->[1]");
	is(ask('sandbox.destroy', { id => 'box' }, token => $t)->{status}, 403,
	    "... destroys nothing") if $expected == 403;
}
is(ask('sandbox.list', {}, token => undef)->{status}, 401, 'without a token');
is($d->ok('sandbox.get', { id => 'box' })->{state}, 'running', 'it still runs');
done_testing;
