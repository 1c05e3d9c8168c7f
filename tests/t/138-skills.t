# Skills from git repositories, archives and directories are there before the agent
# starts, are fetched once, and follow their source.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
need_program('git');
need_program('tar');

# An agent that tells which skills it finds.
my $bin = Sandboxd->scratch_dir . '/bin';
mkdir($bin);
spew("$bin/amp", <<'EOT');
#!/bin/sh
cat > /dev/null
seen=$(ls .agents/skills 2>/dev/null | tr '\n' ' ')
say() { printf '{"type":"%s","session_id":"T-1",%s}\n' "$1" "$2"; }
say assistant "\"message\":{\"id\":\"m\",\"content\":[{\"type\":\"text\",\"text\":\"seen: $seen\"}]},\"parent_tool_use_id\":null"
say result '"subtype":"success","is_error":false'
EOT
chmod 0755, "$bin/amp";
my $wait = 60 * slow_factor();
my $d = Sandboxd->start(env => { PATH => "$bin:/usr/sbin:/usr/bin:/sbin:/bin" });
$d->ok('sandbox.create', { id => 'b', network => 'host', directory => '/tmp' },
    timeout => $wait);

sub sh_ok {
	my ($cmd) = @_;
	my $r = $d->sh('b', "set -e; cd /tmp; $cmd");
	is($r->{exit_code}, 0, 'prepared') or diag $r->{stderr};
}
my $git = 'git -c user.name=t -c user.email=t@localhost';
my $skill = 'skill() { mkdir -p "$1"; printf -- "---\nname: x\ndescription: y.\n---\n" > "$1/SKILL.md"; }; ';
sh_ok($skill . 'git init -q -b main repo; skill repo/skills/one; skill repo/deep/in/two; '
    . "$git -C repo add -A; $git -C repo commit -q -m a; git -C repo tag v1; "
    . "skill repo/skills/late; $git -C repo add -A; $git -C repo commit -q -m b; "
    . 'git init -q -b main single; skill single; '
    . "$git -C single add -A; $git -C single commit -q -m a; git clone -q --bare single single.git; "
    . 'skill pack/top-1.0/skills/packed; tar -C pack -czf pack.tgz top-1.0; '
    . 'skill mine/own');

