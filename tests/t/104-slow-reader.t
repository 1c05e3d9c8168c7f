# One client that does not read delays nobody, costs no memory, and misses
# nothing when it reads again.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start(http => 1,
    conf => "[gateway]\nprocesses = 1\n");
my $readers = 50;

sub post { return $d->http('POST', "/v1/sessions/$_[0]", json => $_[1]) }
sub rss {
	my ($pid) = $d->children(qr/gateway/);
	return (slurp("/proc/$pid/status") =~ /VmRSS:\s+(\d+)/)[0];
}
post('s', { agent => 'mock' });

sub stream {
	my ($after) = @_;
	my $c = $d->http_client;
	$c->write("GET /v1/sessions/s/events/sse?offset=$after HTTP/1.1\r\n"
	    . "Host: x\r\n\r\n");
	$c->head(10) or die "no head\n";
	return $c;
}
# The last number that has come; reads for at most SECONDS.
sub read_on {
	my ($c, $upto, $seconds) = @_;
	my $end = time + $seconds * slow_factor();
	while (($c->{last} // 0) < $upto && time < $end) {
		my $chunk = $c->chunk($end - time) // last;
		$c->{rest} = ($c->{rest} // '') . $chunk;
		while ($c->{rest} =~ s/\A(?::\n\n)*id: (\d+)\ndata: [^\n]*\n\n//) {
			$c->{flaw} = "$1 after $c->{last}"
			    if defined $c->{last} && $1 != $c->{last} + 1;
			$c->{last} = $1;
		}
	}
	return $c->{last} // 0;
}
# How long a small turn takes to be seen by all who read.
sub round_trip {
	my ($at, @c) = @_;
	my $began = time;
	post('s/messages', { message => 'tick' });
	read_on($_, $at + 7, 20) for @c;
	return time - $began;
}

my @c = map { stream(1) } 1 .. $readers;
my $at = 1;
my @before;
for (1 .. 15) {
	push @before, round_trip($at, @c);
	$at += 7;
}
is((grep { $_->{last} != $at } @c), 0, 'all see all');

# The slow one asks for all and reads nothing while 60 MB come by.
my $slow = stream(0);
my $start = rss();
for (1 .. 3) {
	post('s/messages', { message => 'flood 4000 5000' });
	my $upto = $at + 4006;
	ok(wait_for(60, sub { $d->http('GET', '/v1/sessions/s')->{json}{eventCount} >= $upto }),
	    'a flood') or last;
	$at = $d->http('GET', '/v1/sessions/s')->{json}{eventCount};
	read_on($_, $at, 60) for @c[0 .. 4];
}
my $grown = rss() - $start;
# A sanitizer gives nothing back for a while.
ok($grown < 40000 * ($ENV{SANDBOXD_SANITIZED} ? 3 : 1), "the gateway grew by $grown kB while 60 MB waited");
read_on($_, $at, 60) for @c;
is((grep { $_->{last} != $at } @c), 0, 'those who read see all');
my @during;
for (1 .. 15) {
	push @during, round_trip($at, @c);
	$at += 7;
}
is((grep { $_->{last} != $at } @c), 0, 'at once, as before');
@before = sort { $a <=> $b } @before;
@during = sort { $a <=> $b } @during;
ok($during[7] < 5 * $before[7] + 0.1, sprintf(
    'in the same time: %.1f ms, before %.1f ms', 1000 * $during[7],
    1000 * $before[7]));
is(join('', map { $_->{flaw} // '' } @c), '', 'and in order');

# It reads again.
is(read_on($slow, $at, 60), $at, 'the slow one gets all in the end');
is($slow->{flaw} // '', '', 'without a gap');

# Clients that leave in the midst of it are forgotten.
$_->close for @c, $slow;
ok(wait_for(10, sub { $d->http('GET', '/v1/sessions/s')->{status} == 200 }),
    'all leave at once');
my @more = map { stream($at) } 1 .. 5;
post('s/messages', { message => 'last' });
is(join(' ', map { read_on($_, $at + 7, 10) } @more), join(' ', ($at + 7) x 5),
    'and others come');
done_testing();
