# A49: io_uring makes calls that no filter sees. It is not there, and there is no
# setting that lets it in.
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
my $open = unguarded('seccomp');
my $d = Sandboxd->start;
$_->ok('sandbox.create', { id => 'u', @m }) for $open, $d;
for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	SKIP: {
		my $free = hostile($open, 'u', ['uring', '/etc/passwd'], %$as);
		skip 'this kernel does not offer io_uring', 1 if $free->{io_uring_setup} =~ /^(?:ENOSYS|EPERM)$/;
		is($free->{io_uring_setup}, 'ok', "$who: without the filter a ring is made");
	}
	my $said = hostile($d, 'u', ['uring', '/etc/passwd'], %$as);
	is($said->{$_}, 'ENOSYS', "$who: $_") for qw(io_uring_setup io_uring_enter io_uring_register);
	is($said->{open}, 'ok', "$who: and plain calls do the work");
}
unlike(run_cmd([program('sandboxd'), '-C', '-c', '/dev/null', '--agents-dir', root_dir() . '/etc/agents.d'])->{out},
    qr/uring/, 'no option of the configuration names it');
# As far as the host sees: nobody holds one.
my @rings = grep { (readlink($_) // '') =~ /io_uring/ } map { glob("/proc/$_/fd/*") } $d->{pid}, descendants($d->{pid});
is("@rings", '', 'no process of ours has a ring');
done_testing;
