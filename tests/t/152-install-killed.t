# The courier, or all of sandboxd, killed at any moment of an installation: what is
# in use is always whole, and the next try succeeds, going on where it was.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Registry;
use Test::More;
use Time::HiRes qw(time sleep);

my $r = Sandboxd::Registry->new;
my $def = \&Sandboxd::Registry::definition;
srand(17);
my $noise = join('', map { chr 33 + int rand 90 } 1 .. 800_000);
for my $v (1 .. 40) {
	$r->publish('agent', "1.0.$v", { bin => 'run.sh',
	    dependencies => { map { ("dep$_" => '1') } 1 .. 6 } },
	    { 'run.sh' => "#!/bin/sh\nd=\$(dirname \"\$(readlink -f \"\$0\")\")\n"
	    . "for i in 1 2 3 4 5 6; do test -s \$d/../dep\$i/last || exit 1; done\n"
	    . "test -s \$d/noise && test -s \$d/zlast && echo whole $v\n",
	    noise => $noise, zlast => "x\n" });
}
$r->publish("dep$_", '1.0.0', {}, { (map { ("f$_" => "x" x 2000) } 1 .. 30),
    last => "y\n" }) for 1 .. 6;
$r->start;
my $d = Sandboxd->start(conf => "[courier]\nnpm_registry = " . $r->url . "\n",
    agents => { $def->('agent', type => 'npm', package => 'agent') });
my $agents = "$d->{state}/agents";
my $launcher = "$agents/agent/current/bin/agent";

sub courier { return ($d->children(qr/courier/))[0] }

sub whole { return run_cmd([$launcher], timeout => 20)->{out} =~ /^whole (\d+)$/ }

# --- going on where it broke off ----------------------------------------------------

is($d->ok('agent.install', { id => 'agent', version => '1.0.1' }, timeout => 60)
    ->{version}, '1.0.1', 'the first version');
ok(whole(), 'is whole');
$r->rule(match => 'agent-1.0.2', action => 'slow', bytes => 300_000, times => 1);
$r->forget_requests;
my $c = $d->client;
my $id = $c->send('agent.install', { id => 'agent', version => '1.0.2' });
ok(wait_for(30, sub { grep { -s $_ && -s _ > 100_000 } glob("$agents/.partial/*") }),
    'some of it has come');
my $was = courier();
kill('KILL', $was);
my $got = $c->finish($id, timeout => 60);
is($got->{ok}{version}, '1.0.2', 'the courier is killed, and another one goes on')
    or diag(to_json($got));
isnt(courier(), $was, 'another process');
my @ranges = map { /range=bytes=(\d+)-/ ? $1 : () } $r->requests(qr/agent-1\.0\.2/);
is(scalar @ranges, 1, 'it asks for the rest');
cmp_ok($ranges[0] // 0, '>=', 100_000, 'of what is there');
ok(whole(), 'and what comes of it is right');

# --- a courier that always dies -----------------------------------------------------

$r->rule(match => 'agent-1.0.3', action => 'hang');
$id = $c->send('agent.install', { id => 'agent', version => '1.0.3' });
for (1 .. 3) {
	$r->forget_requests;
	wait_for(20, sub { courier() && $r->requests(qr/agent-1\.0\.3/) }) or last;
	kill('KILL', courier());
}
$got = $c->finish($id, timeout => 60);
is($got->{error}{code}, 'install_failed', 'three times is a failure');
like($got->{error}{detail}, qr/^courier ended: /, 'which is told');
ok(whole(), 'what is in use stays');
$r->no_rules;

# --- killed at any moment -----------------------------------------------------------

# Meanwhile somebody looks all the time.
my $log = "$r->{dir}/looks";
my $looker = fork // die "fork: $!";
if ($looker == 0) {
	open(my $fh, '>', $log);
	$fh->autoflush(1);
	my ($good, $bad) = (0, 0);
	while (getppid() != 1 && !-e "$r->{dir}/enough") {
		my $target = readlink("$agents/agent/current");
		my $fine = defined $target && -x $launcher &&
		    -s "$agents/agent/$target/node_modules/agent/zlast" &&
		    -s "$agents/agent/$target/node_modules/dep6/last";
		$fine ? $good++ : $bad++;
		print $fh "bad: " . ($target // 'none') . "\n" unless $fine;
		select(undef, undef, undef, 0.001);
	}
	print $fh "looked $good\n";
	POSIX::_exit(0);
}

my $rounds = $ENV{SANDBOXD_SANITIZED} ? 4 : 8;
my ($version, $failed) = (10, 0);
for my $round (1 .. $rounds) {
	$version++;
	my $client = $d->client;
	$client->send('agent.install', { id => 'agent', version => "1.0.$version" });
	wait_for(10, sub { courier() });
	sleep rand(0.25) * slow_factor();
	if ($round % 2) {
		my $pid = courier();
		kill('KILL', $pid) if $pid;
	} else {
		$d->stop('KILL');
		$d->launch;
	}
	$client->close;
	ok(whole(), "round $round: what is in use is whole");
	my $again = $d->request('agent.install', { id => 'agent',
	    version => "1.0.$version" }, timeout => 60);
	$failed++, diag(to_json($again)) unless $again->{ok};
	my ($runs) = whole();
	is($runs, $version, "round $round: the next try succeeds");
}
is($failed, 0, 'all of them');
spew("$r->{dir}/enough", '1');
waitpid($looker, 0);
my $looks = slurp($log);
unlike($looks, qr/^bad/m, 'whoever looked found a whole version, at any moment');
like($looks, qr/^looked [1-9]\d\d/m, 'and somebody looked');

$d->restart;
is($d->ok('agent.install', { id => 'agent', version => '1.0.40' }, timeout => 60)
    ->{version}, '1.0.40', 'after a restart');
is_deeply([glob("$agents/agent/.tmp*"), glob("$agents/.partial/*")], [],
    'nothing half done is left');
is(scalar(grep { -d && !-l } glob("$agents/agent/*")), 3 + $rounds,
    'all versions stand side by side');
ok($d->stop, 'ends');
is_deeply([$d->leftovers], [], 'and leaves nothing');
done_testing;
