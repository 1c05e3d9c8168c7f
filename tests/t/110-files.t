# The file API, every route: what clients know, byte for byte, and each refusal.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start(http => 1);
my $H = '/root';	# the home of root in a sandbox
my $TIME = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\+00:00/;

sub esc { my ($s) = @_; $s =~ s/([^\w.\/-])/sprintf '%%%02X', ord $1/ge; $s }
sub fs { my ($m, $route, $path, %o) = @_;
	my $q = $o{q} // '';
	return $d->http($m, "/v1/fs/$route?" . (defined $path ? 'path=' . esc($path)
	    : '') . $q, %o) }
sub sh { my $r = $d->sh('default', @_); return $r->{stdout} }

# A problem: status, its type, what the detail is.
sub problem {
	my ($r, $status, $type, $detail, $name) = @_;
	is($r->{status}, $status, "$name: $status");
	is($r->{headers}{'content-type'}, 'application/problem+json', 'a problem');
	is($r->{json}{type}, "urn:sandbox-agent:error:$type", "of type $type");
	ref $detail ? like($r->{json}{detail}, $detail, 'detail')
	    : is($r->{json}{detail}, $detail, 'detail');
	return $r;
}
sub bad { problem($_[0], 400, 'invalid_request', ref $_[1] ? $_[1]
    : "invalid request: $_[1]", $_[2]) }
sub oserr {
	my ($r, $text, $name) = @_;
	problem($r, 502, 'stream_error', "stream error: $text", $name);
	is_deeply($r->{json}{details}, { message => $text }, 'with its message');
}

# --- put, get, stat ---------------------------------------------------------------
my $r = fs(PUT => 'file', './wt/a.txt', body => 'hello');
is($r->{status}, 200, 'put');
is($r->{body}, qq({"path":"$H/wt/a.txt","bytesWritten":5}), 'exactly so');
is($r->{headers}{'content-type'}, 'application/json', 'as JSON');
like($r->{headers}{etag}, qr/^"[0-9a-f-]+"$/, 'with the new entity tag');
is(sh("cat $H/wt/a.txt; stat -c ' %a %U' $H/wt/a.txt"), "hello 644 root\n",
    'it is there');
$r = fs(GET => 'file', 'wt/a.txt');
is($r->{status}, 200, 'get');
is($r->{body}, 'hello', 'the content');
is($r->{headers}{'content-type'}, 'application/octet-stream', 'as bytes');
is($r->{headers}{'content-length'}, 5, 'with its length');
$r = fs(HEAD => 'file', 'wt/a.txt');
is($r->{status}, 200, 'head');
is($r->{headers}{'content-length'}, 5, 'the same headers');
is($r->{body}, '', 'no body');
$r = fs(GET => 'stat', 'wt/a.txt');
like($r->{body}, qr/^\{"path":"$H\/wt\/a.txt","entryType":"file","size":5,"modified":"$TIME"\}$/,
    'stat, exactly so');
$r = fs(GET => 'stat', 'wt');
is($r->{json}{entryType}, 'directory', 'stat of a directory');
$r = fs(GET => 'stat', 'wt/a.txt', q => '&detail=true');
is_deeply([@{$r->{json}}{qw(kind mode uid gid links)}],
    ['file', '0644', 0, 0, 1], 'stat with details');

