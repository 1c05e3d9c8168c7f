# Two hundred streams while gateway, init, session worker and store are killed:
# nothing acknowledged is lost, and each stream goes on where it was.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start(http => 1,
    conf => "[gateway]\nmax_per_address = 0\n");
my ($sessions, $streams, $rounds) = (20, 200, 8);

$d->ok('sandbox.create', { id => "box$_" }) for 0, 1;
for my $i (0 .. $sessions - 1) {
	my $r = $d->http('POST', "/i/box" . $i % 2 . "/v1/sessions/s$i",
	    json => { agent => 'mock' });
	is($r->{status}, 200, "session $i") if $r->{status} != 200;
}

# --- the streams: one process reads all of them ------------------------------------------

# Each stream checks that its numbers rise by one, over all its connections, and
# that each event says its number. The end: a line per stream, "after flaw".
pipe(my $from, my $to) or die "pipe: $!";
my $address = $d->http_address;
my $reader = fork // die "fork: $!";
if (!$reader) {
	close($from);
	my $ended = 0;
	local $SIG{USR1} = sub { $ended = 1 };
	my @s = map { { session => 's' . $_ % $sessions, after => 0, flaw => '',
	    text => '', resumed => -1 } } 0 .. $streams - 1;
	while (1) {
		my ($bits, %by) = ('');
		for my $s (@s) {
			open_stream($s) unless $s->{fh};
			next unless $s->{fh};
			vec($bits, fileno($s->{fh}), 1) = 1;
			$by{fileno($s->{fh})} = $s;
		}
		my $n = select(my $r = $bits, undef, undef, 0.05);
		if ($n > 0) {
			vec($r, $_, 1) and read_stream($by{$_}) for keys %by;
		}
		last if $ended && $n <= 0;
	}
	print $to "$_->{session} $_->{after} $_->{resumed} $_->{flaw}\n" for @s;
	close($to);
	POSIX::_exit(0);
}
close($to);

sub open_stream {
	my ($s) = @_;
	return if ($s->{not_before} // 0) > time;
	my $fh = IO::Socket::INET->new(PeerAddr => $address, Proto => 'tcp');
	if (!$fh) {
		$s->{not_before} = time + 0.2;
		return;
	}
	# Some resume by one way, some by the other.
	my $how = $s->{session} =~ /[02468]$/ ? "?offset=$s->{after}" : '';
	print $fh "GET /v1/sessions/$s->{session}/events/sse$how HTTP/1.1\r\n"
	    . "Host: x\r\n" . ($how ? '' : "Last-Event-ID: $s->{after}\r\n")
	    . "\r\n";
	$fh->flush;
	$fh->blocking(0);
	$s->{fh} = $fh;
	$s->{text} = '';
	$s->{body} = undef;
	$s->{resumed}++;
}

sub read_stream {
	my ($s) = @_;
	my $n = sysread($s->{fh}, $s->{text}, 65536, length $s->{text});
	if (!$n) {
		close(delete $s->{fh});
		$s->{not_before} = time + 0.05;
		return;
	}
	if (!defined $s->{body}) {
		$s->{text} =~ s/\A(HTTP.*?\r\n)\r\n//s or return;
		my $head = $1;
		if ($head !~ m{^HTTP/1.1 200}) {	# not yet
			close(delete $s->{fh});
			$s->{not_before} = time + 0.2;
			$s->{flaw} ||= "answered $1" if $head =~ /^HTTP\S+ (4\d\d)/;
			return;
		}
		$s->{body} = '';
	}
	while ($s->{text} =~ /\A([0-9a-fA-F]+)\r\n/) {
		my ($len, $skip) = (hex $1, length($1) + 2);
		last if length $s->{text} < $skip + $len + 2;
		$s->{body} .= substr($s->{text}, $skip, $len);
		substr($s->{text}, 0, $skip + $len + 2, '');
	}
	while ($s->{body} =~ s/\A(?::\n\n)*id: (\d+)\ndata: ([^\n]*)\n\n//) {
		my ($id, $text) = ($1, $2);
		$s->{flaw} ||= "$id after $s->{after}" if $id != $s->{after} + 1;
		$s->{flaw} ||= "event $id is cut" if $text !~ /"raw":null\}\z/ ||
		    index($text, "\"event_id\":\"evt_$id\",") != 1;
		$s->{after} = $id;
	}
}

