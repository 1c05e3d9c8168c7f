# Installation over a network that breaks off, lies and hides behind proxies; and
# without one, from a mirror.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp qw(tempdir);
use IO::Socket::INET;
use Sandboxd;
use Sandboxd::Registry;
use Test::More;

my $r = Sandboxd::Registry->new;
my $def = \&Sandboxd::Registry::definition;
my %big;	# text that does not compress, so that there is something to cut
srand(7);
$big{$_} = join('', map { chr 33 + int rand 90 } 1 .. 300_000) for 1 .. 2;
$r->publish('dep', '1.0.0', {}, { 'big.txt' => $big{1} });
$r->publish('@s/tool', '1.0.0', { bin => { tool => 'cli.sh' },
    dependencies => { dep => '^1.0.0' } },
    { 'cli.sh' => "#!/bin/sh\necho tool\n", 'big.txt' => $big{2} });
$r->publish('bad', '1.0.0', { bin => 'b' }, { b => "#!/bin/sh\n" },
    integrity => 'sha512-' . 'A' x 86 . '==');
$r->publish('badsum', '1.0.0', { bin => 'b' }, { b => "#!/bin/sh\n" },
    shasum => '0' x 40);
$r->publish('nosum', '1.0.0', { bin => 'b' }, { b => "#!/bin/sh\n" },
    integrity => 'md5-abc');
$r->file('/junk', '{"versions": ');
$r->start;

my @agents = ($def->('tool', type => 'npm', package => '@s/tool'),
    map { $def->($_, type => 'npm', package => $_) } qw(bad badsum nosum junk));
my $conf = "[courier]\nnpm_registry = " . $r->url . "\n";
my $d = Sandboxd->start(conf => $conf, agents => { @agents });

sub install {
	my ($from, $id) = @_;
	return $from->ok('agent.install', { id => $id // 'tool',
	    reinstall => JSON::PP::true }, timeout => 60);
}

