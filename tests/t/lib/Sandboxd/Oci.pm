# An OCI bundle whose init is sandboxd, run by crun: as in a container engine, with a
# read-only root of the host's /usr and /etc, a /data to write to, and the
# capabilities and the filter that are asked for.

package Sandboxd::Oci;

use strict;
use warnings;
use Exporter qw(import);
use File::Path qw(make_path);
use Sandboxd;

our @EXPORT = qw(run_bundle docker_caps docker_filter);

sub docker_caps {
	return map { "CAP_$_" } qw(CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW
	    SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL
	    AUDIT_WRITE);
}

# The part of an engine's default filter that matters to us.
sub docker_filter {
	my $newuser = 0x10000000;
	return { defaultAction => 'SCMP_ACT_ALLOW', syscalls => [
	    { names => [qw(unshare mount umount2 pivot_root setns fsopen fsmount
		open_tree move_mount mount_setattr)],
	    action => 'SCMP_ACT_ERRNO', errnoRet => 1 },
	    { names => ['clone3'], action => 'SCMP_ACT_ERRNO', errnoRet => 38 },
	    { names => ['clone'], action => 'SCMP_ACT_ERRNO', errnoRet => 1,
	    args => [{ index => 0, value => $newuser, valueTwo => $newuser,
		op => 'SCMP_CMP_MASKED_EQ' }] }] };
}

# Run COMMAND (a list) by sandboxd as process 1: { status, out, err, dir }. caps: a
# list; filter: a seccomp object; options: of sandboxd; uid; script: a file made
# executable at /data/script; user namespaces are not used.
sub run_bundle {
	my (%o) = @_;
	my $dir = Sandboxd->scratch_dir;
	my $root = "$dir/rootfs";
	my $build = build_dir();
	my $src = root_dir();
	my $uid = $o{uid} // 0;
	my $ro = ['rbind', 'ro'];
	my @caps = @{$o{caps} // []};

	make_path(map { "$root/$_" } qw(usr etc proc dev sys data opt/build opt/src));
	for (qw(bin sbin lib lib64)) {
		symlink("usr/$_", "$root/$_") if -l "/$_";
	}
	mkdir("$dir/data");
	chown($uid, $uid, "$dir/data");
	spew("$dir/data/script", $o{script} // '');
	chmod(0755, "$dir/data/script");
	spew("$dir/conf", "[daemon]\nlibexec_dir = /opt/build\n" . ($o{conf} // ''));
	my %linux = (namespaces => [map { { type => $_ } }
	    qw(cgroup pid ipc uts mount network)]);
	$linux{seccomp} = $o{filter} if $o{filter};
	spew("$dir/config.json", to_json({ ociVersion => '1.0.2',
	    hostname => 'bundle',
	    process => { terminal => JSON::PP::false,
		user => { uid => $uid + 0, gid => $uid + 0 }, cwd => '/',
		env => ['PATH=/usr/sbin:/usr/bin:/sbin:/bin',
		    'SANDBOXD_SOCKET=/data/run/control.sock'],
		args => ['/opt/build/sandboxd', '-c', '/conf', '--state-dir',
		    '/data/state', '--run-dir', '/data/run', '--agents-dir',
		    '/opt/src/etc/agents.d', '--no-http', @{$o{options} // []},
		    '--', @{$o{command} // ['/data/script']}],
		capabilities => { map { $_ => \@caps }
		    qw(bounding effective permitted) } },
	    root => { path => $root, readonly => JSON::PP::true },
	    mounts => [
		(map { { destination => $_->[0], type => 'bind',
		    source => $_->[1], options => $ro } } ['/usr', '/usr'],
		    ['/etc', '/etc'], ['/opt/build', $build], ['/opt/src', $src],
		    ['/conf', "$dir/conf"]),
		{ destination => '/proc', type => 'proc', source => 'proc' },
		{ destination => '/dev', type => 'tmpfs', source => 'tmpfs',
		    options => ['nosuid', 'mode=755'] },
		{ destination => '/dev/pts', type => 'devpts', source => 'devpts',
		    options => [qw(nosuid noexec newinstance ptmxmode=0666
			mode=0620)] },
		{ destination => '/sys', type => 'sysfs', source => 'sysfs',
		    options => [qw(nosuid noexec nodev ro)] },
		{ destination => '/sys/fs/cgroup', type => 'cgroup',
		    source => 'cgroup', options => [qw(nosuid noexec nodev ro)] },
		{ destination => '/data', type => 'bind',
		    source => "$dir/data", options => ['rbind', 'rw'] },
	    ],
	    linux => \%linux }));
	spew("$root/conf", '');
	# crun wants one hierarchy of control groups: in a mount namespace of ours
	# the second version's stands where it looks.
	my $v2 = -d '/sys/fs/cgroup/unified' ? 'mount --bind /sys/fs/cgroup/unified '
	    . '/sys/fs/cgroup; ' : '';
	my $got = run_cmd(['unshare', '--mount', 'sh', '-c', $v2
	    . 'exec crun --cgroup-manager=disabled --root "$0/run" run -b "$0" "$1"',
	    $dir, "sandboxd-t$$-" . int(rand(1e9))], timeout => $o{timeout} // 60);
	$got->{dir} = $dir;
	return $got;
}

1;
