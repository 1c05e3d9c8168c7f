# Agents that do their worst: a program in the agent's place that floods, stays
# silent, forks, or lies. It costs its own session, nobody else, and can be ended.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time);

need_root();
my $d = Sandboxd->start;
my $slow = Sandboxd::slow_factor();
$d->ok('sandbox.create', { id => 'bad', limits => { pids => 200,
    memory => '256M' } });
$d->ok('sandbox.create', { id => 'good' });
$d->ok('session.create', { id => 'good', agent => 'mock', sandbox => 'good' });

# Memory of its own; the store's map of its file is the kernel's to take back.
sub rss_kb {
	my ($n) = map { slurp("/proc/$_/status") =~ /RssAnon:\s+(\d+)/ ? $1 : 0 } @_;
	return $n // 0;
}

# The neighbour and the daemon are well.
sub all_well {
	my ($name) = @_;
	my $t = time;
	my @e = $d->turn('good', 'still fine');
	is($e[-1]{type}, 'turn.ended', "$name: a neighbour is served");
	cmp_ok(time - $t, '<', 2 * $slow, "$name: soon");
	my ($store) = $d->children(qr/store/);
	cmp_ok(rss_kb($d->{pid}), '<', 30000 * $slow, "$name: the supervisor is small");
	cmp_ok(rss_kb($store), '<', 200000 * $slow, "$name: so is the store");
}

# Start a session on a script in the agent's place and send it a message; SECONDS
# later cancel and end it, each of which must be answered.
sub abused {
	my ($name, $script, %o) = @_;
	(my $id = $name) =~ tr/ /-/;
	my $r = $d->request('session.create', { id => $id, agent => 'claude',
	    sandbox => 'bad', command => ['/bin/sh', '-c', $script] });
	ok($r->{ok}, "$name: a session") or diag(to_json($r)), return;
	$d->ok('session.prompt', { id => $id, text => $o{text} // 'go' });
	sleep($o{seconds} // 1);
	all_well($name);
	my $t = time;
	$r = $d->request('session.cancel', { id => $id }, timeout => 20);
	ok($r->{ok} || $r->{error}{code} eq 'turn_not_running',
	    "$name: cancel is answered") or diag(to_json($r));
	$r = $d->request('session.end', { id => $id }, timeout => 30);
	ok($r->{ok}, "$name: end is answered") or diag(to_json($r));
	my $took = time - $t;
	cmp_ok($took, '<', 20 * $slow, sprintf('%s: in time (%.1f s)', $name, $took));
	my @e = $d->event_texts($id);
	is(Sandboxd::texts_flaw(@e), '', "$name: its log is in order ("
	    . scalar(@e) . ' events)');
	is(from_json($e[-1][1])->{type}, 'session.ended', "$name: and has an end");
	ok(wait_for(10, sub { !$d->children(qr/hostile/) }),
	    "$name: nothing of it is left");
}

sub script { return "exec perl -e '\$0 = \"hostile\"; \$| = 1; $_[0]'" }

abused('silence', script('sleep 1000'));
abused('lines without end', script('print "x" x 100, "\n" while 1'), seconds => 3);
abused('one line without end', script('print "x" x 65536 while 1'), seconds => 3);
abused('json without end', script('print "{\"type\":\"system\",\"subtype\":\"x\"}\n" while 1'),
    seconds => 3);
abused('deep json', script('print "[" x 100000, "\n"; sleep 1000'));
abused('no utf8', script('print pack("C*", map { 128 + $_ % 128 } 1 .. 5000), "\n" for 1 .. 50; sleep 1000'));
abused('standard error without end', script('print STDERR "x" x 100, "\n" while 1'), seconds => 3);
abused('deaf', script('close(STDIN); sleep 1000'), text => 'x' x 900000);
abused('never reads', script('sleep 1000'), text => 'y' x 900000);
abused('closes its output', script('close(STDOUT); close(STDERR); sleep 1000'));
abused('ignores signals', script('$SIG{$_} = "IGNORE" for keys %SIG; sleep 1 while 1'));
abused('leaves children', script('for (1 .. 50) { if (!fork) { setpgrp; $SIG{TERM} = "IGNORE"; sleep 1000 } } exit'));
abused('forks without end', script('while (1) { fork }'), seconds => 2);
abused('requests that it invents', script('print "{\"type\":\"control_request\",\"request_id\":\"r$_\",'
    . '\"request\":{\"subtype\":\"can_use_tool\",\"tool_name\":\"Bash\",\"input\":{\"command\":\"x\"}}}\n" '
    . 'for 1 .. 20000; sleep 1000'), seconds => 3);
abused('one id for everything', script('print "{\"type\":\"control_request\",\"request_id\":\"same\",'
    . '\"request\":{\"subtype\":\"can_use_tool\",\"tool_name\":\"T\",\"input\":{}}}\n" for 1 .. 100; '
    . 'print "{\"type\":\"result\",\"subtype\":\"success\",\"result\":\"$_\"}\n" for 1 .. 100; sleep 1000'));

# The worker of a session is a process of the sandbox: its root may kill or stop
# it, and harms its own sandbox only.
$d->ok('session.create', { id => 'victim', agent => 'mock', sandbox => 'bad' });
for (1 .. 5) {
	$d->sh('bad', 'kill -9 -1');
	ok(wait_for(15, sub {
		($d->request('session.get', { id => 'victim' })->{ok}{state} // '') eq 'idle'
	}), "kill -9 -1 inside, $_: the worker is started again");
}
my @e = $d->turn('victim', 'after all that');
is($e[-1]{type}, 'turn.ended', 'and goes on');
my $stopper = $d->sh('bad', 'for p in /proc/[0-9]*; do test ${p##*/} = 1 || '
    . 'test ${p##*/} = $$ || kill -STOP ${p##*/}; done');
my $t = time;
my $r = $d->request('session.prompt', { id => 'victim', text => 'stopped?' },
    timeout => 40);
ok(!$r->{broken}, 'a stopped worker: the client is answered within bounds')
    or diag(to_json($r));
all_well('a stopped worker');
$t = time;
$d->ok('sandbox.destroy', { id => 'bad' }, timeout => 30);
cmp_ok(time - $t, '<', 10 * $slow, 'and its sandbox can be destroyed');
is(scalar(grep { Sandboxd::title_of($_) =~ /hostile/ } Sandboxd::descendants($$)), 0,
    'nothing is left');
all_well('after all');

done_testing;
