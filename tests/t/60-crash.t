# Kills at random during a flood: store, session workers, inits and sandboxd, at
# least a hundred times in all. Afterwards every event that a follower has seen
# and every prompt that was acknowledged is there once, in order, without a gap.
#
# CRASH_SEED repeats a run's choice of victims; CRASH_KILLS asks for more.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::MD5 qw(md5_hex);
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $seed = $ENV{CRASH_SEED} // int(time * 1000) % 1000000;
my $kills = $ENV{CRASH_KILLS} // 100;
my $seconds = 170 * Sandboxd::slow_factor();
my $boxes = 3;
my $each = 2;		# sessions in a sandbox
srand($seed);
diag("seed $seed");

my $d = Sandboxd->start;
my $notes = Sandboxd->scratch_dir;
my @sessions;
for my $b (1 .. $boxes) {
	$d->ok('sandbox.create', { id => "box$b" });
	for my $n (1 .. $each) {
		my $id = "s$b$n";
		$d->ok('session.create', { id => $id, agent => 'mock',
		    sandbox => "box$b" });
		push @sessions, $id;
	}
}

# An event is the same bytes, whoever reads it when.
sub fingerprint { return md5_hex($_[0]) }

# A process of its own for each role, so that nobody waits for another. It ends
# when the file "stop" is there, and leaves its notes one a line.
my @workers;
sub worker {
	my ($name, $code) = @_;
	my $pid = fork // die "fork: $!";
	if ($pid) {
		push @workers, $pid;
		return;
	}
	open(my $out, '>', "$notes/$name") or POSIX::_exit(1);
	$out->autoflush(1);
	while (!-e "$notes/stop") {
		eval { $code->($out) };
		sleep 0.02;
	}
	close($out);
	POSIX::_exit(0);
}

# Follows a session over every death, from the last event it has seen.
sub follower {
	my ($id, $n) = @_;
	my $last = 0;
	worker("seen-$id-$n", sub {
		my ($out) = @_;
		my $c = $d->client;
		$c->send('session.events', { id => $id, after => $last,
		    follow => JSON::PP::true });
		while (!-e "$notes/stop") {
			my $line = $c->line(1) // do {
				next if $c->{broken} eq 'no answer in time';
				last;
			};
			my ($text, $n) = $line =~ /^\{"id":1,"item":(\{"event_id":
			    "evt_\d+","sequence":(\d+),.*)\}$/x or last;
			print $out "$n ", fingerprint($text), "\n";
			$last = $n + 0;
		}
	});
}

# Sends prompts, each with a word of its own, and notes those acknowledged.
sub prompter {
	my ($id) = @_;
	my $n = 0;
	worker("asked-$id", sub {
		my ($out) = @_;
		my $c = $d->client;
		while (!-e "$notes/stop") {
			$n++;
			my $text = $n % 3 ? "flood 150 20" : "say number-$id-$n";
			$text = "say number-$id-$n" if $n % 3 == 1;
			my $r = $c->request('session.prompt',
			    { id => $id, text => $text }, timeout => 5);
			last if $r->{broken};
			print $out "$text\n" if $r->{ok} && $text =~ /number/;
			my $code = $r->{error}{code} // '';
			sleep($code ? 0.1 : 0.03);
		}
	});
}

follower($_, 1) for @sessions;
follower($sessions[0], 2);
prompter($_) for @sessions;

# --- the killing --------------------------------------------------------------------

my %killed = (store => 0, session => 0, init => 0, sandboxd => 0);
my %pattern = (store => qr/store/, session => qr/session/, init => qr/init/);
my $end = time + $seconds;
my $lost = '';

sub total { my $n = 0; $n += $_ for values %killed; return $n }

while (total() < $kills && time < $end) {
	my $dice = rand;
	my $role = $dice < 0.30 ? 'store' : $dice < 0.65 ? 'session'
	    : $dice < 0.85 ? 'init' : 'sandboxd';

	if ($role eq 'sandboxd') {
		kill('KILL', $d->{pid});
		if (!wait_for(10, sub { $d->ended })) {
			$lost = 'sandboxd did not die';
			last;
		}
		sleep(rand 0.05);
		if (!eval { $d->launch; 1 }) {
			$lost = "sandboxd did not start again: $@";
			last;
		}
		$killed{sandboxd}++;
	} else {
		my @victims = $d->children($pattern{$role});
		if (!@victims) {
			sleep 0.05;
			next;
		}
		$killed{$role} += kill('KILL', $victims[rand @victims]);
	}
	sleep(0.05 + rand 0.6);
}
is($lost, '', 'the supervisor came back each time');
cmp_ok(total(), '>=', $kills, 'killed ' . join(', ', map { "$_ $killed{$_}" }
    sort keys %killed));

