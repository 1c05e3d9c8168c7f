# A thousand sandboxes made and destroyed, ten thousand commands: nothing of what
# the daemon holds grows with them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Test::More;

need_root();
my $share = $ENV{SANDBOXD_SANITIZED} ? 10 : 1;
my $cycles = 1000 / $share;
my $commands = 10_000 / $share;
my $d = Sandboxd->start;

# What the supervisor, the store and the relay hold, and what there is of us.
sub held {
	my %now;
	for my $role (['supervisor', $d->{pid}],
	    map({ ['store', $_] } $d->children(qr/store/)),
	    map({ ['relay', $_] } $d->children(qr/relay/))) {
		my ($name, $pid) = @$role;
		opendir(my $dh, "/proc/$pid/fd") or next;
		$now{"$name descriptors"} = grep { /^\d/ } readdir $dh;
		my $status = slurp("/proc/$pid/status") // '';
		($now{"$name kB"}) = $status =~ /^RssAnon:\s+(\d+)/m;
	}
	$now{mounts} = keys %{Sandboxd::mounts()};
	$now{processes} = Sandboxd::descendants($d->{pid});
	$now{groups} = grep { m{/sandboxd-[0-9a-f]+/.} } $d->groups;
	for my $dir (qw(sandboxes trash)) {
		opendir(my $dh, "$d->{state}/$dir") or next;
		$now{$dir} = grep { !/^\./ } readdir $dh;
	}
	return \%now;
}

# Everything but memory is as before; that may have grown by a little, once.
sub compare {
	my ($before, $name, $kb) = @_;
	my @more;

	wait_for(20, sub {
		my $now = held();
		@more = map { "$_: $before->{$_}, now $now->{$_}" } grep {
			$now->{$_} > $before->{$_} + (/kB/ ? $kb : 0)
		} sort keys %$before;
		return !@more;
	});
	is(join("\n", @more), '', $name);
}

# So many requests of a kind at one time on a connection.
sub many {
	my ($n, $width, $make) = @_;
	my @clients = map { $d->client } 1 .. $width;
	my $bad = 0;

	for (my $i = 0; $i < $n; $i += $width) {
		my @ids = map { [$clients[$_], $clients[$_]->send(@{$make->($i + $_)})] }
		    0 .. $width - 1;
		for my $one (@ids) {
			my $r = $one->[0]->finish($one->[1], timeout => 60,
			    forget => 1);
			$bad++ if !$r->{ok};
		}
	}
	return $bad;
}

sub cycle {
	my ($n) = @_;
	my ($at, $bad) = (0, 0);
	for (; $at < $n; $at += 20) {
		$bad += many(20, 4, sub { ['sandbox.create', { id => "c$_[0]" }] });
		$bad += many(20, 4, sub { ['sandbox.destroy', { id => "c$_[0]" }] });
	}
	return $bad;
}

# What is made at first use is there after a few.
is(cycle(100), 0, 'the first hundred');
$d->ok('sandbox.create', { id => 'x' });
$d->note_groups;
is(many(200, 4, sub { ['sandbox.exec', { id => 'x', command => ['true'] }] }), 0,
    'the first commands');
my $before = held();

is(cycle($cycles), 0, "$cycles sandboxes made and destroyed");
compare($before, 'nothing has grown by them', 1024);
$before = held();
is(many($commands, 4, sub { ['sandbox.exec', { id => 'x', command => ['true'] }] }),
    0, "$commands commands");
compare($before, 'nothing has grown by them', 1024);
is($d->sh('x', 'ls -d /proc/[0-9]* | wc -l')->{stdout} < 8, 1,
    'nor is anything left inside');
$d->ok('sandbox.destroy', { id => 'x' });
ok($d->stop, 'an orderly end');
is(join("\n", $d->leftovers), '', 'nothing is left');

done_testing;
