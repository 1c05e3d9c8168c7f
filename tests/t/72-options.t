# The command line of sandboxd, its configuration file, its log.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $dir = Sandboxd->scratch_dir;
my $exe = program('sandboxd');

sub with_conf {
	my ($text, @args) = @_;
	spew("$dir/conf", $text);
	return run_cmd([$exe, '-c', "$dir/conf", @args], timeout => 15);
}

my $got = run_cmd([$exe, '--version']);
is($got->{status}, 0, '--version');
like($got->{out}, qr/^sandboxd \d+\.\d+/, 'tells it');
$got = run_cmd([$exe, '--help']);
is($got->{status}, 0, '--help');
like($got->{out}, qr/usage:.*--state-dir/s, 'tells the usage');
$got = run_cmd([$exe, '--nonsense']);
is($got->{status}, 100, 'an unknown option is wrong use');
is(run_cmd([$exe, 'extra'])->{status}, 100, 'and so is an operand');
is(run_cmd([$exe, '--log-level', 'loud', '-n'])->{status}, 100, 'a bad level');
is(run_cmd([$exe, '--ready-fd', '77', '-n'])->{status}, 100,
    'a descriptor that is not open');
is(run_cmd([$exe, '-c', "$dir/none", '-n'])->{status}, 100,
    'a configuration file that is not there');

# -n checks, -C prints what is in force.
$got = with_conf("[daemon]\nlog_level = warn\n", '-n');
is($got->{status}, 0, '-n with a good file');
ok(!-e '/run/sandboxd-test', 'and nothing happens');
$got = with_conf("[daemon]\nlog_level = warn\n\n# note\n[store]\nmap_bytes = 1G\n", '-C');
is($got->{status}, 0, '-C');
like($got->{out}, qr/^\[daemon\]$/m, 'in the form of the file');
like($got->{out}, qr/^log_level = warn$/m, 'with what the file says');
like($got->{out}, qr/^log_format = text$/m, 'and what it does not');
my $printed = $got->{out};
is(with_conf($printed, '-C')->{out}, $printed, 'what -C prints can be read');
is(with_conf("[daemon]\nlog_level = warn\n", '-C', '--log-level', 'debug')->{out}
    =~ /^log_level = (\w+)/m ? $1 : '', 'debug', 'an option stands over the file');

# All mistakes at once, with their lines.
$got = with_conf("[daemon]\nlog_level = loud\ncolour = red\n[nowhere]\nx = 1\n"
    . "[store]\nmap_bytes = many\nno equals sign\n", '-n');
is($got->{status}, 100, '-n with a bad file');
for my $line (2, 3, 5, 7, 8) {
	like($got->{err}, qr/conf:$line\b/, "the mistake of line $line");
}

# Text log: one line an event; hostile words cannot forge one.
my $d = Sandboxd->start;
$d->request("evil\n2026 error sandboxd forged");
$d->request('sandbox.get', { id => "x" });
my $c = $d->client;
$c->write("{\"id\":1,\"op\":\"no\\u000aFORGED\\u001b[31m\"}\n");
$c->json;
$d->ok('sandbox.create', { id => 'l' });
my $log = slurp($d->{log});
unlike($log, qr/[\x00-\x08\x0b-\x1f\x7f-\xff]/, 'only printable bytes');
unlike($log, qr/^FORGED/m, 'no line begins with a stranger\'s words');
like($log, qr/^\d{4}-\d\d-\d\dT\S+ info sandboxd /m, 'time, level, role');
$d->stop;

# JSON log.
$d = Sandboxd->start(args => ['--log-format', 'json', '--log-level', 'debug']);
$d->ok('sandbox.create', { id => 'l' });
$d->stop;
my @lines = split /\n/, slurp($d->{log});
ok(@lines > 2, 'a JSON log has lines');
my @bad = grep { my $j = eval { from_json($_) };
    !$j || !$j->{time} || !$j->{level} || !defined $j->{message} } @lines;
is(join("\n", @bad), '', 'each is an object with time, level and message');
ok((grep { $_ =~ /"level":"debug"/ } @lines), 'at the level that was asked for');
$d = Sandboxd->start(args => ['--log-level', 'error']);
$d->ok('status');
$d->stop;
is(slurp($d->{log}), '', 'nothing at level error when all is well');

# Directories are made with rights for their owner.
$d = Sandboxd->start;
is((stat $d->{state})[2] & 06, 0,
    'the state directory can be neither read nor written by others');
is(sprintf('%o', (stat "$d->{state}/sandboxes")[2] & 0777), '700',
    'nor are the sandboxes\' files') if -d "$d->{state}/sandboxes";

# Where it can neither make nor lock anything it says what.
$got = with_conf('', '--state-dir', '/proc/nowhere', '--run-dir', "$dir/run");
is($got->{status}, 111, 'a state directory that cannot be made');
like($got->{err}, qr{/proc/nowhere}, 'is named');
$got = with_conf('', '--state-dir', "$dir/s", '--run-dir', '/proc/nowhere');
is($got->{status}, 111, 'a run directory that cannot be made');
$got = with_conf('', '--state-dir', "$dir/s", '--run-dir', "$dir/" . 'x' x 120);
isnt($got->{status}, 0, 'a run directory too long for a socket');

done_testing;
