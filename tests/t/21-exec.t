# sandbox.exec: how a command is started and how its end is told.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
$d->ok('sandbox.create', { id => 'x', env => { BASE => 'b', OVER => 'old' } });

# Exit codes and signals.
for my $code (0, 1, 42, 126, 255) {
	is($d->sh('x', "exit $code")->{exit_code}, $code, "exit code $code");
}
for my $sig (1, 2, 6, 9, 11, 15) {
	my $r = $d->sh('x', "kill -$sig \$\$; sleep 5");
	is(Sandboxd::outcome($r), "SIG$sig", "death by signal $sig");
}
my $r = $d->exec('x', 'echo $BASE | tr b c; exit 5');
is("$r->{stdout}$r->{exit_code}", "c\n5", 'one text is run by the shell');

# Streams.
$r = $d->sh('x', 'echo out; echo err >&2');
is($r->{stdout}, "out\n", 'standard output');
is($r->{stderr}, "err\n", 'standard error');
is($d->exec('x', ['cat'])->{stdout}, '', 'standard input is empty unless given');
is($d->exec('x', ['cat'], stdin => "a\nb")->{stdout}, "a\nb", 'standard input');
my $big = 'line of text ' x 60000;
is(length $d->exec('x', ['cat'], stdin => $big)->{stdout}, length $big,
    'a long standard input comes back whole');
is($d->exec('x', ['true'], stdin => $big)->{exit_code}, 0,
    'a command that does not read its input');

# Where, who, with what.
is($d->sh('x', 'pwd', directory => '/usr/lib')->{stdout}, "/usr/lib\n",
    'directory');
$r = $d->sh('x', 'echo $BASE-$OVER-$NEW', env => { OVER => 'new', NEW => 'n' });
is($r->{stdout}, "b-new-n\n", 'env is added to the sandbox\'s');
is($d->sh('x', 'id -u; id -g')->{stdout}, "0\n0\n", 'root unless told');
is($d->sh('x', 'id -u; id -g', user => 'nobody')->{stdout}, "65534\n65534\n",
    'a user by name');
is($d->sh('x', 'id -u; id -g; id -G', user => '1234:77')->{stdout},
    "1234\n77\n77\n", 'a user by numbers, with no other group');

# Nothing is inherited that was not given.
$r = $d->exec('x', ['env']);
my @names = sort map { /^(\w+)=/ } split /\n/, $r->{stdout};
my %allowed = map { $_ => 1 } qw(BASE OVER PATH HOME USER LOGNAME SHELL TERM LANG
    PWD);
is(join(' ', grep { !$allowed{$_} } @names), '', 'no foreign variable');
ok((grep { $_ eq 'PATH' } @names), 'a PATH to find programs by');
$r = $d->sh('x', 'ls /proc/self/fd');
is(join(' ', sort split ' ', $r->{stdout}), '0 1 2 3',
    'no descriptor but the three (and that of ls)');
$r = $d->sh('x', 'grep -E "^Sig(Blk|Ign|Cgt)" /proc/self/status');
unlike($r->{stdout}, qr/Sig(?:Blk|Ign):\s+0*[1-9a-f]/,
    'no signal is blocked or ignored');
is($d->sh('x', 'umask')->{stdout}, "0022\n", 'umask');
$r = $d->sh('x', 'cat /proc/self/stat');
my ($sid) = $r->{stdout} =~ /^\d+ \(cat\) \S \d+ \d+ (\d+)/;
isnt($sid, 0, 'each command has a session of its own');

# Its own children that stay behind do not hold the answer back.
my $began = time;
$r = $d->sh('x', 'sleep 300 >/dev/null 2>&1 & echo $!');
is($r->{exit_code}, 0, 'a command that leaves a child');
ok(time - $began < 20, 'is answered when it ended itself');

# Two at once, on two connections, each with its own output.
my ($a, $b) = ($d->client, $d->client);
my $ia = $a->send('sandbox.exec', { id => 'x',
    command => 'for i in 1 2 3 4 5; do echo a$i; sleep 0.05; done' });
my $ib = $b->send('sandbox.exec', { id => 'x',
    command => 'for i in 1 2 3 4 5; do echo b$i; sleep 0.05; done' });
is(Sandboxd::collect_output($b->finish($ib))->{stdout}, "b1\nb2\nb3\nb4\nb5\n",
    'one of two at once');
is(Sandboxd::collect_output($a->finish($ia))->{stdout}, "a1\na2\na3\na4\na5\n",
    'and the other');

# Output arrives as it is made, not at the end.
my $c = $d->client;
my $i = $c->send('sandbox.exec', { id => 'x',
    command => 'echo early; read never', stdin => '' });
$i = $c->finish($i);
ok($i->{ok}, 'a command that reads to the end of input ends');
$c = $d->client;
$i = $c->send('sandbox.exec', { id => 'x', command => 'echo early; sleep 77' });
my $first = $c->json(10);
is($first->{item}{data}, "early\n", 'output comes while the command runs');
$c->close;
# A client that leaves ends what it had started.
ok(wait_for(10, sub {
	$d->sh('x', 'pgrep -x sleep -a | grep -c "sleep 77"')->{stdout} eq "0\n"
}), 'the command of a client that left is ended');

is($d->exec('x', ['hostname'], user => 'root', directory => '/')->{exit_code}, 0,
    'all is well after this');

done_testing;
