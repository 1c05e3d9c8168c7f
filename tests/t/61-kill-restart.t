# sandboxd killed and started again at once, again and again: what ran goes on, each
# time, or with sandbox.adopt 0 runs again while its former life is still dying.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
for my $adopt (300, 0) {
my $d = Sandboxd->start(conf => "[sandbox]\nadopt = ${adopt}s\n");
$d->ok('sandbox.create', { id => "k$_" }) for 1 .. 3;
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'k1' });

for my $n (1 .. 15) {
	# Something that takes its time to die.
	$d->sh('k1', 'for i in $(seq 30); do setsid sleep 900 >/dev/null 2>&1 & done');
	$d->note_groups;
	kill('KILL', $d->{pid});
	waitpid(delete $d->{pid}, 0);	# not a moment later
	$d->launch;
	my @states;
	ok(wait_for(10, sub {
		@states = map { $_->{state} } @{$d->ok('sandbox.list')->{sandboxes}};
		"@states" eq 'running running running';
	}), "$n: all three run again") or diag("@states"), last;
	my @e = eval { $d->turn('s', "turn $n") };
	is($e[-1] ? $e[-1]{type} : $@, 'turn.ended', "$n: and the session goes on");
}
is(Sandboxd::sequence_flaw(1, $d->events('s')), '', 'without a gap');
is(scalar(grep { Sandboxd::title_of($_) =~ /^sleep 900/ } Sandboxd::descendants($$)),
    $adopt ? 15 * 30 : 0, $adopt ? 'and all that ran runs'
    : 'and nothing of the former lives runs');
ok($d->stop, 'an orderly stop');
is(join("\n", $d->leftovers), '', 'leaves nothing');
}

done_testing;
