# B2: 128+n for a command that signal n has ended; chosen codes become 0.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Init;
use Test::More;

need_root();

use POSIX ();

# All that end a process, with a core or without; STOP and CHLD and the like do
# not, and a command that ignores nothing dies of the rest.
my %harmless = map { $_ => 1 } POSIX::SIGCHLD, POSIX::SIGCONT, POSIX::SIGSTOP,
    POSIX::SIGTSTP, POSIX::SIGTTIN, POSIX::SIGTTOU, 23, 28;	# URG, WINCH
my @fatal = grep { !$harmless{$_} } 1 .. 31;
my ($as_1, $below) = ways();

for my $sig (@fatal) {
	# By turns, or it would take long.
	my $way = $sig % 2 ? $as_1 : $below;
	is(run_init(['/bin/sh', '-c', "ulimit -c 0; kill -$sig \$\$; sleep 60"],
	    wrap => $way->[1])->{status}, 128 + $sig, "$way->[0]: signal $sig");
}
my @end = ('/bin/sh', '-c', 'kill -TERM $$; sleep 60');
is(run_init(\@end)->{status}, 143, 'TERM is 143');
is(run_init(\@end, args => ['-e', '143'])->{status}, 0, 'and 0 with -e 143');
is(run_init(\@end, args => ['--remap-exit', '3', '-e', '142'])->{status}, 143,
    'not with other codes');
is(run_init(['/bin/sh', '-c', 'exit 3'], args => ['-e', '1', '-e', '3'])
    ->{status}, 0, 'an exit code, too; the option repeats');
for my $bad (qw(256 -1 x), '') {
	is(run_cmd([program('sandboxd'), "--remap-exit=$bad", '--', 'true'])
	    ->{status}, 100, "-e '$bad' is wrong use");
}

done_testing;
