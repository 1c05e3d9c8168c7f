# B28: HUP under load costs no request, also when it changes where HTTP is served; a bad
# configuration changes nothing and the error says the line. The load is what wrk and
# this machine make of it: the rate is told, and looked at loosely only.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use IO::Socket::INET;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);

need_root();
need_program('wrk');
# Ports that were free a moment ago.
my @held = map { IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1:0') } 1 .. 3;
my ($at, $also, $later) = map { '127.0.0.1:' . $_->sockport } @held;
close($_) for @held;
my $d = Sandboxd->start(http => 1, listen => [],
    conf => "[control]\nmax_clients = 200\n[gateway]\nlisten = $at\n");
my $conf = slurp("$d->{dir}/conf");
my $url = "http://$at/v1/health";
sub served { return eval { $d->http('GET', '/v1/health', at => qr/^\Q$_[0]\E$/)->{status} } // 0 }

# wrk itself sees what fails: a port that nobody serves.
my $dead = run_cmd(['wrk', '-c1', '-t1', '-d1s', 'http://127.0.0.1:1/'], timeout => 20);
unlike("$dead->{out}$dead->{err}", qr/Requests\/sec:\s+[1-9]/, 'wrk tells failures');

my $pid = fork // die;
if ($pid == 0) {
	open(STDOUT, '>', "$d->{dir}/wrk");
	open(STDERR, '>&', \*STDOUT);
	exec('wrk', '-c32', '-t1', '-d7s', '--timeout', '6s', $url) or POSIX::_exit(127);
}
sleep(0.5);
my $hups = 0;
for my $n (1 .. 6) {
	# In turn: another address besides, and gateways with another setting;
	# another limit without those; a mistake.
	my $more = $n % 3 == 1 ? "\n[gateway]\nlisten = $at $also\naccess_log = yes\n"
	    : $n % 3 == 2 ? "\n[control]\nmax_clients = 300\n"
	    : "\n[control]\nmax_clients = no\n";
	spew("$d->{dir}/conf", $conf . $more);
	my $before = () = slurp($d->{log}) =~ /reloaded/g;
	kill('HUP', $d->{pid});
	$hups++ if wait_for(5, sub { my $now = () = slurp($d->{log}) =~ /reloaded/g;
	    $now > $before });
	delete @$d{qw(http_at http_kept)};
	is(served($also), 200, 'the other address is served') if $n % 3 == 1;
	is(served($also), 0, 'and no more') if $n % 3 == 2;
	sleep(0.3);
}
is($hups, 6, 'six times HUP, each heard');
# The address under load goes: its connections do not.
spew("$d->{dir}/conf", $conf =~ s/^listen = .*/listen = $later/mr);
my $changed = () = slurp($d->{log}) =~ /configuration reloaded/g;
kill('HUP', $d->{pid});
ok(wait_for(5, sub { $changed < (() = slurp($d->{log}) =~ /configuration reloaded/g) }),
    'a seventh time');
delete @$d{qw(http_at http_kept)};
is(served($later), 200, 'HTTP is elsewhere');
ok(!IO::Socket::INET->new(PeerAddr => $at, Timeout => 5), 'and not where it was');
ok(waitpid($pid, POSIX::WNOHANG()) == 0, 'while the load goes on');
waitpid($pid, 0);
my $report = slurp("$d->{dir}/wrk");
my ($rate) = $report =~ m{Requests/sec:\s+([\d.]+)};
cmp_ok($rate // 0, '>', 500 / Sandboxd::slow_factor(), 'requests were served: ' . ($rate // '?') . ' per second');
unlike($report, qr/Socket errors|Non-2xx/, 'and none failed') or diag($report);
my @mistakes = slurp($d->{log}) =~ /not reloaded mistakes="([^"]*)"/g;
is(scalar(@mistakes), 2, 'two were refused');
my $lines = () = "$conf\n[control]\nmax_clients = no\n" =~ /\n/g;
like($mistakes[0], qr/conf:\d+: control\.max_clients/, 'with file and line');
# What was in force stays: what came before the mistake is not taken either.
spew("$d->{dir}/conf", "$conf\n[control]\nallow_users = 12345\nmax_clients = no\n");
kill('HUP', $d->{pid});
ok(wait_for(5, sub { 3 == (() = slurp($d->{log}) =~ /not reloaded/g) }), 'another mistake');
my $got = run_cmd(['setpriv', '--reuid=12345', '--regid=12345', '--clear-groups',
    'socat', '-t', '5', '-', "UNIX-CONNECT:$d->{socket}"], stdin => "sandbox.list\n");
like($got->{out}, qr/"denied"/, 'all or nothing');
spew("$d->{dir}/conf", "$conf\n[control]\nallow_users = 12345\n");
my $before = () = slurp($d->{log}) =~ /configuration reloaded/g;
kill('HUP', $d->{pid});
wait_for(5, sub { $before < (() = slurp($d->{log}) =~ /configuration reloaded/g) });
$got = run_cmd(['setpriv', '--reuid=12345', '--regid=12345', '--clear-groups',
    'socat', '-t', '5', '-', "UNIX-CONNECT:$d->{socket}"], stdin => "sandbox.list\n");
like($got->{out}, qr/"ok"/, 'a good one is in force');
ok($d->stop, 'it ends');
is(join("\n", $d->leftovers), '', 'nothing is left');
done_testing;
