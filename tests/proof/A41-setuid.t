# A41: set-user-id programs and programs with capabilities, of an image and of a
# mount: nobody gains anything, and every process has no_new_privs.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
need_program('setcap');
my $src = Sandboxd->scratch_dir . '/who.c';
my $dir = Sandboxd->scratch_dir;
spew($src, <<'E');
#include <stdio.h>
#include <unistd.h>
#include <string.h>
int main(void) { char b[200]; FILE *f = fopen("/proc/self/status", "r");
	printf("euid %d\n", (int)geteuid());
	while (f && fgets(b, sizeof(b), f)) if (!strncmp(b, "CapEff:", 7) || !strncmp(b, "NoNewPrivs:", 11)) fputs(b, stdout);
	return 0; }
E
my $got = run_cmd(['cc', '-static', '-o', "$dir/plain", $src], timeout => 60);
is($got->{status}, 0, 'a program that tells who it is') or diag($got->{err});
run_cmd(['cp', "$dir/plain", "$dir/$_"]) for qw(suid sgid caps);
chmod(04755, "$dir/suid");
chmod(02755, "$dir/sgid");
is(run_cmd(['setcap', 'cap_sys_admin+ep', "$dir/caps"])->{status}, 0, 'one has a capability');
# On the host they give what they promise.
my @nobody = ('setpriv', '--reuid', 65534, '--regid', 65534, '--clear-groups', '--');
like(run_cmd([@nobody, "$dir/suid"])->{out}, qr/euid 0/, 'outside the set-user-id one is root');
like(run_cmd([@nobody, "$dir/caps"])->{out}, qr/CapEff:\s+0*[1-9a-f]0*\n/, 'and the other capable');
my $open = unguarded('caps seccomp landlock');
my $d = Sandboxd->start;
$_->ok('sandbox.create', { id => 's', mounts => [{ source => $dir, target => '/opt/s' }] }) for $open, $d;
$d->ok('session.create', { id => 'x', agent => 'mock', sandbox => 's' });
my $as = { user => '1000:1000' };
for my $prog (qw(suid sgid caps)) {
	my $out = $d->exec('s', ["/opt/s/$prog"], %$as)->{stdout};
	unlike($out, qr/euid 0/, "$prog of a mount: not root");
	like($out, qr/CapEff:\s+0{16}\n/, "$prog of a mount: no capability");
	like($out, qr/NoNewPrivs:\s+1/, "$prog of a mount: no new privileges");
	# of the image: copied there by the sandbox's root, with bits and attributes
	$d->sh('s', "cp /opt/s/$prog /var/tmp/$prog; chown 0:0 /var/tmp/$prog; chmod 6755 /var/tmp/$prog");
	$out = $d->exec('s', ["/var/tmp/$prog"], %$as)->{stdout};
	like($out, qr/euid 1000\n/, "$prog of its own root: still the user");
	like($out, qr/CapEff:\s+0{16}\n/, "$prog of its own root: no capability");
}
# Judged from outside, over all processes, while things start.
$d->exec('s', ['true']);
my @pids = map { ($_, descendants($_)) } $d->children(qr/init\W+s/);
my @bad = grep { (slurp("/proc/$_/status") // "NoNewPrivs:\t1\n") !~ /NoNewPrivs:\s+1\n/ } @pids;
cmp_ok(scalar @pids, '>', 1, 'there are processes');
is("@bad", '', 'no_new_privs in every one, init and worker included');
my ($init) = $open->children(qr/init\W+s/);
like(slurp("/proc/$init/status"), qr/NoNewPrivs:\s+0\n/, 'without the guard init would not have it');
done_testing;
