# status: what the daemon says of itself.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
my $s = $d->ok('status');

like($s->{version}, qr/^\d+\.\d+/, 'it tells its version');
is($s->{pid}, $d->{pid}, 'and its pid');
ok($s->{uptime_ms} >= 0 && $s->{uptime_ms} < 60000, 'and how long it runs');
is(ref $s->{isolation}, 'HASH', 'it tells the isolation this host can give');
for my $m (qw(user pid mount net ipc uts cgroup seccomp landlock caps idmap)) {
	ok(exists $s->{isolation}{$m}, "isolation names $m");
}
ok(ref $s->{store}, 'it tells figures of the store');
is($s->{sandboxes}{running}, 0, 'no sandbox yet');
is($s->{sessions}, 0, 'no session yet');

$d->ok('sandbox.create', { id => 'a' });
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'a' });
$s = $d->ok('status');
is($s->{sandboxes}{running}, 1, 'sandboxes are counted');
is($s->{sessions}, 1, 'sessions are counted');

done_testing;
