#!/usr/bin/perl
# An ACP agent that does as it is told, for tests: put into a sandbox as
# agent_processes/ID-acp, it speaks JSON-RPC on its standard input and output.
#
# A prompt is done word by word, from the left:
#
#	say TEXT	a message chunk of one word
#	chunks N	N numbered chunks; long N: one of N bytes
#	think, tool, plan, usage, commands	such an update
#	blocks		the prompt's blocks as they came, in an update's _meta
#	mode ID, options	an update of these
#	ask KINDS	a permission with options of these kinds (+ between), whose
#			outcome is said
#	wait		until it is cancelled: stopReason cancelled
#	hang		no answer, ever
#	sleep MS
#	error		an error of JSON-RPC with data
#	junk		a line that is no JSON; array: one that is an array
#	stderr TEXT
#	flood N		N chunks of 200 bytes
#	exit N, die	the end, by status or signal
#
# By the working directory of session/new: /fail is refused, /plain has neither
# modes nor options, /modeless refuses session/set_mode with -32601.
#
# raw/say: `params.lines` are printed as they are. echo/…: its params come back.
use strict;
use warnings;
use JSON::PP ();
use Time::HiRes qw(sleep);

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my (%sessions, %waits, @later);
my ($next, $asked) = (0, 0);
my $in = '';
my @log;	# methods that came

binmode(STDIN);
binmode(STDOUT);
$| = 1;

sub put { print $json->encode($_[0]), "\n" }
sub reply { put({ jsonrpc => '2.0', id => $_[0], result => $_[1] }) }
sub refuse {
	my ($id, $code, $message, $data) = @_;
	put({ jsonrpc => '2.0', id => $id, error => { code => $code,
	    message => $message, $data ? (data => $data) : () } });
}
sub update {
	my ($s, $update) = @_;
	put({ jsonrpc => '2.0', method => 'session/update',
	    params => { sessionId => $s->{id}, update => $update } });
}
sub chunk {
	my ($s, $text) = @_;
	update($s, { sessionUpdate => 'agent_message_chunk',
	    content => { type => 'text', text => $text } });
}

# --- what can be set -----------------------------------------------------------------

sub options {
	my ($s) = @_;
	my $one = sub {
		my ($id, $category, $name, @values) = @_;
		return { id => $id, name => $name, category => $category,
		    type => 'select', currentValue => $s->{options}{$id},
		    options => [map { { value => $_, name => ucfirst $_ } } @values] };
	};
	return [$one->('model', 'model', 'Model', 'small', 'large'),
	    $one->('thinking', 'thought_level', 'Thinking', 'low', 'high'),
	    $one->('style', 'other', 'Style', 'terse', 'long'),
	    $s->{modeless} ? $one->('mode', 'mode', 'Mode', 'ask', 'plan') : ()];
}
sub modes {
	my ($s) = @_;
	return { currentModeId => $s->{mode}, availableModes =>
	    [map { { id => $_, name => ucfirst $_ } } 'ask', 'plan'] };
}

sub session_new {
	my ($id, $p) = @_;
	my $cwd = $p->{cwd} // '';

	return refuse($id, -32602, 'cwd', { cwd => $cwd }) if $cwd eq '/fail';
	my $s = { id => 's' . ++$next, mode => 'ask', cwd => $cwd,
	    modeless => $cwd eq '/modeless', options => { model => 'small',
	    thinking => 'low', style => 'terse', mode => 'ask' } };
	$sessions{$s->{id}} = $s;
	reply($id, { sessionId => $s->{id}, $cwd eq '/plain' ? ()
	    : (configOptions => options($s), modes => modes($s)) });
}

sub set_option {
	my ($id, $s, $p) = @_;

	return refuse($id, -32602, "no option $p->{configId}")
	    unless exists $s->{options}{$p->{configId}};
	$s->{options}{$p->{configId}} = $p->{value};
	$s->{mode} = $p->{value} if $p->{configId} eq 'mode';
	reply($id, { configOptions => options($s) });
}

