# A30: through the proxy a sandbox asks for metadata services, link-local, loopback and
# private addresses, in every spelling, and by names that resolve to them: 403 each time,
# and no connect() to any of them. The same requests succeed where a rule names the
# address, so they could.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use IO::Socket::INET;
use Sandboxd;
use Sandboxd::World;
use Test::More;

need_program(qw(curl strace));
my @private = ('127.0.0.1', '169.254.169.254', '10.9.8.7', '100.100.100.200', '0.0.0.0',
    '172.16.0.1', '192.168.0.1', '192.0.0.8', '198.18.0.1', '224.0.0.1', '255.255.255.255',
    '::1', '::', 'fd00:ec2::254', 'fe80::1', 'ff02::1', '::ffff:127.0.0.1',
    '::ffff:169.254.169.254', '::ffff:7f00:1', '64:ff9b::7f00:1', '64:ff9b::a9fe:a9fe',
    '64:ff9b:1::1', '2002:7f00:1::', '2001:0:7f00:1::', '::127.0.0.1', 'fec0::1', '100::1');
# Names of every such address, and one that has a public one too.
my %names = map { ("n$_.example" => [$private[$_]]) } 0 .. $#private;
my $w = Sandboxd::World->new(names => { %names, 'a.example' => ['11.22.33.44'],
    'all.example' => ['10.9.8.7', '169.254.169.254', '127.0.0.1'] });
my $d = Sandboxd->start(conf => $w->conf);
$d->ok('sandbox.create', { id => 'open', network => 'filtered', egress => { default => 'allow',
    allow => ['*', '0.0.0.0/0', '::/0'] } });
$d->ok('sandbox.create', { id => 'named', network => 'filtered', egress => {
    allow => ['*.example', '169.254.169.254', '10.0.0.0/8', '127.0.0.1/32'] } });

sub ask {	# how many are answered with each status
	my ($box, @urls) = @_;
	my $script = join("\n", map { "curl -gsS -m 20 --noproxy '' -o /dev/null "
	    . "-w '%{http_code} $_\\n' $_ 2>/dev/null" } @urls);
	return map { /^(\d+) (\S+)$/ ? ($2 => $1) : () }
	    split /\n/, $d->sh($box, $script)->{stdout};
}

# --- the guard lifted by rules -----------------------------------------------------------
my $server = IO::Socket::INET->new(Listen => 8, LocalAddr => '127.0.0.1') or die "listen: $!";
my $port = $server->sockport;
my $child = fork // die "fork: $!";
if ($child == 0) {
	while (my $c = $server->accept) {
		sysread($c, my $x, 4096);
		print $c "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	}
	POSIX::_exit(0);
}
my %got = ask('named', 'http://169.254.169.254/', 'http://10.9.8.7/', 'http://n2.example/',
    "http://127.0.0.1:$port/", 'http://[::ffff:169.254.169.254]/');
is(join(' ', values %got), '200 200 200 200 200', 'where a rule names them they are reached');

# --- without -----------------------------------------------------------------------------
my ($proxy) = grep { Sandboxd::title_of($_) =~ /egress/ } $d->children;
my $trace = Sandboxd->scratch_dir . '/trace';
my $strace = fork // die "fork: $!";
if ($strace == 0) {
	open(STDERR, '>', '/dev/null');
	exec('strace', '-f', '-qq', '-e', 'trace=connect,sendto,sendmsg', '-o', $trace, '-p', $proxy)
	    or POSIX::_exit(127);
}
ok(wait_for(20, sub { (slurp("/proc/$proxy/status") // '') =~ /^TracerPid:\s*[1-9]/m }),
    'the proxy is watched');
$w->forget;
my @urls = map { 'http://' . (/:/ ? "[$_]" : $_) . "/" } @private;
my @forms = ('http://2130706433/', 'http://017700000001/', 'http://0x7f000001/',
    'http://0x7f.0.0.1/', 'http://127.1/', 'http://127.0.1/', 'http://0177.0.0.1/',
    'http://2852039166/', 'http://169.254.43518/', 'http://0xa9fea9fe/', 'http://0/',
    'http://localhost/');
%got = ask('open', @urls, map { "http://n$_.example/" } 0 .. $#private);
is(scalar(keys %got), 2 * @private, 'each was asked for');
is(join(' ', map { "$_=$got{$_}" } grep { $got{$_} != 403 } sort keys %got), '',
    'private addresses, and names that resolve to them: 403');
%got = ask('open', @forms, 'http://all.example/');
is(join(' ', map { "$_=$got{$_}" } grep { $got{$_} !~ /^(?:403|400|502)$/ } sort keys %got), '',
    'other spellings of addresses are refused, or are names that nobody has');
for (@forms) {	# curl tidies some of them up; as they are:
	my ($host) = m{//(.*)/};
	my $r = $d->exec('open', ['bash', '-c', 'exec 3<>/dev/tcp/127.0.0.1/61080; printf '
	    . "'CONNECT $host:80 HTTP/1.1\\r\\n\\r\\n' >&3; head -c 12 <&3"]);
	like($r->{stdout}, qr{^HTTP/1\.1 (?:4|502)}, "CONNECT $host");
}
%got = ask('open', 'http://a.example/', "http://127.0.0.1:$port/", 'http://11.22.33.1/');
is($got{'http://a.example/'}, 200, 'a public one is reached all the while');
is($got{"http://127.0.0.1:$port/"}, 403, 'the host\'s loopback is not');
is($got{'http://11.22.33.1/'}, 403, 'nor the host by its public address');
kill('INT', $strace);
waitpid($strace, 0);
my @dialled = grep { /^\d+\s+connect\(/ && !/sin_port=htons\(53\)/ } split /\n/, slurp($trace);
my @tcp = grep { !/sin6?_port=htons\(9\)/ } @dialled;	# 9: only the routes are asked
ok(@tcp > 0, 'what the proxy dials is seen');
is(join("\n", grep { !/inet_addr\("11\.22\.33\.44"\)/ } @tcp), '',
    'and none of it is an address of these');
is_deeply([grep { !/^11\.22\.33\.44 80 / } $w->arrivals], [], 'nothing arrived there');

kill('KILL', $child);
waitpid($child, 0);
done_testing;
