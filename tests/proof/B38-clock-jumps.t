# B38: the clock is set a year ahead and back while delays and time-outs run: none
# fires early or late. (The end of a sandbox that was given as a time of day, its
# `timeout`, moves with the clock: that is what it means.)
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
need_program('cc');
my $dir = Sandboxd->scratch_dir;
spew("$dir/jump.c", <<'C');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
/* The clock of the wall is off by the size of a file, less 2^40, in seconds. */
static long long off(void)
{
	struct stat st;
	return stat("DIR/off", &st) == 0 ? (long long)st.st_size - (1ll << 40) : 0;
}
int clock_gettime(clockid_t id, struct timespec *t)
{
	static int (*real)(clockid_t, struct timespec *);
	int r;
	if (!real)
		real = dlsym(RTLD_NEXT, "clock_gettime");
	r = real(id, t);
	if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		t->tv_sec += off();
	return r;
}
int gettimeofday(struct timeval *restrict t, void *restrict z)
{
	struct timespec ts;
	(void)z;
	clock_gettime(CLOCK_REALTIME, &ts);
	t->tv_sec = ts.tv_sec;
	t->tv_usec = ts.tv_nsec / 1000;
	return 0;
}
time_t time(time_t *out)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	if (out)
		*out = ts.tv_sec;
	return ts.tv_sec;
}
C
my $code = slurp("$dir/jump.c");
$code =~ s/DIR/$dir/g;
spew("$dir/jump.c", $code);
my $got = run_cmd(['cc', '-shared', '-fPIC', '-o', "$dir/jump.so", "$dir/jump.c", '-ldl'],
    timeout => 60);
is($got->{status}, 0, 'a clock that can be set') or diag($got->{err});
my $year = 366 * 86400;
sub jump { truncate("$dir/off", $_[0] + 2 ** 40) or die "$dir/off: $!" }
spew("$dir/off", '');
jump(0);

my $d = Sandboxd->start(env => { LD_PRELOAD => "$dir/jump.so" });
sub relay {
	my ($r) = grep { $_->{name} eq 'relay' } @{$d->ok('status')->{roles}};
	return $r;
}
# It is seen inside the daemon: this is what the rest stands on.
my $real = time;
jump($year);
$d->ok('sandbox.create', { id => 'probe' });
cmp_ok($d->ok('sandbox.get', { id => 'probe' })->{created_at} / 1000, '>',
    $real + $year - 100, 'the daemon sees the clock set ahead');
$d->ok('sandbox.destroy', { id => 'probe' });

for (['ahead', 0, $year], ['back', $year, 0], ['far back', $year, -$year]) {
	my ($name, $from, $to) = @$_;
	jump($from);
	my $began = time;
	$d->ok('sandbox.create', { id => 't', limits => { time => 2 } });
	my $c = $d->client;
	my $id = $c->send('sandbox.exec', { id => 't', command => ['sleep', '60'],
	    timeout_ms => 1000 });
	jump($to);
	my $r = $c->finish($id, timeout => 20);
	my $took = time - $began;
	ok($took > 0.9 && $took < 2 * Sandboxd::slow_factor() + 1,
	    sprintf("$name: a command's time-out is right: %.2f s", $took));
	ok(wait_for(20, sub { $d->ok('sandbox.get', { id => 't' })->{state}
	    ne 'running' }), "$name: the sandbox's time runs out");
	$took = time - $began;
	ok($took > 1.9 && $took < 6 * Sandboxd::slow_factor(),
	    sprintf("$name: not before, and not much later: %.2f s", $took));
	$d->ok('sandbox.destroy', { id => 't' });

	# The delay before a restart.
	$d->ok('role.reset', { id => 'relay' });
	my $pid = wait_for(10, sub { my $p = relay(); $p->{state} eq 'running' && $p->{pid} });
	jump($from);
	kill('KILL', $pid);
	jump($to);
	$began = time;
	ok(wait_for(5, sub { my $p = relay(); $p->{state} eq 'running' && $p->{pid} != $pid }),
	    sprintf("$name: a restart is not held up (%.2f s)", time - $began));
}
ok($d->stop, 'it ends in time');
is(join("\n", $d->leftovers), '', 'nothing is left');
done_testing;
