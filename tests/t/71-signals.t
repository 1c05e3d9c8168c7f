# Signals and the orderly end.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time);

need_root();

sub busy {
	my ($d) = @_;
	$d->ok('sandbox.create', { id => 'a' });
	$d->ok('sandbox.create', { id => 'b' });
	$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'a' });
	$d->ok('session.prompt', { id => 's', text => 'run sleep 500' });
	$d->sh('b', 'setsid sh -c "trap : TERM; touch /tmp/trapped; while :; do '
	    . 'sleep 1; done" >/dev/null 2>&1 &');
	wait_for(5, sub { $d->exec('b', ['test', '-e', '/tmp/trapped'])
	    ->{exit_code} == 0 });
	wait_for(10, sub { scalar $d->children(qr/^sleep 500/) });
	$d->note_groups;
}

for my $signal (qw(TERM INT)) {
	my $d = Sandboxd->start;
	busy($d);
	my $began = time;
	ok($d->stop($signal), "SIG$signal ends it");
	is($d->{status}, 0, "SIG$signal: exit status 0");
	my $took = time - $began;
	ok($took < 10 * Sandboxd::slow_factor(), sprintf('in bounded time (%.1f s)',
	    $took));
	is(join("\n", $d->leftovers), '', "SIG$signal leaves nothing");
	ok(!-e $d->{socket}, 'the socket is removed');
}

# A second TERM hastens.
my $d = Sandboxd->start(conf => "[sandbox]\nstop_grace = 60s\n");
busy($d);
kill('TERM', $d->{pid});
ok(!wait_for(1.5, sub { $d->ended }), 'a long grace is given');
my $began = time;
kill('TERM', $d->{pid});
ok(wait_for(10, sub { $d->ended }), 'until a second TERM');
is(join("\n", $d->leftovers), '', 'and nothing is left');

# While it stops it says so, and takes nothing new.
$d = Sandboxd->start(conf => "[sandbox]\nstop_grace = 3s\n");
busy($d);
my $c = $d->client;
$c->request('status');
kill('TERM', $d->{pid});
wait_for(5, sub { ($c->request('status')->{ok}{state} // '') ne 'running' });
my $r = $c->request('sandbox.create', { id => 'late' });
like($r->{error}{code} // $r->{broken} // 'made', qr/shutting_down|closed/,
    'no new sandbox during the stop');
ok(wait_for(20, sub { $d->ended }), 'it ends');

# HUP reads the configuration again; a bad one is refused and the old kept.
$d = Sandboxd->start;
my $conf = "$d->{dir}/conf";
my $old = slurp($conf);
spew($conf, "$old\n[daemon]\nlog_level = debug\n");
kill('HUP', $d->{pid});
ok(wait_for(10, sub { slurp($d->{log}) =~ /reload/i }), 'HUP is logged');
is($d->ok('status')->{pid}, $d->{pid}, 'and the same process goes on');
spew($conf, "$old\n[daemon]\nlog_level = shouting\n");
kill('HUP', $d->{pid});
ok(wait_for(10, sub { slurp($d->{log}) =~ /shouting/ }),
    'a bad configuration is complained of');
like(slurp($d->{log}), qr/conf:\d+/, 'with its line');
is($d->ok('sandbox.create', { id => 'on' })->{state}, 'running', 'and work goes on');

# Signals that mean nothing to it do nothing.
for my $signal (qw(PIPE USR1 USR2 ALRM WINCH CHLD)) {
	next if $signal =~ /USR|ALRM/;		# free to mean something later
	kill($signal, $d->{pid});
}
is($d->ok('status')->{pid}, $d->{pid}, 'PIPE, WINCH, CHLD');

done_testing;
