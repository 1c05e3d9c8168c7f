# What gateways ask of the supervisor, and what becomes of clients when one dies,
# or the store does.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(sleep time);

need_root();
my $d = Sandboxd->start(http => 1, token => 'geheim', args => ['--log-level',
    'debug'], conf => "[gateway]\nprocesses = 3\n");
my %auth = (headers => { Authorization => 'Bearer geheim' });

sub gateways { return @{$d->ok('status')->{gateways}} }
# Never a number that stands for more than one process.
sub end_hard { kill('KILL', $_) for grep { defined && /^\d+$/ && $_ > 1 } @_ }
sub serving { return grep { $_->{serving} } gateways() }

sub all_serve {
	return wait_for(15, sub { scalar(serving()) == 3 });
}

# --- processes ----------------------------------------------------------------------
is(scalar(gateways()), 3, 'three were asked for');
ok(all_serve(), 'three serve');
is(scalar(() = $d->children(qr/^sandboxd-gateway/)), 3, 'and run');
for my $pid (map { $_->{pid} } gateways()) {
	my $st = slurp("/proc/$pid/status");
	like($st, qr/^Uid:\t(\d+)\t\1\t\1\t\1$/m, "$pid has one uid");
	unlike($st, qr/^Uid:\t0\t/m, 'which is not root');
	like($st, qr/^CapEff:\t0+$/m, 'no capability');
	like($st, qr/^NoNewPrivs:\t1$/m, 'no way to one');
	is(readlink("/proc/$pid/root"), "$d->{state}/empty", 'an empty root');
	# What it holds: no file but the map, which it cannot write.
	my @files = grep { defined && m{^/} && $_ ne '/dev/null' }
	    map { readlink "/proc/$pid/fd/$_" } 0 .. 63;
	my @other = grep { !m{/store/(?:data|lock)\.mdb$} && $_ ne $d->{log} }
	    @files;
	is("@other", '', 'no file open but the map and the log');
}

# --- asking the supervisor ----------------------------------------------------------------
# Every connection lands somewhere; all of them get their answers.
my $r = $d->http('POST', '/v1/sessions/s1', json => { agent => 'mock' });
is($r->{status}, 200, 'a session is made') or diag(to_json($r));
is($d->http('POST', '/v1/sessions/s1', json => { agent => 'mock' })->{status},
    409, 'only one of a name');
is($d->ok('sandbox.get', { id => 'default' })->{state}, 'running',
    'the sandbox default was made by it');
