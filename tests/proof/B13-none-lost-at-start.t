# B13: TERM at any moment of the start ends it, be it process 1.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Init;
use Test::More;

need_root();

use POSIX ();
use Time::HiRes qw(time sleep);

# Tries, spread over the first 50 ms. For process 1 the kernel drops a signal that
# has no handler, also while the loader is still at work: who starts us with signals
# held back, as container runtimes may, loses none, since we let none go before the
# command's end.
my $tries = $ENV{SANDBOXD_LONG} ? 1000 : 25;
my $all = POSIX::SigSet->new(1 .. 31);
my ($as_1, $below) = ways();
my %how;

for my $way ($as_1, $below) {
	my ($name, $wrap) = @$way;
	my ($bad, $d) = (0);
	for my $i (1 .. $tries) {
		my $delay = 0.05 * $i / $tries;
		$d = start_init(['sleep', '1000'], wrap => $wrap, no_launch => 1);
		my $old = POSIX::SigSet->new;
		POSIX::sigprocmask(POSIX::SIG_BLOCK(), $all, $old) if @$wrap;
		my $began = time;
		$d->launch(no_wait => 1);
		POSIX::sigprocmask(POSIX::SIG_SETMASK(), $old) if @$wrap;
		my $init;
		if (@$wrap) {
			# The first process of the new namespace.
			wait_for(10, sub { ($init) = descendants($d->{pid}) });
		} else {
			$init = $d->{pid};
		}
		my $left = $began + $delay - time;
		sleep($left) if $left > 0;
		kill('TERM', $init);
		if (!wait_for(20, sub { $d->ended })) {
			$bad++;
			diag(sprintf('%s: TERM after %.1f ms is lost', $name,
			    1000 * $delay));
			kill('KILL', $init, $d->{pid});
			wait_for(5, sub { $d->ended });
			next;
		}
		$how{$d->{status} & 127 ? 'by the signal' : $d->{status} >> 8}++;
		# Either it died before it could do anything, or in order.
		$bad++, diag("$name: status $d->{status}")
		    unless $d->{status} == 143 << 8 || $d->{status} == 15;
		run_cmd(['rm', '-rf', $d->{dir}]);
	}
	is($bad, 0, "$name: $tries times TERM in the first 50 ms, none lost");
}
diag('ends: ' . join(', ', map { "$_: $how{$_}" } sort keys %how));

done_testing;
