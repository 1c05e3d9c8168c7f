# B4: every signal that can be caught reaches the command, each once.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Init;
use Test::More;

need_root();

# Logs what it gets, a line each, in order; says when it is ready to.
my $logger = <<'P';
$| = 1; my ($dir) = @ARGV;
open(my $f, '>>', "$dir/got"); select((select($f), $| = 1)[0]);
use POSIX ();
for my $s (1 .. 31, 34 .. 64) {
	next if $s == 9 || $s == 19 || $s == 17;
	POSIX::sigaction($s, POSIX::SigAction->new(sub { print $f "$_[1]$s\n" },
	    POSIX::SigSet->new(1 .. 31, 34 .. 64)));
}
open(my $r, '>', "$dir/ready"); close $r;
select(undef, undef, undef, 1) while !-e "$dir/done";
P
my @signals = grep { $_ != 9 && $_ != 19 && $_ != 17 } 1 .. 31, 34 .. 64;
# TERM begins the stop, so it comes last.
@signals = ((grep { $_ != 15 } @signals), 15);

for my $way (ways()) {
	my ($name, $wrap) = @$way;
	my $d = start_init([], wrap => $wrap, no_launch => 1,
	    conf => "[sandbox]\nstop_grace = 20s\n");
	$d->{options}{command} = [$^X, '-e', $logger, $d->{dir}];
	$d->launch;
	ok(wait_for(20, sub { -e "$d->{dir}/ready" }), "$name: it waits");
	my $init = init_pid($d);
	my $n = 0;
	for my $sig (@signals) {
		kill($sig, $init);
		$n++;
		wait_for(10, sub { lines_of("$d->{dir}/got") >= $n }) or last;
	}
	my @got = map { /(\d+)$/ } lines_of("$d->{dir}/got");
	is("@got", "@signals", "$name: each once, in order");
	spew("$d->{dir}/done", '');
	ok(wait_for(30, sub { $d->ended }), "$name: it ends");
	is($d->{status}, 0, 'with 0');
}

# Real-time signals are counted, not merged.
my $d = start_init([], no_launch => 1);
$d->{options}{command} = [$^X, '-e', $logger, $d->{dir}];
$d->launch;
wait_for(20, sub { -e "$d->{dir}/ready" });
kill(40, $d->{pid}) for 1 .. 20;
ok(wait_for(10, sub { lines_of("$d->{dir}/got") == 20 }),
    'twenty of one real-time signal are twenty');
spew("$d->{dir}/done", '');
wait_for(30, sub { $d->ended });

done_testing;
