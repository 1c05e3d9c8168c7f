# As a service of systemd: what it is told, when, and the units.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Manager;
use IO::Socket::UNIX;
use Test::More;
use Time::HiRes qw(time);

need_root();
need_program('python3', 'systemd-analyze', 'setpriv');

# --- the life of a service -----------------------------------------------------------

my $d = Sandboxd->start(no_launch => 1);
my $m = Sandboxd::Manager->start($d, []);
my $e = $m->ready;
ok($e, 'READY=1 comes') or diag($d->log_tail), done_testing, exit;
is($e->{notify}{MAINPID}, $d->{pid}, 'with MAINPID');
like($e->{notify}{STATUS}, qr/\w/, 'and a STATUS');
is($d->ok('sandbox.create', { id => 'a' })->{state}, 'running',
    'work is taken the moment after');
is($d->sh('a', 'env | grep -c -e NOTIFY -e LISTEN -e WATCHDOG')->{stdout}, "0\n",
    'a command is told nothing of it');

# A good reload, and a bad one.
my $conf = slurp("$d->{dir}/conf");
my $before = int(`cut -d. -f1 /proc/uptime`) * 1e6;
kill('HUP', $d->{pid});
$e = $m->until(10, sub { $_[0]{notify}{RELOADING} });
ok($e, 'HUP: RELOADING=1') or diag(explain($m->{events}));
cmp_ok($e->{notify}{MONOTONIC_USEC} // 0, '>', $before - 2e6,
    'with the time of the monotonic clock');
ok($m->until(10, sub { $_[0]{notify}{READY} }), 'then READY=1');
spew("$d->{dir}/conf", "$conf\n[control]\nmax_clients = many\n");
kill('HUP', $d->{pid});
ok($m->until(10, sub { $_[0]{notify}{RELOADING} }), 'a bad file: RELOADING=1');
$e = $m->until(10, sub { $_[0]{notify}{READY} });
like($e->{notify}{STATUS}, qr/^Not reloaded: .*conf:\d+: control\.max_clients/,
    'then READY=1 with the line that is wrong in STATUS');

$e = $m->stop;
is($e->{ended}, 0, 'it ends in order');
my ($stopping) = grep { $_->{notify}{STOPPING} } @{$m->{events}};
ok($stopping, 'STOPPING=1 was told');
cmp_ok($stopping->{notify}{EXTEND_TIMEOUT_USEC} // 0, '>=', 5e6,
    'with the time that it may take');
is("@{$e->{kept}}", '', 'no descriptor is kept of an orderly end');
is(join("\n", $d->leftovers), '', 'and nothing is left');

# An abstract notify socket, and one that nobody reads.
$d = Sandboxd->start(no_launch => 1);
$m = Sandboxd::Manager->start($d, [], env => { MANAGER_ABSTRACT => "sandboxd-t-$$" });
ok($m->ready, 'an abstract NOTIFY_SOCKET');
is($m->stop->{ended}, 0, 'ends');
for my $socket ('/nonexistent/notify', 'vsock:2:99', '@', '/' . 'x' x 200) {
	my $other = Sandboxd->start(env => { NOTIFY_SOCKET => $socket,
	    WATCHDOG_USEC => 'soon' });
	ok($other->ok('status'), "NOTIFY_SOCKET=" . substr($socket, 0, 20)
	    . ' costs nothing');
	$other->stop;
}

# --- the units ------------------------------------------------------------------------

my $units = Sandboxd->scratch_dir;
my $service = slurp(build_dir() . '/contrib/systemd/sandboxd.service');
ok(defined $service, 'the service unit is made') or done_testing, exit;
my $sbin = build_dir();
$service =~ s{^ExecStart=\S*/sandboxd$}{ExecStart=$sbin/sandboxd}m
    or fail('ExecStart is there');
spew("$units/sandboxd.service", $service);
spew("$units/sandboxd.socket",
    slurp(build_dir() . '/contrib/systemd/sandboxd.socket'));
my $got = run_cmd(['systemd-analyze', 'verify', '--man=no',
    "$units/sandboxd.service", "$units/sandboxd.socket"], timeout => 60);
is($got->{status}, 0, 'systemd-analyze verify');
is($got->{err}, '', 'says nothing');
spew("$units/sandboxd.service", "${service}NoSuchThing=1\n");
$got = run_cmd(['systemd-analyze', 'verify', '--man=no',
    "$units/sandboxd.service"], timeout => 60);
like($got->{err}, qr/NoSuchThing/, '(it would have said)');
spew("$units/sandboxd.service", $service);
$got = run_cmd(['systemd-analyze', 'security', '--offline=true', '--no-pager',
    "$units/sandboxd.service"], timeout => 60);
my ($exposure) = $got->{out} =~ /exposure level for \S+: ([\d.]+)/;
ok(defined $exposure && $exposure <= 6.7, 'systemd-analyze security: at most 6.7')
    or diag("it says " . ($exposure // $got->{err}));
diag("exposure $exposure");

# With the capabilities that the unit leaves, everything still works.
(my $one_line = $service) =~ s/\\\n//g;
my ($caps) = $one_line =~ /^CapabilityBoundingSet=(.*)$/m;
my $set = join(',', '-all', map { '+' . lc } map { /^CAP_(\w+)/ }
    grep { $_ ne 'CAP_SYS_RESOURCE' } split ' ', $caps);
$d = Sandboxd->start(no_launch => 1);
{
	no warnings 'redefine';
	my $argv = \&Sandboxd::argv;
	local *Sandboxd::argv = sub { ('/usr/bin/setpriv',
	    "--bounding-set=$set", '--no-new-privs', $argv->(@_)) };
	ok(eval { $d->launch }, "it starts with the unit's capabilities only")
	    or diag($@);
}
is($d->ok('sandbox.create', { id => 'full', isolation => 'full',
    limits => { memory => '64M', pids => 50 } })->{state}, 'running',
    'and isolates fully');
is($d->sh('full', 'id -u')->{stdout}, "0\n", 'a command runs');
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'full' });
is(($d->turn('s', 'hello'))[-1]{type}, 'turn.ended', 'and a session');
ok($d->stop, 'it ends');
is(join("\n", $d->leftovers), '', 'nothing is left');

done_testing;
