# An ordinary user with a name, and with ids that the host lends him, for one test
# file: /etc/passwd and its neighbours are other files in a mount namespace of the
# test's own, so that the machine's stay as they are.
#
#	use Sandboxd::User;
#	alone();			# first of all: the test begins again
#	my $user = Sandboxd::User->new(subuid => 'NAME:200000:65536');

package Sandboxd::User;

use strict;
use warnings;
use Exporter qw(import);
use Sandboxd;
use Test::More ();

our @EXPORT = qw(alone cover uncover);

# In a mount namespace of our own from here on.
sub alone {
	if ($< != 0) {
		Test::More::plan(skip_all => 'needs root');
	}
	return if delete $ENV{SANDBOXD_T_ALONE};
	$ENV{SANDBOXD_T_ALONE} = 1;
	exec('unshare', '--mount', '--propagation', 'private', $^X, $0, @ARGV)
	    or die "unshare: $!";
}

# Show FILE where the host has PATH.
sub cover {
	my ($file, $path) = @_;
	my $got = run_cmd(['mount', '--bind', $file, $path]);
	die "mount: $got->{err}" if $got->{status};
}

sub uncover {
	my ($path) = @_;
	my $got = run_cmd(['umount', $path]);
	die "umount: $got->{err}" if $got->{status};
}

# NAME (rl), UID (54321), gid the same; SUBUID and SUBGID are the texts of those
# files, the second as the first unless it is given; both may be changed later.
sub new {
	my ($class, %o) = @_;
	my $self = bless { name => 'rl', uid => 54321, dir => Sandboxd->scratch_dir,
	    %o }, $class;
	my ($name, $uid, $dir) = @$self{qw(name uid dir)};

	$self->{home} = "$dir/home";
	mkdir($self->{home}, 0700);
	chown($uid, $uid, $self->{home});
	$self->put(passwd => slurp('/etc/passwd')
	    . ($o{nameless} ? '' : "$name:x:$uid:${uid}::$self->{home}:/bin/sh\n"));
	$self->put(group => slurp('/etc/group') . "$name:x:${uid}:\n");
	$self->put(subuid => $o{subuid} // '');
	$self->put(subgid => $o{subgid} // $o{subuid} // '');
	for (qw(passwd group subuid subgid)) {
		# Not every host has the last two.
		spew("/etc/$_", '') if !-e "/etc/$_";
		cover("$dir/$_", "/etc/$_");
	}
	return $self;
}

# Another text for one of the files.
sub put {
	my ($self, $file, $text) = @_;
	spew("$self->{dir}/$file", $text);
	chmod(0644, "$self->{dir}/$file");
}

# Run COMMAND as that user; WITH: words "NAME=value" of its environment.
sub run {
	my ($self, $command, %o) = @_;
	return run_cmd(['setpriv', "--reuid=$self->{uid}", "--regid=$self->{uid}",
	    '--clear-groups', @{delete $o{setpriv} // []}, 'env', '-i',
	    'PATH=/usr/sbin:/usr/bin:/sbin:/bin', "HOME=$self->{home}",
	    (map { "$_=$ENV{$_}" } grep { defined $ENV{$_} }
	    qw(ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS)),
	    @{delete $o{with} // []}, @$command], %o);
}

# Can he execute what was built? Else there is nothing to test.
sub reaches_or_skip {
	my ($self) = @_;
	Test::More::plan(skip_all => 'the build directory is not open to other users')
	    if $self->run([program('sandboxd'), '--version'])->{status} != 0;
}

1;
