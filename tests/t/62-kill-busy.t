# The supervisor is killed while a sandbox is full of processes that take their
# time to die: the next one starts the sandbox beside what is left of the former,
# which goes, and nobody who asks meanwhile is refused.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => 'busy' });
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'busy' });
for my $round (1 .. 6) {
	$d->sh('busy', 'for i in $(seq 150); do sleep 1000 & done >/dev/null 2>&1; '
	    . 'perl -e \'$x = "a" x (200 << 20); sleep 1000\' >/dev/null 2>&1 & '
	    . 'sleep 0.3');
	$d->note_groups;
	$d->restart('KILL');
	my @e = $d->turn('s', "round $round");
	is($e[-1]{type}, 'turn.ended', "round $round: a turn at once");
	is($d->exec('busy', ['echo', 'in'])->{stdout}, "in\n",
	    "round $round: and a command");
}
unlike(slurp($d->{log}), qr/lost proc="init/, 'no start was lost');
ok(wait_for(10, sub { 2 >= grep { m{/busy} } $d->groups }),
    'of the former groups none is left') or diag(join("\n", $d->groups));
$d->ok('sandbox.destroy', { id => 'busy' });
ok($d->stop, 'an orderly end');
is(join("\n", $d->leftovers), '', 'nothing is left');

done_testing;
