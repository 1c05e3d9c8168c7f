#!/usr/bin/perl
# HTTP figures, each against a peer in the same run: the server binary of the npm
# package @sandbox-agent/cli (if $SANDBOXD_AGENTS has it), and nginx for plain
# transfers (if it is installed). wrk makes the load for health.
#
#	tests/bench/bench_http.pl [--quick]
#
# One JSON line a figure. `ratio` is ours by the peer's: above 1 we are faster
# for rates, below 1 for times and memory. Figures of the machine, not claims: a
# busy machine lies.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use File::Temp qw(tempdir);
use IO::Socket::INET;
use Sandboxd;
use Time::HiRes qw(time sleep);

my $quick = ($ARGV[0] // '') eq '--quick';
my $tool = build_dir() . '/tests/bench/bench_http';
my $scratch = tempdir(CLEANUP => 1);
my %others;		# pids of ours to end
my $seconds = $quick ? 1 : 5;
my $burst = $quick ? 5_000 : 100_000;
my $bytes = $quick ? 64 << 20 : 1 << 30;

sub tool {
	my $r = run_cmd([$tool, @_], timeout => 120);
	return $r->{out} =~ /^\{/ ? from_json($r->{out}) : {};
}

sub line {
	my ($name, $unit, $ours, $peer, %more) = @_;
	my %l = (figure => $name, unit => $unit, ours => $ours, %more);
	if ($peer) {
		$l{peer} = $peer;
		$l{ratio} = sprintf('%.3f', $ours / $peer) + 0;
	}
	print to_json(\%l), "\n";
}

sub free_port {
	my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
	    or die "listen: $!";
	return $s->sockport;
}

# Start a program of somebody else's; ended by its pid at the end.
sub start_other {
	my ($port, $env, @command) = @_;
	my $pid = fork // die "fork: $!";
	if ($pid == 0) {
		%ENV = (%$env, PATH => $ENV{PATH});
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>', "$scratch/other.log");
		open(STDERR, '>&', \*STDOUT);
		exec(@command) or POSIX::_exit(127);
	}
	$others{$pid} = 1;
	wait_for(10, sub {
		IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port");
	}) or return undef;
	return $pid;
}
END { my $s = $?; kill('KILL', keys %others); waitpid($_, 0) for keys %others; $? = $s; }

sub pss_kb {
	my $sum = 0;
	for my $pid (@_) {
		my $text = slurp("/proc/$pid/smaps_rollup") // next;
		$sum += $1 if $text =~ /^Pss:\s+(\d+) kB/m;
	}
	return $sum;
}

# An agent for the peer: `burst N` makes it tell N things.
sub peer_agent {
	my ($home) = @_;
	my $dir = "$home/.local/share/sandbox-agent/bin/agent_processes";
	run_cmd(['mkdir', '-p', $dir]);
	spew("$dir/amp-acp", <<'AGENT');
#!/usr/bin/perl
while (<STDIN>) {
	my ($id) = /"id":(\d+)/;
	if (/burst (\d+)/) {
		my $t = 'x' x 200;
		print qq({"jsonrpc":"2.0","method":"session/update","params":{"n":$_,"sessionId":"s","update":{"content":{"text":"$t","type":"text"},"sessionUpdate":"agent_message_chunk"}}}\n)
		    for 1 .. $1;
	}
	print qq({"id":$id,"jsonrpc":"2.0","result":{"protocolVersion":1}}\n)
	    if defined $id;
	STDOUT->flush;
}
AGENT
	chmod(0755, "$dir/amp-acp");
}

sub start_peer {
	my ($binary) = glob(($ENV{SANDBOXD_AGENTS} // '/nonexistent')
	    . '/node_modules/@sandbox-agent/cli-linux-*/bin/sandbox-agent');
	return () unless defined $binary && -x $binary;
	my $port = free_port();
	peer_agent("$scratch/home");
	my $began = time;
	my $pid = start_other($port, { HOME => "$scratch/home" }, $binary,
	    'server', '--no-token', '--no-telemetry', '--port', $port)
	    or return ();
	return ($pid, $port);
}

sub start_nginx {
	my $nginx = '/usr/sbin/nginx';
	return () unless -x $nginx;
	my $port = free_port();
	spew("$scratch/nginx.conf", <<"CONF");
daemon off;
pid $scratch/nginx.pid;
error_log /dev/null;
worker_processes 2;
user root;
events { worker_connections 512; }
http {
	access_log off;
	client_body_temp_path $scratch;
	server {
		listen 127.0.0.1:$port;
		root $scratch/www;
		sendfile on;
		location = /health { return 200 '{"status":"ok"}'; }
	}
}
CONF
	mkdir("$scratch/www");
	my $pid = start_other($port, {}, $nginx, '-c', "$scratch/nginx.conf",
	    '-p', $scratch) or return ();
	return ($pid, $port);
}

sub health_rate {
	my ($url) = @_;
	my $r = run_cmd(['wrk', '-t1', '-c64', "-d${seconds}s", $url],
	    timeout => 60);
	return $r->{out} =~ /Requests\/sec:\s+([\d.]+)/ ? $1 + 0 : 0;
}

# --- both servers -----------------------------------------------------------------

my $d = Sandboxd->start(http => 1);
my ($port) = $d->url =~ /:(\d+)/;
my ($peer_pid, $peer_port) = start_peer();
my (undef, $nginx_port) = start_nginx();

# Kilobytes that CLIENTS idle event streams cost our gateways, each.
sub idle_streams {
	my ($clients) = @_;
	my $before = pss_kb($d->children(qr/gateway/));
	my @socks;
	for (1 .. $clients) {
		my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port")
		    or die "connect: $!";
		print $s "GET /v1/sessions/idle/events/sse HTTP/1.1\r\n"
		    . "Host: x\r\n\r\n";
		$s->flush;
		push @socks, $s;
	}
	for (@socks) {
		sysread($_, my $head, 65536) or die "no stream";
	}
	return (pss_kb($d->children(qr/gateway/)) - $before) / $clients;
}

# Seconds from the start of a daemon on the state that another has left until
# its first healthy answer.
sub start_time {
	my $at = free_port();
	my $dir = tempdir(CLEANUP => 1);
	my $began = time;
	my $pid = fork // die "fork: $!";
	if ($pid == 0) {
		open(STDOUT, '>', '/dev/null');
		open(STDERR, '>&', \*STDOUT);
		exec(program('sandboxd'), '--libexec-dir', build_dir(),
		    '--state-dir', $_[0], '--run-dir', $dir, '--listen',
		    "127.0.0.1:$at") or POSIX::_exit(127);
	}
	$others{$pid} = 1;
	my $good = wait_for(10, sub {
		for (1 .. 40) {
			my $s = IO::Socket::INET->new("127.0.0.1:$at");
			if (!$s) { sleep 0.0003; next; }
			print $s "GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n";
			$s->flush;
			my $head = '';
			sysread($s, $head, 4096);
			return 1 if $head =~ / 200 /;
		}
		return 0;
	});
	my $took = time - $began;
	kill('TERM', $pid);
	waitpid($pid, 0);
	delete $others{$pid};
	return $good ? $took : -1;
}

sub peer_tool { return $peer_port ? tool(@_) : {} }

# Memory first, while nobody has asked for anything.
line('http_idle_pss', 'kB', pss_kb($d->{pid}, $d->children(qr/./)),
    $peer_pid ? pss_kb($peer_pid) : 0, goal => 6144);

line('http_health', '1/s', health_rate("http://127.0.0.1:$port/v1/health"),
    $peer_port ? health_rate("http://127.0.0.1:$peer_port/v1/health") : 0,
    goal_ratio => 2.5,
    $nginx_port ? (nginx => health_rate("http://127.0.0.1:$nginx_port/health"))
    : ());

# A command, one after the other and many side by side.
my @run = ('/v1/processes/run', '{"command":"true"}');
tool('post', $port, 20, 1, @run);	# the default sandbox is made
for ([1, 'latency'], [16, 'rate']) {
	my ($clients, $what) = @$_;
	my $n = $quick ? 200 : 3000;
	my $ours = tool('post', $port, $n, $clients, @run);
	my $peer = $peer_port ? tool('post', $peer_port, $n, $clients, @run) : {};
	my $key = $what eq 'rate' ? 'rate' : 'p50_ms';
	line("http_run_$what", $what eq 'rate' ? '1/s' : 'ms', $ours->{$key},
	    $peer->{$key}, goal => $what eq 'rate' ? 2500 : 0.9,
	    p99_ms => $ours->{p99_ms}, bad => $ours->{bad});
}

# A burst of events to one client and to eight.
for my $clients (1, 8) {
	my $r = $d->http('POST', "/v1/sessions/burst$clients",
	    json => { agent => 'mock' });
	die "no session: $r->{status} $r->{body}" if $r->{status} != 200;
	my $text = "flood $burst 200";
	my $ours = tool('sse', $port, $clients, $burst,
	    "/v1/sessions/burst$clients/events/sse",
	    "/v1/sessions/burst$clients/messages", to_json({ message => $text }));
	my $peer = {};
	if ($peer_port) {
		my $acp = "/v1/acp/b$clients";
		tool('post', $peer_port, 1, 1, "$acp?agent=amp",
		    '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}');
		$peer = tool('sse', $peer_port, $clients, $burst, $acp, $acp,
		    qq({"jsonrpc":"2.0","id":1,"method":"x","params":"burst $burst"}));
	}
	line("http_events_$clients", '1/s', $ours->{rate}, $peer->{rate},
	    goal => $clients == 1 ? 150000 : 600000,
	    lost => $burst * $clients > $ours->{events} ? 'yes' : 'no',
	    peer_lost => $peer->{events}
		? sprintf('%.0f%%', 100 * (1 - $peer->{events} / $burst / $clients))
		: undef);
}
my @again = sort { $a <=> $b } map {
	tool('first', $port, '/v1/sessions/burst1/events/sse?offset=10')->{first_ms}
} 1 .. 9;
line('http_reconnect_first_byte', 'ms', $again[4], 0, goal => 2);

# A thousand that only listen; then one in a thousand that does not read.
my $many = $quick ? 100 : 1000;
$d->http('POST', '/v1/sessions/idle', json => { agent => 'mock' });
line('http_idle_stream_memory', 'kB', sprintf('%.2f', idle_streams($many)) + 0, 0,
    clients => $many);
my @calm;
for my $stuck (0, 1) {
	$d->http('POST', "/v1/sessions/calm$stuck", json => { agent => 'mock' });
	push @calm, tool('sse', $port, $many, 2000,
	    "/v1/sessions/calm$stuck/events/sse",
	    "/v1/sessions/calm$stuck/messages",
	    to_json({ message => 'flood 2000 2000' }), $stuck);
}
line('http_stuck_reader', 's', $calm[1]{seconds}, $calm[0]{seconds},
    clients => $many, peer_is => 'the same without one that is stuck');

# Files. The peer refuses uploads above 2 MiB.
my $up = tool('put', $port, '/v1/fs/file?path=/tmp/big', $bytes);
line('http_upload', 'MB/s', $up->{mb_s}, 0, goal => 700,
    status => $up->{status});
my $down = tool('get', $port, '/v1/fs/file?path=/tmp/big');
my ($nginx, $peer) = ({}, {});
if ($nginx_port) {
	run_cmd(['truncate', '-s', $bytes, "$scratch/www/big"]);
	$nginx = tool('get', $nginx_port, '/big');
}
if ($peer_port) {
	run_cmd(['truncate', '-s', $bytes, "$scratch/home/big"]);
	$peer = tool('get', $peer_port, '/v1/fs/file?path=big');
}
line('http_download', 'MB/s', $down->{mb_s}, $peer->{mb_s}, goal => 1200,
    first_ms => $down->{first_ms}, peer_first_ms => $peer->{first_ms},
    nginx => $nginx->{mb_s});

# Starting, with all that was stored above.
my $state = $d->{state};
$d->stop;
my @starts = sort { $a <=> $b } map { start_time($state) } 1 .. 5;
line('http_start', 'ms', sprintf('%.1f', 1000 * $starts[2]) + 0, 0,
    goal => 10, store_bytes => -s "$state/store/data.mdb");
