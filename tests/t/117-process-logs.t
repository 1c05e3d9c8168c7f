# /v1/processes/{id}/logs: entries, filters, eviction, following as server-sent
# events with reconnect, slow followers, and a gateway that dies meanwhile.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use MIME::Base64 qw(decode_base64);
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start(http => 1);
my $p = '/v1/processes';
my %def = %{$d->http(GET => "$p/config")->{json}};

sub create { my ($script, %o) = @_;
	return $d->http(POST => $p, json => { command => 'sh', args => ['-c', $script], %o })->{json}{id} }
sub logs { my ($id, $query) = @_;
	return $d->http(GET => "$p/$id/logs" . ($query // '')) }
sub text { return join '', map { decode_base64($_->{data}) } @{$_[0]{json}{entries}} }
sub ended { my ($id) = @_;
	return wait_for(20, sub { $d->http(GET => "$p/$id")->{json}{status} eq 'exited' }) }
sub config { $d->http(POST => "$p/config", json => { %def, @_ }) }
sub get_head { my ($c, $path, @headers) = @_;
	$c->write("GET $path HTTP/1.1\r\nHost: x\r\n" . join('', map { "$_\r\n" } @headers) . "\r\n");
	return $c->head }

# Follow: the head of the answer, and a function for the next event (undef: none
# in time, '' at the end).
sub follow {
	my ($id, $query, @headers) = @_;
	my $c = $d->http_client;
	my $head = get_head($c, "$p/$id/logs?follow=true" . ($query // ''), @headers);
	my $buffer = '';
	return ($head, sub {
		my ($seconds) = @_;
		while ($buffer !~ /\n\n/) {
			my $chunk = $c->chunk($seconds // 5);
			return undef unless defined $chunk;
			return '' if $chunk eq '';
			$buffer .= $chunk;
		}
		$buffer =~ s/\A(.*?)\n\n//s;
		my $e = $1;
		return { comment => $e } if $e =~ /^:/;
		my ($event) = $e =~ /^event: (.*)$/m;
		my ($n) = $e =~ /^id: (.*)$/m;
		my ($data) = $e =~ /^data: (.*)$/m;
		my $j = from_json($data);
		return { event => $event, id => $n, text => decode_base64($j->{data}), %$j };
	}, $c);
}

# --- entries ----------------------------------------------------------------

my $id = create('echo out1; echo err1 >&2; sleep 0.2; echo out2');
ended($id);
my $r = logs($id);
is($r->{status}, 200, 'logs');
is($r->{headers}{'content-type'}, 'application/json', 'as JSON');
like($r->{body}, qr/\A\{"processId":"$id","stream":"combined","entries":\[\{"sequence":1,"stream":"stdout","timestampMs":\d{13},"data":"b3V0MQo=","encoding":"base64"\},/,
    'in the order that clients know');
is_deeply([map { "$_->{sequence} $_->{stream} " . decode_base64($_->{data}) } @{$r->{json}{entries}}],
    ["1 stdout out1\n", "2 stderr err1\n", "3 stdout out2\n"], 'one entry for each read');
my %want = ('?stream=stdout' => [1, 3], '?stream=stderr' => [2], '?stream=combined' => [1, 2, 3],
    '?stream=pty' => [], '?since=1' => [2, 3], '?since=3' => [], '?tail=1' => [3], '?tail=0' => [],
    '?tail=99' => [1, 2, 3], '?since=1&stream=stdout' => [3], '?tail=1&stream=stderr' => [2],
    '?tail=1&since=1&stream=stdout' => [3], '?since=99' => [], '?follow=false&tail=2' => [2, 3],
    '?stream=stdout&tail=1' => [3], '?since=9223372036854775807' => []);
for my $q (sort keys %want) {
	$r = logs($id, $q);
	is_deeply([map { $_->{sequence} } @{$r->{json}{entries}}], $want{$q}, $q);
}
is(logs($id, '?stream=stderr')->{json}{stream}, 'stderr', 'the stream is told');
for my $q ('?stream=bad', '?stream=', '?tail=-1', '?tail=', '?tail=x', '?since=-1', '?since=1.0',
    '?follow=1', '?follow=yes', '?follow=', '?tail=1&tail=1', '?since=99999999999999999999') {
	is(logs($id, $q)->{status}, 400, "refused: $q");
}
is(logs('proc_999')->{status}, 404, 'of nobody');
is(logs('proc_999', '?follow=true')->{status}, 404, 'to follow');
$id = create('exit 0');
ended($id);
is_deeply(logs($id)->{json}{entries}, [], 'who prints nothing');
$id = create('printf "a\377\000b"');
ended($id);
is(text(logs($id)), "a\xff\0b", 'bytes');
$id = create('head -c 100000 /dev/zero');
ended($id);
$r = logs($id);
is(length text($r), 100000, 'long output');
ok(!(grep { length decode_base64($_->{data}) > 8192 } @{$r->{json}{entries}}), 'in pieces of 8192');
$id = create('echo on a terminal; head -c 20000 /dev/zero | tr "\0" x', tty => JSON::PP::true);
ended($id);
$r = logs($id);
is($r->{json}{stream}, 'pty', 'a terminal has its own stream');
is(length text($r), 15 + 20000, 'all of it, and no error at its end') or diag(substr(text($r), -80));
ok(!(grep { length decode_base64($_->{data}) > 4095 } @{$r->{json}{entries}}), 'in pieces of 4095');
is_deeply(logs($id, '?stream=combined')->{json}{entries}, [], 'which combined is not');

# --- eviction ---------------------------------------------------------------

config(maxLogBytesPerProcess => 10);
$id = create('for i in 1 2 3 4; do printf 1234$i; sleep 0.06; done');
ended($id);
is_deeply([map { $_->{sequence} } @{logs($id)->{json}{entries}}], [3, 4], 'the oldest go, whole');
$id = create('printf 12345678901; sleep 0.1');
ended($id);
is_deeply(logs($id)->{json}{entries}, [], 'one that is longer than all vanishes');
$id = create('printf 12345678901; sleep 0.1; printf 1; sleep 0.05');
ended($id);
is_deeply([map { $_->{sequence} } @{logs($id)->{json}{entries}}], [2], 'but it has had its number');
config(maxLogBytesPerProcess => 300_000);
$id = create('i=0; while [ $i -lt 6000 ]; do echo line $i; i=$((i+1)); done; head -c 3000000 /dev/zero | tr "\0" x; sleep 0.2; echo end');
ended($id);
$r = logs($id);
my $n = length text($r);
cmp_ok($n, '<=', 300_000, 'a flood is bounded');
cmp_ok($n, '>', 280_000, 'by its limit');
like(text($r), qr/end\n\z/, 'and the newest is kept');
my @seq = map { $_->{sequence} } @{$r->{json}{entries}};
is_deeply(\@seq, [$seq[0] .. $seq[0] + $#seq], 'without a gap');
config(maxLogBytesPerProcess => 1 << 20);
$id = create('i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done');
ended($id);
is(text(logs($id)), join('', map { "$_\n" } 0 .. 2999), 'many short lines');
config();

# --- following --------------------------------------------------------------

$id = create('echo one; echo two >&2; sleep 0.3; echo three; read x; echo four; sleep 1000');
sleep 0.1;
my ($head, $next) = follow($id);
is($head->{status}, 200, 'follow');
is($head->{headers}{'content-type'}, 'text/event-stream', 'as events');
is($head->{headers}{'cache-control'}, 'no-cache', 'that nobody keeps');
my $e = $next->();
is_deeply([@$e{qw(event id text stream encoding)}], ['log', 1, "one\n", 'stdout', 'base64'], 'what was there');
is($next->()->{text}, "two\n", 'in order');
$e = $next->();
is("$e->{id} $e->{text}", "3 three\n", 'what comes');
$d->http(POST => "$p/$id/input", json => { data => "\n", encoding => 'text' });
is($next->()->{text}, "four\n", 'and what comes later');
is($next->(0.3), undef, 'then nothing, and it stays open');
my (undef, $n1) = follow($id, '', 'Last-Event-ID: 2');
is($n1->()->{id}, 3, 'Last-Event-ID');
my (undef, $n2) = follow($id, '&since=3');
is($n2->()->{id}, 4, 'since');
my (undef, $n3) = follow($id, '&tail=1&stream=stdout');
is($n3->()->{id}, 4, 'tail, of a stream');
is((follow($id, '', 'Last-Event-ID: x'))[1]->()->{id}, 1, 'a bad Last-Event-ID is as none');
$d->http(POST => "$p/$id/kill");
is($next->(0.5), undef, 'the end of the process does not end it');
$d->http(DELETE => "$p/$id");
is($next->(5), '', 'but its deletion does');

# Reconnecting at random: every entry once.
$id = create('i=0; while [ $i -lt 400 ]; do echo $i; i=$((i+1)); sleep 0.005; done; echo last');
my ($last, @got) = (0);
my $until = time + 30;
while (time < $until && !(@got && $got[-1] eq "last\n")) {
	my (undef, $nx, $c) = follow($id, '', "Last-Event-ID: $last");
	for (1 .. 1 + int rand 60) {
		my $e = $nx->(2) or last;
		$last = $e->{id};
		push @got, $e->{text};
		last if $e->{text} =~ /last\n\z/;
	}
	$c->close;
}
is(join('', @got), join('', map { "$_\n" } 0 .. 399, 'last'), 'reconnected at random, each once');

# Many at a time, and one that does not read: it misses what was dropped, and
# nobody waits for it.
config(maxLogBytesPerProcess => 100_000);
$id = create('read x; head -c 8000000 /dev/zero | tr "\0" x; sleep 0.3; echo; echo end; sleep 1000');
my @f = map { [follow($id)] } 1 .. 10;
$d->http(POST => "$p/$id/input", json => { data => "\n", encoding => 'text' });
ok(wait_for(10, sub { text(logs($id, '?tail=3')) =~ /end\n\z/ }), 'a flood beside slow followers');
my $end = 0;
while (my $e = $f[0][1]->(3)) {
	$end = 1, last if $e->{text} =~ /end\n\z/;
}
ok($end, 'a slow follower sees the end');
$d->http(POST => "$p/$id/kill");
$_->[2]->close for @f;
config();

# --- out of reach, and out of memory ------------------------------------------

$id = create('echo secret-words; sleep 1000');
my $out = $d->http(POST => "$p/run", json => { command => 'sh',
    args => ['-c', 'ls /proc/1/fd; for f in /proc/1/fd/*; do cat $f; done; ls -la /proc/1/cwd /proc/1/root; find / -xdev -name "#*" 2>/dev/null; exit 0'] })->{json};
unlike("$out->{stdout}$out->{stderr}", qr/secret-words/, 'the sandbox cannot read the log');

# --- a gateway that dies ------------------------------------------------------

my $live = create('i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.05; done');
($head, $next) = follow($live);
$e = $next->();
is($e->{text}, "tick 0\n", 'followed');
my @gateways = grep { (slurp("/proc/$_/cmdline") // '') =~ /sandboxd-gateway/ } descendants($d->{pid});
ok(scalar @gateways, 'there are gateways');
kill('KILL', @gateways);
ok(wait_for(20, sub { my $r = eval { $d->http(GET => "$p/$live", timeout => 2) };
    ($r->{status} // 0) == 200 && $r->{json}{status} eq 'running' }),
    'after they were killed the process runs on');
is((logs($live)->{json}{entries}[0] // {})->{sequence}, 1, 'with all of its log');
(undef, $next) = follow($live, '', "Last-Event-ID: $e->{sequence}");
is($next->()->{sequence}, $e->{sequence} + 1, 'and is followed on where it was');
is_deeply([map { $_->{id} } grep { $_->{status} eq 'running' } @{$d->http(GET => $p)->{json}{processes}}],
    [sort $id, $live], 'nothing else was lost');

$d->stop;
done_testing();
