# A16: a supervisor that was started with 300 stray descriptors, none of them
# close-on-exec: what it starts has 0, 1 and 2, whichever way it was started.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Test::More;

need_root();
my $dir = Sandboxd->scratch_dir;
spew("$dir/strays", <<'P');
use POSIX ();
for (1 .. 300) { POSIX::open('/dev/null') // die }	# not close-on-exec
exec { $ARGV[0] } @ARGV;
P
my @wrap = ($^X, "$dir/strays");
my $list = 'ls /proc/self/fd | sort -n | tr "\n" " "';

# Where nobody takes care they arrive.
my $bare = run_cmd([@wrap, 'sh', '-c', $list])->{out};
ok(scalar(split ' ', $bare) > 300, 'a plain child has the strays');

my $d = Sandboxd->start(wrap => \@wrap, http => 1, token => 'secret');
$d->ok('sandbox.create', { id => 'x', entrypoint => ['sh', '-c', "$list >/tmp/entry.new; mv /tmp/entry.new /tmp/entry; sleep 600"] });
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'x' });
# More of our own: connections, which the supervisor accepts.
my @clients = map { $d->client } 1 .. 60;
$_->request('status') for @clients;

my $want = '0 1 2 3 ';	# 3 is that of ls itself
is($d->sh('x', $list)->{stdout}, $want, 'sandbox.exec, by the relay');
is($d->ctl(['exec', 'x', 'sh', '-c', $list])->{out}, $want, 'with the client\'s pipes');
my $tty = run_cmd(['script', '-qec', join(' ', program('sandboxctl'), '--socket', $d->{socket},
    'exec', '-t', 'x', 'sh', '-c', "'$list'"), '/dev/null']);
like($tty->{out}, qr/^(?:\^@)?0 1 2 3 \r?$/m, 'on a terminal');
for ([], ['tty'], ['input']) {
	my $p = $d->ok('process.create', { id => 'x', command => $list, map { $_ => \1 } @$_ });
	$d->ok('process.wait', { id => 'x', process => $p->{process}, timeout_ms => 20000 });
	is($d->ctl(['logs', 'x', $p->{process}])->{out} =~ s/\r//gr, $want, "process.create @$_");
}
ok(wait_for(10, sub { $d->sh('x', 'cat /tmp/entry')->{stdout} eq $want }), 'the entrypoint')
    or diag($d->sh('x', 'cat /tmp/entry')->{stdout});
my @e = $d->turn('s', "run $list");
my ($text) = map { item_text($_) } grep { $_->{type} eq 'item.completed'
    && $_->{data}{item}{kind} eq 'tool_result' } @e;
is($text =~ s/\s+$//r, $want =~ s/ $//r, 'what an agent starts');
my $r = $d->http('POST', '/i/x/v1/processes/run', json => { command => 'sh', args => ['-c', $list] });
is(($r->{json}{stdout} // '') =~ s/\s+$//r, $want =~ s/ $//r, 'over HTTP') or diag($r->{body});

# Those that serve inside have what is documented: init, its errands, a worker.
my %open = map { my ($pid) = $_; $pid => scalar(glob("/proc/$pid/fd/*") ? () = glob("/proc/$pid/fd/*") : 0) }
    grep { (slurp("/proc/$_/cmdline") // '') =~ /^sandboxd-(?:init|session)/ } descendants($d->{pid});
ok(keys %open >= 2, 'an init and a worker are there');
is(join(' ', grep { $_ > 24 } values %open), '', 'neither has the strays') or diag(to_json(\%open));
done_testing;
