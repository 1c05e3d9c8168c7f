# daemon.log_file: what cannot be written goes to standard error, said once, and comes
# back by itself; no place that others control is written to; SIGHUP opens it anew; a
# live upgrade goes on with it; nobody else of us writes the same file.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $dir = Sandboxd->scratch_dir;
my $log = "$dir/own.log";
my $d = Sandboxd->start(args => ['--log-level', 'debug'],
    conf => "log_file = $log\nlog_max_bytes = 1M\nlog_files = 3\n");
sub stderr_text { return slurp($d->{log}) // '' }
sub file_text { return slurp($_[0] // $log) // '' }
my $marks = 0;

# Lines with a name of their own.
sub mark {
	my $name = 'mark' . ++$marks;
	$d->ok('sandbox.create', { id => $name });
	$d->ok('sandbox.destroy', { id => $name });
	return $name;
}
# To where it goes.
sub goes {
	my ($name) = @_;
	my $to = '';
	wait_for(10, sub {
	    $to = file_text() =~ /\b$name\b/ ? 'file' : stderr_text() =~ /\b$name\b/ ? 'stderr' : '' });
	return $to;
}
like(stderr_text(), qr/ super: ready /, 'the start is told on standard error');
like(file_text(), qr/ super: ready /, 'and in the file');
my $mode = sprintf('%04o', (stat $log)[2] & 07777);
is($mode, '0640', 'which others cannot read');
is(goes(mark()), 'file', 'then the file alone has it');

# --- reopened -------------------------------------------------------------------------

rename($log, "$dir/elsewhere") or die;
my $old = mark();
ok(wait_for(10, sub { file_text("$dir/elsewhere") =~ /\b$old\b/ }),
    'renamed: lines go on into that file');
kill('HUP', $d->{pid});
ok(wait_for(10, sub { file_text() =~ /reloaded/ }), 'SIGHUP: a new one');
is(goes(mark()), 'file', 'which is written');
my $conf = slurp("$d->{dir}/conf");
rename($log, "$dir/elsewhere") or die;
spew("$d->{dir}/conf", "$conf\n[control]\nmax_clients = no\n");
kill('HUP', $d->{pid});
ok(wait_for(10, sub { file_text() =~ /not reloaded/ }), 'also with a mistake in it');
spew("$d->{dir}/conf", $conf =~ s/own\.log/other.log/r);
kill('HUP', $d->{pid});
ok(wait_for(10, sub { file_text("$dir/other.log") =~ /reloaded/ }), 'or by another name');
spew("$d->{dir}/conf", $conf);
kill('HUP', $d->{pid});
ok(wait_for(10, sub { file_text() =~ /configuration reloaded/ }), 'and back');

# --- upgrade --------------------------------------------------------------------------

my $before = () = file_text() =~ /\n/g;
$d->ok('upgrade');
is(goes(mark()), 'file', 'goes on after an upgrade');
cmp_ok(scalar(() = file_text() =~ /\n/g), '>', $before, 'at its end');

# --- a second of us -------------------------------------------------------------------

my $two = Sandboxd->start(conf => "log_file = $log\n");
like(slurp($two->{log}), qr/takes nothing: .*lock/, 'one writer only');
$two->ok('sandbox.create', { id => 'theirs' });
unlike(file_text(), qr/theirs/, 'the other has standard error');
ok($two->stop, 'it ends');

# --- what it does not take ------------------------------------------------------------

sub told { return scalar(() = stderr_text() =~ /takes nothing/g) }
sub breaks {
	my ($what, $why, $break, $mend) = @_;
	my $was = told();
	$break->();
	kill('HUP', $d->{pid});
	ok(wait_for(10, sub { told() > $was }), "$what: told") or diag(stderr_text());
	like((split /takes nothing/, stderr_text())[-1], $why, 'and why');
	is(goes(mark()), 'stderr', 'lines go to standard error');
	# It is tried again meanwhile, more than once.
	my $name = mark();
	sleep 5;
	is(told() - $was, 1, 'told once');
	is($d->ok('status')->{state}, 'running', 'nothing else changes');
	$mend->();
	ok(wait_for(15, sub { file_text() =~ /written again/ }), 'it comes back by itself')
	    or diag(stderr_text());
	is(goes(mark()), 'file', 'and is written');
	unlink($log);
	kill('HUP', $d->{pid});
	wait_for(10, sub { -e $log });
}
breaks('a link', qr/symbolic link/, sub { unlink($log); spew("$dir/victim", "v\n");
	symlink("$dir/victim", $log) }, sub { unlink($log) });
is(file_text("$dir/victim"), "v\n", 'and nothing was written through it');
breaks('a directory of all', qr/others could change/, sub { chmod(0777, $dir) },
    sub { chmod(0755, $dir) });
breaks('a file of somebody', qr/not a file of ours/, sub { chown(1234, -1, $log) },
    sub { unlink($log) });
breaks('a second name', qr/not a file of ours/, sub { link($log, "$dir/second") },
    sub { unlink("$dir/second") });
breaks('no directory', qr/No such file/, sub { rename($dir, "$dir.away") },
    sub { rename("$dir.away", $dir) });

# A full disk: a small one.
my $small = Sandboxd->scratch_dir;
is(system('mount', '-t', 'tmpfs', '-o', 'size=32k,mode=755', 'tmpfs', $small), 0,
    'a small disk') or BAIL_OUT('mount');
$log = "$small/log";
spew("$d->{dir}/conf", $conf =~ s{log_file = .*}{log_file = $log}r);
kill('HUP', $d->{pid});
ok(wait_for(10, sub { -s $log }), 'the log lies there');
spew("$small/fill", '');
open(my $fh, '>>', "$small/fill") or die;
1 while defined syswrite($fh, 'x' x 512);
close($fh);
my $was = told();
ok(wait_for(60, sub { mark(); told() > $was }), 'full: told');
like(stderr_text(), qr/takes nothing.*No space/, 'and why');
is(goes(mark()), 'stderr', 'lines go to standard error');
is(file_text() =~ /\n\z/ ? 'whole' : 'cut', 'whole', 'no half a line in the file');
sleep 5;
is(told() - $was, 1, 'told once');
unlink("$small/fill");
ok(wait_for(15, sub { file_text() =~ /written again lines_elsewhere=\d/ }), 'it comes back');
is(goes(mark()), 'file', 'and is written');
ok($d->stop, 'it ends');
system('umount', $small);
is(join("\n", $d->leftovers), '', 'nothing is left');

# --- wrong use ------------------------------------------------------------------------

for (['log', qr/not an absolute path/], ['/var/log/', qr/no file's name/]) {
	spew("$d->{dir}/conf", "[daemon]\nlog_file = $_->[0]\n");
	my $r = run_cmd([Sandboxd::program('sandboxd'), '-c', "$d->{dir}/conf", '-n']);
	is($r->{status}, 100, "log_file = $_->[0]");
	like($r->{err}, $_->[1], 'is refused');
}
done_testing;
