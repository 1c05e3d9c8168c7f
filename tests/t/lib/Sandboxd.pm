# A private sandboxd for one test file: started on temporary directories, driven
# through its control socket as any client would, and ended with everything that
# it made. Nothing here knows the inside of the daemon.
#
#	use Sandboxd;
#	my $d = Sandboxd->start;
#	$d->ok('sandbox.create', { id => 'box' });
#	is($d->exec('box', ['echo', 'hi'])->{stdout}, "hi\n");
#
# The programs are looked for in $SANDBOXD_BUILD, else in build/check.
# Each wait has an end; a test that waits in vain fails, it never hangs.

package Sandboxd;

use strict;
use warnings;
use Cwd qw(abs_path);
use Errno qw(EINTR);
use Exporter qw(import);
use Fcntl qw(F_GETFD F_SETFD FD_CLOEXEC);
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use IO::Socket::UNIX;
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use POSIX qw(WNOHANG setsid);
use Socket qw(SOCK_STREAM);
use Test::More ();
use Time::HiRes qw(time sleep);
use Sandboxd::Http;

our @EXPORT = qw(wait_for run_cmd descendants root_dir build_dir program
    need_root need_program slow_factor slurp spew to_json from_json
    item_text event_types);

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my @running;		# daemons to end at exit
my @scratch;		# directories to remove at exit
my $owner = $$;		# only the process that loaded us cleans up

# Orphans come to us, so that whatever a daemon leaves behind can be seen and
# ended. prctl's number differs by machine.
my %prctl = (x86_64 => 157, aarch64 => 167, riscv64 => 167);
my $machine = (POSIX::uname())[4];
syscall($prctl{$machine}, 36, 1, 0, 0, 0) if $prctl{$machine};
$SIG{PIPE} = 'IGNORE';

# --- small things -----------------------------------------------------------------

sub to_json { return $json->encode($_[0]) }
sub from_json { return $json->decode($_[0]) }

# With sanitizers our helpers are not static: a root image of a test's own is given
# their libraries.
sub lend_libraries {
	my ($image) = @_;
	my %seen;
	return if !$ENV{SANDBOXD_SANITIZED};
	my $libs = run_cmd(['ldd', program('sandboxd-init'),
	    program('sandboxd-session')])->{out};
	run_cmd(['cp', '--parents', '-L', $_, $image])
	    for grep { !$seen{$_}++ } $libs =~ m{(/\S+\.so\S*)}g;
}

sub root_dir {
	(my $here = abs_path(__FILE__)) =~ s{/tests/t/lib/[^/]*$}{};
	return $here;
}

