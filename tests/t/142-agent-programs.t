# Where agents' programs are looked for, what agent.list tells of them, and that what
# is installed is seen in sandboxes, also in those that run already.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $bin = Sandboxd->scratch_dir . '/bin';
my $other = Sandboxd->scratch_dir;
mkdir($bin);

# A program that says who it is and what it was given.
sub program_file {
	my ($file, $says) = @_;

	spew($file, "#!/bin/sh\necho $says \"\$@\"\n");
	chmod(0755, $file);
	return $file;
}

# An installed version, as the courier leaves it.
sub install {
	my ($d, $id, $version, $program) = @_;
	my $dir = "$d->{state}/agents/$id";

	run_cmd(['mkdir', '-p', "$dir/$version/bin"]);
	program_file("$dir/$version/bin/$program", "installed-$version");
	unlink("$dir/new");
	symlink($version, "$dir/new");
	rename("$dir/new", "$dir/current");
}

my %agent = (name => 'T', protocol => 'acp', agent_modes => ['*']);
my $d = Sandboxd->start(env => { PATH => "$bin:/usr/bin:/bin" }, agents => {
	'tool.json' => { %agent, id => 'tool', program => 'tool-program',
	    args => ['--acp'], rank => 1, version_args => ['--version'],
	    acp => { program => 'tool-acp' }, install => { type => 'npm', package => 'tool' },
	    options => [{ id => 'model', name => 'Model', category => 'model',
		type => 'select', currentValue => 'm1', options =>
		[{ value => 'm1', name => 'M 1' }] }],
	    capabilities => { images => JSON::PP::true } },
	'fixed.json' => { %agent, id => 'fixed', program => "$other/fixed" },
	'any.json' => { %agent, id => 'any', hidden => JSON::PP::true },
});
sub about { return $d->ok('agent.list', { id => $_[0] })->{agents}[0] }

# --- what is told ----------------------------------------------------------------

my $all = $d->ok('agent.list')->{agents};
is($all->[0]{id}, 'tool', 'by rank');
ok(!(grep { $_->{id} eq 'any' } @$all), 'hidden ones are left out');
ok((grep { $_->{id} eq 'any' } @{$d->ok('agent.list',
    { all => JSON::PP::true })->{agents}}), 'unless all are asked for');
is(about('any')->{id}, 'any', 'or one is named');
is($d->error('agent.list', { id => 'none' }), 'agent_unknown', 'or none');
my @reference = grep { /^(?:claude|codex|opencode|amp|pi|cursor|mock)$/ }
    map { $_->{id} } @$all;
is("@reference", 'claude codex opencode amp pi cursor mock',
    'those that everybody knows, in their order');

my $t = about('tool');
is_deeply([@$t{qw(name protocol program rank)}], ['T', 'acp', 'tool-program', 1],
    'from the definition');
is(scalar(keys %{$t->{capabilities}}), 18, 'all capabilities');
ok($t->{capabilities}{images} && !$t->{capabilities}{reasoning},
    'those that it has, and those that it has not');
is($t->{options}[0]{currentValue}, 'm1', 'options');
is_deeply($t->{permission_modes}, ['default'], 'the modes that go without saying');
is_deeply($t->{agent_modes}, ['*'], 'and those that are said');
ok(!$t->{installed} && !$t->{askable}, 'not installed');
ok($t->{installable}, 'but there is a recipe');
is($t->{path}, undef, 'no path');
is($t->{servers}, 0, 'no servers');
ok(about('any')->{installed}, 'one that stands for any program is there');
my $m = about('mock');
ok($m->{installed} && !$m->{askable}, 'so is the mock');
is($m->{version}, 'builtin', 'which is built in');

# --- where it is looked for ------------------------------------------------------

is($d->error('session.create', { agent => 'fixed', install => JSON::PP::false }),
    'agent_not_installed', 'no program');
program_file("$other/fixed", 'fixed');
is(about('fixed')->{path}, "$other/fixed", 'an absolute path');
program_file("$bin/tool-program", 'on-path');
is(about('tool')->{path}, "$bin/tool-program", 'along PATH');
ok(about('tool')->{installed} && about('tool')->{askable}, 'which can be asked');
is(about('tool')->{version}, undef, 'a version that nobody knows');

$d->ok('sandbox.create', { id => 'early' });
my $seen = $d->sh('early', "$bin/tool-program x; $other/fixed y");
is($seen->{stdout}, "on-path x\nfixed y\n",
    'programs from elsewhere are seen in sandboxes');
isnt($d->sh('early', "touch $bin/new")->{exit_code}, 0, 'and cannot be written');

