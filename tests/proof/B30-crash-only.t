# B30: each role is killed at random, under load, and an invariant checker passes
# each time: what was acknowledged is there, once; nothing is twice; in the end
# nothing is left. SANDBOXD_PROOF_ROUNDS=25 makes it a thousand kills.
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
my $kills = rounds(40);
my $checks = 4;
my $d = Sandboxd->start(http => 1);
my $notes = Sandboxd->scratch_dir;
my @boxes = qw(b1 b2 b3);
$d->ok('sandbox.create', { id => $_, $_ eq 'b3' ? (network => 'filtered') : () })
    for @boxes;
$d->ok('session.create', { id => "s$_", agent => 'mock', sandbox => $_ }) for @boxes;
$d->note_groups;

# --- the load ------------------------------------------------------------------------

my @workers;
sub worker {
	my ($name, $code) = @_;
	my $pid = fork // die "fork: $!";
	return push(@workers, $pid) if $pid;
	open(my $out, '>', "$notes/$name") or POSIX::_exit(1);
	$out->autoflush(1);
	my $n = 0;
	while (!-e "$notes/stop") {
		eval { $code->($out, $d->client, ++$n) };
		sleep 0.03;
	}
	POSIX::_exit(0);
}
for my $box (@boxes) {
	# A line in a file, by a command; noted when that has succeeded.
	worker("lines-$box", sub {
		my ($out, $c, $n) = @_;
		my $r = $c->request('sandbox.exec', { id => $box, command =>
		    ['sh', '-c', "echo line-$n >>/srv/lines"] }, timeout => 10);
		print $out "line-$n\n"
		    if $r->{ok} && ($r->{ok}{exit_code} // 1) == 0;
	});
	# A message, said again under its key until it is acknowledged.
	worker("words-$box", sub {
		my ($out, $c, $n) = @_;
		my $end = time + 20;
		while (time < $end && !-e "$notes/stop") {
			my $r = $d->http('POST', "/v1/sessions/s$box/messages",
			    json => { message => "say word-$n" },
			    headers => { 'Idempotency-Key' => "key-$n" });
			if (($r->{status} // 0) == 204) {
				print $out "word-$n\n";
				return;
			}
			sleep 0.1;
		}
	});
}
# Sandboxes that come, and every other one goes.
worker('made', sub {
	my ($out, $c, $n) = @_;
	my $r = $c->request('sandbox.create', { id => "m$n" }, timeout => 10);
	print $out "made m$n\n" if $r->{ok};
	return if $n % 4 == 0 && $n < 40;
	$r = $c->request('sandbox.destroy', { id => "m$n" }, timeout => 10);
	print $out $r->{ok} ? "gone m$n\n" : "asked m$n\n";
});

# --- what must be true ----------------------------------------------------------------

sub settle {
	return wait_for(60, sub {
		my $l = $d->request('sandbox.list')->{ok} or return 0;
		my $s = $d->request('session.list')->{ok} or return 0;
		my %is = map { $_->{id} => $_->{state} } @{$l->{sandboxes}},
		    @{$s->{sessions}};
		!grep({ ($is{$_} // '') ne 'running' } @boxes) &&
		    !grep({ ($is{"s$_"} // '') !~ /^(idle|turn)$/ } @boxes)
	});
}
sub noted {
	my ($name) = @_;
	return split /\n/, slurp("$notes/$name") // '';
}
sub flaws {
	my @wrong;
	for my $box (@boxes) {
		my @acked = noted("lines-$box");
		my %lines;
		$lines{$_}++ for split /\n/,
		    $d->sh($box, 'cat /srv/lines')->{stdout} // '';
		push @wrong, map { "$box: $_ is there " . ($lines{$_} // 0)
		    . ' times' } grep { ($lines{$_} // 0) != 1 } @acked;
		push @wrong, map { "$box: $_ is there $lines{$_} times" }
		    grep { $lines{$_} > 1 } sort keys %lines;
		@acked = noted("words-$box");
		my @events = $d->events("s$box");
		my $flaw = Sandboxd::sequence_flaw(1, @events);
		push @wrong, "s$box: $flaw" if $flaw;
		my %words;
		for (@events) {
			my $i = $_->{data}{item} // next;
			next unless $_->{type} eq 'item.started' &&
			    ($i->{role} // '') eq 'user';
			$words{$1}++ if item_text($_) =~ /(word-\d+)/;
		}
		push @wrong, map { "s$box: $_ was said " . ($words{$_} // 0)
		    . ' times' } grep { ($words{$_} // 0) != 1 } @acked;
	}
	my %inits;
	for (Sandboxd::descendants($$)) {
		my $id = Sandboxd::init_of($_) // next;
		$inits{$id}++;
	}
	push @wrong, map { "$inits{$_} inits of $_" }
	    grep { $inits{$_} > 1 && /^b/ } sort keys %inits;
	return @wrong;
}

# --- the killing ----------------------------------------------------------------------

my %killed = map { $_ => 0 } qw(sandboxd store relay gateway egress init session);
my %title = (store => qr/store/, relay => qr/relay/, gateway => qr/gateway/,
    egress => qr/egress/, init => qr/sandboxd-init b\d/, session => qr/session/);
my @roles = sort keys %killed;
for my $n (1 .. $kills) {
	my $role = $roles[$n <= @roles ? $n - 1 : rand @roles];
	if ($role eq 'sandboxd') {
		$killed{$role}++;
		$d->kill_hard;
		sleep(rand 0.03);
		eval { $d->launch; 1 } or die "it did not start again: $@";
	} else {
		my $pid;
		wait_for(10, sub { my @v = $d->children($title{$role});
		    $pid = $v[rand @v] });
		$killed{$role} += kill('KILL', $pid) if $pid;
	}
	sleep(0.02 + rand 0.3);
	next if $n % int($kills / $checks) && $n != $kills;
	ok(settle(), "after $n kills all comes to rest") or diag($d->log_tail);
	my @wrong = eval { flaws() };
	@wrong = ($@) if $@;
	# Something may have died by our hand in the middle of the look.
	is(join("\n", @wrong[0 .. ($#wrong > 9 ? 9 : $#wrong)]), '',
	    "after $n kills every promise holds") or diag($d->log_tail);
}
is(join(' ', grep { !$killed{$_} } @roles), '', 'every role: '
    . join(', ', map { "$_ $killed{$_}" } @roles));
spew("$notes/stop", '');
ok(wait_for(60, sub {
	@workers = grep { waitpid($_, POSIX::WNOHANG()) == 0 } @workers;
	!@workers;
}), 'the load ends');
kill('KILL', @workers);
ok(settle(), 'calm');
my @wrong = flaws();
is(join("\n", @wrong), '', 'in the end every promise holds');
my %there = map { $_->{id} => 1 } @{$d->ok('sandbox.list')->{sandboxes}};
my (%made, %asked);
for (noted('made')) {
	my ($what, $id) = split / /;
	$made{$id} = 1 if $what eq 'made';
	delete $made{$id} if $what eq 'gone';
	$asked{$id} = 1 if $what ne 'made';
	push @wrong, "$id came back" if $what eq 'gone' && $there{$id};
}
push @wrong, map { "$_ is lost" } grep { !$there{$_} && !$asked{$_} } sort keys %made;
is(join("\n", @wrong), '', 'sandboxes whose making or end was told are so');
cmp_ok(scalar(map { noted("words-$_"), noted("lines-$_") } @boxes), '>', 20,
    'there was some load');
ok($d->stop('TERM', 60), 'an orderly stop');
is(join("\n", $d->leftovers), '', 'leaves nothing');

done_testing;
