# What the tests about resources measure: how long neighbours wait, what a sandbox
# takes, which processes are left.

package Sandboxd::Bounds;

use strict;
use warnings;
use Exporter qw(import);
use Sandboxd;
use Test::More ();
use Time::HiRes qw(time);

our @EXPORT = qw(exec_times part background rss_of groups_of limit_events store_times);

# Seconds that N commands in sandbox ID take, sorted.
sub exec_times {
	my ($d, $id, $n) = @_;
	my @t;
	for (1 .. $n) {
		my $t = time;
		$d->exec($id, ['true'])->{exit_code} == 0 or die "a command failed\n";
		push @t, time - $t;
	}
	return sort { $a <=> $b } @t;
}

# Seconds that N durable changes of sandbox ID take, sorted.
sub store_times {
	my ($d, $id, $n) = @_;
	my @t;
	for (1 .. $n) {
		my $t = time;
		$d->ok('sandbox.update', { id => $id, labels => { n => "$_" } });
		push @t, time - $t;
	}
	return sort { $a <=> $b } @t;
}

# The value below which the part P (0.5, 0.99) of a sorted list lies.
sub part { my ($p, @t) = @_; return $t[int($p * $#t)] }

# A command that is not waited for; its connection.
sub background {
	my ($d, $id, @command) = @_;
	my $c = $d->client;
	$c->send('sandbox.exec', { id => $id, command => \@command,
	    timeout_ms => 120000, output_bytes => 1000 });
	return $c;
}

# Resident kilobytes of the daemon and its helpers, not of sandboxes.
sub rss_of {
	my ($d) = @_;
	my $sum = 0;
	for my $pid ($d->{pid}, grep { Sandboxd::title_of($_) =~ /sandboxd-(store|relay|gateway)/ }
	    Sandboxd::descendants($d->{pid})) {
		$sum += $1 if (slurp("/proc/$pid/status") // '') =~ /VmRSS:\s+(\d+)/;
	}
	return $sum;
}

# Directories of sandbox ID's control groups on the host.
sub groups_of {
	my ($d, $id) = @_;
	my $name = $d->group_name;
	return grep { -d } map { "$_/$name/$id" } '/sys/fs/cgroup', glob('/sys/fs/cgroup/*');
}

# Which limits its log says were met.
sub limit_events {
	my ($d, $id) = @_;
	return map { $_->{event} eq 'oom' ? 'oom' : $_->{limit} }
	    grep { $_->{event} =~ /^(oom|limit)$/ } @{$d->ok('sandbox.events', { id => $id })->{events}};
}

1;
