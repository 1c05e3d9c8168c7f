# Unix sockets: ours and other daemons', by path and by abstract name.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::UNIX;
use Sandboxd;
use Socket;
use Test::More;

need_root();
my $d = Sandboxd->start;
my $open = Sandboxd->scratch_dir;

# A daemon of the host, by path and by abstract name.
my @servers = (
	IO::Socket::UNIX->new(Listen => 4, Local => "$open/host.sock"),
	IO::Socket::UNIX->new(Listen => 4, Local => "/tmp/host-$$.sock"),
	IO::Socket::UNIX->new(Listen => 4, Local => "/run/host-$$.sock"),
);
my $abstract = IO::Socket::UNIX->new(Type => SOCK_STREAM, Listen => 4,
    Local => "\0probe-$$");
ok($abstract, 'an abstract socket on the host');
chmod(0777, "$open/host.sock", "/tmp/host-$$.sock", "/run/host-$$.sock");
END { unlink("/tmp/host-$$.sock", "/run/host-$$.sock") }

my @probe = (mounts => [Sandboxd->probe_mount]);
$d->ok('sandbox.create', { id => 'none', @probe });
$d->ok('sandbox.create', { id => 'host', network => 'host', @probe });

for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	for my $box (qw(none host)) {
		for my $path ($d->{socket}, "$open/host.sock",
		    "/tmp/host-$$.sock", "/run/host-$$.sock",
		    "/proc/1/root$d->{socket}") {
			isnt($d->probe($box, ['connect', $path], %$as)->{connect},
			    'ok', "$who in $box: $path");
		}
		my $said = $d->probe($box, ['sockets', '/'], %$as);
		is(delete $said->{sockets}, 'done', "$who in $box: tree walked");
		delete $said->{':'};
		is(join(' ', grep { $said->{$_} eq 'ok' } keys %$said), '',
		    "$who in $box: no socket in the tree answers");
		like($d->probe($box, ['connect', "\@probe-$$"], %$as)->{connect},
		    qr/^(?:ECONNREFUSED|EPERM|EACCES)$/,
		    "$who in $box: the host's abstract socket");
	}
}
SKIP: {
	my $r = $d->ok('sandbox.get', { id => 'host' })->{isolation};
	skip 'no Landlock here', 1 unless $r->{landlock};
	like($d->probe('host', ['connect', "\@probe-$$"])->{connect}, qr/^E(?:PERM|ACCES)$/,
	    'with the host\'s network it is Landlock that refuses');
}
# The sandbox's own sockets work.
is($d->sh('none', 'perl -MIO::Socket::UNIX -e \'my $l = IO::Socket::UNIX->new('
    . 'Listen => 1, Local => "/tmp/own"); IO::Socket::UNIX->new(Peer => "/tmp/own") '
    . 'and print "ok"\'')->{stdout}, 'ok', 'a socket of its own works');
# A control client that leaked a descriptor would show here.
is($d->sh('none', 'ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c control')->{stdout},
    "0\n", 'no descriptor of the control socket inside');
is($d->ok('status')->{pid}, $d->{pid}, 'the daemon is well');

done_testing;