sub failure {
	my ($from, $id) = @_;
	my $e = $from->request('agent.install', { id => $id // 'tool',
	    reinstall => JSON::PP::true }, timeout => 60)->{error} // {};
	return ($e->{code} // 'none') . ': ' . ($e->{detail} // '');
}

sub whole {
	my ($from) = @_;
	my $at = "$from->{state}/agents/tool/current/node_modules";
	return slurp("$at/dep/big.txt") eq $big{1} &&
	    slurp("$at/\@s/tool/big.txt") eq $big{2} &&
	    !glob("$from->{state}/agents/.partial/*");
}

# --- digests ------------------------------------------------------------------------

like(failure($d, 'bad'), qr{^install_failed: install bad: bad 1\.0\.0: GET http\S+/bad/-/bad-1\.0\.0\.tgz: not what it should be: sha512 should be 000000},
    'a wrong sha512');
like(failure($d, 'badsum'), qr{sha1 should be 0000}, 'a wrong sha1');
like(failure($d, 'nosum'), qr{names no digest that we know}, 'no digest is no package');
like(failure($d, 'junk'), qr{^install_failed: .*what the registry says of junk: not valid JSON},
    'a registry that talks nonsense');
ok(!-e "$d->{state}/agents/bad/current", 'nothing of it is installed');
is_deeply([glob("$d->{state}/agents/.partial/*")], [], 'nor kept');
$r->rule(match => 'dep-1', action => 'corrupt', times => 1);
like(failure($d), qr{dep 1\.0\.0: GET .*not what it should be: sha512},
    'one that was changed on its way');
install($d);
ok(whole($d), 'the next try begins anew');

# --- broken off ---------------------------------------------------------------------

$r->forget_requests;
$r->rule(match => 'dep-1', action => 'cut', bytes => 100_000, times => 2);
install($d);
ok(whole($d), 'a download that breaks off twice');
my @ranges = map { /range=(\S*)/ ? $1 : () } $r->requests(qr/dep-1/);
is(scalar @ranges, 3, 'in three requests');
is($ranges[0], '', 'of which the first is for all');
like($ranges[1], qr/^bytes=100000-$/, 'the second for the rest');
like($ranges[2], qr/^bytes=200000-$/, 'the third for the rest of that');

$r->forget_requests;
$r->rule(match => 'dep-1', action => 'cut', bytes => 50_000, times => 1);
$r->rule(match => 'dep-1', action => 'norange', times => 1);
install($d);
ok(whole($d), 'a server without ranges');
$r->no_rules;
$r->rule(match => 'dep-1', action => 'cut', bytes => 50_000, times => 1);
$r->rule(match => 'dep-1', action => 'badrange', times => 1);
install($d);
ok(whole($d), 'a server that sends another part than asked for');
$r->no_rules;
$r->rule(match => 'dep-1', action => 'cut', bytes => 50_000, times => 1);
$r->rule(match => 'dep-1', action => 'status', code => 416, times => 1);
install($d);
ok(whole($d), 'a server that knows no such part');
$r->no_rules;
$r->rule(match => '/(dep|@s.*tool)$', action => 'status', code => 503, times => 2);
$r->rule(match => 'dep-1', action => 'status', code => 429, times => 1);
install($d);
ok(whole($d), 'a server that is busy for a while');
$r->no_rules;
$r->forget_requests;
$r->rule(match => 'dep-1', action => 'status', code => 403);
like(failure($d), qr{dep 1\.0\.0: GET \S+: HTTP 403$}, 'what is denied is told');
is(scalar(my @n = $r->requests(qr/dep-1/)), 1, 'at once');
$r->no_rules;
$r->rule(match => 'dep-1', action => 'redirect', to => 'file:///etc/passwd');
like(failure($d), qr{dep 1\.0\.0: GET .*(?i:protocol)}, 'no way to other protocols');
$r->no_rules;
$r->rule(match => 'dep-1', action => 'redirect', to => $r->url('/moved'), times => 1);
$r->file('/moved', slurp("$r->{dir}/files/%dep%-%dep-1.0.0.tgz"));
install($d);
ok(whole($d), 'a redirect is followed');
$r->no_rules;

# --- proxies and tokens -------------------------------------------------------------

sub another {
	my ($more, %o) = @_;
	return Sandboxd->start(conf => "[courier]\n$more", agents => { @agents }, %o);
}

$r->forget_requests;
my $token = "$r->{dir}/token";
spew($token, "s3cret-token\n");
my $p = another("npm_registry = http://registry.invalid/\nproxy = " . $r->url
    . "\nnpm_token_file = $token\n");
install($p);
ok(whole($p), 'by way of a proxy, which finds the registry');
is(scalar(@n = $r->requests(qr/proxied/)), 4, 'all came by it');
ok((grep { m{%2fs?}i || m{\@s%2ftool} } $r->requests(qr/auth=Bearer s3cret-token/)),
    'the registry gets the token');
is(scalar(@n = $r->requests(qr/\.tgz.*auth=Bearer/)), 0, 'other hosts do not');
unlike(slurp($p->{log}), qr/s3cret/, 'nor the log');
unlike(join(' ', map { Sandboxd::title_of($_) } $p->children), qr/s3cret/,
    'nor a title');
$p->stop;
my $env = another('', env => { http_proxy => $r->url,
    npm_config_registry => 'http://registry.invalid' });
$r->forget_requests;
install($env);
is(scalar(@n = $r->requests(qr/proxied/)), 4, 'the same from the environment');
$env->stop;
$env = another('', env => { http_proxy => 'http://127.0.0.1:9',
    no_proxy => 'localhost,127.0.0.1', npm_config_registry => $r->url });
install($env);
ok(whole($env), 'no_proxy');
$env->stop;

# --- names and certificates ---------------------------------------------------------

my $named = another('npm_registry = http://localhost:' . $r->{port} . "/\n");
install($named);
ok(whole($named), 'a host by its name');
$named->stop;

SKIP: {
	my $tls = Sandboxd::scratch_dir();
	skip 'no openssl', 3 unless run_cmd(['openssl', 'version'])->{status} == 0;
	run_cmd(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days',
	    '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost',
	    '-keyout', "$tls/key", '-out', "$tls/cert"]);
	chmod(0644, "$tls/cert");
	my $free = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1:0');
	my $port = $free->sockport;
	close($free);
	# What openssl serves are whole answers.
	for my $name (qw(dep tool)) {
		my $body = slurp("$r->{dir}/files/%" . ($name eq 'tool' ? '@s%' : '')
		    . $name);
		$body =~ s{http://127\.0\.0\.1:\d+}{https://localhost:$port}g;
		$body =~ s{/-/}{}g;
		$body =~ s{(localhost:\d+)/(?:\@s/)?}{$1/}g;
		$body =~ s{\@s/tool"}{tool"}g;
		spew("$tls/$name", "HTTP/1.0 200 OK\r\nContent-Length: "
		    . length($body) . "\r\n\r\n$body");
		my ($file) = $body =~ m{:$port/([^"/]+\.tgz)"} or die $body;
		my $tgz = slurp("$r->{dir}/files/%" . ($name eq 'tool' ? '@s%' : '')
		    . "$name%-%$name-1.0.0.tgz");
		spew("$tls/$file", "HTTP/1.0 200 OK\r\nContent-Length: "
		    . length($tgz) . "\r\n\r\n$tgz");
	}
	my $pid = fork // die;
	if ($pid == 0) {
		chdir($tls);
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>', '/dev/null');
		open(STDERR, '>', '/dev/null');
		exec 'openssl', 's_server', '-accept', "127.0.0.1:$port", '-HTTP',
		    '-cert', "$tls/cert", '-key', "$tls/key";
	}
	ok(wait_for(20, sub { IO::Socket::INET->new("127.0.0.1:$port") }),
	    'a server that speaks TLS');
	my %tls = (agents => { $def->('tool', type => 'npm', package => 'tool',
	    program => 'tool') });
	my $trusts = Sandboxd->start(conf => "[courier]\nnpm_registry = "
	    . "https://localhost:$port\nca_file = $tls/cert\n", %tls);
	my $e = $trusts->request('agent.install', { id => 'tool' }, timeout => 60);
	ok($e->{ok}, 'whose certificate is trusted') or diag(to_json($e));
	$trusts->stop;
	$trusts = Sandboxd->start(conf => "[courier]\nnpm_registry = "
	    . "https://localhost:$port\n", %tls);
	like(failure($trusts), qr{^install_failed: .*https://localhost:\d+/tool: .*(?i:certificate)},
	    'otherwise not');
	$trusts->stop;
	kill('KILL', $pid);
	waitpid($pid, 0);
}

# --- mirrors ------------------------------------------------------------------------

my $closed = tempdir('sandboxd-mirror.XXXXXXXX', TMPDIR => 1, CLEANUP => 1);
my $dir = "$closed/mirror";
mkdir($dir, 0755);
$r->fill_mirror($dir);
spew("$dir/dep-1.9.0.tgz", 'not an archive');
chmod(0700, $closed);
my $m = another("mirror = $dir\n");
$r->forget_requests;
install($m);
ok(whole($m), 'from a directory of what npm pack makes, in a place of our own');
is_deeply([$r->requests], [], 'nobody is asked');
like(slurp($m->{log}), qr/dep-1\.9\.0\.tgz/, 'a broken file is told and passed over');
unlink("$dir/dep-1.0.0.tgz");
like(failure($m), qr{\@s/tool 1\.0\.0, which needs dep '\^1\.0\.0': there is no version},
    'one that is missing');
$m->stop;
$m = another("mirror = /nonexistent/mirror\n");
like(failure($m), qr{^install_failed: courier\.mirror: open /nonexistent/mirror: No such},
    'a mirror that is not there');
$m->stop;
$m = another('mirror = ' . $r->url . "/\nnpm_registry = http://127.0.0.1:9\n");
install($m);
ok(whole($m), 'from the address of a mirror');
$m->stop;
$m = another("npm_registry = ftp://x/\n");
like(failure($m), qr{^bad_request: courier\.npm_registry: .*not an address},
    'an address that is none');
$m->stop;
$m = another("npm_registry = http://127.0.0.1:1/\n");
like(failure($m), qr{^install_failed: install tool: GET http://127\.0\.0\.1:1/\@s%2ftool: .*(?i:connect)},
    'nobody there');
is($m->ok('status')->{version}, $d->ok('status')->{version}, 'sandboxd goes on');
$m->stop;

# --- settings that change -----------------------------------------------------------

$m = another("npm_registry = http://127.0.0.1:1/\n");
like(failure($m), qr/^install_failed/, 'with the wrong address');
spew("$m->{dir}/conf", slurp("$m->{dir}/conf") =~ s{http://127.0.0.1:1/}{$r->url}er);
kill('HUP', $m->{pid});
ok(wait_for(20, sub { slurp($m->{log}) =~ /configuration reloaded/ }), 'reloaded');
install($m);
ok(whole($m), 'the courier has the new one');
$m->stop;

unlike(slurp($d->{log}), qr/proc: lost|runtime error|Sanitizer/, 'no process was lost');
ok($d->stop, 'ends');
is_deeply([$d->leftovers], [], 'and leaves nothing');
done_testing;
