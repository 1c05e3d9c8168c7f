# A machine with Debian 12 and its own kernel, in qemu without the help of the
# processor: what this host's kernel or its control groups cannot show.
#
# The machine's tests write lines of `ok - NAME`, `not ok - NAME` and `# WORDS` to
# its virtual console, and DONE at the end; report() makes tests of them.
package VM;

use strict;
use warnings;
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes qw(time sleep);

our @EXPORT = qw(vm_prepare vm_boot vm_report);

my $root = abs_path(dirname(__FILE__) . '/../../..');
my $kept = "$root/build/vm";	# what takes long to make

sub run_or_skip_all {
	my ($what, @command) = @_;
	system(@command) == 0 and return;
	die "$what: @command failed\n" if $ENV{SANDBOXD_NO_SKIP};
	plan(skip_all => "$what: @command failed");
}

# The package, the kernel and the disk; skips all where they cannot be had.
sub vm_prepare {
	plan(skip_all => 'needs root') if $> != 0;
	for my $tool (qw(qemu-system-x86_64 debootstrap busybox cpio depmod
	    mke2fs dpkg-buildpackage)) {
		next if grep { -x "$_/$tool" } split /:/, "$ENV{PATH}:/usr/sbin:/sbin";
		die "$tool is not installed\n" if $ENV{SANDBOXD_NO_SKIP};
		plan(skip_all => "$tool is not installed");
	}
	my ($deb) = glob("$root/build/deb/sandboxd_*.deb");
	if (!$deb || `find "$root"/src "$root"/contrib "$root"/etc -newer "$deb"`) {
		run_or_skip_all('the package', "$root/contrib/package-deb",
		    '--no-install');
		($deb) = glob("$root/build/deb/sandboxd_*.deb");
	}
	run_or_skip_all('the disk', "$root/tests/vm/build", $kept, $deb);
	return $deb;
}

sub slurp {
	my ($path) = @_;
	open(my $fh, '<', $path) or return '';
	local $/;
	return <$fh> // '';
}

# Start the machine with the files of tests/vm/inside/ and FILES (name => path)
# on its second disk, and wait until it is off. What it wrote to its console,
# and what its kernel did.
sub vm_boot {
	my (%o) = @_;
	my $dir = tempdir('sandboxd-vm.XXXXXX', TMPDIR => 1, CLEANUP => 1);
	my $files = "$dir/files";
	my $end = time + $o{seconds};

	mkdir $files or die "$files: $!\n";
	system('cp', '-r', "$root/tests/vm/inside/.", $files) == 0 or die;
	for my $name (keys %{$o{files}}) {
		system('cp', '-r', $o{files}{$name}, "$files/$name") == 0 or die;
	}
	system('truncate', '-s', '128M', "$dir/files.img") == 0 or die;
	system('mke2fs', '-q', '-t', 'ext4', '-O', '^has_journal', '-d', $files,
	    "$dir/files.img") == 0 or die;
	my @command = ('qemu-system-x86_64', '-machine', 'pc', '-accel', 'tcg',
	    '-cpu', 'max', '-m', '1536', '-smp', '2', '-nodefaults', '-nic', 'none',
	    '-display', 'none', '-monitor', 'none', '-kernel', "$kept/vmlinuz",
	    '-initrd', "$kept/initrd", '-append',
	    "console=ttyS0 quiet panic=-1 $o{append}",
	    '-drive', "file=$kept/base.img,if=virtio,format=raw,snapshot=on",
	    '-drive', "file=$dir/files.img,if=virtio,format=raw,readonly=on",
	    '-device', 'virtio-serial', '-chardev', "file,id=h,path=$dir/hvc",
	    '-device', 'virtconsole,chardev=h', '-serial', "file:$dir/serial",
	    @{$o{options} // []});
	my $pid = fork // die "fork: $!";
	if ($pid == 0) {
		open(STDOUT, '>', "$dir/qemu");
		open(STDERR, '>&', \*STDOUT);
		exec @command or POSIX::_exit(127);
	}
	my $gone = 0;
	sleep 0.2 while !($gone = waitpid($pid, WNOHANG) == $pid) && time < $end;
	if (!$gone) {
		kill('KILL', $pid);
		waitpid($pid, 0);
	}
	my ($console, $kernel) = (slurp("$dir/hvc"), slurp("$dir/serial"));
	s/\r//g for $console, $kernel;
	ok($gone, "the machine has ended by itself within $o{seconds} s")
	    or diag($kernel);
	return ($console, $kernel);
}

# One test for each that the machine made.
sub vm_report {
	my ($console) = @_;
	my $n = 0;

	for (split /\n/, $console) {
		if (/^(not )?ok - (.*)/) {
			ok(!$1, $2);
			$n++;
		} elsif (/^# (.*)/) {
			diag($1);
		}
	}
	like($console, qr/^DONE$/m, "its tests came to their end after $n")
	    or diag($console);
}

1;
