# Sessions: records, lists, many in one sandbox, the default sandbox.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;

my $r = $d->ok('session.create', { agent => 'mock' });
ok(length $r->{id}, 'a name is made up');
is($r->{sandbox}, 'default', 'without a sandbox it runs in the default one');
is($d->ok('sandbox.get', { id => 'default' })->{state}, 'running',
    'which is made at first use');
$d->ok('session.create', { id => 'second', agent => 'mock' });
is(scalar @{$d->ok('sandbox.list')->{sandboxes}}, 1, 'and only once');

$d->ok('sandbox.create', { id => 'm', user => '1000', env => { FROM => 'box' } });
$r = $d->ok('session.create', { id => 'full', agent => 'mock', sandbox => 'm',
    model => 'mock-1', permission_mode => 'plan', agent_mode => 'plan',
    directory => '/usr', env => { MINE => 'session' }, title => 'T' });
is($r->{id}, 'full', 'create answers with the id');
$r = $d->ok('session.get', { id => 'full' });
is_deeply([@$r{qw(id agent sandbox model permission_mode agent_mode directory
    title state)}], ['full', 'mock', 'm', 'mock-1', 'plan', 'plan', '/usr', 'T',
    'idle'], 'the record');
is($r->{native_session_id}, 'mock-full', 'native session id');
is($r->{event_count}, 1, 'one event');
my ($first) = $d->events('full');
is($first->{type}, 'session.started', 'session.started');

my @e = $d->turn('full', 'run id -u; pwd; echo $FROM $MINE; env');
my ($out) = map { item_text($_) } grep { $_->{type} eq 'item.completed'
    && $_->{data}{item}{kind} eq 'tool_result' } @e;
like($out, qr{^1000\n/usr\nbox session\n}, 'user, directory and env of the agent');
my %allowed = map { $_ => 1 } qw(FROM MINE PATH HOME USER LOGNAME SHELL TERM LANG
    PWD SHLVL OLDPWD _);
is(join(' ', grep { !$allowed{$_} } $out =~ /^(\w+)=/mg), '',
    'and no variable that was not given');

# Newest first.
my @ids = map { $_->{id} } @{$d->ok('session.list')->{sessions}};
is($ids[0], 'full', 'newest first');
is($ids[1], 'second', 'in order');
@ids = map { $_->{id} } @{$d->ok('session.list', { sandbox => 'm' })->{sessions}};
is("@ids", 'full', 'of one sandbox');

# updated_at moves with events.
my $was = $d->ok('session.get', { id => 'full' })->{updated_at};
$d->turn('full', 'x');
ok($d->ok('session.get', { id => 'full' })->{updated_at} >= $was, 'updated_at');
is($d->ok('session.get', { id => 'full' })->{event_count},
    scalar(my @all = $d->events('full')), 'event_count');

# Many sessions in one sandbox, all at work at once.
my @c = map { $d->client } 1 .. 10;
my @id = map { $c[$_ - 1]->send('session.create', { id => "many$_",
    agent => 'mock', sandbox => 'm' }) } 1 .. 10;
my @bad = grep { !$_->{ok} } map { $c[$_]->finish($id[$_], timeout => 60) } 0 .. 9;
is(to_json(\@bad), '[]', 'ten sessions made at the same time');
@id = map { $c[$_ - 1]->send('session.prompt', { id => "many$_",
    text => "say it is $_", stream => JSON::PP::true }) } 1 .. 10;
@bad = grep {
	my $got = $c[$_]->finish($id[$_], timeout => 60);
	item_text((grep { $_->{type} eq 'item.completed' } @{$got->{items}})[-1])
	    ne 'it is ' . ($_ + 1)
} 0 .. 9;
is("@bad", '', 'each is told its own');

# A session in a sandbox that is stopped cannot be talked to, and says so.
$d->ok('sandbox.stop', { id => 'm' });
is($d->ok('session.get', { id => 'full' })->{state}, 'stopped', 'stopped');
my $code = $d->error('session.prompt', { id => 'full', text => 'x' });
like($code, qr/^(?:sandbox_state|)$/, 'a prompt is refused, or starts it');
ok(scalar($d->events('full')), 'its events can be read');
$d->ok('sandbox.start', { id => 'm' }) if $code;
wait_for(20, sub { $d->ok('session.get', { id => 'full' })->{state} eq 'idle' });
@e = $d->turn('full', 'again');
is($e[-1]{type}, 'turn.ended', 'and goes on when it runs again');

# configure.
$r = $d->ok('session.configure', { id => 'full', model => 'mock-2',
    permission_mode => 'default' });
is($d->ok('session.get', { id => 'full' })->{model}, 'mock-2', 'configure: model');
is($d->ok('session.get', { id => 'full' })->{permission_mode}, 'default',
    'configure: mode');
like($d->error('session.configure', { id => 'full', permission_mode => 'wat' }),
    qr/^(?:bad_request|mode_not_supported)$/, 'configure: a word that is no mode');

# While the store restarts a list is refused, and so is what else it would answer.
my $refused = 0;
for my $round (1 .. 3) {
	kill('KILL', $d->children(qr/store/));
	for my $op (['session.list', {}], ['session.list', { sandbox => 'default' }]) {
		wait_for(5, sub {
			my $r = $d->request(@$op);
			$refused++ if ($r->{error}{code} // '') eq 'store_unavailable';
			return $r->{ok};
		});
	}
	ok($d->request('session.list')->{ok}, "the store was killed, round $round");
}
cmp_ok($refused, '>', 0, "a list was refused $refused times meanwhile");

done_testing;
