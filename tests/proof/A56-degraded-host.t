# A56: a host that cannot give everything: what a sandbox's record says holds does,
# what it says does not, does not, and full isolation is refused where a part lacks.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Init;
use Sandboxd::Oci;
use Test::More;

need_root();
need_program('crun');

# Looked at, not believed: namespaces inside and outside, filters, privileges.
my $look = <<'S';
#!/bin/sh
c=/opt/build/sandboxctl
$c create box >/dev/null 2>/data/why || { echo "refused"; cat /data/why; exit 9; }
$c --json get box | tr -d '\n' | sed 's/.*"isolation":\({[^}]*}\).*/record \1/'
echo
for n in user pid mnt net ipc uts; do
	i=$($c exec box -- readlink /proc/self/ns/$n)
	[ "$i" = "$(readlink /proc/self/ns/$n)" ] && echo "$n shared" || echo "$n own"
done
for w in NoNewPrivs Seccomp_filters CapBnd; do
	echo "outside_$w $(grep ^$w: /proc/self/status | cut -f2)"
	echo "inside_$w $($c exec box -- grep ^$w: /proc/self/status | cut -f2)"
done
echo "signal $($c exec box -- sh -c "kill -0 $$ 2>&1 && echo yes || echo no" | tail -n1)"
$c list >/dev/null 2>&1 && echo "operator yes"
echo "socket $($c exec box -- sh -c "SANDBOXD_SOCKET=$SANDBOXD_SOCKET $c list" >/dev/null 2>&1 && echo yes || echo no)"
$c create strict --isolation full >/dev/null 2>&1 && echo "full yes" || echo "full no"
S

my %name = (user => 'user', pid => 'pid', mnt => 'mount', net => 'net',
    ipc => 'ipc', uts => 'uts');

sub judge {
	my ($what, $got) = @_;
	my %is = map { /^(\w+) (.+)$/ ? ($1 => $2) : () } split /\n/, $got->{out};
	my $have = $is{record} ? from_json($is{record}) : undef;
	ok($have, "$what: a sandbox is made") or diag($got->{out}, $got->{err}), return;
	diag("$what: " . join(' ', grep { $have->{$_} } sort keys %$have));
	for (sort keys %name) {
		is($is{$_}, $have->{$name{$_}} ? 'own' : 'shared',
		    "$what: $name{$_} is as the record says");
	}
	is($is{inside_NoNewPrivs}, 1, "$what: no_new_privs");
	is($is{inside_Seccomp_filters} > $is{outside_Seccomp_filters} ? 1 : 0,
	    $have->{seccomp} ? 1 : 0, "$what: seccomp");
	is(hex($is{inside_CapBnd}) & ~0x4fb, 0, "$what: capabilities")
	    if $have->{caps};
	is($is{signal}, 'no', "$what: nobody outside can be signalled")
	    if $have->{landlock};
	is($is{operator}, 'yes', "$what: the command may use the control socket");
	is($is{socket}, 'no', "$what: what runs in the sandbox may not");
	my @lack = grep { !$have->{$_} } keys %$have;
	is($is{full}, @lack ? 'no' : 'yes', "$what: full isolation");
}

# In containers: those of an engine, with its filter and without; with nothing; as
# an ordinary user, as without root at all.
my @containers = (['an engine\'s default', caps => [docker_caps()],
    filter => docker_filter()],
    ['its capabilities, no filter', caps => [docker_caps()]],
    ['no capability', caps => []],
    ['an ordinary user', caps => [], uid => 4711],
    ['an ordinary user below a filter', uid => 4711, filter => docker_filter()]);
for (@containers) {
	my ($what, @o) = @$_;
	judge($what, run_bundle(@o, script => $look));
}

# What is accepted is the operator's to say.
for my $minimum (qw(namespaces full)) {
	my $got = run_bundle(caps => [], script => $look,
	    conf => "[sandbox]\nminimum = $minimum\n");
	is($got->{status}, 9, "sandbox.minimum = $minimum: none is made");
	like($got->{out}, qr/^refused\n.*(gives no|missing: )/s, 'and why is told');
}

# Here, as a service: the same questions to sandboxes of the usual kind.
my $d = Sandboxd->start;
my $have = $d->ok('sandbox.create', { id => 'here' })->{isolation};
for (sort keys %name) {
	is($d->exec('here', ['readlink', "/proc/self/ns/$_"])->{stdout}
	    eq readlink("/proc/self/ns/$_") . "\n" ? 'shared' : 'own',
	    $have->{$name{$_}} ? 'own' : 'shared', "here: $name{$_}");
}
my @lack = grep { !$have->{$_} } sort keys %$have;
is($d->error('sandbox.create', { id => 'full', isolation => 'full' }),
    @lack ? 'isolation_unavailable' : '', "here: full isolation (lacking: @lack)");
is($d->error('sandbox.create', { id => 'shared', isolation => 'full',
    network => 'host' }), 'isolation_unavailable', 'never in the host\'s network');
$d->stop;

# A service that is not an init does not settle for less by itself.
$d = Sandboxd->start(no_launch => 1);
$d->{options}{wrap} = ['setpriv', '--bounding-set', '-all', '--inh-caps', '-all'];
$d->launch;
my $s = $d->ok('status');
if ($s->{isolation_reduced}) {
	is($s->{isolation_minimum}, 'namespaces', 'a service wants namespaces');
	is($d->error('sandbox.create', { id => 'x' }), 'isolation_unavailable',
	    'and makes no sandbox without');
}
$d->stop;

done_testing;
