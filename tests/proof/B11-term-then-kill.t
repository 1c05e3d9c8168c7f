# B11: TERM, the grace, KILL; over the whole tree, and on time.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Init;
use Test::More;

need_root();

use Time::HiRes qw(sleep);
use Time::Local qw(timegm);

# Nobody in this tree wants to end: the command, a child, one that is a session of
# its own, an orphan.
my $stubborn = 'trap "echo $$ >>$0/term" TERM; '
    . '(trap "" TERM; echo x >>$0/up; while :; do sleep 0.1; done) & '
    . 'setsid sh -c "trap : TERM; echo x >>$0/up; while :; do sleep 0.1; done" & '
    . '(setsid sh -c "trap : TERM; echo x >>$0/up; while :; do sleep 0.1; done" &) ; '
    . 'echo x >>$0/up; while :; do sleep 0.1; done';

sub at {
	my ($log, $what) = @_;
	my ($y, $m, $d, $h, $min, $s) = $log =~
	    /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):([\d.]+)Z \w+ \w+ [^\n]*\Q$what\E/m
	    or return undef;
	return timegm(int $s, $min, $h, $d, $m - 1, $y) + $s - int $s;
}

for my $way (ways()) {
	my ($name, $wrap) = @$way;
	my ($off, $d);
	# A machine that is busy with other things may be late once.
	for my $try (1 .. 3) {
		$d = start_init([], wrap => $wrap, no_launch => 1,
		    conf => "[sandbox]\nstop_grace = 1500ms\n");
		$d->{options}{command} = ['/bin/sh', '-c', $stubborn, $d->{dir}];
		$d->launch;
		wait_for(20, sub { lines_of("$d->{dir}/up") == 4 });
		my @tree = grep { (slurp("/proc/$_/cmdline") // '') =~ /trap|sleep/ }
		    descendants($d->{pid});
		cmp_ok(scalar(@tree), '>=', 4, "$name: a stubborn tree");
		kill('TERM', init_pid($d));
		ok(wait_for(30, sub { $d->ended }), "$name: it ends");
		is($d->{status} >> 8, 137, 'of KILL');
		is(scalar(grep { -e "/proc/$_/exe" } @tree), 0, 'all of it');
		is(scalar(lines_of("$d->{dir}/term")), 1, 'after one TERM');
		my $log = slurp($d->{log});
		$off = abs((at($log, 'the grace is over') // 0)
		    - (at($log, 'stopping') // 0) - 1.5);
		last if $off <= 0.05;
	}
	cmp_ok($off, '<=', 0.05, sprintf('KILL is %.0f ms off', 1000 * $off));
}

done_testing;
