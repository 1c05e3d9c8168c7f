# B17: a service that writes a newline to the descriptor it was given is ready at
# that moment: not before, not by other bytes, and never without one.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Service;
use Test::More;

need_root();
my $d = Sandboxd->start;

service($d, 'a', 'echo no >/tmp/ready; while [ ! -e /tmp/go ]; do sleep 0.05; done; printf x >&"$NOTIFY_FD"; '
    . 'while [ ! -e /tmp/go2 ]; do sleep 0.05; done; echo >&"$NOTIFY_FD"; sleep 600' =~ s/&"\$NOTIFY_FD"/&3/gr,
    ready => { notify => \1 });
ok(event($d, 'a', 'service.started'), 'it is started');
is($d->ok('sandbox.get', { id => 'a' })->{service_state}{state}, 'running', 'and runs');
$d->exec('a', 'touch /tmp/go');
$d->exec('a', 'sleep 0.5');
is_deeply([names($d, 'a', 'service.ready')], [], 'other bytes do not make it ready');
$d->exec('a', 'touch /tmp/go2');
ok(event($d, 'a', 'service.ready'), 'the newline does');
is($d->ok('sandbox.get', { id => 'a' })->{service_state}{state}, 'ready', 'as its record says');

# The descriptor's number is told; the newline may stand among others.
service($d, 'b', 'eval "printf \"a\nb\" >&$NOTIFY_FD"; sleep 600', ready => { notify => \1 });
ok(event($d, 'b', 'service.ready'), 'by the number in NOTIFY_FD');

# None comes: a failed start, within its time.
service($d, 'c', 'exec 3>&-; sleep 600', ready => { notify => \1, timeout_ms => 500 });
my $e = event($d, 'c', 'service.failed');
is($e && $e->{reason}, 'not ready in time', 'none, even when the descriptor is closed: a failed start');
is($d->exec('c', 'ps ax -o args= | grep -c "[s]leep 600"')->{stdout}, "0\n", 'and it is gone');
done_testing;
