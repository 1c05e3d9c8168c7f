# B31: the supervisor is killed at any moment, also while sandboxes are made and
# destroyed: the next one adopts or ends every one of them by control group and pid
# namespace. None is there twice, none without a record, and nothing is left.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $seed = $ENV{CRASH_SEED} // int(time * 1000) % 1000000;
srand($seed);
diag("seed $seed");
my $d = Sandboxd->start;
my $rounds = rounds(12);

# Inits that live, by the name of their sandbox.
sub inits {
	my %of;
	for my $pid (Sandboxd::descendants($$)) {
		my $id = Sandboxd::init_of($pid) // next;
		push @{$of{$id}}, $pid;
	}
	return \%of;
}
# What is wrong with what runs now, if anything.
sub flaw {
	my $inits = inits();
	my (@wrong, %known);
	for my $sb (@{$d->ok('sandbox.list')->{sandboxes}}) {
		my $n = @{$inits->{$sb->{id}} // []};
		$known{$sb->{id}} = 1;
		my $want = $sb->{state} eq 'running' || $sb->{state} eq 'paused';
		push @wrong, "$sb->{id} is $sb->{state} with $n inits"
		    if $sb->{state} eq 'creating' || $n != ($want ? 1 : 0);
	}
	push @wrong, map { "$_ has an init and no record" }
	    grep { !$known{$_} } keys %$inits;
	# By group: each is a known one's.
	for my $g ($d->groups) {
		my ($id) = $g =~ m{/sandboxd-[0-9a-f]+/([^/~]+)} or next;
		push @wrong, "group $g of nobody" unless $known{$id};
	}
	return join("\n", sort @wrong);
}

my @kept = map { "k$_" } 1 .. 5;
$d->ok('sandbox.create', { id => $_ }) for @kept;
$d->sh($_, 'setsid sleep 8001 >/dev/null 2>&1 &') for @kept;
$d->note_groups;
my %init = map { $_ => $d->ok('sandbox.get', { id => $_ })->{pid} } @kept;
for my $round (1 .. $rounds) {
	# Others come and go, or are frozen, while it is killed.
	my @c = map { $d->client } 1 .. 6;
	$c[$_]->send('sandbox.create', { id => "n$round-$_" }) for 0 .. 3;
	$c[4]->send('sandbox.pause', { id => 'k5' });
	$c[5]->send('sandbox.destroy', { id => 'n' . ($round - 1) . '-0' });
	sleep(rand 0.03);
	$d->kill_hard;
	sleep(rand 0.02) if $round % 2;
	$d->launch;
	my $flaw;
	ok(wait_for(30, sub { ($flaw = flaw()) eq '' }),
	    "$round: each runs once, and none that nobody knows") or
	    diag("$flaw\n" . $d->log_tail);
	is(join(' ', map { $d->ok('sandbox.get', { id => $_ })->{pid} } @kept),
	    join(' ', map { $init{$_} } @kept), "$round: those there were go on");
	$d->ok('sandbox.resume', { id => 'k5' })
	    if $d->ok('sandbox.get', { id => 'k5' })->{state} eq 'paused';
}
is(scalar(grep { Sandboxd::title_of($_) eq 'sleep 8001' }
    Sandboxd::descendants($$)), scalar(@kept), 'and what ran in them, once');

# Without adoption all are ended, and started again: the same is true.
$d->stop;
$d->{options}{conf} = "[sandbox]\nadopt = 0s\n";
$d->launch;
wait_for(30, sub { flaw() eq '' });
%init = map { $_ => $d->ok('sandbox.get', { id => $_ })->{pid} } @kept;
$d->restart('KILL');
my $flaw;
ok(wait_for(30, sub { ($flaw = flaw()) eq '' }), 'ended and started: once each')
    or diag($flaw);
isnt($d->ok('sandbox.get', { id => $_ })->{pid}, $init{$_}, "$_ is another")
    for @kept;
ok($d->stop, 'an orderly end');
is(join("\n", $d->leftovers), '', 'nothing is left');

done_testing;
