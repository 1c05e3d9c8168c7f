# Many sessions on one process that begin at once, and lose it, their own part of it or
# their workers again and again: there is one keeper each time, and each gets its answer.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
need_program('perl');
my $wait = 40 * slow_factor();
my $d = Sandboxd->start(agents => { 'shared.json' => { id => 'shared', name => 'S',
    protocol => 'codex', program => 'none', shared => JSON::PP::true } });
$d->ok('sandbox.create', { id => 'box', directory => '/tmp' });
$d->exec('box', ['sh', '-c', 'cat > /root/server.pl'],
    stdin => slurp(root_dir() . '/tests/t/lib/codex-server.pl'));
my @sessions = map { "s$_" } 1 .. 20;
$d->ok('session.create', { id => $_, sandbox => 'box', agent => 'shared',
    command => ['perl', '/root/server.pl'] }) for @sessions;

sub texts {
	return join('|', map { item_text($_) } grep { $_->{type} eq 'item.completed'
	    && ($_->{data}{item}{role} // '') eq 'assistant' } @_);
}
# Those of the sessions whose turn did not end with its answer.
sub round {
	my ($n, @of) = @_;
	my %from = map { $_ => ($d->events($_))[-1]{sequence} } @of;

	$d->ok('session.prompt', { id => $_, text => "say $n-$_" }) for @of;
	$d->wait_event($_, sub { $_->{type} eq 'turn.ended' }, $wait, $from{$_}) for @of;
	return grep { texts($d->events($_, after => $from{$_})) ne "$n-$_" } @of;
}

my @kills = (qr/sandboxd-share join/, qr/sandboxd-session/, qr/sandboxd-share keep/,
    qr/server\.pl/);
for my $n (1 .. 2 * @kills) {
	my @left = @sessions;
	# A message may meet a process that has just been killed: once more then.
	@left = round($n, @left) for 1 .. 3;
	is("@left", '', "round $n: all have their answers");
	is(scalar(() = $d->children(qr/share keep/)), 1, 'by one keeper');
	my @p = $d->children($kills[$n % @kills]);
	kill('KILL', @p[0 .. $#p / 2]);
}
$d->ok('session.delete', { id => $_ }, timeout => $wait) for @sessions;
ok(wait_for($wait, sub { !$d->children(qr/share|server\.pl/) }), 'and nothing stays');

done_testing;
