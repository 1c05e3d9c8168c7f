# A38: FIFOs, endless and sparse files, kernel files and loops, by the file API:
# bounded in time and memory, with a clear error.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
use Time::HiRes qw(time);

my $d = Sandboxd->start(http => 1);
$d->ok('sandbox.create', { id => 'f' });
is($d->sh('f', 'cd /root && mkfifo fifo && truncate -s 1T sparse && mkdir -p loop/a && ln -s .. loop/a/up '
    . '&& ln -s self self && mkdir deep && perl -e \'chdir "deep"; for (1 .. 300) { mkdir "d"; chdir "d" }\'; '
    . 'perl -MIO::Socket::UNIX -e \'IO::Socket::UNIX->new(Listen => 1, Local => "/root/sock")\'; '
    . 'ls fifo sock')->{stdout}, "fifo\nsock\n", 'they are made');
# Outside a reader without care hangs on the first of them.
my $fifo = Sandboxd->scratch_dir . '/fifo';
POSIX::mkfifo($fifo, 0600);
ok(run_cmd(['cat', $fifo], timeout => 1)->{timed_out}, 'who opens a FIFO without care waits');
my @ours = ($d->{pid}, $d->children(qr/gateway|init\W+f/));
my $rss = sub { my %m = map { $_ => (slurp("/proc/$_/status") // '') =~ /RssAnon:\s+(\d+)/ ? $1 : 0 } @ours; \%m };
my $was = $rss->();
for my $path (qw(/root/fifo /root/sock /dev/zero /dev/random /dev/tty /dev/ptmx /proc/kmsg /proc/kcore /root/self
    /proc/1/mem /proc/self/mem /dev/full)) {
	my $t = time;
	my $c = $d->http_client;
	$c->write("GET /i/f/v1/fs/file?path=$path HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	my $r = $c->response('GET', 15);
	$c->close;
	ok(time - $t < 10 * Sandboxd::slow_factor(), "GET $path has an end (" . ($r->{status} // 'closed') . ')');
	ok(($r->{status} // 0) >= 400 || length($r->{body} // '') == 0, "GET $path gives an error or nothing")
	    or diag(length($r->{body} // '') . ' bytes, ' . ($r->{status} // 'closed'));
}
# 1 TiB of nothing: its head, then we have seen enough.
{
	my $c = $d->http_client;
	$c->write("GET /i/f/v1/fs/file?path=/root/sparse HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	my $r = $c->head;
	ok(($r->{status} // 0) >= 200, 'a sparse file of 1 TiB begins or is refused ('
	    . ($r->{status} // 'closed') . ')');
	$c->close;
}
for my $req ([GET => '/i/f/v1/fs/entries?path=/root/loop'], [GET => '/i/f/v1/fs/stat?path=/root/loop/a/up/a/up/a/up'],
    [GET => '/i/f/v1/fs/search?path=/root/loop&pattern=x'], [PUT => '/i/f/v1/fs/file?path=/root/fifo'],
    [GET => '/i/f/v1/fs/entries?path=/root&recursive=true'],
    [DELETE => '/i/f/v1/fs/entry?path=/root/deep&recursive=true']) {
	my $t = time;
	my $r = $d->http(@$req, $req->[0] eq 'PUT' ? (body => 'x') : ());
	ok(time - $t < 10 * Sandboxd::slow_factor(), "@$req has an end (" . ($r->{status} // 'closed') . ')');
}
my $now = $rss->();
for my $pid (@ours) {
	ok(-d "/proc/$pid", 'it lives: ' . Sandboxd::title_of($pid));
	cmp_ok($now->{$pid} - $was->{$pid}, '<', 30000 * Sandboxd::slow_factor(), 'and its memory stays flat');
}
is($d->http(GET => '/i/f/v1/fs/stat?path=/etc/passwd')->{status}, 200, 'the file API goes on');
is($d->sh('f', 'echo on')->{stdout}, "on\n", 'and so does the sandbox');
done_testing;
