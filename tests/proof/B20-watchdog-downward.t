# B20: a service that is silent for its time is hung, which is told; then it is
# stopped, started again or left alone, as the policy says.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Service;
use Test::More;

need_root();
my $d = Sandboxd->start;
my $talk = 'for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.4; done; ';
my @ways = (['stdout', $talk], ['stderr', $talk =~ s/echo \$i/echo \$i >&2/r], ['pings', $talk =~ s/echo \$i/echo \$i >&3/r]);
service($d, $_->[0], "$_->[1] touch /tmp/silent; sleep 600", watchdog => { ms => 2000, action => 'stop' }) for @ways;
for my $id (map { $_->[0] } @ways) {
	my $e = event($d, $id, 'service.failed');
	is($e && $e->{reason}, 'hung', "$id: stopped when silent");
	is($d->exec($id, 'ls /tmp/silent')->{exit_code}, 0, 'and not while it spoke');
	is(join(' ', grep { /hung|exited|failed/ } names($d, $id)), 'service.hung service.exited service.failed', 'told');
}
service($d, 'r', 'date +%N >>/tmp/starts; trap "" TERM; kill -STOP $$; sleep 600',
    watchdog => { ms => 300, action => 'restart' }, backoff_ms => 50, start_limit => 20);
ok(wait_for(20, sub { names($d, 'r', 'service.restarted') >= 2 }), 'started again, though it is stopped and ignores TERM');
service($d, 'n', 'sleep 600', watchdog => { ms => 300, action => 'nothing' });
ok(event($d, 'n', 'service.hung'), 'only told');
$d->exec('n', 'sleep 0.8');
is(join(' ', names($d, 'n')) =~ s/.*service.started //r, 'service.hung', 'and left alone');
is($d->ok('sandbox.get', { id => 'n' })->{service_state}{state}, 'hung', 'as its record says');
service($d, 'm', 'while :; do echo; sleep 0.1; done', watchdog => { ms => 2000 });
$d->exec('m', 'sleep 2.5');
is_deeply([names($d, 'm', 'service.hung')], [], 'one that speaks is not');
done_testing;
