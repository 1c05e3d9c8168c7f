# The unmodified npm package sandbox-agent: health, errors, files, processes,
# terminals and configuration, against a server with a token, below its root and
# below a sandbox's own URL.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../t/lib";
use Sandboxd;
use Test::More;

need_root();
need_program('node');
my $dir = $ENV{SANDBOXD_AGENTS} // root_dir() . '/build/agents';
Sandboxd::plan_skip("$dir has no sandbox-agent: contrib/check installs it")
    unless -e "$dir/node_modules/sandbox-agent/package.json";

my $token = 'a-token-for-tests';
my $d = Sandboxd->start(http => 1, token => $token);
$d->ok('sandbox.create', { id => 'own' });

# Its lines become ours, each under the scope that it was said of.
sub run_sdk {
	my ($scope, @args) = @_;
	my $got = run_cmd(['node', root_dir() . '/tests/e2e/sdk.mjs', $dir, @args],
	    timeout => 240);
	my ($plan, $seen) = (undef, 0);

	for my $line (split /\n/, $got->{out}) {
		if ($line =~ /^(not )?ok \d+ - (.*)/) {
			ok(!$1, "$scope: $2");
			$seen++;
		} elsif ($line =~ /^1\.\.(\d+)$/) {
			$plan = $1;
		} else {
			diag($line);
		}
	}
	is($got->{status}, 0, "$scope: the script came to its end")
	    or diag($got->{err});
	is($plan // 0, $seen, "$scope: all that it planned was seen");
}

run_sdk('root', $d->url, $token);
run_sdk('/i/own', $d->url('/i/own'), $token);

my $open = Sandboxd->start(http => 1);
run_sdk('without a token', $open->url);

done_testing;
