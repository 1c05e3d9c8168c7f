# What proof tests have in common: programs of tests/proof that are compiled when
# they are needed, and the daemon whose guards can be off. Each test shows with
# one of the two that what it proves shut would be open otherwise.

package Sandboxd::Proof;

use strict;
use warnings;
use Exporter qw(import);
use Sandboxd;
use Test::More ();

our @EXPORT = qw(helper helper_mount unguarded rounds handicapped said hostile outside);

my (%built, $libexec);

# A race is run so often: N, times what the environment asks for.
sub rounds { return int($_[0] * ($ENV{SANDBOXD_PROOF_ROUNDS} // 1)) || 1 }

# The program tests/proof/NAME.c, static, for use inside and outside.
sub helper {
	my ($name) = @_;
	if (!$built{$name}) {
		my $to = Sandboxd->scratch_dir . "/$name";
		my $got = run_cmd(['cc', '-std=gnu17', '-D_GNU_SOURCE', '-O1',
		    '-Wall', '-Werror', '-static', '-pthread', '-o', $to,
		    root_dir() . "/tests/proof/$name.c"], timeout => 60);
		die "$name.c does not compile: $got->{err}\n" if $got->{status};
		$built{$name} = $to;
	}
	return $built{$name};
}

# The same as a mount, for sandbox.create: it is then /opt/NAME.
sub helper_mount {
	return { source => helper($_[0]), target => "/opt/$_[0]" };
}

# What such a program printed: first word => the rest; ':' is how it ended.
sub said {
	my ($r) = @_;
	my %said = map { /^(\S+) (.*)$/ ? ($1 => $2) : () } split /\n/,
	    $r->{stdout} // $r->{out};
	$said{':'} = exists $r->{out} ? $r->{status} : Sandboxd::outcome($r);
	return \%said;
}

# tests/proof/hostile.c in a sandbox that has it, and on the host: there as root,
# in mount, user and other namespaces of its own with NAMESPACES (unshare's
# options), so that nothing is done to the host.
sub hostile {
	my ($d, $box, $args, %as) = @_;
	return said($d->exec($box, ['/opt/hostile', map { "$_" } @$args],
	    timeout_ms => 60000, %as));
}
sub outside {
	my ($args, @namespaces) = @_;
	return said(run_cmd([@namespaces ? ('unshare', @namespaces) : (),
	    helper('hostile'), @$args], timeout => 60));
}

# A daemon of the same sources with the guards OFF left out, in the sandboxes'
# init as well (see GUARD() in lib/defs.h). Options as for Sandboxd->start.
sub unguarded {
	my ($off, %o) = @_;
	my @exe = map { program("tests/proof/unguarded$_") } '', '-init';

	-x $_ or Sandboxd::plan_skip("$_ has not been built") for @exe;
	local $ENV{SANDBOXD_BUILD} = $ENV{SANDBOXD_BUILD};
	$libexec //= do {
		my $dir = Sandboxd->scratch_dir;
		my @files = (@exe, map { program($_) } qw(sandboxd-store
		    sandboxd-session sandboxd-relay sandboxd-gateway
		    sandboxd-courier sandboxctl));
		my $got = run_cmd(['cp', @files, $dir]);
		die "cannot copy programs: $got->{err}\n" if $got->{status};
		rename("$dir/unguarded$_", "$dir/sandboxd$_") or die "rename: $!"
		    for '', '-init';
		$dir;
	};
	$ENV{SANDBOXD_BUILD} = $libexec;
	return Sandboxd->start(%o, env => { %{$o{env} // {}},
	    SANDBOXD_UNGUARDED => $off });
}

# A daemon that gets little of the machine, for races that depend on the order of
# things: nice and on one processor.
sub handicapped {
	my ($d) = @_;
	for my $pid ($d->{pid}, descendants($d->{pid})) {
		run_cmd(['taskset', '-a', '-p', '-c', '0', $pid]);
		run_cmd(['renice', '-n', '15', '-p', $pid]);
	}
	return $d;
}

1;
