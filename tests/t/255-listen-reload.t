# SIGHUP changes where HTTP is served: what is new is there before what goes is closed,
# who has come to an address that goes is served to the end, and an address that cannot
# be had refuses all of the configuration, with the reason.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
# Ports that were free a moment ago.
my @held = map { IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1:0') } 1 .. 3;
my ($one, $two, $three) = map { $_->sockport } @held;
close($_) for splice @held, 0, 2;	# the third stays taken
my $dir = Sandboxd->scratch_dir;

sub conf { return "[gateway]\nlisten = $_[0]\nprocesses = 2\n" . ($_[1] // '') }
my $d = Sandboxd->start(http => 1, listen => [], conf => conf("127.0.0.1:$one 127.0.0.1:0"));
my $base = slurp("$d->{dir}/conf") =~ s/\[gateway\].*//sr;
my @at = @{$d->ok('status')->{http}};
is($at[0], "127.0.0.1:$one", 'where the configuration says');
my ($any) = $at[1] =~ /:(\d+)$/;

# True when it was taken.
sub reload {
	my ($text) = @_;
	spew("$d->{dir}/conf", $base . $text);
	my $was = () = slurp($d->{log}) =~ /reloaded/g;
	kill('HUP', $d->{pid});
	wait_for(10, sub { $was < (() = slurp($d->{log}) =~ /reloaded/g) }) or return 'unheard';
	my ($last) = reverse(slurp($d->{log}) =~ /configuration (?:not )?reloaded.*/g);
	return $last =~ /not/ ? $last : 'yes';
}
# 200, or why not.
sub get {
	my ($where, $after) = @_;
	my $s = $where =~ m{^/} ? IO::Socket::UNIX->new(Peer => $where)
	    : IO::Socket::INET->new(PeerAddr => $where, Timeout => 20);
	return "connect: $!" unless $s;
	sleep $after if $after;
	print $s "GET /v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	local $/;
	my $text = <$s> // '';
	return $text =~ m{^HTTP/1.1 (\d+)} ? $1 : "nothing came: '$text'";
}
is(get("127.0.0.1:$one"), 200, 'served');

is(reload(conf("127.0.0.1:$one 127.0.0.1:0 127.0.0.1:$two")), 'yes', 'one more');
is(get("127.0.0.1:$two"), 200, 'is served');
is(get("127.0.0.1:$any"), 200, 'a port of the system\'s choice stays what it was');
is(join(' ', @{$d->ok('status')->{http}}), "127.0.0.1:$one 127.0.0.1:$any 127.0.0.1:$two",
    'status tells');

# --- refused --------------------------------------------------------------------------

my $no = reload(conf("127.0.0.1:$one 127.0.0.1:$three unix:$dir/early",
    "[control]\nallow_users = 12345\n"));
like($no, qr/127\.0\.0\.1:$three.*Address already in use/, 'taken: the reason');
$no = reload(conf("127.0.0.1:$one unix:$dir/early 127.0.0.1:$three"));
like($no, qr/in use/, 'also behind one that could be had');
ok(!-e "$dir/early", 'which is not left');
like(reload(conf("127.0.0.1:$one 0.0.0.0:$one")), qr/others than this machine could connect/,
    'nor is it opened to strangers');
like(reload(conf("127.0.0.1:$one nowhere")), qr/neither ADDRESS:PORT nor unix:PATH/,
    'nor what is no address');
my $got = run_cmd(['setpriv', '--reuid=12345', '--regid=12345', '--clear-groups',
    'socat', '-t', '5', '-', "UNIX-CONNECT:$d->{socket}"], stdin => "sandbox.list\n");
like($got->{out}, qr/"denied"/, 'all or nothing');
is(join(' ', map { get("127.0.0.1:$_") } $one, $any, $two), '200 200 200', 'all is as it was');

# --- going ----------------------------------------------------------------------------

# Clients that come all the time, to an address that goes meanwhile: once a connection
# is made it is served; then it is refused.
my @clients;
for my $n (1 .. 4) {
	my $pid = fork // die;
	if ($pid == 0) {
		open(my $out, '>', "$dir/client$n") or POSIX::_exit(1);
		$out->autoflush(1);
		my $end = time + 60;
		while (time < $end) {
			my $r = get("127.0.0.1:$two");
			print $out "$r\n";
			last if $r =~ /^connect/;
		}
		POSIX::_exit(0);
	}
	push @clients, $pid;
}
# One that has its connection, and asks later.
my $late = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$two") or die;
ok(wait_for(20, sub { 4 == grep { -s "$dir/client$_" } 1 .. 4 }), 'clients come');
is(reload(conf("127.0.0.1:$one unix:$dir/sock")), 'yes', 'it goes, another comes');
is(get("$dir/sock"), 200, 'a socket of a path');
is((stat "$dir/sock")[2] & 0777, 0660, 'with its rights');
print $late "GET /v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
my $text = do { local $/; <$late> };
like($text, qr{^HTTP/1.1 200}, 'who has come before is served');
waitpid($_, 0) for @clients;
my @said = map { split /\n/, slurp("$dir/client$_") } 1 .. 4;
is(join(' | ', grep { $_ ne '200' && !/^connect: Connection refused/ } @said), '',
    'of ' . @said . ' requests none failed that had a connection');
like(get("127.0.0.1:$any"), qr/^connect: Connection refused/, 'nobody listens there');
is(reload(conf("127.0.0.1:$one")), 'yes', 'the path goes');
ok(!-e "$dir/sock", 'and its file');

# --- the same port, more addresses ----------------------------------------------------

is(reload(conf("127.0.0.2:$one")), 'yes', 'another address');
is(reload(conf("127.0.0.1:$one 127.0.0.2:$one")), 'yes', 'and back');
$d->ok('upgrade');
is(reload(conf("127.0.0.1:$one 127.0.0.1:0")), 'yes', 'after an upgrade');
is(get("127.0.0.1:$one"), 200, 'is as before');
like(get("127.0.0.2:$one"), qr/^connect/, 'what goes, goes');
my @now = @{$d->ok('status')->{http}};
is(reload(conf("127.0.0.1:$one 127.0.0.1:0", "access_log = yes\n")), 'yes',
    'with another setting');
is_deeply($d->ok('status')->{http}, \@now, 'the same sockets');
ok(wait_for(20, sub { get("127.0.0.1:$one") eq '200' }), 'served by new gateways');
is(reload(conf('')), 'yes', 'nowhere');
like(get("127.0.0.1:$one"), qr/^connect/, 'is nowhere');
ok($d->stop, 'it ends');

# Begun without HTTP, then with; open to all for who has said so.
$d->{options}{conf} = conf('');
$d->{options}{args} = ['--no-token'];
$d->launch;
is(scalar @{$d->ok('status')->{gateways}}, 0, 'begun without');
is(reload(conf("127.0.0.1:$one")), 'yes', 'an address');
ok(wait_for(20, sub { get("127.0.0.1:$one") eq '200' }), 'is served');
is(reload(conf("0.0.0.0:$one")), 'yes', 'all addresses in place of one of them');
is(get("127.0.0.2:$one"), 200, 'are served');
is(get("127.0.0.1:$one"), 200, 'the one too');
is(join(' ', @{$d->ok('status')->{http}}), "0.0.0.0:$one", 'status tells');
ok($d->stop, 'it ends');
is(join("\n", $d->leftovers), '', 'nothing is left');
done_testing;
