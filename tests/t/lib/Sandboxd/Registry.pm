# A registry of packages on the loopback, for tests of the courier: it is made of
# hashes, serves what a registry serves, and breaks off, lies and dawdles on
# request.
#
#	my $r = Sandboxd::Registry->new;
#	$r->publish('left', '1.0.0', { bin => 'cli.js' }, { 'cli.js' => "#!..." });
#	$r->start;
#	$r->rule(match => 'left-1', action => 'cut', bytes => 100, times => 2);
#	... courier.npm_registry = $r->url ...
#	my @seen = $r->requests;
#
# Also a proxy: a request for a whole address is served as if for its path, and
# noted as such.

package Sandboxd::Registry;

use strict;
use warnings;
use Archive::Tar;
use Archive::Tar::Constant qw(DIR FILE SYMLINK HARDLINK);
use Compress::Zlib ();
use Digest::SHA qw(sha1_hex sha256_hex sha512_base64);
use Fcntl qw(:flock SEEK_SET);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(sleep);

my $json = JSON::PP->new->utf8->canonical;
my $owner = $$;
my @running;

sub new {
	my ($class) = @_;
	my $self = bless { packages => {}, files => {}, tags => {} }, $class;
	$self->{dir} = tempdir('sandboxd-registry.XXXXXXXX', TMPDIR => 1,
	    CLEANUP => 1);
	mkdir "$self->{dir}/files";
	$self->{socket} = IO::Socket::INET->new(Listen => 64,
	    LocalAddr => '127.0.0.1:0', ReuseAddr => 1) or die "listen: $!";
	$self->{port} = $self->{socket}->sockport;
	$self->write_rules([]);
	return $self;
}

