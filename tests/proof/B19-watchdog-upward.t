# B19: the watchdog is fed while the event loop and the store's commits move.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Manager;
use Test::More;
use Time::HiRes qw(time);

need_root();
need_program('python3');

my $period = 0.4;	# WATCHDOG_USEC; pings are due at half of it
sub pings {
	my ($m, $seconds) = @_;
	my $end = time + $seconds;
	my @at;

	while ((my $left = $end - time) > 0) {
		my $e = $m->until($left, sub { $_[0]{notify}{WATCHDOG} }) // last;
		push @at, $e->{at};
	}
	return @at;
}

my $d = Sandboxd->start(no_launch => 1);
my $m = Sandboxd::Manager->start($d, [], env => { WATCHDOG_USEC => $period * 1e6 });
ok($m->ready, 'it is up');
my @at = pings($m, 2);
cmp_ok(scalar(@at), '>=', 5, 'pings come: ' . @at . ' in 2 s');
cmp_ok(scalar(@at), '<=', 12, 'not more than due');
my @gaps = sort { $a <=> $b } map { $at[$_] - $at[$_ - 1] } 1 .. $#at;
my $median = $gaps[$#gaps / 2];
ok(abs($median - $period / 2) < 0.15, sprintf('at half the time: %.2f s', $median));

my ($store) = $d->children(qr/^sandboxd: store/);
kill('STOP', $store);
$m->until($period, sub { 0 });		# what was under way
is(scalar(pings($m, 3 * $period)), 0, 'the store stands still: no ping');
kill('CONT', $store);
cmp_ok(scalar(pings($m, 1.2)), '>=', 2, 'it goes on: pings again');

kill('STOP', $d->{pid});
$m->until($period, sub { 0 });
is(scalar(pings($m, 3 * $period)), 0, 'the supervisor stands still: no ping');
kill('CONT', $d->{pid});
cmp_ok(scalar(pings($m, 1.2)), '>=', 2, 'it goes on: pings again');

kill('KILL', $store);
cmp_ok(scalar(pings($m, 2)), '>=', 2, 'a store that was replaced answers too');
is($m->stop->{ended}, 0, 'it ends');

# Meant for another process: none at all.
$d = Sandboxd->start(no_launch => 1);
{
	# The manager sets WATCHDOG_PID to the pid that it starts; a shell in
	# between makes it another's.
	my $argv = \&Sandboxd::argv;
	no warnings 'redefine';
	local *Sandboxd::argv = sub { ('/bin/sh', '-c', '"$@"; exit $?', 'sh',
	    $argv->(@_)) };
	$m = Sandboxd::Manager->start($d, [],
	    env => { WATCHDOG_USEC => $period * 1e6 });
}
ok($m->ready, 'one whose WATCHDOG_PID is not its own');
is(scalar(pings($m, 3 * $period)), 0, 'sends none');
my ($e) = grep { $_->{notify}{MAINPID} } @{$m->{events}};
kill('TERM', $e->{notify}{MAINPID});
$m->until(20, sub { exists $_[0]{ended} });
is(join("\n", $d->leftovers), '', 'nothing is left');

done_testing;
