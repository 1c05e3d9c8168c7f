# Sources of skills that are broken, endless, too large or aimed elsewhere: each is told
# and left out, the agent starts all the same, and nothing is left behind.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
need_program('git');
need_program('tar');

my $bin = Sandboxd->scratch_dir . '/bin';
mkdir($bin);
spew("$bin/amp", <<'EOT');
#!/bin/sh
cat > /dev/null
echo '{"type":"result","subtype":"success","is_error":false,"result":"started","session_id":"T-1"}'
EOT
chmod 0755, "$bin/amp";
my $wait = 60 * slow_factor();
my $d = Sandboxd->start(env => { PATH => "$bin:/usr/sbin:/usr/bin:/sbin:/bin" });
$d->ok('sandbox.create', { id => 'b', network => 'host', directory => '/tmp' },
    timeout => $wait);

my $n = 0;
sub session {
	my ($source, %o) = @_;
	my $id = 's' . ++$n;
	$d->sh('b', "mkdir -p /tmp/$id");
	$d->ok('session.create', { id => $id, sandbox => 'b', agent => 'amp',
	    directory => "/tmp/$id", env => { HOME => '/tmp/home', %{$o{env} // {}} },
	    skills => { sources => [$source] } }, timeout => $wait);
	return $id;
}
sub refused {
	my ($source, $like, $what, %o) = @_;
	my $id = session($source, %o);
	my @e = $d->turn($id, 'go', timeout => $wait);
	my @errors = map { $_->{data} } grep { $_->{type} eq 'error' } @e;
	is(scalar(grep { $_->{code} eq 'skill_failed' } @errors), 1, "$what: one error");
	like($errors[0]{message} // '', $like, 'that says why');
	is($e[-1]{data}{metadata}{stop_reason}, 'end_turn', 'and the agent starts');
	is($d->sh('b', "ls -A /tmp/$id/.agents/skills 2>/dev/null")->{stdout}, '',
	    'nothing is linked');
	return $id;
}

$d->sh('b', 'cd /tmp; echo nonsense > bad.tgz; printf "PK\003\004nonsense" > bad.zip; '
    . 'mkdir empty; git init -q empty; mkdir -p plain/x; tar -czf plain.tgz plain; mkfifo pipe.tgz');
refused({ type => 'archive', source => '/tmp/bad.tgz' }, qr/unpacking it failed/, 'no archive');
refused({ type => 'archive', source => '/tmp/bad.zip' }, qr/unpacking it failed|unzip/, 'no zip');
refused({ type => 'archive', source => '/tmp/plain.tgz' }, qr/there is none in/, 'no skill in it');
refused({ type => 'archive', source => '/tmp/pipe.tgz' }, qr/is no file/, 'a pipe');
refused({ type => 'archive', source => '/tmp/gone.tgz' }, qr/No such file/, 'no file');
refused({ type => 'git', source => '/tmp/empty' }, qr/git failed/, 'an empty repository');
refused({ type => 'git', source => '--upload-pack=/tmp/x' }, qr/its address is none/, 'a flag');
refused({ type => 'git', source => '/tmp/empty', ref => '--exec=x' }, qr/no branch/, 'a flag as ref');
refused({ type => 'git', source => '/tmp/empty', ref => 'a:refs/b' }, qr/no branch/, 'a mapping as ref');
refused({ type => 'git', source => '/tmp/empty', subpath => 'a/../../..' }, qr/leads out/, 'a way out');
refused({ type => 'git', source => 'ext::sh -c touch% /tmp/owned' }, qr/not allowed/, 'a command');
is($d->sh('b', 'test -e /tmp/owned')->{exit_code}, 1, 'was not executed');
refused({ type => 'archive', source => 'gopher://127.0.0.1:1/x' }, qr/curl/, 'another protocol');
refused({ type => 'wat', source => 'x' }, qr/unknown type wat/, 'an unknown type');
refused({ type => 'git', source => '/tmp/empty' }, qr/no HOME/, 'no home', env => { HOME => '' });

# What points out of an archive gets nobody out.
$d->sh('b', 'mkdir -p /tmp/evil && cd /tmp/evil && ln -s /etc skills && tar -cf ../evil.tgz skills');
refused({ type => 'archive', source => '/tmp/evil.tgz' }, qr/there is none in/, 'a link');
$d->sh('b', 'cd /tmp; printf x > escaped.src; tar -P --transform="s,^escaped.src,../../../../../../tmp/escaped," -cf up.tgz escaped.src');
refused({ type => 'archive', source => '/tmp/up.tgz' }, qr/./, 'a path upwards');
is($d->sh('b', 'test -e /tmp/escaped')->{exit_code}, 1, 'leads nowhere');

# Too large.
$d->sh('b', 'cd /tmp; mkdir -p big; head -c 270000000 /dev/zero > big/zero; tar -czf big.tgz big; rm -r big');
refused({ type => 'archive', source => '/tmp/big.tgz' }, qr/too large/, 'a bomb');
is($d->sh('b', 'du -sm /tmp/home/.cache 2>/dev/null | cut -f1')->{stdout} < 200, 1, 'is gone again');

# One that never answers: the user need not wait for it.
SKIP: {
	skip 'no curl', 6 if $d->sh('b', 'command -v curl')->{exit_code};
	$d->exec('b', ['sh', '-c', 'cat > /tmp/deaf.pl; perl /tmp/deaf.pl >/dev/null 2>&1 &'],
	    stdin => <<'EOT');
use IO::Socket::INET;
my $s = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 5) or die;
alarm 300;
open(my $p, '>', '/tmp/port') or die;
print $p $s->sockport;
close($p);
my @kept;
push @kept, $s->accept while 1;
EOT
	my $port = wait_for($wait, sub { $d->exec('b', ['cat', '/tmp/port'])->{stdout} });
	my $id = session({ type => 'archive', source => "http://127.0.0.1:$port/x.tgz" });
	my $curl = sub { !$d->sh('b', 'pgrep -x curl')->{exit_code} };
	$d->ok('session.prompt', { id => $id, text => 'go' });
	ok(wait_for($wait, $curl), 'it is asked');
	$d->ok('session.cancel', { id => $id });
	my @e;
	ok(wait_for($wait, sub { @e = $d->events($id); $e[-1]{type} eq 'turn.ended' }), 'cancelled');
	is($e[-1]{data}{metadata}{stop_reason}, 'cancelled', 'as such');
	ok(wait_for($wait, sub { !$curl->() }), 'and given up');
	$d->ok('session.prompt', { id => $id, text => 'again' });
	ok(wait_for($wait, $curl), 'it is asked again');
	$d->ok('session.end', { id => $id }, timeout => $wait);
	ok(wait_for($wait, sub { !$curl->() }), 'until the session ends');
}
is($d->sh('b', 'ls -A /tmp/home/.cache/sandboxd/skills | grep -c "^\.work"')->{stdout},
    "0\n", 'nothing is left half done');

done_testing;
