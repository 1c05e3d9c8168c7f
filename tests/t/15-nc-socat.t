# The tools that everybody has just work as clients.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
need_program('nc', 'socat');
my $d = Sandboxd->start;
my @clients = (
	['nc', '-U', $d->{socket}],
	['nc', '-N', '-U', $d->{socket}],
	['socat', '-', "UNIX-CONNECT:$d->{socket}"],
	['socat', '-t', '20', '-', "UNIX-CONNECT:$d->{socket}"],
);

$d->ok('sandbox.create', { id => 'n' });
$d->ok('session.create', { id => 'ns', agent => 'mock', sandbox => 'n' });

for my $c (@clients) {
	my $name = "@$c[0 .. $#$c - 1]";
	# nc without -N waits for the other side to hang up: it must.
	my $got = run_cmd($c, stdin => "status\n", timeout => 10);
	ok(!$got->{timed_out}, "$name ends by itself");
	my @lines = split /\n/, $got->{out};
	is(scalar @lines, 1, "$name: one line");
	is(eval { from_json($lines[0])->{ok}{pid} }, $d->{pid}, "$name: status");
}
for my $c ($clients[1], $clients[3]) {
	my $name = "@$c[0 .. $#$c - 1]";
	my $got = run_cmd($c, timeout => 20,
	    stdin => "sandbox.exec id=n command=\"echo one; sleep 0.3; echo two\"\n");
	my @msgs = map { from_json($_) } split /\n/, $got->{out};
	ok(@msgs >= 2 && exists $msgs[0]{item}, "$name: items first");
	is($msgs[-1]{ok}{exit_code}, 0, "$name: then how it ended");
	$got = run_cmd($c, stdin => "session.prompt id=ns text=\"hello\" stream=true\n",
	    timeout => 20);
	@msgs = map { from_json($_) } split /\n/, $got->{out};
	is($msgs[-2]{item}{type}, 'turn.ended', "$name: a whole turn");
	ok($msgs[-1]{ok}, "$name: and the answer");
}
# Several requests, one a line, from a file.
my $got = run_cmd($clients[3], timeout => 20,
    stdin => "status\nsandbox.exec id=n command=\"echo hi\"\nstatus\n");
my @ids = map { from_json($_)->{id} } split /\n/, $got->{out};
is($ids[0], 1, 'the first answer');
is($ids[-1], 3, 'the last answer');
is("@ids", join(' ', sort { $a <=> $b } @ids), 'answers stay in order');

done_testing;
