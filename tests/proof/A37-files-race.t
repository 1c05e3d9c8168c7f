# A37: a directory turns into a link to the host's root and back while the file API
# reads, writes, moves, deletes and makes directories below it. The file server
# lives in the sandbox's mount namespace, where the host's files are not.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
need_program('taskset');
my $host = Sandboxd->scratch_dir(0777);
my $shared = Sandboxd->scratch_dir(0777);
spew("$host/passwd", "of the host\n");
my @mounts = (helper_mount('hostile'), { source => $shared, target => '/rw', mode => 'rw' });
my $d;

sub swapping {
	my ($dir, $to) = @_;
	$d->sh('f', "mkdir -p $dir/a; chmod 777 $dir/a; echo inside >$dir/a/passwd; ln -sfn $to $dir/b; :");
	my $c = $d->client;
	$c->send('sandbox.exec', { id => 'f', timeout_ms => 100000,
	    command => ['/opt/hostile', 'swap', '90', "$dir/a", "$dir/b"] });
	return $c;
}
# What is asked of the file server while the names change places: reads, and what
# changes something. Those that answered with what is the host's.
sub ask {
	my ($dir, $i, $status) = @_;
	my @bad;
	for my $try ([GET => "file?path=$dir/a/passwd"], [PUT => "file?path=$dir/a/put$i"],
	    [POST => "mkdir?path=$dir/a/dir$i"], [DELETE => "entry?path=$dir/a/put" . ($i - 1)],
	    [POST => 'move', { from => "$dir/a/put$i", to => "$dir/a/moved$i" }],
	    [GET => "entries?path=$dir/a"], [GET => "stat?path=$dir/a/passwd"]) {
		my ($m, $what, $json) = @$try;
		my $r = $d->http($m => "/i/f/v1/fs/$what", $json ? (json => $json) :
		    $m eq 'PUT' ? (body => 'evil') : ());
		$status->{$r->{status} // 'none'}++;
		push @bad, "$m $what" if ($r->{body} // '') =~ /of the host/;
	}
	return @bad;
}

# A sandbox that keeps the host's root below its own: the same requests read the
# host's file and make others beside it.
{
	$d = unguarded('old_root landlock', http => 1);
	$d->ok('sandbox.create', { id => 'f', mounts => \@mounts });
	for my $dir ('/root/r', '/rw') {
		my $swap = swapping($dir, "/..$host");
		my (@read, @made, %status);
		for my $i (1 .. 200) {
			push @read, ask($dir, $i, \%status);
			@made = grep { !m{/passwd$} } glob("$host/*");
			last if @read && @made;
		}
		$swap->close;
		$d->sh('f', 'kill -9 -1');
		isnt("@read", '', "unguarded, $dir: the host's file is read");
		isnt("@made", '', "unguarded, $dir: files are made on the host");
		$d->sh('f', "rm -rf $dir/a $dir/b");
		run_cmd(['rm', '-rf', @made]);
	}
	$d->stop;
	is(slurp("$host/passwd"), "of the host\n", 'while what only the host may write is as it was');
}
$d = Sandboxd->start(http => 1);
$d->ok('sandbox.create', { id => 'f', mounts => \@mounts });
# A server outside that namespace would be led there: the same directory, read by
# the host's own eyes while the sandbox swaps.
my $c = swapping('/rw', $host);
ok(wait_for(10, sub { (slurp("$shared/a/passwd") // '') eq "of the host\n" }),
    'who reads from outside is led to the host');
$c->close;
$d->sh('f', 'kill -9 -1');
$d->sh('f', 'rm -rf /rw/a /rw/b');
my $served = 0;
my $sum = slurp('/etc/passwd');
my %list = map { $_ => 1 } glob("$host/*");
for my $how ('at full speed', 'on one busy processor') {
	handicapped($d) if $how =~ /one/;
	for my $dir ('/root/r', '/rw') {
		for my $to ($host, "/..$host", '/', '/proc/1/root') {
			my $swap = swapping($dir, $to);
			my (%status, @bad);
			for my $i (1 .. rounds($how =~ /one/ ? 5 : 15)) {
				push @bad, ask($dir, $i, \%status);
			}
			$served += $status{$_} for grep { /^20/ } keys %status;
			$swap->close;
			$d->sh('f', 'kill -9 -1');
			is("@bad", '', "$how, $dir, link to $to: nothing of the host came");
			ok(!grep({ !/^(?:20\d|40\d|502)$/ } keys %status), "$how, $dir, link to $to: each was answered ("
			    . join(' ', map { "$_: $status{$_}" } sort keys %status) . ')');
			$d->sh('f', "rm -rf $dir/a $dir/b");
		}
	}
}
cmp_ok($served, '>', 20, "$served requests were served");
is(join(' ', grep { !$list{$_} } glob("$host/*")), '', 'nothing was made on the host');
is(slurp("$host/passwd"), "of the host\n", 'its file is as it was');
is(slurp('/etc/passwd'), $sum, 'and so is /etc/passwd');
done_testing;
