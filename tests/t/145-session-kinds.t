# Kinds of sessions: universal ones, ACP servers and probes; their names, what lists
# show of them; and the modes that definitions allow.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my %mock = (name => 'M', protocol => 'mock');
my $d = Sandboxd->start(http => 1, agents => {
	'few.json' => { %mock, id => 'few' },
	'some.json' => { %mock, id => 'some', permission_modes =>
	    ['default', 'plan'], agent_modes => ['build'] },
	'any.json' => { %mock, id => 'any', permission_modes => ['*'],
	    agent_modes => ['*'] },
	'absent.json' => { id => 'absent', name => 'A', protocol => 'acp',
	    program => 'there-is-no-such-program' },
	'free.json' => { id => 'free', name => 'F', protocol => 'acp' },
});
sub create { return $d->request('session.create', { agent => 'mock', @_ }) }
sub code { return create(@_)->{error}{code} // '' }
sub ids { return join ' ', sort map { $_->{id} }
    @{$d->ok('session.list')->{sessions}} }

# --- names -----------------------------------------------------------------------

is(code(id => 'acp:x'), 'bad_request', 'acp: is for ACP servers');
is(code(id => 'probe:x', kind => 'universal'), 'bad_request', 'probe: for probes');
is(code(id => 'x', kind => 'acp'), 'bad_request', 'an ACP server has such a name');
is(code(id => 'acp:x', kind => 'probe'), 'bad_request', 'and a probe, too');
is(code(kind => 'acp'), 'bad_request', 'it is not made up');
is(code(id => 'x', kind => 'other'), 'bad_request', 'an unknown kind');
is(ids(), '', 'nothing was made');
is(code(id => 'acp'), '', 'the word alone is a name like others');

# --- an ACP server ---------------------------------------------------------------

is(create(id => 'acp:default:one', kind => 'acp')->{ok}{state}, 'idle',
    'an ACP server');
my $rec = $d->ok('session.get', { id => 'acp:default:one' });
is($rec->{kind}, 'acp', 'its record says so');
is($d->ok('session.get', { id => 'acp' })->{kind}, 'universal', 'and that of others');
is(ids(), 'acp acp:default:one', 'the control socket lists all');
my $seen = $d->http('GET', '/v1/sessions')->{json};
is(join(' ', map { $_->{sessionId} // $_->{id} } @{$seen->{sessions} // []}), 'acp',
    'HTTP does not');
is_deeply($d->ok('sandbox.get', { id => 'default' })->{sessions}, ['acp'],
    'nor does the record of a sandbox');
my ($mock) = @{$d->ok('agent.list', { id => 'mock' })->{agents}};
is($mock->{servers}, 1, 'agent.list counts it');
ok($mock->{servers_uptime_ms} >= 0, 'and tells its age');
is($d->ok('status')->{sessions}, 2, 'it is a session as far as limits go');
$d->ok('session.delete', { id => 'acp:default:one' });
($mock) = @{$d->ok('agent.list', { id => 'mock' })->{agents}};
is($mock->{servers}, 0, 'no more');
ok(!exists $mock->{servers_uptime_ms}, 'and no age');

# --- probes ----------------------------------------------------------------------

my @c = map { $d->client } 1 .. 4;
my @n = map { $_->send('agent.probe', { id => 'mock' }) } @c;
my @r = map { $c[$_]->finish($n[$_]) } 0 .. $#c;
is(join(' ', map { $_->{ok}{id} // to_json($_) } @r), join(' ', ('probe:mock') x 4),
    'four ask at once');
$rec = $d->ok('session.get', { id => 'probe:mock' });
is("$rec->{kind} $rec->{state}", 'probe ended', 'what it told stays as a record');
ok(wait_for(10, sub { !$d->children(qr/session.*probe:/) }), 'and no worker');
is($d->ok('status')->{sessions}, 1, 'it counts as none');
is($d->ok('agent.probe', { id => 'mock' })->{state}, 'ended', 'once more');
is($d->error('agent.probe', { id => 'none' }), 'agent_unknown', 'of none');
is($d->error('agent.probe', { id => 'absent' }), 'agent_not_installed',
    'of one that is not there');
is($d->error('session.get', { id => 'probe:absent' }), 'session_not_found',
    'which leaves nothing');
$d->restart;
is($d->ok('session.get', { id => 'probe:mock' })->{state}, 'ended',
    'the record is there after a restart');
is($d->ok('agent.probe', { id => 'mock' })->{state}, 'ended', 'and is made anew');

# --- programs that are not there -------------------------------------------------

is(code(agent => 'absent'), 'agent_not_installed', 'a program that is not there');
is(code(id => 'acp:d:a', kind => 'acp', agent => 'absent'), 'agent_not_installed',
    'its worker does not find it either');
is($d->error('session.get', { id => 'acp:d:a' }), 'session_not_found',
    'and nothing stays');
is(code(agent => 'free'), 'bad_request', 'one that stands for any needs a command');

# --- modes -----------------------------------------------------------------------

for (['few', undef, undef, ''], ['few', 'default', 'build', ''],
    ['few', 'plan', undef, 'mode_not_supported'],
    ['few', undef, 'plan', 'mode_not_supported'],
    ['some', 'plan', 'build', ''], ['some', 'bypass', undef,
	'mode_not_supported'], ['some', undef, 'plan', 'mode_not_supported'],
    ['any', 'bypass', 'plan', ''], ['mock', 'plan', 'plan', ''],
    ['mock', 'nope', undef, 'mode_not_supported']) {
	my ($agent, $permission, $mode, $want) = @$_;
	is(code(agent => $agent, $permission ? (permission_mode => $permission) : (),
	    $mode ? (agent_mode => $mode) : ()), $want, join(' ', $agent,
	    $permission // '-', $mode // '-', $want || 'is good'));
}
is(create(id => 'conf', agent => 'any', agent_mode => 'plan',
    thought_level => 'high', variant => 'v')->{ok}{id}, 'conf', 'a session');
$rec = $d->ok('session.get', { id => 'conf' });
is("$rec->{agent_mode} $rec->{thought_level} $rec->{variant}", 'plan high v',
    'with all of it in its record');
create(id => 'set', agent => 'some');
is($d->error('session.configure', { id => 'set', permission_mode => 'bypass' }),
    'mode_not_supported', 'a mode that it has not');
is($d->error('session.configure', { id => 'set', agent_mode => 'plan' }),
    'mode_not_supported', 'of neither kind');
is($d->error('session.configure', { id => 'set', permission_mode => 'plan' }), '',
    'and one that it has');

done_testing;
