# A02 (CVE-2024-21626): descriptors and working directories of what runs inside,
# looked at again and again while commands start; and /proc/self/fd/N as directory.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('taskset');
my $probe = Sandboxd->probe_mount;
my $host = Sandboxd->scratch_dir;
spew("$host/secret", "of the host\n");

# A leak is seen by this probe: given one on purpose, it tells.
{
	opendir(my $dir, $host) or die;
	open(my $fh, '<', $host) or die;
	fcntl($fh, Fcntl::F_SETFD(), 0);
	my $got = run_cmd([$probe->{source}, 'descriptors']);
	like($got->{out}, qr{fd/\d+ \Q$host\E$}m, 'a descriptor that leaks is seen');
	my $r = run_cmd(['/bin/sh', '-c', 'cd /proc/self/fd/' . fileno($fh) . ' && cat secret']);
	is($r->{out}, "of the host\n", 'and leads to the host');
}
# A daemon that was started with such a descriptor, and takes no care: as in the
# CVE, a command whose directory is /proc/self/fd/N starts outside.
my $n = 40;
my @wrap = ($^X, '-MPOSIX', '-e', "POSIX::dup2(POSIX::open('$host'), $n); exec { \$ARGV[0] } \@ARGV");
{
	my $open = unguarded('strays magic_links landlock', wrap => \@wrap);
	$open->ok('sandbox.create', { id => 'o', mounts => [$probe] });
	for (Sandboxd::both_users()) {
		my ($who, $as) = @$_;
		my $r = $open->exec('o', ['/opt/probe', 'descriptors'], %$as);
		like($r->{stdout}, qr{^\d+ fd/$n \Q$host\E$}m, "unguarded, $who: a descriptor has leaked");
		$r = $open->exec('o', ['/bin/cat', 'secret'], directory => "/proc/self/fd/$n", %$as);
		is($r->{stdout}, "of the host\n", "unguarded, $who: and leads to the host");
	}
	$open->stop;
}
my $d = Sandboxd->start(wrap => \@wrap);
$d->ok('sandbox.create', { id => 'p', mounts => [$probe] });
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'p' });
# Where the root inside is, as the kernel names it.
my ($init) = $d->children(qr/init\W+p/);
for my $how ('at full speed', 'on one busy processor') {
	handicapped($d) if $how =~ /one/;
	for (Sandboxd::both_users()) {
		my ($who, $as) = @$_;
		my (@out, $looks);
		my $c = $d->client;
		my $id = $c->send('sandbox.exec', { id => 'p', timeout_ms => 60000, %$as,
		    command => ['/bin/sh', '-c', 'for i in $(seq ' . rounds(60)
		    . '); do /opt/probe descriptors; done'] });
		$d->exec('p', ['/bin/true'], %$as) for 1 .. rounds(60);
		my $r = Sandboxd::collect_output($c->finish($id));
		for (split /\n/, $r->{stdout}) {
			my ($pid, $name, $target) = split / /, $_, 3;
			$looks++;
			next if $target =~ m{^(?:pipe|socket|anon_inode):|^/memfd:};
			# judged outside: does that name exist below the sandbox's root?
			next if $target eq '/' || lstat("/proc/$init/root$target");
			next if $target =~ m{^/proc/\d+|\(deleted\)$};
			push @out, $_;
		}
		cmp_ok($looks, '>', 100, "$who, $how: $looks descriptors were seen");
		is(join("\n", @out), '', "$who, $how: each leads to a place inside");
	}
}
my @odd;
for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	my %say;
	for my $n (0 .. 40, (map { $_ * 16 } 3 .. 63), 1023) {
		my $r = $d->exec('p', ['/bin/cat', 'secret', '../secret', "../../../..$host/secret"],
		    directory => "/proc/self/fd/$n", %$as);
		$say{Sandboxd::outcome($r)}++;
		push @odd, "$who: $n" if $r->{stdout} =~ /of the host/;
	}
	ok(!$say{0}, "$who: no such directory shows a file of the host ("
	    . join(' ', map { "$_: $say{$_}" } sort keys %say) . ')');
}
is("@odd", '', 'nothing of the host was read');
done_testing;
