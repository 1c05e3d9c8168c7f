# B6: rewritten signals, and job control: Ctrl-Z and fg work as without us.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Init;
use Test::More;

need_root();

# --- rewriting ---
my $trap = 'for s in QUIT TERM USR1 USR2; do trap "echo $s >>$0/got" $s; done; '
    . 'touch $0/up; while [ ! -e $0/done ]; do sleep 0.05; done';

for my $way (ways()) {
	my ($name, $wrap) = @$way;
	my $d = start_init([], wrap => $wrap, no_launch => 1,
	    args => ['-r', 'TERM:QUIT', '--rewrite', 'SIGUSR1:0'],
	    conf => "[sandbox]\nstop_grace = 20s\n");
	$d->{options}{command} = ['/bin/sh', '-c', $trap, $d->{dir}];
	$d->launch;
	wait_for(20, sub { -e "$d->{dir}/up" });
	my $init = init_pid($d);
	kill($_, $init) for qw(USR1 USR2);
	wait_for(10, sub { lines_of("$d->{dir}/got") >= 1 });
	kill('TERM', $init);
	ok(wait_for(10, sub { lines_of("$d->{dir}/got") >= 2 }), "$name: two come");
	is(join(' ', lines_of("$d->{dir}/got")), 'USR2 QUIT',
	    "$name: TERM as QUIT, USR1 not at all");
	spew("$d->{dir}/done", '');
	ok(wait_for(20, sub { $d->ended }), "$name: and TERM was a stop");
}

# TERM that is dropped is no stop either.
my $d = start_init([], no_launch => 1, args => ['-r', '15:0', '-r', 'INT:10']);
$d->{options}{command} = ['/bin/sh', '-c', $trap, $d->{dir}];
$d->launch;
wait_for(20, sub { -e "$d->{dir}/up" });
kill($_, $d->{pid}) for qw(TERM INT);
ok(wait_for(10, sub { (slurp("$d->{dir}/got") // '') =~ /USR1/ }),
    'INT as 10 comes after a TERM that is dropped');
is($d->ok('status')->{state}, 'running', 'and nothing stops');
spew("$d->{dir}/done", '');
ok(wait_for(20, sub { $d->ended }), 'until the command ends');

for my $bad (qw(TERM TERM:NOPE KILL:TERM CHLD:TERM 99:1 TERM:-1)) {
	is(run_cmd([program('sandboxd'), '-r', $bad, '--', 'true'])->{status}, 100,
	    "-r $bad is wrong use");
}

# --- a terminal, with a shell that has jobs ---
need_program('python3');
my $tty = "$FindBin::Bin/lib/jobs.py";
for my $with (0, 1) {
	my $e = Sandboxd->start(no_launch => 1);
	my @sandboxd = $with ? ($e->argv('--log-level', 'error'), '--') : ();
	my $got = run_cmd(['python3', $tty, join(' ', @sandboxd)], timeout => 60);
	my $name = $with ? 'below us' : 'without us';
	is($got->{out}, "started stopped continued ended\n",
	    "$name: Ctrl-Z stops the job, fg lets it go on, Ctrl-C ends it")
	    or diag($got->{err});
}

done_testing;
