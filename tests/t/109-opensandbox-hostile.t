# The lifecycle API and those who mean it no good: odd bodies, odd names, odd
# queries, crowds, and deaths in the midst of it.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(time sleep);

need_root();
my $d = Sandboxd->start(http => 1, token => 'secret');
my @idle = ('tail', '-f', '/dev/null');

sub call {
	my ($method, $path, $body, %o) = @_;
	return $d->http($method, $path, %o, headers => { defined $body
	    ? ('Content-Type' => 'application/json') : (),
	    %{$o{headers} // {}} },
	    defined $body ? (body => ref $body ? to_json($body) : $body) : ());
}
sub sdk { return { image => { uri => 'host' }, entrypoint => [@idle], @_ } }
sub refused {
	my ($r, $what, @status) = @_;
	my $ok = grep { ($r->{status} // 0) == $_ } @status;
	ok($ok && $r->{json} && length($r->{json}{code} // '') &&
	    length($r->{json}{message} // ''), "$what: @status")
	    or diag(($r->{status} // $r->{broken} // '?') . ' '
	    . substr($r->{body} // '', 0, 200));
}
sub count { return scalar @{$d->ok('sandbox.list')->{sandboxes}} }

# --- bodies -------------------------------------------------------------------------
my $deep = '{"image":' . '{"a":' x 200 . '1' . '}' x 200 . '}';
refused(call('POST', '/v1/sandboxes', $deep), 'deep JSON', 400);
refused(call('POST', '/v1/sandboxes', '{"image":{"uri":"host"},"image":{}}'),
    'a member twice', 400);
refused(call('POST', '/v1/sandboxes', "{\"image\":{\"uri\":\"\xff\xfe\"}}"),
    'no UTF-8', 400);
refused(call('POST', '/v1/sandboxes', '{"image":{"uri":"a\\u0000b"},'
    . '"entrypoint":["x"]}'), 'a NUL in the image', 422);
refused(call('POST', '/v1/sandboxes', '{"image":{"uri":"host"},'
    . '"entrypoint":["a\\u0000b"]}'), 'a NUL in a word', 422);
refused(call('POST', '/v1/sandboxes', sdk(env => { "A\nB" => 'x' })),
    'a line in a name', 400);
refused(call('POST', '/v1/sandboxes', '{"x":"' . 'y' x 1_000_000 . '"}'),
    'a body of a megabyte', 413);
refused(call('POST', '/v1/sandboxes', sdk(env => { map { ("V$_" => 'x') }
    1 .. 513 })), 'too many variables', 422);
refused(call('POST', '/v1/sandboxes', sdk(metadata => { map { ("l$_" => 'x') }
    1 .. 65 })), 'too many labels', 400);
refused(call('POST', '/v1/sandboxes', sdk(entrypoint => [ ('x') x 1025 ])),
    'too many words', 422);
refused(call('POST', '/v1/sandboxes', sdk(volumes => [ map { { name => 'v',
    mountPath => "/v$_", host => { path => '/srv' } } } 1 .. 40 ])),
    'too many volumes', 422);
refused(call('POST', '/v1/sandboxes', sdk(volumes => [ 1 ])), 'a volume of 1',
    422);
refused(call('POST', '/v1/sandboxes', sdk(volumes => { a => 1 })),
    'volumes that are none', 422);
for my $target ('/proc/x', '/', '/a/../b', '/sys') {
	refused(call('POST', '/v1/sandboxes', sdk(volumes => [ { name => 'v',
	    mountPath => $target, host => { path => '/srv' } } ])),
	    "a volume at $target", 400);
}
for my $sub ('/etc', 'a/../../b', '..', './x', 'a//b') {
	refused(call('POST', '/v1/sandboxes', sdk(volumes => [ { name => 'v',
	    mountPath => '/v', host => { path => '/srv' }, subPath => $sub } ])),
	    "subPath $sub", 422);
}
for my $q ('1e99', '99999999999999999999', '1Zi', '', '.', '1.', ' 1', '0x10',
    '1e', 'NaN', '9223372036854775807Ti', '1,5') {
	my $r = call('POST', '/v1/sandboxes', sdk(resourceLimits =>
	    { memory => $q }));
	refused($r, "memory '$q'", 422, 400);
}
for my $id ('../x', '/x', '.hidden', 'a b', "a\tb", 'x' x 64, '', '-a') {
	refused(call('POST', '/v1/sandboxes', sdk(sandboxd => { id => $id })),
	    'id ' . to_json($id), 400, 422);
}
refused(call('POST', '/v1/sandboxes', sdk(sandboxd => { isolation => 'none' })),
    'an isolation that is none', 400);
refused(call('POST', '/v1/sandboxes', sdk(sandboxd => { user => 'nobody-here' })),
    'a user that is none', 400);
refused(call('POST', '/v1/sandboxes', sdk(), headers =>
    { 'Idempotency-Key' => 'k' x 300 }), 'a long key', 422);
is(count(), 0, 'none of them has made anything');
is(scalar(my @none = $d->children(qr/\binit\b/)), 0, 'nothing runs');

# The largest that is taken can be read back, changed and ended.
my $large = call('POST', '/v1/sandboxes', sdk(env => { map { ("V$_" =>
    'x' x 1500) } 1 .. 512 }));
is($large->{status}, 202, 'a large environment');
my $path = "/v1/sandboxes/$large->{json}{id}";
is(call('GET', $path)->{status}, 200, 'read');
is(call('PATCH', "$path/metadata", { map { ("l$_" => 'x' x 60) } 1 .. 64 })
    ->{status}, 200, 'with as many labels as may be');
is(call('POST', "$path/pause")->{status}, 202, 'paused');
is(scalar(@{call('GET', '/v1/sandboxes')->{json}{items}}), 1, 'listed');
is(call('DELETE', $path)->{status}, 204, 'ended');

# --- queries, paths and headers -----------------------------------------------------
$d->ok('sandbox.create', { id => 'box', labels => { a => 'b' } });
for my $q ('metadata=%00', 'metadata=a%3Db%2500', 'page=1&page=2',
    'use_server_proxy=x') {
	my $r = call('GET', "/v1/sandboxes?$q");
	ok($r->{status} == 200 || $r->{status} == 400, "list?$q")
	    or diag($r->{status} // $r->{broken});
}
is(call('GET', '/v1/sandboxes?state=' . 'x' x 65)->{status}, 400,
    'a long state');
is(call('GET', '/v1/sandboxes?' . join('&', ('state=Running') x 300))->{status},
    200, 'a state three hundred times');
refused(call('GET', '/v1/sandboxes?metadata=a%3Db%26a%3Dc'), 'a label twice',
    400);
refused(call('GET', '/v1/sandboxes/box/endpoints/80?use_server_proxy=perhaps'),
    'neither true nor false', 400);
for my $host ('a"b', "x\ty", '<script>', 'h' x 4000) {
	my $r = call('GET', '/v1/sandboxes/box/endpoints/80', undef,
	    headers => { Host => $host });
	ok($r->{status} == 400 || ($r->{json} && index($r->{json}{endpoint},
	    '/i/box/port/80') > 0), 'a host that is odd') or diag($r->{body});
}
my $r = call('GET', '/v1/sandboxes/box', undef, headers =>
    { 'X-Request-ID' => 'x' x 5000 });
ok(($r->{status} // 0) >= 200 && length($r->{headers}{'x-request-id'}) < 1000,
    'a long request id does not come back');
for $path ('/v1/sandboxes/box/proxy/80/../../../v1/health',
    '/v1/sandboxes/box/proxy/80/%2e%2e/x', '/v1/sandboxes//box',
    '/v1/sandboxes/box/nothing', '/v1/sandboxes/box/pause/x') {
	my $got = call('GET', $path);
	ok(($got->{status} // 0) >= 400, "$path: $got->{status}");
}

# --- crowds -------------------------------------------------------------------------
# Many at one time, each by a client of its own.
sub crowd {
	my ($n, $code) = @_;
	my @pids;
	pipe(my $out, my $in) or die "pipe: $!";
	for my $i (1 .. $n) {
		my $pid = fork // die "fork: $!";
		if ($pid == 0) {
			my $s = eval { $code->($i) } // 'died';
			syswrite($in, "$s\n");
			POSIX::_exit(0);
		}
		push @pids, $pid;
	}
	close($in);
	my @got = <$out>;
	waitpid($_, 0) for @pids;
	chomp(@got);
	return sort @got;
}
my %n;
$n{$_}++ for crowd(20, sub { call('POST', '/v1/sandboxes',
    sdk(sandboxd => { id => 'same' }))->{status} });
is_deeply(\%n, { 202 => 1, 409 => 19 }, 'twenty want one name: one gets it');
%n = ();
$n{$_}++ for crowd(20, sub { call('POST', '/v1/sandboxes', sdk(), headers =>
    { 'Idempotency-Key' => 'crowd' })->{json}{id} });
is(scalar(keys %n), 1, 'twenty with one key get one sandbox');
%n = ();
$n{$_}++ for crowd(10, sub { call('POST', '/v1/sandboxes/same/pause')
    ->{status} });
is_deeply(\%n, { 202 => 1, 409 => 9 }, 'ten pause it: one does');
%n = ();
$n{$_}++ for crowd(10, sub { call('DELETE', '/v1/sandboxes/same')->{status} });
ok(($n{204} // 0) >= 1 && ($n{204} // 0) + ($n{404} // 0) == 10,
    'ten destroy it while it is paused') or diag(to_json(\%n));
crowd(12, sub {
	my ($i) = @_;
	my $path = '/v1/sandboxes/box';
	for (1 .. 15) {
		call('POST', "$path/" . (qw(pause resume stop start))[rand 4]);
		call('GET', "$path/stats");
	}
	return 'done';
});
call('POST', '/v1/sandboxes/box/resume');
is(call('POST', '/v1/sandboxes/box/start')->{status}, 200,
    'after a brawl it can be started');
is($d->sh('box', 'echo alive')->{stdout}, "alive\n", 'and works');

# --- deaths -------------------------------------------------------------------------
# All gateways are killed while creates are under way: the retries with the same
# keys find what was made, and nothing is made twice.
my $had = count();
my @before = $d->children(qr/gateway/);
my $killer = fork // die "fork: $!";
if ($killer == 0) {
	sleep 0.02;
	kill('KILL', @before);
	POSIX::_exit(0);
}
my @made = crowd(10, sub {
	my ($i) = @_;
	for (1 .. 100) {
		my $got = call('POST', '/v1/sandboxes', sdk(), headers =>
		    { 'Idempotency-Key' => "death-$i" });
		return $got->{json}{id} if ($got->{status} // 0) == 202;
		sleep 0.05;
	}
	return 'never';
});
waitpid($killer, 0);
is(scalar(grep { $_ eq 'never' } @made), 0, 'all creates succeed in the end');
is(count(), $had + 10, 'and none was made twice');
call('DELETE', "/v1/sandboxes/$_") for @made;
is(count(), $had, 'all are gone');
$d->restart('KILL');
is(count(), $had, 'and stay so');

ok($d->stop, 'it ends');
is(join("\n", $d->leftovers), '', 'and leaves nothing');

done_testing;
