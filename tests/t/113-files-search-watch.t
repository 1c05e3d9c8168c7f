# Searching by glob and by content; watching by inotify and by looking.
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
sub esc { my ($s) = @_; $s =~ s/([^\w.\/-])/sprintf '%%%02X', ord $1/ge; $s }
sub find { my (%q) = @_;
	return $d->http(GET => '/v1/fs/search?' . join('&', map { "$_=" . esc($q{$_}) }
	    sort keys %q), timeout => 60) }
sub names { my ($r, $base) = @_; $base //= "$H/s";
	return join ' ', sort map { s{^\Q$base\E/}{}r } map { $_->{path} }
	    @{$r->{json}{results} // []} }

is($d->http(GET => '/v1/fs/stat?path=/')->{status}, 200, 'the sandbox is made');

# --- globs ------------------------------------------------------------------------
sh("mkdir -p $H/s/src/lib/deep $H/s/.git; cd $H/s; touch a.c b.c c.h src/x.c src/lib/y.c "
    . "src/lib/deep/z.c .git/conf 'q?.t' src/lib/Makefile; ln -s /etc out; ln -s src in");
for (['*.c', 'a.c b.c'], ['**/*.c', 'a.c b.c src/lib/deep/z.c src/lib/y.c src/x.c'],
    ['src/*.c', 'src/x.c'], ['src/**', 'src/lib src/lib/Makefile src/lib/deep '
	. 'src/lib/deep/z.c src/lib/y.c src/x.c'], ['src/**/z.c', 'src/lib/deep/z.c'],
    ['src/**/x.c', 'src/x.c'], ['**/lib/**/*.c', 'src/lib/deep/z.c src/lib/y.c'],
    ['[ab].c', 'a.c b.c'], ['[!a].c', 'b.c'], ['?.[ch]', 'a.c b.c c.h'],
    ['*.{c,h}', 'a.c b.c c.h'], ['{src/x,a}.c', 'a.c src/x.c'], ['{a,{b,c}}.?', 'a.c b.c c.h'],
    ['q\\?.t', 'q?.t'], ['**/conf', '.git/conf'], ['out/*', ''], ['nothing', ''],
    ['**/Make*', 'src/lib/Makefile'], ['*', '.git a.c b.c c.h in out q?.t src'],
    ['**', '.git .git/conf a.c b.c c.h in out q?.t src src/lib src/lib/Makefile src/lib/deep '
	. 'src/lib/deep/z.c src/lib/y.c src/x.c']) {
	my $r = find(path => 's', glob => $_->[0]);
	is(names($r), $_->[1], "glob $_->[0]");
}
my $r = find(path => 's');
is(scalar @{$r->{json}{results}}, 15, 'without a glob everything');
is($r->{json}{truncated} ? 1 : 0, 0, 'and that is all');
is_deeply([sort keys %{$r->{json}{results}[0]}], [qw(entryType modified path size)],
    'members of a result');
is((grep { $_->{path} =~ /out$/ } @{$r->{json}{results}})[0]{entryType}, 'file',
    'links are not followed');
$r = find(path => 's', limit => 3);
is(scalar @{$r->{json}{results}}, 3, 'a limit');
is($r->{json}{truncated} ? 1 : 0, 1, 'is told');
is(find(path => 's', limit => 15)->{json}{truncated} ? 1 : 0, 0, 'a limit that is not met');
is(find(path => 's', glob => '{a,b')->{status}, 400, 'a brace that does not close');
is(find(path => 's', glob => '{a,b}' x 20)->{status}, 400, 'too many braces');
is(find(path => 'none')->{status}, 400, 'no such directory');
is(find(path => 's/a.c')->{status}, 400, 'a file');
is(find(path => '../x')->{status}, 400, '..');
is(find(path => 's', limit => $_)->{status}, 400, "limit $_") for 0, -1, 'x', 1e9;
my $at = time;
is(find(path => 's', glob => '*a' x 1000)->{status}, 200, 'a pattern that goes astray');
cmp_ok(time - $at, '<', 20, 'ends in time');

# --- content ----------------------------------------------------------------------------
sh("mkdir -p $H/c/sub; cd $H/c; printf 'one\\nTwo needle here\\nthree needle needle\\n' >t; "
    . "printf 'caf\\303\\251 needle' >utf; printf 'needle\\0' >bin; printf 'win needle\\r\\n' >sub/w; "
    . 'head -c 200000 /dev/zero | tr "\0" x >long; printf " needle\nafter needle\n" >>long; '
    . "mkfifo fifo; ln -s t link; : >empty; printf '(a+b)*\\n' >re");
$r = find(path => 'c', content => 'needle');
my @got = sort { $a->{path} cmp $b->{path} || $a->{lineNumber} <=> $b->{lineNumber} }
    @{$r->{json}{results}};
is_deeply([map { [$_->{path} =~ s{$H/c/}{}r, @$_{qw(lineNumber column line)}] } @got],
    [['long', 2, 7, 'after needle'], ['sub/w', 1, 5, 'win needle'],
	['t', 2, 5, 'Two needle here'], ['t', 3, 7, 'three needle needle'],
	['utf', 1, 6, "caf\x{e9} needle"]], 'lines that hold a text');
is(names(find(path => 'c', content => 'NEEDLE'), "$H/c"), '', 'case counts');
is(scalar @{find(path => 'c', content => 'NEEDLE', ignoreCase => 'true')->{json}{results}},
    5, 'unless it does not');
is(names(find(path => 'c', content => '(a+b)*'), "$H/c"), 're', 'a text is no pattern');
is(names(find(path => 'c', content => '^T[wx]o .*here$', regex => 'true'), "$H/c"), 't',
    'an expression is one');
is(names(find(path => 'c', content => '^t[wx]o', regex => 'true', ignoreCase => 'true'),
    "$H/c"), 't', 'in any case');
is(names(find(path => 'c', glob => 'sub/*', content => 'needle'), "$H/c"), 'sub/w',
    'glob and content');
$r = find(path => 'c', content => '(', regex => 'true');
is($r->{status}, 400, 'a broken expression');
like($r->{json}{detail}, qr/content: /, 'is named');
$at = time;
$d->http(GET => '/v1/fs/search?path=c&regex=true&content=' . esc('(x+x+)+y|(.*)*\\1{200}'),
    timeout => 90);
cmp_ok(time - $at, '<', 75, 'an expression that takes for ever does not');
is($d->http(GET => '/v1/fs/stat?path=c')->{status}, 200, 'and harms nothing');
$at = time;
$r = find(path => '/', glob => '**/passwd');
like(names($r, ''), qr{etc/passwd}, 'of everything');
unlike(names($r, ''), qr{(?:^| )/?proc/}, 'but /proc');

# --- watching -----------------------------------------------------------------------------
# A stream: next event as [name, data], undef when none comes.
sub watch {
	my ($query) = @_;
	my $c = $d->http_client;
	$c->write("GET /v1/fs/watch?$query HTTP/1.1\r\nHost: x\r\n\r\n");
	my $h = $c->head;
	return { c => $c, head => $h, text => '' };
}
sub event {
	my ($w, $seconds) = @_;
	my $end = time + ($seconds // 10);
	while (1) {
		if ($w->{text} =~ s/\A(.*?)\n\n//s) {
			my %f = map { /^(\w+): (.*)$/ ? ($1 => $2) : () } split /\n/, $1;
			return [$f{event}, from_json($f{data})] if $f{event};
			$w->{beats}++;
			next;
		}
		my $left = $end - time;
		return undef if $left <= 0;
		my $chunk = $w->{c}->chunk($left / Sandboxd::slow_factor()) // return undef;
		return undef if $chunk eq '';
		$w->{text} .= $chunk;
	}
}
sub said { my ($w, $seconds) = @_; my $e = event($w, $seconds) // return 'nothing';
	my $x = $e->[1];
	return join ' ', $x->{type}, $x->{path} =~ s{^$H/w/?}{}r, $x->{entryType} // '',
	    defined $x->{from} ? 'from ' . ($x->{from} =~ s{^$H/w/?}{}r) : () }
# Events in order up to one that fits.
sub until_said { my ($w, $want) = @_; my @all;
	for (1 .. 500) { my $s = said($w); push @all, $s; last if $s =~ $want || $s eq 'nothing' }
	return @all }

sh("mkdir -p $H/w/old");
my $w = watch('path=w&recursive=true');
is($w->{head}{status}, 200, 'watch');
is($w->{head}{headers}{'content-type'}, 'text/event-stream', 'an event stream');
my $e = event($w);
is($e->[0], 'ready', 'ready comes first');
is_deeply($e->[1], { type => 'ready', path => "$H/w", recursive => JSON::PP::true,
    mode => 'inotify' }, 'and tells what is watched');
sh("echo x >$H/w/f");
is(said($w), 'created f file', 'created');
is(said($w), 'modified f file', 'modified');
sh("mv $H/w/f $H/w/old/g");
is(said($w), 'moved old/g file from f', 'moved');
sh("rm $H/w/old/g");
is(said($w), 'deleted old/g file', 'deleted');
sh("mkdir -p $H/w/n/e/w; echo 1 >$H/w/n/e/w/file; echo 2 >$H/w/n/e/w/last");
my @all = until_said($w, qr{^modified n/e/w/last});
for my $what ('n directory', 'n/e directory', 'n/e/w directory', 'n/e/w/file file',
    'n/e/w/last file') {
	is(scalar(grep { $_ eq "created $what" } @all), 1, "created $what, once");
}
@all = ();
sh("mv $H/w/n $H/w/m; echo 3 >$H/w/m/e/w/file");
is(said($w), 'moved m directory from n', 'a directory moves');
is(said($w), 'modified m/e/w/file file', 'and what is in it has new names');
sh("mkdir -p $H/away/in; touch $H/away/in/f; mv $H/away $H/w/came");
is_deeply([map { said($w) } 1 .. 3], ['created came directory', 'created came/in directory',
    'created came/in/f file'], 'what is moved in is reported with what is in it');
sh("mv $H/w/came $H/gone; echo >$H/gone/in/f; touch $H/w/mark");
@all = until_said($w, qr/mark/);
is($all[0], 'deleted came directory', 'what is moved out is deleted');
ok(!grep({ /gone|came\/in/ } @all[1 .. $#all]), 'and not watched any more');
said($w, 0.5);
$d->http(PUT => '/v1/fs/file?path=w/put', body => '1');
is(said($w), 'created put file', 'an upload is one event');
$d->http(PUT => '/v1/fs/file?path=w/put', body => '2');
is(said($w), 'modified put file', 'its replacement too');
is(said($w, 0.3), 'nothing', 'and nothing else');

# Another one does not disturb it; one file; not deeper.
my $one = watch('path=w/put');
is(event($one)->[0], 'ready', 'a single file can be watched');
my $flat = watch('path=w');
event($flat);
sh("echo >$H/w/other; echo >$H/w/m/e/deep; echo 3 >$H/w/put; rm $H/w/put");
@all = until_said($flat, qr/deleted put/);
ok(!grep({ m{m/e} } @all), 'not recursive is not deeper');
@all = until_said($one, qr/deleted put/);
is(join(' ', grep { !/ put / } @all), '', 'one file means one file');
$_->{c}->close for $one, $flat;
sh("rm -rf $H/w/*");
@all = until_said($w, qr/deleted m directory/);
ok(grep({ /deleted m directory/ } @all), 'a tree goes');

# More than the kernel keeps for a reader that does not read.
my $full = watch('path=w&recursive=true');
event($full);
sh("cd $H/w; i=0; while [ \$i -lt 60000 ]; do : >f\$i; i=\$((i+1)); done; rm -f f*",
    timeout_ms => 120000);
my $over = 0;
my $end = time + 60;
while (time < $end && (my $ev = event($full, 5))) {
	$over = $ev->[1], last if $ev->[0] eq 'overflow';
}
ok($over, 'events that were lost are told');
is($over && $over->{reason}, 'queue', 'with a reason');
$full->{c}->close;
$w->{c}->close;

# The root of it goes.
$w = watch('path=w');
event($w);
sh("rm -rf $H/w");
@all = until_said($w, qr/^deleted  /);
like($all[-1], qr/^deleted  directory/, 'the directory itself goes');
is($w->{c}->chunk(5), '', 'then the stream ends');
is($d->http(GET => '/v1/fs/watch?path=w')->{status}, 400, 'it cannot be watched');
is($d->http(GET => "/v1/fs/watch?path=.&poll=$_")->{status}, 400, "poll=$_") for 1, 'x', 0;

# --- watching by looking ----------------------------------------------------------------------
sh("mkdir -p $H/w/sub; echo 1 >$H/w/sub/a");
$w = watch('path=w&recursive=true&poll=50');
is(event($w)->[1]{mode}, 'poll', 'poll');
sh("echo 2 >$H/w/b");
is(said($w), 'created b file', 'created');
sh("echo 22 >$H/w/sub/a; chmod 600 $H/w/b; rm -f $H/w/none");
is_deeply([sort map { said($w) } 1 .. 2], ['modified b file', 'modified sub/a file'],
    'modified');
sh("rm $H/w/b; mkdir $H/w/b");
is_deeply([map { said($w) } 1 .. 2], ['deleted b file', 'created b directory'],
    'another kind');
sh("rm -rf $H/w");
@all = map { said($w) } 1 .. 3;
is_deeply([sort @all], ['deleted b directory', 'deleted sub directory',
    'deleted sub/a file'], 'all gone');
sh("mkdir $H/w; touch $H/w/again");
is(said($w), 'created again file', 'what comes back is seen');
$w->{c}->close;

# --- bounds -----------------------------------------------------------------------------------
my (@many, $refused);
for (1 .. 400) {
	my $m = watch('path=/tmp');
	push @many, $m;
	$refused = $m->{head}, last if $m->{head}{status} != 200;
}
is($refused && $refused->{status}, 429, 'too many watches are refused');
is($d->http(GET => '/v1/fs/stat?path=/tmp')->{status}, 200, 'other requests are not');
$_->{c}->close for @many;
ok(wait_for(20, sub { watch('path=/tmp')->{head}{status} == 200 }),
    'their places come back');
ok(wait_for(20, sub { my @p = grep { Sandboxd::title_of($_) =~ /^sandboxd-files/ }
	descendants($d->{pid}); @p <= 4 }), 'and no worker is left');
done_testing();
