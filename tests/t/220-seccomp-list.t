# The list of system calls: what is printed, what sandboxd-security(7) says of it,
# and that no guard can be off in a program that is installed.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

my $got = run_cmd([program('sandboxd'), '--print-seccomp=json']);
is($got->{status}, 0, 'the list is printed without a daemon');
my $list = from_json($got->{out});
my @groups = @{$list->{groups}};
cmp_ok(scalar @groups, '>', 20, 'it has groups');
is(join(' ', grep { length($_->{reason} // '') < 20 } @groups), '', 'each with a reason');
my (%seen, @twice);
for my $g (@groups) {
	for my $verdict (qw(allowed refused absent)) {
		$seen{$_}++ && push(@twice, $_) for keys %{$g->{$verdict}};
	}
}
is("@twice", '', 'no call is in two places');
my @lost = grep { !$seen{$_->{call}} } map { @{$_->{rules}} } @groups;
is(scalar @lost, 0, 'every rule is about a call of the list');

my $text = run_cmd([program('sandboxd'), '--print-seccomp'])->{out};
is(join(' ', grep { index($text, "\n$_->{group}: $_->{reason}\n") < 0 } @groups[1 .. $#groups]),
    '', 'people get the same words');
is(join(' ', grep { $text !~ /(?<!\w)\Q$_\E(?!\w)/ } keys %seen), '', 'and all calls');
is(run_cmd([program('sandboxd'), '--print-seccomp=xml'])->{status}, 100, 'nothing else is known');

# The manual page, word for word and in order.
my ($page) = slurp(root_dir() . '/doc/sandboxd-security.7') =~
    /^\.Sh SYSTEM CALLS\n(.*?)^\.Sh /ms;
my @items = split /^\.It /m, $page;
shift @items;
s/^\.(?:El|Pp|Bl).*//ms, s/\.\n(?=[A-Z(])/. /g, s/\s*\n\s*/ /g, s/ $// for @items;
my @order = ((grep { %{$_->{allowed}} } @groups), (grep { !%{$_->{allowed}} } @groups));
my @want = (map { my $g = $_;
	"Cm $g->{group} $g->{reason}." . (%{$g->{absent}} ? ' Absent: .Li '
	    . join(' , ', sort { $g->{absent}{$a} <=> $g->{absent}{$b} } keys %{$g->{absent}})
	    . ' .' : '') } @order);
push @want, map { my $g = $_; map { "Li $_->{call} Pq $_->{gives}"
    . ($_->{strict} ? ', rw' : '') . " $_->{reason}." } @{$g->{rules}} } @groups;
s/\s+/ /g for @want, @items;
is(join("\n", @items), join("\n", @want), 'sandboxd-security(7) has the groups and rules');

# Guards: in a program that is installed none can be off.
for my $name (qw(sandboxd sandboxd-init sandboxd-store sandboxd-session sandboxd-relay
    sandboxd-gateway sandboxd-courier sandboxctl sandboxctl-http)) {
	ok(slurp(program($name)) !~ /SANDBOXD_UNGUARDED|guard_is_on|guards_off/, "$name has all its guards");
}
SKIP: {
	my $exe = program('tests/proof/unguarded');
	skip 'make check has not been run', 2 unless -x $exe;
	like(run_cmd([$exe, '--version'])->{out}, qr/unguarded: for tests only/,
	    'the one for tests says what it is');
	my $made = run_cmd(['make', '-n', '-C', build_dir(), 'install'])->{out};
	unlike($made, qr/unguarded/, 'and is not installed');
}
done_testing;
