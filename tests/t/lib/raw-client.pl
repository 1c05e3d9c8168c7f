# Inside a sandbox: sends bytes (in hex) to a port of the loopback, each part after an
# answer to the one before; prints all that came, in hex, and whether the other side has
# closed.
use strict;
use warnings;
use Socket;
use Time::HiRes qw(time);

my ($port, $wait, @parts) = @ARGV;
socket(my $s, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
connect($s, sockaddr_in($port, inet_aton('127.0.0.1'))) or die "connect: $!";
$SIG{PIPE} = 'IGNORE';
my ($got, $closed) = ('', 0);
for my $i (0 .. $#parts) {
	syswrite($s, pack('H*', $parts[$i]));
	my $end = time + $wait;
	my $before = length $got;
	while (time < $end && !$closed) {
		my $bits = '';
		vec($bits, fileno($s), 1) = 1;
		next if select($bits, undef, undef, 0.05) <= 0;
		my $n = sysread($s, $got, 65536, length $got);
		$closed = 1 unless $n;
		last if $i < $#parts && length($got) > $before;
	}
}
print unpack('H*', $got), ' ', $closed ? 'closed' : 'open', "\n";
