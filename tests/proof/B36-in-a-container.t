# B36: nothing is written but below our own control group and directories, and it
# works as the root of a container.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Init;
use Sandboxd::Oci;
use Test::More;

need_root();
need_program('crun', 'strace');

# What is done in every kind of container; each line of what it says is checked.
my $script = <<'S';
#!/bin/sh
c=/opt/build/sandboxctl
echo "pid1 $(tr '\0' ' ' </proc/1/cmdline | cut -c1-9)"
$c create box >/dev/null 2>&1 && echo created
$c exec box -- echo inside
$c exec box -- sh -c 'setsid sleep 1000 >/dev/null 2>&1 & (sleep 1001 >/dev/null 2>&1 &)'
$c --json get box | tr -d '\n' | sed 's/.*"isolation":\({[^}]*}\).*/holds \1/'
echo
$c stop box >/dev/null && ! pgrep -x sleep >/dev/null && echo stopped
$c start box >/dev/null && $c exec box -- echo again
$c create strict --isolation full 2>&1 | grep -o 'full isolation was asked for'
$c create s2 >/dev/null 2>&1
$c session create --agent mock --id talk --sandbox s2 >/dev/null 2>&1 && echo session
exit 5
S

for (['no capabilities', [], undef], ['capabilities and filter of an engine',
    [docker_caps()], docker_filter()],
    ['capabilities of an engine, no filter', [docker_caps()], undef]) {
	my ($name, $caps, $filter) = @$_;
	my $got = run_bundle(caps => $caps, filter => $filter, script => $script);
	is($got->{status}, 5, "$name: it exits as its command does")
	    or diag($got->{err});
	my %said = map { $_ => 1 } split /\n/, $got->{out};
	ok($said{$_}, "$name: $_") or diag($got->{out}, $got->{err})
	    for 'pid1 sandboxd:', qw(created inside stopped again),
	    'full isolation was asked for';
	my ($holds) = $got->{out} =~ /^holds (\{.*\})$/m;
	my $have = $holds ? from_json($holds) : {};
	ok($have->{no_new_privs} && $have->{seccomp} && $have->{caps},
	    "$name: what can be had holds");
	if ($filter || !@$caps) {
		ok(!$have->{$_}, "$name: $_ does not, and that is said")
		    for qw(user pid mount net);
		like($got->{err}, qr/REDUCED ISOLATION/, 'loudly');
	} else {
		ok($have->{$_}, "$name: $_ holds") for qw(user pid mount net);
	}
	my @there = sort map { m{([^/]+)$} } glob("$got->{dir}/data/*");
	is("@there", 'run script state', 'nothing but its directories is written');
}

# Without a pid namespace a keeper stands above a sandbox's init. Whichever of the two
# is killed, nothing of the tree stays, and the sandbox is started again.
my $kill = <<'S';
#!/bin/sh
c=/opt/build/sandboxctl
for who in keeper init; do
	$c create $who >/dev/null 2>&1
	$c exec $who -- sh -c 'setsid sleep 1000 >/dev/null 2>&1 &
	    (sleep 1001 >/dev/null 2>&1 &) ; until [ $(pgrep -cx sleep) = 2 ]; do :; done'
	echo "$who: $(pgrep -cx sleep) before"
	kill -9 $(pgrep -f "^sandboxd-$who $who")
	n=0
	while pgrep -f '^sleep 100[01]' >/dev/null && [ $n -lt 100 ]; do
		sleep 0.1; n=$((n+1)); done
	echo "$who: $(pgrep -cf '^sleep 100') after"
	until $c exec $who -- echo again 2>/dev/null || [ $n -ge 100 ]; do n=$((n+1)); done
	$c rm $who >/dev/null
done
S
my $killed = run_bundle(script => $kill);
is($killed->{out}, join('', map { "$_: 2 before\n$_: 0 after\nagain\n" }
    qw(keeper init)), 'a killed keeper, a killed init') or diag($killed->{err});

# On a host: every control group that it touches is its own.
my $d = Sandboxd->start(no_launch => 1);
my $trace = "$d->{dir}/trace";
$d->{options}{wrap} = ['strace', '-f', '-o', $trace, '-e',
    'trace=mkdir,mkdirat,rmdir,unlinkat,open,openat,openat2', '-s', '300'];
$d->launch;
$d->ok('sandbox.create', { id => 'g', limits => { pids => 50 } });
$d->sh('g', 'true');
$d->ok('sandbox.destroy', { id => 'g' });
kill('TERM', init_pid($d));
wait_for(30, sub { $d->ended });
my @wrote = grep { (/ mkdir/ || /O_(WRONLY|RDWR|CREAT)/) && !/ = -1 / }
    lines_of($trace);
ok((grep { /mkdirat\(\d+, "sandboxd-/ } @wrote), 'control groups are made')
    or diag(join("\n", grep { /mkdir/ } @wrote));
# By path only below its own directories; below descriptors are its own.
is(join("\n", grep { m{"/} && !m{"\Q$d->{dir}\E/} &&
    !m{"/(dev/(null|pts|ptmx|loop)|proc/)} } @wrote), '',
    'nothing is written by a path that is not ours');

done_testing;