install($d, 'tool', '1.2.3', 'tool-program');
$t = about('tool');
is($t->{path}, "$d->{state}/agents/tool/current/bin/tool-program",
    'an installed one goes before PATH');
is($t->{version}, '1.2.3', 'with its version');
my $inside = '/run/sandboxd/agents';
my $tool = "$inside/tool/current/bin/tool-program";
is($d->sh('early', "$tool z")->{stdout}, "installed-1.2.3 z\n",
    'and is there at once in a sandbox that runs');
install($d, 'tool', '1.10.0', 'tool-program');
$t = about('tool');
is_deeply($t->{versions}, ['1.2.3', '1.10.0'], 'several versions side by side');
is($t->{version}, '1.10.0', 'one in use');
is($d->sh('early', "$tool z")->{stdout}, "installed-1.10.0 z\n",
    'the new one, by the same path');
isnt($d->sh('early', "touch $inside/tool/x")->{exit_code}, 0,
    'it is read-only');
isnt($d->sh('early', "mkdir $inside/evil")->{exit_code}, 0, 'all of it');
isnt($d->sh('early', "rm $inside/tool/current")->{exit_code}, 0, 'links, too');
isnt($d->sh('early', "mount -o remount,rw $inside")->{exit_code}, 0,
    'and it stays so');
isnt($d->sh('early', "ls $d->{state}")->{exit_code}, 0,
    'the state directory is not there');
is($d->sh('early', "cd $inside && ls .. && ls ../..")->{stdout} =~
    /store|lock|sandboxes/ ? 1 : 0, 0, 'nor what lies beside what was installed');

# What is under way is nothing that a sandbox would take for a version.
run_cmd(['mkdir', '-p', "$d->{state}/agents/tool/.tmp-x/bin"]);
program_file("$d->{state}/agents/tool/.tmp-x/bin/tool-program", 'half');
is_deeply(about('tool')->{versions}, ['1.2.3', '1.10.0'],
    'what is being made is no version');
is($d->sh('early', "$tool z")->{stdout}, "installed-1.10.0 z\n", 'nor in use');

# A sandbox with a mount of its own in that place has no installed agents.
my $run = Sandboxd->scratch_dir(0755);
$d->ok('sandbox.create', { id => 'taken', mounts =>
    [{ source => $run, target => '/run', mode => 'rw' }] });
is($d->sh('taken', "ls $inside")->{exit_code} == 0 ? 1 : 0, 0,
    'a mount of its own at /run goes first');
is_deeply([glob("$run/*")], [], 'and nothing is made in it');

# As a user of the sandbox that is not root.
$d->ok('sandbox.create', { id => 'user', user => '1000' });
is($d->sh('user', "$tool u")->{stdout}, "installed-1.10.0 u\n",
    'anybody in a sandbox can run it');

# A link that leads nowhere is no program.
unlink("$d->{state}/agents/tool/current");
symlink('9.9.9', "$d->{state}/agents/tool/current");
is(about('tool')->{path}, "$bin/tool-program", 'a version that is gone');
unlink("$bin/tool-program");
spew("$bin/tool-program", 'no program');
is(about('tool')->{path}, undef, 'a file that cannot be run');

# --- a directory of installed agents elsewhere, that several daemons share -------

my $shared = Sandboxd->scratch_dir(0755) . '/below/agents';
my @two = map { Sandboxd->start(conf => "[agent]\ninstalled_dir = $shared\n",
    agents => { 'tool.json' => { %agent, id => 'tool', program => 'tool-program' } })
} 1 .. 2;
ok(-d $shared, 'it is made');
ok(!-e "$two[0]{state}/agents", 'and nothing in the state directory');
run_cmd(['mkdir', '-p', "$shared/tool/3.1/bin"]);
program_file("$shared/tool/3.1/bin/tool-program", 'shared');
symlink('3.1', "$shared/tool/current");
for (@two) {
	is($_->ok('agent.list', { id => 'tool' })->{agents}[0]{path},
	    "$shared/tool/current/bin/tool-program", 'it is there');
	$_->ok('sandbox.create', { id => 's' });
	is($_->sh('s', $tool)->{stdout}, "shared\n", 'for the sandboxes of both');
}
my $bad = Sandboxd->scratch_dir . '/conf';
spew($bad, "[agent]\ninstalled_dir = here\n");
my $r = run_cmd([program('sandboxd'), '-c', $bad, '-n'], timeout => 20);
like($r->{err}, qr/installed_dir: 'here' is not an absolute path/, 'a relative one');

done_testing;
