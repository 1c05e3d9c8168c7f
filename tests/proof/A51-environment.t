# A51: the supervisor's variables, tokens and arguments are nowhere inside, nor in
# what is logged or recorded.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
my $word = 'word' . join('', map { int rand 10 } 1 .. 20);
my $token = 'token' . join('', map { int rand 10 } 1 .. 20);
my $d = Sandboxd->start(http => 1, token => $token, env => { STRAY => $word, AWS_SECRET_ACCESS_KEY => "$word-aws",
    ANTHROPIC_API_KEY => "$word-key", SSH_AUTH_SOCK => "/$word", LD_LIBRARY_PATH => "/$word" });
like(slurp("/proc/$d->{pid}/environ"), qr/$word/, 'the supervisor has them') if -s "/proc/$d->{pid}/environ";
$d->ok('sandbox.create', { id => 'e' });
$d->ok('sandbox.create', { id => 'h', network => 'host' });
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'e' });
# A variable that is asked for is there: the search finds what is there.
like($d->sh('e', 'cat /proc/[0-9]*/environ; sleep 0', env => { MINE => "$word-mine" })->{stdout}, qr/$word-mine/,
    'one that was asked for is found');
for my $box (qw(e h)) {
	for (Sandboxd::both_users()) {
		my ($who, $as) = @$_;
		# the pattern goes by standard input: it would find itself
		my $r = $d->exec($box, ['perl', '-e', 'local $/; my $p = <STDIN>; for my $f (glob("/proc/[0-9]*/environ"), '
		    . 'glob("/proc/[0-9]*/cmdline"), glob("/proc/[0-9]*/maps")) { open(my $h, "<", $f) or next; '
		    . 'print "$f\n" if <$h> =~ /$p/ } print "env\n" if join("", %ENV) =~ /$p/; '
		    . 'for my $d (qw(/run /tmp /root /var/tmp /dev/shm)) { for my $f (glob("$d/*"), glob("$d/.*")) { '
		    . '-f $f && open(my $h, "<", $f) or next; print "$f\n" if <$h> =~ /$p/ } }'],
		    stdin => "$word|$token", %$as);
		is(Sandboxd::outcome($r), 0, "$who in $box: searched");
		is($r->{stdout}, '', "$who in $box: nothing of it is found");
	}
}
my @e = $d->turn('s', 'run env; cat /proc/self/environ /proc/$PPID/environ');
unlike(to_json(\@e), qr/$word|$token/, 'nor by an agent, in its events');
unlike(slurp($d->{log}), qr/$word|$token/, 'nor in the log');
for my $pid ($d->{pid}, descendants($d->{pid})) {
	unlike(slurp("/proc/$pid/cmdline") // '', qr/$word|$token/, 'no title shows it: ' . Sandboxd::title_of($pid));
}
# Helpers of ours are not given what they do not need.
for my $pid ($d->children(qr/gateway|store|relay/)) {
	unlike(slurp("/proc/$pid/environ") // '', qr/$word|$token/, Sandboxd::title_of($pid) . ' was not given it');
}
my $r = run_cmd(['grep', '-rlaE', $token, $d->{state}]);
is($r->{out}, '', 'the token is not in the state directory');
done_testing;
