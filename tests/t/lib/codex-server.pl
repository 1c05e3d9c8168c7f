# A stand-in for `codex app-server` that several threads can be opened on. A turn's text
# is a script of words:
#	say W		the text W
#	flood N		N pieces of a thousand bytes each
#	wait FILE	do nothing at all until it is there
#	junk		a line that is no JSON, and one that is too long
#	err W		a line on stderr
#	exit N		leave
#	tell		a piece of news about no thread
#	ask W		ask for leave to run W, and go on when that is answered
#	hang		do not end the turn
# REPLAY names a file in which every line that came is kept.
use strict;
use warnings;

$| = 1;
my ($threads, $turns, %script, %asks) = (0, 0);
open(my $log, '>>', $ENV{REPLAY} // '/dev/null') or die;
$log->autoflush;

sub out { print "$_[0]\n" }
sub news {
	my ($method, $thread, $more) = @_;
	out(qq({"method":"$method","params":{"threadId":"$thread"$more}}));
}
sub item {
	my ($t, $n, $text) = @_;
	news('item/completed', $t, qq(,"item":{"type":"agentMessage","id":"i$n","text":"$text"}));
}
sub finish {
	my ($t, $status) = @_;
	news('turn/completed', $t, qq(,"turn":{"id":"$script{$t}{turn}","status":"$status",)
	    . '"error":null}');
	delete $script{$t};
}

sub play {
	my ($t) = @_;
	my $s = $script{$t} or return;
	while (@{$s->{words}}) {
		my $do = shift @{$s->{words}};
		if ($do eq 'say') {
			item($t, ++$turns, shift @{$s->{words}});
		} elsif ($do eq 'flood') {
			my $id = 'i' . ++$turns;
			my $piece = 'x' x 1000;
			news('item/started', $t,
			    qq(,"item":{"type":"agentMessage","id":"$id","text":""}));
			news('item/agentMessage/delta', $t,
			    qq(,"itemId":"$id","delta":"$piece"))
			    for 1 .. shift @{$s->{words}};
			news('item/completed', $t,
			    qq(,"item":{"type":"agentMessage","id":"$id","text":"flooded"}));
		} elsif ($do eq 'wait') {
			my $file = shift @{$s->{words}};
			select(undef, undef, undef, 0.02) until -e $file;
		} elsif ($do eq 'junk') {
			out('this is no JSON');
			out('{"x":"' . 'y' x 5_000_000 . '"}');
		} elsif ($do eq 'err') {
			print STDERR shift @{$s->{words}}, "\n";
		} elsif ($do eq 'exit') {
			exit(shift @{$s->{words}});
		} elsif ($do eq 'tell') {
			out('{"method":"configWarning","params":{"summary":"for all"}}');
		} elsif ($do eq 'ask') {
			my $id = ++$turns;
			my $what = shift @{$s->{words}};
			$asks{$id} = $t;
			out(qq({"method":"item/commandExecution/requestApproval","id":$id,"params":)
			    . qq({"threadId":"$t","turnId":"$s->{turn}","itemId":"c$id","command":"$what"}}));
			return;
		} elsif ($do eq 'hang') {
			return;
		}
	}
	finish($t, 'completed');
}

while (my $line = <STDIN>) {
	print $log $line;
	my ($method) = $line =~ /"method":"([^"]+)"/;
	my ($id) = $line =~ /"id":(\d+)/;
	my ($t) = $line =~ /"threadId":"([^"]+)"/;
	if (!defined $method) {
		my $of = delete $asks{$id} // next;
		my ($word) = $line =~ /"decision":"(\w+)"/;
		item($of, ++$turns, $word // 'no');
		play($of);
	} elsif ($method eq 'initialize') {
		out(qq({"id":$id,"result":{"userAgent":"x"}}));
	} elsif ($method eq 'config/read') {
		out(qq({"id":$id,"result":{"config":{}}}));
	} elsif ($method eq 'model/list') {
		out(qq({"id":$id,"result":{"data":[{"id":"m1","displayName":"M","isDefault":true}]}}));
	} elsif ($method =~ m{^thread/(start|resume)$}) {
		$t //= "th-$$-" . ++$threads;
		out(qq({"id":$id,"result":{"thread":{"id":"$t"},"model":"m1"}}));
	} elsif ($method eq 'turn/start') {
		my ($text) = $line =~ /"text":"([^"]*)"/;
		$script{$t} = { turn => 'tu-' . ++$turns, words => [split ' ', $text] };
		out(qq({"id":$id,"result":{"turn":{"id":"$script{$t}{turn}"}}}));
		news('turn/started', $t, qq(,"turn":{"id":"$script{$t}{turn}"}));
		play($t);
	} elsif ($method eq 'turn/interrupt') {
		out(qq({"id":$id,"result":{}}));
		finish($t, 'interrupted') if $script{$t};
	} elsif (defined $id) {
		out(qq({"id":$id,"result":{}}));
	}
}
