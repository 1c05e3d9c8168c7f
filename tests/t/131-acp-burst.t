# A turn of a hundred thousand updates loses none, whoever reads them and when; a
# client that does not read costs the others nothing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Acp;
use Test::More;
use Time::HiRes qw(time);

need_root();
my $n = 100_000;
my $d = Sandboxd->start(http => 1);
my $a = Sandboxd::Acp->new($d, 'burst', agent => 'mock');
$a->call('initialize', { protocolVersion => 1 });
my $s = $a->session;
my $live = $a->stream;
my $deaf = $a->stream;

my $e = $a->prompt_envelope($s, "flood $n");
my $at = time;
my $r = $a->post($e, timeout => 120)->{json};
is($r->{result}{stopReason}, 'end_turn', 'the turn ends');
note(sprintf('%d updates in %.2f s', $n, time - $at));
cmp_ok(time - $at, '<', 60 * slow_factor(), 'in no long time');

# Numbers of the flood in what a stream has, which must be 1 to N.
sub check {
	my ($what, $stream) = @_;
	my ($next, $flaw, $end) = (1, '', time + 120 * slow_factor());
	while (time < $end) {
		my @texts = $stream->take_texts;
		for (@texts) {
			next unless /"agent_message_chunk"/ && /"text":"(\d+) /;
			$flaw ||= "$1 in place of $next" if $1 != $next;
			$next++;
		}
		last if grep { /"stopReason"/ } @texts;
		$stream->more(20) // last;
	}
	is($next - 1, $n, "$what: none is lost");
	is($flaw, '', "$what: all in order");
	is($stream->{flaw}, '', "$what: numbers without a gap");
}

check('while it runs', $live);
my $again = $a->stream;
check('afterwards', $again);
my $middle = $a->stream(50_000);
$middle->upto(50_010);
is($middle->{flaw}, '', 'from the middle');
$_->close for $live, $again, $middle;

# The one that reads nothing is still there, and nobody minds.
is($a->call('session/list', {})->{result}{sessions}[0]{sessionId}, $s,
    'one that does not read stops nobody');
check('one that reads late', $deaf);
$deaf->close;
is($a->delete->{status}, 204, 'it ends');

done_testing;
