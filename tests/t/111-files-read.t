# Reading files over HTTP: ranges and conditions, files that are none, files of
# /proc, replacement under the reader, long lists, clients that leave.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start(http => 1);
sub sh { return $d->sh('default', @_)->{stdout} }
sub get { my ($path, %h) = @_;
	return $d->http(GET => "/v1/fs/file?path=$path", headers => \%h) }

my $text = join '', map { chr(65 + $_ % 26) } 0 .. 99;
$d->http(PUT => '/v1/fs/file?path=r', body => $text);
$d->http(PUT => '/v1/fs/file?path=empty', body => '');
sh('touch -d "2020-01-02 03:04:05 UTC" /root/r');
my $r = get('r');
my ($tag, $date) = @{$r->{headers}}{qw(etag last-modified)};
is($r->{headers}{'accept-ranges'}, 'bytes', 'ranges are offered');
is($date, 'Thu, 02 Jan 2020 03:04:05 GMT', 'last-modified');

# --- ranges: header, status, from, length -----------------------------------------
for (['bytes=0-0', 206, 0, 1], ['bytes=0-99', 206, 0, 100], ['bytes=10-19', 206, 10, 10],
    ['bytes=90-', 206, 90, 10], ['bytes=90-200', 206, 90, 10], ['bytes=-1', 206, 99, 1],
    ['bytes=-100', 206, 0, 100], ['bytes=-500', 206, 0, 100], ['Bytes=5-6', 206, 5, 2],
    ['bytes=99-99', 206, 99, 1], ['bytes= 3-4 ', 206, 3, 2],
    ['bytes=100-', 416], ['bytes=100-200', 416], ['bytes=-0', 416],
    ['bytes=99999999999999999999-', 200], ['bytes=5-4', 200], ['bytes=', 200],
    ['bytes=a-b', 200], ['bytes=1', 200], ['bytes=0-1,3-4', 200], ['bytes=--1', 200],
    ['lines=1-2', 200], ['bytes=1-2x', 200], ['0-1', 200]) {
	my ($range, $status, $from, $len) = @$_;
	$r = get('r', Range => $range);
	is($r->{status}, $status, "$range: $status");
	if ($status == 206) {
		is($r->{body}, substr($text, $from, $len), 'the part');
		is($r->{headers}{'content-range'}, sprintf('bytes %d-%d/100', $from,
		    $from + $len - 1), 'content-range');
		is($r->{headers}{'content-length'}, $len, 'content-length');
	} elsif ($status == 416) {
		is($r->{headers}{'content-range'}, 'bytes */100', 'the size is told');
		is($r->{json}{type},
		    'urn:sandbox-agent:error:range_not_satisfiable', 'a problem');
	} else {
		is($r->{body}, $text, 'the whole');
	}
}
is(get('empty', Range => 'bytes=0-')->{status}, 416, 'no range of an empty file');
is(get('empty')->{body}, '', 'an empty file');
$r = $d->http(HEAD => '/v1/fs/file?path=r', headers => { Range => 'bytes=1-2' });
is($r->{headers}{'content-length'}, 2, 'head of a range');

# --- conditions: headers, status -----------------------------------------------------
my $old = 'Wed, 01 Jan 2020 00:00:00 GMT';
my $new = 'Fri, 03 Jan 2020 00:00:00 GMT';
for ([{ 'If-None-Match' => $tag }, 304], [{ 'If-None-Match' => "W/$tag" }, 304],
    [{ 'If-None-Match' => qq("x", $tag) }, 304], [{ 'If-None-Match' => '*' }, 304],
    [{ 'If-None-Match' => '"x"' }, 200], [{ 'If-None-Match' => 'junk' }, 200],
    [{ 'If-Modified-Since' => $date }, 304], [{ 'If-Modified-Since' => $new }, 304],
    [{ 'If-Modified-Since' => $old }, 200], [{ 'If-Modified-Since' => 'junk' }, 200],
    [{ 'If-Modified-Since' => 'Friday, 03-Jan-20 00:00:00 GMT' }, 304],
    [{ 'If-Modified-Since' => 'Fri Jan  3 00:00:00 2020' }, 304],
    [{ 'If-None-Match' => '"x"', 'If-Modified-Since' => $new }, 200],
    [{ 'If-Match' => $tag }, 200], [{ 'If-Match' => "W/$tag" }, 412],
    [{ 'If-Match' => '"x"' }, 412], [{ 'If-Match' => '*' }, 200],
    [{ 'If-Unmodified-Since' => $old }, 412], [{ 'If-Unmodified-Since' => $date }, 200],
    [{ 'If-Unmodified-Since' => 'junk' }, 200],
    [{ 'If-Match' => $tag, 'If-Unmodified-Since' => $old }, 200],
    [{ 'If-Match' => '"x"', 'If-None-Match' => $tag }, 412],
    [{ 'Range' => 'bytes=0-1', 'If-Range' => $tag }, 206],
    [{ 'Range' => 'bytes=0-1', 'If-Range' => '"x"' }, 200],
    [{ 'Range' => 'bytes=0-1', 'If-Range' => "W/$tag" }, 200],
    [{ 'Range' => 'bytes=0-1', 'If-Range' => $date }, 206],
    [{ 'Range' => 'bytes=0-1', 'If-Range' => $old }, 200],
    [{ 'Range' => 'bytes=0-1', 'If-None-Match' => $tag }, 304]) {
	my ($h, $status) = @$_;
	$r = get('r', %$h);
	is($r->{status}, $status, "$status: " . to_json($h));
	if ($status == 304) {
		is($r->{headers}{etag}, $tag, 'with its tag');
		is($r->{body}, '', 'without a body');
	}
}

