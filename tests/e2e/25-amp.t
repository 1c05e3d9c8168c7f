# Amp through the whole daemon. The real one works with its own service only: here it
# meets one that refuses, and none at all, and must neither hang nor be misunderstood.
# What it prints when all is well comes from a stand-in.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../t/lib";
use Sandboxd;
use Agents;
use Test::More;

need_root();

my $wait = 60 * slow_factor();
my $real = agents_path('amp');
sub end_of { return (grep { $_->{type} eq 'turn.ended' } @_)[-1]{data}{metadata} }
sub errors { return map { $_->{data} } grep { $_->{type} eq 'error' } @_ }

# --- the real program -------------------------------------------------------------------

my $d = Sandboxd->start(env => { PATH => $real });
$d->ok('sandbox.create', { id => 'a', network => 'host', directory => '/tmp' },
    timeout => $wait);
# A service that knows no key.
my $service = <<'EOT';
import http from 'node:http';
import fs from 'node:fs';
const s = http.createServer((req, res) => {
	req.resume().on('end', () => res.writeHead(401, { 'content-type': 'application/json' })
	    .end('{"ok":false,"error":{"code":"auth-required","message":"bad key"}}'));
}).listen(0, '127.0.0.1', () => fs.writeFileSync('/tmp/port', String(s.address().port)));
EOT
$d->exec('a', ['sh', '-c', 'cat > /tmp/service.mjs; node /tmp/service.mjs >/dev/null 2>&1 &'],
    stdin => $service);
my $port = wait_for(10 * slow_factor(), sub { $d->exec('a', ['cat', '/tmp/port'])->{stdout} });
ok($port, 'a service that refuses');

sub refused {
	my ($id, $env, $code, $like, $what) = @_;
	$d->ok('session.create', { id => $id, sandbox => 'a', agent => 'amp',
	    env => { HOME => "/tmp/$id", %$env } }, timeout => $wait);
	my @e = $d->turn($id, 'Say hello.', timeout => $wait);
	is(end_of(@e)->{stop_reason}, 'error', "$what: the turn ends");
	my @errors = errors(@e);
	is(scalar(@errors), 1, 'with one error');
	is($errors[0]{code}, $code, 'of its kind');
	like($errors[0]{message}, $like, 'that says what is wrong');
	ok(!(grep { $_->{type} eq 'agent.unparsed' } @e), 'nothing was misunderstood');
	unlike(to_json(\@e), qr/authToken|s3cr3t/, 'no secret is told');
	return @e;
}
refused('nokey', { AMP_URL => "http://127.0.0.1:$port" }, 'auth_required',
    qr/AMP_API_KEY/, 'no key');
refused('badkey', { AMP_URL => "http://127.0.0.1:$port", AMP_API_KEY => 's3cr3t' },
    'auth_required', qr/Invalid or missing API key/, 'a bad key');
refused('nobody', { AMP_URL => 'http://127.0.0.1:1', AMP_API_KEY => 's3cr3t' },
    'service_unavailable', qr/connect/, 'no service');
ok(wait_for($wait, sub { $d->sh('a', 'pgrep -x amp')->{exit_code} }), 'no amp is left');
my $r = $d->request('session.create', { id => 'm', sandbox => 'a', agent => 'amp',
    permission_mode => 'plan' });
is($r->{error}{code}, 'mode_not_supported', 'it has no mode plan');
undef $d;

# --- the stand-in -----------------------------------------------------------------------

my $bin = Sandboxd->scratch_dir . '/bin';
mkdir($bin);
spew("$bin/amp", <<'EOT');
#!/usr/bin/env node
const argv = process.argv.slice(2);
const say = (m) => process.stdout.write(JSON.stringify({ session_id: 'T-0001', ...m }) + '\n');
let text = '';
process.stdin.on('data', (s) => { text += s; }).on('end', () => {
	const m = JSON.parse(text.split('\n')[0]);
	const words = m.message.content[0].text;
	if (words.includes('die'))
		process.exit(7);
	if (words.includes('hang'))
		return setInterval(() => {}, 1000) && say({ type: 'system', subtype: 'init' });
	say({ type: 'system', subtype: 'init', cwd: process.cwd(), tools: [], mcp_servers: [] });
	say({ type: 'assistant', parent_tool_use_id: null, message: { id: 'm1', role: 'assistant',
	    content: [{ type: 'tool_use', id: 't1', name: 'Bash', input: { cmd: 'x' } }] } });
	say({ type: 'user', parent_tool_use_id: null, message: { role: 'user', content: [
	    { type: 'tool_result', tool_use_id: 't1', content: 'done', is_error: false }] } });
	say({ type: 'assistant', parent_tool_use_id: null, message: { id: 'm2', role: 'assistant',
	    content: [{ type: 'text', text: `heard ${words} with ${argv.join(' ')}` }] } });
	say({ type: 'result', subtype: 'success', is_error: false, num_turns: 2, result: 'x',
	    usage: { input_tokens: 7, output_tokens: 3 } });
});
EOT
chmod 0755, "$bin/amp";
$d = Sandboxd->start(env => { PATH => "$bin:/usr/sbin:/usr/bin:/sbin:/bin" });
$d->ok('sandbox.create', { id => 'b', network => 'host', directory => '/tmp' },
    timeout => $wait);
$d->ok('session.create', { id => 's', sandbox => 'b', agent => 'amp',
    permission_mode => 'bypass', mcp => { x => { type => 'local', command => 'true' } } },
    timeout => $wait);
my @e = $d->turn('s', 'first', timeout => $wait);
is(end_of(@e)->{stop_reason}, 'end_turn', 'a turn');
is(end_of(@e)->{usage}{total_tokens}, 10, 'with its tokens');
like(answer_text(@e), qr/heard first with --execute --stream-json .*--dangerously-allow-all.*--mcp-config/,
    'text, started as wished');
is((tool_items('tool_call', @e))[0]{content}[0]{name}, 'Bash', 'a call');
is((tool_items('tool_result', @e))[0]{content}[0]{output}, 'done', 'and its result');
@e = $d->turn('s', 'second', timeout => $wait);
like(answer_text(@e), qr/with threads continue T-0001/, 'the next one goes on');
@e = $d->turn('s', 'die', timeout => $wait);
is((errors(@e))[0]{code}, 'process_exit', 'its death is told');
$d->ok('session.prompt', { id => 's', text => 'hang' });
ok(wait_for($wait, sub { !$d->sh('b', 'pgrep -f bin/am[p]')->{exit_code} }), 'one that hangs');
$d->ok('session.cancel', { id => 's' });
ok(wait_for($wait, sub { @e = $d->events('s'); $e[-1]{type} eq 'turn.ended' }), 'is cancelled');
is(end_of(@e)->{stop_reason}, 'cancelled', 'as such');
@e = $d->turn('s', 'third', timeout => $wait);
is(end_of(@e)->{stop_reason}, 'end_turn', 'and does no harm');
ok(!(grep { $_->{type} eq 'agent.unparsed' } $d->events('s')), 'everything was understood');

done_testing;
