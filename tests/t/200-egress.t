# Filtered network: what rules let through goes through, by every protocol that the
# proxy speaks, and nothing else does; rules are kept, shown and changed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::World;
use Test::More;

need_program(qw(curl socat));
my $w = Sandboxd::World->new(names => {
	'a.example' => ['11.22.33.44'],
	'deep.b.example' => ['11.22.33.45'],
	'b.example' => ['11.22.33.45'],
	'other.example' => ['11.22.33.45'],
	'two.example' => ['10.9.8.7', '11.22.33.44'],
});
my $d = Sandboxd->start(conf => $w->conf);

my $box = $d->ok('sandbox.create', { id => 'f', network => 'filtered', egress => {
	allow => ['A.Example', '*.b.example', '11.22.33.45:8080', 'two.example:80'],
	deny => ['*.b.example:8080'] } });
is($box->{network}, 'filtered', 'the record says filtered');
is_deeply($box->{egress}, { allow => ['A.Example', '*.b.example', '11.22.33.45:8080',
    'two.example:80'], deny => ['*.b.example:8080'], default => 'deny' },
    'and has the rules');
ok($box->{isolation}{net}, 'the network is the sandbox\'s own');

sub curl {
	my ($sandbox, @words) = @_;
	my $r = $d->exec($sandbox, ['curl', '-sS', '-m', '20', '-o', '/dev/stdout',
	    '-w', '\n%{http_code} %{http_connect}', @words]);
	my ($text, $code, $connect) = $r->{stdout} =~ /^(.*)\n(\d+) (\d+)$/s;
	return { code => $code, connect => $connect, text => $text // '',
	    err => $r->{stderr}, json => eval { from_json($text) } // {} };
}

# --- what is allowed --------------------------------------------------------------
my $r = curl('f', 'http://a.example/path?x=1');
is($r->{code}, 200, 'a plain request') or diag explain $r, $d->log_tail;
is($r->{json}{address}, '11.22.33.44', 'reaches the server');
like($r->{json}{head}, qr{^GET /path\?x=1 HTTP/1\.1\r\nHost: a\.example\r\n}, 'as it is');
unlike($r->{json}{head}, qr/proxy/i, 'without words for the proxy');
is($r->{json}{host}, 'a.example', 'with its name');
$r = curl('f', '-p', 'http://a.example:8080/');
is("$r->{connect} $r->{code} $r->{json}{host}", '200 200 a.example:8080', 'through a tunnel');
for my $how ('--socks5-hostname', '--socks5') {
	$r = curl('f', '--proxy', '', $how, '127.0.0.1:61080',
	    $how eq '--socks5' ? 'http://11.22.33.45:8080/' : 'http://a.example/');
	is($r->{code}, 200, "by $how");
}
is(curl('f', 'http://deep.b.example/')->{json}{address}, '11.22.33.45', 'a wildcard');
is(curl('f', 'http://11.22.33.45:8080/')->{code}, 200, 'an address');
is(curl('f', 'http://A.EXAMPLE./')->{code}, 200, 'case and a dot at the end do not matter');
$r = $d->exec('f', ['sh', '-c', 'cat | curl -sS -m 30 -T - http://a.example/up'],
    stdin => 'q' x 300000);
(my $body = (eval { from_json($r->{stdout}) } // {})->{body} // '')
    =~ s/\r\n[0-9a-f]+\r\n//g;
is($body =~ tr/q//, 300000, 'an upload in chunks arrives whole');
is($d->sh('f', 'curl -sS -m 60 http://a.example/stream | wc -c')->{stdout},
    400 * 65536 . "\n", 'a long answer');
is($d->sh('f', 'echo hello | socat -t20 - PROXY:127.0.0.1:a.example:443,proxyport=61080')
    ->{stdout}, "hello\n", 'a tunnel carries what is neither TLS nor HTTP');
ok(wait_for(10, sub { grep { /^11\.22\.33\.44 443 end$/ } $w->arrivals }),
    'and the end of one side, while the other goes on');
is($d->exec('f', ['bash', '-c', 'exec 3<>/dev/tcp/127.0.0.1/61080; printf '
    . '"CONNECT a.example:22 HTTP/1.1\r\n\r\n" >&3; head -3 <&3'])->{stdout},
    "HTTP/1.1 200 Connection established\r\n\r\nSSH-2.0-world\r\n",
    'a server may speak first');

# --- what is not ------------------------------------------------------------------
for (['other.example', 'no rule'], ['b.example', 'the name above a wildcard'],
    ['xb.example', 'a name that only ends alike'],
    ['deep.b.example:8080', 'deny wins'], ['two.example:8080', 'another port'],
    ['11.22.33.44', 'an address with no rule, though it is that of a name'],
    ['11.22.33.45', 'an address on another port']) {
	my ($to, $why) = @$_;
	is(curl('f', "http://$to/")->{code}, 403, "$why: 403");
	is(curl('f', '-p', "http://$to/")->{connect}, 403, "$why: in a tunnel too");
	like(curl('f', '--proxy', '', '--socks5-hostname', '127.0.0.1:61080',
	    "http://$to/")->{err}, qr/SOCKS|proxy/i, "$why: by SOCKS too");
}
$r = curl('f', 'http://two.example/');
is($r->{json}{address}, '11.22.33.44', 'of two addresses the one that is not private');
is(curl('f', 'http://nowhere.b.example/')->{code}, 502, 'a name that does not exist: 502');
like($d->sh('f', 'curl -sS -m 5 --noproxy "*" http://11.22.33.44/ 2>&1')->{stdout},
    qr/Network is unreachable|Couldn't connect|Failed to connect/, 'past the proxy: no way');

# --- environment --------------------------------------------------------------------
my $env = $d->sh('f', 'env')->{stdout};
like($env, qr/^$_=http:\/\/127\.0\.0\.1:61080$/m, "$_ is set")
    for qw(HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy);
like($env, qr/^NO_PROXY=localhost,127\.0\.0\.1/m, 'NO_PROXY too');
$d->ok('sandbox.create', { id => 'g', network => 'filtered', env => { https_proxy => 'mine' } });
$env = $d->sh('g', 'env')->{stdout};
like($env, qr/^https_proxy=mine$/m, 'what the sandbox sets stays');
unlike($env, qr/^HTTPS_PROXY=/m, 'and has no other beside it');
unlike($d->exec('g', ['env'], env => { HTTP_PROXY => '' })->{stdout}, qr/^http_proxy=./m,
    'so does what a command sets');
$d->ok('sandbox.create', { id => 'n' });
unlike($d->sh('n', 'env')->{stdout}, qr/proxy/i, 'other sandboxes have none of these');

# --- changing -----------------------------------------------------------------------
is(curl('g', '--proxy', 'http://127.0.0.1:61080', 'http://a.example/')->{code}, 403,
    'without rules nothing is let through');
$r = $d->ok('sandbox.update', { id => 'g', egress => { default => 'allow',
    deny => ['a.example'] } });
is($r->{egress}{default}, 'allow', 'rules are changed');
my @by = ('--proxy', 'http://127.0.0.1:61080');
is(curl('g', @by, 'http://a.example/')->{code}, 403, 'deny with default allow');
is(curl('g', @by, 'http://other.example/')->{code}, 200, 'and the rest is let through');
is(curl('g', @by, 'http://11.22.33.44/')->{code}, 200, 'public addresses are');
is(curl('g', @by, 'http://10.9.8.7/')->{code}, 403, 'private ones are not');
is($d->error('sandbox.update', { id => 'n', egress => {} }), 'bad_request',
    'no rules without a filtered network');

# --- bad rules ----------------------------------------------------------------------
for (['http://a.example', 'an address of the web'], ['a.example:0', 'port 0'],
    ['a.example:70000', 'a port too high'], ['a.example:9-8', 'an empty range'],
    ['*.*.example', 'two stars'], ['a.*', 'a star at the end'], ['10.0.0.1/8', 'odd bits'],
    ['10.0.0.0/33', 'too many bits'], ['1.2.3', 'three numbers'], ['0x7f.1', 'hexadecimal'],
    ['', 'nothing'], ["a\x{e9}.example", 'no ASCII'], ['a b', 'a blank'], ['[::1', 'a bracket'],
    ['x' x 400, 'too long'], ['fe80::1%lo', 'a zone']) {
	my ($rule, $why) = @$_;
	my $e = $d->error('sandbox.create', { id => 'bad', network => 'filtered',
	    egress => { allow => [$rule] } });
	is($e, 'bad_request', "rule: $why");
}
for ([{ allow => [('a.example') x 513] }, 'too many rules'], [{ default => 'maybe' }, 'default'],
    [{ more => [] }, 'an unknown member'], [{ allow => 'a.example' }, 'no list'],
    [{ allow => [1] }, 'no text']) {
	is($d->error('sandbox.create', { id => 'bad', network => 'filtered',
	    egress => $_->[0] }), 'bad_request', "refused: $_->[1]");
}
is($d->error('sandbox.create', { id => 'bad', egress => { allow => ['a.example'] } }),
    'bad_request', 'rules without filtered');
is($d->error('sandbox.get', { id => 'bad' }), 'sandbox_not_found',
    'nothing of it was made');

done_testing;
