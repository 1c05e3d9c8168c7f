# B24: 5 deaths in 10 s: failed, says why, and a reset clears it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Manager;
use Test::More;
use Time::HiRes qw(time);

need_root();
my $broken = Sandboxd->scratch_dir . '/broken';
my $programs = Sandboxd::Manager->programs_with('sandboxd-relay' =>
    "test -e $broken && { echo >>$broken; exit 9; }\nexec \@REAL\@ \"\$@\"");
my $d = Sandboxd->start(args => ['--libexec-dir', $programs]);
sub relay {
	my ($r) = grep { $_->{name} eq 'relay' } @{$d->ok('status')->{roles}};
	return $r;
}
my $pid = relay()->{pid};
kill('KILL', $pid);
ok(wait_for(10, sub { my $r = relay(); $r->{state} eq 'running' && $r->{pid} != $pid }),
    'one death is no loop');
spew($broken, '');
my $began = time;
kill('KILL', relay()->{pid});
ok(wait_for(20, sub { relay()->{state} eq 'failed' }), 'a crash loop ends in failed');
cmp_ok(time - $began, '<', 10 * Sandboxd::slow_factor(), 'soon');
is(length(slurp($broken)), 5, 'after five starts that died');
like(relay()->{why}, qr/died 5 times .*exited with 9/, 'it says why');
like(slurp($d->{log}), qr/error.*lost proc=relay.*state=failed/, 'so does the log');
unlink($broken);
is_deeply($d->ok('role.reset')->{reset}, ['relay'], 'a reset');
ok(wait_for(9, sub { relay()->{state} eq 'running' }), 'starts it at once');
is(relay()->{why}, undef, 'with a clean slate');
ok($d->stop, 'it ends');
is(join("\n", $d->leftovers), '', 'nothing is left');
done_testing;
