# A42: the capabilities of everything inside are those of sandboxd-security(7), for
# root; and none for the user: init, commands, terminals, agents.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
my %number = (CHOWN => 0, DAC_OVERRIDE => 1, FOWNER => 3, FSETID => 4, KILL => 5, SETGID => 6, SETUID => 7,
    SETPCAP => 8, NET_BIND_SERVICE => 10);
my ($text) = slurp(root_dir() . '/doc/sandboxd-security.7') =~ /^\.Sh CAPABILITIES\n(.*?)^\.Sh/ms;
my ($of_all) = $text =~ /(.*?)The inheritable/s;
my $set = 0;
$set |= 1 << ($number{$_} // die "CAP_$_?") for $of_all =~ /CAP_(\w+)/g;
cmp_ok($set, '>', 0, sprintf('the page names a set (%x)', $set));
my $root = sprintf('%016x', $set);
my $init_set = sprintf('%016x', $set | 1 << $number{SETPCAP});
my $none = '0' x 16;

sub caps { my ($t) = @_; my %c = $t =~ /^Cap(\w+):\s+([0-9a-f]+)$/mg; return \%c }
my $d = Sandboxd->start;
my $open = unguarded('caps');
$_->ok('sandbox.create', { id => 'c', mounts => [helper_mount('hostile')] }) for $d, $open;
# The guard off: init has all of its namespace.
like(caps(slurp('/proc/' . ($open->children(qr/init\W+c/))[0] . '/status'))->{Eff}, qr/^0*1?[37f]f{8,}$/,
    'without the guard init has everything');
my ($init) = $d->children(qr/init\W+c/);
my $c = caps(slurp("/proc/$init/status"));
is($c->{$_}, $init_set, "init: $_") for qw(Eff Prm Bnd);
is($c->{$_}, $none, "init: $_") for qw(Inh Amb);
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'c' });
$d->ok('session.create', { id => 'su', agent => 'mock', sandbox => 'c', user => '1000:1000' })
    if ($d->error('session.create', { id => 'su0', agent => 'mock', sandbox => 'c', user => '1000:1000' }) // '') eq '';
for (Sandboxd::both_users()) {
	my ($who, $as) = @$_;
	my %got = (command => caps($d->sh('c', 'cat /proc/self/status', %$as)->{stdout}),
	    'deep command' => caps($d->sh('c', 'sh -c "setsid sh -c \"cat /proc/self/status\""', %$as)->{stdout}),
	    'in a pty' => caps($d->sh('c', 'script -qec "cat /proc/self/status" /dev/null | tr -d "\r"', %$as)->{stdout}));
	# as the host sees it
	my $cl = $d->client;
	$cl->send('sandbox.exec', { id => 'c', command => ['sleep', '77'], %$as });
	my $pid = wait_for(10, sub { ($d->children(qr/^sleep 77$/))[0] });
	$got{'as the host sees it'} = caps(slurp("/proc/$pid/status"));
	kill('KILL', $pid);
	for my $name (sort keys %got) {
		my $want = $who eq 'root' ? $root : $none;
		is($got{$name}{$_}, $want, "$who, $name: $_") for qw(Eff Prm);
		is($got{$name}{$_}, $none, "$who, $name: $_") for qw(Inh Amb);
		like($got{$name}{Bnd}, qr/^(?:$root|$none)$/, "$who, $name: Bnd");
	}
	wait_for(5, sub { !$d->children(qr/^sleep 77$/) });
}
for my $s ('s') {
	my @e = $d->turn($s, 'run cat /proc/self/status');
	my ($t) = map { item_text($_) } grep { $_->{type} eq 'item.completed'
	    && $_->{data}{item}{kind} eq 'tool_result' } @e;
	is(caps($t)->{Eff}, $root, 'what an agent starts: Eff');
	is(caps($t)->{Amb}, $none, 'what an agent starts: Amb');
	my ($worker) = grep { Sandboxd::title_of($_) =~ /session/ } descendants($init);
	is(caps(slurp("/proc/$worker/status"))->{Eff}, $root, 'the session\'s worker: Eff');
}
# None of them is worth anything outside: they are the namespace's.
isnt(readlink("/proc/$init/ns/user"), readlink('/proc/self/ns/user'), 'and all of it in a user namespace');
done_testing;
