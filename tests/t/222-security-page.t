# The table of processes in sandboxd-security(7) against the running system: each
# role's uid, namespaces, root directory, filter and descriptors, as /proc has them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $page = slurp(root_dir() . '/doc/sandboxd-security.7');
my ($table) = $page =~ /^\.Bl -column.*\n\.It Em Process.*\n((?:\.It .*\n)+)/m;
my %row;
for (split /\n/, $table) {
	s/^\.It //;
	my ($name, $uid, $ns, $root, $filter, $fds) = split / Ta /;
	$row{$name} = { uid => $uid, ns => $ns, root => $root, filter => $filter,
	    fds => { map { $_ => 1 } split ' ', $fds } };
}
cmp_ok(scalar keys %row, '>', 9, 'the table is read');
for my $name (grep { /^sandboxd/ } keys %row) {
	ok(index($page =~ s/\\-/-/gr, "\n.It $name\n") > 0, "$name has a row of words, too");
}
# Inputs: each says who sends, who reads, and the worst.
my ($inputs) = $page =~ /^\.Sh INPUTS\n(.*?)^\.Sh /ms;
my @inputs = split /^\.Bl -tag -width "Read by" -compact$/m, $inputs;
my $head = shift @inputs;
cmp_ok(scalar @inputs, '>', 12, 'inputs are listed');
is(scalar(grep { !(/^\.It From$/m && /^\.It Read by$/m && /^\.It Worst$/m) } @inputs), 0,
    'each with from whom, read by whom, and the worst of a lie');
my @readers = map { /^\.It Read by\n(.*?)^\.It Worst/ms ? $1 : '' } @inputs;
is(join("\n", grep { !/supervisor|store|init|gateway|courier|sandboxd-|sandboxctl|relay|session/ } @readers), '',
    'each is read by a process that is known');

my $base = 0x50000000;
$base = $1 if run_cmd([program('sandboxd'), '-C', '-c', '/dev/null', '--agents-dir',
    root_dir() . '/etc/agents.d'])->{out} =~ /^ids_base = (\d+)/m;
my $d = Sandboxd->start(http => 1, agents => { 'shared.json' => { id => 'shared',
    name => 'S', protocol => 'codex', program => 'perl', shared => \1 } }, conf => "[courier]\nnpm_registry = http://127.0.0.1:9/\n");
$d->ok('sandbox.create', { id => 'a' });
$d->ok('sandbox.create', { id => 'f', network => 'filtered', egress => { allow => ['example.invalid'] } });
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'a' });
$d->exec('a', ['sh', '-c', 'cat > /root/server.pl'],
    stdin => slurp(root_dir() . '/tests/t/lib/codex-server.pl'));
$d->ok('session.create', { id => 'c', agent => 'shared', sandbox => 'a',
    command => ['perl', '/root/server.pl'] });
$d->turn('c', 'say hello');
$d->request('agent.install', { id => 'claude' }, timeout => 60);	# starts the courier; fails
is($d->http(GET => '/i/a/v1/fs/stat?path=/etc/passwd')->{status}, 200, 'the file API is used');
# A command of a user's, over the control socket and so by the relay.
my $c = $d->client;
$c->send('sandbox.exec', { id => 'a', command => ['sleep', '444'], user => '1000' });
ok(wait_for(10, sub { $d->children(qr/^sleep 444$/) }), 'and a command runs');

