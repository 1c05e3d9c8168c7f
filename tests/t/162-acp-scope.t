# Whose ACP servers they are: sandboxes, tokens, and several gateways.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Acp;
use Test::More;

need_root();
my $token = 'the-token';
my $d = Sandboxd->start(http => 1, token => $token,
    conf => "[gateway]\nprocesses = 3\n");
$d->ok('sandbox.create', { id => $_ }) for qw(one two);
my %t = (all => $token);
for (['one', { sandbox => 'one' }], ['one-reads', { sandbox => 'one', read_only =>
    JSON::PP::true }], ['reads', { read_only => JSON::PP::true }],
    ['default', { sandbox => 'default' }]) {
	$t{$_->[0]} = $d->ok('token.create', { label => $_->[0], %{$_->[1]} })->{token};
}
my $hello = { jsonrpc => '2.0', id => 0, method => 'initialize', params => {} };

# The same name in three sandboxes: three servers.
my %a = map { $_ => Sandboxd::Acp->new($d, 'same', agent => 'mock',
    $_ eq 'default' ? () : (sandbox => $_)) } qw(default one two);
is($a{$_}->post($hello)->{status}, 200, "a server in $_") for sort keys %a;
is(join(' ', Sandboxd::Acp->listed($d, $_ eq 'default' ? () : (sandbox => $_))), 'same',
    "$_ has one") for sort keys %a;
is(join(' ', Sandboxd::Acp->listed($d, sandbox => 'default')), 'same',
    'default by its name');
$a{one}->call('more', {}) for 1 .. 3;
my %streams = map { $_ => $a{$_}->stream } keys %a;
ok(scalar($streams{one}->upto(8)) > scalar($streams{two}->upto(2)),
    'each has a log of its own');
is(Sandboxd::Acp->new($d, 'same', sandbox => 'none', agent => 'mock')->post($hello)
    ->{status}, 404, 'a sandbox that is not there');
is(join(' ', Sandboxd::Acp->listed($d, sandbox => 'none')), '', 'has none');
# No name of a sandbox finds the servers of another.
Sandboxd::Acp->new($d, 'x:y', agent => 'mock')->post($hello);
for ('default%3Ax', 'default%3A', '%2E%2E', 'x' x 100, 'acp%3Adefault') {
	is(join(' ', Sandboxd::Acp->listed($d, sandbox => $_)), '', "$_ has none");
	is($d->http('GET', "/i/$_/v1/acp/y")->{status}, 404, 'and hears none');
	is($d->http('DELETE', "/i/$_/v1/acp/y")->{status}, 204, 'nor ends any');
}
is((grep { $_ eq 'x:y' } Sandboxd::Acp->listed($d)), 1, 'it is still there');

# --- tokens ------------------------------------------------------------------------------

