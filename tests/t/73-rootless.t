# sandboxd for a user who is not root: fewer mechanisms, and it says which.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();		# to become somebody else
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