# --- calm ---------------------------------------------------------------------------

my %state;
ok(wait_for(60, sub {
	my $l = $d->request('session.list')->{ok} or return 0;
	%state = map { $_->{id} => $_->{state} } @{$l->{sessions}};
	return 1;
}), 'sessions are listed');
spew("$notes/stop", '');
ok(wait_for(30, sub {
	@workers = grep { waitpid($_, POSIX::WNOHANG()) == 0 } @workers;
	!@workers;
}), 'followers and prompters ended');
kill('KILL', @workers);
for my $b (1 .. $boxes) {
	ok(wait_for(30, sub { $d->ok('sandbox.get', { id => "box$b" })->{state}
	    eq 'running' }), "box$b runs again by itself") or
	    diag(to_json($d->ok('sandbox.get', { id => "box$b" }))),
	    $d->request('sandbox.start', { id => "box$b" });
}
for my $id (@sessions) {
	ok(wait_for(60, sub {
		my $s = $d->request('session.get', { id => $id })->{ok};
		$s && $s->{state} eq 'idle'
	}), "$id comes to rest") or diag(to_json($d->request('session.get',
	    { id => $id })));
}

# --- the proof ----------------------------------------------------------------------

my ($seen, $acked) = (0, 0);
for my $id (@sessions) {
	my @texts = $d->event_texts($id);
	is(Sandboxd::texts_flaw(@texts), '', "$id: no gap, no repetition ("
	    . scalar(@texts) . ' events)');
	my %print = map { $_->[0] => fingerprint($_->[1]) } @texts;
	# Most are deltas of the flood; the others are looked at.
	my @events = map { from_json($_->[1]) }
	    grep { $_->[1] !~ /"type":"item\.delta"/ } @texts;
	undef @texts;

	for my $file (glob("$notes/seen-$id-*")) {
		my (@wrong, $last);
		for (split /\n/, slurp($file)) {
			my ($n, $print) = split / /;
			push @wrong, "event $n came after $last"
			    if defined $last && $n != $last + 1;
			push @wrong, "event $n is not what was seen"
			    if ($print{$n} // '') ne $print;
			$last = $n + 0;
			$seen++;
		}
		is(join("\n", @wrong[0 .. ($#wrong > 5 ? 5 : $#wrong)]), '',
		    "$id: what a follower saw is there, in order");
	}

	my %words;
	for (@events) {
		my $i = $_->{data}{item} // next;
		next unless $_->{type} eq 'item.started' && $i->{role} eq 'user';
		$words{item_text($_)}++;
	}
	my @asked = split /\n/, slurp("$notes/asked-$id");
	$acked += @asked;
	is(join(' ', grep { ($words{$_} // 0) != 1 } @asked), '',
	    "$id: each of " . scalar(@asked) . ' acknowledged prompts is there once');

	# Nothing that was opened stayed open.
	my (%open, $turn);
	for (@events) {
		$turn = 1 if $_->{type} eq 'turn.started';
		$turn = 0 if $_->{type} eq 'turn.ended';
		my $i = $_->{data}{item} // next;
		$_->{type} eq 'item.started' ? $open{$i->{item_id}}++
		    : delete $open{$i->{item_id}};
	}
	is(join(' ', sort keys %open), '', "$id: every item was completed");
	ok(!$turn, "$id: every turn was ended");
	my @e = eval { $d->turn($id, 'after all') };
	is($e[-1] ? $e[-1]{type} : $@, 'turn.ended', "$id: goes on");
}
cmp_ok($seen, '>', 1000, "followers saw $seen events");
cmp_ok($acked, '>', 20, "$acked prompts were acknowledged");

# And all can be ended in order.
ok($d->stop('TERM', 30), 'an orderly stop');
is(join("\n", $d->leftovers), '', 'leaves nothing');

done_testing;