my $n = 0;
sub session {
	my ($sources, %o) = @_;
	my $id = 's' . ++$n;
	$d->sh('b', "mkdir -p /tmp/$id");
	$d->ok('session.create', { id => $id, sandbox => 'b', agent => 'amp',
	    directory => "/tmp/$id", env => { HOME => '/tmp/home', %{$o{env} // {}} },
	    skills => { sources => $sources } }, timeout => $wait);
	return $id;
}
sub turn {
	my ($id) = @_;
	my @e = $d->turn($id, 'go', timeout => $wait);
	my ($text) = map { $_->{data}{item}{content}[0]{text} } grep {
	    $_->{type} eq 'item.completed' && $_->{data}{item}{role} eq 'assistant'
	    && $_->{data}{item}{kind} eq 'message' } @e;
	my @fetched = map { $_->{data}{item}{content}[0]{detail} } grep {
	    $_->{type} eq 'item.completed' && $_->{data}{item}{kind} eq 'status'
	    && $_->{data}{item}{content}[0]{label} eq 'skills.fetching' } @e;
	my @errors = map { $_->{data} } grep { $_->{type} eq 'error' } @e;
	return ($text, \@fetched, \@errors);
}

my ($text, $fetched, $errors) = turn(session([{ type => 'git', source => '/tmp/repo' }]));
is($text, 'seen: late one ', 'a repository: its skills are there when the agent starts');
is("@$fetched", '/tmp/repo', 'that it is fetched is told');
is(scalar(@$errors), 0, 'without complaint');

($text) = turn(session([{ type => 'git', source => 'file:///tmp/repo', ref => 'v1' }]));
is($text, 'seen: one ', 'a tag');
my ($commit) = $d->sh('b', 'git -C /tmp/repo rev-parse v1')->{stdout} =~ /(\w+)/;
my $pinned = session([{ type => 'git', source => 'file:///tmp/repo', ref => $commit }]);
($text) = turn($pinned);
is($text, 'seen: one ', 'a commit');
($text, $fetched) = turn($pinned);
is("@$fetched", '', 'which is not asked for again');
($text) = turn(session([{ type => 'git', source => '../repo', subpath => 'deep/in' }]));
is($text, 'seen: two ', 'below a path');
($text) = turn(session([{ type => 'git', source => '/tmp/single.git' }]));
is($text, 'seen: single ', 'a repository that is a skill has its name');
($text) = turn(session([{ type => 'git', source => '/tmp/repo', skills => ['late'] }]));
is($text, 'seen: late ', 'by name');
($text) = turn(session([{ type => 'github', source => 'some/single' }], env => {
    GIT_CONFIG_COUNT => '1', GIT_CONFIG_KEY_0 => 'url.file:///tmp/.insteadOf',
    GIT_CONFIG_VALUE_0 => 'https://github.com/some/' }));
is($text, 'seen: single ', 'two words are a repository of that host');

my $id = session([{ type => 'archive', source => '/tmp/pack.tgz' }]);
($text, $fetched) = turn($id);
is($text, 'seen: packed ', 'an archive with one directory');
($text, $fetched) = turn($id);
is("@$fetched", '', 'is unpacked once');
sh_ok($skill . 'skill pack/top-1.0/skills/more; tar -C pack -czf pack.tgz top-1.0');
($text, $fetched) = turn($id);
is($text, 'seen: more packed ', 'and again when it has changed');
SKIP: {
	skip 'no unzip', 1 if $d->sh('b', 'command -v unzip && command -v zip')->{exit_code};
	sh_ok('cd pack; zip -qr ../pack.zip top-1.0');
	($text) = turn(session([{ type => 'archive', source => 'file:///tmp/pack.zip' }]));
	is($text, 'seen: more packed ', 'a zip');
}
SKIP: {
	skip 'no curl', 6 if $d->sh('b', 'command -v curl')->{exit_code};
	$d->exec('b', ['sh', '-c', 'cat > /tmp/server.pl; perl /tmp/server.pl >/dev/null 2>&1 &'],
	    stdin => <<'EOT');
use IO::Socket::INET;
my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die;
alarm 300;
open(my $p, '>', '/tmp/port') or die;
print $p $s->sockport;
close($p);
while (my $c = $s->accept) {
	while (<$c>) { last if /^\r?$/ }
	open(my $f, '<', '/tmp/pack.tgz') or die;
	my $t = do { local $/; <$f> };
	print $c "HTTP/1.0 200 OK\r\nContent-Length: " . length($t) . "\r\n\r\n$t";
	close($c);
}
EOT
	my $port = wait_for($wait, sub { $d->exec('b', ['cat', '/tmp/port'])->{stdout} });
	$id = session([{ type => 'archive', source => "http://127.0.0.1:$port/x/pack.tgz?v=1" }]);
	($text, $fetched, $errors) = turn($id);
	is($text, 'seen: more packed ', 'an archive from a server');
	($text, $fetched) = turn($id);
	is("@$fetched", '', 'is not fetched again soon');
	# An hour later, the server gone: what is there is used.
	$d->sh('b', 'pkill -x perl; touch -d "2 hours ago" /tmp/home/.cache/sandboxd/skills/*');
	ok(wait_for($wait, sub { $d->sh('b', 'pgrep -x perl')->{exit_code} }), 'no server');
	($text, $fetched, $errors) = turn($id);
	is($text, 'seen: more packed ', 'an old copy is better than none');
	is(scalar(@$fetched), 1, 'a new one was tried for');
	is(scalar(@$errors), 0, 'in vain, which is no error');
}

sh_ok($skill . "skill repo/skills/newest; $git -C repo add -A; $git -C repo commit -q -m c");
($text) = turn('s1');
is($text, 'seen: late newest one ', 'a repository nearby is followed');
($text, $fetched, $errors) = turn(session([{ type => 'local', source => '/tmp/mine' },
    { type => 'git', source => '/tmp/nowhere' }, { type => 'git', source => '/tmp/repo' },
    { type => 'git', source => '/tmp/repo' }]));
is($text, 'seen: late newest one own ', 'one bad source does no harm to the others');
is(scalar(@$errors), 1, 'and is told once');
is($errors->[0]{code}, 'skill_failed', 'as what it is');
like($errors->[0]{message}, qr{skills of /tmp/nowhere are left out: git failed}, 'with the reason');
is($d->sh('b', 'ls -A /tmp/home/.cache/sandboxd/skills | grep -c "^\.work"')->{stdout},
    "0\n", 'nothing is left half done');

done_testing;
