# B34: the control socket: a thousand clients, half lines, one that never reads; who
# may, by uid and by group; what one user may take.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use IO::Socket::UNIX;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
need_program('setpriv', 'socat');
my ($gid, $group) = (getgrnam('games'))[2, 0];
my $d = Sandboxd->start(conf => "[control]\nallow_users = 12345\nallow_group = $group\n"
    . "max_per_user = 20\nrate = 50\nmax_clients = 100\n");
sub as { my ($uid, $g, @c) = @_;
	return ('setpriv', "--reuid=$uid", "--regid=$g", '--clear-groups', @c) }
sub ask {
	my ($uid, $g, $line) = @_;
	my $got = run_cmd([as($uid, $g, 'socat', '-t', '5', '-',
	    "UNIX-CONNECT:$d->{socket}")], stdin => "$line\n", timeout => 20);
	return $got->{out};
}
like(ask(12345, 12345, 'sandbox.list'), qr/"ok"/, 'a user of the configuration may');
like(ask(23456, $gid, 'sandbox.list'), qr/"ok"/, 'a member of its group too');
like(ask(23456, 23456, 'sandbox.list'), qr/"denied"/, 'nobody else');

# A thousand of one allowed user: 20 stay, the others are told, and all others work.
my $crowd = <<'PERL';
use IO::Socket::UNIX;
$SIG{PIPE} = 'IGNORE';
$| = 1;
my (@s, %n);
for my $i (1 .. 1000) {
	my $s = IO::Socket::UNIX->new(Peer => $ARGV[0], Timeout => 20) or next;
	# Half of a line, a whole one that nobody reads the answer of, nothing.
	syswrite($s, $i % 3 == 0 ? 'sandbox.li' : $i % 3 == 1 ? "help\n" x 50 : '');
	push @s, $s;
	select(undef, undef, undef, 0.001);
}
print scalar(@s), " connected\n";
<STDIN>;
for my $s (@s) {
	my $bits = '';
	vec($bits, fileno($s), 1) = 1;
	select($bits, undef, undef, 0) > 0 or ($n{open}++, next);
	my $k = sysread($s, my $text, 4096);
	$n{!$k ? 'hung up' : $text =~ /"limit"/ ? 'limit' : 'served'}++;
}
print join(' ', map { "$_=$n{$_}" } sort keys %n), "\n";
PERL
POSIX::mkfifo("$d->{dir}/go", 0666) or die;
my $pid = open(my $out, '-|') // die;
if ($pid == 0) {
	open(STDIN, '<', "$d->{dir}/go");	# waits for a writer
	exec(as(12345, 12345, 'perl', '-e', $crowd, $d->{socket})) or POSIX::_exit(127);
}
open(my $go, '>', "$d->{dir}/go") or die;
like(scalar(<$out>), qr/^\d+ connected/, 'a thousand clients of one user');
my $began = time;
is(ref $d->ok('sandbox.list'), 'HASH', 'root is served beside them');
like(ask(23456, $gid, 'sandbox.list'), qr/"ok"/, 'and so is another user');
cmp_ok(time - $began, '<', 5 * Sandboxd::slow_factor(), 'soon');
cmp_ok($d->ok('status')->{clients}, '<=', 25, 'they have no more than their places');
print $go "\n";
close($go);
my $counts = <$out>;
my ($limit) = $counts =~ /limit=(\d+)/;
cmp_ok($limit // 0, '>', 900, "the others were told why: $counts");
close($out);

# Requests: 50 in a second at once, then as they come; nobody else waits.
my $fast = <<'PERL';
use IO::Socket::UNIX;
use Time::HiRes qw(time);
my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die;
my $began = time;
syswrite($s, "status\n" x 150);
my ($n, $text) = (0, '');
while ($n < 150) {
	sysread($s, my $more, 65536) or last;
	$n += $more =~ tr/\n//;
}
printf "%d in %.2f\n", $n, time - $began;
PERL
ok(wait_for(10, sub { $d->ok('status')->{clients} <= 2 }), 'the crowd has gone');
sleep(1.1);
my $got = run_cmd([as(12345, 12345, 'perl', '-e', $fast, $d->{socket})], timeout => 30);
my ($n, $took) = $got->{out} =~ /^(\d+) in ([\d.]+)/;
is($n, 150, 'a hasty user is answered in full');
cmp_ok($took, '>', 1.7, "but not faster than 50 a second: $got->{out}");
$got = run_cmd(['perl', '-e', $fast, $d->{socket}], timeout => 30);
($n, $took) = $got->{out} =~ /^(\d+) in ([\d.]+)/;
cmp_ok($took, '<', 1.7 * Sandboxd::slow_factor(), 'root has no such limit (the same, unlimited)');
is(ref $d->ok('sandbox.list'), 'HASH', 'it goes on');
ok($d->stop, 'it ends');
is(join("\n", $d->leftovers), '', 'nothing is left');
done_testing;