sub url { return "http://127.0.0.1:$_[0]->{port}" . ($_[1] // '') }

# A definition of an agent that is installed by this recipe, as agents => wants it.
sub definition {
	my ($id, %recipe) = @_;
	return ("$id.json" => { id => $id, name => $id, protocol => 'acp',
	    program => $recipe{program} // $id, install => { %recipe } });
}

# Every name below DIR with what a link leads to: "bin/x -> ../y", "d/".
sub tree {
	my ($dir) = @_;
	my @found;
	my $walk;
	$walk = sub {
		my ($below) = @_;
		opendir(my $d, "$dir/$below") or return;
		for (sort grep { !/^\.\.?$/ } readdir $d) {
			my $name = length $below ? "$below/$_" : $_;
			if (-l "$dir/$name") {
				push @found, "$name -> " . readlink("$dir/$name");
			} elsif (-d _) {
				$walk->($name);
			} else {
				push @found, $name;
			}
		}
	};
	$walk->('');
	return @found;
}

# --- archives -----------------------------------------------------------------------

# Entries: [name, text, mode], ['dir/', undef], [name, undef, 'symlink', target].
sub tar {
	my (@entries) = @_;
	my $t = Archive::Tar->new;
	for (@entries) {
		my ($name, $text, $mode, $target) = @$_;
		if (($mode // '') eq 'symlink' || ($mode // '') eq 'hardlink') {
			$t->add_data($name, '', { type => $mode eq 'symlink'
			    ? SYMLINK : HARDLINK, linkname => $target });
		} elsif (!defined $text) {
			$t->add_data($name, '', { type => DIR, mode => 0755 });
		} else {
			$t->add_data($name, $text, { mode => $mode // 0644 });
		}
	}
	return $t->write;
}

sub tgz { return Compress::Zlib::memGzip(tar(@_)) }

sub flat {
	my ($name) = @_;
	$name =~ s/^@//;
	$name =~ s{/}{-}g;
	return $name;
}

# --- what there is ------------------------------------------------------------------

# A version of a package. Files: path => text; ones whose text begins with #! can
# be run. Options: tgz (other bytes than the right ones), integrity, shasum.
sub publish {
	my ($self, $name, $version, $manifest, $files, %o) = @_;
	my %m = (name => $name, version => $version, %{$manifest // {}});
	my $tgz = $o{tgz} // tgz(['package/package.json', $json->encode(\%m)],
	    map { ["package/$_", $files->{$_},
	    $files->{$_} =~ /^(?:#!|\x7fELF)/ ? 0755 : 0644] } sort keys %{$files // {}});
	my $base = (split m{/}, $name)[-1];
	my $path = "/$name/-/$base-$version.tgz";
	my $b64 = sha512_base64($tgz);
	$b64 .= '=' while length($b64) % 4;
	$m{dist} = { tarball => $self->url($path),
	    integrity => $o{integrity} // "sha512-$b64" };
	if ($o{shasum}) {
		delete $m{dist}{integrity};
		$m{dist}{shasum} = $o{shasum} eq '1' ? sha1_hex($tgz) : $o{shasum};
	}
	$m{deprecated} = $o{deprecated} if $o{deprecated};
	$self->{packages}{$name}{$version} = \%m;
	$self->{tags}{$name}{latest} = $version unless $version =~ /-/;
	$self->{tarballs}{$name}{$version} = $tgz;
	$self->file($path, $tgz);
	$self->write_packument($name);
	return $self;
}

sub tag {
	my ($self, $name, $tag, $version) = @_;
	$self->{tags}{$name}{$tag} = $version;
	$self->write_packument($name);
}

sub write_packument {
	my ($self, $name) = @_;
	$self->file("/$name", $json->encode({ name => $name,
	    'dist-tags' => $self->{tags}{$name} // {},
	    versions => $self->{packages}{$name} }));
}

# Serve BYTES at PATH.
sub file {
	my ($self, $path, $bytes) = @_;
	(my $key = $path) =~ s{/}{%}g;
	open(my $fh, '>:raw', "$self->{dir}/files/$key.new") or die "$key: $!";
	print $fh $bytes;
	close($fh) or die;
	rename("$self->{dir}/files/$key.new", "$self->{dir}/files/$key") or die;
	return $self->url($path);
}

# The tarballs as `npm pack` names them, into DIR.
sub fill_mirror {
	my ($self, $dir) = @_;
	for my $name (keys %{$self->{tarballs}}) {
		for my $version (keys %{$self->{tarballs}{$name}}) {
			my $file = "$dir/" . flat($name) . "-$version.tgz";
			open(my $fh, '>:raw', $file) or die "$file: $!";
			print $fh $self->{tarballs}{$name}{$version};
			close($fh) or die;
			chmod(0644, $file);
		}
	}
	return $dir;
}

# --- what it does wrong -------------------------------------------------------------

# match: pattern on the path; action: cut (after bytes), status (code), slow (bytes a
# second), corrupt, norange, badrange, hang; times: how often, for ever if missing.
sub rule { my ($self, %r) = @_; $self->write_rules([@{$self->read_rules}, \%r]) }
sub no_rules { $_[0]->write_rules([]) }

sub write_rules {
	my ($self, $rules) = @_;
	my $file = "$self->{dir}/rules";
	open(my $fh, '>', "$file.new") or die "$file: $!";
	print $fh $json->encode($rules);
	close($fh) or die;
	rename("$file.new", $file) or die;
}

sub read_rules {
	my ($self) = @_;
	open(my $fh, '<', "$self->{dir}/rules") or return [];
	local $/;
	return $json->decode(scalar <$fh>);
}

# The first rule for PATH, counted down.
sub take_rule {
	my ($self, $path) = @_;
	open(my $lock, '>', "$self->{dir}/lock") or die;
	flock($lock, LOCK_EX);
	my $rules = $self->read_rules;
	my ($found) = grep { $path =~ /$_->{match}/ && ($_->{times} // 1) > 0 }
	    @$rules;
	if ($found && defined $found->{times}) {
		$found->{times}--;
		$self->write_rules($rules);
	}
	return $found;
}

# --- what was asked -----------------------------------------------------------------

sub note {
	my ($self, $line) = @_;
	open(my $fh, '>>', "$self->{dir}/requests") or die;
	syswrite($fh, "$line\n");
}

# Lines "GET /path range=… auth=… proxied".
sub requests {
	my ($self, $pattern) = @_;
	open(my $fh, '<', "$self->{dir}/requests") or return ();
	my @all = <$fh>;
	chomp @all;
	return grep { $_ =~ ($pattern // qr/./) } @all;
}

sub forget_requests { unlink "$_[0]->{dir}/requests" }

# --- serving ------------------------------------------------------------------------

sub start {
	my ($self) = @_;
	my $pid = fork // die "fork: $!";
	if ($pid == 0) {
		POSIX::setsid();
		$SIG{CHLD} = 'IGNORE';
		$SIG{PIPE} = 'IGNORE';
		$SIG{TERM} = 'DEFAULT';
		while (getppid() != 1) {
			my $bits = '';
			vec($bits, fileno($self->{socket}), 1) = 1;
			next unless select($bits, undef, undef, 1) > 0;
			my $c = $self->{socket}->accept or next;
			my $child = fork // next;
			if ($child == 0) {
				close $self->{socket};
				eval { $self->connection($c) };
				POSIX::_exit(0);
			}
			close $c;
		}
		POSIX::_exit(0);
	}
	$self->{pid} = $pid;
	push @running, $self;
	return $self;
}

sub stop {
	my ($self) = @_;
	my $pid = delete $self->{pid} or return;
	kill('KILL', -$pid);
	waitpid($pid, 0);
}

sub connection {
	my ($self, $c) = @_;
	my $in = '';

	while (1) {
		while ($in !~ /\r\n\r\n/) {
			my $bits = '';
			vec($bits, fileno($c), 1) = 1;
			select($bits, undef, undef, 30) > 0 or return;
			sysread($c, $in, 65536, length $in) or return;
		}
		$in =~ s/^(.*?)\r\n\r\n//s or return;
		my ($first, @head) = split /\r\n/, $1;
		my %h = map { /^([^:]+):\s*(.*)/ ? (lc $1 => $2) : () } @head;
		my ($method, $path) = $first =~ /^(\S+) (\S+)/ or return;
		my $proxied = $path =~ s{^https?://[^/]+}{};
		$self->note(join(' ', $method, $path,
		    "range=" . ($h{range} // ''),
		    "auth=" . ($h{authorization} // ''),
		    $proxied ? 'proxied' : ()));
		$self->answer($c, $path, \%h) or return;
	}
}

sub put {
	my ($c, $bytes) = @_;
	while (length $bytes) {
		my $n = syswrite($c, $bytes, 65536) or return 0;
		substr($bytes, 0, $n, '');
	}
	return 1;
}

sub status {
	my ($c, $code) = @_;
	return put($c, "HTTP/1.1 $code No\r\nContent-Length: 3\r\n\r\nno\n");
}

sub answer {
	my ($self, $c, $path, $h) = @_;
	my $rule = $self->take_rule($path);
	my $action = $rule ? $rule->{action} : '';
	(my $key = $path) =~ s/%2f/\//gi;
	$key =~ s/[?#].*//s;
	$key =~ s{/}{%}g;

	return status($c, $rule->{code} // 500) if $action eq 'status';
	return put($c, "HTTP/1.1 302 Found\r\nLocation: $rule->{to}\r\n"
	    . "Content-Length: 0\r\n\r\n") if $action eq 'redirect';
	if ($action eq 'hang') {
		sleep 120;
		return 0;
	}
	open(my $fh, '<:raw', "$self->{dir}/files/$key") or
	    return status($c, 404);
	local $/;
	my $bytes = <$fh> // '';
	substr($bytes, length($bytes) / 2, 1) ^= "\1" if $action eq 'corrupt';
	my $all = length $bytes;
	my ($code, $more) = ('200 OK', '');
	if (($h->{range} // '') =~ /^bytes=(\d+)-$/ && $action ne 'norange') {
		my $from = $1;
		if ($from >= $all) {
			return status($c, 416);
		}
		$from = 0 if $action eq 'badrange';
		$bytes = substr($bytes, $from);
		$more = "Content-Range: bytes $from-" . ($all - 1) . "/$all\r\n";
		$code = '206 Partial Content';
	}
	put($c, "HTTP/1.1 $code\r\nContent-Length: " . length($bytes)
	    . "\r\n$more\r\n") or return 0;
	if ($action eq 'cut') {
		put($c, substr($bytes, 0, $rule->{bytes}));
		return 0;
	}
	if ($action eq 'slow') {
		while (length $bytes) {
			put($c, substr($bytes, 0, $rule->{bytes} / 20, ''))
			    or return 0;
			sleep 0.05;
		}
		return 1;
	}
	return put($c, $bytes);
}

END {
	my $status = $?;
	if ($$ == $owner) {
		$_->stop for @running;
	}
	$? = $status;
}

1;
