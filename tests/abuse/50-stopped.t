# SIGSTOP of every process of ours at random points, hundreds of times, under
# load: half of them go on, half are killed as they stand. The supervisor, who is
# stopped too now and then, answers all the while; afterwards nothing that was
# acknowledged is lost, everything goes on, and nothing is left behind.
#
# STOP_SEED repeats a run's choice; SANDBOXD_PROOF_ROUNDS times as many.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;
use Time::HiRes qw(sleep time);

need_root();
my $seed = $ENV{STOP_SEED} // int(time * 1000) % 1000000;
srand($seed);
diag("seed $seed");
my $d = Sandboxd->start(http => 1, token => 'secret', conf => "[gateway]\nprocesses = 2\n");
my $notes = Sandboxd->scratch_dir;
my @boxes = qw(one two);
my @sessions;
for my $box (@boxes) {
	$d->ok('sandbox.create', { id => $box, $box eq 'two' ? (network => 'filtered') : () });
	push @sessions, "s-$box";
	$d->ok('session.create', { id => "s-$box", agent => 'mock', sandbox => $box });
}
my $address = $d->http_address;

# --- the load ---------------------------------------------------------------------------
my @workers;
sub worker {
	my ($name, $code) = @_;
	my $pid = fork // die "fork: $!";
	if ($pid) {
		push @workers, $pid;
		return;
	}
	$d->{client} = undef;	# the parent's
	open(my $out, '>', "$notes/$name") or POSIX::_exit(1);
	$out->autoflush(1);
	my $n = 0;
	until (-e "$notes/stop") {
		eval { $code->($out, ++$n) };
		sleep 0.02;
	}
	POSIX::_exit(0);
}

