# ACP servers whose agent is a program: envelopes pass as they are; after a restart
# of the worker, of the sandbox or of sandboxd the program is another one, which is
# told what it has to know without its clients seeing anything of it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Acp;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
need_program('perl');

# What is restored is restored when nothing was adopted.
my $d = Sandboxd->start(http => 1, conf => "[sandbox]\nadopt = 0\n");
Sandboxd::Acp->install($d, 'amp');

sub text_of {
	return join('|', map { $_->{params}{update}{content}{text} } grep {
	    ($_->{params}{update}{sessionUpdate} // '') eq 'agent_message_chunk' } @_);
}

# --- as they are ------------------------------------------------------------------------

my $a = Sandboxd::Acp->new($d, 'plain', agent => 'amp');
is($a->call('initialize', { protocolVersion => 1, clientInfo => { name => 'first' } })
    ->{result}{agentInfo}{name}, 'scripted', 'the program answers');
my @lines = ('{"jsonrpc":"2.0","method":"x","params":{"b":1,"a":[1.0,1e3,"\u00e9"]}}',
    '{"method" : "y",  "jsonrpc":"2.0"}', '{"jsonrpc":"2.0","id":"none","result":null}',
    '[1,2]', '7');
$a->call('raw/say', { lines => [@lines, '', '   ', 'no JSON'] });
my $s = $a->stream;
my @texts = $s->upto(8);
is_deeply([@texts[1 .. 5]], \@lines, 'what it says comes byte for byte');
like($texts[6], qr/"_adapter\/invalid_stdout".*"raw":"no JSON"/, 'what is no JSON is told');
is($s->{flaw}, '', 'without a gap');
$s->close;

# --- one program after the other ----------------------------------------------------------

my $b = Sandboxd::Acp->new($d, 'kept', agent => 'amp');
$b->call('initialize', { protocolVersion => 1, clientInfo => { name => 'kept' } });
$b->call('authenticate', { methodId => 'anthropic-api-key' });
my @sessions = map { $b->session("/tmp/$_") } 1 .. 3;
is_deeply(\@sessions, [qw(s1 s2 s3)], 'three sessions');
$b->call('session/set_mode', { sessionId => 's3', modeId => 'plan' });
$b->call('session/set_config_option', { sessionId => 's3', configId => 'model',
    value => 'small' });
$b->call('session/set_config_option', { sessionId => 's3', configId => 'model',
    value => 'large' });

my $said = 0;
sub prompt {
	my ($id, $text) = @_;
	my $s = $b->stream($said);
	my $envelope = $b->prompt_envelope($id, $text);
	my $r = $b->post($envelope);
	is($r->{status}, 200, "a prompt in $id: $text") or diag($r->{body});
	my @seen = $s->until(sub { !defined $_->{method}
	    && ($_->{id} // '') eq $envelope->{id} });
	ok($s->{found}, 'its answer comes in the stream');
	is($s->{flaw}, '', 'without a gap');
	$said = $s->{last};
	$s->close;
	is_deeply([grep { $_ ne $id } map { $_->{params}{sessionId} // () } @seen], [],
	    'all of it has the session\'s name');
	return @seen;
}
my @seen = prompt('s3', 'say first');
is(text_of(@seen), 'first', 'it is done');

sub restarted {
	my ($how) = @_;
	# The session that was made last is asked for first: the new program gives it
	# another name.
	my @seen = prompt('s3', 'blocks');
	my ($blocks) = map { $_->{params}{update}{_meta}{blocks} // () } @seen;
	like($blocks->[0]{text}, qr/began before.*"first"/s, "$how: the agent hears what it said");
	is($blocks->[1]{text}, 'blocks', "$how: then the prompt");
	@seen = prompt('s3', "say $how");
	is(text_of(@seen), $how, "$how: the next one goes as it is");
	ok(!grep({ defined $_->{id} && $_->{id} =~ /^sandboxd/ } @seen),
	    "$how: nothing of ours is seen");
	my $log = $b->call('log', {})->{result}{methods};
	is_deeply([grep { !m{prompt|^log|^echo/} } @$log], [qw(initialize authenticate session/new
	    session/set_mode session/set_config_option)], "$how: it was told what it had to know");
	my $r = $b->call('session/set_config_option', { sessionId => 's3',
	    configId => 'model', value => 'large' });
	is($r->{result}{configOptions}[0]{currentValue}, 'large', "$how: it can be set");
}
my ($worker) = grep { (slurp("/proc/$_/cmdline") // '') =~ /kept/ }
    $d->children(qr/session/);
my @programs = grep { (slurp("/proc/$_/cmdline") // '') =~ /amp-acp/ }
    descendants($d->{pid});
is(scalar @programs, 2, 'two servers, two programs');
kill('KILL', $worker) if $worker;
ok($worker, 'a worker is killed');
ok(wait_for(20, sub { my $now = eval { $b->call('echo/x', {}) }; defined $now }),
    'another takes its place');
restarted('worker');
$d->restart('KILL');
ok(wait_for(20, sub { eval { $b->call('echo/x', {}); 1 } }), 'sandboxd is killed');
restarted('daemon');

# Two sessions whose names are exchanged do not get mixed up.
@seen = prompt('s1', 'say one');
is(text_of(@seen), 'one', 'another session of before');
@seen = prompt('s3', 'say three');
is(text_of(@seen), 'three', 'and the one of before again');
# The program counts from 1 again.
my $new = $b->session('/tmp/new');
unlike($new, qr/^s[123]$/, 'a new session gets a name that none has');
@seen = prompt($new, 'say new');
is(text_of(@seen), 'new', 'by which it is asked');
@seen = prompt('s3', 'say old');
is(text_of(@seen), 'old', 'and the old one by its own');
is($b->post($b->prompt_envelope('unheard', 'say x'))->{json}{error}{code}, -32002,
    'one that never was is unknown');

# --- its end --------------------------------------------------------------------------------

my $c = $b->begin($b->envelope('never'));
sleep(0.3);
my $r = $b->post($b->envelope('quit/5'));
is($r->{status}, 500, 'a program that ends takes its request with it');
like($r->{json}{type}, qr/agent_process_exited/, 'which is told as that');
is($r->{json}{details}{exitCode}, 5, 'with its status');
is($c->response('POST', 30)->{status}, 500, 'the one that waited, too');
is($b->post($b->envelope('echo/x'))->{status}, 502, 'then the server is broken');
is($b->delete->{status}, 204, 'and can be taken away');
is($a->delete->{status}, 204, 'like one that works');
ok(wait_for(20, sub { !grep { (slurp("/proc/$_/cmdline") // '') =~ /amp-acp/ }
    descendants($d->{pid}) }), 'of which nothing is left');

done_testing;
