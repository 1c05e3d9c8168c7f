# What agents and their toolchains need of the kernel is on the list of system
# calls: git, node, python3, gcc and make, npm, and apt with a root of its own do
# their work in sandboxes without a network.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::AptRoot;
use Test::More;

need_root();
need_program(qw(git node npm gcc make dpkg-deb apt-get));
-x '/usr/bin/python3' or Sandboxd::plan_skip('no python3');
my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => 't', limits => { memory => '1G', pids => 512 } });

sub works {
	my ($box, $what, $script, %o) = @_;
	my $r = $d->sh($box, "set -e; cd /; $script; echo all-went-well", timeout_ms => 100000,
	    output_bytes => 100000, %o);
	my $good = Sandboxd::outcome($r) eq '0' && $r->{stdout} =~ /all-went-well\n\z/;
	ok($good, $what) or diag(Sandboxd::outcome($r) . "\n$r->{stdout}\n$r->{stderr}");
	return $r->{stdout};
}

for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	my $home = "export HOME=/var/tmp/$who; mkdir -p \$HOME; cd \$HOME";
	works('t', "$who: git", "$home; git init -q a; cd a; "
	    . 'git config user.email a@b; git config user.name n; echo 1 >f; git add f; '
	    . 'git commit -qm one; git -c core.fsync=all gc -q --aggressive; cd ..; '
	    . 'git clone -q a b; git clone -q file://$PWD/a c; cd b; test "$(cat f)" = 1; '
	    . 'git stash list; git worktree add -q ../w; git fsck', %$as);
	works('t', "$who: node", "$home; cat >t.js <<'E'\n" . <<'JS' . "E\nnode t.js", %$as);
const fs = require('fs'), http = require('http'), crypto = require('crypto');
const { Worker } = require('worker_threads'), cp = require('child_process');
fs.mkdirSync('d', { recursive: true });
fs.watch('d').on('change', () => 0).unref();
fs.writeFileSync('d/f', crypto.randomBytes(70000));
fs.copyFileSync('d/f', 'd/g');
if (crypto.createHash('sha256').update(fs.readFileSync('d/f')).digest('hex') !=
    cp.execFileSync('sha256sum', ['d/g']).toString().split(' ')[0]) process.exit(2);
crypto.scryptSync('a', 'b', 16);
crypto.generateKeyPairSync('ed25519');
const w = new Worker('require("worker_threads").parentPort.postMessage(6*7)', { eval: true });
w.on('message', (n) => {
	const s = http.createServer((q, r) => r.end('n' + n)).listen(0, '127.0.0.1', () =>
	    http.get({ port: s.address().port, agent: false }, (r) => r.on('data', (b) => {
		console.log(b.toString());
		s.close();
	})));
});
JS
	works('t', "$who: python3", "$home; cat >t.py <<'E'\n" . <<'PY'
import subprocess, multiprocessing, sqlite3, ssl, tempfile, socket, threading, os, asyncio
import hashlib, mmap, selectors, shutil, venv
def double(n): return n * 2
if __name__ == '__main__':
    assert subprocess.run(['echo', 'x'], capture_output=True).stdout == b'x\n'
    for how in ('fork', 'spawn', 'forkserver'):
        with multiprocessing.get_context(how).Pool(2) as p:
            assert p.map(double, [1, 2]) == [2, 4]
    db = sqlite3.connect('t.db'); db.execute('pragma journal_mode=wal')
    db.execute('create table if not exists t (n)'); db.execute('insert into t values (1)')
    db.commit(); db.close()
    ssl.create_default_context(); os.urandom(8); os.sched_getaffinity(0)
    mmap.mmap(-1, 4096).close()
    async def run():
        p = await asyncio.create_subprocess_exec('true'); return await p.wait()
    assert asyncio.run(run()) == 0
    venv.create('v', with_pip=False, clear=True)
    print(subprocess.check_output(['v/bin/python', '-c', 'import sys; print(sys.prefix)']))
PY
	    . "E\n/usr/bin/python3 t.py", %$as);
	works('t', "$who: gcc and make", "$home; mkdir -p p; cd p; cat >Makefile <<'E'\n"
	    . "all: t\n\t./t\nt: a.o b.o\n\t\$(CC) -pthread -flto=auto -o \$@ \$^\nE\n"
	    . "echo 'int two(void); int main(void) { return two() - 2; }' >a.c; "
	    . "echo 'int two(void) { return 2; }' >b.c; make -s -j2 CFLAGS='-O2 -pipe -flto'",
	    %$as);
	works('t', "$who: npm, from a folder and from a registry of its own", "$home; "
	    . "rm -rf n; mkdir -p n/dep n/app; cd n; cat >reg.js <<'E'\n" . <<'JS'
const http = require('http'), fs = require('fs'), crypto = require('crypto');
const tgz = fs.readFileSync('dep/dep-1.0.0.tgz');
const s = http.createServer((q, r) => {
	if (q.url.endsWith('.tgz')) return r.end(tgz);
	const at = 'http://127.0.0.1:' + s.address().port;
	if (!/^\/dep/.test(q.url)) { r.statusCode = 404; return r.end('{}'); }
	r.setHeader('content-type', 'application/json');
	r.end(JSON.stringify({ name: 'dep', 'dist-tags': { latest: '1.0.0' }, versions: { '1.0.0': {
	    name: 'dep', version: '1.0.0', scripts: { postinstall: 'echo ran >ran' }, hasInstallScript: true,
	    dist: { tarball: at + '/dep/-/dep-1.0.0.tgz', integrity: 'sha512-' +
	    crypto.createHash('sha512').update(tgz).digest('base64') } } } }));
}).listen(0, '127.0.0.1', () => fs.writeFileSync('port', '' + s.address().port));
JS
	    . "E\n" . 'echo \'{"name":"dep","version":"1.0.0","scripts":{"postinstall":"echo ran >ran"}}\' >dep/package.json; '
	    . 'echo "module.exports = 7" >dep/index.js; (cd dep; npm pack -s >/dev/null); '
	    . 'echo \'{"name":"app","version":"1.0.0"}\' >app/package.json; cp -r app app2; '
	    . 'node reg.js & for i in $(seq 200); do test -s port && break; sleep 0.1; done; '
	    . '(cd app; npm install --no-audit --no-fund -s ../dep); '
	    . '(cd app2; npm install --no-audit --no-fund -s --registry http://127.0.0.1:$(cat ../port) dep; '
	    . 'node -e "process.exit(require(\'dep\') - 7)"; test -f node_modules/dep/ran); kill $!', %$as);
}

# A root of its own.
$d->ok('sandbox.create', { id => 'apt', image => apt_root() });
apt_works(sub { works('apt', @_) });
done_testing;
