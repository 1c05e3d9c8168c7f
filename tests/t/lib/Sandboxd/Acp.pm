# A client of /v1/acp for tests: envelopes in, envelopes out, and streams whose
# numbers are checked as they come.
#
#	Sandboxd::Acp->install($d, 'amp');	# acp-agent.pl becomes agent amp
#	my $a = Sandboxd::Acp->new($d, 'my id', agent => 'amp');
#	is($a->call('initialize', {})->{result}{protocolVersion}, 1);
#	my $s = $a->stream;
#	my @seen = $s->until(sub { ($_->{method} // '') eq 'said' });

package Sandboxd::Acp;

use strict;
use warnings;
use Time::HiRes qw(time);

my $dir = '.local/share/sandbox-agent/bin/agent_processes';

# Put acp-agent.pl, or SCRIPT, into a sandbox as the agent ID. Options: sandbox.
sub install {
	my ($class, $d, $id, %o) = @_;
	my $at = defined $o{sandbox} ? "/i/$o{sandbox}" : '';
	my $script = $o{script}
	    // Sandboxd::slurp(Sandboxd::root_dir() . '/tests/t/lib/acp-agent.pl');
	my $r = $d->http('PUT', "$at/v1/fs/file?path=$dir/$id-acp",
	    body => $script, %{$o{http} // {}});
	die "put $id: $r->{status} $r->{body}" if $r->{status} != 200;
	$r = $d->http('POST', "$at/v1/processes/run", json => { command => 'sh',
	    args => ['-c', "chmod 755 \"\$HOME/$dir/$id-acp\""] }, %{$o{http} // {}});
	die "chmod $id: $r->{status} $r->{body}"
	    if $r->{status} != 200 || $r->{json}{exitCode};
}

sub escape {
	my ($text) = @_;
	utf8::encode($text) if utf8::is_utf8($text);
	$text =~ s/([^A-Za-z0-9._~-])/sprintf('%%%02X', ord $1)/ge;
	return $text;
}

# Options: agent (sent with every envelope when it is given), sandbox, token.
sub new {
	my ($class, $d, $id, %o) = @_;
	return bless { d => $d, id => $id, next => 0, %o }, $class;
}

sub path {
	my ($self, $query) = @_;
	my $at = defined $self->{sandbox} ? "/i/$self->{sandbox}" : '';
	$query //= defined $self->{agent} ? '?agent=' . escape($self->{agent}) : '';
	return "$at/v1/acp/" . escape($self->{id}) . $query;
}

sub how {
	my ($self, %o) = @_;
	return (exists $self->{token} ? (token => $self->{token}) : (), %o);
}

# An envelope, as a value or as text: the answer.
sub post {
	my ($self, $envelope, %o) = @_;
	return $self->{d}->http('POST', $self->path, $self->how(
	    body => ref $envelope ? Sandboxd::to_json($envelope) : $envelope,
	    timeout => 60, %o,
	    headers => { 'Content-Type' => 'application/json', %{$o{headers} // {}} }));
}

sub envelope {
	my ($self, $method, $params) = @_;
	return { jsonrpc => '2.0', id => $self->{next}++, method => $method,
	    defined $params ? (params => $params) : () };
}

# A request: the response envelope, which must come.
sub call {
	my ($self, $method, $params, %o) = @_;
	my $e = $self->envelope($method, $params);
	my $r = $self->post($e, %o);
	die "$method: " . ($r->{status} // $r->{broken}) . ' ' . ($r->{body} // '')
	    if ($r->{status} // 0) != 200;
	die "$method: an answer to something else: $r->{body}"
	    if Sandboxd::to_json($r->{json}{id}) ne Sandboxd::to_json($e->{id});
	return $r->{json};
}

# A request whose answer is read later: a connection, see Sandboxd::Http.
sub begin {
	my ($self, $envelope) = @_;
	my $c = $self->{d}->http_client;
	my $body = ref $envelope ? Sandboxd::to_json($envelope) : $envelope;
	my $token = exists $self->{token} ? $self->{token}
	    : $self->{d}{options}{token};

	$c->write('POST ' . $self->path . " HTTP/1.1\r\nHost: x\r\n"
	    . (defined $token ? "Authorization: Bearer $token\r\n" : '')
	    . "Content-Type: application/json\r\nContent-Length: "
	    . length($body) . "\r\n\r\n$body");
	return $c;
}

# A session of the agent: its id.
sub session {
	my ($self, $cwd) = @_;
	return $self->call('session/new', { cwd => $cwd // '/tmp',
	    mcpServers => [] })->{result}{sessionId};
}

sub prompt_envelope {
	my ($self, $session, $text) = @_;
	return $self->envelope('session/prompt', { sessionId => $session,
	    prompt => [{ type => 'text', text => $text }] });
}

sub delete { my ($self, %o) = @_; return $self->{d}->http('DELETE', $self->path(''), $self->how(%o)) }

sub stream {
	my ($self, $after, %o) = @_;
	return Sandboxd::Acp::Stream->new($self, $after, %o);
}

# The ids of the servers that are listed.
sub listed {
	my ($class, $d, %o) = @_;
	my $at = defined $o{sandbox} ? "/i/$o{sandbox}" : '';
	my $r = $d->http('GET', "$at/v1/acp", %{$o{http} // {}});
	die "list: $r->{status} $r->{body}" if $r->{status} != 200;
	return map { $_->{serverId} } @{$r->{json}{servers}};
}

package Sandboxd::Acp::Stream;

use Time::HiRes qw(time);

# AFTER: what Last-Event-ID says; undef: nothing.
sub new {
	my ($class, $acp, $after, %o) = @_;
	my $c = $acp->{d}->http_client;
	my $token = exists $acp->{token} ? $acp->{token} : $acp->{d}{options}{token};

	$c->write('GET ' . $acp->path('') . " HTTP/1.1\r\nHost: x\r\n"
	    . (defined $token ? "Authorization: Bearer $token\r\n" : '')
	    . (defined $after ? "Last-Event-ID: $after\r\n" : '') . "\r\n");
	my $self = bless { c => $c, text => '', last => $after || 0, flaw => '',
	    comments => 0, ended => 0, waiting => [] }, $class;
	$self->{head} = $c->head($o{timeout} // 20);
	return $self;
}

sub close { $_[0]{c}->close }

# What came whole, as texts; numbers that do not rise by one are a flaw.
sub take_texts {
	my ($self) = @_;
	my @texts;

	while (1) {
		if ($self->{text} =~
		    s/\Aevent: message\nid: (\d+)\ndata: ([^\n]*)\n\n//) {
			$self->{flaw} ||= "$1 after $self->{last}"
			    if $1 != $self->{last} + 1;
			$self->{last} = $1;
			push @texts, $2;
		} elsif ($self->{text} =~ s/\A: heartbeat\n\n//) {
			$self->{comments}++;
		} else {
			last;
		}
	}
	return @texts;
}

# 1: something came; 0: that was the end; undef: nothing in time.
sub more {
	my ($self, $seconds) = @_;
	my $chunk = $self->{c}->chunk($seconds);
	if (!defined $chunk) {
		$self->{ended} = 1 if ($self->{c}{broken} // '') =~ /closed/;
		return undef;
	}
	$self->{text} .= $chunk;
	$self->{ended} = 1 if $chunk eq '';
	return length $chunk ? 1 : 0;
}

# Envelopes until one that CODE likes ($_), that too; at most SECONDS. Those
# behind it are for the next call. Whether it came stands in {found}.
sub until {
	my ($self, $code, $seconds) = @_;
	my $end = time + ($seconds // 20) * Sandboxd::slow_factor();
	my @seen;

	$self->{found} = 0;
	while (1) {
		push @{$self->{waiting}}, $self->take_texts;
		while (defined(my $text = shift @{$self->{waiting}})) {
			local $_ = Sandboxd::from_json($text);
			push @seen, $_;
			if ($code->()) {
				$self->{found} = 1;
				return @seen;
			}
		}
		return @seen if $self->{ended} || $end - time <= 0;
		$self->more($end - time) or return @seen;
	}
}

# Texts until number N has come.
sub upto {
	my ($self, $n, $seconds) = @_;
	my $end = time + ($seconds // 20) * Sandboxd::slow_factor();
	my @texts = (splice(@{$self->{waiting}}), $self->take_texts);

	while ($self->{last} < $n && !$self->{ended} && $end > time) {
		$self->more($end - time) or last;
		push @texts, $self->take_texts;
	}
	return @texts;
}

1;
