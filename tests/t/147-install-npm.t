# Agents from npm packages: dependencies and where they go, versions side by side,
# platforms, launchers. The registry is ours, on the loopback.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Registry;
use Test::More;

my $node = "#!/bin/sh\n# stands for a script of Node.js\n";
my $r = Sandboxd::Registry->new;
sub say_it { return "#!/bin/sh\necho \"$_[0] \$*\"\n" }

# --- what the registry has ----------------------------------------------------------

$r->publish('leaf', '1.0.0', {}, { 'index.js' => "1\n" });
$r->publish('leaf', '1.4.0', {}, { 'index.js' => "14\n", 'lib/deep/x.js' => "x\n" });
$r->publish('leaf', '2.0.0', {}, { 'index.js' => "2\n" });
$r->publish('@scope/mid', '1.0.0', { dependencies => { leaf => '^1.0.0' },
    bin => { mid => './bin/mid.js' } }, { 'bin/mid.js' => "#!/bin/sh\necho mid\n" });
$r->publish('real', '3.1.4', {}, { 'index.js' => "real\n" }, shasum => 1);
$r->publish('linux-only', '1.0.0', { os => ['linux'] }, { 'index.js' => "l\n" });
$r->publish('mac-only', '1.0.0', { os => ['darwin'] }, { 'index.js' => "m\n" });
$r->publish('tool', '1.0.0', { bin => { tool => 'cli.sh' }, dependencies => {
    leaf => '2', '@scope/mid' => '~1.0.0', nick => 'npm:real@^3' },
    optionalDependencies => { 'linux-only' => '*', 'mac-only' => '*',
    'not-there' => '^1' }, scripts => { postinstall => 'touch /tmp/never',
    install => 'false' } },
    { 'cli.sh' => say_it('tool 1.0.0'), 'data.txt' => "data\n" });
$r->publish('tool', '1.1.0', { bin => 'cli.sh' }, { 'cli.sh' => say_it('tool 1.1.0') });
$r->publish('tool', '2.0.0-beta.1', { bin => 'cli.sh' },
    { 'cli.sh' => say_it('tool 2 beta') });
$r->tag('tool', 'next', '2.0.0-beta.1');
$r->publish('plain', '1.0.0', { bin => 'cli.js' },
    { 'cli.js' => "console.log('plain', process.argv[2])\n" });
$r->publish('native', '5.0.0', { optionalDependencies => {
    'native-linux' => 'npm:native@5.0.0-linux' }, bin => 'stub.js' },
    { 'stub.js' => "throw 1\n" });
$r->publish('native', '5.0.0-linux', { os => ['linux'] },
    { 'vendor/prog' => say_it('native') });
$r->publish('bridge', '0.2.0', { bin => { 'bridge-acp' => 'b.sh' } },
    { 'b.sh' => say_it('bridge') });
$r->start;