# --- what is no file --------------------------------------------------------------------
sh('mkfifo /root/fifo; mknod /root/dev c 1 3 2>/dev/null; ln -s loop /root/loop; '
    . 'truncate -s 1T /root/sparse; ln -s /dev/zero /root/zero');
for my $path (qw(fifo /dev/null /dev/zero zero /dev/ptmx /dev/full)) {
	my $at = time;
	$r = get($path);
	is($r->{status}, 400, "get of $path");
	like($r->{json}{detail}, qr/path is not a file/, 'is refused');
	cmp_ok(time - $at, '<', 5, 'at once');
	is($d->http(PUT => "/v1/fs/file?path=$path", body => 'x')->{status}, 400,
	    "put on $path");
}
is(get('loop')->{status}, 502, 'a link to itself');
is(get('sparse', Range => 'bytes=1099511627770-')->{body}, "\0" x 6,
    'the end of a sparse file');
{
	my $c = $d->http_client;
	$c->write("GET /v1/fs/file?path=sparse HTTP/1.1\r\nHost: x\r\n\r\n");
	is($c->head->{headers}{'content-length'}, 1 << 40, 'it begins to come');
	$c->close;
}

# --- files that do not know their size ------------------------------------------------
$r = get('/proc/cpuinfo');
like($r->{body}, qr/^processor/, 'a file of /proc');
is($r->{headers}{'content-length'}, length $r->{body}, 'has a length');
is($r->{headers}{etag}, undef, 'and no tag');
is(get('/proc/version', Range => 'bytes=0-4')->{body}, 'Linux', 'and ranges');
is(get('/proc/self/mem')->{status}, 502, 'memory is not read');
for my $path (qw(/proc/kmsg /proc/self/pagemap /proc/kcore /proc/1/mem /proc/1/environ)) {
	my $at = time;
	my $status = get($path)->{status};
	ok(defined $status && $status >= 400, "$path is refused");
	cmp_ok(time - $at, '<', 30, 'in time');
}

# --- the whole old one or the whole new one -----------------------------------------------
my ($a, $b) = map { $_ x (300 * 1024) } 'a', 'b';
$d->http(PUT => '/v1/fs/file?path=swap', body => $a);
my $writer = fork // die;
if ($writer == 0) {
	for (1 .. 150) {
		$d->http(PUT => '/v1/fs/file?path=swap', body => $_ % 2 ? $b : $a);
	}
	POSIX::_exit(0);
}
my %seen;
my $torn = 0;
while (waitpid($writer, POSIX::WNOHANG()) == 0) {
	my $body = get('swap')->{body};
	my $c = substr($body, 0, 1);
	$seen{$c}++;
	$torn++ if length $body != length $a || $body ne $c x length $body;
}
is($torn, 0, 'readers never see half of a replacement');
is(join('', sort keys %seen), 'ab', 'they saw both');

# --- a long list ---------------------------------------------------------------------------
sh('mkdir /root/many; cd /root/many; seq 1 100000 | xargs touch', timeout_ms => 120000);
my $at = time;
$r = $d->http(GET => '/v1/fs/entries?path=many', timeout => 60);
is(scalar @{$r->{json}}, 100000, 'a hundred thousand entries');
is(scalar keys %{{ map { $_->{name} => 1 } @{$r->{json}} }}, 100000, 'each once');
{
	# Who begins to read it and leaves, or reads nothing, holds up nobody.
	my @idle = map { $d->http_client } 1 .. 5;
	$_->write("GET /v1/fs/entries?path=many HTTP/1.1\r\nHost: x\r\n\r\n") for @idle;
	$at = time;
	is($d->http(GET => '/v1/fs/stat?path=r')->{status}, 200, 'others are served');
	cmp_ok(time - $at, '<', 3, 'at once');
	$_->close for @idle;
}
$at = time;
is($d->http(DELETE => '/v1/fs/entry?path=many&recursive=true', timeout => 60)->{status},
    200, 'they can be deleted');
ok(wait_for(10, sub { my @p = grep { Sandboxd::title_of($_) =~ /^sandboxd-files/ }
	descendants($d->{pid}); @p <= 4 }), 'no worker is left over');

done_testing();
