# Process titles tell role and id, to ps as to people.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => 'house' });
$d->ok('session.create', { id => 'talk', agent => 'mock', sandbox => 'house' });
$d->sh('house', 'true');

my %title = map { $_ => Sandboxd::title_of($_) } $d->{pid}, $d->children;
my $all = join("\n", sort values %title);
like($title{$d->{pid}}, qr/sandboxd.*supervisor/, 'the supervisor');
like($all, qr/sandboxd.*store/m, 'the store');
like($all, qr/sandboxd.*init.*\bhouse\b/m, 'the init, with its sandbox');
like($all, qr/sandboxd.*session.*\btalk\b/m, 'the worker, with its session');
diag($all);
for my $pid (keys %title) {
	my $comm = slurp("/proc/$pid/comm");
	like($comm, qr/^(?:sandboxd|store|relay|init|session)/,
	    "comm of $title{$pid}");
}
# Uids: who runs as what.
my %uid = map { $title{$_} => (slurp("/proc/$_/status") =~ /^Uid:\s+(\d+)/m)[0] }
    keys %title;
for (sort keys %uid) {
	/supervisor/ ? is($uid{$_}, 0, "$_ is root")
	    : cmp_ok($uid{$_}, '>', 0, "$_ is not root ($uid{$_})");
}
# Nobody but the supervisor has capabilities on the host; the store no network,
# no file system but its own.
for my $pid (grep { $title{$_} =~ /store|relay/ } keys %title) {
	my $status = slurp("/proc/$pid/status");
	like($status, qr/^CapEff:\s+0+$/m, "$title{$pid}: no capability");
	like($status, qr/^CapBnd:\s+0+$/m, "$title{$pid}: nor one to come");
	like($status, qr/^NoNewPrivs:\s+1$/m, "$title{$pid}: no_new_privs");
	isnt(readlink("/proc/$pid/root") // '', '/', "$title{$pid}: not in the host's root");
}

done_testing;
