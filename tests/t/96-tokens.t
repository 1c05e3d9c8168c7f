# Tokens: made, listed, revoked; limited to a sandbox, to reading, to a time; kept
# as hashes, over restarts.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(sleep time);

need_root();
my $d = Sandboxd->start(http => 1, token => 'admin secret');

sub status {
	my ($method, $path, $token, %o) = @_;
	return $d->http($method, $path, token => $token, %o)->{status} // 'none';
}

sub make { return $d->ok('token.create', { @_ }) }

# --- making ---------------------------------------------------------------------------
my $t = make(label => 'first', expires_in => '1h');
like($t->{token}, qr/^sbx_[A-Za-z0-9_-]{43}$/, 'a token');
like($t->{id}, qr/^tok-[a-z2-7]{16}$/, 'its id');
is($t->{label}, 'first', 'its label');
ok(!$t->{read_only}, 'for everything');
ok(!exists $t->{sandbox}, 'everywhere');
is($t->{expires_at_ms} - $t->{created_at_ms}, 3600000, 'for its time');
ok(abs($t->{created_at_ms} / 1000 - time) < 60, 'from now on');
my $plain = make();
ok(!exists $plain->{expires_at_ms}, 'or until it is revoked');
ok(!exists $plain->{label}, 'without a label if none was given');
isnt($plain->{token}, $t->{token}, 'no two are the same');

is(status('GET', '/v1/health', $_->{token}), 200, "$_->{id} opens")
    for $t, $plain;
for my $bad ('sbx_', substr($t->{token}, 0, -1), "$t->{token}x", lc $t->{token},
    $t->{id}, 'sbx_' . 'A' x 43) {
	is(status('GET', '/v1/health', $bad), 401, "$bad does not");
}
is(status('GET', '/v1/health', undef), 401, 'nor does none');
is(status('GET', '/v1/health', 'admin secret'), 200, 'the global one does');

# Refusals.
is($d->error('token.create', $_->[0]), 'bad_request', $_->[1]) for
    [{ expires_in => 'soon' }, 'a time that is none'],
    [{ expires_in => '0' }, 'no time at all'],
    [{ expires_in => '-1h' }, 'a time that has passed'],
    [{ expires_in => '99999999999d' }, 'a time without end'],
    [{ expires_in => 5 }, 'a number'],
    [{ label => 'x' x 129 }, 'a long label'],
    [{ label => '' }, 'an empty label'],
    [{ read_only => 'yes' }, 'read_only as a word'],
    [{ sandbox => '' }, 'a sandbox without a name'],
    [{ token => 'mine' }, 'a text of my own'];
is($d->error('token.create', { sandbox => 'nowhere' }), 'sandbox_not_found',
    'a sandbox that is not there');
is($d->error('token.revoke', { id => 'tok-none' }), 'token_not_found',
    'revoking what is not there');
is($d->error('token.revoke', {}), 'bad_request', 'revoking nothing');

# --- listing --------------------------------------------------------------------------
my $list = $d->ok('token.list')->{tokens};
is(join(' ', map { $_->{id} } @$list), "$t->{id} $plain->{id}",
    'both are listed, in order');
is($list->[0]{label}, 'first', 'with their labels');
unlike(to_json($list), qr/sbx_|[0-9a-f]{64}/, 'without text and hash');

# Nothing on disk, in words or in the log holds a text.
my $kept = run_cmd(['grep', '-rlaF', '-e', $t->{token}, '-e', $plain->{token},
    '-e', substr($t->{token}, 4), $d->{dir}]);
is($kept->{out}, '', 'no file holds a text');
$kept = run_cmd(['grep', '-rlaF', '-e', $t->{id}, "$d->{state}/store"]);
like($kept->{out}, qr/data\.mdb/, 'their records do stand there');

# --- limits -----------------------------------------------------------------------------
$d->ok('sandbox.create', { id => 'a' });
$d->ok('sandbox.create', { id => 'b' });
my $of_a = make(sandbox => 'a')->{token};
my $reads = make(read_only => JSON::PP::true)->{token};
my $reads_a = make(sandbox => 'a', read_only => JSON::PP::true)->{token};
my $of_default = make(sandbox => 'default')->{token};

is(status('GET', '/i/a/v1/health', $of_a), 200, 'of a: in a');
is(status('GET', '/i/b/v1/health', $of_a), 403, 'not in b');
is(status('GET', '/v1/health', $of_a), 403, 'nor in the default one');
is(status('GET', '/v1/sandboxes', $of_a), 403, 'nor in the list of all');
is(status('GET', '/v1/health', $of_default), 200, 'of default: there');
is(status('GET', '/i/default/v1/health', $of_default), 200, 'by both names');
is(status('GET', '/i/a/v1/health', $of_default), 403, 'not in a');
my %run = (json => { command => 'true' }, timeout => 30);
is(status('POST', '/i/a/v1/processes/run', $of_a, %run), 200, 'of a: runs in a');
is(status('POST', '/i/b/v1/processes/run', $of_a, %run), 403, 'not in b');
is(status('GET', '/i/b/v1/processes', $reads), 200, 'for reading: it looks');
is(status('POST', '/i/b/v1/processes/run', $reads, %run), 403, 'and runs nothing');
is(status('GET', '/v1/sandboxes', $reads), 403, 'it is no global token');
is(status('GET', '/i/a/v1/processes', $reads_a), 200, 'both limits: it looks');
is(status('POST', '/i/a/v1/processes/run', $reads_a, %run), 403, 'only looks');
is(status('GET', '/i/b/v1/processes', $reads_a), 403, 'and only in a');
is(status('GET', '/v1/sandboxes', $plain->{token}), 200,
    'one without limits is as good as the global one');

