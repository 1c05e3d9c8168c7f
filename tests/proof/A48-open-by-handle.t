# A48 (Shocker): files by their handles. There is no setting that gives a sandbox
# CAP_DAC_READ_SEARCH, so it is asked for in vain; and the filter refuses the call.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
my $dir = Sandboxd->scratch_dir;
spew("$dir/secret", "of the host\n");
my $src = { source => $dir, target => '/mnt/d' };
my $open = unguarded('seccomp caps');
my $d = Sandboxd->start;
$_->ok('sandbox.create', { id => 'h', mounts => [Sandboxd->probe_mount, helper_mount('hostile'), $src] })
    for $open, $d;
SKIP: {
	my $said = outside(['handle', "$dir/secret"]);
	skip 'this file system has no handles', 1 if $said->{name_to_handle_at} ne 'ok';
	is($said->{open_by_handle_at}, 'ok', 'on the host root opens a file by its handle');
}
for my $field ({ capabilities => ['CAP_DAC_READ_SEARCH'] }, { caps => ['dac_read_search'] }, { privileged => 1 }) {
	my $r = $d->request('sandbox.create', { id => 'x', %$field });
	ok($r->{error}, 'no sandbox is made with ' . to_json($field)) or diag(to_json($r));
}
for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	for my $path ('/mnt/d/secret', '/etc/passwd') {
		is(hostile($d, 'h', ['handle', $path], %$as)->{open_by_handle_at}, 'EPERM', "$who: $path");
	}
	is($d->probe('h', ['handle', '/'], %$as)->{handle}, 'EPERM', "$who: a guessed inode");
	# Without the filter the call is looked at; the missing capability still refuses it.
	my $free = $open->probe('h', ['handle', '/'], %$as)->{handle};
	isnt($free, 'ok', "$who: nor without the filter ($free)");
}
done_testing;
