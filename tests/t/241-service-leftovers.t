# What a service leaves, says and does is its own affair: no process of a former life
# is in the way of the next, no words of a former life make it ready, and one that
# comes and goes without end fills no log.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Service;
use Test::More;

need_root();
my $d = Sandboxd->start;

# A child of its session that lives on, and one that ignores what it can.
service($d, 'left', 'echo $$ >>/tmp/lives; (trap "" TERM HUP; exec sleep 601) & exit 1',
    restart => 'always', backoff_ms => 200, start_limit => 3);
ok(event($d, 'left', 'service.failed'), 'three lives');
is($d->exec('left', 'wc -l </tmp/lives')->{stdout} + 0, 3, 'are three');
ok(wait_for(10, sub { $d->exec('left', 'ps ax -o args= | grep -c "[s]leep 601"')->{stdout} <= 1 }),
    'of which the last alone has left something');
service($d, 'stays', '(exec sleep 602) & exit 0', restart => 'on-failure');
ok(event($d, 'stays', 'service.exited'), 'one that ends well');
$d->exec('stays', 'sleep 0.3');
is($d->exec('stays', 'ps ax -o args= | grep -c "[s]leep 602"')->{stdout}, "1\n",
    'and is not started again may leave what it likes');

# Ready and gone at once: both are told, in this order.
service($d, 'quick', 'echo >&3', ready => { notify => \1 });
ok(event($d, 'quick', 'service.exited'), 'gone at once');
is(join(' ', grep { /^service/ } names($d, 'quick')), 'service.started service.ready service.exited', 'but ready first');

# A probe of the former life answers late: that is not this life's readiness.
service($d, 'probe', 'echo >>/tmp/n; test $(wc -l </tmp/n) -gt 1 || exit 1; sleep 600', restart => 'always',
    backoff_ms => 50, ready => { exec => ['sh', '-c',
    'echo >>/tmp/probes; test $(wc -l </tmp/probes) -eq 1 || exit 1; sleep 1'], interval_ms => 100, timeout_ms => 60000 });
ok(event($d, 'probe', 'service.restarted'), 'started again while it is probed');
ok(wait_for(20, sub { $d->exec('probe', 'wc -l </tmp/probes')->{stdout} >= 4 }), 'probed again and again');
is_deeply([names($d, 'probe', 'service.ready')], [], 'and not ready by the first');

# NOTIFY_FD is ours to say; its user may open it by name.
$d->ok('sandbox.create', { id => 'env', env => { NOTIFY_FD => '77' }, user => '1000:1000',
    entrypoint => ['sh', '-c', 'echo $NOTIFY_FD >/tmp/fd; echo >/proc/self/fd/$NOTIFY_FD; sleep 600'],
    service => { ready => { notify => \1 } } });
ok(event($d, 'env', 'service.ready'), 'a plain user is ready by the name of the descriptor');
is($d->exec('env', 'cat /tmp/fd')->{stdout}, "3\n", 'which no other variable hides');

# It comes and goes as fast as it may.
service($d, 'fast', 'echo >>/tmp/n', restart => 'always', backoff_ms => 1, backoff_max_ms => 1,
    start_limit => 64, start_limit_ms => 1);
ok(wait_for(60, sub { $d->exec('fast', 'wc -l </tmp/n')->{stdout} > 400 }), 'four hundred lives');
my @e = Sandboxd::Service::events_of($d, 'fast');
my $time = ($e[-1]{at} - $d->ok('sandbox.get', { id => 'fast' })->{created_at}) / 1000;
cmp_ok($e[-1]{seq}, '<=', 410 + 20 * $time, 'are not all told');
ok((grep { ($_->{left_out} // 0) > 0 } @e) || wait_for(10, sub {
	grep { ($_->{left_out} // 0) > 0 } Sandboxd::Service::events_of($d, 'fast') }), 'but counted');
is($d->exec('left', 'echo ok')->{stdout}, "ok\n", 'a neighbour works');
$d->ok('sandbox.destroy', { id => $_ }) for qw(left stays quick probe env fast);
ok($d->stop, 'an orderly end');
is(join("\n", $d->leftovers), '', 'nothing is left');
done_testing;
