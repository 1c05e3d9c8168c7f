# ACP servers while gateway, worker, store and supervisor are killed: what was
# acknowledged is there, streams go on where they were, and so do servers.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Acp;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
# The same address after a restart.
my $probe = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1);
my $port = $probe->sockport;
close($probe);
my $d = Sandboxd->start(http => 1, listen => ["127.0.0.1:$port"],
    conf => "[gateway]\nprocesses = 2\n");
Sandboxd::Acp->install($d, 'amp');

my %servers = map { $_ => Sandboxd::Acp->new($d, $_,
    agent => /^m/ ? 'mock' : 'amp') } qw(m1 m2 a1 a2);
my %ack = map { $_ => [] } keys %servers;	# texts that were answered
my %count = map { $_ => 0 } keys %servers;

# One request; its answer is remembered when it came whole.
sub ask {
	my ($name) = @_;
	my $r = eval { $servers{$name}->post({ jsonrpc => '2.0',
	    id => "$name-" . ++$count{$name}, method => 'echo/x',
	    params => { n => $count{$name} } }, timeout => 30) };
	push @{$ack{$name}}, $r->{body}
	    if $r && ($r->{status} // 0) == 200 && !$r->{broken} &&
	    ($r->{json}{result} || $r->{json}{error});
	return $r;
}
# Asks until one is answered: a server must come back by itself.
sub answered {
	my ($name, $seconds) = @_;
	return wait_for($seconds // 30, sub {
		my $r = eval { ask($name) } // return 0;
		return ($r->{status} // 0) == 200;
	});
}
# Every acknowledged envelope is in the log, which has no gap.
sub check {
	my ($what) = @_;
	for my $name (sort keys %servers) {
		my ($s, %have);
		my $ok = wait_for(20, sub {
			$s = eval { $servers{$name}->stream } // return 0;
			return ($s->{head}{status} // 0) == 200;
		});
		if (!$ok) {
			fail("$what: $name can be heard");
			next;
		}
		my $want = @{$ack{$name}} ? $ack{$name}[-1] : undef;
		my $end = time + 20 * slow_factor();
		while (time < $end) {
			$have{$_} = 1 for $s->take_texts;
			last if !defined $want || $have{$want};
			$s->more($end - time) or last;
		}
		my @lost = grep { !$have{$_} } @{$ack{$name}};
		is(scalar(@lost), 0, "$what: $name has all that was acknowledged")
		    or diag($lost[0]);
		is($s->{flaw}, '', "$what: without a gap");
		$s->close;
	}
}

ok(answered($_), "$_ is there") for sort keys %servers;
my @victims = (['gateway', qr/gateway/], ['worker', qr/sandboxd-session|session acp/],
    ['store', qr/sandboxd-store|: store/], ['agent', qr/amp-acp/]);
for (@victims) {
	my ($what, $title) = @$_;
	my @pids = $d->children($title);
	ok(scalar(@pids), "there is a $what") or diag(join("\n",
	    map { Sandboxd::title_of($_) } $d->children));
}

# --- one after the other, in the midst of requests --------------------------------------

srand(5);
my @refused;	# requests that were told that there is no answer: [name, id]
for my $round (1 .. 16) {
	my ($what, $title) = @{$victims[$round % 3]};
	my @c = map { my $n = $_; map { [$n, $servers{$n}->begin({ jsonrpc => '2.0',
	    id => "p$round-$_", method => 'echo/p', params => { r => $round } }),
	    "p$round-$_"] } 1 .. 3 } sort keys %servers;
	sleep(rand(0.02));
	my @pids = $d->children($title);
	kill('KILL', $pids[rand @pids]) if @pids;
	for (@c) {
		my ($name, $c, $id) = @$_;
		my $r = $c->response('POST', 30);
		push @{$ack{$name}}, $r->{body} if ($r->{status} // 0) == 200 &&
		    !$r->{broken} && $r->{json}{result};
		push @refused, [$name, $id] if ($r->{status} // 0) == 500;
		next if ($r->{broken} // '') =~ /closed|cut/ ||
		    ($r->{status} // 0) =~ /^(?:200|500|502|503|504)$/;
		fail("$what killed: an answer");
		diag(($r->{status} // $r->{broken} // '?') . ' ' . ($r->{body} // ''));
	}
	for my $name (sort keys %servers) {
		# An agent that ended with its worker is not started again for
		# the same server when it is a program of its own.
		next if answered($name, 20);
		fail("$what killed: $name is answered again (round $round)");
		diag($d->log_tail(20));
	}
}
check('workers, gateways and stores killed');
# Who was refused has no answer in the log that came first.
note scalar(@refused) . ' were refused';
my %log;
for my $name (sort keys %servers) {
	my $s = $servers{$name}->stream;
	my $e = ask($name);
	$s->until(sub { $log{"$name $_->{id}"} = 1 if defined $_->{id} &&
	    !defined $_->{method}; ($_->{id} // '') eq $e->{json}{id} });
}
is(join(' ', grep { $log{$_} } map { "@$_" } @refused), '',
    'a request is refused only when its response is not there');

# --- all of it -----------------------------------------------------------------------------

for my $how ('TERM', 'KILL', 'KILL') {
	my @c = map { $servers{$_}->begin({ jsonrpc => '2.0', id => "d-$how",
	    method => 'echo/d', params => {} }) } sort keys %servers;
	sleep(rand(0.02));
	$d->restart($how);
	$_->close for @c;
	is(join(' ', Sandboxd::Acp->listed($d)), join(' ', sort keys %servers),
	    "$how: every server is listed");
	ok(answered($_, 30), "$how: $_ goes on") for sort keys %servers;
	check("sandboxd ended by $how");
}

# --- a stream over all of that ---------------------------------------------------------------

# One client that comes back with the number of its last event sees each once.
my $m = $servers{m1};
my ($after, %seen, $flaw) = (0);
for my $round (1 .. 10) {
	my $s;
	wait_for(20, sub { ($s = eval { $m->stream($after || undef) }) &&
	    ($s->{head}{status} // 0) == 200 }) or last;
	answered('m1');
	$s->upto($s->{last} + 1 + int(rand(40)), 2);
	$flaw ||= $s->{flaw};
	$after = $s->{last};
	my @pids = $d->children($victims[$round % 3][1]);
	kill('KILL', $pids[0]) if @pids;
	$s->close;
}
is($flaw, '', 'a client that resumes sees each envelope once');

for (sort keys %servers) {
	ok(wait_for(20, sub { my $r = eval { $servers{$_}->delete };
	    $r && ($r->{status} // 0) == 204 }), "$_ is removed");
}
is(join(' ', Sandboxd::Acp->listed($d)), '', 'nothing is left');

done_testing;
