# A17: descriptors passed to us over our own sockets: many, in cut off messages,
# descriptors of sockets. They are closed, the channel ends, and the receiver has as
# many as before. The senders are clients of the control socket and a program in the
# session worker's place.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
use IO::Socket::UNIX;

sub fds { my @f = glob("/proc/$_[0]/fd/*"); return scalar @f }
my $sender = helper('passer');
my $dir = Sandboxd->scratch_dir;
run_cmd(['cp', (map { program($_) } qw(sandboxd sandboxd-store sandboxd-init sandboxd-session
    sandboxd-relay sandboxd-gateway sandboxd-courier)), $dir]);

# The passer works: who takes them without a look has them.
{
	my $got = run_cmd(['perl', '-e', 'use Socket; socketpair(A, B, AF_UNIX, SOCK_STREAM, 0); '
	    . 'fcntl(A, 2, 0); system($ARGV[0], fileno(A), 40, "x"); '
	    . '$n = () = glob("/proc/$$/fd/*"); $m = pack("Q2LLQ2QLL", 0, 0, 0, 0, 0, 0, 0, 0, 0); '
	    . 'recv(B, $b, 9, 0); print $b', $sender]);
	is($got->{out}, 'x', 'forty are sent and arrive');
}
my $real = Sandboxd->start;
$real->ok('sandbox.create', { id => 'b' });
$real->ok('session.create', { id => 's', agent => 'mock', sandbox => 'b' });
is($real->ok('session.get', { id => 's' })->{id}, 's', 'with the real worker a session begins');
$real->stop;
run_cmd(['cp', $sender, "$dir/sandboxd-session"]);
my $d;
{
	local $ENV{SANDBOXD_BUILD} = $dir;
	$d = Sandboxd->start;
}
$d->ok('sandbox.create', { id => 'b' });
$d->exec('b', ['true']);
my @ours = ($d->{pid}, $d->children(qr/store|relay|init\W+b/));
my %base = map { $_ => fds($_) } @ours;
for my $round (1 .. 3) {
	for my $n (1, 16, 253) {
		my $c = IO::Socket::UNIX->new(Peer => $d->{socket}) or die;
		fcntl($c, Fcntl::F_SETFD(), 0);
		run_cmd([$sender, fileno($c), $n, "{\"id\":1,\"op\":\"status\"}\n"], timeout => 20);
		close($c);
	}
	my $r = $d->request('session.create', { id => "s$round", agent => 'mock', sandbox => 'b' },
	    timeout => 60);
	ok($r->{error}, 'a worker that sends descriptors makes no session') or diag(to_json($r));
	is($d->ok('status')->{pid}, $d->{pid}, 'the supervisor is well');
}
for my $pid (@ours) {
	my $name = Sandboxd::title_of($pid);
	ok(-d "/proc/$pid", "$name lives");
	# the client that asks is one more
	ok(wait_for(10, sub { fds($pid) <= $base{$pid} + 1 }), "$name has the descriptors it had")
	    or diag("$base{$pid} before, " . fds($pid) . ' now');
}
is($d->sh('b', 'echo on')->{stdout}, "on\n", 'the sandbox is well');
ok(wait_for(10, sub { !$d->children(qr/sandboxd-session/) }), 'no such worker is left');
like(slurp($d->{log}), qr/descriptor/, 'the log says why') or diag($d->log_tail);
done_testing;
