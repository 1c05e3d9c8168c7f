# The manual pages against the tables that the programs are made from, and
# against what the running daemon says of itself.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

my $root = root_dir();
my %page;

# A page's text without markup, so that a word is found however it is set.
for my $name (qw(sandboxd.8 sandboxctl.1 sandbox-agent.1 sandboxd.conf.5 sandboxd-agents.5
    sandboxd-protocol.7 sandboxd-http.7)) {
	my $text = slurp("$root/doc/$name");
	ok(defined $text, "$name is there") or next;
	$text =~ s/\\-/-/g;
	$text =~ s/\\&//g;
	$text =~ s/\\[f(][BIRP]?[A-Z]?//g;
	$page{$name} = $text;
}
my $protocol = $page{'sandboxd-protocol.7'} // '';

# Members of one list of ours: MACRO(symbol, "name", …).
sub listed {
	my ($file, $macro, $which) = @_;
	my $text = slurp("$root/src/lib/$file");
	$text =~ s{/\*.*?\*/}{}gs;
	my @found;
	while ($text =~ /^$macro\(([^\n]*)\)$/mg) {
		my @strings = $1 =~ /"((?:[^"\\]|\\.)*)"/g;
		push @found, [$1 =~ /^(\w+)/, @strings];
	}
	return @found;
}

sub missing {
	my ($text, @words) = @_;
	return join(' ', grep { $text !~ /(?<![\w.])\Q$_\E(?![\w])/ } @words);
}

my @ops = map { $_->[1] } listed('ops.def', 'OP');
ok(@ops > 15, 'operations are read from ops.def');
is(missing($protocol, @ops), '', 'every operation is in sandboxd-protocol(7)');

my %args;
for (listed('ops.def', 'ARG')) {
	push @{$args{$_->[0]}}, $_->[1];
}
my @names = map { @$_ } values %args;
my %unique = map { $_ => 1 } @names;
is(missing($protocol, sort keys %unique), '',
    'every field of an operation is in sandboxd-protocol(7)');

is(missing($protocol, map { $_->[1] } listed('errors.def', 'ERRCODE')), '',
    'every error code is in sandboxd-protocol(7)');
is(missing($protocol, map { $_->[1] } listed('proto.def', 'MSG')), '',
    'every message between processes is in sandboxd-protocol(7)');

# The other way round: nothing is documented that is not there.
my %known = map { $_ => 1 } @ops;
my @invented = grep { !$known{$_} }
    $protocol =~ /(?<![\w.])((?:sandbox|session|agent)\.[a-z]+(?:\.[a-z]+)?)(?![\w.(])/g;
my %event = map { $_ => 1 } qw(session.started session.ended agent.unparsed),
    map { $_->[1] } listed('proto.def', 'MSG');
is(join(' ', grep { !$event{$_} } @invented), '',
    'sandboxd-protocol(7) names no operation that does not exist');

# The routes and problem types of sandboxd-http(7), word for word and in order.
my $http = $page{'sandboxd-http.7'} // '';
for (['routes.def', 'ROUTE', [$http =~
	/^\.It Cm (\S+) Pa (\S+) Pq (\w+), (\w+)\n((?:[^.].*\n)+)/mg], 5, sub {
		my ($sym, $method, $path, $scope, $who, undef, undef, @help) = @_;
		return ($method, $path, lc $scope, lc $who, "@help");
	}], ['problems.def', 'PROBLEM', [$http =~
	/^\.It Li (\w+) Pq (\d+)\n((?:[^.].*\n)+)/mg], 3, sub {
		my ($sym, $urn, $status, $title, $prefix, @help) = @_;
		return ($urn, $status, "@help");
	}]) {
	my ($file, $macro, $words, $n, $of) = @$_;
	(my $text = slurp("$root/src/gateway/$file")) =~ s{/\*.*?\*/}{}gs;
	my (@want, @got);
	while ($text =~ /^$macro\(([^\n]*)\)$/mg) {
		my $row = $1;
		my @cells;
		push @cells, $1 // $2
		    while $row =~ /\G(?:"((?:[^"\\]|\\.)*)"|([^,"]+))(?:,\s*|$)/g;
		s/\\"/"/g for @cells;
		push @want, join(' | ', $of->(@cells)) if @cells > $n;
	}
	push @got, join(' | ', splice(@$words, 0, $n)) while @$words;
	s/\s*\n\s*/ /g, s/ $// for @got;
	ok(@want > 20, "rows are read from $file");
	is(join("\n", @got), join("\n", @want), "sandboxd-http(7) has what $file has");
}

