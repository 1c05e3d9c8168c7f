# B28: HUP under load costs no request; a bad configuration changes nothing and the
# error says the line.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(sleep);

need_root();
need_program('wrk');
my $d = Sandboxd->start(http => 1, conf => "[control]\nmax_clients = 200\n");
my $conf = slurp("$d->{dir}/conf");
my $url = $d->url('/v1/health');

# wrk itself sees what fails: a port that nobody serves.
my $dead = run_cmd(['wrk', '-c1', '-t1', '-d1s', 'http://127.0.0.1:1/'], timeout => 20);
unlike("$dead->{out}$dead->{err}", qr/Requests\/sec:\s+[1-9]/, 'wrk tells failures');

my $pid = fork // die;
if ($pid == 0) {
	open(STDOUT, '>', "$d->{dir}/wrk");
	open(STDERR, '>&', \*STDOUT);
	exec('wrk', '-c16', '-t1', '-d5s', '--timeout', '4s', $url) or POSIX::_exit(127);
}
sleep(0.5);
my $hups = 0;
for my $n (1 .. 6) {
	# In turn: the same, another limit, a mistake.
	my $more = $n % 3 == 1 ? '' : $n % 3 == 2 ? "\n[control]\nmax_clients = 300\n"
	    : "\n[control]\nmax_clients = no\n";
	spew("$d->{dir}/conf", $conf . $more);
	my $before = () = slurp($d->{log}) =~ /reloaded/g;
	kill('HUP', $d->{pid});
	$hups++ if wait_for(5, sub { my $now = () = slurp($d->{log}) =~ /reloaded/g;
	    $now > $before });
	sleep(0.3);
}
is($hups, 6, 'six times HUP, each heard');
waitpid($pid, 0);
my $report = slurp("$d->{dir}/wrk");
my ($rate) = $report =~ m{Requests/sec:\s+([\d.]+)};
cmp_ok($rate // 0, '>', 100, 'requests were served: ' . ($rate // '?') . ' per second');
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
