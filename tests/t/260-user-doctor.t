# What doctor tells an ordinary user about the ids of his sandboxes: how many they
# have, what is missing for more, and the command that mends it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::User;
use Test::More;

alone();
need_program('setpriv', 'newuidmap', 'newgidmap');
my $user = Sandboxd::User->new;
$user->reaches_or_skip;

# The check "ids" of a daemon that would be started now.
sub doctor {
	my (%o) = @_;
	my $got = $user->run([program('sandboxd'), '--libexec-dir', build_dir(),
	    '--doctor=json'], %o);
	my ($c) = grep { $_->{name} eq 'ids' } @{from_json($got->{out})->{checks}};
	return $c;
}

sub lend {
	my ($uids, $gids) = @_;
	$user->put(subuid => $uids);
	$user->put(subgid => $gids // $uids);
}

sub says {
	my ($state, $detail, $mend, $what, %o) = @_;
	my $c = doctor(%o);
	my $good = $c->{state} eq $state && $c->{detail} =~ $detail &&
	    ($mend ? ($c->{mend} // '') =~ $mend : !defined $c->{mend});
	ok($good, $what) or diag(to_json($c));
}

my $one = qr/^one id is mapped/;
lend("rl:100000:65536\n");
says('ok', qr/^65536 of rl's from uid 100000 and gid 100000 on: 16 sandboxes with 4096 of/, undef,
    'a range of the usual size');
lend("a:100000:65536\nb:165536:65536\n");
says('note', qr{$one.*/etc/subuid has no range},
    qr/^sudo usermod --add-subuids 231072-296607 --add-subgids 231072-296607 rl /,
    'nothing is lent: the command names a range that is free');
lend("a:100000:65536\nrl:300000:65536\n", "b:150000:100000\n");
says('note', qr{$one.*/etc/subgid has no range},
    qr/^sudo usermod --add-subgids 365536-431071 rl /, 'only users: free in both files');
lend("rl:100000:65536\nrl:400000:131072\n");
says('ok', qr/^131072 of rl's from uid 400000 .*: 2 sandboxes with 65536 of their own/, undef,
    'of several ranges the largest');
lend("rl:100000:5000\n");
says('ok', qr/^5000 of rl's.*: 1 sandbox with 5000/, undef, 'a small one is shared');
lend("rl:100000:999\n");
says('note', qr/no range of 1000 ids/, qr/^sudo usermod --add-subuids/, 'too small a one is none');
lend("$user->{uid}:100000:65536\n");
says('ok', qr/^65536 of rl's/, undef, 'by number');
lend("rl:0:65536\nrl:1:4294967295\nrl:54000:1000\nrl:-5:70000\nrl:7\nrl:1:x\n" . 'x' x 5000
    . ":1:2\nrl:200000:65536\nrl:200500:90000\n:::\n");
says('ok', qr/^65536 of rl's from uid 200000 /, undef,
    'what is the host\'s root\'s, the caller\'s, no number or overlaps is left out');

# The programs.
my $dir = Sandboxd->scratch_dir;
run_cmd(['cp', '/usr/bin/newgidmap', "$dir/plain"]);
chmod(0755, "$dir/plain");
cover("$dir/plain", '/usr/bin/newgidmap');
says('note', qr{/usr/bin/newgidmap is not used: it is neither set-user-id nor},
    qr/^sudo apt-get install --reinstall uidmap/, 'a program without its rights');
chmod(04777, "$dir/plain");
says('note', qr/newgidmap is not used: it is not root's, or others can write it/,
    qr/uidmap/, 'one that others can write');
chmod(04755, "$dir/plain");
chown($user->{uid}, 0, "$dir/plain");
chmod(04755, "$dir/plain");
says('note', qr/newgidmap is not used: it is not root's/, qr/uidmap/, 'one that is not root\'s');
uncover('/usr/bin/newgidmap');
spew("$dir/says", "#!/bin/sh\nprintf 'no\\033[31m ids for you\\nmore\\n' >&2\nexit 7\n");
chmod(04755, "$dir/says");
cover("$dir/says", '/usr/bin/newuidmap');
says('note', qr/newuidmap: exit status 7: no\?\[31m ids for you$/, qr/\S/,
    'one that refuses: what it says, made harmless');
uncover('/usr/bin/newuidmap');
# Rights that programs cannot take.
my $got = $user->run([program('sandboxd'), '--libexec-dir', build_dir(), '--doctor=json'],
    setpriv => ['--no-new-privs']);
my ($c) = grep { $_->{name} eq 'ids' } @{from_json($got->{out})->{checks}};
like($c->{detail}, qr/started with no_new_privs/, 'started without new privileges');
like($c->{mend}, qr/NoNewPrivileges/, 'how to mend that');

# A daemon that has one id only says the same, and so do its records.
lend('');
my $d = Sandboxd->start(uid => $user->{uid});
my ($with) = grep { $_->{name} eq 'ids' } @{$d->ok('doctor')->{checks}};
like($with->{detail}, $one, 'a running daemon');
is_deeply($d->ok('sandbox.create', { id => 'a' })->{ids}, { count => 1, uid => $user->{uid},
    gid => $user->{uid}, shared => JSON::PP::true, self_uid => 0, self_gid => 0 }, 'a sandbox\'s record');
like($d->request('sandbox.create', { id => 'b', user => '1000' })->{error}{detail},
    qr/^user: 1000: .* no ids but root's here; `sandboxctl doctor` tells/, 'no other user');
ok($d->stop, 'it ends');

# Without a name, newuidmap serves nobody.
lend("$user->{uid}:100000:65536\n");
$user->put(passwd => slurp('/etc/passwd') =~ s/^rl:.*\n//mr);
says('note', qr{uid $user->{uid} is not in /etc/passwd}, qr/\S/, 'a uid without a name');

# Root needs none of this.
$got = run_cmd([program('sandboxd'), '--libexec-dir', build_dir(), '--doctor=json']);
($c) = grep { $_->{name} eq 'ids' } @{from_json($got->{out})->{checks}};
like($c->{detail}, qr/^1342177280 to /, 'root has ranges of its own');
done_testing;
