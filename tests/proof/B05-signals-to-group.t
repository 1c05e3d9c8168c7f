# B5: signals to the whole process group when that is asked for.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Init;
use Test::More;

need_root();

for my $way (ways()) {
	my ($name, $wrap) = @$way;
	for my $group (0, 1) {
		my $d = start_init([], wrap => $wrap, no_launch => 1,
		    args => $group ? ['-g'] : []);
		$d->{options}{command} = ['/bin/sh', '-c',
		    'trap "" USR1; (trap "echo hit >>$0/hit" USR1; '
		    . 'touch $0/up; while :; do sleep 0.1; done) & wait',
		    $d->{dir}];
		$d->launch;
		wait_for(20, sub { -e "$d->{dir}/up" });
		my $init = init_pid($d);
		kill('USR1', $init);
		if ($group) {
			ok(wait_for(10, sub { -e "$d->{dir}/hit" }),
			    "$name: with -g a child of the command gets it");
		} else {
			# What comes after it has come: the first was passed on.
			kill('WINCH', $init);
			select(undef, undef, undef, 0.5);
			ok(!-e "$d->{dir}/hit", "$name: without -g it does not");
		}
		kill('TERM', $init);
		ok(wait_for(20, sub { $d->ended }), "$name: both end");
		is($d->{status} >> 8, 143, 'of TERM');
	}
}

# The row's own example.
my $d = start_init(['/bin/sh', '-c', 'sleep 100 & wait'], args => ['--group']);
wait_for(10, sub { scalar $d->children(qr/^sleep 100/) });
kill('TERM', $d->{pid});
ok(wait_for(20, sub { $d->ended }), 'sh and its sleep end');
is(scalar(grep { (slurp("/proc/$_/cmdline") // '') =~ /^sleep/ }
    descendants($$)), 0, 'both');

done_testing;
