# B26: the finish command gets code and signal, is bounded in time, and its 125 is
# believed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Service;
use Test::More;

need_root();
my $d = Sandboxd->start;
my $note = ['sh', '-c', 'echo "$1 $2" >>/tmp/finish', 'finish'];
service($d, 'code', 'exit 42', finish => { command => $note });
ok(wait_for(20, sub { $d->exec('code', 'cat /tmp/finish')->{stdout} eq "42 0\n" }), 'a code');
service($d, 'signal', 'kill -USR1 $$', finish => { command => $note });
ok(wait_for(20, sub { $d->exec('signal', 'cat /tmp/finish')->{stdout} eq "256 10\n" }), 'a signal');
service($d, 'program', ['/no/such'], finish => { command => $note });
ok(wait_for(20, sub { $d->exec('program', 'cat /tmp/finish')->{stdout} eq "127 0\n" }), 'a program that is not there');

# It comes before the next start, each time.
service($d, 'order', 'echo start >>/tmp/finish; exit 1', restart => 'always', backoff_ms => 30, start_limit => 3,
    finish => { command => $note });
ok(event($d, 'order', 'service.failed'), 'until the limit');
is($d->exec('order', 'cat /tmp/finish')->{stdout}, "start\n1 0\n" x 3, 'in order');

# 125 ends it, whatever the policy.
service($d, 'enough', 'exit 1', restart => 'always', backoff_ms => 30, start_limit => 50,
    finish => { command => ['sh', '-c', 'echo >>/tmp/n; test $(wc -l </tmp/n) -lt 3 || exit 125'] });
my $e = event($d, 'enough', 'service.failed');
like($e && $e->{reason}, qr/125/, '125 is believed');
is(scalar(names($d, 'enough', 'service.exited')), 3, 'at the third end');
$d->exec('enough', 'sleep 0.5');
is(scalar(names($d, 'enough', 'service.exited')), 3, 'and for good');
is($d->ok('sandbox.get', { id => 'enough' })->{service_state}{state}, 'failed', 'as its record says');

# One that does not end is ended, and all it has started.
service($d, 'slow', 'exit 1', restart => 'always', backoff_ms => 30, start_limit => 2,
    finish => { command => ['sh', '-c', 'sleep 601 & trap "" TERM; sleep 602'], timeout_ms => 300 });
ok(event($d, 'slow', 'service.failed'), 'its time is bounded');
ok(wait_for(10, sub { $d->exec('slow', 'ps ax -o args= | grep -c "[s]leep 60"')->{stdout} eq "0\n" }), 'nothing of it is left');
service($d, 'broken', 'exit 1', restart => 'always', backoff_ms => 30, start_limit => 2,
    finish => { command => ['/no/such'] });
ok(event($d, 'broken', 'service.failed'), 'one that cannot be started changes nothing');
done_testing;
