# A10: TIOCSTI and TIOCLINUX put words into a terminal as if its user had typed
# them. With and without a terminal both are refused, also with the upper half of
# the argument set; and the terminal inside is not the caller's.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
my @calls = qw(TIOCSTI TIOCSTI:high TIOCLINUX TIOCLINUX:high);
my $d = Sandboxd->start;
my $probe = Sandboxd->probe_mount;

# Outside, as root, the first succeeds on the same program's own terminal.
my %out = map { /^(\S+) (.*)$/ ? ($1 => $2) : () }
    split /\n/, run_cmd([$probe->{source}, 'terminal'])->{out};
is($out{TIOCSTI}, 'ok', 'outside, typing into a terminal works');

$d->ok('sandbox.create', { id => 't', mounts => [$probe] });
sub refused {
	my ($name, $text) = @_;
	my %said = map { /^(\S+) (\S+)/ ? ($1 => $2) : () } split /\r?\n/, $text;
	like($said{$_} // 'nothing', qr/^(?:EPERM|EACCES)$/, "$name: $_") for @calls;
	return \%said;
}
for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	refused("$who, no terminal", $d->exec('t', ['/opt/probe', 'terminal'], %$as)->{stdout});
	my $p = $d->ok('process.create', { id => 't', command => ['/opt/probe', 'terminal'],
	    tty => \1, %$as });
	$d->ok('process.wait', { id => 't', process => $p->{process}, timeout_ms => 20000 });
	my $said = refused("$who, a terminal", $d->ctl(['logs', 't', $p->{process}])->{out});
	like($said->{'TIOCSTI:stdin'}, qr/^(?:EPERM|EACCES)$/, "$who: into its own input");
}

# From a terminal of ours: the one inside is another, in a session of its own.
my $r = run_cmd(['script', '-qec', 'tty; ' . join(' ', program('sandboxctl'), '--socket', $d->{socket},
    'exec', '-t', 't', 'sh', '-c', q{'tty; stat -Lc %t:%T /proc/self/fd/0; ps -o sid=,pid= -p $$'}),
    '/dev/null']);
my ($ours, $theirs, $dev, $ids) = split /\s*\r?\n/,
    $r->{out} =~ s/\^@//r;	# what script(1) makes of the end of its input
like($theirs, qr{^/dev/pts/\d+$}, 'it has one');
my $st = run_cmd(['sh', '-c', 'stat -fc %i /dev/pts'])->{out};
isnt($d->exec('t', ['stat', '-fc', '%i', '/dev/pts'])->{stdout}, $st, 'of a devpts of its own');
my ($sid, $pid) = split ' ', $ids;
is($sid, $pid, 'and a session of its own');
# Without -t the caller's terminal does not come inside at all.
$r = run_cmd(['script', '-qec', join(' ', program('sandboxctl'), '--socket', $d->{socket}, 'exec',
    't', 'sh', '-c', q{'for f in 0 1 2; do readlink /proc/self/fd/$f; done; echo x >/dev/tty || echo none'}),
    '/dev/null']);
unlike($r->{out}, qr{/dev/pts|/dev/tty\d}, 'without -t there is no terminal inside');
like($r->{out}, qr/none/, 'not even by its name');
done_testing;