my %host = map { $_ => readlink("/proc/self/ns/$_") } qw(user mnt net pid ipc uts cgroup);
my $stderr = readlink("/proc/$d->{pid}/fd/2");
sub role_of {
	my ($title) = @_;
	return $title =~ /^sandboxd: supervisor/ ? 'sandboxd' : $title =~ /^sandboxd: store/ ? 'sandboxd-store' :
	    $title =~ /^sandboxd-courier: egress/ ? 'sandboxd-courier --egress' :
	    $title =~ /^(sandboxd-\w+)/ ? $1 : 'command';
}
sub kind_of {
	my ($fd, $to) = @_;
	return 'stderr' if $fd == 2 && $to eq $stderr;
	return 'stderr' if $to eq $stderr && $fd == 1;	# of the supervisor: both are the log
	return 'null' if $to eq '/dev/null';
	return $1 if $to =~ /^(socket|pipe):/;
	return 'loop' if $to =~ /^anon_inode:\[?(?:eventpoll|eventfd|inotify|timerfd|signalfd)/;
	return 'pidfd' if $to =~ /pidfd|^pid:/;
	return 'memfd' if $to =~ m{^/memfd:};
	return 'netns' if $to =~ /^net:/;
	return 'cgroup' if $to =~ m{^/sys/fs/cgroup};
	return 'proc' if $to eq '/proc';
	return 'tree' if $to eq '/';
	return 'database' if $to =~ m{^\Q$d->{state}\E/store/(?:data|lock)\.mdb$};
	return 'agents' if $to =~ m{^\Q$d->{state}\E/agents(?:/|$)};
	return 'state' if $to =~ m{^\Q$d->{state}\E(?:/(?:lock|sandboxes)?|$)};
	return 'file';
}
my %seen;
for my $pid ($d->{pid}, descendants($d->{pid})) {
	my $title = Sandboxd::title_of($pid);
	next if $title =~ / app-server /;	# an agent; what it has is asked below
	my $role = role_of($title);
	my $row = $row{$role};
	ok($row, "$role has a row") or next;
	my $status = slurp("/proc/$pid/status") // next;
	$seen{$role}++;
	my ($uid) = $status =~ /^Uid:\s+(\d+)\t\g1\t\g1\t\g1$/m;
	my ($init) = grep { readlink("/proc/$_/ns/user") eq readlink("/proc/$pid/ns/user") } $d->children(qr/^sandboxd-init/);
	my ($low) = $init && (slurp("/proc/$init/uid_map") =~ /^\s*0\s+(\d+)/);
	my $want = $row->{uid} =~ /^base\+(\d)/ ? $base + $1 : $row->{uid} eq 'range+0' ? $low :
	    $row->{uid} eq 'range+user' ? $low + ($role eq 'command' ? 1000 : 0) : $row->{uid};
	is($uid // 'mixed', $want, "$role: uid");
	my @own = grep { readlink("/proc/$pid/ns/$_") ne $host{$_} } qw(user mnt net pid ipc uts cgroup);
	is(join(' ', sort @own), $row->{ns} eq 'all' ? 'cgroup ipc mnt net pid user uts' : $row->{ns} eq 'none' ? '' :
	    join(' ', sort split / /, $row->{ns}), "$role: namespaces");
	my $root = readlink("/proc/$pid/root") // '';
	is($root, $row->{root} =~ m{^(?:/|own)$} ? '/' : "$d->{state}/$row->{root}", "$role: root directory");
	my ($seccomp) = $status =~ /^Seccomp:\s+(\d)$/m;
	is($seccomp ? 'yes' : 'no', $row->{filter}, "$role: filter") unless
	    $ENV{SANDBOXD_SANITIZED} && $role =~ /store|relay|gateway|courier/;
	is($status =~ /^NoNewPrivs:\s+1$/m ? 'yes' : 'no', $row->{filter}, "$role: no_new_privs");
	like($status, qr/^CapEff:\s+0{16}$/m, "$role: no capability") if $row->{uid} =~ /^base/ || $role eq 'command';
	my %odd;
	for (glob("/proc/$pid/fd/*")) {
		my ($fd) = m{/(\d+)$};
		my $to = readlink($_) // next;
		my $kind = kind_of($fd, $to);
		$odd{"$kind: $to"} = 1 unless $row->{fds}{$kind};
	}
	is(join("\n", sort keys %odd), '', "$role: descriptors are of the kinds that the page names");
}
is(join(' ', grep { !$seen{$_} && $_ ne 'agent' } sort keys %row), '', 'every role of the table was seen');

# The same for a program that an agent's worker starts.
my @e = $d->turn('s', 'run ls -l /proc/self/fd | sed "s/.* -> //" | tr "\n" " "; grep -E "^(NoNewPrivs|Seccomp):" /proc/self/status');
my ($text) = map { item_text($_) } grep { $_->{type} eq 'item.completed' && $_->{data}{item}{kind} eq 'tool_result' } @e;
like($text, qr/NoNewPrivs:\s+1\s+Seccomp:\s+2/, 'agent: no_new_privs and a filter');
is(join(' ', grep { !$row{agent}{fds}{kind_of(9, $_)} && !m{^/proc/} } split ' ', $text =~ s/NoNewPrivs.*//sr =~ s/total 0//r), '',
    'agent: descriptors');
done_testing;
