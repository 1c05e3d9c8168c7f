# sandbox-agent install-agent: asks a server that runs, or one that is started for
# it. What one installs is there for all servers of the user.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use AgentCli;
use Sandboxd::Registry;
use Test::More;

need_root();

my $there = { alreadyInstalled => JSON::PP::true, artifacts => [] };
my $fresh = { alreadyInstalled => JSON::PP::false, artifacts => [{
    kind => 'AgentProcess', path => 'builtin', source => 'Builtin',
    version => 'builtin' }] };

sub left { return grep { /sandbox/ } map { Sandboxd::title_of($_) } descendants($$) }

# Nobody runs: one is started for this and ends with it.
my $cli = AgentCli->new;
my $got = $cli->run([qw(install-agent mock)], timeout => 60);
is($got->{status}, 0, 'install-agent mock without a server') or diag($got->{err});
is_deeply(from_json($got->{out}), $there, 'it is there always');
is_deeply([left()], [], 'the server for it has ended');
$got = $cli->run([qw(install-agent mock --reinstall)], timeout => 60);
is_deeply(from_json($got->{out}), $fresh, 'and installed as often as asked');
is($got->{out}, <<'END', 'in the form that scripts know');
{
  "alreadyInstalled": false,
  "artifacts": [
    {
      "kind": "AgentProcess",
      "path": "builtin",
      "source": "Builtin",
      "version": "builtin"
    }
  ]
}
END
$got = $cli->run([qw(install-agent nope)], timeout => 60);
is("$got->{status} $got->{out}", '1 ', 'an unknown agent: 1');
like($got->{err}, qr/error="server error: unsupported agent: nope"/, 'and its name');
is($cli->run([qw(install-agent all)], timeout => 60)->{status}, 1,
    '`all` is no agent: --all is');
is_deeply([left()], [], 'nothing stays');

# One runs: it is asked, wherever it serves.
my $s = $cli->server([]);
$got = $cli->run([qw(install-agent mock -r)]);
is_deeply(from_json($got->{out}), $fresh, 'a server that runs is asked');
ok(!-e $cli->data . '/servers/127-0-0-1-2468/state', 'none was started that serves');
is($s->status('/v1/health'), 200, 'and goes on');
$s->stop;

# Or the one that is named.
my $d = Sandboxd->start;
$cli->{env} = { SANDBOXD_SOCKET => $d->{socket} };
$got = $cli->run([qw(install-agent mock -r)]);
is_deeply(from_json($got->{out}), $fresh, 'SANDBOXD_SOCKET') or diag($got->{err});
is($cli->run([qw(install-agent nope)])->{status}, 1, 'which knows no other either');
$cli->{env} = { SANDBOXD_SOCKET => '/nonexistent' };
is($cli->run([qw(install-agent mock)])->{status}, 1, 'that is not there: 1');

# --- what is installed, by one for all ------------------------------------------

my $registry = Sandboxd::Registry->new;
my @names = qw(tool two three);
for my $name (@names) {
	$registry->publish($name, '1.0.0', { bin => 'b' },
	    { b => "#!/bin/sh\necho $name 1.0.0\n", noise => join('',
		map { chr 33 + int rand 90 } 1 .. 300_000) });
}
$registry->start;

# As root, and as somebody.
for my $uid (undef, 54321) {
	my $who = defined $uid ? 'a user' : 'root';
	$cli = AgentCli->new(uid => $uid);
	my $conf = "$cli->{home}/.config/sandbox-agent";
	run_cmd(['mkdir', '-p', "$conf/agents.d"]);
	chmod(0755, $cli->{home}, "$cli->{home}/.config", $conf, "$conf/agents.d");
	my %def = map { Sandboxd::Registry::definition($_, type => 'npm',
	    package => $_, version => '1.0.0') } @names;
	for my $file (keys %def) {
		spew("$conf/agents.d/$file", ref $def{$file}
		    ? to_json($def{$file}) : $def{$file});
		chmod(0644, "$conf/agents.d/$file");
	}
	spew("$conf/sandboxd.conf", "[agent]\ndirectory = $conf/agents.d\n"
	    . "[courier]\nnpm_registry = " . $registry->url . "\n");
	chmod(0644, "$conf/sandboxd.conf");
	chown($uid, $uid, glob("$cli->{home}/.config $conf $conf/* $conf/*/*"))
	    if defined $uid;
	my $agents = $cli->data . '/agents';

	$got = $cli->run([qw(install-agent tool)], timeout => 60);
	is($got->{status}, 0, "$who: install-agent without a server")
	    or diag($got->{err});
	is(readlink("$agents/tool/current"), '1.0.0', "$who: into one place");
	my @s = map { $cli->server([qw(--no-token)]) } 1 .. 2;
	is($_->request('GET', '/v1/agents/tool')->{json}{installed},
	    JSON::PP::true, "$who: which a server finds") for @s;
	is($s[0]->command('/run/sandboxd/agents/tool/current/bin/tool')->{stdout},
	    "tool 1.0.0\n", "$who: and shows its sandboxes");
	isnt($s[0]->command('touch /run/sandboxd/agents/tool/x')->{exitCode}, 0,
	    "$who: for reading only");
	# What is root's is safe from sandboxes by its ids, too.
	isnt($s[0]->command('cd /run/sandboxd/agents && (: <tool/.lock || ls .partial)')
	    ->{exitCode}, 0, "$who: but for what is the courier's") if !defined $uid;
	$got = $cli->run([qw(install-agent tool)], timeout => 60);
	ok(from_json($got->{out})->{alreadyInstalled}, "$who: it is there");

	# Both the same, at once; while another one is being installed.
	$registry->forget_requests;
	$registry->rule(match => '(?:two|three)-1', action => 'slow', bytes => 250_000);
	my @c = map { Sandboxd::Http->new($_->{at}) } @s, $s[0];
	my $n = 0;
	for my $c (@c) {
		my $agent = $n++ < 2 ? 'two' : 'three';
		$c->write("POST /v1/agents/$agent/install HTTP/1.1\r\nHost: x\r\n"
		    . "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
	}
	my @r = map { $_->response('POST') } @c;
	is(join(' ', map { $_->{status} } @r), '200 200 200', "$who: two at once")
	    or diag(map { $_->{body} } @r);
	is(scalar(grep { $_->{json}{already_installed} } @r[0, 1]), 1,
	    "$who: one of them finds it there");
	is(scalar(my @seen = $registry->requests(qr/two-1/)), 1,
	    "$who: it was downloaded once");
	is_deeply([glob("$agents/*/.tmp*")], [], "$who: nothing half done is left");
	is($s[1]->command("/run/sandboxd/agents/$_/current/bin/$_")->{stdout},
	    "$_ 1.0.0\n", "$who: $_ is whole") for qw(two three);
	$registry->no_rules;
	$_->stop for @s;
}
AgentCli::clean(0, 54321);

done_testing;
