# Programs that know nothing of us work through the proxy by their variables: curl, git,
# python3, npm, node.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::World;
use Test::More;

need_program(qw(curl git python3 npm node));
my $files = Sandboxd->scratch_dir;
my $w = Sandboxd::World->new(files => $files, names => { 'a.example' => ['11.22.33.44'] });
my $d = Sandboxd->start(conf => $w->conf);
$d->ok('sandbox.create', { id => 'f', network => 'filtered', directory => '/tmp',
    egress => { allow => ['a.example'] }, env => { HOME => '/tmp', GIT_TERMINAL_PROMPT => '0' } });
sub sh { my $r = $d->sh('f', $_[0]); return $r->{stdout} . ($r->{code} ? " failed: $r->{stderr}" : '') }

# git, from a repository of plain files.
my $git = run_cmd(['sh', '-c', "git init -q $files/work && cd $files/work && echo text >f && "
    . 'git add f && git -c user.name=x -c user.email=x@x commit -qm one && '
    . "git clone -q --bare $files/work $files/repo.git && cd $files/repo.git && "
    . 'git update-server-info'], env => { HOME => $files });
is($git->{status}, 0, 'a repository') or diag($git->{err});
is(sh('git clone -q http://a.example/files/repo.git r && cat r/f'), "text\n", 'git clone');
like($d->sh('f', 'git ls-remote http://b.example/files/repo.git')->{stderr}, qr/403/,
    'and not from elsewhere: 403');

# python3, by its own library.
spew("$files/word", "a word\n");
is(sh('/usr/bin/python3 -c "import urllib.request as u; '
    . 'print(u.urlopen(\'http://a.example/files/word\', timeout=20).read().decode(), end=\'\')"'),
    "a word\n", 'python3') if -x '/usr/bin/python3';

# npm, from a registry of plain files.
mkdir("$files/npm");
mkdir("$files/package");
spew("$files/package/package.json", to_json({ name => 'tiny', version => '1.2.3' }));
run_cmd(['tar', '-C', $files, '-czf', "$files/tiny.tgz", 'package']);
spew("$files/npm/tiny", to_json({ name => 'tiny', 'dist-tags' => { latest => '1.2.3' },
    versions => { '1.2.3' => { name => 'tiny', version => '1.2.3',
    dist => { tarball => 'http://a.example/files/tiny.tgz' } } } }));
is(sh('mkdir n && cd n && npm install --silent --no-audit --no-fund '
    . '--registry http://a.example/files/npm tiny >/dev/null && '
    . 'cat node_modules/tiny/package.json'), to_json({ name => 'tiny', version => '1.2.3' }),
    'npm install');

# node's own fetch goes by the variables only since versions 22.21 and 24.
SKIP: {
	my ($major, $minor) = run_cmd(['node', '--version'])->{out} =~ /^v(\d+)\.(\d+)/;
	skip 'this node knows of no proxy', 1 unless $major >= 24 || ($major == 22 && $minor >= 21);
	is(sh('node -e "fetch(\'http://a.example/files/word\').then(r => r.text()).then(t => '
	    . 'process.stdout.write(t))"'), "a word\n", 'node: fetch');
}
is(sh('node -e "const h = require(\'http\'); h.get({ host: \'127.0.0.1\', port: 61080, '
    . 'path: \'http://a.example/files/word\', headers: { host: \'a.example\' } }, '
    . 'r => r.pipe(process.stdout))"'), "a word\n", 'node: a request to the proxy');
is(sh('curl -sS http://a.example/files/word'), "a word\n", 'curl');

done_testing;
