# A service as it is asked for: by sandboxctl's flags, over HTTP, in words; and shown.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Service;
use Test::More;

need_root();
my $d = Sandboxd->start(http => 1);

sub flags_give {
	my ($flags, $want, $name, @o) = @_;
	my ($id) = $name =~ /^(\w+)/;
	my $got = $d->ctl([@o, 'create', $id, @$flags, '--', 'sleep', '600']);
	is($got->{status}, 0, "$name: made") or diag($got->{err});
	my $rec = $d->ok('sandbox.get', { id => $id });
	is_deeply($rec->{service}, $want, 'as asked');
	is_deeply($rec->{entrypoint}, ['sleep', '600'], 'with its command');
}

flags_give(['--restart', 'always', '--backoff', '200ms', '--start-limit', '7', '--ready', 'tcp:8000',
    '--ready-timeout', '2m', '--watchdog', '90s:stop', '--finish', 'echo $1 >/tmp/code'],
    { restart => 'always', backoff_ms => 200, start_limit => 7, ready => { tcp => 8000, timeout_ms => 120000 },
    watchdog => { ms => 90000, action => 'stop' },
    finish => { command => ['sh', '-c', 'echo $1 >/tmp/code', 'finish'] } }, 'all');
flags_give(['--ready', 'http:80/health?a=b'], { ready => { http => { port => 80, path => '/health?a=b' } } }, 'http');
flags_give(['--ready', 'exec:test -e /tmp/x', '--watchdog', '5'],
    { ready => { exec => ['sh', '-c', 'test -e /tmp/x'] }, watchdog => { ms => 5000 } }, 'exec');
flags_give(['--ready', 'notify'], { ready => { notify => JSON::PP::true } }, 'notify');
for (['--ready', 'tcp:0'], ['--ready', 'tcp:70000'], ['--ready', 'http:x/'], ['--ready', 'soon'],
    ['--ready-timeout', '5s'], ['--watchdog', 'never'], ['--watchdog', '5s:what'], ['--start-limit', 'many'],
    ['--restart', 'often'], ['--backoff', '-1']) {
	my $got = $d->ctl(['create', 'no', @$_, '--', 'true']);
	isnt($got->{status}, 0, "@$_ is refused");
	like($got->{err}, qr/restart|\Q$_->[0]\E|watchdog/, 'by name');
}
isnt($d->ctl(['create', 'no', '--restart', 'always'])->{status}, 0, 'nothing to keep');
is($d->error('sandbox.get', { id => 'no' }), 'sandbox_not_found', 'none of them was made');

# To the end: the flags' own finish command gets the code.
is($d->ctl(['create', 'done', '--restart', 'never', '--finish', 'echo "$1 $2" >/tmp/code', '--', 'sh', '-c', 'exit 5'])
    ->{status}, 0, 'a command with flags of its own');
ok(wait_for(20, sub { $d->exec('done', 'cat /tmp/code')->{stdout} eq "5 0\n" }), 'finish is told how it ended');
like($d->ctl(['get', 'done'])->{out}, qr/service_state.*exited/s, 'get shows it');
like($d->ctl(['history', 'done'])->{out}, qr/service\.started.*service\.exited.*code/s, 'history tells it');
my $got = $d->ctl(['create', 'plain', 'touch', '/tmp/here']);
is($got->{status}, 0, 'a command without any of the flags');
ok(wait_for(20, sub { $d->exec('plain', 'test -e /tmp/here')->{exit_code} == 0 }), 'is run');

# The same by HTTP, through sandboxctl and as it is.
my $run = run_cmd([program('sandboxctl'), '--endpoint', $d->url, 'create', 'far', '--restart', 'always',
    '--tmpfs', '/scratch:1M', '--', 'sleep', '600'], timeout => 30);
is($run->{status}, 0, 'over HTTP') or diag($run->{err});
my $rec = $d->ok('sandbox.get', { id => 'far' });
is_deeply([$rec->{service}, $rec->{entrypoint}], [{ restart => 'always' }, ['sleep', '600']], 'it is the same');
is($rec->{tmpfs}[0]{target}, '/scratch', 'like its neighbours');
my %body = (image => { uri => 'host' }, entrypoint => ['sh', '-c', 'echo >&3; sleep 600']);
my $r = $d->http('POST', '/v1/sandboxes', headers => { 'Content-Type' => 'application/json' },
    body => to_json({ %body, sandboxd => { id => 'web', service => { ready => { notify => \1 } } } }));
is($r->{status}, 202, 'a creation over HTTP') or diag($r->{body});
is_deeply($r->{json}{sandboxd}{service}, { ready => { notify => JSON::PP::true } }, 'is answered with it');
ok(event($d, 'web', 'service.ready'), 'and ready');
$r = $d->http('GET', '/v1/sandboxes/web');
is_deeply($r->{json}{sandboxd}{service_state}, { state => 'ready', restarts => 0 }, 'which is shown');
$r = $d->http('POST', '/v1/sandboxes', headers => { 'Content-Type' => 'application/json' },
    body => to_json({ %body, sandboxd => { service => { restart => 'often' } } }));
is($r->{status}, 400, 'a wrong one is refused') or diag($r->{body});
like($r->{json}{message}, qr/restart/, 'by name');

# In words.
$r = $d->client->request('sandbox.create', { id => 'idle', entrypoint => ['tail', '-f', '/dev/null'],
    service => { restart => 'always' } });
ok($r->{ok} && event($d, 'idle', 'service.started'), 'what would cost no process is one when it is to be kept');
done_testing;
