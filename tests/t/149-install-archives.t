# Agents from plain archives, good and evil ones.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(sha256_hex);
use File::Temp qw(tempdir);
use Sandboxd;
use Sandboxd::Registry;
use Test::More;

need_program(qw(xz python3));
my $r = Sandboxd::Registry->new;
my ($machine) = (POSIX::uname())[4];
my %cpu = (x86_64 => 'x64', aarch64 => 'arm64', riscv64 => 'riscv64');
my $platform = 'linux-' . ($cpu{$machine} // $machine);
my $script = "#!/bin/sh\necho archive \$*\n";
my (%agents, $n);

*tar = \&Sandboxd::Registry::tar;
*tgz = \&Sandboxd::Registry::tgz;

# An agent whose archive is BYTES; its id.
sub agent {
	my ($name, $bytes, %o) = @_;
	my $id = 'a' . ++$n;
	my ($more, $def) = Sandboxd::Registry::definition($id, type => 'archive',
	    version => '1.0', bin => 'bin/prog',
	    urls => { $platform => $r->file("/$id/$name", $bytes) },
	    sha256 => { $platform => sha256_hex($bytes) }, %o);
	$agents{$more} = $def;
	return $id;
}

sub filter {
	my ($bytes, @command) = @_;
	my $dir = tempdir(CLEANUP => 1);
	open(my $fh, '>:raw', "$dir/in") or die;
	print $fh $bytes;
	close($fh);
	system("@command < $dir/in > $dir/out") == 0 or die "@command";
	return slurp("$dir/out");
}

# A zip made by CODE, which has z, a ZipFile.
sub zip {
	my ($code) = @_;
	my $dir = tempdir(CLEANUP => 1);
	spew("$dir/make.py", "import zipfile, stat, warnings\n"
	    . "warnings.simplefilter('ignore')\n"
	    . "z = zipfile.ZipFile('$dir/z.zip', 'w', zipfile.ZIP_DEFLATED)\n"
	    . "def put(name, text, mode):\n"
	    . "\ti = zipfile.ZipInfo(name)\n\ti.create_system = 3\n"
	    . "\ti.external_attr = mode << 16\n\tz.writestr(i, text)\n"
	    . "$code\nz.close()\n");
	my $got = run_cmd(['python3', "$dir/make.py"]);
	die $got->{err} if $got->{status};
	open(my $fh, '<:raw', "$dir/z.zip") or die;
	local $/;
	return scalar <$fh>;
}

my @good = (['bin/'], ['bin/prog', $script, 0755], ['doc/read.me', "read\n", 0600]);
my %id = (
	tgz => agent('x-1.0.tar.gz', tgz(@good)),
	txz => agent('x-1.0.tar.xz', filter(tar(@good), 'xz')),
	tbz => agent('x.tbz', filter(tar(@good), 'bzip2')),
	zip => agent('x.zip', zip("put('bin/prog', '''$script''', 0o100755)\n"
	    . "put('doc/read.me', 'read\\n', 0o100600)")),
	strip => agent('s.tgz', tgz(['x-1.0/'], map { ["x-1.0/$_->[0]", @$_[1, 2]] }
	    @good), strip => 1, program => 'renamed'),
	links => agent('l.tgz', tgz(['lib/real', $script, 0755],
	    ['bin/prog', undef, 'symlink', '../lib/real'],
	    ['lib/again', undef, 'hardlink', 'lib/real'],
	    ['lib/up/deep/er', "x\n"],
	    ['lib/up/deep/link', undef, 'symlink', '../../again'])),
	suid => agent('m.tgz', tgz(['bin/prog', $script, 06755],
	    ['bin/open', "x\n", 0666])),
	twice => agent('t.tgz', tgz(['bin/prog', "#!/bin/sh\necho old\n", 0755],
	    ['bin/prog', $script, 0755])),
	# evil
	dots => agent('e1.tgz', tgz(@good, ['bin/../../../escaped', "x\n"])),
	absolute => agent('e2.tgz', tgz(@good, ['/tmp/sandboxd-escaped', "x\n"])),
	symlink_out => agent('e3.tgz', tgz(@good,
	    ['out', undef, 'symlink', '../../..'])),
	symlink_abs => agent('e4.tgz', tgz(@good,
	    ['out', undef, 'symlink', '/etc'])),
	through => agent('e5.tgz', tgz(@good, ['d/sub/x', "x\n"],
	    ['in', undef, 'symlink', 'd'], ['in/planted', "x\n"])),
	chain => agent('e6.tgz', tgz(@good, ['p/q/r/x', "x\n"],
	    ['p/q/r/l', undef, 'symlink', '../../..'],
	    ['x', undef, 'symlink', 'p/q/r/l/../..'])),
	hard_out => agent('e7.tgz', tgz(@good,
	    ['passwd', undef, 'hardlink', '../../../../../etc/passwd'])),
	hard_link => agent('e8.tgz', tgz(@good,
	    ['s', undef, 'symlink', 'bin/prog'], ['h', undef, 'hardlink', 's'])),
	zip_dots => agent('e9.zip', zip("put('bin/prog', '''$script''', 0o100755)\n"
	    . "put('../../escaped', 'x', 0o100644)")),
	zip_link => agent('e10.zip', zip("put('bin/prog', '''$script''', 0o100755)\n"
	    . "put('out', '/etc', 0o120777)")),
	junk => agent('j.tgz', "this is no archive\n" x 100),
	cut => agent('c.tgz', substr(tgz(@good, ['big', join('', map { chr rand 256 }
	    1 .. 50000)]), 0, 20000)),
	empty => agent('n.tgz', ''),
	noprog => agent('np.tgz', tgz(['other', "x\n"])),
	progdir => agent('pd.tgz', tgz(['bin/prog/'])),
	sum => agent('w.tgz', tgz(@good), sha256 => { $platform => '0' x 64 }),
	other => agent('o.tgz', tgz(@good), urls => { 'linux-vax' => 'http://x/y' },
	    sha256 => { 'linux-vax' => '0' x 64 }),
	bomb => agent('b.tgz', filter('', 'python3 -c \'import tarfile,sys,io; '
	    . 't=tarfile.open(fileobj=sys.stdout.buffer,mode="w|gz"); '
	    . 'i=tarfile.TarInfo("bin/prog"); i.size=40<<20; '
	    . "t.addfile(i, io.BytesIO(bytes(40<<20))); t.close()'")),
	many => agent('f.tgz', filter('', 'python3 -c \'import tarfile,sys; '
	    . 't=tarfile.open(fileobj=sys.stdout.buffer,mode="w|gz"); '
	    . 'i=tarfile.TarInfo("./"); i.type=tarfile.DIRTYPE; '
	    . '[t.addfile(i) for n in range(200010)]; '
	    . "t.close()'")),
);
$r->start;
my $d = Sandboxd->start(conf => "[courier]\nmax_bytes = 16M\n", agents => { %agents });
my $agents = "$d->{state}/agents";

sub install { return $d->ok('agent.install', { id => $_[0] }, timeout => 100) }

sub failure {
	my $e = $d->request('agent.install', { id => $_[0] }, timeout => 100)
	    ->{error} // {};
	return ($e->{code} // 'none') . ': ' . ($e->{detail} // '');
}

# --- good ones ----------------------------------------------------------------------

for my $kind (qw(tgz txz tbz zip)) {
	my $id = $id{$kind};
	is(install($id)->{version}, '1.0', "$kind: installed");
	is(run_cmd(["$agents/$id/current/bin/$id", 'x'])->{out}, "archive x\n",
	    "$kind: runs");
	is(slurp("$agents/$id/1.0/files/doc/read.me"), "read\n", "$kind: its files");
	is((stat "$agents/$id/1.0/files/doc/read.me")[2] & 07777, 0644,
	    "$kind: which everybody may read");
}
install($id{strip});
is_deeply([Sandboxd::Registry::tree("$agents/$id{strip}/1.0")],
    ['bin/renamed -> ../files/bin/prog', 'files/bin/prog', 'files/doc/read.me'],
    'a folder around all is taken away');
install($id{links});
is(run_cmd(["$agents/$id{links}/current/bin/$id{links}", 'l'])->{out}, "archive l\n",
    'links that stay inside');
is((stat "$agents/$id{links}/1.0/files/lib/real")[3], 2, 'hard links as well');
install($id{suid});
is((stat "$agents/$id{suid}/1.0/files/bin/prog")[2] & 07777, 0755, 'no set-uid');
is((stat "$agents/$id{suid}/1.0/files/bin/open")[2] & 07777, 0644,
    'nothing that others may write');
install($id{twice});
is(run_cmd(["$agents/$id{twice}/current/bin/$id{twice}"])->{out}, "archive\n",
    'of two files of a name the last');

# --- evil ones ----------------------------------------------------------------------

my %says = (
	dots => qr/refused 'bin\/\.\.\/.*leads out/,
	absolute => qr/refused '\/tmp\/sandboxd-escaped': a name that leads out/,
	symlink_out => qr/refused 'out': a link that may lead out/,
	symlink_abs => qr/refused 'out': a link that may lead out/,
	through => qr/open directory in/,
	chain => qr/refused 'x': a link that may lead out/,
	hard_out => qr/refused 'passwd': a link that may lead out/,
	hard_link => qr/refused 'h': a link to what is no file/,
	zip_dots => qr/leads out/,
	zip_link => qr/refused 'out': a link that may lead out/,
	junk => qr/unpack: /,
	cut => qr/unpack: /,
	empty => qr/unpack: |no program/,
	noprog => qr/there is no program files\/bin\/prog/,
	progdir => qr/there is no program files\/bin\/prog/,
	sum => qr/not what it should be: sha256 should be 0000/,
	other => qr/the recipe has nothing for linux-/,
	bomb => qr/more than the 16777216 bytes that courier\.max_bytes allows/,
	many => qr/too many files/,
);
for my $kind (sort keys %says) {
	my $id = $id{$kind};
	my $got = failure($id);
	like($got, qr/^install_failed: install $id: .*$says{$kind}/, "$kind: refused");
	is_deeply([grep { -e || -l } glob("$agents/$id/{current,.tmp*,1*}")], [],
	    "$kind: nothing is left");
}
ok(!-e '/tmp/sandboxd-escaped', 'nothing was written elsewhere');
is_deeply([glob("$d->{state}/*escaped*"), glob("$agents/*escaped*"),
    glob("$agents/*/*escaped*"), glob("$agents/*/*/*escaped*")], [], 'nor above');
is(install($id{tgz})->{already}, JSON::PP::true, 'good ones are still there');
like(failure('a1', ), qr/^none/, 'and good');

# From a mirror's directory, with the same checksum.
my $dir = tempdir('sandboxd-mirror.XXXXXXXX', TMPDIR => 1, CLEANUP => 1);
open(my $fh, '>:raw', "$dir/x-1.0.tar.gz") or die;
print $fh slurp("$r->{dir}/files/%$id{tgz}%x-1.0.tar.gz");
close($fh);
open($fh, '>:raw', "$dir/x.zip") or die;
print $fh tgz(@good);
close($fh);
chmod(0644, glob("$dir/*"));
chmod(0755, $dir);
$r->stop;
my $m = Sandboxd->start(conf => "[courier]\nmirror = $dir\n", agents => { %agents });
$d->stop;
$d = $m;
$agents = "$d->{state}/agents";
is(install($id{tgz})->{bytes}, 0, 'from a mirror, without a download');
like(failure($id{zip}), qr/x\.zip of the mirror: sha256 should be/,
    'where the checksum counts as well');
like(failure($id{txz}), qr/open x-1\.0\.tar\.xz of the mirror: No such file/,
    'one that it does not have');

unlike(slurp($d->{log}), qr/proc: lost|runtime error|Sanitizer/, 'no process was lost');
ok($d->stop, 'ends');
is_deeply([$d->leftovers], [], 'and leaves nothing');
done_testing;