sub build_dir {
	return abs_path($ENV{SANDBOXD_BUILD} // root_dir() . '/build/check')
	    // '/nonexistent';
}

sub program { return build_dir() . "/$_[0]" }

# Sanitizers make everything slower; so does a busy machine.
sub slow_factor { return $ENV{SANDBOXD_SANITIZED} ? 4 : 1 }

sub slurp {
	my ($file) = @_;
	open(my $fh, '<', $file) or return undef;
	local $/;
	return scalar <$fh> // '';
}

sub spew {
	my ($file, $text) = @_;
	open(my $fh, '>', $file) or die "$file: $!";
	print $fh $text;
	close($fh) or die "$file: $!";
	return $file;
}

# Call CODE until it is true, at most SECONDS; what it gave, or undef.
sub wait_for {
	my ($seconds, $code) = @_;
	my $end = time + $seconds * slow_factor();

	while (1) {
		my $got = $code->();
		return $got if $got;
		return undef if time > $end;
		sleep 0.02;
	}
}

sub need_root {
	return if $> == 0;
	plan_skip('needs root');
}

sub need_program {
	for my $name (@_) {
		next if grep { -x "$_/$name" } split /:/, $ENV{PATH};
		plan_skip("$name is not installed");
	}
}

# Skip a whole file, unless whoever runs us installed everything.
sub plan_skip {
	my ($why) = @_;
	die "must not be skipped here: $why\n" if $ENV{SANDBOXD_NO_SKIP};
	Test::More::plan(skip_all => $why);
}

# Run a command: { status, signal, out, err, timed_out }. Options: stdin (text),
# timeout (seconds), env (hash, added), dir, on_out (called with what came).
sub run_cmd {
	my ($argv, %o) = @_;
	my $end = time + ($o{timeout} // 30) * slow_factor();
	my %got = (out => '', err => '', timed_out => 0);

	pipe(my $in_r, my $in_w) or die "pipe: $!";
	pipe(my $out_r, my $out_w) or die "pipe: $!";
	pipe(my $err_r, my $err_w) or die "pipe: $!";
	my $pid = fork // die "fork: $!";
	if ($pid == 0) {
		setsid();
		open(STDIN, '<&', $in_r);
		open(STDOUT, '>&', $out_w);
		open(STDERR, '>&', $err_w);
		$ENV{$_} = $o{env}{$_} for keys %{$o{env} // {}};
		chdir($o{dir}) if defined $o{dir};
		exec { $argv->[0] } @$argv
		    or print STDERR "cannot run $argv->[0]: $!\n";
		POSIX::_exit(127);
	}
	close($_) for $in_r, $out_w, $err_w;
	my $left = $o{stdin} // '';
	my %sink = (fileno($out_r) => [$out_r, 'out'],
	    fileno($err_r) => [$err_r, 'err']);
	close($in_w), undef $in_w if $left eq '';
	while (%sink) {
		my ($r, $w) = ('', '');
		vec($r, $_, 1) = 1 for keys %sink;
		vec($w, fileno($in_w), 1) = 1 if $in_w;
		my $n = select(my $rr = $r, my $ww = $w, undef, 0.1);
		if ($n > 0) {
			for my $fd (keys %sink) {
				next unless vec($rr, $fd, 1);
				my ($fh, $name) = @{$sink{$fd}};
				my $k = sysread($fh, my $chunk, 65536);
				$got{$name} .= $chunk if $k;
				$o{on_out}->(\%got, $pid) if $k && $o{on_out};
				delete $sink{$fd} unless $k;
			}
			if ($in_w && vec($ww, fileno($in_w), 1)) {
				my $k = syswrite($in_w, $left, 4096);
				substr($left, 0, $k, '') if $k;
				close($in_w), undef $in_w if !$k || $left eq '';
			}
		}
		if (time > $end) {
			$got{timed_out} = 1;
			kill('KILL', -$pid);
			last;
		}
	}
	waitpid($pid, 0);
	$got{status} = $? >> 8;
	$got{signal} = $? & 127;
	return \%got;
}

# Process ids below PID, PID not counted; zombies too when ALL.
sub descendants {
	my ($pid, $all) = @_;
	my (%children, %zombie, @found);

	opendir(my $dh, '/proc') or die "/proc: $!";
	for my $p (grep { /^\d+$/ } readdir $dh) {
		my $stat = slurp("/proc/$p/stat") // next;
		my ($state, $parent) = $stat =~ /^\d+ \(.*\) (\S) (\d+)/s or next;
		$zombie{$p} = 1 if $state eq 'Z' || $state eq 'X';
		push @{$children{$parent}}, $p;
	}
	my @queue = ($pid);
	while (@queue) {
		for my $c (@{$children{shift @queue} // []}) {
			push @queue, $c;
			push @found, $c if $all || !$zombie{$c};
		}
	}
	return @found;
}

sub title_of {
	my ($pid) = @_;
	my $line = slurp("/proc/$pid/cmdline") // '';
	$line =~ s/\0+$//;
	$line =~ tr/\0/ /;
	return $line;
}

# --- starting and stopping ----------------------------------------------------------

# Options: args (more arguments), state and run (directories to use again), conf
# (text of a configuration file), env, uid (run as that user), no_wait. http: serve
# HTTP on a free port of the loopback (or on what listen, a list, names), with
# token if that is given; without it there is no HTTP. command: what comes after
# `--`. wrap: what the daemon is run by (a list). agents: definitions of agents
# besides those of the source tree, by file name: text, or a hash.
sub start {
	my ($class, %o) = @_;
	my $self = bless { owner => $$, groups => {} }, $class;

	my $exe = program('sandboxd');
	-x $exe or plan_skip("$exe has not been built");
	$self->{dir} = tempdir('sandboxd-t.XXXXXXXX', TMPDIR => 1);
	chmod(0755, $self->{dir});
	chown($o{uid}, -1, $self->{dir}) if defined $o{uid};
	push @scratch, $self->{dir};
	$self->{state} = $o{state} // "$self->{dir}/state";
	$self->{run} = $o{run} // "$self->{dir}/run";
	$self->{socket} = "$self->{run}/control.sock";
	$self->{log} = "$self->{dir}/log";
	$self->{options} = \%o;
	$self->{mounts} = mounts();
	$self->{agents} = "$self->{dir}/agents.d";
	mkdir($self->{agents}, 0755) or die "$self->{agents}: $!";
	for (glob(root_dir() . '/etc/agents.d/*.json')) {
		my ($name) = m{([^/]+)$};
		$self->agent_file($name, slurp($_));
	}
	$self->agent_file($_, $o{agents}{$_}) for keys %{$o{agents} // {}};
	push @running, $self;
	$self->launch unless $o{no_launch};
	return $self;
}

# A file among this daemon's definitions of agents; without TEXT it goes.
sub agent_file {
	my ($self, $name, $text) = @_;
	my $file = "$self->{agents}/$name";

	return unlink($file) unless defined $text;
	spew($file, ref($text) ? to_json($text) : $text);
	chmod(0644, $file);
	return $file;
}

# argv for this daemon.
sub argv {
	my ($self, @more) = @_;
	my $o = $self->{options};
	my $conf = "$self->{dir}/conf";

	spew($conf, "[daemon]\nlibexec_dir = " . build_dir() . "\n"
	    . ($o->{conf} // ''));
	my @http = ('--no-http');
	if ($o->{http}) {
		@http = map { ('--listen', $_) } @{$o->{listen} //
		    ['127.0.0.1:0']};
		push @http, '--token', $o->{token} if defined $o->{token};
	}
	return (program('sandboxd'), '-c', $conf, '--state-dir', $self->{state},
	    '--run-dir', $self->{run}, '--agents-dir', $self->{agents}, @http, @{$o->{args} // []},
	    @{$o->{options} // []}, @more);
}

sub launch {
	my ($self, %o) = @_;
	my $opt = $self->{options};
	my @command = (@{$opt->{wrap} // []}, $self->argv, '--ready-fd', 9,
	    $opt->{command} ? ('--', @{$opt->{command}}) : ());

	$self->{client} = undef;	# it spoke to the former one
	delete @$self{qw(http_at http_kept)};
	pipe(my $r, my $w) or die "pipe: $!";
	my $pid = fork // die "fork: $!";
	if ($pid == 0) {
		setsid();
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>>', $self->{log});
		open(STDERR, '>>', $self->{log});
		POSIX::dup2(fileno($w), 9);
		my $env = clean_env($opt->{env});
		%ENV = %$env;
		if (defined $opt->{uid}) {
			$( = $opt->{uid};
			$) = "$opt->{uid} $opt->{uid}";
			POSIX::setuid($opt->{uid});
		}
		exec { $command[0] } @command
		    or print STDERR "cannot run $command[0]: $!\n";
		POSIX::_exit(127);
	}
	close($w);
	$self->{pid} = $pid;
	return $self if $o{no_wait} || $opt->{no_wait};
	my $ready = '';
	# Long, for a disk that somebody else is filling.
	my $end = time + 60 * slow_factor();
	while ($ready !~ /\n/) {
		my $bits = '';
		vec($bits, fileno($r), 1) = 1;
		if (select($bits, undef, undef, 0.2) > 0) {
			sysread($r, $ready, 64, length $ready) or last;
		}
		last if time > $end;
	}
	close($r);
	if ($ready !~ /\n/) {
		Test::More::diag($self->log_tail);
		die "sandboxd did not become ready\n";
	}
	return $self;
}

# What a daemon is started with: nothing of the caller's but what it needs.
sub clean_env {
	my ($more) = @_;
	my %env = (PATH => '/usr/sbin:/usr/bin:/sbin:/bin', HOME => '/root',
	    LANG => 'C.UTF-8',
	    # No test leaves the loopback, whatever was built in.
	    npm_config_registry => 'http://127.0.0.1:9');
	for (qw(ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS)) {
		$env{$_} = $ENV{$_} if defined $ENV{$_};
	}
	return { %env, %{$more // {}} };
}

sub log_tail {
	my ($self, $n) = @_;
	my @lines = split /\n/, slurp($self->{log}) // '';
	my $from = @lines > ($n // 40) ? @lines - ($n // 40) : 0;
	return join("\n", "log of sandboxd:", @lines[$from .. $#lines]);
}

# True once the daemon has ended; its wait status is then in {status}.
sub ended {
	my ($self) = @_;
	return 1 unless $self->{pid};
	my $got = waitpid($self->{pid}, WNOHANG);
	return 0 if $got == 0;
	$self->{status} = $?;
	delete $self->{pid};
	$self->{client} = undef;
	return 1;
}

# End it by SIGNAL and wait; true when it ended in time.
sub stop {
	my ($self, $signal, $seconds) = @_;
	return 1 unless $self->{pid};
	$self->note_groups;
	kill($signal // 'TERM', $self->{pid});
	return wait_for($seconds // 30, sub { $self->ended }) ? 1 : 0;
}

sub kill_hard { $_[0]->stop('KILL', 10) }

# Kill it and start it again on the same directories.
sub restart {
	my ($self, $signal) = @_;
	$self->stop($signal // 'TERM') or die "sandboxd did not end\n";
	return $self->launch;
}

# Processes of this daemon by what their titles say: children(qr/store/).
sub children {
	my ($self, $pattern) = @_;
	return () unless $self->{pid};
	my %seen;
	return grep { !$seen{$_}++ && title_of($_) =~ ($pattern // qr/./) }
	    descendants($self->{pid}), $self->adopted;
}

# The sandbox whose process 1 it is, if it is one. What an init starts has its title,
# too, until it is another program.
sub init_of {
	my ($pid) = @_;
	return undef unless (slurp("/proc/$pid/status") // '') =~ /^NSpid:.*\s1$/m;
	return title_of($pid) =~ /^sandboxd-init (\S+)/ ? $1 : undef;
}

# What this daemon has from one that was killed: orphans, which have come to us.
sub adopted {
	my ($self) = @_;
	my $instance = $self->group_name // return ();
	my @found;
	for my $pid (descendants($owner)) {
		push @found, $pid, descendants($pid)
		    if title_of($pid) =~ /^sandboxd-init/ &&
		    (slurp("/proc/$pid/stat") // '') =~ /\) \S $owner / &&
		    (slurp("/proc/$pid/cgroup") // '') =~ m{/$instance/};
	}
	return @found;
}

# --- what it leaves behind -----------------------------------------------------------

sub mounts {
	return { map { my @f = split / /; ($f[4] => $_) }
	    split /\n/, slurp('/proc/self/mountinfo') };
}

# The names of our groups, learnt while processes are in them.
sub note_groups {
	my ($self) = @_;
	for my $pid (descendants($self->{pid} // $$)) {
		for (split /\n/, slurp("/proc/$pid/cgroup") // '') {
			my ($path) = /^\d+:[^:]*:(.*)/ or next;
			$self->{groups}{$1} = 1
			    if $path =~ m{/(sandboxd-[0-9a-f]+)(?:/|$)};
		}
	}
}

# What control groups of the instance with this state directory are called: by its
# device and number.
sub group_name {
	my ($self, $state) = @_;
	my ($dev, $ino) = stat($state // $self->{state}) or return;
	return sprintf('sandboxd-%x%x', $dev & 0xffffff, $ino & (1 << 40) - 1);
}

# Control group directories of this instance that exist now.
sub groups {
	my ($self) = @_;
	my @found;
	for my $name (keys %{$self->{groups}}) {
		my $got = run_cmd(['find', '/sys/fs/cgroup', '-type', 'd',
		    '-path', "*/$name*"]);
		push @found, split /\n/, $got->{out};
	}
	return sort @found;
}

# Everything that should not be there once sandboxd has ended: a list of lines.
sub leftovers {
	my ($self) = @_;
	my @left;
	my %known = map { ($_->{pid} // 0) => 1 } @running;

	waitpid(-1, WNOHANG) > 0 or last for 1 .. 100;
	for my $pid (descendants($$)) {
		my $title = title_of($pid);
		push @left, "process $pid: $title"
		    if $title =~ /^sandboxd|memfd:|^\S*\/sandboxd\b/ && !$known{$pid};
	}
	my $now = mounts();
	for (sort keys %$now) {
		push @left, "mount $_"
		    if $now->{$_} =~ /\Q$self->{dir}\E|sandboxd(?!-t\.)/ &&
		    !$self->{mounts}{$_};
	}
	push @left, map { "control group $_" } $self->groups;
	return @left;
}

# True when a daemon's log holds the report of a sanitizer.
sub END_ALL {
	my $found = 0;
	return 0 if $$ != $owner;
	for my $d (@running) {
		next unless $d->{pid};
		my @below = descendants($d->{pid});
		kill('TERM', $d->{pid});
		wait_for(10, sub { $d->ended }) and next;
		kill('KILL', $d->{pid}, @below);
		wait_for(5, sub { $d->ended });
	}
	# What is still below us was left behind; nothing else runs here.
	my @left = descendants($$);
	kill('KILL', @left) if @left;
	1 while waitpid(-1, WNOHANG) > 0;
	for my $d (@running) {
		rmdir for reverse $d->groups;
		# What a sanitizer has found is a failure, whatever the test says.
		my $log = slurp($d->{log}) // '';
		if ($log =~ /Sanitizer|runtime error:/) {
			Test::More::diag($log);
			$found = 1;
		}
	}
	remove_tree($_, { safe => 0, error => \my $e }) for @scratch;
	return $found;
}

END {
	my $status = $?;
	$? = END_ALL() && !$status ? 99 : $status;
}

# A directory that goes away with the test; not in the daemon's own.
sub scratch_dir {
	my ($class, $mode) = @_;
	my $dir = tempdir('sandboxd-t.XXXXXXXX', TMPDIR => 1);
	chmod($mode // 0755, $dir);
	push @scratch, $dir;
	return $dir;
}

# --- talking to it ---------------------------------------------------------------------

sub client {
	my ($self) = @_;
	return Sandboxd::Client->new($self->{socket});
}

# One request on a connection that is kept: { ok, error, items }.
sub request {
	my ($self, $op, $args, %o) = @_;
	my $c = $self->{client};
	if (!$c || !$c->{fh}) {
		$c = $self->{client} = $self->client;
	}
	my $r = $c->request($op, $args, %o);
	$self->{client} = undef if $r->{broken};
	return $r;
}

# The same, which must be good: returns its "ok".
sub ok {
	my ($self, $op, $args, %o) = @_;
	my $r = $self->request($op, $args, %o);
	return $r->{ok} if defined $r->{ok};
	Test::More::diag($self->log_tail);
	die "$op " . to_json($args // {}) . ' gave '
	    . to_json($r->{error} // $r->{broken} // 'nothing') . "\n";
}

# The code of the error that this request must give, '' when it is good.
sub error {
	my ($self, $op, $args, %o) = @_;
	my $r = $self->request($op, $args, %o);
	return $r->{error} ? $r->{error}{code} : $r->{broken} ? 'broken' : '';
}

# Where HTTP is served: 127.0.0.1:4711. With a pattern, the first that matches.
sub http_address {
	my ($self, $pattern) = @_;
	$self->{http_at} //= $self->ok('status')->{http};
	my @at = grep { $_ =~ ($pattern // qr/./) } @{$self->{http_at}};
	return $at[0] // die "no HTTP is served\n";
}

sub url { return 'http://' . $_[0]->http_address(qr/^[^u]/) . ($_[1] // '') }

# A connection of its own, for whatever one wants to do to it.
sub http_client {
	my ($self, $pattern) = @_;
	my $at = $self->http_address($pattern);
	return Sandboxd::Http->new($at) // die "connect $at: $!\n";
}

# One request on a connection of its own, with the daemon's token unless told
# otherwise (token => undef): { status, headers, body, json, broken }.
sub http {
	my ($self, $method, $path, %o) = @_;
	my $c = $self->http_client($o{at});
	my $token = exists $o{token} ? $o{token} : $self->{options}{token};
	my %h = ('Connection' => 'close', %{$o{headers} // {}});

	$h{'Authorization'} //= "Bearer $token" if defined $token;
	my $r = $c->request($method, $path, %o, headers => \%h);
	$c->close;
	return $r;
}

# Run a command in a sandbox: the final "ok" with stdout and stderr put
# together from the items, or { error }.
sub exec {
	my ($self, $id, $command, %args) = @_;
	my $r = $self->request('sandbox.exec',
	    { id => $id, command => $command, %args }, timeout => 120);
	return collect_output($r);
}

sub collect_output {
	my ($r) = @_;
	my %got = (stdout => '', stderr => '', %{$r->{ok} // {}});

	$got{error} = $r->{error} // $r->{broken} unless $r->{ok};
	for my $item (@{$r->{items}}) {
		$got{$item->{stream}} .= defined $item->{base64}
		    ? decode_base64($item->{base64}) : encode($item->{data});
	}
	return \%got;
}

# Decoded JSON text back to the bytes it was.
sub encode {
	my ($text) = @_;
	utf8::encode($text);
	return $text;
}

# One word that tells how a command ended: 0, 3, SIG9, timeout, or an error code.
sub outcome {
	my ($got) = @_;
	return ref $got->{error} ? $got->{error}{code} : $got->{error}
	    if $got->{error};
	return 'timeout' if $got->{timed_out};
	return "SIG$got->{signal}" if defined $got->{signal};
	return $got->{exit_code};
}

sub sh {
	my ($self, $id, $script, %args) = @_;
	return $self->exec($id, ['/bin/sh', '-c', $script], %args);
}

# --- sessions ------------------------------------------------------------------------------

# Send a message and read events until its turn ends (or asks): a list.
sub turn {
	my ($self, $id, $text, %o) = @_;
	my $r = $self->request('session.prompt',
	    { id => $id, text => $text, stream => JSON::PP::true },
	    timeout => $o{timeout} // 60);
	die "turn of $id: " . to_json($r->{error} // $r->{broken}) . "\n"
	    unless $r->{ok};
	return @{$r->{items}};
}

sub events {
	my ($self, $id, %args) = @_;
	my $r = $self->request('session.events', { id => $id, %args },
	    timeout => 60);
	die "events of $id: " . to_json($r->{error} // $r->{broken}) . "\n"
	    unless $r->{ok};
	return @{$r->{items}};
}

# Wait until an event of a session satisfies CODE ($_ is the event); the event,
# or undef. Looks at the whole log, so it cannot be missed.
sub wait_event {
	my ($self, $id, $code, $seconds, $after) = @_;
	my $from = $after // 0;

	return wait_for($seconds // 20, sub {
		for ($self->events($id, after => $from)) {
			return $_ if $code->($_);
			$from = $_->{sequence};
		}
		return undef;
	});
}

# All events of a session as the texts that came, without taking them apart:
# [sequence, text] each. For logs that are too long to decode.
sub event_texts {
	my ($self, $id) = @_;
	my $c = $self->client;
	my $n = $c->send('session.events', { id => $id });
	my @texts;

	while (defined(my $line = $c->line(30))) {
		my ($text) = $line =~ /^\{"id":$n,"item":(.*)\}$/ or last;
		my ($seq) = $text =~ /^\{"event_id":"evt_\d+","sequence":(\d+),/
		    or die "an event without its number: $text\n";
		push @texts, [$seq, $text];
	}
	die "events of $id: $c->{broken}\n" if $c->{broken};
	return @texts;
}

# What is wrong with the numbers of such texts: '' or a sentence.
sub texts_flaw {
	my $n = 1;
	for (@_) {
		return "event $n is missing, $_->[0] came" if $_->[0] != $n;
		$n++;
	}
	return '';
}

sub event_types { return map { $_->{type} } @_ }

# The text of an item's parts.
sub item_text {
	my ($event) = @_;
	return join('', map { $_->{text} // $_->{output} // '' }
	    @{$event->{data}{item}{content} // []});
}

# What is wrong with the sequence of these events: '' or a sentence.
sub sequence_flaw {
	my ($first, @events) = @_;
	for my $e (@events) {
		return "event $first is missing, $e->{sequence} came"
		    if $e->{sequence} != $first;
		return "event_id $e->{event_id} at $first"
		    if $e->{event_id} ne "evt_$first";
		$first++;
	}
	return '';
}

# --- ways out ---------------------------------------------------------------------------

# The probe that escape tests run inside (tests/abuse/probe.c), built by us when
# the build has not. Give its mount to sandbox.create.
my $probe;

sub probe_mount {
	my ($class) = @_;
	if (!$probe) {
		$probe = $class->scratch_dir . '/probe';
		my $built = program('tests/abuse/probe');
		my $got = run_cmd(-x $built ? ['cp', $built, $probe] : ['cc',
		    '-std=gnu17', '-D_GNU_SOURCE', '-O1', '-static', '-o', $probe,
		    root_dir() . '/tests/abuse/probe.c'], timeout => 60);
		die "the probe cannot be had: $got->{err}\n" if $got->{status};
	}
	return { source => $probe, target => '/opt/probe' };
}

# Run it: a hash of what it printed, first word => the rest.
sub probe {
	my ($self, $id, $args, %o) = @_;
	my $r = $self->exec($id, ['/opt/probe', @$args],
	    timeout_ms => 60000, %o);
	my %said = map { /^(\S+) (.*)$/ ? ($1 => $2) : () }
	    split /\n/, $r->{stdout};
	$said{':'} = outcome($r);
	return \%said;
}

# Each escape test is done as both: [name, arguments of exec].
sub both_users { return (['root', {}], ['user', { user => '1000:1000' }]) }

# sandboxctl on this daemon's socket.
sub ctl {
	my ($self, $args, %o) = @_;
	return run_cmd([program('sandboxctl'), '--socket', $self->{socket},
	    @$args], %o);
}

# --- one connection -----------------------------------------------------------------------

package Sandboxd::Client;

use Time::HiRes qw(time);

sub new {
	my ($class, $path) = @_;
	my $fh = IO::Socket::UNIX->new(Type => Socket::SOCK_STREAM(),
	    Peer => $path) or die "connect $path: $!\n";
	return bless { fh => $fh, buffer => '', next => 1 }, $class;
}

sub close { my ($self) = @_; CORE::close(delete $self->{fh}) if $self->{fh} }

# Raw bytes; true when all were taken.
sub write {
	my ($self, $bytes) = @_;
	while (length $bytes) {
		my $n = syswrite($self->{fh}, $bytes);
		next if !defined $n && $!{EINTR};
		return 0 unless $n;
		substr($bytes, 0, $n, '');
	}
	return 1;
}

# The next line without its newline; undef at the end or after SECONDS, and
# {broken} tells which.
sub line {
	my ($self, $seconds) = @_;
	my $end = time + ($seconds // 20) * Sandboxd::slow_factor();

	while ($self->{buffer} !~ /\n/) {
		my $bits = '';
		vec($bits, fileno($self->{fh}), 1) = 1;
		my $left = $end - time;
		if ($left <= 0) {
			$self->{broken} = 'no answer in time';
			return undef;
		}
		next unless select($bits, undef, undef, $left) > 0;
		my $n = sysread($self->{fh}, $self->{buffer}, 65536,
		    length $self->{buffer});
		next if !defined $n && $!{EINTR};
		if (!$n) {
			$self->{broken} = 'connection closed';
			return undef;
		}
	}
	$self->{buffer} =~ s/^([^\n]*)\n//;
	return $1;
}

sub json {
	my ($self, $seconds) = @_;
	my $line = $self->line($seconds) // return undef;
	return Sandboxd::from_json($line);
}

# Send without waiting; the request's id.
sub send {
	my ($self, $op, $args) = @_;
	my $id = $self->{next}++;
	$self->write(Sandboxd::to_json({ id => $id, op => $op,
	    args => $args // {} }) . "\n");
	return $id;
}

# Read up to the final line of ID. on_item may return true to stop early.
sub finish {
	my ($self, $id, %o) = @_;
	my %got = (items => []);

	while (1) {
		my $msg = $self->json($o{timeout});
		if (!defined $msg) {
			$got{broken} = $self->{broken};
			last;
		}
		if (($msg->{id} // '') ne $id) {
			$got{broken} = 'an answer to something else: '
			    . Sandboxd::to_json($msg);
			last;
		}
		if (exists $msg->{item}) {
			push @{$got{items}}, $msg->{item} unless $o{forget};
			last if $o{on_item} && $o{on_item}->($msg->{item});
			next;
		}
		$got{ok} = $msg->{ok} if exists $msg->{ok};
		$got{error} = $msg->{error} if exists $msg->{error};
		last;
	}
	return \%got;
}

sub request {
	my ($self, $op, $args, %o) = @_;
	return $self->finish($self->send($op, $args), %o);
}

1;
