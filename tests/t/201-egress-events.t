# What is told of filtered network: each decision, how each connection ended, floods as
# one; also across the death of the store and of the proxy.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::World;
use Test::More;

need_program('curl');
my $w = Sandboxd::World->new(names => { 'a.example' => ['11.22.33.44'],
    'p.example' => ['10.9.8.7'] });
my $d = Sandboxd->start(conf => $w->conf);
$d->ok('sandbox.create', { id => 'f', network => 'filtered', egress => {
	allow => ['a.example:80', 'p.example'], deny => ['evil.example'] } });

sub events { return grep { $_->{event} =~ /^egress/ }
    @{$d->ok('sandbox.events', { id => 'f' })->{events}} }
sub find {
	my (%want) = @_;
	return wait_for(20, sub {
		my @found = grep { my $e = $_; !grep { ($e->{$_} // '') ne $want{$_} } keys %want }
		    events();
		return $found[0];
	}) || { };
}
sub code { return $d->sh('f', "curl -sS -m 20 -o /dev/null -w '%{http_code}' $_[0] 2>&1")
    ->{stdout} }

is(code('http://a.example/x'), 200, 'a request');
my $e = find(decision => 'allow');
is_deeply({ map { $_ => $e->{$_} } qw(event host port address rule protocol) }, {
    event => 'egress', host => 'a.example', port => 80, address => '11.22.33.44',
    rule => 'a.example:80', protocol => 'http' }, 'is told: where, and by which rule');
my $end = find(event => 'egress.end', connection => $e->{connection} // 0);
ok(($end->{sent} // 0) > 40 && ($end->{received} // 0) > 100, 'and how much it was');

code('http://evil.example/');
is(find(decision => 'deny', host => 'evil.example')->{rule}, 'evil.example',
    'a refusal tells its rule');
code('http://b.example:81/');
$e = find(decision => 'deny', host => 'b.example');
is("$e->{port} $e->{reason}", '81 no rule allows it', 'or that there was none');
ok(!exists $e->{address}, 'and no address: it was not looked up');
code('http://p.example/');
$e = find(decision => 'deny', host => 'p.example');
is("$e->{address} $e->{reason}", '10.9.8.7 private', 'an address that is not public');
code('-p http://a.example:80/');
is(find(protocol => 'connect')->{decision}, 'allow', 'a tunnel');
code('--proxy "" --socks5-hostname 127.0.0.1:61080 http://a.example/');
is(find(protocol => 'socks5')->{decision}, 'allow', 'SOCKS');

# The same again and again is counted.
my $before = () = events();
$d->sh('f', 'for i in $(seq 150); do curl -s -o /dev/null http://flood.example/; done');
$e = find(host => 'flood.example', count => 149);
is($e->{count} // 0, 149, 'a flood of the same is told as one') or diag explain [events()];
ok((() = events()) - $before <= 6, 'and takes no room');

# The store dies: nothing that was decided meanwhile is lost.
sub pid_of { my ($name) = @_; return (grep { (Sandboxd::title_of($_) // '') =~ $name }
    $d->children)[0] }
my $store = pid_of(qr/store/);
ok($store, 'there is a store');
kill('STOP', $store);
is(code('http://a.example/while'), 200, 'the store stands still: requests go on')
    for 1 .. 3;
kill('KILL', $store);
ok(wait_for(20, sub { my $p = pid_of(qr/store/); $p && $p != $store }), 'another store');
is(code('http://a.example/after'), 200, 'goes on');
code('http://after.example/');
is(find(host => 'after.example')->{decision}, 'deny', 'decisions are told again');

# The proxy dies: another has the same socket.
my $proxy = pid_of(qr/egress/);
ok($proxy, 'there is a proxy');
kill('KILL', $proxy);
is(code('http://a.example/again'), 200, 'the next one serves, whoever came meanwhile waited');
my $again = pid_of(qr/egress/);
ok($again && $again != $proxy, 'it is another');
code('http://again.example/');
is(find(host => 'again.example')->{decision}, 'deny', 'and tells, too');

# Stop and start: rules stay.
$d->ok('sandbox.stop', { id => 'f' });
$d->ok('sandbox.start', { id => 'f' });
is(code('http://a.example/restarted'), 200, 'after a new start the rules hold');
is(code('http://evil.example/'), 403, 'all of them');
$d->ok('sandbox.update', { id => 'f', egress => { allow => ['evil.example'] } });
is(code('http://a.example/'), 403, 'others do at once');
$d->restart;
$d->ok('sandbox.start', { id => 'f' });
is($d->ok('sandbox.get', { id => 'f' })->{egress}{allow}[0], 'evil.example',
    'and survive the daemon');
is(code('http://a.example/'), 403, 'in force');
$d->ok('sandbox.destroy', { id => 'f' });

done_testing;
