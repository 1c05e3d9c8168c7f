# sandboxd below a service manager (manager.py), as systemd would run it.
#
#	my $m = Sandboxd::Manager->start($d, ['control=unix:/x/control.sock'],
#	    env => { WATCHDOG_USEC => 400000 });
#	$m->until(10, sub { $_[0]{notify}{READY} });	# an event, or undef
#	$m->stop;
package Sandboxd::Manager;

use strict;
use warnings;
use FindBin;
use IPC::Open2 qw(open2);
use Time::HiRes qw(time);
use Sandboxd;

# D was made with no_launch: its directories, arguments and client are used.
sub start {
	my ($class, $d, $sockets, %o) = @_;
	my $self = bless { d => $d, events => [], buffer => '' }, $class;
	my @command = ('python3', root_dir() . '/tests/t/lib/manager.py',
	    @$sockets, '--', $d->argv);
	my %env = (%{Sandboxd::clean_env($o{env})}, MANAGER_DIR => $d->{dir});
	my @words = map { "$_=$env{$_}" } sort keys %env;

	open(my $log, '>>', $d->{log}) or die "$d->{log}: $!";
	open(my $keep, '>&', \*STDERR) or die "stderr: $!";
	open(STDERR, '>&', $log);
	$self->{pid} = open2($self->{out}, $self->{in}, 'env', '-i', @words,
	    @command);
	open(STDERR, '>&', $keep);
	return $self;
}

# The next event within SECONDS, or undef.
sub event {
	my ($self, $seconds) = @_;
	my $end = time + $seconds * Sandboxd::slow_factor();

	while ($self->{buffer} !~ /\n/) {
		my $bits = '';
		my $left = $end - time;
		return undef if $left <= 0;
		vec($bits, fileno($self->{out}), 1) = 1;
		next unless select($bits, undef, undef, $left) > 0;
		sysread($self->{out}, $self->{buffer}, 65536,
		    length $self->{buffer}) or return undef;
	}
	$self->{buffer} =~ s/^([^\n]*)\n//;
	my $e = from_json($1);
	$e->{at} = time;
	$self->{d}{pid} = $e->{started} if $e->{started};
	delete $self->{d}{pid} if exists $e->{ended};
	$self->{d}{client} = undef if $e->{started};
	push @{$self->{events}}, $e;
	return $e;
}

# Events up to the first that CODE likes, which is returned.
sub until {
	my ($self, $seconds, $code) = @_;
	my $end = time + $seconds;

	while ((my $left = $end - time) > 0) {
		my $e = $self->event($left) // return undef;
		return $e if $code->($e);
	}
	return undef;
}

sub ready { $_[0]->until(30, sub { $_[0]{notify}{READY} }) }

# Ends the program; the event of its end.
sub stop {
	my ($self) = @_;
	close($self->{in});
	my $e = $self->until(30, sub { exists $_[0]{ended} });
	waitpid($self->{pid}, 0);
	return $e;
}

# A directory of our programs in which NAME is a shell script; @REAL@ in it
# stands for the real one. For args => ['--libexec-dir', …].
sub programs_with {
	my ($class, %scripts) = @_;
	my $dir = Sandboxd->scratch_dir;

	for (glob(build_dir() . '/sandboxd-*')) {
		my ($name) = m{([^/]+)$};
		next if -d $_;
		symlink($_, "$dir/$name") or die "$dir/$name: $!";
	}
	for my $name (keys %scripts) {
		(my $text = $scripts{$name}) =~ s/\@REAL\@/build_dir() . "\/$name"/ge;
		unlink("$dir/$name");
		spew("$dir/$name", "#!/bin/sh\n$text\n");
		chmod(0755, "$dir/$name");
	}
	return $dir;
}


1;
