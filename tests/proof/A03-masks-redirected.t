# A03 (CVE-2025-31133): images whose /dev, /proc, /sys or /dev/null are links or
# files. Create fails, or what it makes lies where it should; masks hold.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('busybox');
my $d = Sandboxd->start;
my $open = unguarded('plain_dirs masks');

my @images;
# A minimal image, with one thing wrong.
sub image {
	my ($spoil) = @_;
	my $dir = Sandboxd->scratch_dir;
	push @images, $dir;
	mkdir("$dir/$_") for qw(bin etc dev proc sys tmp run root elsewhere);
	run_cmd(['cp', '/bin/busybox', "$dir/bin/busybox"]);
	symlink('busybox', "$dir/bin/$_") for qw(sh cat ls echo head wc stat mount);
	spew("$dir/etc/passwd", "root:x:0:0::/root:/bin/sh\n");
	$spoil->($dir);
	return $dir;
}
my $n = 0;
for my $name (qw(dev proc sys tmp run)) {
	for my $how ('a link inside', 'a link outside', 'a file', 'a dangling link') {
		my $dir = image(sub {
			my ($i) = @_;
			rmdir("$i/$name");
			$how eq 'a file' ? spew("$i/$name", 'x') :
			    symlink($how eq 'a link inside' ? 'elsewhere' :
			    $how eq 'a link outside' ? '/../../../etc' : '/nowhere', "$i/$name");
		});
		my $r = $d->request('sandbox.create', { id => 'i' . $n++, image => $dir });
		is($r->{error}{code} // 'created', 'sandbox_failed', "/$name is $how: refused")
		    or diag(to_json($r));
		next unless $how eq 'a link inside' && $name =~ /^(?:dev|proc|sys)$/;
		$r = $open->request('sandbox.create', { id => "i$n", image => $dir });
		ok($r->{ok}, "without the guard the mount goes where the link leads") or diag(to_json($r));
		is($open->sh("i$n", "test -e /elsewhere/. && ls -A /elsewhere | wc -l")->{stdout} > 0 ? 1 : 0,
		    1, 'as is seen inside');
	}
}
my $mine = join('|', map { quotemeta } @images, $d->{dir});
is(join("\n", grep { /$mine/ } split /\n/, slurp('/proc/self/mountinfo')), '',
    'no mount of any try is on the host');

# A null device that is something else in the image has no part in it: ours lies over.
my $dir = image(sub {
	my ($i) = @_;
	symlink('/proc/sys/kernel/core_pattern', "$i/dev/null");
	symlink('../proc/sysrq-trigger', "$i/dev/zero");
});
$d->ok('sandbox.create', { id => 'null', image => $dir });
$d->ok('sandbox.create', { id => 'm' });
my $pattern = slurp('/proc/sys/kernel/core_pattern');
is($d->sh('null', 'stat -c %F:%t:%T /dev/null /dev/zero')->{stdout},
    "character special file:1:3\ncharacter special file:1:5\n", 'devices are ours');
for my $box (qw(null m)) {
	for (Sandboxd::both_users()) {
		my ($who, $as) = @$_;
		for my $path (qw(sysrq-trigger sys/kernel/core_pattern sys/kernel/modprobe)) {
			isnt($d->sh($box, "echo x >/proc/$path", %$as)->{exit_code}, 0,
			    "$who in $box: /proc/$path is not written");
		}
		for my $path (qw(kcore kallsyms keys timer_list)) {
			is($d->sh($box, "head -c 9 /proc/$path | wc -c", %$as)->{stdout}, "0\n",
			    "$who in $box: /proc/$path is masked") if -e "/proc/$path";
		}
	}
}
is(slurp('/proc/sys/kernel/core_pattern'), $pattern, 'the host\'s pattern is as it was');
$open->ok('sandbox.create', { id => 'm' });
is($open->sh('m', 'head -c 9 /proc/kallsyms | wc -c')->{stdout}, "9\n",
    'without masks it can be read');
done_testing;
