# Processes under load and abuse: floods, many at a time, trees, a full disk, and
# the memory of init and gateway meanwhile; a sandbox that stops.
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

sub create { my ($script, %o) = @_;
	return $d->http(POST => $p, json => { command => 'sh', args => ['-c', $script], %o })->{json} }
sub sh { my ($script, %o) = @_;
	return $d->http(POST => "$p/run", json => { command => 'sh', args => ['-c', $script], %o })->{json} }
sub get { return $d->http(GET => "$p/$_[0]")->{json} }
sub all { return @{$d->http(GET => $p)->{json}{processes}} }
sub kill_all { $d->http(POST => "$p/$_->{id}/kill")
    for grep { $_->{status} eq 'running' } all() }
sub running { my ($title) = @_;
	return grep { (slurp("/proc/$_/cmdline") // '') =~ /\A\Q$title\E/ } descendants($d->{pid}) }
sub pss { my ($pid) = @_;
	my ($kb) = (slurp("/proc/$pid/smaps_rollup") // '') =~ /^Pss:\s+(\d+)/m;
	return $kb // 0 }

is(sh('true')->{exitCode}, 0, 'a sandbox');
my ($init) = running('sandboxd-init');
ok($init, 'its init');
my $small = pss($init);

# --- floods -----------------------------------------------------------------

my @flood = map { create('yes flood & yes flood >&2')->{id} } 1 .. 3;
sleep 1;
my $at = time;
is(sh('echo quick')->{stdout}, "quick\n", 'a run beside three floods');
cmp_ok(time - $at, '<', 3 * slow_factor(), 'is served');
my $r = $d->http(GET => "$p/$flood[0]/logs?tail=5");
is(scalar @{$r->{json}{entries}}, 5, 'so is a log');
cmp_ok(pss($init), '<', $small + 1500, 'init holds none of it in memory')
    unless $ENV{SANDBOXD_SANITIZED};
$r = $d->http(GET => "$p/$flood[0]/logs", timeout => 60);
my $bytes = 0;
$bytes += length decode_base64($_->{data}) for @{$r->{json}{entries}};
cmp_ok($bytes, '<=', 10 << 20, 'a log is bounded');
my $kb = sh('df -k / | tail -1')->{stdout};
kill_all();
is_deeply([grep { get($_)->{status} ne 'exited' } @flood], [], 'floods are ended');
$d->http(DELETE => "$p/$_") for @flood;

# --- many -------------------------------------------------------------------

my @many = map { create('exec sleep 1000') } 1 .. 64;
is(scalar(grep { defined $_->{pid} } @many), 64, 'as many as are allowed');
is($d->http(POST => $p, json => { command => 'true' })->{status}, 409, 'not one more');
my %pid = map { $_->{pid} => 1 } @many;
is(scalar keys %pid, 64, 'each with a pid of its own');
kill_all();
is(scalar(grep { $_->{status} eq 'running' } all()), 0, 'all ended');
is($d->http(DELETE => "$p/$_->{id}")->{status}, 204, 'deleted') for @many[0 .. 3];
my ($last) = map { create('exit 0')->{id} } 1 .. 300;
ok(wait_for(10, sub { get($last)->{status} eq 'exited' }), 'three hundred short ones');
my ($fds) = sh('ulimit -n')->{stdout} =~ /(\d+)/;
cmp_ok(scalar(@{[glob "/proc/$init/fd/*"]}), '<', 200, 'leave no descriptors behind');

# Forgotten, oldest first, when there are too many to remember.
create('exit 0') for 1 .. 800;
my @kept = all();
cmp_ok(scalar @kept, '<=', 1024, 'records are bounded');
is($d->http(GET => "$p/$many[10]{id}")->{status}, 404, 'the oldest are forgotten');
cmp_ok(pss($init), '<', $small + 3000, 'and init stays small')
    unless $ENV{SANDBOXD_SANITIZED};

# --- zombies and trees --------------------------------------------------------

is(sh('i=0; while [ $i -lt 300 ]; do (sh -c "sleep 0 &" ); i=$((i+1)); done; echo ok')->{stdout}, "ok\n", 'orphans in a run');
sleep 0.3;
is(sh('ps ax -o stat | grep -c ^Z; true')->{stdout}, "0\n", 'leave no zombies');
my $tree = create('sh -c "sleep 81 & sleep 81" & sh -c "setsid sh -c \"sleep 81 & sleep 81\"" & sleep 81')->{id};
sleep 0.3;
is(sh('ps ax -o args | grep -c "^sleep 81"; true')->{stdout}, "5\n", 'a tree');
$d->http(POST => "$p/$tree/kill");
ok(wait_for(5, sub { sh('ps ax -o args | grep -c "^sleep 81"; true')->{stdout} eq "0\n" }), 'is ended whole');
ok(sh('perl -e \'$SIG{TERM}=$SIG{HUP}="IGNORE"; for (1..4) { fork } sleep 82\'', timeoutMs => 500)->{timedOut},
    'a bush that ignores signals');
ok(wait_for(5, sub { sh('ps ax -o args | grep -c "sleep 8[2]"; true')->{stdout} eq "0\n" }), 'is ended, too');

# --- what a command can see and do --------------------------------------------

is(sh('ls -l /proc/self/fd | grep -c -- "->"')->{stdout}, "4\n", 'it has three descriptors (and the one of ls)');
$r = create('ls -l /proc/self/fd | grep -c -- "->"; cat /proc/self/status | grep -E "^(SigBlk|SigIgn|NoNewPrivs)"');
ok(wait_for(5, sub { get($r->{id})->{status} eq 'exited' }), 'a managed one');
my $text = join '', map { decode_base64($_->{data}) } @{$d->http(GET => "$p/$r->{id}/logs")->{json}{entries}};
like($text, qr/^4\nSigBlk:\s+0+\nSigIgn:\s+0+\nNoNewPrivs:\s+1\n/, 'has the same, no signal blocked or ignored');
like(sh('grep -E "^(SigBlk|SigIgn)" /proc/self/status')->{stdout}, qr/^SigBlk:\s+0+\nSigIgn:\s+0+\n/, 'nor a run');
sh('kill -KILL 1; kill -TERM 1; kill -STOP 1');
is(sh('echo alive')->{stdout}, "alive\n", 'init cannot be killed');
is(sh('echo x >/proc/1/fd/3; echo $?')->{stdout}, "2\n", 'nor spoken to');

# --- hostile requests -----------------------------------------------------------

for my $body ('{"command":"x","args":[' . '[' x 5000, '{"command":"x","env":{' . join(',', map { "\"A$_\":\"\"" } 1 .. 2000) . '}}',
    '{"command":"x","args":[' . join(',', ('""') x 5000) . ']}', '{"command":"' . "\xff\xfe" . '"}',
    '{"command":"x","command":"y"}') {
	my $s = $d->http(POST => "$p/run", body => $body, headers => { 'Content-Type' => 'application/json' })->{status};
	ok($s >= 400 && $s < 500, 'refused: ' . substr($body, 0, 30) =~ s/[^ -~]/?/gr) or diag($s);
}
for my $env ({ '' => 'x' }, { 'A=B' => 'x' }) {
	my $s = $d->http(POST => "$p/run", json => { command => 'true', env => $env })->{status};
	ok($s == 400 || $s == 502, 'a variable without a name');
}
is(sh('echo still here')->{stdout}, "still here\n", 'still here');

# --- the sandbox stops ----------------------------------------------------------

my $c = $d->http_client;
my $run = to_json({ command => 'sleep', args => ['1000'] });
$c->write("POST $p/run HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
    . length($run) . "\r\n\r\n$run");
my $stay = create('sleep 1000')->{id};
my $f = $d->http_client;
$f->write("GET $p/$stay/logs?follow=true HTTP/1.1\r\nHost: x\r\n\r\n");
is($f->head->{status}, 200, 'followed');
my $w = $d->http_client;
$w->write("POST $p/$stay/stop?waitMs=20000 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
sleep 0.3;
$d->ok('sandbox.stop', { id => 'default' });
$r = $c->response;
ok($r->{status} == 200 || $r->{status} == 503, 'a run under way is answered') or diag($r->{body} // $r->{broken});
is($f->chunk, '', 'what was followed ends');
ok(defined $w->response->{status}, 'who waited is answered');
is(sh('echo again')->{stdout}, "again\n", 'the next request starts it again');
is_deeply([all()], [], 'without the old processes');

$d->stop;

# --- a full disk ----------------------------------------------------------------

# The log must never cost the process that prints, nor a follower what is live.
my $disk = Sandboxd->scratch_dir;
is(system('mount', '-t', 'tmpfs', '-o', 'size=48m', 'tmpfs', $disk), 0, 'a small disk');
my $owner = $$;
END { system('umount', '-l', $disk) if $disk && $$ == $owner }
$d = Sandboxd->start(http => 1, state => "$disk/state",
    conf => "[sandbox]\ndisk_reserve = 0\n");
my $full = create('read x; i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); sleep 0.0005; done; exit 9')->{id};
my $fill = sh('cat /dev/zero >/fill 2>/dev/null; echo x >/one-more && echo room')->{stdout};
is($fill, '', 'is full');
my $v = $d->http_client;
$v->write("GET $p/$full/logs?follow=true HTTP/1.1\r\nHost: x\r\n\r\n");
is($v->head->{status}, 200, 'followed');
$d->http(POST => "$p/$full/input", json => { data => "\n", encoding => 'text' });
ok(wait_for(30, sub { get($full)->{status} eq 'exited' }), 'a process that prints goes on');
is(get($full)->{exitCode}, 9, 'to its end');
my $seen = '';
while (defined(my $chunk = $v->chunk(1))) { $seen .= $chunk }
my @lines = map { decode_base64(from_json($_)->{data}) } $seen =~ /^data: (.*)$/mg;
is(join('', @lines), join('', map { "line $_\n" } 0 .. 1999), 'and who follows sees it all');
sh('rm /fill');
is(sh('echo room')->{stdout}, "room\n", 'and all is well again');
$d->stop;
done_testing();
