# /openapi.json is OpenAPI in the judgement of a validator that is not ours.
use strict;
use warnings;
use Cwd qw(abs_path);
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../t/lib";
use Sandboxd;
use Test::More;

need_program('node');
my $modules = abs_path($ENV{SANDBOXD_AGENTS} // root_dir() . '/build/agents')
    . '/node_modules';
my $package = '@seriousme/openapi-schema-validator';
if (!-d "$modules/$package") {
	die "must not be skipped here: $package is missing\n"
	    if $ENV{SANDBOXD_NO_SKIP};
	plan(skip_all => "$package is not installed");
}

my $d = Sandboxd->start(http => 1);
my $r = $d->http('GET', '/openapi.json');
is($r->{status}, 200, 'the description');
my $dir = $d->scratch_dir;
my $script = spew("$dir/validate.mjs", <<"JS");
import { Validator } from '$modules/$package/index.js';
import { readFileSync } from 'node:fs';
const result = await new Validator().validate(
	JSON.parse(readFileSync(process.argv[2])));
console.log(JSON.stringify(result));
JS

sub verdict {
	my ($text) = @_;
	my $got = run_cmd(['node', $script, spew("$dir/openapi.json", $text)]);
	diag($got->{err}) if $got->{status};
	return from_json($got->{out});
}
my $good = verdict($r->{body});
ok($good->{valid}, 'is valid') or diag(to_json($good->{errors}));
# The validator does look.
my $broken = from_json($r->{body});
delete $broken->{info}{title};
ok(!verdict(to_json($broken))->{valid}, 'one without a title is not');

done_testing;
