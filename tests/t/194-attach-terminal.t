# A terminal that one can leave and come back to, driven through tmux: keys,
# what was printed before, the window's size, two viewers, the end.
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
my $server = "$dir/tmux.sock";
my $ctl = program('sandboxctl') . " --socket $d->{socket}";
my $owner = $$;
END { tmux('kill-server') if $server && $$ == $owner }

sub tmux { return run_cmd(['tmux', '-S', $server, '-f', '/dev/null', @_],
    env => { TERM => 'xterm-256color', TMUX => '' }) }
sub screen { return tmux('capture-pane', '-p', '-J', '-t', $_[0] // 'w')->{out} }
sub press { tmux('send-keys', '-t', 'w', @_) }
sub type_line { tmux('send-keys', '-t', 'w', '-l', $_[0]); press('Enter') }
sub shows {
	my ($pattern, $name, $pane) = @_;
	my $ok = wait_for(20, sub { screen($pane) =~ $pattern });
	ok($ok, $name) or diag(screen($pane));
	return $ok;
}

$d->ok('sandbox.create', { id => 'x' });
is(tmux('new-session', '-d', '-s', 'w', '-x', '100', '-y', '30', 'sh')->{status}, 0, 'a terminal');
type_line('PS1="OUT> "; clear');
shows(qr/^OUT>/m, 'a prompt');

# The plain way: the size follows the window.
type_line("clear; $ctl exec -t x sh");
shows(qr/^# /m, 'a shell inside');
type_line('stty size');
shows(qr/^30 100/m, 'of our size');
tmux('resize-window', '-t', 'w', '-x', '90', '-y', '25');
wait_for(10, sub {
	type_line('clear; stty size');
	return wait_for(1, sub { screen() =~ /^25 90/m });
});
shows(qr/^25 90/m, 'and of the new one');
type_line('exit 6');
shows(qr/^OUT>/m, 'left');
type_line('echo CODE $?');
shows(qr/CODE 6/, 'with its code');

# One that can be left.
type_line("clear; $ctl exec -t --detach-keys ctrl-p,ctrl-q x sh");
shows(qr/^# /m, 'a shell that can be left');
type_line('MARK=mark; echo $MARK-one; tty');
shows(qr/mark-one.*pts/s, 'does what it is told');
type_line('echo $$ >/tmp/pid');
press('C-p');
press('x');
press('C-u');
type_line('echo half');
shows(qr/^half/m, 'half of the keys are no keys');
press('C-p', 'C-q');
shows(qr/process 1 goes on/, 'the keys leave it');
shows(qr/^OUT>/m, 'and we are outside');
is($d->ok('process.get', { id => 'x', process => 1 })->{state}, 'running', 'it goes on');
type_line("clear; $ctl attach x 1");
shows(qr/mark-one/, 'what it had printed is there again');
type_line('clear; echo $MARK-two; stty size; cat /tmp/pid; echo $$');
shows(qr/^mark-two\s+25 90\s+(\d+)\s+\1$/m, 'the same shell, of our size');
tmux('resize-window', '-t', 'w', '-x', '80', '-y', '24');
# The size goes another way than what is typed.
wait_for(10, sub {
	type_line('clear; stty size');
	return wait_for(1, sub { screen() =~ /^24 80/m });
});
shows(qr/^24 80/m, 'whose size follows');

# A second viewer sees the same.
tmux('new-session', '-d', '-s', 'v', '-x', '80', '-y', '24', "$ctl attach x 1; sleep 60");
shows(qr/24 80/, 'a second viewer', 'v');
type_line('echo both-of-you');
shows(qr/^both-of-you/m, 'sees what the first types', 'v');

# The end, seen by both; its code is kept.
type_line('exit 9');
shows(qr/^OUT>/m, 'the shell ends');
type_line('echo CODE $?');
shows(qr/CODE 9/, 'with its code');
is($d->ctl(['wait', 'x', 1])->{status}, 9, 'which stays');

# Other keys, Ctrl-C that goes to the process, a process without a terminal.
type_line("clear; $ctl exec -t --detach-keys ctrl-] x sh -c 'trap \"echo INT\" INT; echo UP; while :; do sleep 0.1; done'");
shows(qr/^UP/m, 'other keys');
press('C-c');
shows(qr/INT/, 'Ctrl-C is the process\'s');
press('C-]');
shows(qr/goes on/, 'the key leaves');
my ($run) = grep { $_->{state} eq 'running' } @{$d->ok('process.list', { id => 'x' })->{processes}};
$d->ok('process.signal', { id => 'x', process => $run->{process}, signal => 9, timeout_ms => 10000 });
type_line("clear; $ctl exec -d x sh -c 'while :; do echo tick; sleep 0.2; done'; $ctl attach x " .
    ($run->{process} + 1));
shows(qr/tick/, 'without a terminal');
press('C-c');
shows(qr/goes on/, 'Ctrl-C leaves it');

# The sandbox ends under a viewer: told, terminal as it was.
type_line("clear; $ctl exec -t --detach-keys ctrl-] x sh");
shows(qr/^# /m, 'a shell again');
$d->ok('sandbox.stop', { id => 'x', grace_ms => 0 });
shows(qr/OUT>/, 'is over with its sandbox');
type_line('clear; stty -a | grep -o " icanon"');
shows(qr/^ ?icanon/m, 'and the terminal is as it was');
done_testing;