for my $box (@boxes) {
	worker("asked-s-$box", sub {
		my ($out, $n) = @_;
		my $text = $n % 2 ? "say number-$box-$n" : 'flood 40 20';
		my $c = $d->client;
		my $r = $c->request('session.prompt', { id => "s-$box", text => $text }, timeout => 3);
		print $out "$text\n" if $r->{ok} && $text =~ /number/;
	});
	worker("exec-$box", sub {
		my ($out, $n) = @_;
		my $c = $d->client;
		my $r = $c->request('sandbox.exec', { id => $box, command => ['echo', "n$n"] }, timeout => 3);
		print $out "$n\n" if $r->{ok};
	});
}
worker('made', sub {
	my ($out, $n) = @_;
	my $c = $d->client;
	my $r = $c->request('sandbox.create', { id => "m$n" }, timeout => 5);
	print $out "m$n\n" if $r->{ok};
	$d->client->request('sandbox.destroy', { id => "m$n" }, timeout => 5);
});
worker('http', sub {
	my ($out, $n) = @_;
	my $c = Sandboxd::Http->new($address) or return;
	my $r = $c->request(GET => '/i/one/v1/fs/stat?path=/etc/passwd', timeout => 3,
	    headers => { Authorization => 'Bearer secret', Connection => 'close' });
	print $out "$n\n" if ($r->{status} // 0) == 200;
	$c->close;
});

# --- the stopping ------------------------------------------------------------------------
my %kind = map { $_ => qr/$_/ } qw(store session gateway relay egress init);
my (%stopped, %killed);
my ($slowest, $unanswered) = (0, 0);
my $n = rounds(300);
my $began = time;
my $all = 0;
for (my $i = 1; $all < $n && time < $began + 120 * slow_factor(); $i++) {
	my @kinds = sort keys %kind;
	my $what = $i % 20 == 0 ? 'supervisor' : $kinds[rand @kinds];
	my @pids = $what eq 'supervisor' ? $d->{pid} : $d->children($kind{$what});
	my $pid = $pids[rand @pids] // next;
	# Of inits few: those who die young again and again are given up.
	my $kill = $what ne 'supervisor' && rand() < ($what eq 'init' ? 0.1 : 0.5);
	kill('STOP', $pid) or next;
	$stopped{$what}++;
	$all++;
	if ($what eq 'supervisor') {
		sleep(rand 0.2);
		kill('CONT', $pid);
	}
	my $from = time;
	# Nothing that it does for others lets it wait for who does not answer.
	my $c = eval { $d->client };
	# Not `status`, which waits for what the store has to tell.
	my $r = $c ? $c->request('sandbox.list', {}, timeout => 10) : {};
	$unanswered++ unless $r->{ok};
	$slowest = time - $from if time - $from > $slowest;
	sleep(rand 0.06);
	$killed{$what} += kill('KILL', $pid) if $kill;
	kill('CONT', $pid);
}
is($unanswered, 0, sprintf('the supervisor answered each time, after %.2f s at most', $slowest));
cmp_ok($all, '>=', $n / 2, "stopped $all: " . join(', ', map { "$_ $stopped{$_}" } sort keys %stopped));
cmp_ok(scalar(keys %killed), '==', keys %kind, 'killed: ' . join(', ', map { "$_ $killed{$_}" } sort keys %killed));

# --- calm -----------------------------------------------------------------------------------
kill('CONT', $d->children);
$d->request('role.reset');
spew("$notes/stop", '');
ok(wait_for(40, sub {
	@workers = grep { waitpid($_, POSIX::WNOHANG()) == 0 } @workers;
	!@workers;
}), 'all who asked have ended');
kill('KILL', @workers);
waitpid($_, 0) for @workers;
for my $box (@boxes) {
	ok(wait_for(40, sub {
		my $r = $d->request('sandbox.get', { id => $box });
		my $state = $r->{ok} ? $r->{ok}{state} : '';
		$d->request('sandbox.start', { id => $box }) if $state eq 'error';
		$state eq 'running';
	}), "$box runs") or diag($d->log_tail);
	ok(wait_for(20, sub { ($d->exec($box, ['echo', 'on'])->{stdout} // '') eq "on\n" }), 'and can be used');
}
my $asked = 0;
for my $s (@sessions) {
	ok(wait_for(60, sub { (($d->request('session.get', { id => $s })->{ok} // {})->{state} // '') eq 'idle' }),
	    "$s comes to rest");
	ok(wait_for(30, sub { my @e = eval { $d->turn($s, 'after all') }; @e && $e[-1]{type} eq 'turn.ended' }),
	    'and goes on');
	my @texts = $d->event_texts($s);
	is(Sandboxd::texts_flaw(@texts), '', 'no gap in its ' . scalar(@texts) . ' events');
	my %words;
	for (map { from_json($_->[1]) } grep { $_->[1] =~ /"type":"item\.started"/ } @texts) {
		$words{item_text($_)}++ if ($_->{data}{item}{role} // '') eq 'user';
	}
	my @said = split /\n/, slurp("$notes/asked-$s");
	$asked += @said;
	is(join(' ', grep { ($words{$_} // 0) != 1 } @said), '',
	    'each of ' . scalar(@said) . ' acknowledged prompts is there once');
}
cmp_ok($asked, '>', 5, "$asked prompts were acknowledged");
my $worked = join ', ', map { my $m = () = slurp("$notes/$_") =~ /\n/g; "$_ $m" } 'exec-one', 'exec-two', 'made', 'http';
unlike($worked, qr/ 0\b/, "meanwhile: $worked");
ok(wait_for(30, sub { my @m = grep { $_->{id} =~ /^m/ } @{$d->ok('sandbox.list')->{sandboxes}};
    $d->request('sandbox.destroy', { id => $_->{id} }) for @m; !@m }), 'what was left half made can be destroyed');
is($d->http(GET => '/i/one/v1/fs/stat?path=/etc/passwd')->{status}, 200, 'HTTP is served');
ok($d->stop(undef, 60), 'an orderly stop');
is(join("\n", $d->leftovers), '', 'nothing is left');
done_testing;
