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

done_testing;
