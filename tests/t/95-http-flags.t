# Where HTTP is served, and to whom: the flags of sandboxd about it, its refusals,
# TLS, unix sockets, sockets of systemd.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Fcntl qw(F_SETFD);
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use Sandboxd;
use Socket qw(SOCK_STREAM);
use Test::More;

need_root();
my $dir = Sandboxd->scratch_dir;
my $exe = program('sandboxd');
spew("$dir/conf", "[daemon]\nlibexec_dir = " . build_dir() . "\n");

# Only a look at the words: -n.
sub look {
	my (@args) = @_;
	return run_cmd([$exe, '-c', "$dir/conf", '--state-dir', "$dir/state",
	    '--run-dir', "$dir/run", '-n', @args], timeout => 15);
}

sub refused {
	my ($args, $why, $name) = @_;
	my $got = look(@$args);
	is($got->{status}, 100, $name);
	like($got->{err}, $why, 'and says why');
	return $got;
}

sub taken { is(look(@{$_[0]})->{status}, 0, $_[1]) }

# --- addresses ------------------------------------------------------------------------
taken([], 'the defaults are good');
taken(['--listen', $_], "--listen $_") for '127.0.0.1:0', '127.9.9.9:1',
    '[::1]:2468', 'localhost:80', "unix:$dir/x.sock", '[::ffff:127.0.0.1]:1';
refused(['--listen', $_], qr/listen/, "--listen '$_' is no address") for '',
    '127.0.0.1', ':1', '127.0.0.1:', '127.0.0.1:65536', '127.0.0.1:-1',
    '127.0.0.1:1x', '[::1]', '[::1:80', '::1:80', 'example.org:80', '1.2.3:80',
    '[127.0.0.1]:80', '127.0.0.1:80:90';
refused(['--listen', $_], qr/unix/, "--listen '$_' is no path") for 'unix:',
    'unix:@x', 'unix:/' . 'x' x 120;
refused([map { ('--listen', '127.0.0.1:0') } 1 .. 65], qr/more than/,
    'addresses without end');

# Others than this machine: only when somebody has said so.
for my $where ('0.0.0.0:0', '*:0', '[::]:0', '10.0.0.1:0', '[fe80::1]:0',
    '128.0.0.1:0', '[::ffff:10.0.0.1]:0') {
	refused(['--listen', $where], qr/--token.*--no-token/s,
	    "$where without a token");
	taken(['--listen', $where, '--token', 'x'], "$where with a token");
	taken(['--listen', $where, '--no-token'], "$where without, on purpose");
	taken(['--listen', $where, '--no-http'], "$where when it is not served");
}
refused(['--listen', '127.0.0.1:0', '--listen', '0.0.0.0:0'], qr/0\.0\.0\.0/,
    'one open address of two');
spew("$dir/conf2", "[gateway]\nlisten = 127.0.0.1:0 0.0.0.0:0\n");
my $got = run_cmd([$exe, '-c', "$dir/conf2", '-n']);
is($got->{status}, 100, 'the file is no way around it');
spew("$dir/conf2", "[gateway]\nlisten = 127.0.0.1:0 0.0.0.0:0\n"
    . "processes = 0\n");
is(run_cmd([$exe, '-c', "$dir/conf2", '-n'])->{status}, 0,
    'but without processes nothing is served');

# --- tokens and files -------------------------------------------------------------------
spew("$dir/token", "geheim\nmore\n");
chmod(0644, "$dir/token");
refused(['--token-file', "$dir/token"], qr/0644/, 'a token that others can read');
chmod(0600, "$dir/token");
taken(['--token-file', "$dir/token"], 'one that they cannot');
taken(['--listen', '0.0.0.0:0', '--token-file', "$dir/token"],
    'opens an address');
chown(1000, -1, "$dir/token");
refused(['--token-file', "$dir/token"], qr/uid 1000/, 'a token of somebody else');
chown(0, -1, "$dir/token");
spew("$dir/empty", "\ngeheim\n");
chmod(0600, "$dir/empty");
refused(['--token-file', "$dir/empty"], qr/empty/, 'an empty first line');
refused(['--token-file', "$dir/none"], qr/none/, 'a file that is not there');
refused(['--token-file', $dir], qr/regular/, 'a directory');
unlike(look('--token', 'x' x 5000)->{err}, qr/xxx/, 'a token is never shown');

