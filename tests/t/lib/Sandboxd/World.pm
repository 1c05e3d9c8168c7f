# A world of its own for tests of filtered network: this process (and every daemon that
# it starts) moves into a network namespace, beside another one that stands for the
# Internet: with public addresses, a name server, and servers of HTTP. Everything that
# reaches that one is written down.
#
#	my $w = Sandboxd::World->new(names => { 'a.example' => ['11.22.33.44'] });
#	my $d = Sandboxd->start(conf => $w->conf);
#	...
#	is_deeply([$w->queries], ['a.example A', 'a.example AAAA']);
#
# files: a directory that /files/ shows. names: a list of addresses, or a list of such lists, one for each question in turn.
# Servers: HTTP on port 80 and 8080 of every address (answers with what it was asked,
# as JSON), and on 443 one that writes down the first bytes that it gets and echoes all.

package Sandboxd::World;

use strict;
use warnings;
use IO::Socket::INET;
use POSIX ();
use Sandboxd;

our @EXPORT_OK;
my %unshare = (x86_64 => 272, aarch64 => 97, riscv64 => 97);
my $machine = (POSIX::uname())[4];
my $NS = '11.22.33.53';
our @ADDRESSES = ($NS, '11.22.33.44', '11.22.33.45', '10.9.8.7', '169.254.169.254',
    '100.100.100.200');

sub run {
	my $r = run_cmd([@_]);
	$r->{status} == 0 or die "@_: $r->{err}";
}

sub unshare_net {
	syscall($unshare{$machine}, 0x40000000) == 0 or die "unshare: $!";
}

# Wait for a line on a pipe.
sub pipe_pair { pipe(my $r, my $w) or die "pipe: $!"; return ($r, $w) }

sub new {
	my ($class, %o) = @_;
	my $self = bless { %o, dir => Sandboxd->scratch_dir, owner => $$ }, $class;
	my ($born_r, $born_w) = pipe_pair();
	my ($go_r, $go_w) = pipe_pair();
	my ($up_r, $up_w) = pipe_pair();

	need_root();
	need_program('ip');
	unshare_net();
	my $pid = fork // die "fork: $!";
	if ($pid == 0) {
		close($_) for $born_r, $go_w, $up_r;
		unshare_net();
		syswrite($born_w, "x");
		sysread($go_r, my $x, 1) or POSIX::_exit(1);
		eval { $self->internet($up_w); 1 } or print STDERR "world: $@";
		POSIX::_exit(1);
	}
	$self->{pid} = $pid;
	close($_) for $born_w, $go_r, $up_w;
	sysread($born_r, my $x, 1) or die 'no other world';
	run(qw(ip link set lo up));
	run(qw(ip link add out type veth peer name in netns), $pid);
	run(qw(ip addr add 11.22.33.1/24 dev out));
	run(qw(ip link set out up));
	run(qw(ip route add default via 11.22.33.53)) if $o{default_route};
	syswrite($go_w, "x");
	sysread($up_r, $x, 1) or die 'the other world does not come up';
	# Now that both ends are up.
	run('ip', 'route', 'replace', "$_/32", 'dev', 'out')
	    for grep { !/^11\.22\.33\./ } @ADDRESSES;
	return $self;
}