# --- prompts -------------------------------------------------------------------------

my %kind_names = (allow_once => 'Yes', allow_always => 'Always',
    reject_once => 'No', reject_always => 'Never');

sub ask {
	my ($s, $kinds) = @_;
	my $id = 'ask-' . ++$asked;

	put({ jsonrpc => '2.0', id => $id, method => 'session/request_permission',
	    params => { sessionId => $s->{id}, toolCall => { toolCallId => "call-$asked",
	    title => 'touch a file', kind => 'edit', rawInput => { path => '/tmp/x' } },
	    options => [map { { optionId => "opt-$_", name => $kind_names{$_} // $_,
	    kind => $_ } } split /\+/, $kinds] } });
	$s->{asks}{$id} = 1;
	$waits{$id} = $s;
}

sub step {
	my ($s) = @_;
	my $w = $s->{words};

	while (defined(my $word = shift @$w)) {
		if ($word eq 'say') {
			chunk($s, shift @$w);
		} elsif ($word eq 'chunks' || $word eq 'flood') {
			my $n = shift @$w;
			my $pad = $word eq 'flood' ? 'x' x 190 : '';
			chunk($s, "c$_$pad") for 1 .. $n;
		} elsif ($word eq 'long') {
			chunk($s, 'y' x shift @$w);
		} elsif ($word eq 'think') {
			update($s, { sessionUpdate => 'agent_thought_chunk',
			    content => { type => 'text', text => 'hm' } });
		} elsif ($word eq 'tool') {
			update($s, { sessionUpdate => 'tool_call', toolCallId => 't1',
			    title => 'ls', kind => 'execute', status => 'in_progress',
			    rawInput => { command => 'ls' } });
			update($s, { sessionUpdate => 'tool_call_update',
			    toolCallId => 't1', status => 'completed', content =>
			    [{ type => 'content', content => { type => 'text',
			    text => 'file' } }] });
		} elsif ($word eq 'plan') {
			update($s, { sessionUpdate => 'plan', entries => [{
			    content => 'one', priority => 'high',
			    status => 'pending' }] });
		} elsif ($word eq 'usage') {
			update($s, { sessionUpdate => 'usage_update', used => 10,
			    size => 1000 });
		} elsif ($word eq 'commands') {
			update($s, { sessionUpdate => 'available_commands_update',
			    availableCommands => [{ name => 'help',
			    description => 'Tells.' }] });
		} elsif ($word eq 'blocks') {
			update($s, { sessionUpdate => 'agent_message_chunk',
			    content => { type => 'text', text => 'blocks' },
			    _meta => { blocks => $s->{prompt} } });
		} elsif ($word eq 'mode') {
			$s->{mode} = shift @$w;
			update($s, { sessionUpdate => 'current_mode_update',
			    currentModeId => $s->{mode} });
		} elsif ($word eq 'options') {
			$s->{options}{model} = 'large';
			update($s, { sessionUpdate => 'config_option_update',
			    configOptions => options($s) });
		} elsif ($word eq 'ask') {
			return ask($s, shift @$w);
		} elsif ($word eq 'wait') {
			$s->{waiting} = 1;
			return;
		} elsif ($word eq 'hang') {
			return;
		} elsif ($word eq 'sleep') {
			sleep((shift @$w) / 1000);
		} elsif ($word eq 'error') {
			delete $s->{turn_open};
			return refuse($s->{turn}, -32001, 'as you wish',
			    { why => 'error', n => 7 });
		} elsif ($word eq 'junk') {
			print "this is not json\n";
		} elsif ($word eq 'array') {
			print "[1, 2,  3]\n\n   \n";
		} elsif ($word eq 'stderr') {
			print STDERR shift(@$w), "\n";
		} elsif ($word eq 'exit') {
			exit(shift @$w);
		} elsif ($word eq 'die') {
			kill('KILL', $$);
		}
	}
	turn_end($s, 'end_turn');
}