my %paths = (GET => 200, POST => 200, DELETE => 204);
for (
	# token, sandbox, what GET, POST and DELETE give
	['all', '', 200, 200, 204], ['all', 'one', 200, 200, 204],
	['one', 'one', 200, 200, 204], ['one', 'two', 403, 403, 403],
	['one', '', 403, 403, 403], ['one-reads', 'one', 200, 403, 403],
	['one-reads', 'two', 403, 403, 403], ['reads', '', 200, 403, 403],
	['reads', 'two', 200, 403, 403], ['default', '', 200, 200, 204],
	['default', 'default', 200, 200, 204], ['default', 'one', 403, 403, 403],
	['wrong', '', 401, 401, 401], [undef, '', 401, 401, 401],
) {
	my ($who, $box, @want) = @$_;
	my $name = ($who // 'nobody') . ' in ' . ($box || 'the default one');
	my @in = (agent => 'mock', $box ? (sandbox => $box) : ());
	my $mine = Sandboxd::Acp->new($d, 'tokens', @in, token => $t{all});
	$mine->post($hello);
	my $a = Sandboxd::Acp->new($d, 'tokens', @in,
	    token => defined $who ? $t{$who} // $who : undef);
	is($a->stream->{head}{status}, $want[0], "$name: hears");
	is($d->http('GET', ($box ? "/i/$box" : '') . '/v1/acp', token => $a->{token})
	    ->{status}, $want[0], "$name: lists");
	is($a->post($hello)->{status}, $want[1], "$name: speaks");
	is($a->delete->{status}, $want[2], "$name: ends");
	$mine->delete;
}
for my $path ('/v1/acp', '/v1/acp/same', '/v1/agents') {
	is($d->http('GET', "$path?access_token=$token", token => undef)->{status}, 401,
	    "no token in the query of $path");
}
is($d->http('PUT', '/v1/acp/same', token => undef)->{status}, 401,
    'a wrong method tells nothing either');
is($d->http('OPTIONS', '/v1/acp/same', token => undef)->{status}, 200, 'OPTIONS does');

# Agents: reading is for all, installing for every sandbox only for who may all.
for (['all', 200, 200], ['one', 200, 403], ['one-reads', 200, 403], ['reads', 200, 403]) {
	my ($who, $get, $post) = @$_;
	my $at = $who =~ /^one/ ? '/i/one' : '';
	is($d->http('GET', "$at/v1/agents", token => $t{$who})->{status}, $get,
	    "$who: the agents");
	is($d->http('POST', "$at/v1/agents/mock/install", token => $t{$who}, json => {})
	    ->{status}, $post, "$who: installs");
}

# --- several gateways -----------------------------------------------------------------------

# Each connection may be another's; none may see less than was acknowledged.
my $flaw = '';
for my $i (1 .. 30) {
	my $a = Sandboxd::Acp->new($d, "g$i", agent => 'mock');
	$a->call('x', {});
	my @seen = map { scalar(grep { $_ eq "g$i" } Sandboxd::Acp->listed($d)) } 1 .. 4;
	$flaw ||= "g$i is listed @seen" if "@seen" ne '1 1 1 1';
	my $s = $a->stream;
	my @e = map { from_json($_) } $s->upto(2);
	$flaw ||= "g$i: " . to_json(\@e) if @e != 2;
	$a->delete;
	$flaw ||= "g$i is there" if grep { $_ eq "g$i" } Sandboxd::Acp->listed($d);
}
is($flaw, '', 'what one gateway has done the others know');

# A first envelope from many at one time makes one server, whoever they meet.
for my $round (1 .. 5) {
	my $n = Sandboxd::Acp->new($d, "first$round", agent => 'mock');
	my @c = map { $n->begin({ jsonrpc => '2.0', id => "i$_", method => 'm' }) } 1 .. 30;
	my @r = map { $_->response('POST', 60) } @c;
	is(join(' ', map { $_->{status} // 'none' } @r), join(' ', (200) x 30),
	    "thirty first envelopes: all are answered");
	is(join(' ', map { $_->{json}{id} } @r), join(' ', map { "i$_" } 1 .. 30),
	    'each to its own');
	is((grep { $_ eq "first$round" } Sandboxd::Acp->listed($d)), 1, 'by one server');
	my $s = $n->stream;
	is(scalar(grep { !exists from_json($_)->{method} } $s->upto(60)), 30,
	    'which has said all of it');
}
# With different agents: one wins, the others are told.
Sandboxd::Acp->install($d, 'amp');
for my $round (1 .. 5) {
	my @c = map { Sandboxd::Acp->new($d, "mixed$round",
	    agent => $_ % 2 ? 'mock' : 'amp')->begin({ jsonrpc => '2.0', id => $_,
	    method => 'initialize', params => {} }) } 1 .. 20;
	my %how;
	$how{$_->response('POST', 60)->{status} // 'none'}++ for @c;
	is_deeply(\%how, { 200 => 10, 409 => 10 }, 'of two agents one gets it');
}

done_testing;
