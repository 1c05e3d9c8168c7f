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
    token.create token.list token.revoke process.attach sandbox.copy.in)) {
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
