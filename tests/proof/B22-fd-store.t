# B22: kill -9 and restart by the service manager: the same sandboxes, no refused
# connection. The sockets are kept by the manager. Sandboxes need no place there:
# the next supervisor finds each by the socket in its directory, and by that a
# pidfd of its init, with a manager or without; so they are the very same.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Manager;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
need_program('python3');

# One who connects all the time, to PLACE ("unix:…" or a port); what it counted.
sub knocker {
	my ($place) = @_;
	pipe(my $r, my $w) or die;
	my $pid = fork // die;
	if ($pid == 0) {
		close($r);
		my ($n, $refused, $on) = (0, 0, 1);
		local $SIG{TERM} = sub { $on = 0 };
		while ($on) {
			my $s = $place =~ /^unix:(.*)/
			    ? IO::Socket::UNIX->new(Peer => $1)
			    : IO::Socket::INET->new(PeerAddr => $place);
			$s ? $n++ : $refused++;
			sleep(0.005);
		}
		syswrite($w, "$n $refused\n");
		POSIX::_exit(0);
	}
	close($w);
	return [$pid, $r];
}
sub counted {
	my ($k) = @_;
	kill('TERM', $k->[0]);
	my ($n, $refused) = split ' ', readline($k->[1]) // '0 -1';
	waitpid($k->[0], 0);
	return ($n, $refused);
}

# A free port, since a kept socket must be found again by its address.
my $probe = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1:0');
my $port = $probe->sockport;
close($probe);

# Without a store of descriptors connections are refused: what this is about.
my $d = Sandboxd->start;
my $k = knocker("unix:$d->{socket}");
ok(wait_for(5, sub { $d->ok('status')->{clients} > 0 }), 'somebody connects');
$d->kill_hard;
sleep(0.3);
$d->launch;
my ($n, $refused) = counted($k);
cmp_ok($refused, '>', 0, "without a manager some are refused ($refused of $n)");
$d->stop;

$d = Sandboxd->start(no_launch => 1, http => 1, listen => ["127.0.0.1:$port"]);
my $m = Sandboxd::Manager->start($d, []);
ok($m->ready, 'it is up');
my @kept = sort map { $_->{notify}{FDNAME} } grep { $_->{notify}{FDSTORE} }
    @{$m->{events}};
is(scalar(grep { /control/ || /127\.0\.0\.1_$port/ } @kept), 2,
    "both sockets are kept: @kept");
$d->ok('sandbox.create', { id => $_ }) for 'a', 'b';
$d->sh('a', 'echo kept >/srv/file');
$d->note_groups;
my %init = map { $_ => $d->ok('sandbox.get', { id => $_ })->{pid} } 'a', 'b';
my @knock = (knocker("unix:$d->{socket}"), knocker("127.0.0.1:$port"));
sleep(0.2);
for my $round (1 .. 2) {
	my $was = $d->{pid};
	kill('KILL', $was);
	ok($m->until(20, sub { $_[0]{started} }), "killed and started again ($round)");
	isnt($d->{pid}, $was, 'as another process');
	ok($m->ready, 'and ready');
}
for (@knock) {
	($n, $refused) = counted($_);
	cmp_ok($n, '>', 20, "somebody has connected all the time ($n)");
	is($refused, 0, 'and was never refused');
}
wait_for(20, sub { 2 == grep { $_->{state} eq 'running' }
    @{$d->ok('sandbox.list')->{sandboxes}} });
is(join(' ', sort map { "$_->{id} $_->{state}" } @{$d->ok('sandbox.list')->{sandboxes}}),
    'a running b running', 'the same sandboxes');
is($d->sh('a', 'cat /srv/file')->{stdout}, "kept\n", 'with their files');
is($d->ok('sandbox.get', { id => $_ })->{pid}, $init{$_}, "$_ is the very same")
    for 'a', 'b';

my $e = $m->stop;
is($e->{ended}, 0, 'it ends in order');
is(join(' ', grep { !/127\.0\.0\.1_/ } @{$e->{kept}}), '',
    'and gives up what has a path');
is(join("\n", $d->leftovers), '', 'nothing is left');

done_testing;
