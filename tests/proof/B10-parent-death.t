# B10: when our parent dies we get the signal that was asked for, and stop in order.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Init;
use POSIX ();
use Test::More;

need_root();

# A parent that says its child's pid and waits to be killed.
my $parent = 'open(my $f, ">", "$ARGV[0]/ppid"); my $p = fork; '
    . 'if (!$p) { exec(@ARGV[1 .. $#ARGV]) } print $f $p; close $f; sleep 1000';

sub with_parent {
	my (@args) = @_;
	my $d = start_init(['/bin/sh', '-c', 'trap "echo HUP >>$0/got" HUP; '
	    . 'trap "echo TERM >>$0/got; exit 0" TERM; touch $0/up; '
	    . 'while :; do sleep 0.05; done'], no_launch => 1, args => \@args);
	push @{$d->{options}{command}}, $d->{dir};
	$d->{options}{wrap} = [$^X, '-e', $parent, $d->{dir}];
	$d->launch;
	ok(wait_for(20, sub { -e "$d->{dir}/up" }), "@args: it runs");
	my $init = slurp("$d->{dir}/ppid");
	kill('KILL', $d->{pid});
	return ($d, $init);
}

for my $sig (qw(TERM HUP)) {
	my ($d, $init) = with_parent('-p', $sig);
	# It comes to us, who are a subreaper.
	ok(wait_for(20, sub { waitpid($init, POSIX::WNOHANG()) == $init }),
	    "-p $sig: we end with our parent");
	my @got = lines_of("$d->{dir}/got");
	is($got[0], $sig, 'the command gets the signal');
	is($got[-1], 'TERM', 'and TERM');
	like(slurp($d->{log}), qr/stopping.*stopped/s, 'the stop is in order');
	ok(!-e $d->{socket}, 'to its end');
}

# Without the option nothing of it.
my ($d, $init) = with_parent('-g');
select(undef, undef, undef, 0.5);
is($d->client->request('status')->{ok}{state}, 'running', 'else we live on');
kill('TERM', $init);
ok(wait_for(20, sub { waitpid($init, POSIX::WNOHANG()) == $init }), 'until TERM');
is(run_cmd([program('sandboxd'), '-p', $_, '--', 'true'])->{status}, 100,
    "-p $_ is wrong use") for qw(KILL NOPE 0);

done_testing;
