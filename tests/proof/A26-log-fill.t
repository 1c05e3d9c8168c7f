# A26: output without end fills nothing of ours: a command's is capped and dropped, a
# managed process's log keeps its size, the entrypoint's goes nowhere.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Bounds;
use Sandboxd::Proof;
use Test::More;

need_root();
my $d = Sandboxd->start(http => 1);
my $mb = rounds(60);
my $cap = 16 << 20;
sub disk { my ($k) = split ' ', `du -sk $d->{state}`; return $k }

# It is the cap that stops it: with a greater one all comes.
$d->ok('sandbox.create', { id => 'a', entrypoint => ['sh', '-c', "yes | head -c ${mb}M"] });
my $r = $d->exec('a', ['sh', '-c', "yes | head -c " . ($cap + 1000000)],
    output_bytes => $cap * 2);
is(length $r->{stdout}, $cap + 1000000, 'beyond the usual cap, when that is asked for');

my ($rss, $disk) = (rss_of($d), disk());
my $c = $d->client;
my $id = $c->send('sandbox.exec', { id => 'a', command => ['sh', '-c',
    "yes | head -c ${mb}M & yes | head -c ${mb}M >&2; wait"] });
my ($got, $most) = (0, 0);
my $end = $c->finish($id, timeout => 120, forget => 1, on_item => sub {
	$got += length($_[0]{$_} // '') for qw(stdout stderr);
	my $now = rss_of($d);
	$most = $now if $now > $most;
	return 0;
});
is($end->{ok}{exit_code}, 0, "a command that prints twice $mb MiB ends well");
ok($end->{ok}{truncated}, 'its end says that output was dropped');
ok($got <= $cap * 4 / 3 + 100000, 'no more than the cap came (' . ($got >> 20) . ' MiB)');
ok($most - $rss < 16000 * Sandboxd::slow_factor(), "ours grew by " . ($most - $rss) . ' KiB');

# A managed process.
my $p = $d->http(POST => '/i/a/v1/processes', json => { command => 'sh', args => ['-c',
    "yes | head -c ${mb}M; echo last"] });
is($p->{status}, 200, 'a managed process') or diag(to_json($p));
ok(wait_for(120, sub {
	($d->http(GET => "/i/a/v1/processes/$p->{json}{id}")->{json}{status} // '') eq 'exited' }),
    'prints all of it and ends: nobody has to read');
my $logs = $d->http(GET => "/i/a/v1/processes/$p->{json}{id}/logs");
ok(length $logs->{body} < 32 << 20, 'its log kept ' . (length($logs->{body}) >> 20) . ' MiB');
ok(rss_of($d) - $rss < 32000 * Sandboxd::slow_factor(), 'ours are no larger');
ok(disk() - $disk < 40000, 'nor is what we keep on the disk');
is($d->sh('a', 'echo on')->{stdout}, "on\n", 'the sandbox goes on');
done_testing;
