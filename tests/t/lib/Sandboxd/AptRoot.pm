# A root directory with Debian's essential packages and apt, put together from the
# host's own copies, with a repository in it that has one package, tiny.

package Sandboxd::AptRoot;

use strict;
use warnings;
use Exporter qw(import);
use Sandboxd;
use Test::More ();

our @EXPORT = qw(apt_root apt_works);

# Its path.
sub apt_root {
	my $root = Sandboxd->scratch_dir . '/root';
	mkdir($root, 0755);
	my $make = run_cmd(['/bin/bash', '-c', <<'E', 'x', $root], timeout => 120);
set -e -o pipefail
need=$(dpkg-query -Wf '${Essential} ${Package}\n' | sed -n 's/^yes //p')
need="$need apt"
all=$(for p in $need; do echo $p; done; apt-cache depends --recurse --installed --no-recommends \
    --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances $need | grep '^[a-z]')
all=$(echo "$all" | sed 's/:.*//' | sort -u)
for d in bin sbin lib lib64 lib32 libx32; do
	test ! -L /$d || { mkdir -p $1/$(readlink /$d); ln -s $(readlink /$d) $1/$d; }
done
{ dpkg -L $all 2>/dev/null || :; } | grep '^/' | grep -v '^/usr/share/\(doc\|locale\|man\|zoneinfo\|info\)/' |
    sort -u | while read -r f; do test ! -e "$f" -a ! -L "$f" || echo "${f#/}"; done >$1.list
tar -C / --no-recursion -cf - -T $1.list | tar -C $1 --keep-directory-symlink -xf -
mkdir -p $1/var/lib/dpkg/{info,updates,triggers} $1/var/lib/apt/lists/partial \
    $1/var/cache/apt/archives/partial $1/var/log/apt $1/etc/apt/{apt.conf.d,preferences.d,trusted.gpg.d} $1/repo
rm -rf $1/etc/apt/apt.conf.d/* $1/etc/apt/sources.list.d
: >$1/var/lib/dpkg/available
# Without what they depend on: on the host that may be met by packages left out.
for p in $all; do dpkg-query -s $p 2>/dev/null && echo || :; done |
    sed -E '/^(Pre-)?Depends:/d' >$1/var/lib/dpkg/status
for p in $all; do cp /var/lib/dpkg/info/$p{,:*}.list $1/var/lib/dpkg/info/ 2>/dev/null || :; done
for f in passwd group shadow; do cp /usr/share/base-passwd/$f.master $1/etc/$f 2>/dev/null || :; done
echo '_apt:x:42:65534::/nonexistent:/usr/sbin/nologin' >>$1/etc/passwd
echo 'deb [trusted=yes] file:/repo ./' >$1/etc/apt/sources.list
d=$1.deb; mkdir -p $d/DEBIAN $d/usr/bin $d/var/lib/tiny
printf 'Package: tiny\nVersion: 1\nArchitecture: all\nMaintainer: n <n@example.invalid>\nDescription: t\n' >$d/DEBIAN/control
printf '#!/bin/sh\nset -e\nmkfifo /var/lib/tiny/fifo\nchown 33:33 /var/lib/tiny\nchmod 2755 /var/lib/tiny\nldconfig\n' >$d/DEBIAN/postinst
chmod 755 $d/DEBIAN/postinst
printf '#!/bin/sh\necho tiny runs\n' >$d/usr/bin/tiny; chmod 4755 $d/usr/bin/tiny
dpkg-deb --root-owner-group -b $d $1/repo/tiny.deb >/dev/null
cd $1/repo
{ dpkg-deb -f tiny.deb; echo "Filename: ./tiny.deb"; echo "Size: $(stat -c %s tiny.deb)"; \
  echo "SHA256: $(sha256sum tiny.deb | cut -d' ' -f1)"; } >Packages
chmod -R go+rX $1
E
	Test::More::is($make->{status}, 0, 'a small Debian is put together')
	    or Test::More::diag($make->{err});
	Sandboxd::lend_libraries($root);
	return $root;
}

# In a sandbox whose root that is, apt is used as people do. WORKS is called with
# a name and a script that must end well; it gives what that printed.
sub apt_works {
	my ($works) = @_;
	Test::More::like($works->('apt-get update',
	    'export DEBIAN_FRONTEND=noninteractive; apt-get update 2>&1'),
	    qr{file:/repo}, 'it has read the repository');
	$works->('apt-get install', 'export DEBIAN_FRONTEND=noninteractive; '
	    . 'apt-get install -y tiny; test "$(tiny)" = "tiny runs"; test -p /var/lib/tiny/fifo; '
	    . 'test "$(stat -c %u:%a /var/lib/tiny)" = 33:2755; dpkg -s tiny | grep -q "install ok installed"');
	$works->('apt-get remove and purge',
	    'apt-get remove -y --purge tiny; test ! -e /usr/bin/tiny');
}

1;
