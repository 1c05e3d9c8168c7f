# A gateway that somebody has taken over: a program of ours in its place says on
# its channel what it likes. It gets what an HTTP client could have, or the end.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;
use Time::HiRes qw(sleep time);

need_root();
my $dir = Sandboxd->scratch_dir;
mkdir("$dir/bin") or die;
run_cmd(['sh', '-c', "cp @{[build_dir()]}/sandboxd-* $dir/bin/"]);
unlink("$dir/bin/sandboxd-gateway");
my ($version) = run_cmd([program('sandboxd'), '--version'])->{out}
    =~ /^sandboxd (\S+)/;

# It says hello, then one frame after the other out of a file (each once, in
# whatever life), and writes down what it hears.
spew("$dir/bin/sandboxd-gateway", <<"EOT");
#!$^X
use strict;
open(my \$s, '+<&=', 3) or die;
sub say_it { my (\$t) = \@_; syswrite(\$s, pack('N', length \$t) . \$t) }
open(my \$heard, '>>', '$dir/heard') or die;
\$heard->autoflush(1);
\$SIG{PIPE} = 'IGNORE';
say_it('{"op":"hello","role":"gateway","version":"$version"}');
my \$buffer = '';
my \$at = -s '$dir/at' || 0;
open(my \$done, '>>', '$dir/at') or die;
\$done->autoflush(1);
while (1) {
	open(my \$p, '<', '$dir/plan') or next;
	my \@lines = <\$p>;
	for (\@lines[\$at .. \$#lines]) {
		\$at++;
		print \$done '.';
		chomp;
		exit 0 if \$_ eq 'exit';
		if (/^raw (.*)/) { syswrite(\$s, pack('H*', \$1)); next }
		if (/^deep (\\d+) (.*)/) {
			my \$d = '[' x \$1 . ']' x \$1;
			(my \$t = \$2) =~ s/DEEP/\$d/;
			say_it(\$t);
			next;
		}
		if (/^long (\\d+) (.*)/) {
			my \$x = 'x' x \$1;
			(my \$t = \$2) =~ s/LONG/\$x/;
			say_it(\$t);
			next;
		}
		say_it(\$_);
	}
	my \$bits = '';
	vec(\$bits, 3, 1) = 1;
	next unless select(\$bits, undef, undef, 0.05) > 0;
	sysread(\$s, \$buffer, 1 << 20, length \$buffer) or exit 0;
	while (length \$buffer >= 4) {
		my \$n = unpack('N', \$buffer);
		last if length \$buffer < 4 + \$n;
		print \$heard substr(\$buffer, 4, \$n), "\\n";
		substr(\$buffer, 0, 4 + \$n, '');
		\$buffer = '' unless length \$buffer;
	}
}
EOT
chmod(0755, "$dir/bin/sandboxd-gateway");
spew("$dir/plan", '');
spew("$dir/heard", '');

my $d = Sandboxd->start(http => 1, token => 'geheim', args => ['--libexec-dir',
    "$dir/bin"], conf => "[gateway]\nprocesses = 1\n");

sub heard { return map { from_json($_) } split /\n/, slurp("$dir/heard") }

# Say a frame; the answer that carries its id.
my $id = 100;

sub ask {
	my (%frame) = @_;
	my $my = ++$id;
	then_say(to_json({ id => $my, %frame }));
	return wait_for(10, sub { (grep { ($_->{id} // 0) == $my } heard())[0] })
	    // {};
}

sub call {
	my ($name, %args) = @_;
	return ask(op => 'gateway.call', name => $name, args => { %args });
}

sub connect_to {
	my ($kind, $name) = @_;
	return ask(op => 'gateway.connect', kind => $kind, name => $name);
}

sub code { return $_[0]{error} ? $_[0]{error}{code} : to_json($_[0]) }

# --- what it is given -------------------------------------------------------------------
ok(wait_for(10, sub { grep { ($_->{op} // '') eq 'gateway.listen' } heard() }),
    'it is given the socket');
my ($start) = grep { ($_->{op} // '') eq 'gateway.start' } heard();
ok($start, 'and told the settings');
is(scalar @{$start->{settings}{token_sha256}}, 1, 'a hash of the token');
unlike(slurp("$dir/heard"), qr/geheim/, 'not the token');
is($start->{fds}, 1, 'a page of memory');
ok(!$d->ok('status')->{gateways}[0]{serving}, 'it does not serve: it never '
    . 'said so');

# --- what it may ask ---------------------------------------------------------------------
is(call('status')->{ok}{result}{pid}, $d->{pid}, 'status');
is(ref call('sandbox.list')->{ok}{result}{sandboxes}, 'ARRAY', 'sandbox.list');
is(call('sandbox.create', id => 'x')->{ok}{result}{id}, 'x', 'sandbox.create');
is(code(call('sandbox.create', id => 'x')), 'sandbox_exists', 'an error');
is(code(call('sandbox.explode')), 'unknown_operation', 'no operation');
is(code(call('sandbox.get')), 'bad_request', 'without its argument');
is(code(call('sandbox.get', id => 5)), 'bad_request', 'of a wrong kind');
is(code(call('sandbox.get', id => 'x', more => 1)), 'bad_request',
    'with more than there is');
# Those that need a connection of their own.
for (['sandbox.exec', id => 'x', command => ['true']],
    ['sandbox.exec', id => 'x', command => ['true'], fds => 0],
    ['sandbox.changes', id => 'x', fds => 1],
    ['session.events', id => 's'], ['session.prompt', id => 's', text => 't'],
    ['session.list'], ['session.get', id => 's'],
    # And those that no client of it may ask for.
    ['token.create'], ['token.list'], ['token.revoke', id => 'tok-none']) {
	is(code(call(@$_)), 'bad_request', "$_->[0] is not for it");
}

# --- channels ----------------------------------------------------------------------------
is(connect_to('init', 'x')->{fds}, 1, 'a channel to an init');
is(connect_to('files', 'x')->{fds}, 1, 'to a file server');
is(connect_to('init', 'default')->{fds}, 1, 'the default sandbox is made');
is(code(connect_to('init', 'y')), 'sandbox_not_found', 'no such sandbox');
is(code(connect_to('session', 's')), 'session_not_found', 'no such session');
is(code(connect_to('store', 'x')), 'bad_request', 'nor to anybody else');
is(code(connect_to('supervisor', 'x')), 'bad_request', 'not to us');
$d->ok('session.create', { id => 's', agent => 'mock' });
is(connect_to('session', 's')->{fds}, 1, 'to a session');
$d->ok('session.end', { id => 's' });
is(code(connect_to('session', 's')), 'session_ended', 'not to one that ended');
$d->ok('sandbox.stop', { id => 'x' });
is(connect_to('init', 'x')->{fds}, 1, 'a stopped sandbox is started');
is($d->ok('sandbox.get', { id => 'x' })->{state}, 'running', 'it runs');
is(code(connect_to('init', $_)), 'sandbox_not_found', "no sandbox: '$_'")
    for '../x', 'x/', ' ', 'x;', 'x ';

# --- what ends it --------------------------------------------------------------------------
# Each costs it its life.
sub restarts { return $d->ok('status')->{gateways}[0]{restarts} }

# Who dies young is started again later and later: let it live a little.
sub grown_up {
	# So often in so short a time is a crash loop, which is not meant here.
	$d->ok('role.reset', { id => 'gateway' });
	my $n = restarts();
	wait_for(10, sub { $d->ok('status')->{gateways}[0]{state} eq 'running' })
	    or die "no gateway\n";
	sleep 1.1;
	return $n;
}

sub then_say {
	open(my $p, '>>', "$dir/plan") or die;
	print $p map { "$_\n" } @_;
	close($p);
}

my %breach = (
	'a message of the supervisor' => '{"op":"gateway.stop","grace_ms":1}',
	'a message of the store' => '{"op":"grew","logs":[]}',
	'a second hello' =>
	    "{\"op\":\"hello\",\"role\":\"gateway\",\"version\":\"$version\"}",
	'a call without a number' =>
	    '{"op":"gateway.call","name":"status","args":{}}',
	'a call without arguments' => '{"op":"gateway.call","id":1,"name":"status"}',
	'a call with more' =>
	    '{"op":"gateway.call","id":1,"name":"status","args":{},"uid":0}',
	'a channel to nobody' =>
	    '{"op":"gateway.connect","id":1,"kind":"init","name":""}',
	'a long name' => 'long 129 {"op":"gateway.connect","id":1,"kind":"init",'
	    . '"name":"LONG"}',
	'an answer to nothing' => '{"id":999,"ok":{}}',
	'no JSON' => 'gateway.call',
	'no object' => '[1]',
	'two of one name' =>
	    '{"op":"gateway.call","id":1,"id":2,"name":"status","args":{}}',
	'what is nested deeply' => 'deep 200 {"op":"gateway.call","id":1,'
	    . '"name":"status","args":{"a":DEEP}}',
	'an empty frame' => 'raw 00000000',
	'a frame without end' => 'raw 7fffffff7b',
	'bad UTF-8' => 'raw 000000067b22ff223a317d',
	'descriptors that do not come' =>
	    '{"op":"gateway.call","id":1,"name":"status","args":{},"fds":1}',
);
for my $what (sort keys %breach) {
	my $before = grown_up();
	then_say($breach{$what});
	ok(wait_for(10, sub { restarts() > $before }), "$what ends it");
}
like(slurp($d->{log}), qr/breach/, 'the log says why');
is($d->ok('status')->{state}, 'running', 'and we are still there');
is($d->exec('x', ['echo', 'fine'])->{stdout}, "fine\n", 'as is everything else');

# --- dying in the middle --------------------------------------------------------------------
# What it had asked for before it died is done, for nobody.
sub asks {
	my ($of, $from) = @_;
	return ((map { "{\"op\":\"gateway.call\",\"id\":" . ($from + $_)
	    . ",\"name\":\"sandbox.create\",\"args\":{\"id\":\"$of$_\"}}" } 1 .. 20),
	    (map { "{\"op\":\"gateway.connect\",\"id\":" . ($from + 20 + $_)
	    . ",\"kind\":\"init\",\"name\":\"$of$_\"}" } 1 .. 20), 'exit');
}

sub all_run {
	my ($of) = @_;
	return wait_for(60, sub { my @s = grep { $_->{id} =~ /^$of/ &&
	    $_->{state} eq 'running' } @{$d->ok('sandbox.list')->{sandboxes}};
	    @s == 20 }) || (diag(to_json([map { [@{$_}{qw(id state reason)}] }
	    @{$d->ok('sandbox.list')->{sandboxes}}]), "\n", $d->log_tail(30)), 0)[1];
}

my $before = grown_up();
then_say(asks('m', 1000));
ok(wait_for(20, sub { restarts() > $before }), 'it dies while it is served');
ok(all_run('m'), 'what it had asked for was done, for nobody');
$d->ok('sandbox.destroy', { id => "m$_" }) for 1 .. 20;

# The same when its death is the first that we hear of.
$before = grown_up();
kill('STOP', $d->{pid});
then_say(asks('n', 2000));
my $gone = wait_for(20, sub { !$d->children(qr{bin/sandboxd-gateway}) });
kill('CONT', $d->{pid});
ok($gone, 'it dies before it is served');
ok(wait_for(20, sub { restarts() > $before }), 'that is seen');
ok(all_run('n'), 'and what it had asked for was done');
ok($d->stop, 'an orderly stop');
is(join("\n", $d->leftovers), '', 'nothing is left');

done_testing;
