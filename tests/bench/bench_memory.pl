#!/usr/bin/perl
# Memory by role: proportional set size (PSS) of the supervisor, the store, the
# relay, and what each idle sandbox and each idle mock session adds. Taken from
# smaps_rollup with many of them running, so that shared pages are shared as they
# are in real life.
#
#	tests/bench/bench_memory.pl [N]		N sandboxes with a session each
#
# One JSON line a figure; the ratio is to the goal.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;

my $n = shift // 20;
my %goal = (supervisor => 2048, sandbox => 512, session => 512);

sub pss_kb {
	my $sum = 0;
	for my $pid (@_) {
		my $text = slurp("/proc/$pid/smaps_rollup") // next;
		$sum += $1 if $text =~ /^Pss:\s+(\d+) kB/m;
	}
	return $sum;
}

sub figure {
	my ($name, $kb, $count) = @_;
	my %line = (figure => "pss_$name", unit => 'kB', kb => $kb + 0,
	    count => $count);
	if ($goal{$name}) {
		$line{goal} = $goal{$name};
		$line{ratio} = sprintf('%.3f', $kb / $goal{$name}) + 0;
	}
	print to_json(\%line), "\n";
}

# What a role's processes weigh together, in the middle of five looks.
sub weigh {
	my ($d, $pattern) = @_;
	my @looks = sort { $a <=> $b }
	    map { pss_kb($d->children($pattern)) } 1 .. 5;
	return $looks[2];
}

my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => "m$_" }) for 1 .. $n;
my $inits = weigh($d, qr/init/);
$d->ok('session.create', { id => "s$_", agent => 'mock', sandbox => "m$_" })
    for 1 .. $n;
# Each has worked once and is idle again.
$d->turn("s$_", 'hello') for 1 .. $n;
my $both = weigh($d, qr/init/);
my $workers = weigh($d, qr/session/);

figure('supervisor', pss_kb($d->{pid}), 1);
figure('store', weigh($d, qr/store/), 1);
figure('relay', weigh($d, qr/relay/), 1);
figure('sandbox', sprintf('%.1f', ($both < $inits ? $both : $inits) / $n), $n);
figure('session', sprintf('%.1f', $workers / $n), $n);
