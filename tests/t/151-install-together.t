# Many who want the same at once: one installation, and everybody is told. Progress.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Registry;
use Test::More;
use Time::HiRes qw(time sleep);

my $r = Sandboxd::Registry->new;
my $def = \&Sandboxd::Registry::definition;
srand(13);
my $noise = join('', map { chr 33 + int rand 90 } 1 .. 600_000);
for my $name (qw(one two three)) {
	$r->publish($name, '1.0.0', { bin => 'b', dependencies => { shared => '1' } },
	    { b => "#!/bin/sh\necho $name\n" });
	$r->publish($name, '1.1.0', { bin => 'b', dependencies => { shared => '1' } },
	    { b => "#!/bin/sh\necho $name 1.1\n" });
}
$r->publish('shared', '1.0.0', {}, { noise => $noise });
$r->start;
my @agents = map { $def->($_, type => 'npm', package => $_, version => '1.0.0') }
    qw(one two three);
my $d = Sandboxd->start(conf => "[courier]\nnpm_registry = " . $r->url . "\n",
    agents => { @agents });
my $agents = "$d->{state}/agents";
my %args = (progress => JSON::PP::true);

# --- the same at once ---------------------------------------------------------------

$r->rule(match => 'shared-1', action => 'slow', bytes => 400_000);
my @c = map { $d->client } 1 .. 20;
my @id = map { $_->send('agent.install', { id => 'one', %args }) } @c;
my @got = map { $c[$_]->finish($id[$_], timeout => 60) } 0 .. $#c;
is(scalar(grep { $_->{ok} && $_->{ok}{version} eq '1.0.0' } @got), 20, 'all have it');
is(scalar(grep { !$_->{ok}{already} } @got), 20, 'as one installation');
is(scalar(my @n = $r->requests(qr/shared-1/)), 1, 'with one download');
is_deeply([grep { !/^(?:1\.0\.0|current)$/ } map { m{([^/]+)$} } glob("$agents/one/{*,.tmp*}")],
    [], 'and one directory');

# --- progress -----------------------------------------------------------------------

my @items = @{$got[0]{items}};
cmp_ok(scalar @items, '>=', 3, 'progress is told');
cmp_ok(scalar @items, '<=', 4 * 30, 'but not all the time');
my %stages = map { $_->{stage} => 1 } @items;
ok($stages{downloading}, 'with the stage');
my @down = grep { $_->{stage} eq 'downloading' && $_->{done} > 0 } @items;
ok(@down > 0, 'and bytes');
is(scalar(grep { $_->{total} > 0 && $_->{done} > $_->{total} } @items), 0,
    'never more than there are');
my $falls = grep { $down[$_]{done} < $down[$_ - 1]{done} } 1 .. $#down;
is($falls, 0, 'that only grow');
ok((grep { $_->{what} =~ /^(?:shared|one) 1\.0\.0$/ } @down), 'and what it is');
is_deeply([map { scalar @{$_->{items}} } @got[1 .. 3]],
    [(scalar @items) x 3], 'to each who waits');

# --- another meanwhile --------------------------------------------------------------

$r->forget_requests;
my $slow = $d->client;
my $slow_id = $slow->send('agent.install', { id => 'two' });
ok(wait_for(20, sub { $r->requests(qr/shared-1/) }), 'one is under way');
my $begin = time;
$r->no_rules;
is($d->ok('agent.install', { id => 'three' }, timeout => 60)->{version}, '1.0.0',
    'another agent does not wait for it');
my $same = $d->client;
my $same_id = $same->send('agent.install', { id => 'two', version => '1.1.0' });
my $first = $slow->finish($slow_id, timeout => 60);
my $second = $same->finish($same_id, timeout => 60);
is($first->{ok}{version}, '1.0.0', 'the first version of one agent');
is($second->{ok}{version}, '1.1.0', 'and then the next');
is(readlink("$agents/two/current"), '1.1.0', 'which is in use');
is(run_cmd(["$agents/two/1.0.0/bin/two"])->{out}, "two\n", 'both are whole');
is(run_cmd(["$agents/two/current/bin/two"])->{out}, "two 1.1\n", 'both of them');

# --- who goes away ------------------------------------------------------------------

$r->rule(match => 'shared-1', action => 'slow', bytes => 800_000);
$r->forget_requests;
my $gone = $d->client;
$gone->send('agent.install', { id => 'three', version => '1.1.0', %args });
ok(wait_for(20, sub { $r->requests(qr/shared-1/) }), 'somebody wants a version');
$gone->close;
ok(wait_for(30, sub { (readlink("$agents/three/current") // '') eq '1.1.0' }),
    'it is installed though he has gone');

# --- stopping in the midst ----------------------------------------------------------

$r->no_rules;
$r->rule(match => 'shared-1', action => 'hang');
my $waits = $d->client;
$r->forget_requests;
my $waits_id = $waits->send('agent.install', { id => 'one', version => '1.1.0' });
ok(wait_for(20, sub { $r->requests(qr/shared-1/) }), 'a download that hangs');
$begin = time;
unlike(slurp($d->{log}), qr/proc: lost|runtime error|Sanitizer/, 'no process was lost');
ok($d->stop, 'does not keep sandboxd from stopping');
cmp_ok(time - $begin, '<', 10 * slow_factor(), 'in time');
is_deeply([$d->leftovers], [], 'and leaves nothing');
done_testing;
