#!/usr/bin/perl
# Figures of a sandbox's life over the control socket, each with the goal, and with
# a peer in the same run where there is one: bubblewrap, and crun if it is
# installed.
#
#	tests/bench/bench_sandbox.pl [--quick]
#
# create and the first command, one by one and a hundred asked at once; a command in
# a sandbox that is alive; many alive at once; the end of one with fifty processes;
# how long a live upgrade keeps clients waiting. One JSON line a figure. Figures of
# the machine, not claims: a busy machine lies.
use strict;
use warnings;
use File::Path qw(make_path);
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Time::HiRes qw(sleep time);

my $quick = ($ARGV[0] // '') eq '--quick';
my ($creates, $rounds, $execs, $alive, $ends, $upgrades) = $quick
    ? (30, 1, 300, 50, 5, 2) : (200, 5, 5_000, 500, 50, 10);

sub line {
	my ($name, $unit, %more) = @_;
	print to_json({ figure => $name, unit => $unit, %more }), "\n";
}

sub at {
	my ($share, @v) = @_;
	return sprintf('%.3f', (sort { $a <=> $b } @v)[int($#v * $share)]) + 0;
}

# crun wants one hierarchy of control groups: in a mount namespace of ours the
# second version's stands where it looks. Nobody else minds.
sub for_crun {
	my $v2 = -d '/sys/fs/cgroup/unified'
	    ? 'mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup; ' : '';
	return ('unshare', '--mount', 'sh', '-c', $v2 . 'exec "$0" "$@"', @_);
}

# A program's lines as they are.
sub tool {
	my ($name, @args) = @_;
	my $r = run_cmd([for_crun(build_dir() . "/tests/bench/$name", @args)],
	    timeout => 300);
	die "$name: $r->{err}\n" if $r->{status} || $r->{timed_out};
	print $r->{out};
}

# The least that crun can run /bin/true from.
sub crun_bundle {
	my $dir = Sandboxd->scratch_dir;
	return () unless grep { -x "$_/crun" } split /:/, $ENV{PATH};
	make_path(map { "$dir/rootfs/$_" } qw(usr proc dev));
	for (qw(bin lib lib64)) {
		symlink("usr/$_", "$dir/rootfs/$_") if -l "/$_";
	}
	spew("$dir/config.json", to_json({ ociVersion => '1.0.2',
	    process => { args => ['/bin/true'], cwd => '/',
		user => { uid => 0, gid => 0 }, env => ['PATH=/usr/bin:/bin'] },
	    root => { path => "$dir/rootfs", readonly => JSON::PP::true },
	    mounts => [
		{ destination => '/proc', type => 'proc', source => 'proc' },
		{ destination => '/dev', type => 'tmpfs', source => 'tmpfs',
		    options => ['nosuid', 'mode=755'] },
		{ destination => '/usr', type => 'bind', source => '/usr',
		    options => ['rbind', 'ro'] }],
	    linux => { namespaces => [map { { type => $_ } }
		qw(pid ipc uts mount network)] } }));
	my $r = run_cmd([for_crun('crun', '--cgroup-manager=disabled', 'run',
	    '-b', $dir, 'sandboxd-bench')]);
	return $dir if $r->{status} == 0;
	print STDERR "bench: crun cannot be measured here: $r->{err}\n";
	return ();
}

sub pss_kb {
	my $sum = 0;
	for my $pid (@_) {
		my $text = slurp("/proc/$pid/smaps_rollup") // next;
		$sum += $1 if $text =~ /^Pss:\s+(\d+) kB/m;
	}
	return $sum;
}

sub kb_of {
	my ($name) = @_;
	return (slurp('/proc/meminfo') =~ /^\Q$name\E:\s+(\d+) kB/m)[0];
}

# What control groups say a sandbox's kernel memory is, in kB; undef when the
# kernel does not count it.
sub kernel_kb {
	my ($d) = @_;
	my $sum;
	$d->note_groups;
	for my $group ($d->groups) {
		my $file = "$group/memory.kmem.usage_in_bytes";
		$sum += slurp($file) / 1024 if -e $file;
	}
	return $sum ? $sum : undef;
}

# Several requests at once, on CLIENTS connections; every answer must be good.
sub all_of {
	my ($d, $op, @args) = @_;
	my @clients = map { $d->client } 1 .. (@args < 16 ? scalar @args : 16);
	my @waiting;
	for my $i (0 .. $#args) {
		my $c = $clients[$i % @clients];
		if (my $id = $waiting[$i % @clients]) {
			$c->finish($id, timeout => 60)->{ok} or die "$op failed\n";
		}
		$waiting[$i % @clients] = $c->send($op, $args[$i]);
	}
	for my $i (0 .. $#clients) {
		$clients[$i]->finish($waiting[$i], timeout => 60)->{ok}
		    or die "$op failed\n";
		$clients[$i]->close;
	}
}

# --- when nothing has been asked for a while --------------------------------------------

sub after_rest {
	my ($d, @seconds) = @_;
	for my $rest (@seconds) {
		sleep($rest);
		my $began = time;
		$d->ok('sandbox.create', { id => 'rested' });
		$d->exec('rested', ['/bin/true'])->{exit_code} == 0
		    or die "true\n";
		line('create_first_command_after_rest', 'ms', seconds => $rest,
		    value => sprintf('%.3f', (time - $began) * 1e3) + 0,
		    goal => '8 ms');
		$d->ok('sandbox.destroy', { id => 'rested' });
	}
}

# --- many alive at once ----------------------------------------------------------------

sub many {
	my ($d) = @_;
	my @args = map { { id => "m$_" } } 1 .. $alive;
	my @ours = ($d->{pid}, $d->children(qr/store|relay/));
	my ($before, $free, $began) = (pss_kb(@ours), kb_of('MemAvailable'), time);
	all_of($d, 'sandbox.create', @args);
	my $took = time - $began;
	my @inits = $d->children(qr/init/);
	die scalar(@inits) . " inits of $alive\n" if @inits < $alive;
	line('many_alive', 's', count => $alive, value => sprintf('%.3f', $took) + 0,
	    each_ms => sprintf('%.3f', $took * 1e3 / $alive) + 0);
	my $groups = kernel_kb($d);
	line('many_alive_memory', 'kB', count => $alive,
	    # Of each: its processes; in all, what the machine has less.
	    pss_each => sprintf('%.1f', pss_kb(@inits) / $alive) + 0,
	    machine_each => sprintf('%.1f',
		($free - kb_of('MemAvailable')) / $alive) + 0,
	    defined $groups
		? (kernel_each => sprintf('%.1f', $groups / $alive) + 0) : (),
	    supervisor_before => $before, supervisor_after => pss_kb(@ours));
	tool('bench_exec', $d->{socket}, $quick ? 100 : 1000, 16, $alive);
	$began = time;
	all_of($d, 'sandbox.destroy', @args);
	$took = time - $began;
	line('many_destroyed', 's', count => $alive,
	    value => sprintf('%.3f', $took) + 0,
	    each_ms => sprintf('%.3f', $took * 1e3 / $alive) + 0);
}

# --- the end of one with fifty processes ------------------------------------------------

sub destroy_fifty {
	my ($d) = @_;
	my @ms;
	for (1 .. $ends) {
		$d->ok('sandbox.create', { id => 'fifty' });
		my $r = $d->sh('fifty', 'for i in $(seq 50); do sleep 1000 '
		    . '</dev/null >/dev/null 2>&1 & done; '
		    . 'set -- /proc/[0-9]*; echo $#');
		die "fifty: $r->{stdout}\n" if $r->{stdout} < 50;
		my $began = time;
		$d->ok('sandbox.destroy', { id => 'fifty' });
		push @ms, (time - $began) * 1e3;
	}
	line('destroy_fifty_processes', 'ms', n => $ends, median => at(.5, @ms),
	    p99 => at(.99, @ms));
}

# --- a live upgrade -----------------------------------------------------------------------

# The longest wait for an answer, in ms, of a client that asks without pause until
# DONE is true.
sub longest_wait {
	my ($c, $done) = @_;
	my $worst = 0;
	until ($done->()) {
		my $began = time;
		$c->request('sandbox.get', { id => 'u1' }, timeout => 30)->{ok}
		    or die "no answer across the upgrade\n";
		my $took = time - $began;
		$worst = $took if $took > $worst;
	}
	return $worst * 1e3;
}

sub for_seconds {
	my $end = time + $_[0];
	return sub { time > $end };
}

# Before; while the supervisor is replaced, on the connection that there is; and in
# the seconds after it, in which the new one does what it has put off.
sub upgrade_pause {
	my ($d) = @_;
	my (@before, @during, @after);
	$d->ok('sandbox.create', { id => "u$_" }) for 1 .. 20;
	my $c = $d->client;
	for (1 .. $upgrades) {
		push @before, longest_wait($c, for_seconds(.5));
		my $other = $d->client;
		$other->send('upgrade');
		push @during, longest_wait($c, sub { answered($other) });
		push @after, longest_wait($c, for_seconds(1.5));
		$other->close;
	}
	line('upgrade_pause', 'ms', sandboxes => 20, n => $upgrades,
	    median => at(.5, @during), max => at(1, @during),
	    after_median => at(.5, @after), after_max => at(1, @after),
	    usual_median => at(.5, @before), usual_max => at(1, @before));
	all_of($d, 'sandbox.destroy', map { { id => "u$_" } } 1 .. 20);
}

# True when the final line has come; does not wait.
sub answered {
	my ($c) = @_;
	my $bits = '';
	vec($bits, fileno($c->{fh}), 1) = 1;
	return 0 unless select($bits, undef, undef, 0) > 0;
	my $r = $c->json(5);
	die 'upgrade: ' . to_json($r // $c->{broken}) . "\n" unless $r->{ok};
	return 1;
}

$| = 1;
my $d = Sandboxd->start;
tool('bench_create', $d->{socket}, $creates, crun_bundle());
tool('bench_create', $d->{socket}, $rounds, 'together', 100);
tool('bench_exec', $d->{socket}, $execs, 16);
after_rest($d, $quick ? 6 : (6, 65));
many($d);
destroy_fifty($d);
upgrade_pause($d);
