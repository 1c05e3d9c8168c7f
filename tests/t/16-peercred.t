# Who may: SO_PEERCRED decides, not what a client says.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
need_program('setpriv', 'socat');
my $d = Sandboxd->start;

sub as_uid {
	my ($uid, $line) = @_;
	my $got = run_cmd(['setpriv', "--reuid=$uid", "--regid=$uid",
	    '--clear-groups', 'socat', '-t', '5', '-',
	    "UNIX-CONNECT:$d->{socket}"], stdin => "$line\n", timeout => 15);
	my ($first) = split /\n/, $got->{out};
	return $first ? from_json($first) : { refused => $got->{err} };
}

my $stranger = as_uid(12345, 'sandbox.list');
ok($stranger->{refused} || $stranger->{error}{code} eq 'denied',
    'a stranger may not list sandboxes');
$stranger = as_uid(12345, 'sandbox.create id=evil');
ok($stranger->{refused} || $stranger->{error}{code} eq 'denied',
    'nor create one');
is($d->error('sandbox.get', { id => 'evil' }), 'sandbox_not_found',
    'and none was created');

# With the way to the socket opened on purpose, the uid still decides.
chmod(0755, $d->{run});
chmod(0666, $d->{socket});
for my $line ('sandbox.list', 'sandbox.create id=evil', 'session.list',
    'sandbox.exec {"id":"x","command":["true"]}', 'session.end id=x') {
	is(as_uid(12345, $line)->{error}{code}, 'denied', "stranger: $line");
}
ok(as_uid(12345, 'status')->{ok}, 'anyone may ask for status');
ok(as_uid(12345, 'help')->{ok}, 'anyone may ask for help');
ok(as_uid(0, 'sandbox.list')->{ok}, 'root may list');

# A crowd of strangers that only holds connections takes nobody's place.
my $crowd = <<'PERL';
use IO::Socket::UNIX;
my @s = map { IO::Socket::UNIX->new(Peer => $ARGV[0]) } 1 .. 300;
$| = 1;
print "here\n";
my $end = time + 20;
my $open = 300;
while (time < $end && $open) {
	$open = 0;
	for (grep { $_ } @s) {
		my $r = '';
		vec($r, fileno($_), 1) = 1;
		# Readable is hung up on: nothing was asked.
		$open++ unless select($r, undef, undef, 0);
	}
	select(undef, undef, undef, 0.05);
}
print "$open left\n";
PERL
my $pid = open(my $out, '-|', 'setpriv', '--reuid=12345', '--regid=12345',
    '--clear-groups', 'perl', '-e', $crowd, $d->{socket}) or die "perl: $!";
is(scalar(<$out>), "here\n", 'three hundred strangers connect');
ok($d->ok('sandbox.list'), 'and an operator is served all the same');
is(scalar(<$out>), "0 left\n", 'they are hung up on soon');
close($out);

done_testing;
