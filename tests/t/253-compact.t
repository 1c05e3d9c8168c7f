# sandboxctl compact: the database's file is made smaller while sessions write, a client
# of the control socket stores records and HTTP clients read. Nothing that was
# acknowledged is lost, no HTTP request fails, and who may not call it is told so.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
# Not by itself at a start: it is this operation that is looked at.
my $d = Sandboxd->start(http => 1, conf => "[store]\nmap_bytes = 1M\ncompact_share = 0\n");
my $notes = Sandboxd->scratch_dir;
my $data = "$d->{state}/store/data.mdb";

$d->ok('session.create', { id => $_, agent => 'mock' }) for qw(keep busy);
$d->turn('keep', 'this stays');
my @keep = $d->event_texts('keep');
# All of them before the first is removed, so that the file grows by each: to much
# more than the load below adds until it is measured.
my @gone = map { "gone$_" } 1 .. 6;
for my $id (@gone) {
	$d->ok('session.create', { id => $id, agent => 'mock' });
	$d->request('session.prompt', { id => $id, text => 'flood 6000', stream => \1 },
	    timeout => 60, forget => 1);
}
$d->ok('session.delete', { id => $_ }) for @gone;
ok(wait_for(30, sub { $d->ok('status')->{store}{events} < 200 }),
    'events of removed sessions go');

# --- load -----------------------------------------------------------------------------

my @workers;
sub worker {
	my ($name, $code) = @_;
	my $pid = fork // die "fork: $!";
	if ($pid) {
		push @workers, $pid;
		return;
	}
	open(my $out, '>', "$notes/$name") or POSIX::_exit(1);
	$out->autoflush(1);
	delete $d->{client};	# that is its parent's
	while (!-e "$notes/stop") {
		eval { $code->($out); 1 } or print $out "failed: $@";
		sleep 0.01;
	}
	POSIX::_exit(0);
}
# What is acknowledged is noted.
my $n = 0;
worker('records', sub {
	my ($out) = @_;
	my $id = 'rec' . ++$n;
	my $r = $d->request('session.create', { id => $id, agent => 'mock' }, timeout => 60);
	print $out "$id\n" if $r->{ok};
	print $out 'refused: ', Sandboxd::to_json($r->{error}), "\n" if $r->{error};
	$d->request('session.end', { id => $id }, timeout => 60) if $r->{ok};
});
worker('turns', sub {
	my ($out) = @_;
	my $r = $d->request('session.prompt', { id => 'busy', text => 'flood 300' },
	    timeout => 60);
	print $out "done\n" if $r->{ok};
});
$d->http_address;
worker('http', sub {
	my ($out) = @_;
	my $r = $d->http('GET', '/v1/sessions/keep/events', timeout => 60);
	print $out $r->{status} // Sandboxd::to_json($r), "\n";
});
ok(wait_for(20, sub { my $ok = 1; $ok &&= -s "$notes/$_" for qw(records turns http); $ok }),
    'there is load');

# --- twice ----------------------------------------------------------------------------

my $large = -s $data;
my $r = $d->ctl(['--json', 'compact']);
is($r->{status}, 0, 'compact') or diag($r->{err});
my $got = from_json($r->{out} || '{}');
cmp_ok($got->{bytes_before} // 0, '>=', $large, "from $large bytes");
cmp_ok($got->{bytes_after} // $large, '<', $large / 2,
    'to ' . ($got->{bytes_after} // '?') . ', writes waited for '
    . ($got->{pause_ms} // '?') . ' ms');
cmp_ok(-s $data, '<', $large, 'so it is on the disk');
my $had = slurp("$notes/http") =~ tr/\n//;
my $said = slurp("$notes/records") =~ tr/\n//;
ok(wait_for(20, sub { (slurp("$notes/http") =~ tr/\n//) > $had + 5 }), 'HTTP goes on');
ok(wait_for(20, sub { (slurp("$notes/records") =~ tr/\n//) > $said + 5 }), 'so do records');
$r = $d->ctl(['compact']);
is($r->{status}, 0, 'again') or diag($r->{err});
like($r->{out}, qr/^\S.* before, \S.* now; writes waited for \d+ ms$/, 'for people');
my ($one, $two) = map { $d->client } 1, 2;
my $id = $one->send('store.compact');
my $second = $two->request('store.compact', {}, timeout => 60);
my $first = $one->finish($id, timeout => 60);
my @code = sort map { $_->{ok} ? 'ok' : $_->{error}{code} } $first, $second;
like("@code", qr/^(?:limit|store_unavailable) ok$|^ok store_unavailable$/, 'one at a time');

spew("$notes/stop", '');
waitpid($_, 0) for @workers;
@workers = ();

# --- nothing lost ---------------------------------------------------------------------

my @http = split /\n/, slurp("$notes/http");
is(join(' ', grep { $_ ne '200' } @http), '', 'of ' . @http . ' HTTP requests none failed');
my @records = split /\n/, slurp("$notes/records");
my @refused = grep { /^(?:refused|failed)/ } @records;
is(join(' ', grep { !/store_unavailable/ } @refused), '',
    'a request was refused for the store only: ' . @refused . ' of ' . @records);
sub lost {
	my @lost = grep { $d->request('session.get', { id => $_ })->{error} }
	    grep { /^rec\d+$/ } @records;
	return "@lost";
}
is(lost(), '', 'every session is there that was acknowledged');
my @busy = $d->event_texts('busy');
is(Sandboxd::texts_flaw(@busy), '', scalar(@busy) . ' events, none missing');
my $turns = slurp("$notes/turns") =~ tr/\n//;
cmp_ok(scalar(grep { $_->[1] =~ /"type":"turn.started"/ } @busy), '>=', $turns,
    "and those of every prompt: $turns");
is_deeply([ $d->event_texts('keep') ], \@keep, 'what was before is as it was');
$d->turn('keep', 'more');
is(($d->event_texts('keep'))[scalar @keep][0], @keep + 1, 'numbers go on');
ok(wait_for(20, sub { $d->restart; 1 }), 'a restart');
is(lost(), '', 'and all is there again');
is(Sandboxd::texts_flaw($d->event_texts('busy')), '', 'with every event');

# --- who may --------------------------------------------------------------------------

my $other = run_cmd(['setpriv', '--reuid=12345', '--regid=12345', '--clear-groups',
    'socat', '-t', '5', '-', "UNIX-CONNECT:$d->{socket}"], stdin => "store.compact\n");
like($other->{out}, qr/"denied"/, 'not everybody');

# A stop meanwhile is orderly.
my $c = $d->client;
$c->send('store.compact');
ok($d->stop, 'a stop in the middle');
is($d->{status} // 0, 0, 'is one');
$d->launch;
is(lost(), '', 'nothing is lost by it');
ok($d->stop, 'it ends');
is(join("\n", $d->leftovers), '', 'nothing is left');
done_testing;
