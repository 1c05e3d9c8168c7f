# The local provider of the unmodified npm package starts ours when
# SANDBOX_AGENT_BIN names it: as root, and as an ordinary user.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../t/lib";
use Sandboxd;
use AgentCli;
use Test::More;

need_root();
need_program('node', 'setpriv');
my $dir = $ENV{SANDBOXD_AGENTS} // root_dir() . '/build/agents';
Sandboxd::plan_skip("$dir has no sandbox-agent: contrib/check installs it")
    unless -e "$dir/node_modules/sandbox-agent/package.json";

# The script of ours, where any user can read it.
my $script = Sandboxd->scratch_dir . '/local-provider.mjs';
spew($script, slurp(root_dir() . '/tests/e2e/local-provider.mjs'));

sub try_as {
	my ($who, %o) = @_;
	my $cli = AgentCli->new(%o, program => (grep { -x }
	    map { "$_/node" } split /:/, $ENV{PATH})[0],
	    env => { SANDBOX_AGENT_BIN => AgentCli::exe() });
	my $got = $cli->run([$script, $dir], timeout => 150);
	my ($plan, $seen) = (undef, 0);

	for my $line (split /\n/, $got->{out}) {
		if ($line =~ /^(not )?ok \d+ - (.*)/) {
			ok(!$1, "$who: $2");
			$seen++;
		} elsif ($line =~ /^1\.\.(\d+)$/) {
			$plan = $1;
		} else {
			diag($line);
		}
	}
	is($got->{status}, 0, "$who: the script came to its end") or diag($got->{err});
	is($plan // 0, $seen, "$who: all that it planned was seen");
}

try_as('root');
my $reach = run_cmd(['setpriv', '--reuid=54321', '--regid=54321', '--clear-groups', 'sh',
    '-c', '"$1" --version && cat "$2"', 'sh', AgentCli::exe(),
    "$dir/node_modules/sandbox-agent/package.json"]);
if ($reach->{status} == 0) {
	try_as('user', uid => 54321);
} else {
	diag('the packages are not open to other users: tried as root only');
}
is(join("\n", grep { /sandbox/ } map { Sandboxd::title_of($_) } descendants($$)), '',
    'nothing is left');
AgentCli::clean(0, 54321);

done_testing;
