# The file API against hostile sandboxes and clients: paths that change under our
# hands, full disks, file servers that are killed, uploads that are given up.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp qw(tempdir);
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
# Not under our usual name: other tests look for mounts that were left behind.
my $small = tempdir('small-t.XXXXXXXX', TMPDIR => 1);
chmod(0755, $small);
system('mount', '-t', 'tmpfs', '-o', 'size=4m,mode=755', 'none', $small) == 0
    or plan_skip('no tmpfs can be mounted');
my $self = $$;
END {
	if (defined $self && $$ == $self) {
		my $status = $?;
		system('umount', '-l', $small);
		rmdir($small);
		$? = $status;
	}
}
my $d = Sandboxd->start(http => 1);
$d->ok('sandbox.create', { id => 'box', mounts => [{ source => $small,
    target => '/small', mode => 'rw' }] });
my $V = '/i/box/v1/fs';
my $H = '/root';
sub sh { return $d->sh('box', @_)->{stdout} }
sub put { my ($path, $body, %o) = @_;
	return $d->http(PUT => "$V/file?path=$path", body => $body, %o) }
sub get { return $d->http(GET => "$V/file?path=$_[0]") }
# The file servers of the sandbox, as the host sees them.
sub servers { return grep { Sandboxd::title_of($_) =~ /^sandboxd-files/ }
    descendants($d->{pid}) }

