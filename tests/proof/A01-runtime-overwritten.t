# A01 (CVE-2019-5736): the programs of the processes inside, overwritten through
# /proc/*/exe while commands join, at full speed and again on one busy processor.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

use Digest::SHA;

need_root();
need_program('cc', 'taskset');

# Outside, where the program is an ordinary file, the attack works.
my $victim = Sandboxd->scratch_dir . '/victim';
run_cmd(['cp', '/bin/sleep', $victim]);
helper('hostile');
my $hits = 0;
for (1 .. 10) {
	last if $hits;
	my $pid = fork // die "fork: $!";
	exec($victim, '1') if $pid == 0;
	wait_for(5, sub { (readlink("/proc/$pid/exe") // '') eq $victim });
	# Its file is free only when it has been waited for.
	local $SIG{CHLD} = sub { waitpid($pid, POSIX::WNOHANG()) };
	$hits += outside(['exe', 3, $pid])->{hits};
}
cmp_ok($hits, '>', 0, 'a program that is a file is overwritten when its process ends');
is(slurp($victim) =~ /^#!\/bin\/false/ ? 1 : 0, 1, 'as its content shows');

my @programs = map { program($_) } qw(sandboxd sandboxd-init sandboxd-session
    sandboxd-store sandboxd-relay);
my %sum = map { $_ => sum($_) } @programs;
sub sum { return Digest::SHA->new(256)->addfile($_[0])->hexdigest }

# The program of a session's worker, held until the session has ended, then
# replaced. It is a memory file of the daemon's: nothing on disk is at stake. What
# the attempt says, and what the daemon has now of that program.
sub take {
	my ($d, $seconds) = @_;
	my $now;
	$d->ok('sandbox.create', { id => 'a', mounts => [helper_mount('hostile')] });
	$d->ok('session.create', { id => 'sa', agent => 'mock', sandbox => 'a' });
	my $c = $d->client;
	my $id = $c->send('sandbox.exec', { id => 'a', timeout_ms => 60000,
	    command => ['/opt/hostile', 'take', '' . $seconds * slow_factor()] });
	my ($init) = $d->children(qr/init\W+a/);
	# Deleted at once when it is held, else when the attempt has had its time.
	wait_for($seconds - 1, sub { grep { (readlink($_) // '') =~ /memfd:sandboxd-session/ } map { glob("/proc/$_/fd/*") }
	    grep { Sandboxd::title_of($_) =~ m{^/opt/hostile} } descendants($init) });
	$d->ok('session.delete', { id => 'sa' });
	my $said = said(Sandboxd::collect_output($c->finish($id)));
	for (glob("/proc/$d->{pid}/fd/*")) {
		$now = sum($_) if (readlink($_) // '') =~ /memfd:sandboxd-session/;
	}
	return ($said, $now);
}
{
	# Without seals, readable, and with root's capabilities inside.
	my $open = unguarded('seals unreadable caps command_caps');
	my ($said, $now) = take($open, 30);
	is($said->{held}, 1, 'unguarded: the program of a worker is held');
	is($said->{overwritten}, 'ok', 'unguarded: and overwritten when its process ends');
	is($now, sum(helper('hostile')), 'unguarded: what the daemon has is now the attacker\'s');
	$open->ok('sandbox.create', { id => 'v' });
	$open->request('session.create', { id => 'sv', agent => 'mock', sandbox => 'v' });
	my ($init) = $open->children(qr/init\W+v/);
	ok(wait_for(10, sub { -d "/proc/$init/root/tmp/taken" }), 'unguarded: and runs in another sandbox');
	$open->stop;
}
{
	# The seals alone stop it, whoever holds the file.
	my $half = unguarded('unreadable caps command_caps');
	my ($said, $now) = take($half, 30);
	is("$said->{held} $said->{overwritten}", '1 EPERM', 'sealed: it is held, but cannot be written to');
	is($now, $sum{program('sandboxd-session')}, 'sealed: the daemon has what it started with');
	$half->stop;
}
my $d = Sandboxd->start(http => 1);
my ($tried, $kept) = take($d, 3);
isnt($tried->{overwritten}, 'ok', 'guarded: it is not overwritten');
is($kept, $sum{program('sandboxd-session')}, 'and the daemon has what it started with');
$d->ok('sandbox.create', { id => 'p', mounts => [helper_mount('hostile')] });
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'p' });
my ($init) = $d->children(qr/init\W+p/);
for my $how ('at full speed', 'on one busy processor') {
	handicapped($d) if $how =~ /one/;
	for (Sandboxd::both_users()) {
		my ($who, $as) = @$_;
		my $c = $d->client;
		my $id = $c->send('sandbox.exec', { id => 'p', timeout_ms => 60000,
		    command => ['/opt/hostile', 'exe', '' . 1.5 * rounds(1), '0'], %$as });
		my $joins = 0;
		my $end = time + 1;
		# what joins: commands, the file server, a session's worker
		while (time <= $end || $joins < 30) {
			$d->exec('p', ['/bin/true'], %$as);
			$d->http(GET => '/i/p/v1/fs/stat?path=/etc/passwd') if $joins % 10 == 0;
			$joins++;
		}
		my $r = said(Sandboxd::collect_output($c->finish($id)));
		cmp_ok($r->{tries}, '>', 50, "$who, $how: tried $r->{tries} times in $joins joins");
		is($r->{hits}, 0, "$who, $how: no program is opened for writing");
	}
}
is(sum($_), $sum{$_}, "$_ is unchanged") for @programs;
# Whoever joins runs from a memory file that nobody can write, host or not.
for my $p ($init, grep { (readlink("/proc/$_/exe") // '') =~ /memfd/ } descendants($init)) {
	open(my $fh, '<', "/proc/$p/exe") or next;
	my $seals = fcntl($fh, 1034, 0) // 0;	# F_GET_SEALS
	is($seals & 0xf, 0xf, 'sealed: ' . Sandboxd::title_of($p));
}
done_testing;
