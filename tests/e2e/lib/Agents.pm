# The real agents and the model server that they talk to in tests: one process on
# loopback (fake-llm.mjs), which a test steers by words in its prompts.
#
#	my $llm = Agents::FakeLlm->start;
#	my $d = claude_daemon($llm);
#	claude_session($d, $llm, 'talk');
#	my @events = $d->turn('talk', 'fake:write path=a.txt content="x"');
#
# Claude Code is looked for in $SANDBOXD_AGENTS, else in build/agents, where
# contrib/check puts it.

package Agents;

use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter qw(import);
use Sandboxd;

our @EXPORT = qw(agents_path claude_program claude_daemon claude_session claude_env
    git_repository git_in answer_text tool_items);

sub claude_program {
	my $dir = $ENV{SANDBOXD_AGENTS} // root_dir() . '/build/agents';
	my $link = "$dir/node_modules/.bin/claude";
	Sandboxd::plan_skip("$link is not there: contrib/check installs it")
	    unless -x $link;
	need_program('node');
	return abs_path($link);
}

# PATH for a daemon that is to find the programs of these agents there.
sub agents_path {
	my $dir = ($ENV{SANDBOXD_AGENTS} // root_dir() . '/build/agents')
	    . '/node_modules/.bin';
	for (@_) {
		Sandboxd::plan_skip("$dir/$_ is not there: "
		    . 'contrib/check installs it') unless -x "$dir/$_";
	}
	need_program('node');
	return abs_path($dir) . ':/usr/sbin:/usr/bin:/sbin:/bin';
}

# A daemon that knows where claude is.
sub claude_daemon {
	my (%o) = @_;
	return Sandboxd->start(%o, conf => "[agent]\nclaude = "
	    . claude_program() . "\n" . ($o{conf} // ''));
}

# What Claude Code needs to talk to the model server and to nobody else.
sub claude_env {
	my ($llm) = @_;
	return {
		ANTHROPIC_BASE_URL => $llm->url,
		ANTHROPIC_API_KEY => $llm->{key},
		CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC => '1',
		CLAUDE_CODE_MAX_RETRIES => '2',
		DISABLE_AUTOUPDATER => '1',
	};
}

# A sandbox with DIR as its workspace, and a session with Claude Code in it.
sub claude_session {
	my ($d, $llm, $id, %o) = @_;
	my @mounts = $o{workspace} ? ({ source => $o{workspace},
	    target => '/workspace', mode => $o{mode} // 'cow' }) : ();

	$d->ok('sandbox.create', { id => $id, network => 'host',
	    mounts => \@mounts, directory => $o{workspace} ? '/workspace' : '/tmp',
	    $o{user} ? (user => $o{user}) : () }, timeout => 30);
	return $d->ok('session.create', { id => $id, sandbox => $id,
	    agent => 'claude', env => { %{claude_env($llm)}, %{$o{env} // {}} },
	    $o{args} ? %{$o{args}} : () }, timeout => 30);
}

# A git repository with a file to work on.
sub git_repository {
	my $dir = Sandboxd->scratch_dir . '/repo';
	mkdir($dir);
	run_cmd(['git', 'init', '-q', '-b', 'main', $dir]);
	spew("$dir/add.c", "int\nadd(int a, int b)\n{\n\treturn a - b;\n}\n");
	spew("$dir/README", "A small library.\n");
	git_in($dir, 'add', '-A');
	git_in($dir, 'commit', '-q', '-m', 'start');
	return $dir;
}

sub git_in {
	my ($dir, @args) = @_;
	return run_cmd(['git', '-C', $dir, '-c', 'user.name=t', '-c',
	    'user.email=t@localhost', '-c', 'safe.directory=*', @args]);
}

# The words of the assistant's completed messages.
sub answer_text {
	return join("\n", map { item_text($_) } grep {
		$_->{type} eq 'item.completed' && $_->{data}{item}{kind} eq 'message'
		    && $_->{data}{item}{role} eq 'assistant'
	} @_);
}

# Completed items of a kind.
sub tool_items {
	my ($kind, @events) = @_;
	return map { $_->{data}{item} } grep { $_->{type} eq 'item.completed'
	    && $_->{data}{item}{kind} eq $kind } @events;
}

package Agents::FakeLlm;

use File::Basename qw(dirname);
use Time::HiRes qw(time sleep);

sub start {
	my ($class) = @_;
	my $self = bless { key => 'test-key-' . int(rand 1e9),
	    dir => Sandboxd->scratch_dir }, $class;
	my $script = Cwd::abs_path(dirname(__FILE__) . '/../fake-llm.mjs');

	$self->{log} = "$self->{dir}/llm.log";
	pipe(my $in_r, $self->{stdin}) or die "pipe: $!";
	pipe(my $out_r, my $out_w) or die "pipe: $!";
	my $pid = fork // die "fork: $!";
	if ($pid == 0) {
		POSIX::setsid();
		open(STDIN, '<&', $in_r);
		open(STDOUT, '>&', $out_w);
		close($self->{stdin});
		exec('node', $script, '--log', $self->{log}, '--key', $self->{key})
		    or POSIX::_exit(127);
	}
	close($in_r);
	close($out_w);
	$self->{pid} = $pid;
	my $line = '';
	my $end = time + 20;
	while ($line !~ /\n/ && time < $end) {
		my $bits = '';
		vec($bits, fileno($out_r), 1) = 1;
		next unless select($bits, undef, undef, 0.5) > 0;
		sysread($out_r, $line, 200, length $line) or last;
	}
	$self->{out} = $out_r;		# kept open: it ends when nobody listens
	($self->{port}) = $line =~ /^listening 127\.0\.0\.1:(\d+)$/m
	    or die "the model server did not start: $line\n";
	return $self;
}

sub url { return "http://127.0.0.1:$_[0]{port}" }

# What it has logged, as objects; of one kind when told.
sub seen {
	my ($self, $ev) = @_;
	return grep { !$ev || $_->{ev} eq $ev }
	    map { eval { Sandboxd::from_json($_) } // () }
	    split /\n/, Sandboxd::slurp($self->{log}) // '';
}

sub DESTROY {
	my ($self) = @_;
	local ($?, $!);		# the test's own exit status stays
	close($self->{stdin}) if $self->{stdin};
	kill('TERM', $self->{pid}) if $self->{pid};
	waitpid($self->{pid}, 0) if $self->{pid};
}

1;
