# A11: unix sockets with abstract names belong to a network namespace: those of the host
# are not reached from none and filtered, nor with the host's network, where Landlock
# refuses. A program on the host reaches them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use IO::Socket::UNIX;
use Sandboxd;
use Socket;
use Test::More;

need_root();
my $d = Sandboxd->start;
my $name = "probe-a11-$$";
my $listen = IO::Socket::UNIX->new(Type => SOCK_STREAM, Listen => 8, Local => "\0$name");
ok($listen, 'a socket of the host');
my $connect = 'use Socket; socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die; print connect($s, '
    . "pack_sockaddr_un(\"\\0$name\")) ? \"in\" : \$!{ECONNREFUSED} ? \"refused\" : "
    . '$!{EPERM} || $!{EACCES} ? "forbidden" : "no: $!"';
is(run_cmd(['perl', '-MErrno', '-e', $connect])->{out}, 'in', 'on the host it is reached');
for my $network (qw(none filtered host)) {
	$d->ok('sandbox.create', { id => $network, network => $network });
	for (Sandboxd::both_users()) {
		my ($who, $as) = @$_;
		my $said = $d->exec($network, ['perl', '-MErrno', '-e', $connect], %$as)->{stdout};
		SKIP: {
			skip 'no Landlock here that knows of these', 1 if $network eq 'host' &&
			    !$d->ok('sandbox.get', { id => 'host' })->{isolation}{landlock};
			is($said, $network eq 'host' ? 'forbidden' : 'refused', "$network, $who: it is not");
		}
	}
}
is($d->exec('filtered', ['perl', '-e', 'use Socket; socket(my $l, PF_UNIX, SOCK_STREAM, 0); '
    . 'bind($l, pack_sockaddr_un("\0own")); listen($l, 1); socket(my $s, PF_UNIX, SOCK_STREAM, 0); '
    . 'print connect($s, pack_sockaddr_un("\0own")) ? "in" : "no"'])->{stdout}, 'in',
    'a sandbox\'s own work');

done_testing;
