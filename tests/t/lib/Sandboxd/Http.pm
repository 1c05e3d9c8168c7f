# One connection to a gateway, as any HTTP/1.1 client would make it, and as none
# should: bytes go out as they are given, and each wait has an end.
#
#	my $c = $d->http_client;
#	$c->write("GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n");
#	is($c->response->{status}, 200);

package Sandboxd::Http;

use strict;
use warnings;
use Errno qw(EINTR EAGAIN);
use IO::Socket::IP;
use IO::Socket::UNIX;
use JSON::PP ();
use POSIX ();
use Socket qw(SOCK_STREAM IPPROTO_TCP TCP_NODELAY AF_UNIX PF_UNSPEC);
use Time::HiRes qw(time);

# ADDRESS: 127.0.0.1:80, or unix:/path. undef when nobody answers there.
sub new {
	my ($class, $address) = @_;
	my $fh = $address =~ /^unix:(.*)/s
	    ? IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $1)
	    : IO::Socket::IP->new(PeerAddr => $address, Type => SOCK_STREAM,
		Timeout => 10);
	return undef unless $fh;
	setsockopt($fh, IPPROTO_TCP, TCP_NODELAY, 1) if $address !~ /^unix:/;
	$fh->blocking(0);
	return bless { fh => $fh, buffer => '', address => $address }, $class;
}

