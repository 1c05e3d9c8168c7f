# B9: a subreaper where it is not process 1; a warning where it can be neither.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Init;
use Test::More;

need_root();

my $orphan = '(setsid sleep 1000 & echo $! >$0/pid); '
    . 'until [ -s $0/pid ]; do sleep 0.05; done; '
    . 'p=$(cat $0/pid); sleep 0.2; ps -o ppid= -p $p >$0/parent; sleep 1000';

sub parent_of_orphan {
	my ($d) = @_;
	$d->{options}{command} = ['/bin/sh', '-c', $orphan, $d->{dir}];
	$d->launch;
	wait_for(20, sub { -s "$d->{dir}/parent" });
	return (slurp("$d->{dir}/parent") // '') =~ /(\d+)/ ? $1 : 0;
}

my $d = start_init([], no_launch => 1);
isnt($d->{pid} // 0, 1, 'not process 1');
is(parent_of_orphan($d), $d->{pid}, 'an orphan comes to us');
unlike(slurp($d->{log}), qr/subreaper/, 'without a word');
$d->stop;

# Where prctl(PR_SET_CHILD_SUBREAPER) is refused, by a filter that a parent has set.
my $lib = Sandboxd->scratch_dir . '/no-subreaper.so';
spew("$lib.c", <<'C');
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int
prctl(int op, ...)
{
	va_list ap;
	unsigned long a[4];
	va_start(ap, op);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(ap, unsigned long);
	va_end(ap);
	if (op == PR_SET_CHILD_SUBREAPER) {
		errno = EINVAL;
		return -1;
	}
	return (int)syscall(SYS_prctl, op, a[0], a[1], a[2], a[3]);
}
C
my $cc = run_cmd(['cc', '-shared', '-fPIC', '-o', $lib, "$lib.c"]);
is($cc->{status}, 0, 'the refusal is built') or diag($cc->{err});
$d = start_init([], no_launch => 1, env => { LD_PRELOAD => $lib });
isnt(parent_of_orphan($d), $d->{pid}, 'an orphan goes elsewhere');
like(slurp($d->{log}), qr/warn.*neither process 1 nor a subreaper/, 'a warning');
is($d->ok('status')->{state}, 'running', 'and it works');
kill('TERM', $d->{pid});
ok(wait_for(20, sub { $d->ended }), 'and ends');

# As process 1 it needs none.
my $got = run_init(['true'], wrap => (ways())[0][1], env => { LD_PRELOAD => $lib });
is($got->{status}, 0, 'process 1');
unlike($got->{log}, qr/subreaper/, 'does not ask');

done_testing;
