# A54: an init that is stopped, groups that are frozen, processes that ignore
# everything: destroy answers in less than 5 seconds with the truth, and nothing is
# left.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
use Time::HiRes qw(time sleep);

my $slow = Sandboxd::slow_factor();
my $d = Sandboxd->start;
my @m = (mounts => [helper_mount('hostile')]);
# Nothing of this is harmless: an ordinary process that was stopped stays so.
{
	my $pid = fork // die;
	exec('sleep', 100) if $pid == 0;
	kill('STOP', $pid);
	kill('TERM', $pid);
	sleep 0.3;
	is(waitpid($pid, POSIX::WNOHANG()), 0, 'a stopped process does not end by TERM');
	kill('KILL', $pid);
	waitpid($pid, 0);
}
sub groups_named {
	my ($name) = @_;
	$d->note_groups;
	return grep { m{/$name$} } $d->groups;
}
my %wedge = (
	'a stopped init' => sub { kill('STOP', $_[1]) },
	'init and all it has stopped' => sub { kill('STOP', $_[1], descendants($_[1])) },
	'a frozen group, of either version' => sub {
		my $n = 0;
		for my $g (groups_named($_[0])) {
			$n++ if -e "$g/cgroup.freeze" && eval { spew("$g/cgroup.freeze", 1) };
			$n++ if -e "$g/freezer.state" && eval { spew("$g/freezer.state", 'FROZEN') };
		}
		return $n;
	},
	'processes that ignore all and stop themselves' => sub { 1 },
	'paused by request' => sub { $d->ok('sandbox.pause', { id => $_[0] }) },
	'stopped and frozen' => sub {
		kill('STOP', $_[1], descendants($_[1]));
		for my $g (groups_named($_[0])) {
			eval { spew("$g/freezer.state", 'FROZEN') } if -e "$g/freezer.state";
			eval { spew("$g/cgroup.freeze", 1) } if -e "$g/cgroup.freeze";
		}
		1;
	},
);
my $n = 0;
for my $name (sort keys %wedge) {
	my $id = 'w' . $n++;
	$d->ok('sandbox.create', { id => $id, @m });
	my ($init) = $d->children(qr/init\W+$id\b/);
	my $c = $d->client;
	$c->send('sandbox.exec', { id => $id, command => ['/opt/hostile', 'frozen'] });
	ok(wait_for(20, sub { descendants($init) >= 20 }), "$name: a wild tree") or diag(scalar descendants($init));
	my @all = ($init, descendants($init));
	ok($wedge{$name}->($id, $init), "$name: done to it");
	my $t = time;
	my $r = $d->request('sandbox.destroy', { id => $id }, timeout => 30);
	my $took = time - $t;
	ok($took < 5 * $slow, sprintf('%s: destroy answers in %.2f s', $name, $took));
	ok($r->{ok} || ($r->{error}{code} // '') ne '', "$name: with an answer") or diag(to_json($r));
	# The truth: what it says is gone is gone.
	if ($r->{ok}) {
		ok(wait_for(5, sub { !grep { -d "/proc/$_" } @all }), "$name: and it is true");
	} else {
		ok(wait_for(20, sub { !grep { -d "/proc/$_" } @all }), "$name: it was retried ($r->{error}{detail})");
	}
	ok(wait_for(5, sub { !groups_named($id) }), "$name: no group is left");
	isnt($d->error('sandbox.get', { id => $id }), '', "$name: nor its record");
	$d->ok('sandbox.create', { id => $id });
	is($d->sh($id, 'echo on')->{stdout}, "on\n", "$name: its name can be used again");
	$d->ok('sandbox.destroy', { id => $id });
}
SKIP: { skip 'a FUSE server that never answers: nothing inside can mount, and its waits can be killed', 1 }
done_testing;