sub turn_end {
	my ($s, $why) = @_;

	return unless delete $s->{turn_open};
	delete $s->{waiting};
	reply($s->{turn}, { stopReason => $why });
}

sub prompt {
	my ($id, $s, $p) = @_;
	my $last = (grep { ($_->{type} // '') eq 'text' } @{$p->{prompt}})[-1];

	$s->{turn} = $id;
	$s->{turn_open} = 1;
	$s->{prompt} = $p->{prompt};
	$s->{words} = [split ' ', $last->{text} // ''];
	step($s);
}

sub answered {
	my ($m) = @_;
	my $s = delete $waits{$m->{id}} // return;
	my $o = $m->{result}{outcome};

	chunk($s, $m->{error} ? "error $m->{error}{code}"
	    : $o->{outcome} . ($o->{optionId} ? " $o->{optionId}" : ''));
	return turn_end($s, 'cancelled') if $s->{cancelled};
	step($s);
}

sub cancel {
	my ($s) = @_;
	$s->{cancelled} = 1;
	turn_end($s, 'cancelled') if $s->{waiting};
}

# --- requests -------------------------------------------------------------------------

sub request {
	my ($m) = @_;
	my ($id, $method, $p) = ($m->{id}, $m->{method}, $m->{params} // {});
	my $s = ref $p eq 'HASH' ? $sessions{$p->{sessionId} // ''} : undef;

	if ($method eq 'initialize') {
		reply($id, { protocolVersion => 1, agentCapabilities =>
		    { loadSession => JSON::PP::false, promptCapabilities =>
		    { image => JSON::PP::true, embeddedContext => JSON::PP::true } },
		    agentInfo => { name => 'scripted', version => '1' },
		    authMethods => [{ id => 'anthropic-api-key', name => 'Key' }] });
	} elsif ($method eq 'session/new') {
		session_new($id, $p);
	} elsif ($method eq 'raw/say') {
		for my $line (@{$p->{lines}}) {
			utf8::encode($line);
			print "$line\n";
		}
		reply($id, {});
	} elsif ($method eq 'log') {
		reply($id, { methods => \@log });
	} elsif ($method eq 'authenticate' || $method =~ m{^echo/}) {
		reply($id, { echoed => $p });
	} elsif ($method =~ m{^quit/(\d+)}) {
		exit($1);
	} elsif ($method eq 'slow') {
		sleep($p->{ms} / 1000);
		reply($id, {});
	} elsif ($method eq 'never') {
		# no answer
	} elsif (!$s) {
		refuse($id, $method =~ m{^session/} ? -32002 : -32601, 'no such thing',
		    { method => $method });
	} elsif ($method eq 'session/prompt') {
		prompt($id, $s, $p);
	} elsif ($method eq 'session/set_mode') {
		return refuse($id, -32601, 'no modes') if $s->{modeless};
		$s->{mode} = $p->{modeId};
		reply($id, {});
	} elsif ($method eq 'session/set_config_option') {
		set_option($id, $s, $p);
	} else {
		refuse($id, -32601, 'no such method', { method => $method });
	}
}

while (sysread(STDIN, $in, 65536, length $in)) {
	while ($in =~ s/\A([^\n]*)\n//) {
		my $m = eval { $json->decode($1) };
		if (ref $m ne 'HASH') {
			print STDERR "not understood: $1\n";
			next;
		}
		push @log, $m->{method} if defined $m->{method};
		if (defined $m->{method} && exists $m->{id}) {
			request($m);
		} elsif (($m->{method} // '') eq 'session/cancel') {
			my $s = $sessions{$m->{params}{sessionId} // ''};
			cancel($s) if $s;
		} elsif (($m->{method} // '') eq 'say') {
			put({ jsonrpc => '2.0', method => 'said',
			    params => $m->{params} });
		} elsif (exists $m->{id}) {
			answered($m);
		}
	}
}
