# A39: archives whose names lead out, links that files are put through, devices,
# set-id bits, very many entries. Refused or contained, by the file API.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
# One entry of a tar archive.
sub entry {
	my ($name, $body, %o) = @_;
	my $h = pack('a100 a8 a8 a8 a12 a12 a8 a1 a100 a8 a32 a32 a8 a8 a155 x12', $name,
	    sprintf('%07o', $o{mode} // 0644), '0000000', '0000000', sprintf('%011o', length $body),
	    '00000000000', ' ' x 8, $o{type} // '0', $o{link} // '', "ustar\00000", 'root', 'root',
	    sprintf('%07o', $o{major} // 0), sprintf('%07o', $o{minor} // 0), '');
	substr($h, 148, 8) = sprintf("%06o\0 ", unpack('%32C*', $h));
	return $h . $body . "\0" x (-length($body) % 512);
}
my $end = "\0" x 1024;
my $host = Sandboxd->scratch_dir(0777);
chmod(0777, $host);
my $d = Sandboxd->start(http => 1);
$d->ok('sandbox.create', { id => 'f' });
sub up {
	my ($tar) = @_;
	return $d->http(POST => '/i/f/v1/fs/upload-batch?path=/root/t', body => $tar, timeout => 60,
	    headers => { 'Content-Type' => 'application/x-tar' });
}
my %trick = (
	'a name with ..' => entry('../../../../..' . $host . '/evil', 'x'),
	'an absolute name' => entry("$host/evil", 'x'),
	'a file through a link' => entry('l', '', type => '2', link => $host) . entry('l/evil', 'x'),
	'a file through a link of ..' => entry('l2', '', type => '2', link => "../../../../../..$host")
	    . entry('l2/evil', 'x'),
	'a hard link out' => entry('h', '', type => '1', link => '/etc/shadow') . entry('h', 'x'),
	'a character device' => entry('c', '', type => '3', major => 1, minor => 1),
	'a block device' => entry('b', '', type => '4', major => 8, minor => 0),
	'a FIFO' => entry('p', '', type => '6'),
);
# A naive unpacker on the host follows: in a directory of its own, with links.
{
	my $dir = Sandboxd->scratch_dir;
	spew("$dir/t.tar", $trick{'a file through a link'} . $end);
	mkdir("$dir/to");
	run_cmd(['perl', '-e', 'symlink($ARGV[1], "$ARGV[0]/l"); open(F, ">", "$ARGV[0]/l/evil") or die; print F "x"',
	    "$dir/to", $host]);
	ok(-e "$host/evil", 'who unpacks as told on the host writes there');
	unlink("$host/evil");
	run_cmd(['tar', '-C', "$dir/to", '-P', '-xf', "$dir/t.tar"]);
}
unlink("$host/evil");
for my $name (sort keys %trick) {
	$d->sh('f', 'rm -rf /root/t');
	my $r = up($trick{$name} . entry('after', 'x') . $end);
	ok(defined $r->{status}, "$name: an answer (" . ($r->{status} // 'none') . ')');
	ok(!-e "$host/evil", "$name: nothing on the host");
	is($d->sh('f', "find /root /tmp /etc /var -name evil; find /root/t \\( -type b -o -type c -o -type p \\) 2>/dev/null")->{stdout},
	    '', "$name: nor out of its directory inside, nor any node");
}
my $r = up(entry('suid', "#!/bin/sh\n", mode => 06755) . $end);
is($d->sh('f', 'stat -c %a /root/t/suid')->{stdout} =~ /^[0-7]?755$|^755/ ? 1 : 0, 1, 'set-id bits are left out');
isnt($d->sh('f', 'find / -xdev -perm /6000 -path "/root/*"')->{stdout}, "/root/t/suid\n", 'as find says');
# Very many: bounded by what the page says, and the server stays small.
my ($gateway) = $d->children(qr/gateway/);
my $many = join('', map { entry("d/$_", '') } 1 .. rounds(5000));
$r = up($many . $end);
ok(($r->{status} // 0) == 200, 'five thousand empty files') or diag($r->{status} // 'closed');
my ($peak) = slurp("/proc/$gateway/status") =~ /VmHWM:\s+(\d+)/;
cmp_ok($peak, '<', 60000 * Sandboxd::slow_factor(), "memory of the gateway stays flat ($peak KiB)");
$r = up(entry('lie', '') =~ s/^(.{124}).{12}/${1}77777777777\0/sr . 'x' x 10000);
ok(($r->{status} // 400) >= 400, 'an entry that is longer than what comes is refused');
# What is compressed is not taken at all: nothing can grow by a thousand.
$r = up("\x1f\x8b\x08\0" . 'x' x 1000);
ok(($r->{status} // 400) >= 400, 'a compressed archive is refused');
is($d->sh('f', 'echo on')->{stdout}, "on\n", 'the sandbox is well');
done_testing;