sub send_run {
	my ($c, $path, $command, @args) = @_;
	my $body = to_json({ command => $command, args => \@args });
	$c->write("POST $path HTTP/1.1\r\nHost: x\r\n"
	    . "Authorization: Bearer geheim\r\nContent-Type: application/json"
	    . "\r\nContent-Length: " . length($body) . "\r\n\r\n$body");
}
my @clients = map { $d->http_client } 1 .. 30;
send_run($_, '/v1/processes/run', 'echo', 'it works') for @clients;
my @out = map { $_->response } @clients;
is(scalar(grep { ($_->{json}{stdout} // '') eq "it works\n" } @out), 30,
    'thirty commands at one time')
    or diag(to_json([map { $_->{status} // $_->{broken} } @out]));
$_->close for @clients;

# A stopped sandbox is started by who needs it; one that is not there is not.
$d->ok('sandbox.create', { id => 'box' });
my %run = (json => { command => 'true' }, timeout => 30);
is($d->http('POST', '/i/box/v1/processes/run', %run)->{json}{exitCode}, 0,
    'a command in box');
$d->ok('sandbox.stop', { id => 'box' });
is($d->http('POST', '/i/box/v1/processes/run', %run)->{json}{exitCode}, 0,
    'and after it was stopped');
is($d->ok('sandbox.get', { id => 'box' })->{state}, 'running', 'it runs again');
is($d->http('POST', '/i/nobox/v1/processes/run', %run)->{status}, 404,
    'no sandbox, no command');
SKIP: {
	my $p = $d->request('sandbox.pause', { id => 'box' });
	skip 'no pausing here', 2 if $p->{error};
	my $t0 = time;
	is($d->http('POST', '/i/box/v1/processes/run', %run)->{status}, 409,
	    'nor in one that is paused') for 1, 2;
	ok(time - $t0 < 5, 'which is told at once');
	$d->ok('sandbox.resume', { id => 'box' });
	is($d->http('POST', '/i/box/v1/processes/run', %run)->{json}{exitCode},
	    0, 'it runs on when that is over');
}
# The sandbox dies under a command: its client is told, others are not touched.
my $long = $d->http_client;
send_run($long, '/i/box/v1/processes/run', 'sleep', '600');
ok(wait_for(10, sub { scalar(() = $d->children(qr/^sleep 600/)) }), 'it sleeps');
$d->ok('sandbox.destroy', { id => 'box' });
my $got = $long->response('POST', 20);
ok($got->{status} && $got->{status} >= 400, 'a command whose sandbox is '
    . 'destroyed is answered') or diag(to_json($got));
is($d->http('POST', '/v1/processes/run', %run)->{json}{exitCode}, 0,
    'others run on');

# --- one dies ---------------------------------------------------------------------------
# Connections that stay open, some on each gateway: who dies takes its own.
my @open = map { $d->http_client } 1 .. 60;
my $good = grep { $_->request('GET', '/v1/health', %auth)->{status} == 200 } @open;
is($good, 60, 'sixty connections');

# Which process holds a connection, by its socket's number.
sub sockets_of {
	my ($pid) = @_;
	return map { /^socket:\[(\d+)\]/ ? ($1 => 1) : () }
	    map { readlink("/proc/$pid/fd/$_") // '' } 0 .. 400;
}

sub holders {
	my %port;
	for (split /\n/, slurp('/proc/net/tcp')) {
		my @f = split ' ';
		next if @f < 10 || $f[3] ne '01';
		my ($far) = $f[2] =~ /:([0-9A-F]+)$/ or next;
		my ($near) = $f[1] =~ /:([0-9A-F]+)$/;
		next if hex($near) != ($d->http_address =~ /:(\d+)$/)[0];
		$port{hex $far} = $f[9];
	}
	my %by;
	for my $g (gateways()) {
		my %s = sockets_of($g->{pid});
		for my $i (0 .. $#open) {
			my $inode = $port{$open[$i]->fh->sockport} // next;
			push @{$by{$g->{pid}}}, $i if $s{$inode};
		}
	}
	return \%by;
}
my $by = holders();
my ($victim) = sort { @{$by->{$b}} <=> @{$by->{$a}} } keys %$by;
my %mine = map { $_ => 1 } @{$by->{$victim}};
ok(%mine > 0, 'the victim holds some');
my $before = $d->ok('status')->{restarts}{gateway};
end_hard($victim);
my ($lost, $kept) = (0, 0);
for my $i (0 .. $#open) {
	my $s = $open[$i]->request('GET', '/v1/health', %auth, timeout => 10)
	    ->{status} // 0;
	$lost += $s != 200 if $mine{$i};
	$kept += $s == 200 if !$mine{$i};
}
is($lost, scalar(keys %mine), 'its connections are lost');
is($kept, 60 - keys %mine, 'no other is');
ok(all_serve(), 'a new one comes');
is($d->ok('status')->{restarts}{gateway}, $before + 1, 'which is counted');
is($d->http('GET', '/v1/sessions/s1')->{status}, 200, 'nothing else was lost');
$_->close for @open;

# While clients ask all the time: an answer is right or none, and it goes on.
my %seen;
my $end = time + 4 * slow_factor();
my $kills = 0;
my $next = time;
while (time < $end) {
	if (time > $next) {
		my @g = grep { defined $_->{pid} } gateways();
		end_hard($g[rand @g]{pid}), $kills++ if @g;
		$next = time + 0.15 + rand 0.2;
	}
	my $x = $d->http('POST', '/v1/processes/run', json => { command => 'echo',
	    args => ["$kills"] }, timeout => 20);
	my $word = !$x->{status} ? 'lost' : $x->{status} != 200 ? $x->{status}
	    : $x->{json} && $x->{json}{stdout} eq "$kills\n" ? 'right' : 'wrong';
	$seen{$word}++;
}
ok($kills >= 8, "gateways were killed ($kills times)");
ok(($seen{right} // 0) > 20, 'clients were served nevertheless');
is($seen{wrong} // 0, 0, 'none was told what is not so');
is(join(' ', grep { !/^(?:right|wrong|lost|503)$/ } keys %seen), '',
    'no other answer came') or diag(to_json(\%seen));
ok(all_serve(), 'all serve again');
is($d->ok('status')->{state}, 'running', 'the supervisor has not noticed much');

# Their helpers in the sandbox end with them: no file server is left behind.
ok(wait_for(15, sub { scalar(descendants($d->{pid})) <
    30 }), 'nothing piles up') or diag(scalar descendants($d->{pid}));

# All at one time.
$before = $d->ok('status')->{restarts}{gateway};
end_hard(map { $_->{pid} } gateways());
ok(wait_for(15, sub {
	$d->ok('status')->{restarts}{gateway} >= $before + 3 }) && all_serve(),
    'all three die and come back');
is($d->http('GET', '/v1/health')->{status}, 200, 'at the same address');

# --- the store dies -----------------------------------------------------------------------
my ($store) = $d->children(qr/sandboxd: store/);
end_hard($store);
ok(wait_for(15, sub { my $s = eval { $d->ok('status') };
    $s && $s->{store} && $s->{restarts}{store} == 1 }), 'the store comes back');
is(scalar(serving()), 3, 'gateways live on');
is($d->http('GET', '/v1/sessions/s1')->{status}, 200, 'and read the map');
$r = $d->http('POST', '/v1/sessions/s2', json => { agent => 'mock' });
is($r->{status}, 200, 'and write through it') or diag(to_json($r));

# --- the start ---------------------------------------------------------------------------
# Connections wait at the door while nobody is there yet.
my $address = $d->http_address;
$d->stop;
$d->{options}{listen} = [$address];
$d->launch(no_wait => 1);
my $c = wait_for(10, sub { Sandboxd::Http->new($address) });
$r = $c->request('GET', '/v1/sandboxes', %auth, timeout => 20);
is($r->{status}, 200, 'who comes early is served') or diag(to_json($r));
is(scalar @{$r->{json}{items} // []}, 1, 'with what there is');

# --- the end -------------------------------------------------------------------------------
# A stream is cut, the end is not held up by it.
wait_for(10, sub { eval { $d->ok('status') } });
my $sse = $d->http_client;
$sse->write("GET /v1/sessions/s1/events/sse HTTP/1.1\r\nHost: x\r\n"
    . "Authorization: Bearer geheim\r\n\r\n");
is($sse->head->{status}, 200, 'a stream');
my $t0 = time;
ok($d->stop, 'an orderly stop');
ok(time - $t0 < 5 * slow_factor(), 'is not held up by a stream');
ok($sse->closed(5), 'which ends');
is(join("\n", $d->leftovers), '', 'nothing is left');

done_testing;
