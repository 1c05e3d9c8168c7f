# sandboxd for a user who is not root: fewer mechanisms, and it says which.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();		# to become somebody else
need_program('setpriv', 'socat');
my $uid = 54321;
# The programs must be within reach of that user.
my $reach = run_cmd(['setpriv', "--reuid=$uid", "--regid=$uid", '--clear-groups',
    program('sandboxd'), '--version']);
plan(skip_all => 'the build directory is not open to other users')
    if $reach->{status} != 0;

my $d = eval { Sandboxd->start(uid => $uid) };
ok($d, 'it starts') or diag($@), done_testing, exit;
my $s = $d->ok('status');
is($s->{uid}, $uid, 'as that user');
diag('gives: ' . join(' ', grep { $s->{isolation}{$_} } sort keys %{$s->{isolation}}));

my $r = $d->request('sandbox.create', { id => 'r' });
if ($r->{ok}) {
	my $have = $r->{ok}{isolation};
	ok($have->{no_new_privs}, 'no_new_privs holds');
	ok(!$have->{idmap}, 'idmap does not, and that is said');
	is($d->sh('r', 'echo in')->{stdout}, "in\n", 'a command runs');
	is($d->sh('r', 'cat /etc/shadow')->{stdout}, '', 'and cannot read secrets');
	isnt($d->sh('r', 'ls /proc/' . $d->{pid})->{exit_code}, 0,
	    'nor see host processes') if $have->{pid};
	$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'r' });
	my @e = $d->turn('s', 'hello');
	is($e[-1]{type}, 'turn.ended', 'a session works');
	is($d->error('sandbox.create', { id => 'full', isolation => 'full' }),
	    'isolation_unavailable', 'full isolation is refused, not weakened');
	SKIP: {
		skip 'no network of its own here', 2 unless $have->{net};
		$d->ok('sandbox.create', { id => 'f', network => 'filtered' });
		my $dial = 'exec 3<>/dev/tcp/127.0.0.1/61080; printf "CONNECT a.example:80 '
		    . 'HTTP/1.1\r\n\r\n" >&3; head -1 <&3';
		like($d->exec('f', ['bash', '-c', $dial])->{stdout}, qr{^HTTP/1\.1 403 },
		    'a filtered network is served');
		ok((grep { $_->{event} eq 'egress' && $_->{host} eq 'a.example' }
		    @{$d->ok('sandbox.events', { id => 'f' })->{events}}), 'and told of');
		$d->ok('sandbox.destroy', { id => 'f' });
	}
	$d->ok('sandbox.destroy', { id => 'r' });
} else {
	like($r->{error}{code}, qr/isolation_unavailable|sandbox_failed|system/,
	    'it says why it cannot: ' . $r->{error}{detail});
}
ok($d->stop, 'it ends in order');
is(join("\n", $d->leftovers), '', 'and leaves nothing');

# Who may use it: its user, root, and whom he names; and others have limits.
my ($group, $gid) = (getgrnam("games"))[0, 2];
my $shared = Sandboxd->start(uid => $uid, conf => "[control]\nallow_users = 12345\n"
    . "allow_group = $group\nmax_per_user = 3\nrate = 20\n");

sub ask {
	my ($as, $with, $line) = @_;
	return run_cmd(['setpriv', "--reuid=$as", "--regid=$as",
	    $with ? ('--groups', $with) : '--clear-groups', 'socat', '-t', '5', '-',
	    "UNIX-CONNECT:$shared->{socket}"], stdin => "$line\n", timeout => 20)->{out};
}
like(ask($uid, 0, 'sandbox.list'), qr/"ok"/, 'its own user may');
like(ask(0, 0, 'sandbox.list'), qr/"ok"/, 'root may');
like(ask(12345, 0, 'sandbox.list'), qr/"ok"/, 'one whom he names may');
like(ask(23456, $gid, 'sandbox.list'), qr/"ok"/, 'a member of his group may');
like(ask(23456, 0, 'sandbox.list'), qr/"denied"/, 'nobody else');
like(ask(23456, 0, 'status'), qr/"ok"/, 'but ask how it is');

# Four connections, of which one is too many; then fifty requests on the first.
my $greedy = <<'PERL';
use IO::Socket::UNIX;
use Time::HiRes qw(time);
my @s = map { IO::Socket::UNIX->new(Peer => $ARGV[0]) } 1 .. 4;
my ($n, $text, $began) = (0, '', time);
print { $s[3] } "status\n";
my $last = readline($s[3]) // '';
print $last =~ /"limit"/ ? 'limit' : $last =~ /"ok"/ ? 'served' : "? $last", ' ';
syswrite($s[0], "help\n" x 50);
while ($n < 50) {
	sysread($s[0], my $more, 65536) or last;
	$n += $more =~ tr/\n//;
}
printf "%d in %.2f\n", $n, time - $began;
PERL
sub greedy {
	my ($as) = @_;
	my $got = run_cmd(['setpriv', "--reuid=$as", "--regid=$as", '--clear-groups', 'perl', '-e',
	    $greedy, $shared->{socket}], timeout => 60);
	return $got->{out} =~ /^(\S+) (\d+) in ([\d.]+)/;
}
sleep(1);	# whoever came before has asked in this second
my ($last, $n, $took) = greedy(12345);
is("$last $n", 'limit 50', 'the one whom he names has no more connections than he may');
cmp_ok($took, '>', 1.3, 'nor more requests in a second');
($last, $n) = greedy($uid);
is("$last $n", 'served 50', 'its own user has no limit');
my ($check) = grep { $_->{name} eq 'control socket' } @{$shared->ok('doctor')->{checks}};
is($check->{state}, 'ok', 'doctor: they can get there');
chmod(0700, $shared->{run});
($check) = grep { $_->{name} eq 'control socket' } @{$shared->ok('doctor')->{checks}};
is($check->{state}, 'missing', 'and not when the directory is closed, as those of log-ins are');
like($check->{detail}, qr/\Q$shared->{run}\E lets nobody else through/, 'which it names');
$shared->restart;
like(slurp($shared->{log}), qr/allow_users and allow_group are of no use.* directory=\Q$shared->{run}\E/,
    'the log says so at start');
ok($shared->stop, 'it ends');

# Without any option: the user's own directories.
my $home = Sandboxd->scratch_dir;
mkdir("$home/$_") for qw(run state config);
chown($uid, $uid, $home, glob("$home/*"));
my $got = run_cmd(['setpriv', "--reuid=$uid", "--regid=$uid", '--clear-groups',
    'env', '-i', "HOME=$home", "XDG_RUNTIME_DIR=$home/run",
    "XDG_STATE_HOME=$home/state", "XDG_CONFIG_HOME=$home/config",
    program('sandboxd'), '-C']);
is($got->{status}, 0, '-C as a user');
like($got->{out}, qr{^state_dir = \Q$home\E/state/sandboxd$}m, 'XDG_STATE_HOME');
like($got->{out}, qr{^run_dir = \Q$home\E/run/sandboxd$}m, 'XDG_RUNTIME_DIR');

done_testing;
