# Device nodes: only the harmless ones are there, and no more can be made.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
my $rw = Sandboxd->scratch_dir;
chmod(0777, $rw);
$d->ok('sandbox.create', { id => 'd', mounts => [Sandboxd->probe_mount,
    { source => $rw, target => '/rw', mode => 'rw' } ] });

my %may = map { $_ => 1 } qw(null zero full random urandom tty ptmx pts shm fd
    stdin stdout stderr mqueue console core);
my @there = split ' ', $d->sh('d', 'ls -A /dev')->{stdout};
is(join(' ', grep { !$may{$_} } @there), '', '/dev holds only what is harmless');
for my $name (qw(null zero full random urandom tty)) {
	ok((grep { $_ eq $name } @there), "/dev/$name is there");
}
is($d->sh('d', 'echo x >/dev/null && head -c 3 /dev/zero | wc -c && '
    . 'head -c 3 /dev/urandom | wc -c')->{stdout}, "3\n3\n", 'and they work');
isnt($d->sh('d', 'echo x >/dev/full')->{exit_code}, 0, '/dev/full is full');
is($d->sh('d', 'test -d /dev/shm && echo x >/dev/shm/x && cat /dev/shm/x')->{stdout},
    "x\n", '/dev/shm');
is($d->sh('d', 'script -qec "tty" /dev/null')->{stdout} =~ /^\/dev\/pts\/\d/ ? 1 : 0,
    1, 'a pty of its own can be opened');

# Nodes by their numbers, wherever something could be made.
for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	for my $dir (qw(/tmp /dev /dev/shm /rw /root)) {
		my $said = $d->probe('d', ['nodes', $dir], %$as);
		my @made = grep { $said->{$_} eq 'ok' } keys %$said;
		is("@made", '', "$who: no node below $dir");
	}
}
is(join(' ', glob("$rw/*")), '', 'and none lies on the host');

# A node that is already there does not open.
my $disk = (map { /^(\/dev\/\S+)/ ? $1 : () } split /\n/,
    slurp('/proc/mounts'))[0];
run_cmd(['mknod', "$rw/mem", 'c', '1', '1']);
run_cmd(['mknod', "$rw/kmsg", 'c', '1', '11']);
run_cmd(['mknod', "$rw/null", 'c', '1', '3']);
chmod(0666, "$rw/$_") for qw(mem kmsg null);
for my $name (qw(mem kmsg null)) {
	my $r = $d->sh('d', "head -c 1 /rw/$name; echo x >/rw/$name");
	isnt($r->{exit_code}, 0, "a node of the host that is mounted in: $name");
}
unlink("$rw/$_") for qw(mem kmsg null);

done_testing;
