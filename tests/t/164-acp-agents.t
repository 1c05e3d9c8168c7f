# Agents that misbehave: they end, they are killed, they hang, they flood, they
# say what is no protocol. Others notice nothing of it.
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
Sandboxd::Acp->install($d, 'amp');
my $calm = Sandboxd::Acp->new($d, 'calm', agent => 'amp');
my $calm_session = $calm->session;

sub fresh {
	my ($name) = @_;
	my $a = Sandboxd::Acp->new($d, $name, agent => 'amp');
	return ($a, $a->session);
}
sub prompt {
	my ($a, $session, $words, %o) = @_;
	return $a->post($a->prompt_envelope($session, $words), %o);
}
sub is_exit { return ($_->{method} // '') eq '_adapter/agent_exited' }

# --- one that ends --------------------------------------------------------------------------

for (['exit 3', 3, 'words'], ['exit 0', 0, undef], ['die', undef, 'killed']) {
	my ($how, $code, $stderr) = @$_;
	my ($a, $session) = fresh("ends $how");
	my $s = $a->stream;
	my $waits = $a->begin($a->envelope('never', {}));
	# It must be with the agent before that ends.
	$a->call('echo/x', {});
	my $began = time;
	my $r = prompt($a, $session, ($stderr ? "stderr $stderr " : '')
	    . "say bye $how");
	is($r->{status}, 500, "$how: the turn that did it is 500");
	my $got = $waits->response('POST', 20);
	ok(time - $began < 10, "$how: answered at once");
	is($got->{status}, 500, "$how: a request that waited is 500");
	is($got->{json}{type}, 'urn:sandbox-agent:error:agent_process_exited',
	    'agent_process_exited');
	is($got->{json}{title}, 'Agent Process Exited', 'its title');
	is($got->{json}{agent}, 'amp', 'of which agent');
	is($got->{json}{detail}, 'agent process exited: amp', 'its detail');
	is($got->{json}{details}{exitCode}, $code, 'its status');
	is($got->{json}{details}{stderr}, $stderr,
	    'and what it has said last');
	my @e = $s->until(\&is_exit);
	ok($s->{found}, "$how: the stream tells");
	is_deeply($e[-1]{params}, { code => $code, success => defined $code && $code == 0
	    ? JSON::PP::true : JSON::PP::false }, 'how it ended');
	is($e[-1]{jsonrpc}, '2.0', 'in JSON-RPC');
	ok((grep { ($_->{params}{update}{content}{text} // '') eq 'bye' } @e),
	    'after its last envelope');
	is($s->more(0.3), undef, 'the stream stays open');
	for (1 .. 2) {
		$r = $a->post('{"jsonrpc":"2.0","id":1,"method":"echo/x"}');
		is($r->{status}, 502, "$how: what comes later is 502");
		is($r->{json}{type}, 'urn:sandbox-agent:error:stream_error', 'stream_error');
		is($r->{json}{detail}, 'stream error: failed writing to agent stdin: '
		    . 'Broken pipe (os error 32)', 'its detail');
		is($r->{json}{details}{message}, 'failed writing to agent stdin: '
		    . 'Broken pipe (os error 32)', 'twice');
	}
	is($a->post('{"method":"note"}')->{status}, 502, 'a notification too');
	is((grep { $_ eq "ends $how" } Sandboxd::Acp->listed($d)), 1, 'it stays listed');
	my $late = $a->stream;
	my @all = $late->until(\&is_exit);
	ok($late->{found}, 'its log can be read');
	is($a->delete->{status}, 204, 'until it is removed');
	$s->until(sub { 0 }, 5);
	is($s->{ended}, 1, 'then its streams end');
}
# One that ends before it has said anything.
Sandboxd::Acp->install($d, 'pi', script => "#!/bin/sh\necho no >&2\nexit 7\n");
my $r = Sandboxd::Acp->new($d, 'still', agent => 'pi')->post(
    '{"jsonrpc":"2.0","id":1,"method":"initialize"}');
like($r->{status}, qr/^50[02]$/, 'one that ends at once');
is($r->{json}{details}{exitCode}, 7, 'its status') if $r->{status} == 500;
is((grep { $_ eq 'still' } Sandboxd::Acp->listed($d)), 1, 'is listed');
# Programs that cannot be started.
Sandboxd::Acp->install($d, 'cursor', script => "no program at all\n");
$r = Sandboxd::Acp->new($d, 'bad', agent => 'cursor')->post('{"id":1,"method":"x"}');
like($r->{status}, qr/^50[02]$/, 'a program that is none') or diag($r->{body});

# --- one that hangs ---------------------------------------------------------------------------

my ($hung, $session) = fresh('hung');
my $s = $hung->stream;
my $c = $hung->begin($hung->prompt_envelope($session, 'say begun hang'));
$s->until(sub { ($_->{params}{update}{content}{text} // '') eq 'begun' });
ok($s->{found}, 'an agent that hangs');
is($c->take(qr/HTTP/, 1), undef, 'is waited for');
is($hung->call('echo/x', {})->{result}{echoed} ? 1 : 0, 1, 'while others are answered');
# Somebody who leaves takes nothing with him.
my $leaves = $hung->begin($hung->envelope('never', {}));
sleep(0.2);
$leaves->close;
is($hung->call('echo/x', {})->{result}{echoed} ? 1 : 0, 1, 'nor does one who leaves');
# More than may wait at one time.
my @c = map { $hung->begin($hung->envelope('never', {})) } 1 .. 300;
my %how;
for (@c) {
	my $got = $_->take(qr{HTTP/1.1 (\d+)}, 0.02);
	$how{$got ? substr($got, -3) : 'waits'}++;
}
note join(' ', map { "$_: $how{$_}" } sort keys %how);
ok(($how{waits} // 0) >= 200, 'hundreds may wait');
is(join(' ', grep { !/^(?:waits|429)$/ } sort keys %how), '', 'more are told so');
$_->close for @c;
is($hung->delete->{status}, 204, 'it is removed');
is($c->response('POST', 10)->{status} // 'none', 500, 'and who waited is told')
    or diag('see above');

# A request whose client left: the response is in the log all the same.
my ($slow) = fresh('slow');
my $t = $slow->stream;
$leaves = $slow->begin({ jsonrpc => '2.0', id => 'left', method => 'slow',
    params => { ms => 500 } });
sleep(0.1);
$leaves->close;
$t->until(sub { ($_->{id} // '') eq 'left' });
ok($t->{found}, 'a response that nobody waits for is heard');

# --- one that floods -----------------------------------------------------------------------------

my ($flood, $in) = fresh('flood');
my @clients = map { $flood->stream } 1 .. 3;
my $lazy = $flood->stream;
my $n = 20000;
$c = $flood->begin($flood->prompt_envelope($in, "flood $n"));
my ($worst, $times) = (0, 0);
while (!$c->take(qr{HTTP/1.1 \d+}, 0.01)) {
	my $began = time;
	$calm->call('echo/x', {});
	$worst = time - $began if time - $began > $worst;
	last if ++$times > 3000;
}
note sprintf('the calm one waited %.0f ms at most, %d times', 1000 * $worst, $times);
ok($worst < 5 * slow_factor(), 'another agent is answered meanwhile');
my @all = map { scalar($_->upto($n + 2, 120)) } @clients;
is(join(' ', @all), join(' ', ($n + 2) x 3), "$n updates, none is lost");
is(join('', map { $_->{flaw} } @clients), '', 'in order');
is(scalar($lazy->upto($n + 2, 120)), $n + 2, 'nor for one who reads late');
is($flood->delete->{status}, 204, 'and it is removed');

# --- lines that are none ----------------------------------------------------------------------------

my ($odd, $at) = fresh('odd');
my $o = $odd->stream;
$r = $odd->call('raw/say', { lines => ['{"jsonrpc":"2.0","id":"nobody","result":{}}',
    '{"id":0,"jsonrpc":"2.0","result":"again"}', '[' x 2000, '{"a":"' . 'x' x 2_000_000,
    "\x{0}\x{1}", 'null'] });
ok($r->{result}, 'lines of every kind');
my @seen = $o->until(sub { ($_->{id} // '') eq $r->{id} });
ok($o->{found}, 'do not stop it');
ok((grep { ref $_ eq 'HASH' && ($_->{id} // '') eq 'nobody' } @seen),
    'a response to nobody is heard');
is($odd->call('echo/x', {})->{result}{echoed} ? 1 : 0, 1, 'and it goes on');
prompt($calm, $calm_session, 'say fine');
is($calm->call('echo/x', {})->{result}{echoed} ? 1 : 0, 1, 'and so does the calm one');

done_testing;
