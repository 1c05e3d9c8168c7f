# B29: what is paused, exposed, filtered or on a time limit is so after the
# supervisor was replaced.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Test::More;

need_root();
need_program('curl');
my $d = Sandboxd->start(http => 1);
$d->ok('sandbox.create', { id => 'p' });
$d->ok('sandbox.create', { id => 'f', network => 'filtered' });
$d->ok('sandbox.create', { id => 't', limits => { time => 4 } });
my $x = $d->ok('sandbox.expose', { id => 'p', port => 8080, listen => '127.0.0.1:0' });
my $init = $d->ok('sandbox.get', { id => 'p' })->{pid};
$d->ok('sandbox.pause', { id => 'p' });
for (1 .. 2) {
	my $r = $d->request('upgrade', { wait => '60s' }, timeout => 120);
	ok($r->{ok}, 'upgrade') or diag(to_json($r));
}
is($d->ok('sandbox.get', { id => 'p' })->{state}, 'paused', 'still paused');
$d->ok('sandbox.resume', { id => 'p' });
is($d->ok('sandbox.get', { id => 'p' })->{pid}, $init, 'the same init goes on');
is($d->exec('p', ['echo', 'hi'])->{stdout}, "hi\n", 'and works');
is($d->ok('sandbox.expose', { id => 'p', port => 8080, listen => $x->{listen} })
    ->{listen}, $x->{listen}, 'the exposed port listens where it did');
ok($d->ok('sandbox.unexpose', { id => 'p', port => 8080 }), 'until it is told');
like($d->exec('f', 'curl -s -o /dev/null -w "%{http_code}" '
    . 'http://169.254.169.254/ || true')->{stdout}, qr/403|50\d/,
    'the proxy of a filtered sandbox answers');
ok(wait_for(20, sub { $d->ok('sandbox.get', { id => 't' })->{state} eq 'stopped' }),
    'the time limit runs on');
done_testing;