# What a definition of an agent may say, in sandboxd-agents(5).
{
	my $text = $page{'sandboxd-agents.5'} // '';
	my (@want, @lost);

	for (['MEMBER', sub { "$_[1] Pq", $_[2] }],
	    ['CAPABILITY', sub { $_[0], $_[1] }],
	    ['PROVIDER', sub { "Li $_[0]", split / /, $_[1] }]) {
		my ($macro, $of) = @$_;
		my $file = slurp("$root/src/supervisor/agent_members.def");
		$file =~ s{/\*.*?\*/}{}gs;
		while ($file =~ /^$macro\(([^\n]*)\)$/mg) {
			my $row = $1;
			my @cells = $row =~ /"((?:[^"\\]|\\.)*)"/g;
			unshift @cells, $row =~ /^(\w+)/ if $macro eq 'MEMBER';
			push @want, $of->(@cells);
		}
	}
	ok(@want > 60, 'members are read from agent_members.def');
	(my $flat = $text) =~ s/\s+/ /g;
	for (@want) {
		(my $words = $_) =~ s/\s+/ /g;
		push @lost, $_ unless index($flat, $words) >= 0;
	}
	is(join("\n", @lost), '', 'sandboxd-agents(5) has what they may say');
}

# Every option of the configuration, in its page and in the file that comes along.
{
	my @keys = run_cmd([program('sandboxd'), '-C', '-c', '/dev/null',
	    '--agents-dir', "$root/etc/agents.d"])->{out} =~ /^(\w+) = /mg;
	my $text = $page{'sandboxd.conf.5'} // '';
	my $file = slurp("$root/etc/sandboxd.conf");

	ok(@keys > 30, 'sandboxd -C tells options');
	is(join(' ', grep { $text !~ /^\.It Cm (?:\w+ , )?\Q$_\E\b/m } @keys), '',
	    'every option is in sandboxd.conf(5)');
	is(join(' ', grep { $file !~ /^#?\Q$_\E =/m } @keys), '',
	    'and in etc/sandboxd.conf');
}

# Options, from each program's own usage.
for (['sandboxd', 'sandboxd.8'], ['sandboxctl', 'sandboxctl.1']) {
	my ($program, $name) = @$_;
	my $usage = run_cmd([program($program), '--help']);
	my $text = "$usage->{out}$usage->{err}";
	my %options = map { $_ => 1 } $text =~ /(--[a-z][a-z-]+)/g;
	ok(%options, "$program --help names options");
	(my $plain = $page{$name} // '') =~ s/\bFl (?=-|Fl )/Fl /g;
	my @lost = grep {
		my $o = substr($_, 2);
		$plain !~ /(?:--|Fl -|Fl Fl )\Q$o\E\b/
	} sort keys %options;
	is("@lost", '', "every option of $program is in $name");
}

# Every command of sandboxctl and every flag of it.
{
	my $help = from_json(run_cmd([program('sandboxctl'), '--json', 'help'])->{out});
	my $plain = $page{'sandboxctl.1'} // '';
	my @lost = grep { $plain !~ /^(?:\.It|\.Cm)(?: Xo\n\.| )?Cm \Q$_\E\b/m &&
	    $plain !~ /^\.Cm \Q$_\E$/m } map { $_->{name} } @{$help->{commands}};
	is("@lost", '', 'every command is in sandboxctl.1');
	@lost = ();
	for my $c (@{$help->{commands}}) {
		push @lost, "$c->{name} --$_->{name}" for grep {
			$plain !~ /(?:Fl -|Fl Fl )\Q$_->{name}\E\b/ } @{$c->{flags}};
	}
	is("@lost", '', 'and every flag of each');
}

# The same of sandbox-agent, from its own help.
{
	my $link = Sandboxd->scratch_dir . '/sandbox-agent';
	symlink(program('sandboxctl'), $link) or die "$link: $!";
	my $page = $page{'sandbox-agent.1'} // '';
	my @commands = run_cmd([$link, '--help'])->{out} =~
	    /^  ([a-z][a-z -]*[a-z])(?:  | GROUP)/mg;
	ok(@commands >= 9, 'sandbox-agent --help names commands');
	is(join(', ', grep { $page !~ /^\.It Cm \Q$_\E\b/m } @commands), '',
	    'every command is in sandbox-agent.1');
	my %flags;
	for my $command (grep { $_ ne 'api' } @commands) {
		$flags{$_} = 1 for run_cmd([$link, split(/ /, $command), '--help'])
		    ->{out} =~ /^  .{4}--([a-z][a-z-]*)/mg;
	}
	ok(keys %flags > 15, 'and their help names flags');
	is(join(' ', grep { $page !~ /(?:Fl -|Fl Fl )\Q$_\E\b/ } sort keys %flags), '',
	    'every flag is in sandbox-agent.1');
}

# What the daemon answers to help is the same list again.
SKIP: {
	skip 'needs root', 2 if $> != 0;
	my $d = Sandboxd->start;
	my $help = to_json($d->ok('help'));
	is(missing($help, @ops), '', 'help lists every operation');
	is(missing($help, sort keys %unique), '', 'help lists every field');
}

# Pages have the sections that readers look for.
for my $name (qw(sandboxd.8 sandboxctl.1 sandbox-agent.1)) {
	for my $section ('NAME', 'SYNOPSIS', 'DESCRIPTION', 'FILES',
	    'EXIT STATUS', 'EXAMPLES') {
		like($page{$name} // '', qr/^\.Sh "?\Q$section\E/m,
		    "$name has $section");
	}
}
like($page{'sandboxd.8'} // '', qr/^\.Sh SIGNALS/m, 'sandboxd.8 has SIGNALS');

done_testing;
