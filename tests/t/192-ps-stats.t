# The processes and figures of sandboxes.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
need_program('tmux');
my $d = Sandboxd->start;
my $dir = Sandboxd->scratch_dir;
$d->ok('sandbox.create', { id => 'x', limits => { pids => 300 } });
$d->ok('sandbox.create', { id => 'y' });

sub ps {
	my $r = $d->ctl(['--json', 'ps', @_]);
	return $r->{status} ? undef : from_json($r->{out});
}

# A process with words that mean something to terminals and to readers of lines.
my $nasty = "sl\e[31m\n{\"pid\":7}\n\x{1}";
my $sleep = $d->ok('process.create', { id => 'x', user => '1234:77',
    command => ['perl', '-e', 'sleep 600', $nasty, 'w' x 100] });
my ($p) = grep { ($_->{argv}[0] // '') eq 'perl' } @{ps('x')};
ok($p, 'it is listed') or diag(to_json(ps('x')));
is($p->{argv}[3], $nasty, 'with its words as they are');
is($p->{uid}, 1234, 'its user');
is($p->{pid}, $sleep->{pid}, 'its number inside');
is($p->{ppid}, 1, 'its parent');
like($p->{state}, qr/^[SR]$/, 'its state');
ok(abs($p->{started_at} / 1000 - time) < 100, 'its start');
ok($p->{rss} > 100000, 'its memory');
my $r = $d->ctl(['ps', 'x']);
unlike($r->{out}, qr/[\e\x01]/, 'what reaches a terminal is clean');
is(scalar(() = $r->{out} =~ /\n/g), 3, 'a line each: a header, init, and it');
is(scalar(@{ps('y')}), 1, 'another sandbox\'s are not seen');
my ($init) = grep { $_->{pid} == 1 } @{ps('y')};
is($init->{name}, 'sandboxd-init', 'process 1');

# Many words, one that is too long, one that has none.
$d->exec('x', 'perl -e \'$0 = "" ; exec {"/bin/sleep"} "sleep", ("w" x 3000), ("v" x 3000)\' '
    . '>/dev/null 2>&1 & (exec -a "" sleep 599) & sleep 0.1');
$d->ok('process.create', { id => 'x', command => ['sh', '-c',
    'sleep 598; : ' . 'q' x 9000] });
ok(wait_for(10, sub { ($p) = grep { $_->{argv_cut} } @{ps('x')} }), 'a long one is cut, and told to be');
ok(length(join '', @{$p->{argv}}) <= 4096, 'at its bound');

# To one who has no descriptors to send: items.
$r = $d->request('sandbox.processes', { id => 'x' }, timeout => 30);
my $text = join '', map { $_->{data} } @{$r->{items}};
ok($r->{ok}{entries} >= 3, 'the number of them');
is(scalar(grep { from_json($_)->{pid} } split /\n/, $text), $r->{ok}{entries}, 'a line each');
is($d->error('sandbox.processes', { id => 'none' }), 'sandbox_not_found', 'of no sandbox');
like($d->ctl(['ps', 'none'])->{err}, qr/no such sandbox/, 'as people are told');

# Figures.
my $s = $d->ok('sandbox.stats', { id => 'x' })->{sandboxes}[0];
is("$s->{id} $s->{state}", 'x running', 'figures of one');
cmp_ok($s->{usage}{pids}, '>=', 3, 'processes');
is($s->{limits}{pids}, 300, 'and how many there may be');
my $cpu = $s->{usage}{cpu_usec};
$d->exec('x', ['perl', '-e', '1 while times < 0.3']);
$s = $d->ok('sandbox.stats', { id => 'x' })->{sandboxes}[0];
cmp_ok($s->{usage}{cpu_usec} - $cpu, '>=', 250000, 'processor time grows');
my ($psi) = map { "/sys/fs/cgroup$_/cpu.pressure" } '', '/unified';
SKIP: {
	skip 'the kernel tells no pressure', 3 if !-e '/proc/pressure/cpu';
	for (qw(cpu memory io)) {
		like($s->{pressure}{$_}{some}{total_usec}, qr/^\d+$/, "pressure of $_");
	}
}
ok(!grep({ !defined || $_ eq '' } %{$s->{usage}}), 'no figure is made up');
is(join(' ', sort map { $_->{id} } @{$d->ok('sandbox.stats')->{sandboxes}}), 'x y', 'of all');
$d->ok('sandbox.stop', { id => 'y', grace_ms => 0 });
$s = $d->ok('sandbox.stats', { id => 'y' })->{sandboxes}[0];
ok($s->{state} eq 'stopped' && !$s->{usage}, 'one that is stopped has none');
is($d->error('sandbox.stats', { id => 'none' }), 'sandbox_not_found', 'none of none');
$r = $d->ctl(['stats', 'x']);
like($r->{out}, qr/^ID .*\nx +running /, 'as a table');
$r = $d->ctl(['stats', '--json', 'x']);
is(from_json($r->{out})->{id}, 'x', 'as JSON');

# Again and again on a terminal.
my $server = "$dir/tmux.sock";
my $owner = $$;
END { tmux('kill-server') if $server && $$ == $owner }
sub tmux { return run_cmd(['tmux', '-S', $server, '-f', '/dev/null', @_],
    env => { TERM => 'xterm-256color', TMUX => '' }) }
sub screen { return tmux('capture-pane', '-p', '-J', '-t', 'w')->{out} }
tmux('new-session', '-d', '-s', 'w', '-x', '160', '-y', '20', 'sh');
tmux('send-keys', '-t', 'w', '-l', program('sandboxctl') .
    " --socket $d->{socket} stats --watch --interval 200ms; echo LEFT \$?");
tmux('send-keys', '-t', 'w', 'Enter');
ok(wait_for(15, sub { screen() =~ /^x +running/m }), 'a screen of figures') or diag(screen());
$d->ok('sandbox.create', { id => 'later' });
ok(wait_for(15, sub { screen() =~ /^later +running/m }), 'which follows') or diag(screen());
my $headers = () = screen() =~ /^ID /mg;
is($headers, 1, 'in place');
tmux('send-keys', '-t', 'w', 'C-c');
ok(wait_for(15, sub { screen() =~ /LEFT 0/ }), 'Ctrl-C ends it') or diag(screen());
done_testing;
