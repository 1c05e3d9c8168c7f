# The host's processes, and the sandbox's own init, from inside.
use strict;
use warnings;
use Digest::SHA;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();

sub sum_of { return Digest::SHA->new(256)->addfile($_[0])->hexdigest }

my @programs = map { program($_) } qw(sandboxd sandboxd-init sandboxd-session
    sandboxd-store sandboxctl);
my %sum = map { $_ => sum_of($_) } @programs;
my $d = Sandboxd->start;
my @probe = (mounts => [Sandboxd->probe_mount]);
$d->ok('sandbox.create', { id => 'p', @probe });
$d->ok('sandbox.create', { id => 'q', @probe });
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'p' });

# A process of the host, and one of another sandbox.
my $victim = fork // die "fork: $!";
if ($victim == 0) {
	exec('sleep', '4321');
}
my $c = $d->client;
$c->send('sandbox.exec', { id => 'q', command => ['sleep', '4322'] });
wait_for(10, sub { scalar $d->children(qr/^sleep 4322/) });

for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	my $r = $d->sh('p', 'cat /proc/[0-9]*/cmdline | tr "\\0" " "', %$as);
	unlike($r->{stdout}, qr/4321|4322/, "$who: foreign processes are not seen");
	$r = $d->sh('p', 'ls -d /proc/[0-9]* | wc -l', %$as);
	ok($r->{stdout} < 12, "$who: only a few processes are");
	$r = $d->sh('p', "kill -9 $victim $d->{pid}; kill -0 $victim", %$as);
	isnt($r->{exit_code}, 0, "$who: their pids mean nothing here");
	$d->sh('p', 'kill -9 -1', %$as);
	is($d->sh('p', 'echo on', %$as)->{stdout}, "on\n",
	    "$who: kill -9 -1 ends itself and no more");
	$d->sh('p', 'kill -9 1; kill -TERM 1; kill -INT 1; kill -STOP 1', %$as);
	is($d->sh('p', 'echo on', %$as)->{stdout}, "on\n",
	    "$who: init takes no signal from inside");

	my $said = $d->probe('p', ['syscalls'], %$as);
	for my $call (qw(ptrace:seize process_vm_readv process_vm_writev kcmp
	    pidfd_getfd)) {
		like($said->{$call} // 'nothing', qr/^(?:EPERM|ESRCH|ENOSYS|EACCES)$/,
		    "$who: $call on init");
	}
	for my $i (1 .. 20) {	# while processes come and go
		my $exe = $d->probe('p', ['writable-exe'], %$as);
		my @open = grep { $exe->{$_} eq 'ok' && /^(?:exe|truncate):/ }
		    keys %$exe;
		is("@open", '', "$who: no program of a process can be written") &&
		    last if @open || $i == 20;
	}
	$r = $d->sh('p', 'cat /proc/1/environ /proc/1/maps | head -c 100', %$as);
	is($r->{stdout}, '', "$who: init's memory and environment are closed");
	$r = $d->sh('p', 'dd if=/proc/1/mem bs=1 count=1 2>&1; ls /proc/1/fd', %$as);
	unlike($r->{stdout}, qr/1 byte|^\d+$/m, "$who: and its descriptors");
}
is(waitpid($victim, POSIX::WNOHANG()), 0, 'the host\'s process lives');
ok(scalar $d->children(qr/^sleep 4322/), 'the other sandbox\'s process lives');
for (@programs) {
	is(sum_of($_), $sum{$_}, "$_ is unchanged");
}
# What init runs from is not a file that anybody could replace.
my ($init) = $d->children(qr/init/);
my $exe = readlink("/proc/$init/exe") // '';
like($exe, qr/memfd:/, "init runs from a sealed memory file ($exe)");

# Every descriptor, root and directory inside leads inside, while commands run.
my @out;
my $id = $c->{next};
my $load = $d->client;
my $li = $load->send('sandbox.exec', { id => 'p', command =>
    'for i in $(seq 200); do /bin/true; done' });
for (1 .. 15) {
	my $r = $d->exec('p', ['/opt/probe', 'descriptors']);
	for (split /\n/, $r->{stdout}) {
		my ($pid, $name, $target) = split / /, $_, 3;
		next if $target =~ m{^(?:pipe|socket|anon_inode):};
		next if $target =~ m{^/memfd:|^/etc/ld\.so\.cache$};
		next if $target =~ m{^/(?:proc|dev|usr|bin|lib|opt|root|tmp|sys|$)};
		push @out, $_;
	}
}
$load->finish($li);
is(join("\n", @out), '', 'no descriptor leads outside');

# Binaries of ours that are run a hundred times while their exe is attacked.
my $attack = $d->client;
my $ai = $attack->send('sandbox.exec', { id => 'p', timeout_ms => 20000,
    command => 'while :; do for e in /proc/[0-9]*/exe; do : >>$e; done; done' });
$d->sh('p', 'true') for 1 .. 100;
$attack->close;
for (@programs) {
	is(sum_of($_), $sum{$_}, "$_ is unchanged after a hundred joins");
}
kill('KILL', $victim);
waitpid($victim, 0);

done_testing;
