# sandboxctl agents ls, report, reload and install: for people and as JSON.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $bin = Sandboxd->scratch_dir;
my $evil = "evil\e[31mname";
spew("$bin/there", "#!/bin/sh\n");
chmod(0755, "$bin/there");
my $d = Sandboxd->start(env => { PATH => "$bin:/usr/bin:/bin", KEY_API_KEY => 'k' },
    agents => {
	'there.json' => { id => 'there', name => 'There', protocol => 'acp', rank => 1,
	    program => 'there', credentials => ['key'], pass_env => ['KEY_API_KEY'],
	    options => [{ id => 'm', name => 'Model', category => 'model',
		type => 'select', currentValue => 'm2', options =>
		[{ value => 'm2', name => 'Two' }, { value => 'm1', name => 'One' }] }],
	    capabilities => { images => JSON::PP::true } },
	'absent.json' => { id => 'absent', name => $evil, protocol => 'acp', rank => 2,
	    program => 'absent-program', credentials => ['nobody'] },
	'player.json' => { id => 'player', name => 'P', protocol => 'mock',
	    pass_env => ['MINE_*'] },
	'secret.json' => { id => 'secret', name => 'S', protocol => 'acp',
	    hidden => JSON::PP::true },
});

sub ctl {
	my (@words) = @_;
	return run_cmd([program('sandboxctl'), '--socket', $d->{socket}, @words],
	    timeout => 30);
}

# --- ls --------------------------------------------------------------------------

my $got = ctl('agents', 'ls');
is($got->{status}, 0, 'agents ls');
my %line = map { /^(\S+)/ ? ($1 => $_) : () } split /\n/, $got->{out};
like($got->{out}, qr/^ID +NAME +INSTALLED +VERSION/, 'a table');
like($line{there}, qr{There +yes +- +acp +there +\Q$bin\E/there}, 'what is there');
like($line{absent}, qr{by hand only .* missing +absent-program}, 'what is not');
like($line{mock}, qr{yes +builtin +mock +none needed}, 'what is built in');
ok(!$line{secret}, 'hidden ones are left out');
unlike($got->{out}, qr/\e/, 'names are cleaned');
like(ctl('agents', 'ls', '--all')->{out}, qr/^secret /m, '--all');
my @ids = split /\n/, ctl('agents', 'ls', '-q')->{out};
is("@ids[0, 1]", 'there absent', '-q tells ids, by rank');
my $json = from_json(ctl('--json', 'agents', 'ls')->{out});
is_deeply([map { $_->{id} } @{$json->{agents}}], \@ids, '--json');

# --- report ----------------------------------------------------------------------

$got = ctl('--json', 'agents', 'report', '--no-ask');
is($got->{status}, 0, 'agents report');
my $report = from_json($got->{out});
ok($report->{generatedAtMs} > 1.7e12, 'when it was made');
is($report->{endpoint}, $d->{socket}, 'of whom');
my %of = map { $_->{id} => $_ } @{$report->{agents}};
is_deeply($of{there}{models}, { currentValue => 'm2', values => [
    { value => 'm1', name => 'One' }, { value => 'm2', name => 'Two' }] },
    'models, sorted, and the one that is in use');
is_deeply($of{there}{thoughtLevels}, { values => [] }, 'no thought levels');
ok($of{there}{installed} && !$of{absent}{installed}, 'what is installed');
ok($of{there}{capabilities}{images}, 'capabilities');
$got = ctl('agents', 'report', '--no-ask');
like($got->{out}, qr/^there  installed\n  models: m1 \*m2\n  can: images\n/m,
    'and for people');

# --- run -------------------------------------------------------------------------

# What `run` does not know of an agent itself it learns from its definition.
$got = run_cmd([program('sandboxctl'), '--socket', $d->{socket}, 'run', 'player',
    '--no-dir', 'run echo =$MINE_A=$OTHER='], timeout => 60,
    env => { MINE_A => 'mine', OTHER => 'other' });
is($got->{status}, 0, 'sandboxctl run with any agent') or diag($got->{err});
like($got->{out}, qr/=mine==/, 'passes on the variables that its definition lists');
$got = run_cmd([program('sandboxctl'), '--socket', $d->{socket}, 'run', 'nobody',
    '--no-dir', 'x'], timeout => 60);
like($got->{err}, qr/no such agent: nobody/, 'an agent that nobody knows');

# --- reload ----------------------------------------------------------------------

my $all = () = ctl('agents', 'ls', '-a', '-q')->{out} =~ /\n/g;
$d->agent_file('new.json', { id => 'new', name => 'N', protocol => 'mock' });
$got = ctl('agents', 'reload');
is($got->{status}, 0, 'agents reload');
is($got->{out}, ($all + 1) . " agents\n", 'tells how many');
$d->agent_file('new.json', "{\n\n\"id\": 1}");
$got = ctl('agents', 'reload');
isnt($got->{status}, 0, 'a bad file');
like($got->{err}, qr{/new\.json:3: field id}, 'is told with its line');

# --- install ---------------------------------------------------------------------

$got = ctl('agents', 'install', 'mock');
is("$got->{status} $got->{out}", "0 mock is built in\n", 'what needs no installation');
$got = ctl('agents', 'install', 'there');
is($got->{status}, 1, 'what has no recipe');
like($got->{err}, qr/there: its definition has no recipe/, 'is told so');
$got = ctl('agents', 'install', 'none');
like($got->{err}, qr/no such agent: none/, 'what there is not');
$got = ctl('agents', 'install', 'mock', 'there');
is("$got->{status} $got->{out}", "1 mock is built in\n",
    'one that fails does not stop the others');
is(ctl('agents', 'install')->{status}, 100, 'none at all');
is(ctl('agents', 'install', '--all', 'mock')->{status}, 100, 'all and one');
is(ctl('agents', 'install', '--agent-version', '1', 'mock', 'there')->{status}, 100,
    'a version of two');
is(from_json(ctl('--json', 'agents', 'install', 'mock')->{out})->{builtin},
    JSON::PP::true, '--json');
is(ctl('agents', 'fly')->{status}, 100, 'an unknown word');

done_testing;