# --- paths that change ----------------------------------------------------------------
# What the sandbox sees is all there is; the host's files have other contents.
sh("mkdir -p $H/r/real; echo inside >$H/r/real/passwd");
my $host = slurp('/etc/passwd');
my $inside = sh('cat /etc/passwd');
my $swap = fork // die;
if ($swap == 0) {
	$d->{client} = undef;	# the other one is our parent's
	my $x = $d->exec('box', ['perl', '-e', 'chdir "/root/r"; $t = time; while (time - $t < 6) {'
	    . 'rename "real", "away"; symlink "/etc", "real"; unlink "real";'
	    . 'symlink "/proc/self/root/..", "real"; unlink "real";'
	    . 'symlink "/proc/1/root", "real"; unlink "real"; rename "away", "real" }']);
	print STDERR to_json($x), "\n" if Sandboxd::outcome($x) ne '0';
	POSIX::_exit(0);
}
my (%got, %status, $n);
while (waitpid($swap, POSIX::WNOHANG()) == 0) {
	my $r = get('r/real/passwd');
	$got{$r->{body}}++ if $r->{status} == 200;
	$status{$_->{status} // 'none'}++ for $r, put('r/real/put' . $n++, 'x'),
	    $d->http(POST => "$V/mkdir?path=r/real/dir"),
	    $d->http(DELETE => "$V/entry?path=r/real/dir"),
	    $d->http(POST => "$V/move", json => { from => 'r/real/put0', to => 'r/real/m' }),
	    $d->http(GET => "$V/entries?path=r/real"),
	    $d->http(GET => "$V/stat?path=r/real/passwd");
}
cmp_ok($status{200} // 0, '>', 100, 'many requests while paths change');
ok(!grep({ $_ ne "inside\n" && $_ ne $inside } keys %got), 'only files of the sandbox came');
ok(!grep({ !/^(?:200|400|502)$/ } keys %status), 'each had a clear end');
diag(join ' ', map { "$_: $status{$_}" } sort keys %status);
is(slurp('/etc/passwd'), $host, 'the host has not changed');
is(sh("find / -xdev -name '.sandboxd-upload-*' | wc -l"), "0\n", 'no upload is left over');

# --- a full disk ----------------------------------------------------------------------
my $r = put('/small/ok', 'x' x 1000);
is($r->{status}, 200, 'a small file fits');
$r = put('/small/big', 'x' x (6 << 20));
is($r->{status}, 507, 'one that cannot fit is refused');
is($r->{json}{type}, 'urn:sandbox-agent:error:disk_full', 'as a full disk');
like($r->{json}{detail}, qr/No space left on device \(os error 28\)/, 'and says so');
{
	my $c = $d->http_client;
	$c->write("PUT $V/file?path=/small/ok HTTP/1.1\r\nHost: x\r\n"
	    . "Transfer-Encoding: chunked\r\n\r\n");
	my $piece = 'y' x 65536;
	my $sent = 0;
	while ($sent < 200) {
		$c->write(sprintf("%x\r\n", length $piece) . "$piece\r\n", 3) or last;
		$sent++;
	}
	$c->write("0\r\n\r\n", 3);
	is($c->response('PUT')->{status}, 507, 'one of unknown length is refused later');
	$c->close;
}
is(get('/small/ok')->{body}, 'x' x 1000, 'what was there is whole');
is(sh('ls -A /small'), "ok\n", 'and nothing is left over');
ok(wait_for(10, sub { sh('df --output=used /small | tail -n1') < 100 }), 'nor taken up');
$r = $d->http(POST => "$V/upload-batch?path=/small/t", headers =>
    { 'Content-Type' => 'application/x-tar' }, body => do {
	my $h = pack('a100 a8 a8 a8 a12 a12 a8 a1 a100 a8 a32 a32 a8 a8 a155 x12', 'big',
	    '0000644', '0000000', '0000000', sprintf('%011o', 6 << 20), '00000000000',
	    ' ' x 8, '0', '', "ustar\00000");
	my $sum = 0;
	$sum += $_ for unpack 'C*', $h;
	substr($h, 148, 8) = sprintf("%06o\0 ", $sum);
	$h . 'z' x (6 << 20) . "\0" x 1024 });
is($r->{status}, 507, 'nor does an archive fit') or diag($r->{body});
is(sh('ls -A /small/t'), '', 'of its file nothing is left');
sh("rm -rf $H/r; mkdir -p $H/r/sub; echo x >$H/r/sub/f");
is($d->http(POST => "$V/move", json => { from => "$H/r", to => '/small/r' })->{status}, 200,
    'a move to it');
sh("head -c 8000000 /dev/zero >$H/large");
is($d->http(POST => "$V/move", json => { from => 'large', to => '/small/large' })->{status},
    507, 'of what does not fit is refused');
is(sh("stat -c %s $H/large; ls -A /small"), "8000000\nok\nr\nt\n", 'and undone');

# --- uploads that are given up ------------------------------------------------------------
sub begin {
	my ($path) = @_;
	my $c = $d->http_client;
	$c->write("PUT $V/file?path=$path HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
	    . 'z' x 100000);
	return $c;
}
put('keep', 'old');
my @c = map { begin($_) } 'keep', 'fresh', 'new/dir/f', '/small/up';
ok(wait_for(10, sub { my @f = map { glob "/proc/$_/fd/*" } servers();
	(grep { (readlink($_) // '') =~ /deleted|#\d+|upload/ } @f) >= 4 }), 'four have begun');
is(sh("ls -A $H/new 2>/dev/null; ls -A /small; cat $H/keep"), "ok\nr\nt\nold",
    'they do not show');
$_->close for @c;
ok(wait_for(10, sub { my @f = map { glob "/proc/$_/fd/*" } servers();
	!grep { (readlink($_) // '') =~ /deleted|#\d+|upload/ } @f }), 'all are given up');
is(sh("cat $H/keep; ls -d $H/fresh $H/new 2>/dev/null"), 'old', 'nothing has come of them');

@c = (begin('keep'), begin('/small/up'));
sleep 0.3;
kill('KILL', $d->children(qr/gateway/));
ok(wait_for(20, sub { my $r = eval { get('keep') }; $r && ($r->{status} // 0) == 200 }),
    'gateways that are killed come back');
is(get('keep')->{body}, 'old', 'half an upload is none');
ok(wait_for(10, sub { sh('df --output=used /small | tail -n1') < 200 }),
    'and takes no room');
$_->close for @c;
is(sh("find / -xdev -name '.sandboxd-upload-*' | wc -l"), "0\n", 'no name is left');

# --- file servers that are killed ------------------------------------------------------------
my $c = begin('keep');
sleep 0.3;
my @s = servers();
ok(@s > 0, 'there is a file server');
sh('for p in /proc/[0-9]*; do grep -q sandboxd-files $p/comm 2>/dev/null && '
    . 'kill -9 ${p#/proc/}; done; :');
ok(wait_for(10, sub { my %now = map { $_ => 1 } servers(); !grep { $now{$_} } @s }),
    'root in the sandbox can kill it');
$c->write('z' x 900000, 5);
my $late = $c->response('PUT', 20);
ok(!defined $late->{status} || $late->{status} >= 400, 'an upload under way fails');
$c->close;
is(get('keep')->{body}, 'old', 'the next request has a new one');
is(sh('for p in /proc/[0-9]*; do if grep -q sandboxd-files $p/comm 2>/dev/null; then '
    . 'ls $p/fd/ 2>/dev/null; cat $p/environ $p/maps 2>/dev/null; fi; done'), '',
    'nobody inside can look into it');

# --- clients that stop reading ---------------------------------------------------------------
sh("head -c 50000000 /dev/zero >$H/large");
my @idle = map { $d->http_client } 1 .. 10;
$_->write("GET $V/file?path=large HTTP/1.1\r\nHost: x\r\n\r\n") for @idle;
my @gateways = $d->children(qr/gateway/);
my $at = time;
is($d->http(GET => "$V/stat?path=keep")->{status}, 200, 'others are served');
cmp_ok(time - $at, '<', 2, 'at once');
$_->head for @idle;
$_->close for @idle;
my $body = 'v' x (32 << 20);
for (1 .. 4) {
	is(put('large', $body, timeout => 60)->{json}{bytesWritten}, length $body, 'a large upload');
	is(length get('large')->{body}, length $body, 'and its download');
}
for my $pid (@gateways) {
	my ($peak) = (slurp("/proc/$pid/status") // '') =~ /^VmHWM:\s+(\d+)/m;
	cmp_ok($peak // 0, '<', $ENV{SANDBOXD_SANITIZED} ? 1e9 : 30000,
	    'memory of a gateway stays flat (' . ($peak // 0) . ' KiB)');
}

# --- many at one time -------------------------------------------------------------------------
my @conns = map { $d->http_client } 1 .. 60;
for my $i (0 .. $#conns) {
	$conns[$i]->write("PUT $V/file?path=p$i HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc");
}
$_->write('def') for @conns;
is(scalar(grep { $_->response('PUT')->{status} == 200 } @conns), 60, 'sixty uploads');
$_->close for @conns;
# Long ones beyond their number are refused, short ones are not.
sh("mkdir $H/wide; cd $H/wide; seq 1 30000 | xargs touch", timeout_ms => 60000);
@conns = map { $d->http_client } 1 .. 80;
$_->write("GET $V/entries?path=wide HTTP/1.1\r\nHost: x\r\n\r\n") for @conns;
my %seen;
$seen{$_->head->{status} // 'none'}++ for @conns;
ok(!grep({ !/^(?:200|429)$/ } keys %seen), 'long lists come or are refused: '
    . join ' ', map { "$_: $seen{$_}" } sort keys %seen);
is($d->http(GET => "$V/stat?path=keep")->{status}, 200, 'short requests go on');
$_->close for @conns;
ok(wait_for(20, sub { $d->http(GET => "$V/entries?path=wide", timeout => 30)->{status}
    == 200 }), 'their places come back');

# --- another user -------------------------------------------------------------------------------
is(sh('stat -c %u /root/p1'), "0\n", 'files belong to root of the sandbox');
ok(wait_for(20, sub { servers() <= 4 }), 'no worker is left over');
$d->stop;
is_deeply([grep { !/^mount/ || /\Q$d->{dir}\E/ } $d->leftovers], [],
    'nothing is left behind');
done_testing();
