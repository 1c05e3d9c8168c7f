# Unpacking tar archives: what clients know, tricks, damage, big ones.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start(http => 1);
my $H = '/root';
sub sh { return $d->sh('default', @_)->{stdout} }

# --- archives made by hand -------------------------------------------------------------
# Options: type, link, mode, mtime, size (a lie), form (ustar, gnu, v7), prefix.
sub entry {
	my ($name, $data, %o) = @_;
	my $form = $o{form} // 'ustar';
	my $size = $o{size} // length($data // '');
	my $h = pack('a100 a8 a8 a8 a12 a12 a8 a1 a100', $name,
	    sprintf('%07o', $o{mode} // 0644), '0000000', '0000000',
	    sprintf('%011o', $size), sprintf('%011o', $o{mtime} // 1700000000),
	    ' ' x 8, $o{type} // '0', $o{link} // '');
	$h .= $form eq 'v7' ? "\0" x 255 : pack('a8 a32 a32 a8 a8 a155 x12',
	    $form eq 'gnu' ? 'ustar  ' : "ustar\00000", 'u', 'g', '', '', $o{prefix} // '');
	my $sum = 0;
	$sum += $_ for unpack 'C*', $h;
	substr($h, 148, 8) = $o{sum} // sprintf("%06o\0 ", $sum);
	$data //= '';
	return $h . $data . "\0" x (-length($data) % 512);
}
sub pax { my ($type, %kv) = @_;
	my $text = '';
	for (sort keys %kv) {
		my $rest = " $_=$kv{$_}\n";
		my $n = length($rest) + 1;
		$n++ while length($n) + length($rest) > $n;
		$text .= "$n$rest";
	}
	return entry('PaxHeader', $text, type => $type);
}
my $END = "\0" x 1024;
my $n = 0;
sub up {
	my ($tar, %o) = @_;
	my $path = $o{path} // 'up' . ++$n;
	return $d->http(POST => "/v1/fs/upload-batch?path=$path", body => $tar,
	    timeout => $o{timeout}, headers =>
	    { 'Content-Type' => $o{type} // 'application/x-tar' });
}
sub here { "$H/up$n" }

# --- what clients know -------------------------------------------------------------------
my $r = up(entry('./a.txt', 'hello', mode => 0600) . entry('d/', undef, type => '5',
    mode => 0750) . entry('d/b.sh', "#!/bin/sh\n", mode => 0755, mtime => 0) . $END);
is($r->{status}, 200, 'an archive');
is($r->{body}, '{"paths":["' . join('","', map { here() . "/$_" } 'a.txt', 'd', 'd/b.sh')
    . '"],"truncated":false}', 'exactly so');
is(sh('cd ' . here() . '; cat a.txt; stat -c "%n %a %Y" a.txt d d/b.sh'),
    "helloa.txt 600 1700000000\nd 750 1700000000\nd/b.sh 755 1\n",
    'content, modes, times');
is($r->{headers}{'content-type'}, 'application/json', 'as JSON');
for my $t ('', $END, "\0" x 512) {
	$r = up($t);
	is($r->{body}, '{"paths":[],"truncated":false}', length($t) . ' bytes of nothing');
	is(sh('ls -Ad ' . here()), here() . "\n", 'the directory is made');
}
is(up(entry('x', 'y'))->{json}{paths}[0], here() . '/x', 'no end of the archive is needed');
for my $type ('application/x-tar; charset=x', 'application/x-tarball') {
	is(up(entry('x', 'y') . $END, type => $type)->{status}, 200, $type);
}
for my $type ('application/X-tar', 'application/gzip', 'application/octet-stream', '') {
	$r = up(entry('x', 'y') . $END, type => $type);
	is($r->{status}, 400, "content type '$type'");
	is($r->{json}{detail},
	    'invalid request: content-type must be application/x-tar', 'says so');
}
for my $count (1024, 1025) {
	$r = up(join('', map { entry("f$_", '') } 1 .. $count) . $END);
	is(scalar @{$r->{json}{paths}}, 1024, "$count entries: 1024 are told");
	is($r->{json}{truncated} ? 1 : 0, $count > 1024 ? 1 : 0, 'truncated or not');
	is(sh('ls ' . here() . ' | wc -l'), "$count\n", 'all are there');
}

# --- forms ----------------------------------------------------------------------------------
my $long = join '/', map { $_ x 60 } 'a' .. 'e';
up(entry('././@LongLink', "$long\0", type => 'L', form => 'gnu')
    . entry(substr($long, 0, 99), 'gnu', form => 'gnu') . $END);
is(sh('cat ' . here() . "/$long"), 'gnu', 'a GNU long name');
up(pax('x', path => $long, mtime => '1600000000.25') . entry('short', 'pax') . $END);
is(sh('cat ' . here() . "/$long; stat -c ' %.2Y' " . here() . "/$long"),
    "pax 1600000000.25\n", 'a pax path and time');
up(entry('b' x 90, 'pre', prefix => 'p' x 150) . $END);
is(sh('cat ' . here() . '/' . 'p' x 150 . '/' . 'b' x 90), 'pre', 'a prefix');
up(entry('old', 'v7', form => 'v7') . entry('olddir/', undef, form => 'v7',
    type => "\0") . $END);
is(sh('cd ' . here() . '; cat old; stat -c %F olddir'), "v7directory\n", 'the old form');
up(pax('g', comment => 'x') . entry('f', 'global') . $END);
is(sh('cat ' . here() . '/f'), 'global', 'a global header is passed over');
{
	my $dir = Sandboxd->scratch_dir;
	run_cmd(['sh', '-c', "mkdir -p $dir/s/x && cd $dir/s && echo 1 >one && echo 2 >x/two "
	    . '&& ln -s one l && ln one h && chmod 711 x && tar -cf ../t.tar .']);
	$r = up(slurp("$dir/t.tar"));
	is($r->{status}, 200, 'what tar makes');
	is(sh('cd ' . here() . '; cat one x/two; readlink l; stat -c "%a %h" x one'),
	    "1\n2\none\n711 2\n1\n" =~ s/\n1\n$//r =~ s/711 2/711 2\n644 2\n/r,
	    'is all there');
	ok(!grep({ m{/\.?$} } @{$r->{json}{paths}}), 'the directory itself is not told');
}

# --- replacing what is there -------------------------------------------------------------------
$r = up(entry('f', 'one') . entry('f', 'two') . $END);
is(sh('cat ' . here() . '/f'), 'two', 'the later one stays');
sh("mkdir $H/rep; cd $H/rep; echo secret >/root/outside; ln -s /root/outside link; "
    . 'ln /root/outside hard; mkdir dir; touch dir/kept');
up(entry('link', 'new') . entry('hard', 'new') . entry('dir/', undef, type => '5') . $END,
    path => 'rep');
is(sh("cat /root/outside; cd $H/rep; cat link hard; ls dir"), "secret\nnewnewkept\n",
    'links are replaced, not written through; a directory stays');
$r = up(entry('dir', 'file') . $END, path => 'rep');
is($r->{status}, 502, 'a file does not replace a full directory');
is($r->{json}{detail}, 'stream error: Is a directory (os error 21)', 'says why');

# --- tricks: name, archive, status, detail ------------------------------------------------------
my $before = sh('find / -xdev -newer /root/outside -type f 2>/dev/null | sort | grep -v /root/');
for (['..', entry('../esc.txt', 'x'), 400, qr/invalid relative path: \.\.\/esc\.txt$/],
    ['.. within', entry('a/../../esc', 'x'), 400, qr/invalid relative path/],
    ['.. that would stay', entry('a/../b', 'x'), 400, qr/invalid relative path/],
    ['absolute', entry('/esc', 'x'), 400, qr/invalid relative path: \/esc$/],
    ['absolute by pax', pax('x', path => '/esc') . entry('a', 'x'), 400, qr/relative/],
    ['absolute by long name', entry('L', '/esc', type => 'L') . entry('a', 'x'), 400,
	qr/relative/],
    ['.. by prefix', entry('esc', 'x', prefix => '..'), 400, qr/relative/],
    ['through an absolute link', entry('l', undef, type => '2', link => '/tmp')
	. entry('l/esc', 'x'), 400, qr/leads out/],
    ['through a relative link', entry('l', undef, type => '2', link => '../..')
	. entry('l/esc', 'x'), 400, qr/leads out/],
    ['a directory over a link', entry('l', undef, type => '2', link => '/tmp')
	. entry('l/', undef, type => '5', mode => 0777), 400, qr/leads out/],
    ['a directory below a link', entry('l', undef, type => '2', link => '/tmp')
	. entry('l/esc/', undef, type => '5'), 400, qr/leads out/],
    ['a link in a link', entry('l', undef, type => '2', link => '/tmp')
	. entry('l/esc', undef, type => '2', link => 'x'), 400, qr/leads out/],
    ['two links', entry('a/', undef, type => '5') . entry('a/l', undef, type => '2',
	link => '..') . entry('m', undef, type => '2', link => 'a/l/..')
	. entry('m/esc', 'x'), 400, qr/leads out/],
    ['through /proc', entry('l', undef, type => '2', link => '/proc/self/root/tmp')
	. entry('l/esc', 'x'), 400, qr/leads out/],
    ['a hard link to outside', entry('h', undef, type => '1', link => '/etc/passwd'), 400,
	qr/invalid relative path: \/etc\/passwd/],
    ['a hard link with ..', entry('h', undef, type => '1', link => '../x'), 400, qr/relative/],
    ['a hard link through a link', entry('l', undef, type => '2', link => '/etc')
	. entry('h', undef, type => '1', link => 'l/passwd'), 400, qr/leads out/],
    ['a hard link to nothing', entry('h', undef, type => '1', link => 'none'), 502,
	qr/No such file or directory \(os error 2\) when hard linking none to h/],
    ['a hard link to the place itself', entry('h', undef, type => '1', link => '.'), 400,
	qr/relative/],
    (map { ["type $_", entry('dev', undef, type => $_), 400, qr/not unpacked: dev/] }
	3, 4, 6),
    ['an unknown type', entry('u', '', type => 'Z'), 502, qr/unknown type/],
    ['a sparse file', pax('x', 'GNU.sparse.major' => 1) . entry('s', 'x'), 502, qr/sparse/],
    ['data behind a link', entry('l', 'data', type => '2', link => 'x'), 502, qr/data/],
    ['a link to nothing', entry('l', undef, type => '2'), 502, qr/link/],
    ['three hundred levels', entry('L', join('/', ('d') x 300), type => 'L')
	. entry('x', ''), 502, qr/too long/],
    ['a long part', entry('L', 'n' x 300, type => 'L') . entry('x', ''), 502, qr/too long/],
    ['a very long name', entry('L', 'n' x 70000, type => 'L') . entry('x', ''), 502, qr/./],
    # damage
    ['garbage', 'g' x 1024, 502, qr/checksum/], ['a little garbage', 'garbage', 502, qr/cut/],
    ['a wrong sum', entry('x', 'y', sum => "000000\0 "), 502, qr/checksum/],
    ['cut in a header', substr(entry('x', 'y'), 0, 300), 502, qr/cut/],
    ['cut in data', substr(entry('t.txt', 'y' x 1000), 0, 1000), 502, qr/cut/],
    ['a size beyond', entry('x', 'y', size => 1 << 30), 502, qr/cut/],
    ['a lone block of zeros', "\0" x 512 . entry('x', 'y'), 502, qr/zeros/],
    ['a size in letters', entry('x', 'y', size => 0) =~ s/^(.{124}).{12}/${1}zzzzzzzzzzz\0/sr,
	502, qr/checksum/],
    ['a broken pax header', entry('PaxHeader', "99 path=x\n", type => 'x') . entry('a', ''),
	502, qr/pax/],
    ['pax without an entry', pax('x', path => 'x') . $END, 502, qr/./]) {
	my ($name, $tar, $status, $why) = @$_;
	$r = up($tar . ($name =~ /^cut|beyond|garbage/ ? '' : $END));
	is($r->{status}, $status, "$name: $status");
	like($r->{json}{detail}, $why, 'says why');
}
my $after = sh('find / -xdev -newer /root/outside -type f 2>/dev/null | sort | grep -v /root/');
is($after, $before, 'nothing has come into being anywhere else');
is(sh('stat -c %a /tmp'), "1777\n", 'nor was a mode changed');
$r = up(entry('good', '1') . entry('../bad', '2') . $END);
is(sh('ls ' . here()), "good\n", 'what came before stays');
$r = up(substr(entry('t.txt', 'y' x 100000), 0, 50000));
is(sh('ls -A ' . here()), '', 'of a file that is cut off nothing stays');
$r = up(entry('in/', undef, type => '5') . entry('l', undef, type => '2', link => 'in')
    . entry('l/f', 'through') . $END);
is(sh('cat ' . here() . '/in/f'), 'through', 'a link that stays inside is as good as any');
is(up(entry('s', 'x', mode => 06755) . $END)->{status}, 200, 'set-id bits');
is(sh('stat -c %a ' . here() . '/s'), "755\n", 'are not taken over');
is($d->http(POST => '/v1/fs/upload-batch?path=../x', body => $END, headers =>
    { 'Content-Type' => 'application/x-tar' })->{status}, 400, 'a path with ..');
is($d->http(POST => '/v1/fs/upload-batch?path=/etc/hostname', body => $END, headers =>
    { 'Content-Type' => 'application/x-tar' })->{status}, 502, 'a path that is a file');

# --- a link that is swapped in and out while we unpack ------------------------------------------
sh('mkdir -p /root/race/d /root/safe');
my $swap = fork // die;
if ($swap == 0) {
	$d->{client} = undef;	# the other one is our parent's
	$d->exec('default', ['perl', '-e', 'chdir "/root/race"; $t = time; while (time - $t < 5) '
	    . '{ rename "d", "e"; symlink "/root/safe", "d"; unlink "d"; rename "e", "d" }']);
	POSIX::_exit(0);
}
my %status;
while (waitpid($swap, POSIX::WNOHANG()) == 0) {
	$r = up(join('', map { entry("d/f$_", 'x') } 1 .. 50) . $END, path => 'race');
	$status{$r->{status}}++;
}
is(sh('ls -A /root/safe'), '', 'nothing went through the link');
diag(join ' ', map { "$_: $status{$_}" } sort keys %status);
ok(!grep({ !/^(?:200|400|502)$/ } keys %status), 'each had a clear end');

# --- big and slow ------------------------------------------------------------------------------------
{
	my $c = $d->http_client;
	my $size = 64 << 20;
	my $head = substr(entry('big', '', size => $size), 0, 512);
	$c->write("POST /v1/fs/upload-batch?path=big HTTP/1.1\r\nHost: x\r\nContent-Type: "
	    . "application/x-tar\r\nContent-Length: " . (512 + $size + 1024) . "\r\n\r\n$head");
	my $block = 'z' x (1 << 20);
	$c->write($block, 60) for 1 .. 64;
	sleep 0.5;
	is($d->http(GET => '/v1/fs/stat?path=up1')->{status}, 200,
	    'others are served meanwhile');
	$c->write($END);
	is($c->response('POST', 60)->{json}{paths}[0], "$H/big/big", 'a big one');
	is(sh("stat -c %s $H/big/big"), "$size\n", 'is whole');
	$c->close;
}
{
	my $c = $d->http_client;
	$c->write("POST /v1/fs/upload-batch?path=left HTTP/1.1\r\nHost: x\r\nContent-Type: "
	    . "application/x-tar\r\nContent-Length: 100000\r\n\r\n"
	    . substr(entry('half', 'h' x 50000), 0, 20000));
	ok(wait_for(10, sub { sh("ls $H/left 2>/dev/null") eq "half\n" }), 'it has begun');
	$c->close;
	ok(wait_for(10, sub { sh("ls -A $H/left") eq '' }),
	    'a client that leaves leaves nothing half');
}
done_testing();
