# A06 (CVE-2021-30465): the target of a mount turns into a link to elsewhere, again
# and again, while sandboxes are made. What is made stays inside their roots.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc', 'taskset');
my $shared = Sandboxd->scratch_dir;
my $source = Sandboxd->scratch_dir;
my $host = Sandboxd->scratch_dir(0777);
chmod(0777, $shared, $host);
spew("$source/volume", "volume\n");
my $mounts = sub { [{ source => $shared, target => '/rw', mode => 'rw' },
    { source => $source, target => "/rw/$_[0]/made" }] };

# Without the guard a link in the volume makes directories on the host.
symlink($host, "$shared/link");
my $open = unguarded('in_root');
my $r = $open->request('sandbox.create', { id => 'x', mounts => $mounts->('link') });
ok(-d "$host/made", 'without the guard the host\'s directory was written to') or diag(to_json($r));
rmdir("$host/made");
$open->stop;
my $d = Sandboxd->start;
$d->request('sandbox.create', { id => 'x', mounts => $mounts->('link') });
ok(!-e "$host/made", 'with it not');

$d->ok('sandbox.create', { id => 'evil', mounts => [helper_mount('hostile'),
    { source => $shared, target => '/rw', mode => 'rw' }] });
for my $how ('at full speed', 'on one busy processor') {
	handicapped($d) if $how =~ /one/;
	my $n = rounds($how =~ /one/ ? 15 : 40);
	for my $to ($host, '/', '/proc/1/root') {
		my $c = $d->client;
		my $id = $c->send('sandbox.exec', { id => 'evil', timeout_ms => 60000,
		    command => ['/opt/hostile', 'turn', 600, '/rw/t', $to] });
		wait_for(10, sub { lstat("$shared/t") });
		my (%end, @bad);
		for my $i (1 .. $n / 3) {
			my $r = $d->request('sandbox.create', { id => "b$i", mounts => $mounts->('t') });
			$end{$r->{error}{code} // 'ok'}++;
			if ($r->{ok}) {
				# judged by the host: where the volume lies in that sandbox
				my ($init) = $d->children(qr/init\W+b$i\b/);
				my @at = map { (split)[4] } grep { /\Q$source\E / || m{/made } }
				    split /\n/, slurp("/proc/$init/mountinfo") // '';
				push @bad, @at if grep { !m{/made$} } @at;
				push @bad, 'a file of the host' if -e "/proc/$init/root/root/../$host/made"
				    && -e "$host/made";
			}
			$d->request('sandbox.destroy', { id => "b$i" });
		}
		$c->close;
		is("@bad", '', "$how, link to $to: each volume lies inside ("
		    . join(' ', map { "$_: $end{$_}" } sort keys %end) . ')');
		ok(!-e "$host/made", "$how, link to $to: nothing was made on the host");
		$d->exec('evil', ['/bin/sh', '-c', 'kill -9 -1']);
	}
}
is(join("\n", grep { /\Q$host\E|\Q$source\E|\Q$shared\E/ } split /\n/,
    slurp('/proc/self/mountinfo')), '', 'the host has no mount of it');
done_testing;
