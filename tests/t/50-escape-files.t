# The host's files: planted secrets must not be found inside, by any name.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $marker = 'planted-' . join('', map { chr(97 + int rand 26) } 1 .. 24);
my @planted;

# A secret in each kind of place that a host keeps to itself.
sub plant {
	my ($path, $mode) = @_;
	spew($path, "$marker\n");
	chmod($mode, $path);
	push @planted, $path;
}
END { unlink(@planted); rmdir("/srv-$$"); rmdir("/home/t$$"); }

my $outside = Sandboxd->scratch_dir(0755);
mkdir("/srv-$$");
mkdir("/home/t$$", 0755);
plant("/root/secret-$$", 0600);
plant("/root/open-$$", 0644);
plant("/etc/secret-$$", 0600);
plant("/etc/secret-group-$$", 0640);
plant("/srv-$$/secret", 0644);
plant("/home/t$$/secret", 0644);
plant("/tmp/secret-$$", 0644);
plant("/run/secret-$$", 0644);
plant("/dev/shm/secret-$$", 0644);
plant("/var/log/secret-$$", 0640);
plant("$outside/secret", 0644);

my $d = Sandboxd->start(conf => "# $marker\n");
plant("$d->{state}/secret", 0644);
$d->ok('sandbox.create', { id => 'f', mounts => [Sandboxd->probe_mount] });

for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;

	for my $path (@planted, $d->{state}, $d->{socket}, "$d->{dir}/conf") {
		my $r = $d->exec('f', ['cat', $path], %$as);
		unlike($r->{stdout}, qr/$marker/, "$who: cat $path");
	}
	# The roads around the root directory.
	for my $road ('/proc/1/root', '/proc/self/root/..', '/proc/1/cwd',
	    '/proc/self/cwd/../../..', '/..', '/../..', '/proc/1/task/1/root',
	    '/dev/fd/../root') {
		my $r = $d->sh('f', "cat $road/root/open-$$ $road/srv-$$/secret "
		    . "$road/tmp/secret-$$ $road/etc/secret-$$", %$as);
		unlike($r->{stdout}, qr/$marker/, "$who: by $road");
	}
	for my $n (0 .. 20, 63, 255, 1023) {
		my $r = $d->exec('f', ['/bin/cat', "../../../../root/open-$$"],
		    directory => "/proc/self/fd/$n", %$as);
		unlike($r->{stdout}, qr/$marker/,
		    "$who: working directory /proc/self/fd/$n");
	}
	isnt($d->probe('f', ['chroot', '/tmp/jail'], %$as)->{chroot} // '', 'ok',
	    "$who: the classic way out of a chroot");
	isnt($d->probe('f', ['handle', '/'], %$as)->{handle}, 'ok',
	    "$who: a file handle");

	# Everything that can be read, looked through.
	my $r = $d->sh('f', "grep -rlsIF $marker --exclude-dir=proc "
	    . '--exclude-dir=sys --exclude-dir=usr --exclude-dir=kcore / | head',
	    %$as, timeout_ms => 120000);
	is($r->{stdout}, '', "$who: the marker is in no file");
	# The pattern does not match itself, nor the command that holds it.
	my $pattern = '[' . substr($marker, 0, 1) . ']' . substr($marker, 1);
	$r = $d->sh('f', "grep -lsa '$pattern' /proc/*/environ /proc/*/cmdline "
	    . '/proc/*/mountinfo | head', %$as);
	is($r->{stdout}, '', "$who: nor in what /proc tells of processes");
	$r = $d->sh('f', 'cat /etc/shadow /etc/gshadow /etc/sudoers '
	    . '/etc/ssh/ssh_host_*_key', %$as);
	is($r->{stdout}, '', "$who: no shadow, no host keys");
	$r = $d->sh('f', 'ls -A /root /home /srv /mnt /media /boot', %$as);
	unlike($r->{stdout}, qr/secret|open-/, "$who: private places are empty");
	$r = $d->sh('f', 'ls -A /', %$as);
	unlike($r->{stdout}, qr/srv-$$/, "$who: unknown places are not there");
}

# What is written inside stays inside.
$d->sh('f', "for p in /usr/bin /etc /var/lib /opt /root /tmp /dev/shm /run; do "
    . "echo $marker-inside >\$p/inside-$$; done; echo x >>/etc/passwd; "
    . 'cp /bin/true /usr/bin/ls');
for my $p (qw(/usr/bin /etc /var/lib /opt /root /tmp /dev/shm /run)) {
	ok(!-e "$p/inside-$$", "$p/inside-$$ is not on the host");
}
unlike(slurp('/etc/passwd'), qr/^x$/m, 'passwd is as it was');

# Mount table: no path of the host's state is told, but where installed agents are:
# the kernel names what a mount shows as the file system does that it is on, and an
# overlay, which would not tell, shows no link that was replaced below it. That one is
# read-only.
my $info = $d->sh('f', 'cat /proc/self/mountinfo /proc/mounts')->{stdout};
my ($below) = $d->{state} =~ m{(/[^/]+/[^/]+)$}; # /tmp may be a file system
my @told = grep { m{\Q$below\E} } split(/\n/, $info);
is(scalar(@told), 1, 'mountinfo tells the state directory once') or diag(join "\n", @told);
like($told[0], qr{\Q$below\E/agents /run/sandboxd/agents ro,},
    'as the place of installed agents');
isnt($d->sh('f', "test -e $d->{state}")->{exit_code}, 0,
    'a path that leads nowhere inside');
for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;

	unlike($d->sh('f', "cat /run/sandboxd/agents/../secret "
	    . '/run/sandboxd/agents/../lock; echo /run/sandboxd/* /run/sandboxd/agents/../../*', %$as)->{stdout},
	    qr/$marker|store|lock/, "$who: nor is what lies beside them");
	isnt($d->sh('f', "touch /run/sandboxd/agents/x || mkdir /run/sandboxd/agents/y",
	    %$as)->{exit_code}, 0, "$who: nothing can be put there");
}
# Where that is elsewhere nothing is told.
my $e = Sandboxd->start(conf => "[agent]\ninstalled_dir = $outside/agents\n");
$e->ok('sandbox.create', { id => 'f' });
($below) = $e->{state} =~ m{(/[^/]+/[^/]+)$};
unlike($e->sh('f', 'cat /proc/self/mountinfo /proc/mounts')->{stdout},
    qr/\Q$below\E/, 'nor is the path told where they are elsewhere');

done_testing;
