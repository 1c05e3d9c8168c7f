# Definitions that change while sandboxd runs: by HUP and by agent.reload, all or
# nothing; and what becomes of the sessions of agents that go.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my %mock2 = (id => 'mock2', name => 'Second', protocol => 'mock', rank => 1,
    permission_modes => ['default'], agent_modes => ['build'],
    env => { WHO => 'first' });
my $d = Sandboxd->start(agents => { 'mock2.json' => { %mock2 } });

sub ids { return join ' ', map { $_->{id} }
    @{$d->ok('agent.list', { all => JSON::PP::true })->{agents}} }
sub hup {
	my $n = () = slurp($d->{log}) =~ /configuration (?:not )?reloaded/g;
	kill('HUP', $d->{pid});
	wait_for(10, sub { my $now = () = slurp($d->{log}) =~
	    /configuration (?:not )?reloaded/g; $now > $n })
	    or die "nothing came of a HUP\n";
}
sub who {
	my ($id) = @_;
	my ($out) = map { item_text($_) } grep { $_->{type} eq 'item.completed' &&
	    $_->{data}{item}{kind} eq 'tool_result' } $d->turn($id, 'run echo $WHO');
	return $out;
}

like(ids(), qr/^mock2 /, 'by rank');
$d->ok('session.create', { id => 'old', agent => 'mock2' });
like(who('old'), qr/^first\n/, 'a session of it');

# --- good changes ----------------------------------------------------------------

$d->agent_file('extra.json', { id => 'extra', name => 'Extra', protocol => 'mock' });
is($d->error('session.create', { id => 'e', agent => 'extra' }), 'agent_unknown',
    'a new file is not known');
my $n = $d->ok('agent.reload')->{agents};
like(ids(), qr/\bextra\b/, 'until definitions are read again');
is($n, scalar(split / /, ids()), 'which tells how many there are');
$d->ok('session.create', { id => 'e', agent => 'extra' });

$mock2{env}{WHO} = 'second';
$d->agent_file('mock2.json', { %mock2 });
hup();
like(who('old'), qr/^first\n/, 'a worker that runs keeps what it has');
$d->ok('session.create', { id => 'new', agent => 'mock2' });
like(who('new'), qr/^second\n/, 'a new session has the new definition');
my ($worker) = $d->children(qr/^sandboxd-session.*\bold\b|session old/);
kill('KILL', $worker) if $worker;
ok($worker && wait_for(20, sub { eval { who('old') } =~ /^second/ }),
    'and so has a worker that is started again');

# --- bad ones --------------------------------------------------------------------

my $before = ids();
$d->agent_file('extra.json');
$d->agent_file('bad.json', "{\n\"id\": \"bad\",\n\"name\": 1,\n\"protocol\": \"x\"\n}");
my $r = $d->request('agent.reload');
is($r->{error}{code}, 'bad_request', 'a bad file is refused');
like($r->{error}{detail}, qr{/bad\.json:3: field name: .*;.*/bad\.json:4: },
    'with all mistakes and their lines');
unlike($r->{error}{detail}, qr/\n/, 'on one line');
is(ids(), $before, 'and nothing has changed');
hup();
like(slurp($d->{log}), qr{not reloaded.*/bad\.json:3: field name}, 'HUP says so, too');
is(ids(), $before, 'and changes nothing');
$d->ok('session.create', { id => 'e2', agent => 'extra' });

# A HUP is all or nothing: a good configuration with a bad definition is not taken.
my $conf = "$d->{dir}/conf";
spew($conf, slurp($conf) . "[session]\nmax = 1\n");
hup();
is($d->error('session.create', { agent => 'mock' }), '',
    'the configuration stays as well');

# Hundreds of mistakes are cut at a whole one.
$d->agent_file('bad.json', '{' . join(',', map { "\n\"x$_\":1" } 1 .. 300) . '}');
$r = $d->request('agent.reload');
like($r->{error}{detail}, qr/; and more\z/, 'many mistakes are cut');

$d->agent_file('bad.json');
hup();
unlike(ids(), qr/\bextra\b/, 'a file that goes takes its agent with it');
is($d->error('session.create', { agent => 'mock' }), 'limit',
    'and the configuration is read');

# --- sessions of an agent that has gone ------------------------------------------

like(who('e') // '', qr/\n/, 'a session of it goes on while its worker runs');
$d->ok('session.get', { id => 'e' });
$d->restart;
my ($rec) = grep { $_->{id} eq 'e' } @{$d->ok('session.list')->{sessions}};
is($rec->{agent}, 'extra', 'after a restart its record is there');
ok(scalar($d->events('e')) > 3, 'and its events');
is($d->error('session.prompt', { id => 'e', text => 'x' }), 'agent_unknown',
    'but nothing can be asked of it');
is($d->ok('session.delete', { id => 'e' })->{state}, 'deleted',
    'and it can be deleted');
$d->agent_file('extra.json', { id => 'extra', name => 'Extra', protocol => 'mock' });
$d->ok('agent.reload');
is($d->error('session.prompt', { id => 'e2', text => 'x' }), '',
    'when the file is back, it works again');

# The mock goes back to what is built in.
$d->agent_file('mock.json');
$d->ok('agent.reload');
like(ids(), qr/\bmock\b/, 'the mock stays without a file');

done_testing;
