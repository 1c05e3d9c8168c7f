# B29: the supervisor is replaced under load, with 20 sandboxes, a session that
# is being followed over HTTP and over the control socket, and a command that is
# running: nothing ends, no event is lost. What must not take over does not.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Test::More;
use File::Copy qw(copy);

need_root();
my $rounds = $ENV{SANDBOXD_UPGRADES} // 3;
my $d = Sandboxd->start(http => 1);
$d->ok('sandbox.create', { id => "box$_" }) for 1 .. 20;
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'box1' });

# sandbox => pid of its init, session => pid of its worker, and our own.
sub pids {
	my $list = $d->ok('sandbox.list', {})->{sandboxes};
	my @helpers = sort $d->children(qr/store|relay|gateway/);
	return to_json([$d->ok('status')->{pid}, \@helpers,
	    { map { $_->{id} => $_->{pid} } @$list }]);
}

my $before = pids();
my $follower = $d->client;
$follower->send('session.events', { id => 's', follow => JSON::PP::true });
my $sse = Sandboxd::Http->new($d->http_address(qr/^[^u]/));
my $raw = $sse->{fh} // $sse->{socket};
print $raw "GET /v1/sessions/s/events/sse HTTP/1.1\r\nHost: x\r\n\r\n";
$raw->flush;
my $long = $d->client;
my $long_id = $long->send('sandbox.exec', { id => 'box2', command =>
    'i=0; while [ ! -e /tmp/end ]; do sleep 0.05; done; echo done; exit 7' });

# Load: commands and turns all the time, each of which must come out right.
my @load;
for my $n (1 .. 3) {
	pipe(my $r, my $w) or die "pipe: $!";
	my $pid = fork // die "fork: $!";
	if ($pid == 0) {
		my ($did, $bad) = (0, '');
		my $stop = 0;
		local $SIG{USR1} = sub { $stop = 1 };
		$d->{client} = undef;
		until ($stop) {
			my $got = $n < 3 ? $d->exec("box$n", ['echo', "$did"])
			    : eval { $d->turn('s', "turn $did"); { stdout => "$did\n" } };
			$bad ||= to_json($got // "$@")
			    if ($got->{stdout} // '') ne "$did\n";
			$did++;
		}
		print $w "$did $bad\n";
		close($w);
		POSIX::_exit(0);
	}
	close($w);
	push @load, [$pid, $r];
}

my $worst = 0;
for my $round (1 .. $rounds) {
	my $r = $d->request('upgrade', { wait => '60s' }, timeout => 120);
	ok($r->{ok}, "upgrade $round") or diag(to_json($r), $d->log_tail);
	$worst = $r->{ok}{pause_ms} if ($r->{ok}{pause_ms} // 0) > $worst;
	is(pids(), $before, 'nobody has another pid');
}
my $busy = (slurp('/proc/loadavg') =~ /^(\S+)/)[0];
cmp_ok($worst, '<', $busy > 6 ? 2000 : 200,
    "without new requests for at most $worst ms (load $busy)");

# To another program, and back.
my $dir = Sandboxd->scratch_dir;
copy(program('sandboxd'), "$dir/sandboxd") or die "copy: $!";
chmod(0755, "$dir/sandboxd");
for my $to ("$dir/sandboxd", program('sandboxd')) {
	my $r = $d->request('upgrade', { path => $to, wait => '60s' },
	    timeout => 120);
	ok($r->{ok}, 'by another program') or diag(to_json($r));
	is(readlink("/proc/$d->{pid}/exe"), $to, 'which runs now');
}
is(pids(), $before, 'and nobody has noticed');

# What must not take over.
is($d->error('upgrade', { path => '/bin/true' }), 'upgrade_refused',
    'a program that ends well whatever it is asked');
is($d->error('upgrade', { path => '/bin/false' }), 'upgrade_refused', 'another program');
is($d->error('upgrade', { path => '/nowhere' }), 'bad_request', 'no program');
is($d->error('upgrade', { path => 'sandboxd' }), 'bad_request', 'a relative path');
chmod(0757, "$dir/sandboxd");
is($d->error('upgrade', { path => "$dir/sandboxd" }), 'denied', 'one that others can write');
my $conf = slurp("$d->{dir}/conf");
spew("$d->{dir}/conf", "$conf\nnonsense = 1\n");
is($d->error('upgrade', {}), 'upgrade_refused', 'a configuration with a mistake');
spew("$d->{dir}/conf", $conf);
is(pids(), $before, 'none of which has touched anything');

# By signal.
my $count = $d->ok('status')->{upgrades};
kill('USR2', $d->{pid});
ok(wait_for(60, sub { $d->ok('status')->{upgrades} == $count + 1 }), 'SIGUSR2');

for (@load) {
	kill('USR1', $_->[0]);
	my $line = readline($_->[1]);
	waitpid($_->[0], 0);
	like($line, qr/^[1-9]\d* $/, 'load that has met nothing strange');
}

# The command ends, and its client is told.
$d->exec('box2', ['touch', '/tmp/end']);
my $end = $long->finish($long_id, timeout => 60);
is($end->{ok}{exit_code}, 7, 'a command that ran all the time ends, and is told of');

# Every event has come to both followers, once.
my @all = $d->events('s');
my $n = $all[-1]{sequence};
my @seen = map { $follower->json->{item} } 1 .. $n;
is(Sandboxd::sequence_flaw(1, @seen), '', "all $n events, over the control socket");
my ($text, $last) = ('', 0);
wait_for(30, sub {
	my $bits = '';
	vec($bits, fileno($raw), 1) = 1;
	sysread($raw, $text, 1 << 20, length $text)
	    while select(my $b = $bits, undef, undef, 0) > 0;
	$last = () = $text =~ /^id: ?\d+/mg;
	return $last >= $n;
});
is(join(' ', $text =~ /^id: ?(\d+)/mg), join(' ', 1 .. $n), 'and over HTTP');
done_testing;
