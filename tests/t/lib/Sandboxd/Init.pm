# sandboxd as the init of a command: `sandboxd … -- COMMAND`, as process 1 of a
# pid namespace or below us.

package Sandboxd::Init;

use strict;
use warnings;
use Exporter qw(import);
use Sandboxd;

our @EXPORT = qw(ways run_init start_init init_pid lines_of);

my @as_1 = qw(unshare --pid --fork --mount-proc --kill-child);

# Both ways of being an init: [name, what it is run by].
sub ways { return (['process 1', \@as_1], ['subreaper', []]) }

# Start it with COMMAND. {pid} is what we started, init_pid() the init itself.
sub start_init {
	my ($command, %o) = @_;
	return Sandboxd->start(%o, command => $command);
}

# The host's pid of the init.
sub init_pid {
	my ($d) = @_;
	return wait_for(20, sub {
		for ($d->{pid} // (), $d->{pid} ? descendants($d->{pid}) : ()) {
			my $title = slurp("/proc/$_/cmdline") // '';
			return $_ if $title =~ m{^(?:[^\0]*/)?sandboxd[\0:]};
		}
		return undef;
	});
}

# Run it to its end: { status, signal, log, daemon }.
sub run_init {
	my ($command, %o) = @_;
	my $d = start_init($command, %o, no_wait => 1);
	my $ended = wait_for($o{timeout} // 30, sub { $d->ended });
	my $status = $ended ? $d->{status} : -1;

	return { status => $status >> 8, signal => $status & 127,
	    log => slurp($d->{log}) // '', daemon => $d };
}

sub lines_of {
	my ($file) = @_;
	return split /\n/, slurp($file) // '';
}

1;
