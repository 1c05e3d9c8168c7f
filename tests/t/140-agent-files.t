# Definitions of agents: good ones are taken, every mistake of a bad one is told with
# its file and line, and sandboxd does not start with one.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $dir = Sandboxd->scratch_dir . '/agents.d';
mkdir($dir, 0755);
my $exe = program('sandboxd');

sub check { return run_cmd([$exe, '-c', '/dev/null', '-n', '--agents-dir', $dir],
    timeout => 15) }

# The one file NAME with TEXT; what -n says of it.
sub with_file {
	my ($name, $text, $mode) = @_;

	unlink(glob "$dir/*");
	spew("$dir/$name", $text);
	chmod($mode // 0644, "$dir/$name");
	return check();
}

# --- what comes along ------------------------------------------------------------

my $own = root_dir() . '/etc/agents.d';
system('cp', glob("$own/*.json"), $dir);
my $got = check();
is($got->{status}, 0, 'the definitions that come along are good');
is($got->{err}, '', 'and nothing is said of them');

# --- good ones -------------------------------------------------------------------

my $full = <<'JSON';
{
	"id": "full",
	"name": "Full – größer",
	"rank": 5,
	"hidden": true,
	"protocol": "acp",
	"program": "/opt/full/bin/full",
	"args": ["--acp", "a b", "-x"],
	"acp": { "program": "full-acp", "args": ["--fast"] },
	"env": { "FULL_MODE": "1", "EMPTY": "" },
	"pass_env": ["FULL_API_KEY", "FULL_*"],
	"credentials": ["full", "openai"],
	"version_args": ["--version"],
	"permission_modes": ["default", "read-only", "*"],
	"agent_modes": ["build"],
	"capabilities": { "images": true, "planMode": false },
	"options": [
		{ "id": "model", "name": "Model", "category": "model",
		  "type": "select", "currentValue": "a",
		  "options": [ { "value": "a", "name": "A", "description": "" } ] }
	],
	"install": { "type": "npm", "package": "@full/full", "version": "^1.0.0",
	    "bin": "full.js", "program": "full",
	    "native": { "linux-x64-glibc": { "package": "full-x64", "bin": "full",
		"version": "{version}-x64" } },
	    "with": [ { "package": "full-acp", "program": "full-acp",
		"native": { "linux-arm64": { "package": "x", "bin": "y" } } } ] }
}
JSON
is(with_file('full.json', $full)->{status}, 0, 'every member at once');
is(with_file('least.json', '{"id":"least","name":"L","protocol":"acp"}')->{status},
    0, 'the fewest');
is(with_file('x.json.bak', 'nonsense')->{status}, 0, 'other names are not read');
is(with_file('.x.json', 'nonsense')->{status}, 0, 'nor hidden ones');
unlink(glob "$dir/* $dir/.x.json");
is(check()->{status}, 0, 'an empty directory');

# --- bad ones --------------------------------------------------------------------

# [name, text, line, what is said]
sub line { return "{\n\"id\": \"bad\",\n\"name\": \"B\",\n\"protocol\": \"acp\",\n"
    . "$_[0]\n}\n" }
my @bad = (
	['not JSON', "{\n\"id\": \"bad\",\n\n\n  nonsense }", 5, qr/not valid JSON/],
	['cut off', "{\n\"id\": \"bad\",\n", 3, qr/not valid JSON/],
	['empty', '', 1, qr/not valid JSON/],
	['no UTF-8', "{\n\"id\": \"bad\",\n\"name\": \"\xff\"}", 3, qr/not UTF-8/],
	['a list', "[\n1]", 1, qr/must be an object/],
	['one key twice', "{\n\"id\": \"bad\",\n\"id\": \"bad\"\n}", 4, qr/twice/],
	['an unknown member', line("\n\n\"colour\": \"red\""), 7,
	    qr/field colour: unknown; known: id, name/],
	['nothing but an id', "\n{ \"id\": \"bad\" }", 2, qr/field name: missing/],
	['another id', "{\n\"id\":\n \"good\", \"name\": \"B\", \"protocol\": \"acp\"}",
	    2, qr/'good' stands in a file for 'bad'/],
	['capitals', "{\n\"id\": \"Bad\", \"name\": \"B\", \"protocol\": \"acp\"}", 2,
	    qr/'Bad' is not made of lower-case letters/],
	['a name of another type', "{\"id\": \"bad\",\n\"name\": 7,"
	    . "\"protocol\": \"acp\"}", 2, qr/field name: must be text/],
	['an empty name', "{\"id\": \"bad\",\n\"name\": \"\","
	    . "\"protocol\": \"acp\"}", 2, qr/field name: must be text of 1 to/],
	['a rank', line('"rank": 1001'), 5, qr/whole number from 0 to 1000/],
	['an unknown protocol', "{\"id\": \"bad\", \"name\": \"B\",\n"
	    . "\"protocol\": \"telnet\"}", 2, qr/'telnet' is none of/],
	['a protocol without its program', "{\"id\": \"bad\", \"name\": \"B\",\n"
	    . "\"protocol\": \"codex\"}", 2, qr/program: missing/],
	['a program for the mock', "{\"id\": \"bad\", \"name\": \"B\",\n"
	    . "\"protocol\": \"mock\", \"program\": \"x\"}", 2, qr/built in/],
	['sharing what cannot be shared', "{\"id\": \"bad\", \"name\": \"B\",\n"
	    . "\"protocol\": \"claude\", \"program\": \"x\",\n\"shared\": true}", 3,
	    qr/field shared: only protocol codex/],
	['a relative program', line('"program": "../x"'), 5,
	    qr/'\.\.\/x' is neither a name nor an absolute path/],
	['a flag as program', line('"program": "--x"'), 5, qr/neither a name/],
	['arguments of another type', line("\"args\": [\"a\",\n 7]"), 6,
	    qr/args: each is a line/],
	['an argument with a newline', line("\"args\": [\"a\",\n\n \"b\\nc\"]"), 7,
	    qr/args: each is a line/],
	['an unknown member of acp', line("\"acp\": {\n\"arg\": []}"), 6,
	    qr/field arg: unknown; known: program, args/],
	['acp of another type', line('"acp": "x"'), 5, qr/acp: must be an object/],
	['no name of a variable', line("\"env\": { \"OK\": \"1\",\n\"A-B\": \"x\" }"),
	    6, qr/field env: no name of a variable/],
	['variables in a list', line("\"env\":\n[\"A=b\"]"), 5,
	    qr/field env: must be an object/],
	['capabilities in a list', line('"capabilities": ["images"]'), 5,
	    qr/field capabilities: must be an object/],
	['options in an object', line('"options": {"model": {}}'), 5,
	    qr/field options: must be a list/],
	['a variable that is no text', line('"env": { "A": 1 }'), 5, qr/field env/],
	['PATH', line("\"pass_env\": [\"OK\",\n\"PATH\"]"), 6,
	    qr/'PATH' is no name of a variable that may be passed/],
	['everything', line('"pass_env": ["*"]'), 5, qr/'\*' is no name/],
	['almost everything', line('"pass_env": ["AB*"]'), 5, qr/'AB\*' is no name/],
	['a mode of two words', line("\"agent_modes\": [\n\"a b\"]"), 6,
	    qr/agent_modes: each is a word/],
	['an unknown capability', line("\"capabilities\": {\n\"images\": true,\n"
	    . "\"flying\": true }"), 7, qr/field capabilities: unknown/],
	['half a capability', line("\"capabilities\": {\n\"images\": 1 }"), 6,
	    qr/images must be true or false/],
	['an option without a value', line("\"options\": [\n{ \"id\": \"m\",\n"
	    . "\"name\": \"M\", \"type\": \"select\", \"options\": [\n"
	    . "{ \"value\": \"a\", \"name\": \"A\" } ] } ]"), 6,
	    qr/field currentValue: missing/],
	['a value that is none', line("\"options\": [ { \"id\": \"m\",\n"
	    . "\"name\": \"M\", \"type\": \"select\",\n\"currentValue\": \"b\","
	    . "\"options\": [\n{ \"value\": \"a\", \"name\": \"A\" } ] } ]"), 7,
	    qr/currentValue: none of the options/],
	['an option of another type', line("\"options\": [ { \"id\": \"m\",\n"
	    . "\"name\": \"M\",\n\"type\": \"slider\", \"currentValue\": \"a\","
	    . "\"options\": [\n{ \"value\": \"a\", \"name\": \"A\" } ] } ]"), 7,
	    qr/only select is known/],
	['a choice with a stranger', line("\"options\": [ { \"id\": \"m\",\n"
	    . "\"name\": \"M\", \"type\": \"select\", \"currentValue\": \"a\","
	    . "\"options\": [\n{ \"value\": \"a\", \"name\": \"A\" },\n"
	    . "{ \"value\": \"b\", \"name\": \"B\",\n\"x\": 1 } ] } ]"), 9,
	    qr/field x: unknown; known: value, name, description/],
	['a recipe without a type', line("\"install\": {\n\"package\": \"x\" }"), 5,
	    qr/install: type is missing/],
	['a recipe of another type', line("\"install\": {\n\"type\": \"apt\" }"), 6,
	    qr/neither npm nor archive/],
	['a recipe with a stranger', line("\"install\": {\n\"type\": \"npm\",\n"
	    . "\"package\": \"x\",\n\"verison\": \"1\" }"), 8,
	    qr/field verison: unknown; known: type, package, version/],
	['a recipe without a package', line("\"install\": {\n\"type\": \"npm\" }"),
	    5, qr/field package: missing/],
	['a native package without a program', line("\"install\": {\n"
	    . "\"type\": \"npm\", \"package\": \"x\", \"native\": {\n"
	    . "\"linux-x64\": { \"package\": \"y\" } } }"), 7,
	    qr/field bin: missing/],
	['a further package without a name', line("\"install\": {\n"
	    . "\"type\": \"npm\", \"package\": \"x\", \"with\": [\n"
	    . "{ \"package\": \"y\" } ] }"), 7, qr/field program: missing/],
	['an archive without its sum', line("\"install\": { \"type\": \"archive\",\n"
	    . "\"version\": \"1\", \"bin\": \"x\", \"urls\": {\n"
	    . "\"linux-x64\": \"http://localhost/x\" }, \"sha256\": {\n"
	    . "\"linux-arm64\": \"" . '0' x 64 . "\" } }"), 7,
	    qr/sha256: missing for this one/],
	['a sum that is none', line("\"install\": { \"type\": \"archive\",\n"
	    . "\"version\": \"1\", \"bin\": \"x\", \"urls\": {\n"
	    . "\"linux-x64\": \"http://localhost/x\" }, \"sha256\": {\n"
	    . "\"linux-x64\": \"abc\" } }"), 8, qr/64 hexadecimal digits/],
	['too deep', line('"install": {"type": {"a":{"b":{"c":{"d":{"e":{"f":{}}}}}}}}'), 5,
	    qr/nested deeper/],
);
for (@bad) {
	my ($name, $text, $line, $says) = @$_;
	my $r = with_file('bad.json', $text);

	is($r->{status}, 100, "$name: refused");
	like($r->{err}, qr{^\Q$dir\E/bad\.json:$line: [^\n]*$says}m,
	    "$name: file, line and reason") or diag($r->{err});
}

# All mistakes of all files at once.
unlink(glob "$dir/*");
spew("$dir/one.json", "{\"id\":\"one\",\n\"name\":1,\n\"rank\":-1,\n\"zzz\":0}");
spew("$dir/two.json", "{");
my @lines = split /\n/, check()->{err};
is(scalar(grep { m{/one\.json:} } @lines), 4, 'all mistakes of a file');
is(scalar(grep { m{/two\.json:} } @lines), 1, 'and of the next');
is(scalar(@lines), 5, 'a line each');

# Very many of them end somewhere.
$got = with_file('bad.json', '{' . join(',', map { "\"x$_\":1" } 1 .. 4000) . '}');
is($got->{status}, 100, 'thousands of mistakes');
ok(length($got->{err}) < 40_000, 'are not all told');

# --- files -----------------------------------------------------------------------

$got = with_file('big.json', '{"id":"big","name":"B","protocol":"acp","args":["'
    . 'x' x 70_000 . '"]}');
is($got->{status}, 100, 'a file that is too long');
like($got->{err}, qr{/big\.json:1: longer than 65536 bytes}, 'is told so');
$got = with_file('least.json', '{"id":"least","name":"L","protocol":"acp"}', 0664);
is($got->{status}, 100, 'a file that its group may write');
like($got->{err}, qr{/least\.json:1: others than its owner may write it}, 'told');
chmod(0644, "$dir/least.json");
chown(1234, -1, "$dir/least.json");
like(check()->{err}, qr{/least\.json:1: belongs to uid 1234}, 'a file of a stranger');
chown(0, -1, "$dir/least.json");
is(check()->{status}, 0, 'good again');
chmod(0777, $dir);
like(check()->{err}, qr{\Q$dir\E:1: others than its owner}, 'the directory, too');
chmod(0755, $dir);
chown(1234, -1, $dir);
like(check()->{err}, qr{\Q$dir\E:1: belongs to uid 1234}, 'and its owner');
chown(0, -1, $dir);
unlink("$dir/least.json");
system('mkfifo', "$dir/pipe.json");
like(check()->{err}, qr{/pipe\.json:1: not a regular file}, 'a pipe does not block');
unlink("$dir/pipe.json");
symlink('nowhere', "$dir/link.json");
like(check()->{err}, qr{/link\.json:1: cannot be opened}, 'a link to nothing');
unlink("$dir/link.json");

# --- a start ---------------------------------------------------------------------

$got = with_file('bad.json', '{ "id": "bad" }');
my $state = Sandboxd->scratch_dir;
$got = run_cmd([$exe, '-c', '/dev/null', '--no-http', '--state-dir', "$state/s",
    '--run-dir', "$state/r", '--agents-dir', $dir], timeout => 20);
is($got->{status}, 100, 'sandboxd does not start with a bad file');
like($got->{err}, qr{/bad\.json:1: field name: missing}, 'and says why');
ok(!-e "$state/s", 'and has made nothing');

my $d = Sandboxd->start(args => ['--agents-dir', "$state/none"]);
is_deeply([map { $_->{id} } @{$d->ok('agent.list')->{agents}}], ['mock'],
    'without the directory there is the mock');
like(slurp($d->{log}), qr/no definitions: only the mock is here/, 'with a warning');
is($d->ok('session.create', { id => 's', agent => 'mock' })->{state}, 'idle',
    'which works');
is($d->error('session.create', { id => 't', agent => 'claude' }), 'agent_unknown',
    'and no other is known');

done_testing;
