# The init of a sandbox, or a session's worker, is somebody else's: it speaks
# early, late, never, twice, at length, in pieces, for others, with descriptors
# that nobody asked for. It costs that sandbox or session, nobody else anything,
# and what is destroyed is gone.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $slow = Sandboxd::slow_factor();
my @lies = qw(never early role version reply-early gone twice huge long truncated
    cut garbage deep unknown foreign kinds unasked exited many-fds hidden-fds no-fds
    flood serviced-none serviced-what serviced-more serviced-flood reply-twice reply-kinds reply-error reply-big dies-late);

# The programs, with the liar in place of one.
sub programs {
	my ($of) = @_;
	my $dir = Sandboxd->scratch_dir;
	chmod(0755, $dir);
	run_cmd(['sh', '-c', "cp @{[build_dir()]}/sandboxd-* $dir/"]);
	unlink("$dir/$of");
	run_cmd(['cp', program('tests/abuse/liar'), "$dir/$of"]);
	return $dir;
}

sub descriptors {
	my ($pid) = @_;
	opendir(my $dh, "/proc/$pid/fd") or return -1;
	return scalar grep { /^\d/ } readdir $dh;
}

sub all_well {
	my ($d, $what, $pid) = @_;
	my $t = time;

	my $r = $d->request('sandbox.exec', { id => 'good', command => ['true'] },
	    timeout => 20);
	is($r->{ok}{exit_code}, 0, "$what: a neighbour works");
	is($d->ok('status')->{pid}, $pid, "$what: so does the supervisor");
	cmp_ok(time - $t, '<', 3 * $slow, "$what: both soon");
}

# --- init ---------------------------------------------------------------------------

my $conf = "[sandbox]\nstart_time = 2s\nstop_grace = 300ms\n"
    . "[session]\nstart_time = 2s\n";
my $d = Sandboxd->start(args => ['--libexec-dir', programs('sandboxd-init')],
    conf => $conf);
my $honest = { source => program('sandboxd-init'), target => '/opt/honest' };
$d->ok('sandbox.create', { id => 'good', mounts => [$honest] });
$d->note_groups;
my $base;
for my $lie (@lies) {
	my %service = $lie =~ /^serviced-(?!none)/
	    ? (entrypoint => ['true'], service => { restart => 'always' }) : ();
	my $r = $d->client->request('sandbox.create', { id => $lie, %service },
	    timeout => 20 * $slow);
	ok($r->{ok} || $r->{error}{code}, "init $lie: the create is answered")
	    or diag(to_json($r));
	all_well($d, "init $lie", $d->{pid});
	if ($lie eq 'serviced-flood') {
		my $state = sub { $d->ok('sandbox.get', { id => $lie })->{service_state} // {} };
		ok(wait_for(20, sub { ($state->()->{state} // '') eq 'hung' }), 'what it says is its state');
		my $e = $d->ok('sandbox.events', { id => $lie })->{events}[-1];
		my $time = ($e->{at} - $r->{ok}{created_at}) / 1000;
		cmp_ok($e->{seq}, '<=', 410 + 20 * $time, 'its log is not filled');
	}
	if ($r->{ok}) {
		# What it says of commands is believed of its own only.
		my $c = $d->client;
		my $x = $c->request('sandbox.exec', { id => $lie,
		    command => ['true'], timeout_ms => 1000 }, timeout => 3)
		    if $lie =~ /^(?:reply|exited|dies)/;
		all_well($d, "init $lie, a command", $d->{pid}) if $x;
		$r = $d->client->request('sandbox.destroy', { id => $lie },
		    timeout => 20 * $slow);
		ok($r->{ok} || ($r->{error}{code} // '') eq 'sandbox_not_found',
		    "init $lie: it is destroyed") or diag(to_json($r));
	} else {
		$d->client->request('sandbox.destroy', { id => $lie },
		    timeout => 20 * $slow);
	}
	wait_for(10, sub { !$d->children(qr/\binit\b.*\Q$lie\E/) });
	is(join(' ', $d->children(qr/\binit\b.*\Q$lie\E/)), '',
	    "init $lie: nothing of it runs");
	if (defined $base) {
		wait_for(10, sub { descriptors($d->{pid}) <= $base });
		cmp_ok(descriptors($d->{pid}), '<=', $base,
		    "init $lie: no descriptor stays");
	}
	$base //= descriptors($d->{pid}) + 4;	# room for what is made ahead
}
is_deeply([map { $_->{id} } @{$d->ok('sandbox.list')->{sandboxes}}], ['good'],
    'the good one alone is left');
ok($d->stop, 'an orderly end');
is(join("\n", $d->leftovers), '', 'nothing is left');

# --- a session's worker -------------------------------------------------------------------

$d = Sandboxd->start(args => ['--libexec-dir', programs('sandboxd-session')],
    conf => $conf);
$honest = { source => program('sandboxd-session'), target => '/opt/honest' };
$d->ok('sandbox.create', { id => 'good', mounts => [$honest] });
$d->ok('sandbox.create', { id => 'bad' });
$d->ok('session.create', { id => 'good', agent => 'mock', sandbox => 'good' });
for my $lie (@lies) {
	$d->sh('bad', "printf %s $lie >/tmp/lie");
	my $r = $d->client->request('session.create', { id => $lie,
	    agent => 'mock', sandbox => 'bad' }, timeout => 30 * $slow);
	ok($r->{ok} || $r->{error}{code}, "worker $lie: the create is answered")
	    or diag(to_json($r));
	all_well($d, "worker $lie", $d->{pid});
	my @e = $d->turn('good', 'still here');
	is($e[-1]{type}, 'turn.ended', "worker $lie: another session works");
	next if !$d->request('session.get', { id => $lie })->{ok};
	$r = $d->client->request('session.delete', { id => $lie },
	    timeout => 30 * $slow);
	ok($r->{ok}, "worker $lie: the session goes") or diag(to_json($r));
}
$d->ok('sandbox.destroy', { id => 'bad' }, timeout => 30);
is($d->ok('status')->{restarts}{store}, 0, 'the store has not suffered');
ok($d->stop, 'an orderly end');
is(join("\n", $d->leftovers), '', 'nothing is left');

done_testing;
