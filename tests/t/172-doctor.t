# doctor: with a daemon, without one, and on a host that lacks something.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use IO::Socket::INET;
use Test::More;

need_root();
need_program('setpriv', 'unshare');

sub checks { return map { $_->{name} => $_ } @{$_[0]{checks}} }

my $d = Sandboxd->start(http => 1);
my $said = $d->ok('doctor');
my %c = checks($said);
is($said->{running}, JSON::PP::true, 'the daemon says that it runs');
my $isolation = $d->ok('status')->{isolation};
is(join(' ', grep { ($c{$_}{state} eq 'ok') != !!$isolation->{$_} } keys %$isolation),
    '', 'about mechanisms it says what status says');
is(join(' ', grep { !$c{$_} } 'kernel', 'group memory', 'group cpu', 'group pids',
    'ids', 'open files', 'state directory', 'disk space', 'database locks',
    'disk limits', 'loop devices', 'helper programs', 'run directory', 'port'), '',
    'and looks at all the rest');
is($c{port}{state}, 'note', 'HTTP without a token is for all users of the machine');
is(join(' ', map { $_->{name} } grep { ($_->{state} eq 'missing') && !$_->{mend} }
    values %c), '', 'whatever is missing comes with what mends it');
is(!!$said->{ok}, !grep({ $_->{state} eq 'missing' } values %c), 'ok is the sum');
my $got = $d->ctl(['doctor']);
is($got->{status}, $said->{ok} ? 0 : 1, 'sandboxctl doctor: the exit status');
like($got->{out}, qr/^ok\s+kernel\s+Linux/m, 'a line for each');
$got = $d->ctl(['doctor', '--json']);
is(join(' ', sort keys %{{ checks(from_json($got->{out})) }}), join(' ', sort keys %c),
    'as JSON');
$got = $d->ctl(['doctor', '--seccomp']);
like($got->{out}, qr/\bread\b/, '--seccomp prints the filter');
my $stranger = run_cmd(['setpriv', '--reuid=12345', '--regid=12345',
    '--clear-groups', 'socat', '-t', '5', '-', "UNIX-CONNECT:$d->{socket}"],
    stdin => "doctor\n");
like($stranger->{out}, qr/"denied"/, 'not for strangers');

# Without a daemon. A configuration whose port is taken.
my $taken = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1:0');
my $port = $taken->sockport;
my $dir = Sandboxd->scratch_dir;
my $conf = spew("$dir/conf", "[daemon]\nlibexec_dir = " . build_dir()
    . "\nstate_dir = $dir/state\nrun_dir = $dir/run\n"
    . "[gateway]\nlisten = 127.0.0.1:$port\n");
$got = run_cmd([program('sandboxd'), '-c', $conf, '--doctor=json']);
is($got->{status}, 1, 'sandboxd --doctor: something is missing');
%c = checks(from_json($got->{out}));
is($c{port}{state}, 'missing', 'the port');
like($c{port}{mend}, qr/^ss -ltnp 'sport = :$port'/, 'with the command that tells who');
ok(!-e "$dir/state" && !-e "$dir/run", 'and nothing was made');
close($taken);
$got = run_cmd([program('sandboxctl'), '--socket', "$dir/none.sock", 'doctor', '-c',
    $conf, '--json']);
is((checks(from_json($got->{out})))[1] ? {checks(from_json($got->{out}))}->{port}{state}
    : '', 'ok', 'sandboxctl without a daemon: free again');
$got = run_cmd([program('sandboxctl'), '--socket', "$dir/none.sock", 'doctor']);
like($got->{out}, qr/^\w+\s+state directory/m, 'without a configuration too');
like($got->{err}, qr/no daemon answers/, 'which it says');
$got = run_cmd([program('sandboxd'), '--doctor=xml']);
is($got->{status}, 100, 'a form that it does not have');

# A host that gives less: what is missing is told, each with its command.
spew("$dir/bare", "[daemon]\nlibexec_dir = $dir\nstate_dir = $dir/ro/state\n"
    . "run_dir = $dir/run\n[gateway]\nlisten =\n");
mkdir("$dir/ro");
$got = run_cmd(['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /sys/fs/cgroup && '
    . "mount -t tmpfs -o ro none $dir/ro && "
    . 'exec setpriv --bounding-set=-sys_admin,-setuid --inh-caps=-sys_admin,-setuid '
    . '"$@"', 'sh', program('sandboxd'), '-c', "$dir/bare", '--doctor=json']);
%c = checks(from_json($got->{out}));
is($got->{status}, 1, 'a bare host');
for (['group memory', qr/Delegate=yes|cgroup2/], ['helper programs', qr/libexec-dir/],
    ['state directory', qr/\S/], ['idmap', qr/SYS_ADMIN|root/]) {
	my ($name, $mend) = @$_;
	is($c{$name}{state}, 'missing', "$name is missing");
	like($c{$name}{mend}, $mend, 'and how to mend it');
}

# An ordinary user.
$got = run_cmd(['setpriv', '--reuid=54321', '--regid=54321', '--clear-groups', 'env',
    '-i', "HOME=$dir", program('sandboxd'), '--doctor=json']);
%c = checks(from_json($got->{out}));
is($c{idmap}{state}, 'missing', 'as a user: no mapped mounts');
is($c{ids}{state}, 'note', 'and one id');
ok($d->stop, 'it ends');

done_testing;
