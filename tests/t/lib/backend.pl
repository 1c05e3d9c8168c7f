# An HTTP server for one's tests of those who stand before it: it runs in a
# sandbox, tells what it was asked, and misbehaves as its paths say.
#
#	perl backend.pl PORT [ADDRESS]
#
# Prints a line when it listens. Needs nothing but Perl's core.

use strict;
use warnings;
use Digest::MD5 ();
use IO::Socket::IP;
use JSON::PP ();
use Time::HiRes qw(sleep);

my ($port, $address) = @ARGV;
my $server = IO::Socket::IP->new(LocalHost => $address // '127.0.0.1',
    LocalPort => $port, Listen => 128, ReuseAddr => 1) or die "listen: $@";
$SIG{CHLD} = 'IGNORE';
$SIG{PIPE} = 'IGNORE';
$| = 1;
print "listening\n";

my $buffer;

sub more { return sysread($_[0], $buffer, 65536, length $buffer) }

sub put {
	my ($fh, $text) = @_;
	while (length $text) {
		my $n = syswrite($fh, $text, 65536) or return 0;
		substr($text, 0, $n, '');
	}
	return 1;
}

sub read_head {
	my ($fh) = @_;
	while (1) {
		return $1 if $buffer =~ s/\A(.*?\r\n)\r\n//s;
		more($fh) or return undef;
	}
}

# The body: its length and digest, and the beginning of it.
sub read_body {
	my ($fh, $h, $each) = @_;
	my ($n, $keep, $md5) = (0, '', Digest::MD5->new);
	my $take = sub {
		$n += length $_[0];
		$md5->add($_[0]);
		$keep .= $_[0] if length $keep < 65536;
		$each->() if $each;
	};

	if (lc($h->{'transfer-encoding'} // '') eq 'chunked') {
		while (1) {
			more($fh) or return undef while $buffer !~ /\A[0-9a-fA-F]+\r\n/;
			$buffer =~ s/\A([0-9a-fA-F]+)\r\n//;
			my $left = hex $1;
			my $last = $left == 0;
			while (length($buffer) < $left + 2) {
				more($fh) or return undef;
			}
			$take->(substr($buffer, 0, $left, ''));
			substr($buffer, 0, 2, '') eq "\r\n" or return undef;
			last if $last;
		}
	} else {
		my $left = $h->{'content-length'} // 0;
		while ($left > 0) {
			length $buffer or more($fh) or return undef;
			my $part = substr($buffer, 0, $left, '');
			$left -= length $part;
			$take->($part);
		}
	}
	return { length => $n, md5 => $md5->hexdigest, body => $keep };
}

sub answer {
	my ($fh, $type, $text, $more) = @_;
	put($fh, "HTTP/1.1 200 OK\r\nContent-Type: $type\r\n" . ($more // '')
	    . 'Content-Length: ' . length($text) . "\r\n\r\n$text");
}

sub serve {
	my ($fh) = @_;
	$buffer = '';
	my $head = read_head($fh) // return;
	my ($line, @lines) = split /\r\n/, $head;
	my ($method, $target) = $line =~ /^(\S+) (\S+) HTTP\/1\.1$/ or return;
	my ($path, $query) = $target =~ /^([^?]*)\??(.*)/;
	my @headers = map { [/^([^:]*):\s*(.*)/] } @lines;
	my %h = map { (lc $_->[0] => $_->[1]) } @headers;

	if ($path eq '/silent') { sleep 600 }
	if ($path eq '/early') {
		put($fh, "HTTP/1.1 413 No\r\nContent-Length: 4\r\n\r\nfull");
		return;
	}
	if ($path eq '/early-open') {
		put($fh, "HTTP/1.1 409 No\r\nContent-Length: 4\r\n\r\nbusy");
		sleep 600;
	}
	if ($path eq '/raw' || $path eq '/raw-open') {
		put($fh, pack 'H*', $query);
		shutdown($fh, 1), sleep 600 if $path eq '/raw-open';
		return;
	}
	if ($path eq '/reset') {
		put($fh, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
		setsockopt($fh, Socket::SOL_SOCKET(), Socket::SO_LINGER(),
		    pack('ii', 1, 0));
		return;
	}
	if ($h{upgrade}) {
		put($fh, "HTTP/1.1 101 Switching Protocols\r\n"
		    . "Upgrade: $h{upgrade}\r\nConnection: Upgrade\r\n"
		    . 'X-Key: ' . ($h{'sec-websocket-key'} // '') . "\r\n\r\n"
		    . "hello\n");
		put($fh, $buffer) if length $buffer;
		while (sysread($fh, my $got, 65536)) { put($fh, $got) or return }
		put($fh, "bye\n");
		return;
	}
	if ($path eq '/slow-read') {
		my $b = read_body($fh, \%h, sub { sleep 0.02 }) // return;
		return answer($fh, 'text/plain', "$b->{length} $b->{md5}");
	}
	my $b = read_body($fh, \%h) // return;
	if ($path eq '/sse') {
		put($fh, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
		    . "Cache-Control: no-store\r\n\r\n");
		for my $i (1 .. 3) {
			put($fh, "data: $i\n\n") or return;
			sleep 0.3;
		}
		return;
	}
	if ($path eq '/chunked') {
		put($fh, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
		    . "Trailer: X-T\r\n\r\n");
		put($fh, sprintf("%x;ext=1\r\n%s\r\n", length $_, $_))
		    for 'one ', 'two ', 'three';
		put($fh, "0\r\nX-T: 1\r\n\r\n");
		return;
	}
	if ($path eq '/big') {
		my $left = $query;
		put($fh, "HTTP/1.1 200 OK\r\nContent-Length: $left\r\n\r\n");
		while ($left > 0) {
			my $n = $left < 65536 ? $left : 65536;
			put($fh, 'x' x $n) or return;
			$left -= $n;
		}
		return;
	}
	if ($path eq '/headers') {
		return answer($fh, 'text/plain', 'ok', "Set-Cookie: a=1\r\n"
		    . "Set-Cookie: b=2\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\n"
		    . "Connection: keep-alive, X-Secret\r\nProxy-Connection: x\r\n"
		    . "Access-Control-Allow-Origin: *\r\nX-Plain: yes\r\n");
	}
	if ($path eq '/status') {
		put($fh, "HTTP/1.1 $query Word\r\n\r\n");
		return;
	}
	answer($fh, 'application/json', JSON::PP->new->canonical->encode({
		method => $method, target => $target, headers => \@headers,
		%$b }));
}

while (1) {
	my $fh = $server->accept or next;
	my $pid = fork;
	if (defined $pid && $pid == 0) {
		close $server;
		serve($fh);
		close $fh;
		exit 0;
	}
	close $fh;
}
