# Sandboxes whose entrypoint is a service, and what is told of it.

package Sandboxd::Service;

use strict;
use warnings;
use Exporter qw(import);
use Sandboxd;

our @EXPORT = qw(service event names);

# A sandbox with SCRIPT (a text for sh, or a list) kept as SERVICE says.
sub service {
	my ($d, $id, $script, %service) = @_;
	return $d->ok('sandbox.create', { id => $id, service => \%service,
	    entrypoint => ref($script) ? $script : ['sh', '-c', $script] });
}

# Its events, or those of one NAME.
sub events_of {
	my ($d, $id, $name) = @_;
	return grep { !defined $name || $_->{event} eq $name }
	    @{$d->ok('sandbox.events', { id => $id })->{events}};
}

sub names { return map { $_->{event} } events_of(@_) }

# The first of this name, waited for.
sub event {
	my ($d, $id, $name) = @_;
	my @found;
	wait_for(30, sub { @found = events_of($d, $id, $name) });
	return $found[0];
}

1;
