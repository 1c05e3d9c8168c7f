# Installations that do not fit: a disk that is full, limits, too many at once.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Registry;
use Test::More;

need_root();
my $r = Sandboxd::Registry->new;
my $def = \&Sandboxd::Registry::definition;
srand(11);
my $noise = join('', map { chr 33 + int rand 90 } 1 .. 400_000) x 4;
my %script = (b => "#!/bin/sh\necho ok\n");
$r->publish('small', '1.0.0', { bin => 'b' }, { %script });
$r->publish('large', '1.0.0', { bin => 'b' }, { %script,
    map { ("f$_" => $noise . $_) } 1 .. 4 });
# Large only when it is unpacked.
$r->publish('dense', '1.0.0', { bin => 'b' }, { %script,
    map { ("z$_" => "\0" x 3_000_000) } 1 .. 3 });
$r->start;

my @agents = map { $def->($_, type => 'npm', package => $_) } qw(small large dense);
my $conf = "[courier]\nnpm_registry = " . $r->url . "\n";

sub failure {
	my ($d, $id) = @_;
	my $e = $d->request('agent.install', { id => $id }, timeout => 60)
	    ->{error} // {};
	return ($e->{code} // 'none') . ': ' . ($e->{detail} // '');
}

sub clean {
	my ($d) = @_;
	return !grep { -e } map { glob("$d->{state}/agents/$_/.tmp*") }
	    qw(small large dense);
}

# --- a limit of ours ----------------------------------------------------------------

my $d = Sandboxd->start(conf => $conf . "max_bytes = 5M\n", agents => { @agents });
like(failure($d, 'dense'), qr/^install_failed: install dense: dense 1\.0\.0: unpack: more than the 5242880 bytes that courier\.max_bytes allows$/,
    'more than courier.max_bytes when unpacked');
ok(clean($d), 'nothing is left');
is(failure($d, 'small'), 'none: ', 'what fits is installed');
$d->stop;
$d = Sandboxd->start(conf => $conf . "max_bytes = 64K\n", agents => { @agents });
like(failure($d, 'large'), qr/^install_failed: .*GET .*longer than there is room for$/,
    'more than that before it is unpacked');
$d->stop;

# --- a full disk --------------------------------------------------------------------

my $disk = Sandboxd::scratch_dir();
SKIP: {
	system('mount', '-t', 'tmpfs', '-o', 'size=6m,mode=755', 'tmpfs', $disk) == 0
	    or skip 'no tmpfs here', 7;
	mkdir("$disk/state", 0700);
	$d = Sandboxd->start(conf => $conf, state => "$disk/state",
	    agents => { @agents });
	is(failure($d, 'small'), 'none: ', 'on a small disk');
	my $got = failure($d, 'large');
	like($got, qr/^disk_full: install large: large 1\.0\.0: .*No space left on device$/,
	    'what does not fit is told, with what and where');
	$got = failure($d, 'dense');
	like($got, qr/^disk_full: .*unpack z\d: No space left/, 'also in the midst of a file');
	ok(clean($d), 'what was unpacked is gone');
	is(readlink("$disk/state/agents/small/current"), '1.0.0',
	    'what is installed stays');
	is($d->ok('status')->{version} ne '', 1, 'and sandboxd goes on');
	unlink(glob("$disk/state/agents/.partial/*"));
	is(failure($d, 'small'), 'none: ', 'so does the courier');
	$d->stop;
	system('umount', $disk) == 0 or diag('the disk stays mounted');
}

# --- directories that were tampered with -------------------------------------------------

$d = Sandboxd->start(conf => $conf, agents => { @agents });
my $agents = "$d->{state}/agents";
symlink('/tmp', "$agents/small");
like(failure($d, 'small'), qr/^install_failed: .*open directory small/,
    'a link in place of a directory is not followed');
unlink("$agents/small");
is(failure($d, 'small'), 'none: ', 'without it all is well');

# The courier is nobody: it cannot write what it does not own.
my ($pid) = $d->children(qr/courier/);
my $status = slurp("/proc/$pid/status");
unlike($status, qr/^Uid:\s+0\b/m, 'not root');
like($status, qr/^CapBnd:\s+0+$/m, 'without capabilities');
like($status, qr/^Groups:\s*$/m, 'in no group');
like($status, qr/^NoNewPrivs:\s+1$/m, 'for good');
like($status, qr/^Seccomp:\s+2$/m, 'confined to its calls') unless
    $ENV{SANDBOXD_SANITIZED};
my ($rss) = $status =~ /^VmHWM:\s+(\d+)/m;
cmp_ok($rss, '<', 60_000, 'small') unless $ENV{SANDBOXD_SANITIZED};
my @open = map { readlink("/proc/$pid/fd/$_") // () } 0 .. 40;
is_deeply([grep { m{^/} && !m{^/dev/null$|^\Q$agents\E|^\Q$d->{dir}\E/log$} } @open],
    [], 'no file of others is open in it');
$d->stop;

# --- it goes when it is not needed --------------------------------------------------------

$d = Sandboxd->start(conf => $conf . "idle_time = 300ms\n", agents => { @agents });
is(scalar $d->children(qr/courier/), 0, 'there is no courier before it is needed');
is(failure($d, 'small'), 'none: ', 'it is started when it is');
ok(wait_for(20, sub { !$d->children(qr/courier/) }), 'and ends when it is idle');
unlike(slurp($d->{log}), qr/proc: lost/, 'which is no loss');
is(failure($d, 'dense'), 'none: ', 'until the next time');

unlike(slurp($d->{log}), qr/proc: lost|runtime error|Sanitizer/, 'no process was lost');
ok($d->stop, 'ends');
is_deeply([$d->leftovers], [], 'and leaves nothing');
done_testing;