# --- work, and deaths ----------------------------------------------------------------------

my %kinds = (gateway => qr/gateway/, init => qr/init\b.*box[01]|box[01].*init/,
    session => qr/session\W+s\d+/, store => qr/: store/);
my (%acked, %killed);
srand(11);
my $end = time + 90 * slow_factor();
for my $round (1 .. $rounds) {
	for my $i (0 .. $sessions - 1) {
		my $key = "r$round-$i";
		my $text = $i % 5 ? "message $key" : "flood 200";
		my $r = eval { $d->http('POST', "/v1/sessions/s$i/messages",
		    json => { message => $text }, timeout => 15,
		    headers => { 'Idempotency-Key' => $key }) } // {};
		$acked{$i}{"message $key"} = 1
		    if ($r->{status} // 0) == 204 && $i % 5;
		last if time > $end;
		next if $i % 5 != $round % 5;
		# One of a kind, in the midst of it.
		my $kind = (sort keys %kinds)[($round + int($i / 5)) % 4];
		my @pids = $d->children($kinds{$kind});
		next unless @pids;
		$killed{$kind}++ if kill('KILL', $pids[rand @pids]);
	}
}
note join(' ', map { "$_=" . ($killed{$_} // 0) } sort keys %kinds);
ok(($killed{$_} // 0) > 0, "$_ was killed") for sort keys %kinds;
my $acked = 0;
$acked += keys %$_ for values %acked;
ok($acked > $sessions, "$acked messages were acknowledged");

# --- afterwards ------------------------------------------------------------------------

# All come back, and all that waits is done.
my %count;
my $quiet = wait_for(60, sub {
	my %now;
	for my $i (0 .. $sessions - 1) {
		my @e = eval { $d->events("s$i") } or return 0;
		my @turns = grep { /^turn\./ } event_types(@e);
		return 0 if @turns && $turns[-1] ne 'turn.ended';
		my %said = map { (item_text($_) => 1) } grep { $_->{type} eq
		    'item.completed' } @e;
		return 0 if grep { !$said{$_} } keys %{$acked{$i} // {}};
		$now{"s$i"} = scalar @e;
	}
	my $same = to_json(\%now) eq to_json(\%count);
	%count = %now;
	sleep 0.3 unless $same;
	return $same;
});
ok($quiet, 'everything that was acknowledged is in the logs');
is(join(' ', map { Sandboxd::sequence_flaw(1, $d->events("s$_")) }
    0 .. $sessions - 1) =~ s/ //gr, '', 'which have no gaps');
# Gateways that were killed often come back in their time, and the streams
# with them.
ok(wait_for(90, sub { 2 <= grep { $_->{serving} } @{$d->ok('status')->{gateways}} }),
    'all gateways serve again');
sleep 3;
kill('USR1', $reader);
my @lines = <$from>;
waitpid($reader, 0);
is(scalar @lines, $streams, 'each stream tells');
my (@flaws, $resumed);
for (@lines) {
	my ($s, $after, $times, $flaw) = /^(\S+) (\d+) (-?\d+) (.*)$/;
	$resumed += $times;
	push @flaws, "$s: $flaw" if $flaw;
	push @flaws, "$s: $after of $count{$s}" if $after != $count{$s};
}
is(join("\n", @flaws), '', 'each has seen each event once');
ok($resumed >= $streams / 2, "resumed $resumed times");
is(scalar(grep { $_->{status} == 200 } map { $d->http('GET',
    "/v1/sessions/s$_") } 0 .. $sessions - 1), $sessions, 'and all is well');
done_testing();
