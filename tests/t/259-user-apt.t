# An ordinary user's sandbox with a root of its own: apt installs into it, with
# files of other owners, since the host lends him ids.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::AptRoot;
use Sandboxd::User;
use Test::More;

alone();
need_program(qw(setpriv newuidmap newgidmap dpkg-deb apt-get));
my $user = Sandboxd::User->new(subuid => "rl:200000:65536\n");
$user->reaches_or_skip;
my $root = apt_root();
run_cmd(['chown', '-R', "$user->{uid}:$user->{uid}", $root], timeout => 60);

my $d = Sandboxd->start(uid => $user->{uid});
$d->ok('sandbox.create', { id => 'apt', image => $root });
apt_works(sub {
	my ($what, $script) = @_;
	my $r = $d->sh('apt', "set -e; cd /; $script; echo all-went-well",
	    timeout_ms => 100000, output_bytes => 100000);
	ok(Sandboxd::outcome($r) eq '0' && $r->{stdout} =~ /all-went-well\n\z/, $what)
	    or diag(Sandboxd::outcome($r) . "\n$r->{stdout}\n$r->{stderr}");
	return $r->{stdout};
});
$d->ok('sandbox.destroy', { id => 'apt' });
is(join(' ', glob("$d->{state}/sandboxes/* $d->{state}/trash/*")), '', 'all of it goes');
ok($d->stop, 'it ends');
done_testing;