refused(['--tls-cert', "$dir/token"], qr/both/, 'a certificate without its key');
refused(['--tls-key', "$dir/token"], qr/both/, 'a key without a certificate');
refused(['--tls-cert', "$dir/token", '--tls-key', "$dir/token"], qr/PEM/,
    'no certificate at all');

# --- CORS ---------------------------------------------------------------------------------
taken(['-O', 'http://localhost:5173', '-M', 'GET', '-A', 'X-Some'], 'CORS');
taken(['--cors-allow-origin', '*'], 'every origin');
taken(['-O', ''], 'an empty origin');
taken(['-O', 'http://a', '-M', 'GET', '-A', 'x', '--cors-allow-credentials'],
    'credentials');
refused(['-O', "http://a\n"], qr/invalid cors origin: /, 'a bad origin');
refused(['-O', "http://\xc3\xa4"], qr/invalid cors origin: /, 'no ASCII');
refused(['-M', 'GE T'], qr/invalid cors method: GE T/, 'a bad method');
refused(['-M', ''], qr/invalid cors method: /, 'an empty method');
refused(['-A', 'x:y'], qr/invalid cors header: x:y/, 'a bad header');
refused(['--cors-allow-credentials'], qr/credentials/,
    'credentials with every method and header');
refused(['--cors-allow-credentials', '-O', '*', '-M', 'GET', '-A', 'x'],
    qr/\*/, 'credentials for everybody');
refused([map { ('-O', "http://a$_") } 1 .. 65], qr/more than/,
    'origins without end');

# Options of the file.
for my $bad ('unix_mode = 8', 'unix_mode = 01777', 'unix_mode = -1',
    'unix_group = no-such-group', 'processes = 17', 'processes = -1',
    'max_connections = 0', 'access_log = maybe', 'idle_time = 0') {
	spew("$dir/conf2", "[gateway]\n$bad\n");
	is(run_cmd([$exe, '-c', "$dir/conf2", '-n'])->{status}, 100, $bad);
}

# --- serving ------------------------------------------------------------------------------
my $d = Sandboxd->start(http => 1, token => 'geheim', listen => ['127.0.0.1:0',
    '127.0.0.1:0', '[::1]:0', "unix:$dir/http.sock"],
    conf => "[gateway]\nunix_group = 1234\nunix_mode = 0620\n");
my $status = $d->ok('status');
my @at = @{$status->{http}};
is(scalar @at, 4, 'status names all addresses');
like($at[$_], qr/^127\.0\.0\.1:[1-9]\d*$/, 'a free port was found') for 0, 1;
isnt($at[0], $at[1], 'one for each');
like($at[2], qr/^\[::1\]:[1-9]\d*$/, 'the address of IPv6');
is($at[3], "unix:$dir/http.sock", 'the unix socket');
ok($status->{http_auth}, 'a token is needed');
ok(!$status->{http_tls}, 'without TLS');
for my $at (@at) {
	my $r = $d->http('GET', '/v1/health', at => qr/^\Q$at\E$/);
	is($r->{status}, 200, "an answer at $at");
	is($d->http('GET', '/v1/health', at => qr/^\Q$at\E$/,
	    token => undef)->{status}, 401, 'only with the token');
}
is($d->http('GET', '/v1/health', token => 'geheim2')->{status}, 401,
    'another token is none');
