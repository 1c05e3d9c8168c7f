# B16: active only when the sockets listen and the store is open.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Manager;
use IO::Socket::UNIX;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
need_program('python3');

# A store that takes its time: until it goes on, nobody is told that we are ready.
my $gate = Sandboxd->scratch_dir . '/go';
my $programs = Sandboxd::Manager->programs_with('sandboxd-store' =>
    "while ! test -e $gate; do sleep 0.05; done; exec \@REAL\@ \"\$@\"");
my $d = Sandboxd->start(no_launch => 1, args => ['--libexec-dir', $programs]);
my $m = Sandboxd::Manager->start($d, []);
ok($m->until(10, sub { $_[0]{started} }), 'it is started');
ok(wait_for(10, sub { -S $d->{socket} }), 'the control socket is there');
ok(wait_for(10, sub { grep { Sandboxd::title_of($_) =~ /go/ ||
    Sandboxd::title_of($_) =~ /sandboxd-store/ }
    Sandboxd::descendants($d->{pid}) }), 'the store has not opened yet');
my $e = $m->until(1.5, sub { $_[0]{notify}{READY} });
is($e, undef, 'no READY=1 without the store');
my $c = IO::Socket::UNIX->new(Peer => $d->{socket});
ok($c, 'who connects meanwhile is not refused');
syswrite($c, "status\n");
my $opened = time;
spew($gate, '');
$e = $m->ready;
ok($e, 'READY=1 when it has opened');
is($e->{notify}{MAINPID}, $d->{pid}, 'MAINPID');
my $line = '';
my $bits = '';
vec($bits, fileno($c), 1) = 1;
sysread($c, $line, 65536) if select($bits, undef, undef, 10) > 0;
like($line, qr/"ok":\{"version"/, 'who has waited is answered');
ok(ref $d->ok('status')->{store} eq 'HASH', 'and the store answers at once');
my $monotonic = (split ' ', slurp('/proc/uptime'))[0] * 1e6;
kill('HUP', $d->{pid});
$e = $m->until(10, sub { $_[0]{notify}{RELOADING} });
ok($e && abs($e->{notify}{MONOTONIC_USEC} - $monotonic) < 10e6,
    'RELOADING= with monotonic time');
ok($m->until(10, sub { $_[0]{notify}{READY} }), 'and READY=1 again');
is($m->stop->{ended}, 0, 'it ends');
is(scalar(grep { $_->{notify}{STOPPING} } @{$m->{events}}), 1, 'STOPPING=1, once');
is(scalar(grep { $_->{notify}{STATUS} } @{$m->{events}}) > 2, 1, 'STATUS= with each');

# One that never opens: never ready, and an exit that says failure.
$d = Sandboxd->start(no_launch => 1, args => ['--libexec-dir',
    Sandboxd::Manager->programs_with('sandboxd-store' => 'exit 1')]);
$m = Sandboxd::Manager->start($d, []);
$e = $m->until(30, sub { exists $_[0]{ended} });
is($e->{ended}, 111, 'a store that cannot open ends the start');
is(scalar(grep { $_->{notify}{READY} } @{$m->{events}}), 0, 'without READY=1');

done_testing;