for my $text ('', "\0\1\377" x 1000, 'x' x (2 << 20), 'y' x ((2 << 20) + 1)) {
	my $n = length $text;
	is(fs(PUT => 'file', 'wt/b', body => $text)->{json}{bytesWritten}, $n,
	    "put of $n bytes");
	is(fs(GET => 'file', 'wt/b')->{body}, $text, 'they come back');
}
for my $type (undef, 'text/plain', 'application/json', 'nonsense') {
	is(fs(PUT => 'file', 'wt/c', body => '{', headers => defined $type ?
	    { 'Content-Type' => $type } : {})->{status}, 200,
	    'any content type: ' . ($type // 'none'));
}
{
	my $c = $d->http_client;
	$c->write("PUT /v1/fs/file?path=wt/chunked HTTP/1.1\r\nHost: x\r\n"
	    . "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
	is($c->response('PUT')->{json}{bytesWritten}, 7, 'a chunked body');
	is(fs(GET => 'file', 'wt/chunked')->{body}, 'abcdefg', 'is whole');
	$c->write("PUT /v1/fs/file?path=wt/expect HTTP/1.1\r\nHost: x\r\n"
	    . "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
	like($c->head->{first}, qr/100/, '100-continue is honoured');
	$c->write('ok');
	is($c->response('PUT')->{json}{bytesWritten}, 2, 'and then it goes on');
	$c->close;
}

# --- replacing ---------------------------------------------------------------------
sh("cd $H/wt; chmod 750 a.txt; chown 1000:1000 a.txt; ln a.txt hard; ln -s a.txt soft;"
    . "ln -s /tmp/new-target dangling");
fs(PUT => 'file', 'wt/a.txt', body => 'second');
is(sh("cd $H/wt; stat -c '%a %u %g' a.txt; cat hard"), "750 1000 1000\nhello",
    'mode and owner stay, the old file stays whole');
fs(PUT => 'file', 'wt/soft', body => 'third');
is(sh("cd $H/wt; cat a.txt; readlink soft"), "thirda.txt\n",
    'through a link its target is replaced');
fs(PUT => 'file', 'wt/dangling', body => 'made');
is(sh("cat /tmp/new-target"), 'made', 'a link to nothing makes what it names');
is(fs(PUT => 'file', 'wt/deep/er/est/f', body => 'x')->{status}, 200,
    'parents are made');
is(sh("ls -A $H/wt/deep/er/est"), "f\n", 'and nothing else');
oserr(fs(PUT => 'file', 'wt/deep', body => 'x'), 'Is a directory (os error 21)',
    'put on a directory');
oserr(fs(PUT => 'file', 'wt/', body => 'x'), 'Is a directory (os error 21)',
    'put on a name with a slash');
oserr(fs(PUT => 'file', 'wt/c/x', body => 'x'), 'File exists (os error 17)',
    'put below a file');
oserr(fs(PUT => 'file', 'wt/c/x/y', body => 'x'), 'Not a directory (os error 20)',
    'put deeper below a file');
bad(fs(PUT => 'file', '/proc/none/x', body => 'x'), 'path not found: /proc/none',
    'put where no directory can be');
oserr(fs(PUT => 'file', '/' . 'n' x 300, body => 'x'),
    'File name too long (os error 36)', 'put with a long name');
{
	my $c = $d->http_client;
	$c->write("PUT /v1/fs/file?path=wt/deep HTTP/1.1\r\nHost: x\r\n"
	    . "Content-Length: 100000000\r\n\r\n");
	is($c->response('PUT')->{status}, 502,
	    'a directory is refused before the body is read');
	$c->close;
}

# --- conditions of writing ----------------------------------------------------------
$r = fs(PUT => 'file', 'wt/cond', body => '1', headers => { 'If-None-Match' => '*' });
is($r->{status}, 200, 'If-None-Match: * makes a new file');
my $tag = $r->{headers}{etag};
problem(fs(PUT => 'file', 'wt/cond', body => '2', headers =>
    { 'If-None-Match' => '*' }), 412, 'precondition_failed', qr/./,
    'and does not replace one');
$r = fs(PUT => 'file', 'wt/cond', body => '22', headers =>
    { 'If-Match' => qq("x", $tag) });
is($r->{status}, 200, 'If-Match with its tag');
isnt($r->{headers}{etag}, $tag, 'the tag is another one now');
is(fs(PUT => 'file', 'wt/cond', body => '3', headers => { 'If-Match' => $tag })
    ->{status}, 412, 'the former tag does not do any more');
is(fs(PUT => 'file', 'wt/cond2', body => '3', headers => { 'If-Match' => '*' })
    ->{status}, 412, 'If-Match: * wants a file');
is(fs(PUT => 'file', 'wt/cond', body => '4', headers => { 'If-Match' => '*' })
    ->{status}, 200, 'any file');
is(fs(GET => 'file', 'wt/cond')->{body}, '4', 'the last good one is there');

# --- refusals of reading -------------------------------------------------------------
bad(fs(GET => $_, 'none'), "path not found: $H/none", "$_ of nothing")
    for qw(file stat entries);
bad(fs(GET => 'file', 'wt'), "path is not a file: $H/wt", 'get of a directory');
bad(fs(GET => 'entries', 'wt/c'), "path is not a directory: $H/wt/c",
    'entries of a file');
oserr(fs(GET => $_, 'wt/c/x'), 'Not a directory (os error 20)', "$_ below a file")
    for qw(file stat);
bad(fs(GET => $_, '../etc'), 'invalid relative path: ../etc', "$_ of ..")
    for qw(file stat entries);
bad(fs(GET => 'file', 'a/../b'), 'invalid relative path: a/../b', '.. in between');
is(fs(GET => 'file', '/etc/../etc/hostname')->{status}, 200,
    '.. in an absolute path is as it is');
bad(fs(GET => 'stat', '~/x'), "path not found: $H/~/x", '~ is a name');
is(fs(GET => 'stat', '')->{json}{path}, "$H/", 'nothing is the home');
is(fs(GET => 'stat', 'wt//.//a.txt')->{json}{path}, "$H/wt/a.txt",
    'slashes and dots collapse');
is($d->http(GET => '/v1/fs/stat')->{status}, 400, 'stat without a path');
is($d->http(GET => '/v1/fs/stat?path=a&path=b')->{status}, 400, 'two paths');
is($d->http(GET => '/v1/fs/stat?path=%00')->{status}, 400, 'a NUL');
is($d->http(GET => '/v1/fs/stat?path=' . 'a' x 9000)->{status}, 400, 'too long');

# --- entries --------------------------------------------------------------------------
sh("cd $H; rm -rf ls; mkdir -p ls/sub; cd ls; printf x >.hid; printf abc >'a b'; ln -s sub l;"
    . "ln -s nowhere broken; mkfifo p; printf y >\"\$(printf 'bad\\377')\"");
$r = fs(GET => 'entries', 'ls');
my %e = map { $_->{name} => $_ } @{$r->{json}};
is_deeply([sort keys %e], [sort '.hid', 'a b', 'sub', 'l', 'broken', 'p',
    "bad\x{fffd}"], 'every entry');
like($r->{body}, qr/\{"name":"a b","path":"$H\/ls\/a b","entryType":"file","size":3,"modified":"$TIME"\}/,
    'exactly so');
is_deeply([map { $e{$_}{entryType} } qw(sub l broken p)],
    [qw(directory file file file)], 'links are not followed');
is($e{l}{size}, 3, 'a link has its own size');
is_deeply([map { $_->{name} } grep { $_->{name} eq 'wt' }
    @{$d->http(GET => '/v1/fs/entries')->{json}}], ['wt'], 'the home by itself');
is(fs(GET => 'entries', 'ls/sub')->{body}, '[]', 'an empty directory');
ok(defined fs(GET => 'entries', 'ls')->{headers}{'content-length'},
    'a short list has a length');

# --- stat -----------------------------------------------------------------------------
is(fs(GET => 'stat', 'ls/l')->{json}{entryType}, 'directory', 'stat follows');
bad(fs(GET => 'stat', 'ls/broken'), "path not found: $H/ls/broken", 'a broken link');
$r = fs(GET => 'stat', 'ls/broken', q => '&follow=false');
is_deeply([@{$r->{json}}{qw(entryType kind target)}], ['file', 'symlink', 'nowhere'],
    'the link itself');
is(fs(GET => 'stat', '/dev/null')->{json}{entryType}, 'file', 'a device is a file');
is(fs(GET => 'stat', 'ls', q => '&follow=yes')->{status}, 400, 'yes is not true');

# --- mkdir ----------------------------------------------------------------------------
for (1, 2) {
	$r = $d->http(POST => '/v1/fs/mkdir?path=mk/a/b');
	is($r->{body}, qq({"path":"$H/mk/a/b"}), 'mkdir, also again');
}
oserr(fs(POST => 'mkdir', 'wt/c'), 'File exists (os error 17)', 'mkdir on a file');
oserr(fs(POST => 'mkdir', 'wt/c/d'), 'Not a directory (os error 20)',
    'mkdir below a file');
is(fs(POST => 'mkdir', join('/', 'deep', ('d') x 500))->{status}, 200,
    'five hundred levels');

# --- delete ----------------------------------------------------------------------------
is(fs(DELETE => 'entry', 'wt/c')->{body}, qq({"path":"$H/wt/c"}), 'delete');
bad(fs(DELETE => 'entry', 'wt/c'), "path not found: $H/wt/c", 'is gone');
oserr(fs(DELETE => 'entry', 'ls'), 'Directory not empty (os error 39)',
    'a full directory');
is(fs(DELETE => 'entry', 'ls/sub')->{status}, 200, 'an empty one goes');
sh("mkdir $H/ls/sub; touch $H/ls/sub/keep");
oserr(fs(DELETE => 'entry', 'ls/l'), 'Not a directory (os error 20)',
    'a link to a directory');
is(fs(DELETE => 'entry', 'ls/l', q => '&recursive=true')->{status}, 200,
    'the link goes');
is(sh("ls $H/ls/sub"), "keep\n", 'and only the link');
bad(fs(DELETE => 'entry', 'ls/broken'), "path not found: $H/ls/broken",
    'a broken link');
is(fs(DELETE => 'entry', 'ls', q => '&recursive=true')->{status}, 200, 'all of it');
is(sh("ls $H/ls 2>&1 | wc -l; ls -d $H/ls 2>/dev/null"), "1\n", 'is gone');
is(fs(DELETE => 'entry', 'deep', q => '&recursive=true')->{status}, 200,
    'a deep tree goes');
# What comes from the lower layer of an overlay cannot be renamed there.
is(fs(DELETE => 'entry', '/usr/share/doc', q => '&recursive=true')->{status}, 200,
    'a tree of the image goes');
is(sh('ls -d /usr/share/doc 2>/dev/null'), '', 'too');

# --- move --------------------------------------------------------------------------------
sub move { my (%a) = @_; $d->http(POST => '/v1/fs/move', json => \%a) }
sh("mkdir -p $H/mv/full/x; cd $H/mv; echo 1 >one; echo 2 >two; echo 3 >full/x/three");
$r = move(from => 'mv/one', to => 'mv/new/dir/uno');
is($r->{body}, qq({"from":"$H/mv/one","to":"$H/mv/new/dir/uno"}),
    'move, parents are made');
bad(move(from => 'mv/none', to => 'mv/two'),
    "destination already exists: $H/mv/two", 'the destination is looked at first');
bad(move(from => 'mv/none', to => 'mv/x'), "path not found: $H/mv/none",
    'nothing to move');
my $T = JSON::PP::true;
is(move(from => 'mv/two', to => 'mv/new/dir/uno', overwrite => $T)->{status}, 200,
    'a file over a file');
is(move(from => 'mv/new/dir/uno', to => 'mv/full', overwrite => $T)->{status}, 200,
    'a file over a full directory');
is(sh("cat $H/mv/full; ls -A $H/mv"), "2\nfull\nnew\n", 'nothing else is left');
is(move(from => 'mv/new', to => 'mv/full', overwrite => $T)->{status}, 200,
    'a directory over a file');
oserr(move(from => 'mv/full', to => 'mv/full/dir/in', overwrite => $T),
    'Invalid argument (os error 22)', 'a directory into itself');
is(move(from => 'mv/full', to => 'mv/full', overwrite => $T)->{status}, 200,
    'onto itself');
bad(move(from => 'mv/none', to => 'mv/full', overwrite => $T),
    "path not found: $H/mv/none", 'what cannot be moved');
is(sh("ls $H/mv/full"), "dir\n", 'destroys nothing');
is(move(from => '/usr/share/perl5', to => '/usr/share/moved')->{status}, 200,
    'a directory of the image');
is(sh('ls -d /usr/share/perl5 2>/dev/null; ls /usr/share/moved | head -n1 | wc -l'),
    "1\n", 'is elsewhere');
fs(PUT => 'file', 'mv/over', body => 'over');
is(move(from => 'mv/over', to => '/usr/share/moved', overwrite => $T)->{status}, 200,
    'a file over a directory of the image');
is(sh('cat /usr/share/moved'), 'over', 'replaces it');
is(move(from => '/usr/share/moved', to => '/usr/share/man', overwrite => $T)->{status},
    200, 'also one that was never written to');
is(sh('cat /usr/share/man; ls -A /usr/share | grep -c sandboxd'), "over0\n",
    'nothing else is left');
sh("mkdir -p /dev/shm 2>/dev/null; mkdir $H/x; cd $H/x; echo f >f; ln -s f l; mkdir -m 700 d; "
    . "touch -d 2001-02-03 d/t; chmod 741 f; chown 7:8 f");
is(move(from => 'x', to => '/dev/shm/x')->{status}, 200, 'to another file system');
is(sh("cd /dev/shm/x; stat -c '%a %u %g' f; readlink l; stat -c %a d; date -r d/t +%F; "
    . "ls -d $H/x 2>/dev/null; ls -A /dev/shm"),
    "741 7 8\nf\n700\n2001-02-03\nx\n", 'with modes, owners, times, links');
is($d->http(POST => '/v1/fs/move', json => { from => 'a' })->{status}, 422,
    'move without to');
is($d->http(POST => '/v1/fs/move', json => { from => 'a', to => 'b',
    overwrite => 'yes' })->{status}, 422, 'overwrite: yes');
is($d->http(POST => '/v1/fs/move', body => '{', headers =>
    { 'Content-Type' => 'application/json' })->{status}, 400, 'no JSON');
is($d->http(POST => '/v1/fs/move', body => '{}')->{status}, 415, 'no content type');
bad(move(from => '../x', to => 'y'), 'invalid relative path: ../x', '.. in from');
bad(move(from => 'x', to => 'y/..'), 'invalid relative path: y/..', '.. in to');

# --- chmod ---------------------------------------------------------------------------------
sub chm { my (%a) = @_; $d->http(POST => '/v1/fs/chmod', json => \%a) }
fs(PUT => 'file', 'cm', body => '');
for (['0750', '0750'], ['600', '0600'], ['0o4711', '4711'], [420, '0644']) {
	$r = chm(path => 'cm', mode => $_->[0]);
	is($r->{json}{mode}, $_->[1], "mode $_->[0]");
}
is(sh("stat -c %a $H/cm"), "644\n", 'is set');
is(chm(path => 'cm', owner => 'daemon', group => 'sys')->{status}, 200, 'owner');
is(sh("stat -c %U:%G $H/cm"), "daemon:sys\n", 'by name');
is(chm(path => 'cm', owner => '12', mode => '4755')->{json}{mode}, '4755',
    'a mode is set after the owner');
is(chm(path => 'cm', mode => $_)->{status}, 422, 'no mode: ' . to_json($_))
    for '8', '', '77777', -1, 4096, 1.5, [], 'rwx';
is(chm(path => 'cm')->{status}, 422, 'nothing to set');
bad(chm(path => 'cm', owner => 'nosuch'), qr/nosuch/, 'an unknown owner');
bad(chm(path => 'none', mode => '1'), "path not found: $H/none", 'chmod of nothing');

# --- routes ----------------------------------------------------------------------------------
for ([GET => 'move', 'POST'], [POST => 'stat', 'GET,HEAD'], [PATCH => 'file', undef]) {
	my ($m, $route, $allow) = @$_;
	$r = $d->http($m => "/v1/fs/$route?path=x");
	is($r->{status}, 405, "$m $route");
	is(join(',', sort split /,\s*/, $r->{headers}{allow} // ''), $allow, 'allowed')
	    if $allow;
}
is($d->http(GET => '/v1/fs/nope')->{status}, 404, 'no such route');
$d->ok('sandbox.create', { id => 'other' });
is($d->http(PUT => '/i/other/v1/fs/file?path=f', body => 'there')->{status}, 200,
    'another sandbox');
is($d->sh('other', "cat $H/f")->{stdout}, 'there', 'has the file');
bad(fs(GET => 'file', 'f'), "path not found: $H/f", 'this one has not');

done_testing();