my ($machine) = (POSIX::uname())[4];
my %cpu = (x86_64 => 'x64', aarch64 => 'arm64', riscv64 => 'riscv64');
my $platform = 'linux-' . ($cpu{$machine} // $machine);
my $def = \&Sandboxd::Registry::definition;
my $d = Sandboxd->start(conf => "[courier]\nnpm_registry = " . $r->url . "/\n",
    agents => {
	$def->('tool', type => 'npm', package => 'tool', version => '1.0.0'),
	$def->('plain', type => 'npm', package => 'plain'),
	$def->('native', type => 'npm', package => 'native', version => '^5',
	    native => { $platform => { package => 'native-linux',
	    bin => 'vendor/prog' } },
	    with => [{ package => 'bridge', program => 'bridge-acp' }]),
	$def->('templated', type => 'npm', package => 'native',
	    native => { "$platform-glibc" => { package => 'native',
	    version => '{version}-linux', bin => 'vendor/prog' },
	    "$platform-musl" => { package => 'native',
	    version => '{version}-linux', bin => 'vendor/prog' } }),
	$def->('elsewhere', type => 'npm', package => 'native',
	    native => { 'linux-vax' => { package => 'x', bin => 'x' } }),
	$def->('gone', type => 'npm', package => 'not-there'),
	$def->('nobin', type => 'npm', package => 'leaf'),
	$def->('foreign', type => 'npm', package => 'mac-only'),
    });
my $agents = "$d->{state}/agents";

sub install {
	my ($id, %o) = @_;
	return $d->ok('agent.install', { id => $id, %o }, timeout => 60);
}

sub failure {
	my ($id, %o) = @_;
	my $e = $d->request('agent.install', { id => $id, %o }, timeout => 60)
	    ->{error} // {};
	return ($e->{code} // 'none') . ': ' . ($e->{detail} // '');
}

sub says { return run_cmd(["$agents/$_[0]", 'x', 'y'])->{out} }

# --- dependencies -------------------------------------------------------------------

my $got = install('tool');
is_deeply([@$got{qw(id version already path)}], ['tool', '1.0.0', JSON::PP::false,
    "$agents/tool/1.0.0"], 'the answer');
cmp_ok($got->{bytes}, '>', 100, 'bytes were downloaded');
is_deeply([Sandboxd::Registry::tree("$agents/tool/1.0.0")], [
    'bin/tool -> ../node_modules/tool/cli.sh',
    'node_modules/.bin/mid -> ../@scope/mid/bin/mid.js',
    'node_modules/.bin/tool -> ../tool/cli.sh',
    'node_modules/@scope/mid/bin/mid.js',
    'node_modules/@scope/mid/node_modules/leaf/index.js',
    'node_modules/@scope/mid/node_modules/leaf/lib/deep/x.js',
    'node_modules/@scope/mid/node_modules/leaf/package.json',
    'node_modules/@scope/mid/package.json',
    'node_modules/leaf/index.js',
    'node_modules/leaf/package.json',
    'node_modules/linux-only/index.js',
    'node_modules/linux-only/package.json',
    'node_modules/nick/index.js',
    'node_modules/nick/package.json',
    'node_modules/tool/cli.sh',
    'node_modules/tool/data.txt',
    'node_modules/tool/package.json'],
    'hoisted, nested where two versions meet, aliases by their names, no other platform');
is(slurp("$agents/tool/1.0.0/node_modules/\@scope/mid/node_modules/leaf/index.js"),
    "14\n", 'the best version of a range');
is(slurp("$agents/tool/1.0.0/node_modules/nick/index.js"), "real\n", 'an alias');
is(says('tool/current/bin/tool'), "tool 1.0.0 x y\n", 'the launcher runs it');
ok(!-e '/tmp/never', 'no script of a package was run');
is((stat "$agents/tool/1.0.0/node_modules/tool/data.txt")[2] & 07777, 0644,
    'a file that is not run');
is((stat "$agents/tool/1.0.0/node_modules/tool/cli.sh")[2] & 07777, 0755,
    'one that is');
is_deeply([glob("$agents/.partial/*"), glob("$agents/tool/.tmp*")], [],
    'nothing is left of the work');

# --- versions -----------------------------------------------------------------------

$r->forget_requests;
$got = install('tool');
ok($got->{already}, 'a second time there is nothing to do');
is_deeply([$r->requests], [], 'and of an exact version nobody is asked');
$got = install('tool', version => '1.1.0');
is($got->{version}, '1.1.0', 'another version');
ok(!$got->{already}, 'was not there');
is(readlink("$agents/tool/current"), '1.1.0', 'is in use now');
is(says('tool/current/bin/tool'), "tool 1.1.0 x y\n", 'and runs');
is(says('tool/1.0.0/bin/tool'), "tool 1.0.0 x y\n", 'beside the other one');
is(install('tool', version => 'next')->{version}, '2.0.0-beta.1', 'a tag');
is(install('tool', version => '>=1.0.0 <1.1')->{version}, '1.0.0', 'a range');
is(readlink("$agents/tool/current"), '1.0.0', 'back to what is there');
is(install('tool', version => 'latest')->{version}, '1.1.0', 'latest');

# Whoever runs the old one keeps it, also when the same version is installed anew.
my $inode = (stat "$agents/tool/1.1.0/node_modules/tool/cli.sh")[1];
$got = install('tool', version => '1.1.0', reinstall => JSON::PP::true);
ok(!$got->{already}, 'reinstalled');
is($got->{version}, '1.1.0', 'the same version');
is(readlink("$agents/tool/current"), '1.1.0~2', 'in a directory of its own');
is((stat "$agents/tool/1.1.0/node_modules/tool/cli.sh")[1], $inode,
    'what is in use was not touched');
is((grep { $_->{id} eq 'tool' } @{$d->ok('agent.list', { all => JSON::PP::true })
    ->{agents}})[0]{version}, '1.1.0', 'agent.list tells the version');

# --- launchers ----------------------------------------------------------------------

install('native');
is_deeply([Sandboxd::Registry::tree("$agents/native/5.0.0")], [
    'bin/bridge-acp -> ../node_modules/bridge/b.sh',
    'bin/native -> ../node_modules/native-linux/vendor/prog',
    'node_modules/.bin/bridge-acp -> ../bridge/b.sh',
    'node_modules/bridge/b.sh',
    'node_modules/bridge/package.json',
    'node_modules/native-linux/package.json',
    'node_modules/native-linux/vendor/prog'],
    'of a native build only that, by the name that the package gives it');
is(says('native/current/bin/native'), "native x y\n", 'it runs');
is(says('native/current/bin/bridge-acp'), "bridge x y\n", 'so does its companion');
is(install('templated')->{version}, '5.0.0', 'a version made of another');
is(says('templated/current/bin/templated'), "native x y\n", 'runs');
install('plain');
like(slurp("$agents/plain/1.0.0/bin/plain"), qr{^#!/bin/sh\nexec node }, 'a script '
    . 'without an interpreter is started by Node.js');
SKIP: {
	skip 'no node', 1 unless grep { -x "$_/node" } split /:/, $ENV{PATH};
	is(says('plain/current/bin/plain'), "plain x\n", 'and runs');
}

# --- what cannot be -----------------------------------------------------------------

like(failure('gone'), qr{^install_failed: install gone: GET http://127\.0\.0\.1:\d+/not-there: HTTP 404$},
    'a package that is not there');
like(failure('tool', version => '9.9.9'),
    qr{^install_failed: .*there is no version of tool for '9\.9\.9'}, 'a version');
like(failure('tool', version => 'nightly'), qr{for 'nightly'}, 'a tag');
like(failure('elsewhere'), qr{^install_failed: .*the recipe has nothing for linux-},
    'a platform');
like(failure('nobin'), qr{leaf 2\.0\.0 has no program named nobin}, 'a program');
like(failure('foreign'), qr{mac-only.* is not for this platform|no program named},
    'another platform');
is(readlink("$agents/tool/current"), '1.1.0~2', 'a failure changes nothing');
ok(!-e "$agents/gone/current", 'and leaves nothing in use');
is_deeply([map { glob("$agents/$_/.tmp*") } qw(tool gone foreign nobin)], [],
    'nor anything half done');

# A session of the agent sees it, at a place of its own and for reading only.
SKIP: {
	skip 'needs root', 2 if $> != 0;
	$d->ok('sandbox.create', { id => 'box' });
	my $inside = '/run/sandboxd/agents/tool';
	is($d->exec('box', ["$inside/current/bin/tool", 'in', 'a box'])->{stdout},
	    "tool 1.1.0 in a box\n", 'it is seen in a sandbox');
	isnt($d->exec('box', ['touch', "$inside/x"])->{exit_code}, 0,
	    'which cannot change it');
}

unlike(slurp($d->{log}), qr/proc: lost|runtime error|Sanitizer/, 'no process was lost');
ok($d->stop, 'ends');
is_deeply([$d->leftovers], [], 'and leaves nothing');
done_testing;