# Lines for the configuration.
sub conf { return "[egress]\nresolver = $NS\n" . ($_[1] // '') }

sub lines {
	my ($self, $name) = @_;
	return split /\n/, slurp("$self->{dir}/$name") // '';
}

sub queries { return $_[0]->lines('queries') }		# NAME TYPE
sub arrivals { return $_[0]->lines('arrivals') }	# ADDRESS PORT FIRST-BYTES-IN-HEX

sub forget {
	my ($self) = @_;
	for (qw(queries arrivals)) {
		truncate("$self->{dir}/$_", 0) if -e "$self->{dir}/$_";
	}
}

sub DESTROY {
	my ($self) = @_;
	return unless $self->{pid} && $self->{owner} == $$;
	local $?;
	kill('KILL', $self->{pid});
	waitpid($self->{pid}, 0);
}

# --- the other side -------------------------------------------------------------------

sub note {
	my ($self, $name, $text) = @_;
	open(my $fh, '>>', "$self->{dir}/$name") or return;
	syswrite($fh, "$text\n");
}

sub internet {
	my ($self, $up) = @_;

	# Ends with the test, whatever becomes of that.
	syscall(157, 1, 9, 0, 0, 0) if $machine eq 'x86_64';
	system('ip link set lo up && ip link set in up') == 0 or die 'ip';
	system("ip addr add $_/24 dev in") == 0 or die 'ip' for @ADDRESSES;
	local $SIG{CHLD} = 'IGNORE';
	my $dns = IO::Socket::INET->new(Proto => 'udp', LocalAddr => $NS,
	    LocalPort => 53) or die "dns: $!";
	my %listen;
	for my $port (80, 8080, 443, 22) {
		my $s = IO::Socket::INET->new(Listen => 64, ReuseAddr => 1,
		    LocalAddr => '0.0.0.0', LocalPort => $port) or die "$port: $!";
		$listen{fileno $s} = [$s, $port];
	}
	syswrite($up, "x");
	while (1) {
		my $bits = '';
		vec($bits, $_, 1) = 1 for fileno($dns), keys %listen;
		next if select($bits, undef, undef, 5) <= 0;
		$self->answer_name($dns) if vec($bits, fileno($dns), 1);
		for my $fd (keys %listen) {
			next unless vec($bits, $fd, 1);
			my ($s, $port) = @{$listen{$fd}};
			my $c = $s->accept or next;
			next if fork;
			alarm(60);
			$port == 443 || $port == 22 ? $self->echo($c, $port)
			    : $self->http($c, $port);
			POSIX::_exit(0);
		}
	}
}

sub http {
	my ($self, $c, $port) = @_;
	my ($head, $body, $n) = ('', '', 0);

	while ($head !~ /\r\n\r\n/) {
		sysread($c, $head, 65536, length $head) or last;
	}
	$self->note('arrivals', join(' ', $c->sockhost, $port, unpack('H*', $head)));
	($head, $body) = $head =~ /^(.*?\r\n\r\n)(.*)$/s or return;
	($n) = $head =~ /^content-length:\s*(\d+)/mi;
	while (length($body) < ($n // 0)) {
		sysread($c, $body, 65536, length $body) or last;
	}
	if ($head =~ /^transfer-encoding:\s*chunked/mi) {
		while ($body !~ /0\r\n\r\n$/) {
			sysread($c, $body, 65536, length $body) or last;
		}
	}
	if ($head =~ m{^\S+ /stream}) {
		print $c "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";
		for (1 .. 400) { print $c 'y' x 65536 }
		return;
	}
	if ($head =~ m{^GET /files/([\w./@%-]+)} && $1 !~ /\.\./) {
		my $text = slurp("$self->{files}/$1");
		print $c 'HTTP/1.1 ', defined $text && -f "$self->{files}/$1" ? '200 OK' : '404 No',
		    "\r\nContent-Length: ", length($text // ''), "\r\n\r\n", $text // '';
		$c->flush;
		return;
	}
	my ($host) = $head =~ /^host:\s*(\S+)/mi;
	my $text = to_json({ address => $c->sockhost, port => $port, host => $host,
	    head => $head, body => $body });
	print $c "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	    . 'Content-Length: ' . length($text) . "\r\nKeep-Alive: timeout=5\r\n\r\n$text";
	$c->flush;
}

sub echo {
	my ($self, $c, $port) = @_;
	my $first = 1;

	print $c "SSH-2.0-world\r\n" if $port == 22;
	$c->flush;
	while (sysread($c, my $data, 65536)) {
		$self->note('arrivals', join(' ', $c->sockhost, $port,
		    unpack('H*', $data))) if $first;
		$first = 0;
		syswrite($c, $data);
	}
	$self->note('arrivals', join(' ', $c->sockhost, $port, 'end'));
}

my %turn;
sub answer_name {
	my ($self, $dns) = @_;
	my $from = $dns->recv(my $q, 4096) or return;
	my ($name, $at) = ('', 12);

	while ((my $n = ord(substr($q, $at, 1))) > 0) {
		$name .= ($name eq '' ? '' : '.') . substr($q, $at + 1, $n);
		$at += $n + 1;
		return if $at > length $q;
	}
	my $type = unpack('n', substr($q, $at + 1, 2));
	$self->note('queries', "$name " . ($type == 1 ? 'A' : $type == 28 ? 'AAAA' : $type));
	my $known = $self->{names}{lc $name};
	if ($known && ref $known->[0]) {
		$known = $known->[($turn{$name} // 0) % @$known];
		$turn{$name}++ if $type == 1;
	}
	my @have = map { $type == 28 ? (/:/ ? Socket::inet_pton(Socket::AF_INET6(), $_)
	    : ()) : (/:/ ? () : Socket::inet_aton($_)) } @{$known // []};
	my $reply = substr($q, 0, 2) . pack('nnnnn', $known ? 0x8180 : 0x8183, 1,
	    scalar @have, 0, 0) . substr($q, 12, $at + 5 - 12);
	$reply .= pack('nnnNn', 0xc00c, $type, 1, 0, length $_) . $_ for @have;
	$dns->send($reply, 0, $from);
}

1;