# --- revoking ---------------------------------------------------------------------------
is($d->ok('token.revoke', { id => $t->{id} })->{id}, $t->{id}, 'revoked');
is(status('GET', '/v1/health', $t->{token}), 401,
    'and good for nothing from the answer on');
is($d->error('token.revoke', { id => $t->{id} }), 'token_not_found',
    'only once');
ok(!(grep { $_->{id} eq $t->{id} } @{$d->ok('token.list')->{tokens}}),
    'and not in the list');

# On a connection that is open.
my $again = make();
my $c = $d->http_client;
my %auth = (headers => { Authorization => "Bearer $again->{token}" });
is($c->request('GET', '/v1/health', %auth)->{status}, 200, 'a connection');
$d->ok('token.revoke', { id => $again->{id} });
is($c->request('GET', '/v1/health', %auth)->{status}, 401,
    'is no longer good when its token was revoked');

# --- time ---------------------------------------------------------------------------------
my $short = make(expires_in => '1500ms');
my $later = make(expires_in => '4s', label => 'later');
is(status('GET', '/v1/health', $short->{token}), 200, 'it opens for its time');
sleep 1.6;
is(status('GET', '/v1/health', $short->{token}), 401, 'not after it');
ok(wait_for(5, sub { !grep { $_->{id} eq $short->{id} }
    @{$d->ok('token.list')->{tokens}} }), 'and is gone');
is($d->error('token.revoke', { id => $short->{id} }), 'token_not_found',
    'for good');
is(status('GET', '/v1/health', $later->{token}), 200, 'others live on');

# --- restarts -------------------------------------------------------------------------
$d->restart('KILL');
is(status('GET', '/i/a/v1/health', $of_a), 200, 'a token survives our death');
is(status('GET', '/i/b/v1/health', $of_a), 403, 'with its limits');
is(status('POST', '/i/b/v1/processes/run', $reads, %run), 403, 'all of them');
is(status('GET', '/v1/health', $t->{token}), 401, 'a revoked one stays so');
is(status('GET', '/v1/health', $plain->{token}), 200, 'one without limits');
ok((grep { ($_->{label} // '') eq 'later' } @{$d->ok('token.list')->{tokens}}),
    'labels too');
sleep 3;
is(status('GET', '/v1/health', $later->{token}), 401,
    'time goes on over a restart');
ok(wait_for(5, sub { !grep { $_->{id} eq $later->{id} }
    @{$d->ok('token.list')->{tokens}} }), 'and ends it');

# --- a sandbox that goes ----------------------------------------------------------------
$d->ok('sandbox.destroy', { id => 'a' });
is(status('GET', '/i/a/v1/health', $of_a), 401, 'its tokens go with it');
$d->ok('sandbox.create', { id => 'a' });
is(status('GET', '/i/a/v1/processes', $_), 401,
    'and open nothing that takes its name') for $of_a, $reads_a;

# Made while its sandbox goes: either is first, and nothing is left for the next.
for (1 .. 5) {
	$d->ok('sandbox.create', { id => 'brief' });
	$d->ok('sandbox.stop', { id => 'brief' });
	my $both = $d->client;
	my @both = ($both->send('token.create', { sandbox => 'brief' }),
	    $both->send('sandbox.destroy', { id => 'brief' }));
	$both->finish($_) for @both;
	ok(!(grep { ($_->{sandbox} // '') eq 'brief' }
	    @{$d->ok('token.list')->{tokens}}), 'no token without its sandbox');
}

# --- many -----------------------------------------------------------------------------
my $have = @{$d->ok('token.list')->{tokens}};
my $client = $d->client;
my @ids = map { $client->send('token.create', { label => "n$_" }) }
    $have + 1 .. 2001;
my @answers = map { $client->finish($_) } @ids;
is(scalar(grep { $_->{ok} } @answers), 2000 - $have, 'two thousand');
is($answers[-1]{error}{code}, 'limit', 'and no more');
is(scalar @{$d->ok('token.list')->{tokens}}, 2000, 'all are listed');
$d->restart;
is(scalar @{$d->ok('token.list')->{tokens}}, 2000, 'and loaded again');

# Who may not use the control socket makes no token.
my $stranger = run_cmd(['setpriv', '--reuid', '12345', '--regid', '12345',
    '--clear-groups', 'perl', '-e', 'use IO::Socket::UNIX; my $s = '
    . 'IO::Socket::UNIX->new(Peer => $ARGV[0]) or die; print $s '
    . "\"token.create\\n\"; print scalar <\$s>;", $d->{socket}]);
like($stranger->{out}, qr/"denied"/, 'a stranger is refused');

done_testing;
