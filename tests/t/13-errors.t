# Each operation's refusals: one code each, and a detail that names the thing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;

$d->ok('sandbox.create', { id => 'box' });
$d->ok('session.create', { id => 'ses', agent => 'mock', sandbox => 'box' });

my @cases = (
	['nonsense', {}, 'unknown_operation'],
	['status', { surplus => 1 }, 'bad_request'],
	['sandbox.get', {}, 'bad_request'],
	['sandbox.get', { id => 7 }, 'bad_request'],
	['sandbox.get', { id => 'none' }, 'sandbox_not_found'],
	['sandbox.get', { id => '' }, 'bad_request'],
	['sandbox.create', { id => 'box' }, 'sandbox_exists'],
	['sandbox.create', { id => '../x' }, 'bad_request'],
	['sandbox.create', { id => 'a' x 64 }, 'bad_request'],
	['sandbox.create', { id => 'b1', network => 'sideways' }, 'bad_request'],
	['sandbox.create', { id => 'b1', image => '/no/such/dir' },
	    'image_not_found'],
	['sandbox.create', { id => 'b1', image => '/etc/passwd' },
	    'image_not_found'],
	['sandbox.create', { id => 'b1', image => 'relative' },
	    'image_not_found'],
	['sandbox.create', { id => 'b1', user => 'nobody-such' },
	    'user_not_found'],
	['sandbox.create', { id => 'b1', limits => { wings => 2 } },
	    'bad_request'],
	['sandbox.create', { id => 'b1', limits => { memory => '5 apples' } },
	    'bad_request'],
	['sandbox.create', { id => 'b1', limits => { pids => -1 } },
	    'bad_request'],
	['sandbox.create', { id => 'b1', isolation => 'perfect' },
	    'bad_request'],
	['sandbox.create', { id => 'b1', env => { 'A=B' => 'x' } },
	    'bad_request'],
	['sandbox.create', { id => 'b1', env => { '' => 'x' } }, 'bad_request'],
	['sandbox.create', { id => 'b1', mounts => [{ source => '/no/such',
	    target => '/m' }] }, 'mount_refused'],
	['sandbox.create', { id => 'b1', mounts => [{ source => '/usr',
	    target => 'relative' }] }, 'mount_refused|bad_request'],
	['sandbox.create', { id => 'b1', mounts => [{ source => '/usr',
	    target => '/proc' }] }, 'mount_refused'],
	['sandbox.create', { id => 'b1', mounts => [{ source => '/usr',
	    target => '/m/../proc' }] }, 'mount_refused|bad_request'],
	['sandbox.create', { id => 'b1', mounts => [{ source => '/usr',
	    target => '/m', mode => 'rwx' }] }, 'bad_request'],
	['sandbox.create', { id => 'b1', mounts => [{ target => '/m' }] },
	    'bad_request'],
	['sandbox.create', { id => 'b1', mounts => ['/usr'] }, 'bad_request'],
	['sandbox.exec', { id => 'none', command => ['true'] },
	    'sandbox_not_found'],
	['sandbox.exec', { id => 'box', command => [] }, 'bad_request'],
	['sandbox.exec', { id => 'box', command => {} }, 'bad_request'],
	['sandbox.exec', { id => 'box', command => [1] }, 'bad_request'],
	['sandbox.exec', { id => 'box', command => ['/no/such'] },
	    'exec_failed'],
	['sandbox.exec', { id => 'box', command => ['/etc/passwd'] },
	    'exec_failed'],
	['sandbox.exec', { id => 'box', command => ['true'],
	    user => 'nobody-such' }, 'user_not_found'],
	['sandbox.exec', { id => 'box', command => ['true'],
	    directory => '/no/such' }, 'exec_failed'],
	['sandbox.exec', { id => 'box', command => ['true'], timeout_ms => 0 },
	    'bad_request'],
	['sandbox.exec', { id => 'box', command => ['true'], fds => 3 },
	    'bad_request'],
	['sandbox.stop', { id => 'none' }, 'sandbox_not_found'],
	['sandbox.start', { id => 'none' }, 'sandbox_not_found'],
	['sandbox.destroy', { id => 'none' }, 'sandbox_not_found'],
	['sandbox.changes', { id => 'box', fds => 1 }, 'bad_request'],
	['session.create', { id => 's1' }, 'bad_request'],
	['session.create', { id => 's1', agent => 'parrot' }, 'agent_unknown'],
	['session.create', { id => 's1', agent => 'mock', sandbox => 'none' },
	    'sandbox_not_found'],
	['session.create', { id => 'ses', agent => 'mock', sandbox => 'box' },
	    'session_exists'],
	['session.create', { id => 's1', agent => 'mock', sandbox => 'box',
	    agent_mode => 'wat' }, 'mode_not_supported'],
	['session.create', { id => 's1', agent => 'mock', sandbox => 'box',
	    permission_mode => 'wat' }, 'bad_request|mode_not_supported'],
	['session.get', { id => 'none' }, 'session_not_found'],
	['session.prompt', { id => 'none', text => 'x' }, 'session_not_found'],
	['session.prompt', { id => 'ses' }, 'bad_request'],
	['session.events', { id => 'none' }, 'session_not_found'],
	['session.events', { id => 'ses', after => -1 }, 'bad_request'],
	['session.events', { id => 'ses', until => 'never' }, 'bad_request'],
	['session.cancel', { id => 'none' }, 'session_not_found'],
	['session.cancel', { id => 'ses' }, 'turn_not_running'],
	['session.permission.reply', { id => 'ses', permission_id => 'p',
	    reply => 'once' }, 'permission_not_found'],
	['session.permission.reply', { id => 'ses', permission_id => 'p',
	    reply => 'perhaps' }, 'bad_request'],
	['session.question.reply', { id => 'ses', question_id => 'q',
	    answers => [['a']] }, 'question_not_found'],
	['session.question.reject', { id => 'ses', question_id => 'q' },
	    'question_not_found'],
	['session.end', { id => 'none' }, 'session_not_found'],
);

for my $case (@cases) {
	my ($op, $args, $code) = @$case;
	my $r = $d->request($op, $args);
	my $got = $r->{error} ? $r->{error}{code} : to_json($r);
	like($got, qr/^(?:$code)$/, "$op " . to_json($args));
	ok(length($r->{error}{detail} // ''), "... with a detail");
}

is($d->ok('sandbox.list')->{sandboxes}[0]{id}, 'box', 'it still works');
is(scalar @{$d->ok('sandbox.list')->{sandboxes}}, 1,
    'and no refused create left a record');

done_testing;
