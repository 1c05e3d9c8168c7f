# The `sandbox-agent` command line for tests: an installation of its own, so that
# ordinary users can reach it and no other installation is touched, and servers
# that it starts in homes of their own.
#
#	my $cli = AgentCli->new(uid => 54321);
#	is($cli->run('--version')->{status}, 0);
#	my $server = $cli->server('--token', 'T');
#	$server->get('/v1/health');

package AgentCli;

use strict;
use warnings;
use File::Copy qw(copy);
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX qw(WNOHANG setsid);
use Test::More ();
use Time::HiRes qw(time sleep);
use Sandboxd;
use Sandboxd::Http;

my $prefix;

# Programs, their link and the definitions, as `make install` lays them out.
sub prefix {
	return $prefix if $prefix;
	my $p = Sandboxd->scratch_dir;
	mkdir("$p/$_") for qw(bin sbin libexec libexec/sandboxd etc etc/sandboxd
	    etc/sandboxd/agents.d);
	my %to = (sandboxd => 'sbin', sandboxctl => 'bin');
	for my $file (glob(Sandboxd::build_dir() . '/sandbox*')) {
		(my $name = $file) =~ s{.*/}{};
		next if -l $file || !-x $file || !-f $file;
		my $dir = $to{$name} // 'libexec/sandboxd';
		copy($file, "$p/$dir/$name") or die "$file: $!";
		chmod(0755, "$p/$dir/$name");
	}
	symlink('sandboxctl', "$p/bin/sandbox-agent") or die "link: $!";
	for my $file (glob(root_dir() . '/etc/agents.d/*.json')) {
		copy($file, "$p/etc/sandboxd/agents.d/") or die "$file: $!";
	}
	-x "$p/bin/sandboxctl" or Sandboxd::plan_skip('sandboxctl is not built');
	return $prefix = $p;
}

# uid: run as that user. env: more variables. program: in place of sandbox-agent.
sub new {
	my ($class, %o) = @_;
	my $self = bless { %o, home => Sandboxd->scratch_dir }, $class;
	mkdir("$self->{home}/work");
	chown($o{uid}, $o{uid}, $self->{home}, "$self->{home}/work")
	    if defined $o{uid};
	return $self;
}

sub exe { return prefix() . '/bin/sandbox-agent' }

# argv of a command of ours: as the user, with nothing of our environment.
sub argv {
	my ($self, @words) = @_;
	my %env = (HOME => $self->{home}, PATH => '/usr/sbin:/usr/bin:/sbin:/bin',
	    LANG => 'C.UTF-8', %{$self->{env} // {}});
	for (qw(ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS)) {
		$env{$_} = $ENV{$_} if defined $ENV{$_};
	}
	my @as = defined $self->{uid} ? ('setpriv', "--reuid=$self->{uid}",
	    "--regid=$self->{uid}", '--clear-groups') : ();
	return (@as, 'env', '-i', (map { "$_=$env{$_}" } sort keys %env),
	    $self->{program} // exe(), @words);
}

sub run {
	my ($self, $words, %o) = @_;
	return run_cmd([$self->argv(@$words)], dir => "$self->{home}/work", %o);
}

sub free_port {
	my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1',
	    LocalPort => 0) or die "port: $!";
	return $s->sockport;
}

# `sandbox-agent server …` in the foreground, when it answers. Options: dir, port,
# token (for our own requests), no_wait.
sub server {
	my ($self, $words, %o) = @_;
	my $port = $o{port} // free_port();
	my $s = bless { cli => $self, port => $port, token => $o{token},
	    at => "127.0.0.1:$port", err => "$self->{home}/server.err",
	    out => "$self->{home}/server.out" }, 'AgentCli::Server';
	my @argv = $self->argv('server', '--host', '127.0.0.1', '--port', $port,
	    @$words);
	my $pid = fork // die "fork: $!";
	if ($pid == 0) {
		setsid();
		chdir($o{dir} // "$self->{home}/work");
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>', $s->{out});
		open(STDERR, '>', $s->{err});
		exec { $argv[0] } @argv or POSIX::_exit(127);
	}
	$s->{pid} = $pid;
	return $s if $o{no_wait};
	my $start = time;
	$s->{up} = wait_for(15, sub { $s->ended || $s->status('/v1/health') });
	$s->{up_ms} = int(1000 * (time - $start));
	Test::More::diag('the server does not answer: '
	    . (slurp($s->{err}) // '') . $s->log) if $s->{ended} || !$s->{up};
	return $s;
}

# Remove what servers of these users have left where sockets are: empty directories,
# and sockets of those that were killed, which nobody answers.
sub clean {
	for my $base ('/run/sandbox-agent', map { "/tmp/sandbox-agent-$_" } @_) {
		for my $path (glob("$base/*/control.sock")) {
			unlink($path) unless IO::Socket::UNIX->new(Peer => $path);
		}
		rmdir for glob("$base/*"), $base;
	}
}

# Below HOME.
sub data { return $_[0]{home} . '/.local/share/sandbox-agent' }

package AgentCli::Server;

use Sandboxd;
use POSIX qw(WNOHANG);

# { status, headers, body, json } or undef when nobody answers.
sub request {
	my ($s, $method, $path, %o) = @_;
	my $c = Sandboxd::Http->new($s->{at}) or return undef;
	my $token = exists $o{token} ? $o{token} : $s->{token};
	my %h = ('Connection' => 'close', %{$o{headers} // {}});
	$h{Authorization} = "Bearer $token" if defined $token;
	my $r = $c->request($method, $path, %o, headers => \%h);
	$c->close;
	return $r->{status} ? $r : undef;
}

sub status {
	my ($s, $path, %o) = @_;
	my $r = $s->request('GET', $path, %o);
	return $r ? $r->{status} : undef;
}

# A command in its default sandbox: what /v1/processes/run says.
sub command {
	my ($s, $script) = @_;
	my $r = $s->request('POST', '/v1/processes/run',
	    headers => { 'Content-Type' => 'application/json' },
	    body => to_json({ command => 'sh', args => ['-c', $script] }));
	return $r->{json} // {};
}

sub log {
	my ($s) = @_;
	return join('', map { slurp($_) // '' } glob($s->{cli}->data . '/logs/*'));
}

sub ended {
	my ($s) = @_;
	return 1 if $s->{ended};
	return 0 unless waitpid($s->{pid}, WNOHANG) == $s->{pid};
	$s->{wait_status} = $?;
	return $s->{ended} = 1;
}

# Signal it; seconds that it took to end, or undef.
sub stop {
	my ($s, $signal, $seconds) = @_;
	my $start = Time::HiRes::time();
	kill($signal // 'TERM', $s->{pid});
	return undef unless wait_for($seconds // 10, sub { $s->ended });
	return Time::HiRes::time() - $start;
}

1;
