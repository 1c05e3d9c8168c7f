# A13: every file below /proc/sys, written: none takes it, and nothing changes.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => $_, network => $_ }) for qw(none host);
# Some count by themselves; a race with another test that sets one is not ours.
sub sysctls {
	return { map { $_ => slurp($_) } grep { !m{random/|/(?:file|inode|dentry)-|nr_|_stat|ns_last_pid|aio-} }
	    split /\n/, run_cmd(['find', '/proc/sys', '-type', 'f', '-readable', '-perm', '-u+w'])->{out} };
}
my $try = 'find /proc/sys -type f 2>/dev/null | while read f; do v=$(cat "$f" 2>/dev/null) || continue; '
    . '(printf "%s" "$v" >"$f") 2>/dev/null && echo "$f"; done; :';
# The guard off: root of the host in a network namespace of its own writes there.
my $r = run_cmd(['unshare', '-n', '/bin/sh', '-c', 'echo 1 >/proc/sys/net/ipv4/ip_forward && '
    . 'cat /proc/sys/net/ipv4/ip_forward']);
is($r->{out}, "1\n", 'outside a switch can be turned, in namespaces of its own');
my $before = sysctls();
cmp_ok(scalar keys %$before, '>', 200, 'there are switches');
for my $box (qw(none host)) {
	for (Sandboxd::both_users()) {
		my ($who, $as) = @$_;
		my $r = $d->sh($box, $try, timeout_ms => 60000, %$as);
		is($r->{exit_code}, 0, "$who in $box: all were tried");
		is($r->{stdout}, '', "$who in $box: none takes a write");
		is($d->sh($box, 'mount | grep -c " on /proc/sys .*[(,]ro[,)]"', %$as)->{stdout}, "1\n",
		    "$who in $box: it is a read-only mount");
	}
}
my $after = sysctls();
my @moved = grep { ($after->{$_} // '') ne ($before->{$_} // '') } keys %$before;
is("@moved", '', 'no switch of the host has moved');
done_testing;
