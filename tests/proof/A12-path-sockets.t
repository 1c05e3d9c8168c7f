# A12: Unix sockets of the host's daemons and ours, by path: the whole tree is
# walked and each is tried.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
use IO::Socket::UNIX;

# In every place where daemons have theirs, as everybody's.
my $open = Sandboxd->scratch_dir;
my %old = map { $_ => 1 } grep { -e } qw(/run/dbus /var/run/docker /run/podman);
my @made;
my @paths = map { "$_-$$" } qw(/run/docker.sock /run/containerd.sock /run/podman.sock
    /tmp/ssh-agent /run/dbus.sock /var/lib/gpg.sock /tmp/.X11-unix-0), "$open/host.sock";
my @servers = map { IO::Socket::UNIX->new(Listen => 16, Local => $_) // die "$_: $!" } @paths;
chmod(0777, @paths);
my $self = $$;
END { unlink(@paths) if defined $self && $$ == $self }

my $d = Sandboxd->start(http => 1);
my $probe = Sandboxd->probe_mount;
$d->ok('sandbox.create', { id => $_, network => $_, mounts => [$probe] }) for qw(none host);

# Outside the walk finds them and gets through.
my $seen = said(run_cmd([$probe->{source}, 'sockets', '/run'], timeout => 60));
ok((grep { $seen->{$_} // '' } "/run/docker.sock-$$") && $seen->{"/run/docker.sock-$$"} eq 'ok',
    'on the host the walk finds a socket and connects');
is(said(run_cmd([$probe->{source}, 'connect', $d->{socket}]))->{connect}, 'ok',
    'also to our own control socket');
for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	for my $box (qw(none host)) {
		my $said = $d->probe($box, ['sockets', '/'], %$as);
		is(delete $said->{sockets}, 'done', "$who in $box: the tree was walked");
		is($said->{':'}, 0, "$who in $box: to its end");
		is(join(' ', grep { $said->{$_} eq 'ok' } keys %$said), '',
		    "$who in $box: no socket of it answers");
		for my $path (@paths, $d->{socket}, "/proc/1/root$d->{socket}",
		    "/proc/self/root/../../$d->{socket}") {
			isnt($d->probe($box, ['connect', $path], %$as)->{connect}, 'ok',
			    "$who in $box: $path");
		}
	}
}
# Judged from outside: nobody came.
my $n = 0;
for my $s (@servers) {
	$s->blocking(0);
	while (my $c = $s->accept) {
		my (undef, $uid) = unpack('iii', getsockopt($c, 1, 17) // '');
		$n++ if ($uid // 0) != 0;
	}
}
is($n, 0, 'no daemon of the host had a visitor from a sandbox');
done_testing;
