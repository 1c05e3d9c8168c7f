# A sandbox's life: create, get, list, stop, start, destroy, and its record.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;

my $r = $d->ok('sandbox.create', { id => 'one', labels => { team => 'red' },
    env => { A => '1' }, hostname => 'hut', directory => '/tmp' });
is($r->{id}, 'one', 'create answers with the record');
is($r->{state}, 'running', 'of a sandbox that runs');
is_deeply($r->{labels}, { team => 'red' }, 'labels');
is($r->{hostname}, 'hut', 'host name');
is($r->{network}, 'none', 'no network unless asked for');
is($r->{image}, 'host', 'the host image unless told');
ok($r->{created_at} > 0, 'created_at');
is(ref $r->{isolation}, 'HASH', 'isolation');

is($d->sh('one', 'hostname; pwd; echo $A')->{stdout}, "hut\n/tmp\n1\n",
    'and it is as was asked');

my $named = $d->ok('sandbox.create', {});
like($named->{id}, qr/^[a-z0-9][a-z0-9._-]*$/, 'a name is made up');
$d->ok('sandbox.create', { id => 'two', labels => { team => 'blue', x => 'y' } });

my @ids = sort map { $_->{id} } @{$d->ok('sandbox.list')->{sandboxes}};
is("@ids", join(' ', sort 'one', 'two', $named->{id}), 'list');
@ids = map { $_->{id} } @{$d->ok('sandbox.list',
    { labels => { team => 'blue' } })->{sandboxes}};
is("@ids", 'two', 'list by label');
@ids = map { $_->{id} } @{$d->ok('sandbox.list',
    { labels => { team => 'blue', x => 'z' } })->{sandboxes}};
is("@ids", '', 'list by labels that do not match');

$d->ok('sandbox.stop', { id => 'two' });
is($d->ok('sandbox.get', { id => 'two' })->{state}, 'stopped', 'stopped');
@ids = map { $_->{id} } @{$d->ok('sandbox.list',
    { state => 'stopped' })->{sandboxes}};
is("@ids", 'two', 'list by state');
is($d->error('sandbox.exec', { id => 'two', command => ['true'] }),
    'sandbox_state', 'no command in a stopped sandbox');
$d->ok('sandbox.stop', { id => 'two' });
pass('stopping twice is no error');
is($d->ok('sandbox.start', { id => 'two' })->{state}, 'running', 'started');
is($d->exec('two', ['true'])->{exit_code}, 0, 'and commands run again');

$d->ok('sandbox.destroy', { id => 'two' });
is($d->error('sandbox.get', { id => 'two' }), 'sandbox_not_found', 'destroyed');
is($d->error('sandbox.destroy', { id => 'two' }), 'sandbox_not_found',
    'not twice');
$r = $d->ok('sandbox.create', { id => 'two' });
is($r->{state}, 'running', 'its name is free again');
is_deeply($r->{labels}, {}, 'and the new one has nothing of the old');

# Twenty at the same time, by as many connections.
my @c = map { $d->client } 1 .. 20;
my @id = map { $c[$_ - 1]->send('sandbox.create', { id => "many$_" }) } 1 .. 20;
my @bad = grep { !$_->{ok} } map { $c[$_]->finish($id[$_], timeout => 60) } 0 .. 19;
is(to_json(\@bad), '[]', 'twenty created at the same time');
@id = map { $c[$_ - 1]->send('sandbox.exec', { id => "many$_",
    command => ['hostname'] }) } 1 .. 20;
my @out = map { Sandboxd::collect_output($c[$_]->finish($id[$_]))->{stdout} } 0 .. 19;
is(join('', @out), join('', map { "many$_\n" } 1 .. 20), 'each is its own');
@id = map { $c[$_ - 1]->send('sandbox.destroy', { id => "many$_" }) } 1 .. 20;
@bad = grep { !$_->{ok} } map { $c[$_]->finish($id[$_], timeout => 60) } 0 .. 19;
is(to_json(\@bad), '[]', 'and destroyed at the same time');

done_testing;
