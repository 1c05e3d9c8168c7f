# An agent that is missing is installed when a session first names it: once for all
# who ask, not where that is forbidden, and for an ACP server only when its program is
# not in the sandbox either. Packages come from a directory.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
need_program('tar', 'gzip');
-x program('sandboxd-courier') or Sandboxd::plan_skip('sandboxd-courier is not built');
my $mirror = Sandboxd->scratch_dir;

# A package with one program that cannot do much: it ends at once.
sub package_file {
	my ($name, $version) = @_;
	my $dir = Sandboxd->scratch_dir;

	mkdir("$dir/package");
	spew("$dir/package/package.json", to_json({ name => $name,
	    version => $version, bin => { $name => 'run.sh' } }));
	spew("$dir/package/run.sh", "#!/bin/sh\necho $name $version\n");
	chmod(0755, "$dir/package/run.sh");
	run_cmd(['tar', '-C', $dir, '-czf', "$mirror/$name-$version.tgz", 'package'])
	    ->{status} == 0 or die "tar\n";
}
package_file('tool-one', '1.0.0');
package_file('tool-two', '2.1.0');

sub agent {
	my ($id, $program, %more) = @_;
	return { id => $id, name => $id, protocol => 'acp', program => $program,
	    permission_modes => ['*'], agent_modes => ['*'], install => {
		type => 'npm', package => $program, program => $program,
		bin => 'run.sh' }, %more };
}
sub daemon {
	my ($conf, %o) = @_;
	return Sandboxd->start(http => 1, conf => "[courier]\nmirror = $mirror\n"
	    . ($conf // ''), agents => {
		'one.json' => agent('one', 'tool-one'),
		'two.json' => agent('two', 'tool-two'),
		'lost.json' => agent('lost', 'tool-lost'),
		'bare.json' => { %{agent('bare', 'tool-bare')}, install =>
		    { type => 'npm', package => 'tool-one', program => 'tool-bare',
			bin => 'none.sh' } },
	    }, %o);
}
my $d;
sub about { return $d->ok('agent.list', { id => $_[0] })->{agents}[0] }
sub created { return $d->request('session.create', { @_ }, timeout => 60) }
sub code { return created(@_)->{error}{code} // '' }

# --- forbidden -------------------------------------------------------------------

$d = daemon("[agent]\ninstall = never\n");
is(code(agent => 'one'), 'agent_not_installed', 'install = never');
is(code(agent => 'one', kind => 'acp', id => 'acp:a'), 'agent_not_installed',
    'nor for an ACP server');
ok(!about('one')->{installed}, 'nothing was installed');
isnt(code(agent => 'one', install => JSON::PP::true), 'agent_not_installed',
    'but on request');
ok(about('one')->{installed}, 'then it is');
$d->stop;

$d = daemon('', env => { SANDBOX_AGENT_REQUIRE_PREINSTALL => '1' });
is(code(agent => 'one'), 'agent_not_installed', 'the variable means never');
$d->stop;

# --- at first use ----------------------------------------------------------------

$d = daemon();
ok(about('one')->{installable} && !about('one')->{installed}, 'it can be installed');
is(code(agent => 'one', install => JSON::PP::false), 'agent_not_installed',
    'who does not want it does not get it');
my @c = map { $d->client } 1 .. 5;
my @n = map { $_->send('session.create', { agent => 'one' }) } @c;
my @r = map { $c[$_]->finish($n[$_], timeout => 60) } 0 .. $#c;
is(scalar(grep { ($_->{error}{code} // '') eq 'agent_not_installed' } @r), 0,
    'five sessions at once find it');
my $a = about('one');
is($a->{version}, '1.0.0', 'it is installed');
is_deeply($a->{versions}, ['1.0.0'], 'once');
is($a->{path}, "$d->{state}/agents/one/current/bin/tool-one", 'in its place');
$d->ok('sandbox.create', { id => 'box' });
is($d->sh('box', '/run/sandboxd/agents/one/current/bin/tool-one')->{stdout}, "tool-one 1.0.0\n", 'and runs in sandboxes');

# An ACP server: its worker looks first. The program ends at once, which is no reason
# not to have it.
created(agent => 'two', kind => 'acp', id => 'acp:box:b', sandbox => 'box');
ok(about('two')->{installed}, 'an ACP server, too');

# --- what cannot be installed ----------------------------------------------------

my $r = created(agent => 'lost');
is($r->{error}{code}, 'install_failed', 'a package that is not there');
is($d->error('session.create', { id => 'x', agent => 'lost' }), 'install_failed',
    'each time');
is($d->error('session.get', { id => 'x' }), 'session_not_found', 'nothing is left');
is(code(agent => 'bare'), 'install_failed', 'a package without its program');
is(code(agent => 'lost', kind => 'acp', id => 'acp:box:l', sandbox => 'box'),
    'install_failed', 'and an ACP server says so, too');

# --- on request ------------------------------------------------------------------

$r = $d->request('agent.install', { id => 'two', progress => JSON::PP::true },
    timeout => 60);
ok($r->{ok}{already}, 'what is there');
$r = $d->request('agent.install', { id => 'two', reinstall => JSON::PP::true,
    progress => JSON::PP::true }, timeout => 60);
ok(!$r->{ok}{already}, 'once more');
ok(@{$r->{items}} > 0, 'with progress');
is(join(' ', sort keys %{$r->{items}[0]}), 'done stage total what', 'that says how far');
package_file('tool-two', '2.2.0');
$r = $d->request('agent.install', { id => 'two', version => '2.2.0' }, timeout => 60);
is($r->{ok}{version}, '2.2.0', 'another version');
is_deeply([sort @{about('two')->{versions}}], ['2.1.0', '2.2.0'], 'side by side');

my $got = run_cmd([program('sandboxctl'), '--socket', $d->{socket}, 'agents',
    'install', '-r', 'one'], timeout => 60);
is($got->{status}, 0, 'sandboxctl agents install');
like($got->{out}, qr/^one 1\.0\.0 installed, /, 'says what is installed');
like($got->{err}, qr/one: \w+/, 'and how far it is');
$got = run_cmd([program('sandboxctl'), '--socket', $d->{socket}, 'agents', 'install',
    'lost', 'one'], timeout => 60);
is($got->{status}, 1, 'one of two that fails');
like($got->{out}, qr/^one 1\.0\.0 was there already$/m, 'does not stop the other');

# Whoever asks and goes away does no harm.
my $c = $d->client;
$c->send('agent.install', { id => 'one', reinstall => JSON::PP::true,
    progress => JSON::PP::true });
$c->close;
ok(wait_for(20, sub { ($d->request('agent.install', { id => 'one' },
    timeout => 30)->{ok}{version} // '') eq '1.0.0' }), 'one who hangs up');
is($d->http('POST', '/v1/agents/one/install', json => {})->{json}{already_installed},
    JSON::PP::true, 'over HTTP');
$d->stop;
is(join("\n", $d->leftovers), '', 'nothing is left');

done_testing;
