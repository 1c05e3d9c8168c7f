# B1: an init exits with the code of its command.
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
	for my $code (0, 1, 42, 255) {
		is(run_init(['/bin/sh', '-c', "exit $code"], wrap => $wrap)
		    ->{status}, $code, "$name: $code");
	}
}

# Words of the command are not options of ours.
my $d = start_init(['/bin/sh', '-c', 'printf "%s " "$@" >$0/said; exit 7', '/tmp', '-n',
    '--', '--version'], no_launch => 1);
$d->{options}{command}[3] = $d->{dir};
$d->launch(no_wait => 1);
ok(wait_for(20, sub { $d->ended }), 'it ends');
is($d->{status} >> 8, 7, 'with its code');
is(slurp("$d->{dir}/said"), '-n -- --version ', 'its arguments are its own');

done_testing;
