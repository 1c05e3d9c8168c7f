#!/usr/bin/perl
# ACP figures, each against a peer in the same run: the server binary of the npm
# package @sandbox-agent/cli (if $SANDBOXD_AGENTS has it). Both drive the same small
# agent in perl, ours inside a sandbox; the mock of each is another thing, so it
# is measured for ours besides.
#
#	tests/bench/bench_acp.pl [--quick]
#
# One JSON line a figure. `ratio` is ours by the peer's: above 1 we are faster
# for rates, below 1 for times and memory. Figures of the machine, not claims.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use File::Temp qw(tempdir);
use IO::Socket::INET;
use Sandboxd;
use Sandboxd::Acp;
use Sandboxd::Http;
use Time::HiRes qw(time sleep);

my $quick = ($ARGV[0] // '') eq '--quick';
my $tool = build_dir() . '/tests/bench/bench_http';
my $scratch = tempdir(CLEANUP => 1);
my ($creates, $trips, $burst, $servers) = $quick ? (20, 200, 5_000, 20)
    : (200, 5_000, 100_000, 100);
my %others;		# pids of ours to end

my $agent = <<'AGENT';
#!/usr/bin/perl
$| = 0;
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

my $busy = <<'AGENT';
#!/usr/bin/perl
exec('sleep', '600') if !fork;
while (<STDIN>) {
	print qq({"id":0,"jsonrpc":"2.0","result":{}}\n) if /"id"/;
	STDOUT->flush;
}
AGENT

sub line {
	my ($name, $unit, $ours, $peer, %more) = @_;
	my %l = (figure => $name, unit => $unit, %more);
	$l{ours} = sprintf('%.3f', $ours) + 0 if defined $ours;
	$l{peer} = sprintf('%.3f', $peer) + 0 if defined $peer;
	$l{ratio} = sprintf('%.3f', $ours / $peer) + 0 if $ours && $peer;
	print to_json(\%l), "\n";
	STDOUT->flush;
}

sub tool {
	my $r = run_cmd([$tool, @_], timeout => 180);
	return $r->{out} =~ /^\{/ ? from_json($r->{out}) : {};
}

sub median { my @s = sort { $a <=> $b } @_; return $s[@s / 2] }

# --- both servers ---------------------------------------------------------------------

sub start_peer {
	my ($binary) = glob(($ENV{SANDBOXD_AGENTS} // '/nonexistent')
	    . '/node_modules/@sandbox-agent/cli-linux-*/bin/sandbox-agent');
	return () unless defined $binary && -x $binary;
	my $home = tempdir(CLEANUP => 1);
	my $dir = "$home/.local/share/sandbox-agent/bin/agent_processes";
	run_cmd(['mkdir', '-p', $dir]);
	spew("$dir/amp-acp", $agent);
	spew("$dir/pi-acp", $busy);
	chmod(0755, "$dir/amp-acp", "$dir/pi-acp");
	my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1);
	my $port = $s->sockport;
	close($s);
	my $pid = fork // die "fork: $!";
	if ($pid == 0) {
		%ENV = (HOME => $home, PATH => $ENV{PATH});
		chdir($home);
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>', "$scratch/peer.log");
		open(STDERR, '>&', \*STDOUT);
		exec($binary, 'server', '--no-token', '--no-telemetry', '--port',
		    $port) or POSIX::_exit(127);
	}
	$others{$pid} = 1;
	wait_for(10, sub { IO::Socket::INET->new("127.0.0.1:$port") })
	    or return ();
	return ($pid, $port);
}
END {
	my $s = $?;
	kill('KILL', map { ($_, descendants($_)) } keys %others);
	waitpid($_, 0) for keys %others;
	$? = $s;
}

# Nothing is left for a later one to adopt, as with `sandbox-agent server`.
my $d = Sandboxd->start(http => 1, conf => "[gateway]\nmax_per_address = 0\n"
    . "[sandbox]\nadopt = 0\n");
my ($port) = $d->url =~ /:(\d+)/;
Sandboxd::Acp->install($d, 'amp', script => $agent);
Sandboxd::Acp->install($d, 'pi', script => $busy);
my ($peer_pid, $peer_port) = start_peer();

# The same words to either: (status, seconds) of one request.
my %kept;
sub ask {
	my ($to, $method, $path, $body, %o) = @_;
	my $c = delete $kept{$to} // Sandboxd::Http->new("127.0.0.1:$to") // return (0, 0);
	my $began = time;
	my $r = $c->request($method, $path, timeout => $o{timeout} // 20,
	    defined $body ? (body => $body,
	    headers => { 'Content-Type' => 'application/json' }) : ());
	my $took = time - $began;
	$kept{$to} = $c unless $r->{broken};
	return ($r->{status} // 0, $took, $r);
}
my $hello = '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}';

# --- making them, and ending them --------------------------------------------------------

sub creation {
	my ($to, $agent, $n) = @_;
	my (@make, @end);

	for my $i (0 .. $n) {
		my ($status, $took) = ask($to, 'POST', "/v1/acp/c$i?agent=$agent",
		    $hello);
		die "create at $to: $status" if $status != 200;
		push @make, 1000 * $took if $i;	# the first makes the sandbox
	}
	# The peer answers its DELETE when the agent has left, and it does not
	# make it leave: three seconds are enough to know.
	for my $i (0 .. ($to == $port ? $n : 1)) {
		my ($status, $took) = ask($to, 'DELETE', "/v1/acp/c$i", undef,
		    timeout => 3);
		push @end, $status == 204 ? 1000 * $took : undef if $i;
	}
	return (\@make, \@end);
}
my ($make, $end) = creation($port, 'amp', $creates);
my ($mock_make, $mock_end) = creation($port, 'mock', $creates);
my ($peer_make, $peer_end) = $peer_port ? creation($peer_port, 'amp',
    $quick ? 20 : 50) : ([], []);
my $peer_median = @$peer_make ? median(@$peer_make) : undef;
line('acp_create', 'ms', median(@$make), $peer_median, what => 'the same agent',
    ours_in => 'a sandbox');
line('acp_create_mock', 'ms', median(@$mock_make), $peer_median, what => 'our mock');
line('acp_delete', 'ms', median(@$end), $peer_end->[0], goal => 20,
    @$peer_end && !defined $peer_end->[0] ? (peer_is => 'no answer in 3 s') : ());
line('acp_delete_mock', 'ms', median(@$mock_end), undef, goal => 20);
# The peer has some left that nobody can end.
if ($peer_pid) {
	kill('KILL', $peer_pid, descendants($peer_pid));
	waitpid($peer_pid, 0);
	delete $others{$peer_pid};
	($peer_pid, $peer_port) = start_peer();
}

# --- round trips ------------------------------------------------------------------------

sub trips {
	my ($to, $agent, $clients, $body) = @_;
	ask($to, 'POST', "/v1/acp/t-$agent?agent=$agent", $hello);
	return tool('post', $to, $trips, $clients, "/v1/acp/t-$agent", $body);
}
my $request = '{"jsonrpc":"2.0","id":1,"method":"x","params":{"text":"hello"}}';
my $ours = trips($port, 'amp', 1, $request);
my $peer = $peer_port ? trips($peer_port, 'amp', 1, $request) : {};
line('acp_round_trip', 'ms', $ours->{p50_ms}, $peer->{p50_ms},
    p99_ms => $ours->{p99_ms}, peer_p99_ms => $peer->{p99_ms}, goal => 0.26);
ask($port, 'POST', '/v1/acp/p?agent=mock', $hello);
my (undef, undef, $new) = ask($port, 'POST', '/v1/acp/p',
    '{"jsonrpc":"2.0","id":1,"method":"session/new","params":{"cwd":"/","mcpServers":[]}}');
my $prompt = '{"jsonrpc":"2.0","id":2,"method":"session/prompt","params":{"sessionId":"'
    . $new->{json}{result}{sessionId} . '","prompt":[{"type":"text","text":"hello"}]}}';
my $mock = tool('post', $port, $trips, 1, '/v1/acp/p', $prompt);
line('acp_prompt_mock', 'ms', $mock->{p50_ms}, $peer->{p50_ms},
    p99_ms => $mock->{p99_ms}, what => 'a whole turn of our mock');
# All of them with one id, which the peer would confuse.
my $many = trips($port, 'amp', 16, $request);
line('acp_round_trips', '1/s', $many->{rate}, undef, clients => 16,
    bad => $many->{bad});

# --- a long turn ---------------------------------------------------------------------------

for my $clients (1, 8) {
	my %got;
	for ([$port, 'ours'], $peer_port ? [$peer_port, 'peer'] : ()) {
		my ($to, $name) = @$_;
		my $acp = "/v1/acp/b$clients";
		ask($to, 'POST', "$acp?agent=amp", $hello);
		$got{$name} = tool('sse', $to, $clients, $burst, $acp, $acp,
		    qq({"jsonrpc":"2.0","id":1,"method":"x","params":"burst $burst"}));
	}
	my $lost = sub {
		my $events = $_[0]{events} // return undef;
		my $all = $burst * $clients;
		return $events >= $all ? '0%'
		    : sprintf('%.0f%%', 100 * (1 - $events / $all));
	};
	line("acp_updates_$clients", '1/s', $got{ours}{rate}, $got{peer}{rate},
	    updates => $burst, lost => $lost->($got{ours} // {}),
	    peer_lost => $lost->($got{peer} // {}));
}

# --- memory -------------------------------------------------------------------------------

sub pss_kb {
	my $sum = 0;
	for my $pid (@_) {
		my $text = slurp("/proc/$pid/smaps_rollup") // next;
		$sum += $1 if $text =~ /^Pss:\s+(\d+) kB/m;
	}
	return $sum;
}
sub grown {
	my ($to, $pid, $agent) = @_;
	my $before = pss_kb($pid, descendants($pid));
	for (1 .. $servers) {
		ask($to, 'POST', "/v1/acp/m$_?agent=$agent", $hello);
		ask($to, 'POST', "/v1/acp/m$_", '{"jsonrpc":"2.0","id":1,"method":'
		    . '"session/new","params":{"cwd":"/","mcpServers":[]}}');
	}
	sleep(1.5);
	return (pss_kb($pid, descendants($pid)) - $before) / $servers / 1024;
}
my ($mb, $peer_mb) = (grown($port, $d->{pid}, 'mock'));
if ($peer_port) {
	# Its mock is a process of its own program, once it is installed.
	ask($peer_port, 'POST', '/v1/agents/mock/install', '{}');
	$peer_mb = grown($peer_port, $peer_pid, 'mock');
}
line('acp_memory_mock', 'MB', $mb, $peer_mb, servers => $servers, goal => 0.4);

# --- what is left when the server is not --------------------------------------------------

# Ten agents, each with a command that it runs.
sub left {
	my ($signal, $pid, $to) = @_;
	for (1 .. 10) {
		my ($status) = ask($to, 'POST', "/v1/acp/o$_?agent=pi", $hello);
		die "an agent at $to: $status" if $status != 200;
	}
	my @all = descendants($pid);
	kill($signal, $pid);
	wait_for(10, sub { waitpid($pid, POSIX::WNOHANG()) > 0 });
	sleep(1);
	my @alive = grep { my $s = slurp("/proc/$_/stat") // ''; $s !~ /^$/ &&
	    $s !~ /\) Z / } @all;
	kill('KILL', @alive);
	return scalar(@alive);
}
for my $signal ('TERM', 'KILL') {
	my $ours = left($signal, $d->{pid}, $port);
	my $peer = $peer_pid ? left($signal, $peer_pid, $peer_port) : undef;
	delete $others{$peer_pid} if $peer_pid;
	%kept = ();
	print to_json({ figure => "acp_orphans_$signal", unit => 'processes',
	    ours => $ours, defined $peer ? (peer => $peer) : (), goal => 0 }), "\n";
	last if $signal eq 'KILL';
	$d->ended;
	$d->launch;
	($port) = $d->url =~ /:(\d+)/;
	($peer_pid, $peer_port) = start_peer();
}
