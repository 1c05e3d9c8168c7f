# ACP servers and their sandbox: what becomes of them when its worker dies, when
# the sandbox is stopped and started again, and when sandboxd is.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Acp;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start(http => 1);
my $a = Sandboxd::Acp->new($d, 'm', agent => 'mock');
$a->call('initialize', { protocolVersion => 1 });
my $s = $a->session;
my $next = 0;

sub mode {
	my $r = $a->call('session/resume', { sessionId => $s, cwd => '/tmp' });
	return $r->{result}{modes}{currentModeId};
}
# A turn that does something real.
sub works {
	my ($what) = @_;
	my $stream = $a->stream;
	my $word = 'word-' . $next++;
	my $r = $a->call('session/prompt', { sessionId => $s,
	    prompt => [{ type => 'text', text => "run echo $word" }] });
	is($r->{result}{stopReason}, 'end_turn', "$what: a prompt is worked on");
	my @seen = $stream->until(sub { ($_->{params}{update}{status} // '') eq
	    'completed' && Sandboxd::to_json($_) =~ /$word/ });
	ok($stream->{found}, "$what: by the agent");
	is($stream->{flaw}, '', "$what: its log is whole");
	$stream->close;
}

$a->call('session/set_mode', { sessionId => $s, modeId => 'plan' });
works('at first');

# The worker dies in the midst of a prompt.
my $stream = $a->stream;
my $e = $a->prompt_envelope($s, 'sleep 60000');
my $c = $a->begin($e);
$stream->until(sub { ($_->{method} // '') eq 'mock/echo' &&
    Sandboxd::to_json($_) =~ /sleep/ });
my ($worker) = $d->children(qr/sandboxd-session|session acp/);
ok($worker, 'a worker');
sleep(0.2);
kill('KILL', $worker);
my $r = $c->response('POST', 30);
ok(($r->{status} // 0) >= 500 || $r->{json}{error}, 'killed: its prompt is answered');
my @seen = $stream->until(sub { $_->{error} && $_->{id} eq $e->{id} }, 20);
ok($stream->{found}, 'killed: who reads the stream is told, too');
is($stream->{flaw}, '', 'killed: no gap');
$stream->close;
works('killed');
is(mode(), 'plan', 'killed: what was set is as it was');

# The sandbox is stopped in the midst of a prompt.
$e = $a->prompt_envelope($s, 'sleep 60000');
$c = $a->begin($e);
sleep(0.3);
$d->ok('sandbox.stop', { id => 'default' }, timeout => 30);
$r = $c->response('POST', 30);
ok(($r->{status} // 0) >= 500 || $r->{json}{error}, 'stopped: its prompt is answered');
$d->ok('sandbox.start', { id => 'default' }, timeout => 30);
works('started again');
is(mode(), 'plan', 'started again: what was set is as it was');

for my $how ('TERM', 'KILL') {
	$d->restart($how);
	works("sandboxd ended by $how");
	is(mode(), 'plan', "$how: what was set is as it was");
}

# Gone is gone.
is($a->delete->{status}, 204, 'deleted');
is($a->post($a->envelope('session/list', {}))->{status}, 200, 'made anew');
$r = $a->call('session/list', {});
is(scalar @{$r->{result}{sessions}}, 0, 'it knows nothing of the former');

done_testing;
