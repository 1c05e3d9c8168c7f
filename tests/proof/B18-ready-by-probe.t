# B18: readiness by a probe: TCP, HTTP and a command; a time that runs out is a
# failed start.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Service;
use Test::More;

need_root();
my $d = Sandboxd->start;
my $serve = 'use IO::Socket::INET; sleep 0.1 until -e "/tmp/go"; my $s = IO::Socket::INET->new(Listen => 5, '
    . 'LocalAddr => "127.0.0.1:8000", ReuseAddr => 1) or die $!; while (my $c = $s->accept) { '
    . 'my $l = <$c>; print $c "HTTP/1.1 " . (-e "/tmp/good" ? 200 : 503) . " x\r\n\r\n" if defined $l; close $c }';

for (['tcp', { tcp => 8000 }, 'go'], ['http', { http => { port => 8000, path => '/health' } }, 'good'],
    ['exec', { exec => ['test', '-e', '/tmp/good'] }, 'good']) {
	my ($id, $ready, $when) = @$_;
	service($d, $id, ['perl', '-e', $serve], ready => { %$ready, interval_ms => 100 });
	ok(event($d, $id, 'service.started'), "$id: started");
	$d->exec($id, 'sleep 0.4');
	is_deeply([names($d, $id, 'service.ready')], [], 'not ready');
	if ($when eq 'good') {
		$d->exec($id, 'touch /tmp/go; sleep 0.5');
		is_deeply([names($d, $id, 'service.ready')], [], 'nor while it answers that it is not');
	}
	$d->exec($id, "touch /tmp/$when");
	ok(event($d, $id, 'service.ready'), 'ready');
	is(scalar(names($d, $id, 'service.ready')), 1, 'once');
}
service($d, 'late', 'sleep 600', ready => { tcp => 8000, timeout_ms => 700, interval_ms => 100 });
my $e = event($d, 'late', 'service.failed');
is($e && $e->{reason}, 'not ready in time', 'too late is a failed start');
service($d, 'again', 'sleep 600', restart => 'on-failure', backoff_ms => 50, start_limit => 3,
    ready => { exec => ['false'], timeout_ms => 200, interval_ms => 50 });
$e = event($d, 'again', 'service.failed');
is($e && $e->{reason}, 'started too often', 'which is tried again as the policy says, within its limit');
is(scalar(names($d, 'again', 'service.exited')), 3, 'three times here');

# What cannot be meant.
for ({ ready => {} }, { ready => { tcp => 1, notify => \1 } }, { ready => { tcp => 0 } },
    { ready => { http => { port => 1, path => "/a b" } } }, { ready => { exec => [] } },
    { ready => { notify => \0 } }, { restart => 'often' }, { watchdog => {} }, { unknown => 1 },
    { watchdog => { ms => 100, action => 'x' } }, { finish => { command => [] } }) {
	is($d->error('sandbox.create', { id => 'no', entrypoint => ['true'], service => $_ }), 'bad_request',
	    'refused: ' . to_json($_));
}
is($d->error('sandbox.create', { id => 'no', service => {} }), 'bad_request', 'a service of nothing');
is($d->error('sandbox.get', { id => 'no' }), 'sandbox_not_found', 'none has come of them');
done_testing;
