# The unmodified SDK of OpenSandbox drives our lifecycle API: each step of
# opensandbox.mjs prints a line, which is compared here.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../t/lib";
use Sandboxd;
use Test::More;

need_root();
need_program('node');
my $agents = $ENV{SANDBOXD_AGENTS} // root_dir() . '/build/agents';
my $sdk = "$agents/node_modules/\@alibaba-group/opensandbox";
Sandboxd::plan_skip("$sdk is not there: contrib/check installs it")
    unless -d $sdk;

my $d = Sandboxd->start(http => 1, token => 'secret',
    conf => "[sandbox]\nimages = ubuntu=host\n");
my $at = $d->http_address(qr/^[^u]/);

# Beside the package, so that it is found by its name.
my $program = "$agents/opensandbox-$$.mjs";
spew($program, slurp("$FindBin::Bin/opensandbox.mjs"));
my $got = run_cmd(['node', $program, $at, 'secret'], timeout => 60,
    env => { OPENSANDBOX_DISABLE_METRICS => '0' });
unlink($program);
is($got->{status}, 0, 'the program ends well')
    or diag("$got->{out}$got->{err}\n" . $d->log_tail);
my %said = map { /^(\S+) (.*)$/ ? ($1 => from_json($2)) : () }
    split /\n/, $got->{out};

my $id = $said{created};
ok($id, 'create');
is($said{info}{status}{state}, 'Running', 'getInfo: it runs');
is($said{info}{image}{uri}, 'ubuntu', 'with its image');
is_deeply($said{info}{metadata}, { team => 'a' }, 'and its metadata');
is_deeply($said{listed}, [$id], 'list by state and metadata');
is_deeply($said{unlisted}, [], 'and by another');
is($said{renewed}, $said{expires}, 'renew is what getInfo then says');
like($said{endpoint}{endpoint}, qr{^\Q$at\E/i/\Q$id\E/port/8080$},
    'an address of a port');
is($said{paused}, 'Paused', 'pause');
is($said{twice}, '409 DOCKER::SANDBOX_NOT_RUNNING', 'pause of a paused one');
is($said{resumed}, 'Running', 'resume');
is_deeply($said{patched}, { role => 'x' }, 'metadata');
is($said{killed}, '404 DOCKER::SANDBOX_NOT_FOUND', 'kill, and it is gone');
is($said{unknown}, '400 IMAGE_NOT_FOUND', 'an image that we do not have');
is($said{policy}, 'Running', 'rules for hosts');
is($said{badkey}, '401 INVALID_API_KEY', 'a wrong key');
is($said{never}, undef, 'one that never expires');
is($said{proxied}{endpoint} =~ m{^\Q$at\E/v1/sandboxes/[^/]+/proxy/8080$}, 1,
    'an address by the server proxy');
is_deeply($d->ok('sandbox.list')->{sandboxes}, [], 'nothing is left');

done_testing;
