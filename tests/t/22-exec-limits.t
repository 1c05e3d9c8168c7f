# sandbox.exec: time-out, output cap, bytes that are not text, long output.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time);

need_root();
my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => 'x' });

# Time-out: the command and what it started are ended.
my $began = time;
my $r = $d->sh('x', 'sleep 61 & trap "" TERM; echo started; sleep 62; sleep 62',
    timeout_ms => 400);
my $took = time - $began;
ok($r->{timed_out}, 'a command that runs too long is ended, and that is said');
is($r->{stdout}, "started\n", 'its output until then is kept');
ok($took > 0.35 && $took < 6 * Sandboxd::slow_factor(), "in time ($took s)");
is($d->sh('x', 'pgrep -x sleep | wc -l')->{stdout}, "0\n",
    'its children are ended with it');
$r = $d->sh('x', 'exit 3', timeout_ms => 20000);
is($r->{exit_code}, 3, 'one in time is not touched');
ok(!$r->{timed_out}, 'nor said to be late');

# Output cap: what is beyond is dropped, the command goes on, and it is said.
$r = $d->sh('x', 'yes | head -c 300000; echo end >&2; exit 7',
    output_bytes => 1000);
is(length($r->{stdout}) + length($r->{stderr}), 1000, 'output up to the cap');
is($r->{exit_code}, 7, 'the command was not disturbed');
ok($r->{truncated}, 'the final line says so');
$r = $d->sh('x', 'echo hello', output_bytes => 0);
is("$r->{stdout}$r->{exit_code}", '0', 'a cap of nothing');
$r = $d->sh('x', 'echo hello', output_bytes => 6);
is($r->{stdout}, "hello\n", 'exactly at the cap');
ok(!$r->{truncated}, 'is not truncated');

# Every byte comes through.
$r = $d->sh('x', q(i=0; while [ $i -lt 256 ]; do printf "\\\\$(printf %03o $i)"; )
    . 'i=$((i+1)); done');
is($r->{stdout}, join('', map { chr } 0 .. 255), 'all 256 bytes, in order');
$r = $d->sh('x', 'head -c 1000000 /dev/urandom | tee /tmp/r | sha256sum >&2; '
    . 'cat /tmp/r');
require Digest::SHA;
is(Digest::SHA::sha256_hex($r->{stdout}), (split ' ', $r->{stderr})[0],
    'a megabyte of random bytes');
# Characters that stand across two reads.
$r = $d->sh('x', q(for i in 1 2 3 4 5 6 7 8; do printf '\303'; sleep 0.02; printf '\251'; done));
is($r->{stdout}, "\303\251" x 8, 'characters written in halves');
# Text that looks like our own lines is only text.
my $forged = '{"id":1,"ok":{"exit_code":0}}';
$r = $d->sh('x', "echo '$forged'; exit 9");
is($r->{stdout}, "$forged\n", 'a command cannot forge our lines');
is($r->{exit_code}, 9, 'nor its end');

# A great deal of output, while the daemon answers others.
my $c = $d->client;
my $id = $c->send('sandbox.exec', { id => 'x',
    command => 'head -c 30000000 /dev/zero | tr "\\\\0" x',
    output_bytes => 100000000 });
my ($n, $asked, $slowest) = (0, 0, 0);
$r = $c->finish($id, forget => 1, timeout => 60, on_item => sub {
	$n += length $_[0]{data};
	if (int($n / 3000000) > $asked) {
		my $t = time;
		$d->ok('status');
		$slowest = time - $t if time - $t > $slowest;
		$asked++;
	}
	return 0;
});
is($r->{ok}{exit_code}, 0, 'thirty megabytes of output');
is($n, 30000000, 'all of it came');
ok($asked >= 8, 'others were answered meanwhile');
ok($slowest < 1 * Sandboxd::slow_factor(), "within a second ($slowest)");
my ($rss) = slurp("/proc/$d->{pid}/status") =~ /VmRSS:\s+(\d+)/;
ok($rss < 20000 || $ENV{SANDBOXD_SANITIZED},
    "and the supervisor held none of it ($rss kB)");

# A client that does not read holds its command back, and nobody else.
$c = $d->client;
$c->send('sandbox.exec', { id => 'x', command => 'yes', timeout_ms => 3000,
    output_bytes => 1000000000 });
sleep 1;
is($d->sh('x', 'echo fine')->{stdout}, "fine\n",
    'beside a client that does not read');
my $sum = 0;
for my $pid ($d->children(qr/relay/)) {
	$sum += $1 if slurp("/proc/$pid/status") =~ /VmRSS:\s+(\d+)/;
}
ok($sum < 40000 || $ENV{SANDBOXD_SANITIZED}, "memory is bounded ($sum kB)");
$c->close;

done_testing;
