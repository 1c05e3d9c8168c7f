# A19: ten thousand orphans by double fork leave no zombie and use no limit up.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
my $n = rounds(10000);
# Without a parent that waits they stay: process 1 of this namespace does not.
my $r = run_cmd(['unshare', '--pid', '--fork', '--mount-proc', '/bin/sh', '-c', helper('hostile')
    . ' orphans 50 >/dev/null & exec perl -e \'select(undef, undef, undef, 0.1) while !($n = grep { '
    . 'open(F, "<", "/proc/$_/stat") && <F> =~ /\) Z/ } map { m{(\d+)$} } glob("/proc/[0-9]*")) '
    . '|| $n < 50 && $t++ < 50; print "$n\n"\''], timeout => 60);
cmp_ok($r->{out} || 0, '>=', 50, 'with a process 1 that does not reap zombies stay');

my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => 'z', mounts => [helper_mount('hostile')], limits => { pids => 64 } });
my ($init) = $d->children(qr/init\W+z/);
for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	my $cpu = sub { my @f = split / /, slurp("/proc/$init/stat"); return ($f[13] + $f[14]) / 100 };
	my $was = $cpu->();
	my $said = hostile($d, 'z', ['orphans', $n / 2], %$as);
	is($said->{orphans}, $n / 2, "$who: orphans were made");
	is($said->{failed}, 0, "$who: none met the limit of 64 processes") if $n >= 100;
	ok(wait_for(1, sub { !grep { (slurp("/proc/$_/stat") // '') =~ /\) Z/ } descendants($init, 1) }),
	    "$who: no zombie is left");
	is(scalar(descendants($init, 1)), 0, "$who: nor anything else");
	my $used = $cpu->() - $was;
	cmp_ok($used, '<', 5 * Sandboxd::slow_factor(), sprintf('%s: init took %.2f s for it', $who, $used));
}
done_testing;
