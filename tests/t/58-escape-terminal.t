# Terminals and the environment: nothing of the caller's is inside.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $word = 'word' . int(rand 1e9);
# With stray variables in the daemon's own environment.
my $d = Sandboxd->start(env => { STRAY_SECRET => $word,
    LD_PRELOAD_NOT => $word, AWS_SECRET_ACCESS_KEY => $word });
$d->ok('sandbox.create', { id => 't', mounts => [Sandboxd->probe_mount] });
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 't' });

for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	my $said = $d->probe('t', ['terminal'], %$as);
	is($said->{slave}, 'ok', "$who: a terminal of its own");
	for my $what ('TIOCSTI', 'TIOCSTI:high', 'TIOCLINUX', 'TIOCLINUX:high') {
		like($said->{$what}, qr/^(?:EPERM|EACCES|EIO)$/, "$who: $what");
	}
	unlike($d->sh('t', 'env; cat /proc/[0-9]*/environ', %$as)->{stdout},
	    qr/$word/, "$who: the daemon's environment is not inside");
}
my @e = $d->turn('s', 'run env; cat /proc/self/environ /proc/$PPID/environ');
unlike(to_json(\@e), qr/$word/, 'nor in an agent\'s');
unlike(slurp($d->{log}), qr/$word/, 'nor in the log');

# Descriptors: the three and no other, however many the daemon has.
my @c = map { $d->client } 1 .. 60;
$_->request('status') for @c;
my $r = $d->sh('t', 'ls /proc/self/fd | tr "\\n" " "');
is($r->{stdout}, '0 1 2 3 ', 'with sixty clients connected: 0, 1, 2 (and that of ls)');
@e = $d->turn('s', 'run ls /proc/self/fd | tr "\\n" " "');
my ($text) = map { item_text($_) } grep { $_->{type} eq 'item.completed'
    && $_->{data}{item}{kind} eq 'tool_result' } @e;
is($text =~ s/\s+$//r, '0 1 2 3', 'what an agent starts has no other either');

# The command has no controlling terminal of ours.
isnt($d->sh('t', 'echo x >/dev/tty')->{exit_code}, 0, 'no controlling terminal');
is($d->sh('t', 'ps -o tty= -p $$ | tr -d " "')->{stdout}, "?\n", 'none at all');

done_testing;
