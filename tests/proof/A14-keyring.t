# A14: the kernel's keyrings, which no namespace divides.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
my @m = (mounts => [helper_mount('hostile')]);
my $open = unguarded('seccomp masks');
$open->ok('sandbox.create', { id => 'k', @m });
my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => 'k', @m });
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'k' });
for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	my $free = hostile($open, 'k', ['keys'], %$as);
	is($free->{add_key}, 'ok', "$who: without the filter a key is made");
	like($open->sh('k', '/opt/hostile keys >/dev/null; cat /proc/keys', %$as)->{stdout}, qr/keyring/,
	    "$who: without masks keyrings are shown");
	my $said = hostile($d, 'k', ['keys'], %$as);
	is($said->{$_}, 'EPERM', "$who: $_") for qw(add_key request_key keyctl);
	is($d->sh('k', 'cat /proc/keys /proc/key-users', %$as)->{stdout}, '', "$who: /proc/keys is empty");
}
# A key of the host's session is not there: made in a session keyring of its own.
my $r = run_cmd(['perl', '-e', 'syscall(250, 1, 0); $n = "proof' . $$ . '"; $t = "user"; $p = "x"; '
    . 'syscall(248, $t, $n, $p, 1, -3) > 0 or die; system("cat", "/proc/keys"); '
    . 'print "made\n"']);
SKIP: {
	skip 'numbers of x86_64', 1 if (POSIX::uname())[4] ne 'x86_64';
	like($r->{out}, qr/proof$$/, 'a key of the host\'s session is shown there');
}
my @e = $d->turn('s', 'run cat /proc/keys; /opt/hostile keys');
unlike(to_json(\@e), qr/proof$$|add_key ok/, 'nor has an agent any');
done_testing;
