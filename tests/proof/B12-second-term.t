# B12: a second TERM hastens; what is left is ended when the command ends.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Init;
use Test::More;

need_root();

use Time::HiRes qw(time);

my $deaf = 'trap "" TERM; touch $0/up; while :; do sleep 0.1; done';

for my $way (ways()) {
	my ($name, $wrap) = @$way;
	my $d = start_init([], wrap => $wrap, no_launch => 1,
	    conf => "[sandbox]\nstop_grace = 60s\n");
	$d->{options}{command} = ['/bin/sh', '-c', $deaf, $d->{dir}];
	$d->launch;
	wait_for(20, sub { -e "$d->{dir}/up" });
	my $init = init_pid($d);
	kill('TERM', $init);
	ok(!wait_for(1, sub { $d->ended }), "$name: a long grace");
	my $began = time;
	kill('TERM', $init);
	ok(wait_for(20, sub { $d->ended }), "$name: a second TERM ends it");
	cmp_ok(time - $began, '<', 5 * Sandboxd::slow_factor(), 'at once');
	is($d->{status} >> 8, 137, 'by KILL');

	# The command ends by itself; one it has left ends at TERM, one does not.
	$d = start_init([], wrap => $wrap, no_launch => 1,
	    conf => "[sandbox]\nstop_grace = 1s\n");
	$d->{options}{command} = ['/bin/sh', '-c',
	    'setsid sh -c \'trap "echo TERM >>$0/got; exit" TERM; touch $0/one; '
	    . 'while :; do sleep 0.05; done\' $0 & '
	    . 'setsid sh -c \'trap "" TERM; touch $0/two; '
	    . 'while :; do sleep 0.05; done\' $0 & '
	    . 'until [ -e $0/one -a -e $0/two ]; do sleep 0.05; done; exit 6',
	    $d->{dir}];
	$d->launch(no_wait => 1);
	ok(wait_for(30, sub { $d->ended }), "$name: it ends with the command");
	is($d->{status} >> 8, 6, 'and its status');
	is(slurp("$d->{dir}/got"), "TERM\n", 'what was left got TERM');
	is(scalar(grep { (slurp("/proc/$_/cmdline") // '') =~ /\Q$d->{dir}\E/ }
	    descendants($$)), 0, 'and is gone, the stubborn one, too');
	like(slurp($d->{log}), qr/the grace is over/, 'when the grace was over');
}

# Sandboxes and their sessions end with it, in order.
my $d = start_init(['/bin/sh', '-c', 'until [ -e $0/done ]; do sleep 0.05; done',
    '/nonexistent'], no_launch => 1);
$d->{options}{command}[3] = $d->{dir};
$d->launch;
$d->ok('sandbox.create', { id => 'a' });
$d->sh('a', 'setsid sleep 1000 >/dev/null 2>&1 &');
$d->note_groups;
spew("$d->{dir}/done", '');
ok(wait_for(30, sub { $d->ended }), 'the end of a command with sandboxes');
is($d->{status}, 0, 'is good');
is(join("\n", $d->leftovers), '', 'and leaves nothing');
$d->{options}{command} = ['sleep', '1000'];
$d->launch;
is($d->ok('sandbox.get', { id => 'a' })->{id}, 'a', 'the sandbox is kept');
$d->stop;

done_testing;