# The same over TLS, with openssl's client between. CERT is whom it believes.
sub new_tls {
	my ($class, $address, $cert) = @_;
	socketpair(my $fh, my $its, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or return undef;
	my $pid = fork // return undef;
	if ($pid == 0) {
		CORE::close($fh);
		open(STDIN, '<&', $its);
		open(STDOUT, '>&', $its);
		open(STDERR, '>', '/dev/null');
		exec('openssl', 's_client', '-quiet', '-verify_return_error',
		    '-CAfile', $cert, '-connect', $address) or POSIX::_exit(127);
	}
	CORE::close($its);
	$fh->blocking(0);
	return bless { fh => $fh, buffer => '', address => $address, pid => $pid },
	    $class;
}

sub fh { return $_[0]{fh} }
sub close {
	my ($self) = @_;
	CORE::close(delete $self->{fh}) if $self->{fh};
	my $pid = delete $self->{pid} or return;
	kill('TERM', $pid);
	waitpid($pid, 0);
}
sub DESTROY { local ($?, $!); $_[0]->close }
# No more from us; what comes can still be read.
sub half_close { shutdown($_[0]{fh}, 1) }

sub deadline { return time + ($_[0] // 20) * Sandboxd::slow_factor() }

# True when all was taken.
sub write {
	my ($self, $bytes, $seconds) = @_;
	my $end = deadline($seconds);

	utf8::encode($bytes) if utf8::is_utf8($bytes);
	while (length $bytes) {
		my $n = syswrite($self->{fh}, $bytes, 65536);
		if ($n) {
			substr($bytes, 0, $n, '');
			next;
		}
		return 0 if defined $n || !($!{EINTR} || $!{EAGAIN});
		my $bits = '';
		vec($bits, fileno($self->{fh}), 1) = 1;
		return 0 if $end - time <= 0;
		select(undef, $bits, undef, $end - time);
	}
	return 1;
}

# Wait for more bytes: 1 something came, 0 the end, undef nothing in time.
sub more {
	my ($self, $end) = @_;

	while (1) {
		my $n = sysread($self->{fh}, $self->{buffer}, 65536,
		    length $self->{buffer});
		return 1 if $n;
		return 0 if defined $n || !($!{EINTR} || $!{EAGAIN});
		my $left = $end - time;
		return undef if $left <= 0;
		my $bits = '';
		vec($bits, fileno($self->{fh}), 1) = 1;
		select($bits, undef, undef, $left);
	}
}

# What matches PATTERN from the front on, taken out; undef when it does not come.
sub take {
	my ($self, $pattern, $seconds) = @_;
	my $end = deadline($seconds);

	while (1) {
		return $& if $self->{buffer} =~ s/\A$pattern//;
		my $more = $self->more($end);
		next if $more;
		$self->{broken} = defined $more ? 'connection closed'
		    : 'no answer in time';
		return undef;
	}
}

# N bytes; fewer at the end of the connection.
sub bytes {
	my ($self, $n, $seconds) = @_;
	my $end = deadline($seconds);

	1 while length $self->{buffer} < $n && $self->more($end);
	return substr($self->{buffer}, 0, $n, '');
}

# Everything up to the end of the connection; undef when that does not come.
sub rest {
	my ($self, $seconds) = @_;
	my $end = deadline($seconds);
	my $more;

	1 while $more = $self->more($end);
	return defined $more ? substr($self->{buffer}, 0, length $self->{buffer}, '')
	    : undef;
}

# True when the other side hangs up within SECONDS; what it says first is dropped.
sub closed { return defined $_[0]->rest($_[1]) }

# Only status line and headers of the next answer.
sub head {
	my ($self, $seconds) = @_;
	my $text = $self->take(qr/[^\n]*\r\n(?:[^\n]+\r\n)*\r\n/, $seconds)
	    // return undef;
	my ($first, @lines) = split /\r\n/, $text;
	my %r = (first => $first, headers => {}, head => $text);

	($r{status}) = $first =~ m{^HTTP/1\.[01] (\d\d\d)};
	for (@lines) {
		my ($name, $value) = /^([^:\s]+):[ \t]*(.*?)[ \t]*$/ or next;
		$name = lc $name;
		$r{headers}{$name} = defined $r{headers}{$name}
		    ? "$r{headers}{$name}, $value" : $value;
	}
	return \%r;
}

# The next chunk of a chunked body: '' at its end, undef when none came in time.
sub chunk {
	my ($self, $seconds) = @_;
	my $line = $self->take(qr/[0-9A-Fa-f]+[^\n]*\r\n/, $seconds)
	    // return undef;
	my $n = hex(($line =~ /^([0-9A-Fa-f]+)/)[0]);

	if ($n == 0) {
		$self->take(qr/(?:[^\r\n]+\r\n)*\r\n/, $seconds);
		return '';
	}
	my $data = $self->bytes($n, $seconds);
	return undef if length $data < $n;
	$self->take(qr/\r\n/, $seconds) // return undef;
	return $data;
}

# The next answer, whole: { status, headers, body, json, broken }. METHOD: HEAD
# has no body.
sub response {
	my ($self, $method, $seconds) = @_;
	my $r = $self->head($seconds)
	    // return { headers => {}, body => '', broken => $self->{broken} };

	# Interim answers announce the one that counts.
	$r = $self->head($seconds) while $r && ($r->{status} // 0) == 100;
	return { headers => {}, body => '', broken => $self->{broken} } if !$r;
	$r->{body} = '';
	my $h = $r->{headers};
	if (($method // '') eq 'HEAD' || ($r->{status} // 0) =~ /^(?:1\d\d|204|304)$/) {
		# nothing follows
	} elsif (lc($h->{'transfer-encoding'} // '') eq 'chunked') {
		my $chunk;
		$r->{body} .= $chunk
		    while length($chunk = $self->chunk($seconds) // '');
		$r->{broken} = $self->{broken} if $self->{broken};
	} elsif (defined $h->{'content-length'}) {
		$r->{body} = $self->bytes($h->{'content-length'}, $seconds);
		$r->{broken} = 'cut' if
		    length $r->{body} < $h->{'content-length'};
	} else {
		$r->{body} = $self->rest($seconds);
		$r->{broken} = 'no end in time' if !defined $r->{body};
	}
	$r->{json} = eval { Sandboxd::from_json($r->{body}) }
	    if ($h->{'content-type'} // '') =~ m{^application/(?:[\w.+-]*\+)?json};
	return $r;
}

# One request on this connection, and its answer. Options: headers (hash), body
# (bytes), json (a value), timeout (seconds).
sub request {
	my ($self, $method, $path, %o) = @_;
	my %h = ('Host' => 'localhost', %{$o{headers} // {}});
	my $body = $o{body};

	if (exists $o{json}) {
		$body = Sandboxd::to_json($o{json});
		$h{'Content-Type'} //= 'application/json';
	}
	$h{'Content-Length'} //= length $body if defined $body;
	$h{'Content-Length'} //= 0 if $method =~ /^(?:POST|PUT|PATCH)$/ &&
	    !defined $h{'Transfer-Encoding'};
	my $head = "$method $path HTTP/1.1\r\n"
	    . join('', map { "$_: $h{$_}\r\n" }
		grep { defined $h{$_} } sort keys %h);
	$self->write("$head\r\n" . ($body // ''), $o{timeout});
	return $self->response($method, $o{timeout});
}

1;