my @st = stat "$dir/http.sock";
is(sprintf('%o', $st[2] & 07777), '620', 'the socket has its mode');
is($st[5], 1234, 'and its group');
for my $pid ($d->{pid}, descendants($d->{pid})) {
	unlike(slurp("/proc/$pid/cmdline") . (slurp("/proc/$pid/environ") // ''),
	    qr/geheim/, "the token is not in the words of process $pid");
}
unlike(slurp($d->{log}), qr/geheim/, 'nor in the log');

# A second one at the same places.
sub second {
	my (@args) = @_;
	return run_cmd([$exe, '-c', "$dir/conf", '--state-dir', "$dir/state",
	    '--run-dir', "$dir/run", @args], timeout => 15);
}
$got = second('--listen', $at[0]);
is($got->{status}, 111, 'an address that is in use');
like($got->{err}, qr/\Q$at[0]\E.*in use/, 'is named');
$got = second('--listen', $at[3]);
is($got->{status}, 111, 'a socket that is in use');
like($got->{err}, qr/\Q$dir\E\/http\.sock.*in use/, 'is named');
is($d->http('GET', '/v1/health', at => qr/^unix/)->{status}, 200,
    'and goes on being served');
spew("$dir/file", 'dear');
$got = second('--listen', "unix:$dir/file");
is($got->{status}, 111, 'a file is no socket');
is(slurp("$dir/file"), 'dear', 'and stays');
ok(!-e "$dir/run/control.sock", 'who was refused leaves no control socket');
ok($d->stop, 'an orderly stop');
ok(!-e "$dir/http.sock", 'takes the socket away');

# One that was left over is replaced.
my $left = IO::Socket::UNIX->new(Local => "$dir/http.sock", Listen => 1);
close($left);
ok(-S "$dir/http.sock", 'a socket is left over');
$d = Sandboxd->start(http => 1, listen => ["unix:$dir/http.sock"]);
is($d->http('GET', '/v1/health')->{status}, 200, 'and is replaced');
ok(!$d->ok('status')->{http_auth}, 'nobody asked for a token');
is($d->http('GET', '/v1/health', token => 'any')->{status}, 200,
    'one is not looked at then');
# Somebody else's that has taken the place stays.
unlink("$dir/http.sock");
my $other = IO::Socket::UNIX->new(Local => "$dir/http.sock", Listen => 1);
$d->stop;
ok(-S "$dir/http.sock", 'what is not ours is not removed');
close($other);
unlink("$dir/http.sock");

# Both words: the token wins. An empty one opens nothing.
$d = Sandboxd->start(http => 1, token => 'geheim', args => ['--no-token']);
is($d->http('GET', '/v1/health', token => undef)->{status}, 401,
    '--token and --no-token: the token counts');
is($d->http('GET', '/v1/health')->{status}, 200, 'and is taken');
$d->stop;
$d = Sandboxd->start(http => 1, token => '');
is($d->http('GET', '/v1/health', token => $_)->{status}, 401,
    'nothing matches an empty token') for undef, '', ' ', 'x';
$d->stop;
$d = Sandboxd->start(http => 1, args => ['--token', 'one', '--token', 'two',
    '--token-file', "$dir/token"]);
is($d->http('GET', '/v1/health', token => $_)->{status}, 200, "token $_")
    for qw(one two geheim);
is($d->http('GET', '/v1/health', token => $_)->{status}, 401, "no token: $_")
    for 'more', "geheim\tmore", 'onetwo', 'ONE', 'on';
$d->stop;

# None at all.
$d = Sandboxd->start;
is(to_json($d->ok('status')->{http}), '[]', '--no-http serves nothing');
is(to_json($d->ok('status')->{gateways}), '[]', 'with no process');
$d->stop;
$d = Sandboxd->start(http => 1, conf => "[gateway]\nprocesses = 1\n");
is(scalar @{$d->ok('status')->{gateways}}, 1, 'as many processes as are asked for');
is(scalar(() = $d->children(qr/sandboxd-gateway/)), 1, 'no more');
$d->stop;

# --- HUP ------------------------------------------------------------------------------
$d = Sandboxd->start(http => 1, conf => "[gateway]\nmax_header_bytes = 4K\n");
my $big = 'x' x 8000;
isnt($d->http('GET', '/v1/health', headers => { 'X-Big' => $big })->{status}
    // 0, 200, 'a header over its limit');
my @before = sort map { $_->{pid} } @{$d->ok('status')->{gateways}};
kill('HUP', $d->{pid});
sleep 1;
is(join(' ', sort map { $_->{pid} } @{$d->ok('status')->{gateways}}),
    "@before", 'HUP without a change replaces nobody');
my $address = $d->http_address;
$d->{options}{conf} = "[gateway]\nmax_header_bytes = 32K\n";
$d->argv;	# writes the file
kill('HUP', $d->{pid});
ok(wait_for(15, sub {
	my @now = grep { $_->{serving} } @{$d->ok('status')->{gateways}};
	return @now == @before &&
	    !grep { my $p = $_; grep { $p == $_->{pid} } @now } @before;
}), 'HUP with a change replaces all');
is($d->http_address, $address, 'at the same address');
is($d->http('GET', '/v1/health', headers => { 'X-Big' => $big })->{status}, 200,
    'the new limit holds');
$d->stop;

# --- sockets of systemd -----------------------------------------------------------------
# What systemd does: sockets from descriptor 3 on, and three words about them.
sub activated {
	my ($names, $sockets, @args) = @_;
	my $pid = fork // die "fork: $!";
	return $pid if $pid;
	POSIX::setsid();
	open(STDOUT, '>>', "$dir/log");
	open(STDERR, '>>', "$dir/log");
	my $n = 0;
	POSIX::dup2(fileno($_), 100 + $n++) for @$sockets;
	for my $i (0 .. $n - 1) {
		POSIX::dup2(100 + $i, 3 + $i);
		POSIX::close(100 + $i);
	}
	%ENV = (PATH => $ENV{PATH}, LISTEN_PID => $$, LISTEN_FDS => $n,
	    LISTEN_FDNAMES => $names);
	exec { $exe } $exe, '-c', "$dir/conf", '--state-dir', "$dir/sd",
	    '--run-dir', "$dir/sdrun", @args or POSIX::_exit(127);
}

sub ended {
	my ($pid) = @_;
	my $status;
	wait_for(20, sub { waitpid($pid, POSIX::WNOHANG()) == $pid &&
	    defined($status = $? >> 8) ? 1 : 0 });
	return $status // 'still runs';
}

sub listening {
	return IO::Socket::INET->new(LocalAddr => $_[0] // '127.0.0.1',
	    LocalPort => 0, Listen => 16, ReuseAddr => 1) // die "listen: $!";
}

my $web = listening();
my $port = $web->sockport;
my $control = IO::Socket::UNIX->new(Local => "$dir/c.sock", Listen => 16);
my $pid = activated('web:control', [$web, $control]);
close($web);
close($control);
my $c = Sandboxd::Http->new("127.0.0.1:$port");
ok($c, 'systemd listens, whether we run or not');
is($c->request('GET', '/v1/health')->{status}, 200, 'and the answer is ours');
my $sd = wait_for(10, sub { eval { Sandboxd::Client->new("$dir/c.sock") } });
ok($sd, 'the control socket too') or diag(slurp("$dir/log"));
my $told = $sd->request('status')->{ok};
is(to_json($told->{http}), "[\"127.0.0.1:$port\"]",
    'the default address is not opened besides');
ok(!-e "$dir/sdrun/control.sock", 'nor a control socket of our own');
kill('TERM', $pid);
is(ended($pid), 0, 'it ends in order');
ok(-S "$dir/c.sock", 'and leaves what is not its own');

# With --listen besides.
$web = listening();
$port = $web->sockport;
$pid = activated('web', [$web], '--listen', "unix:$dir/more.sock");
close($web);
is(wait_for(10, sub { my $h = Sandboxd::Http->new("unix:$dir/more.sock");
    $h && $h->request('GET', '/v1/health')->{status} }), 200, 'both are served');
is(Sandboxd::Http->new("127.0.0.1:$port")->request('GET', '/v1/health')
    ->{status}, 200, 'both of them');
kill('TERM', $pid);
is(ended($pid), 0, 'it ends');

# Refusals hold for these sockets as well.
$web = listening('0.0.0.0');
is(ended(activated('web', [$web])), 100, 'an open socket without a token');
close($web);
open(my $null, '<', '/dev/null');
is(ended(activated('web', [$null])), 100, 'what is no socket');
my $bound = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'udp');
is(ended(activated('web', [$bound])), 100, 'what is no stream');
like(slurp("$dir/log"), qr/not a listening stream socket/, 'is told');

# --- TLS ------------------------------------------------------------------------------
SKIP: {
	my ($openssl) = grep { -x } map { "$_/openssl" } split /:/, $ENV{PATH};
	my ($curl) = grep { -x } map { "$_/curl" } split /:/, $ENV{PATH};
	skip 'openssl and curl are needed', 1 if !$openssl || !$curl;
	my $make = sub {
		my $mk = run_cmd([$openssl, 'req', '-x509', '-newkey', 'ec',
		    '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
		    '-keyout', "$dir/key.pem", '-out', "$dir/cert.pem", '-days',
		    '2', '-subj', '/CN=localhost', '-addext',
		    'subjectAltName=IP:127.0.0.1,DNS:localhost']);
		is($mk->{status}, 0, 'a certificate') or diag($mk->{err});
		chmod($_[0], "$dir/key.pem");
	};
	$make->(0640);
	refused(['--tls-cert', "$dir/cert.pem", '--tls-key', "$dir/key.pem"],
	    qr/0640/, 'a key that others can read');
	chmod(0600, "$dir/key.pem");
	$d = Sandboxd->start(http => 1, token => 'geheim', listen =>
	    ['127.0.0.1:0', "unix:$dir/tls.sock"], args => ['--tls-cert',
	    "$dir/cert.pem", '--tls-key', "$dir/key.pem"]);
	ok($d->ok('status')->{http_tls}, 'status tells of TLS');
	(my $url = $d->url('/v1/health')) =~ s/^http:/https:/;
	$got = run_cmd([$curl, '-sS', '-m', '10', '--cacert', "$dir/cert.pem",
	    '-H', 'Authorization: Bearer geheim', '-w', '%{http_code}', $url]);
	is($got->{out}, '{"status":"ok"}200', 'an answer over TLS')
	    or diag($got->{err});
	$got = run_cmd([$curl, '-sS', '-m', '10', '-o', '/dev/null', '-w',
	    '%{http_code}', $d->url('/v1/health')]);
	isnt($got->{out}, '200', 'and none without it');
	is($d->http('GET', '/v1/health', at => qr/^unix/)->{status}, 200,
	    'unix sockets need none');
	for my $p (descendants($d->{pid})) {
		unlike(slurp("/proc/$p/cmdline"), qr/PRIVATE|key\.pem/,
		    'the key is not in any words');
	}
	# A new certificate is taken at HUP; one that cannot be read is not.
	my $ask = sub {
		return run_cmd([$curl, '-sS', '-m', '10', '--cacert',
		    $_[0], '-H', 'Authorization: Bearer geheim', '-o',
		    '/dev/null', '-w', '%{http_code}', $url])->{out};
	};
	run_cmd(['cp', "$dir/cert.pem", "$dir/old.pem"]);
	$make->(0640);
	kill('HUP', $d->{pid});
	ok(wait_for(10, sub { slurp($d->{log}) =~ /keeps its certificate/ }),
	    'a key that others can read is not taken');
	is($ask->("$dir/old.pem"), '200', 'the old one stays');
	chmod(0600, "$dir/key.pem");
	kill('HUP', $d->{pid});
	ok(wait_for(15, sub { $ask->("$dir/cert.pem") eq '200' }),
	    'a good one is');
	ok(wait_for(15, sub { $ask->("$dir/old.pem") ne '200' }),
	    'in place of the old one');
	$d->stop;

	# Two that do not belong together.
	run_cmd(['cp', "$dir/key.pem", "$dir/other.key"]);
	chmod(0600, "$dir/other.key");
	$make->(0600);
	my $from = time;
	$got = second('--listen', '127.0.0.1:0', '--tls-cert', "$dir/cert.pem",
	    '--tls-key', "$dir/other.key");
	is($got->{status}, 111, 'a key of another certificate');
	like($got->{err}, qr/certificate and the key.*together/, 'is told');
	like($got->{err}, qr/\Q$dir\E\/other\.key/, 'with its name');
	unlike($got->{err}, qr/ready/, 'before anything is served');
	ok(time - $from < 10 * slow_factor(), 'at once');
	spew("$dir/bad.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n"
	    . "-----END CERTIFICATE-----\n");
	is(second('--listen', '127.0.0.1:0', '--tls-cert', "$dir/bad.pem",
	    '--tls-key', "$dir/key.pem")->{status}, 111, 'a broken certificate');
}

# --- without root ---------------------------------------------------------------------
$d = Sandboxd->start(http => 1, token => 'geheim', uid => 1000);
is($d->http('GET', '/v1/health')->{status}, 200, 'HTTP without root');
is($d->http('GET', '/v1/health', token => undef)->{status}, 401,
    'with its token');
for my $pid ($d->children(qr/sandboxd-gateway/)) {
	like(slurp("/proc/$pid/status"), qr/^NoNewPrivs:\t1$/m,
	    'gateways are confined there too');
}
my $made = $d->http('POST', '/v1/processes/run', json => { command => 'true' },
    timeout => 30);
is($made->{json}{exitCode}, 0, 'it runs commands') or diag(to_json($made));
ok($d->stop, 'and ends');

done_testing;
