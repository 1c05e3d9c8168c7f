# sandboxctl on a terminal, driven through tmux: permission prompts inline,
# Ctrl-C, a shell with job control and window size.
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
sub screen { return tmux('capture-pane', '-p', '-J', '-t', 'w')->{out} }
sub press { tmux('send-keys', '-t', 'w', @_) }
sub type_line { tmux('send-keys', '-t', 'w', '-l', $_[0]); press('Enter') }

# Wait for something on the screen; fails the test with what there was.
sub shows {
	my ($pattern, $name, $seconds) = @_;
	my $ok = wait_for($seconds // 15, sub { screen() =~ $pattern });
	ok($ok, $name) or diag(screen());
	return $ok;
}

is(tmux('new-session', '-d', '-s', 'w', '-x', '120', '-y', '40', 'sh')->{status}, 0,
    'a terminal');
type_line('PS1="READY> "; clear');
shows(qr/^READY>/m, 'a prompt');

# Permissions asked inline.
my $repo = "$dir/repo";
mkdir($repo);
spew("$repo/f", "f\n");
type_line("clear; $ctl run mock permission --dir $repo --sandbox-id ask; echo STATUS \$?");
shows(qr/echo mock/, 'what is to be permitted is shown');
shows(qr/allow\?/, 'and asked for');
type_line('perhaps');
shows(qr/allow\?.*allow\?/s, 'asked again after a word that is none');
type_line('y');
shows(qr/deny\.txt/, 'the second is shown');
wait_for(10, sub { (() = screen() =~ /allow\?/g) >= 3 });
type_line('n');
my @got;
wait_for(10, sub {
	@got = map { $_->{data}{status} } grep { $_->{type} eq 'permission.resolved' }
	    $d->events('ask');
	@got == 2
});
is("@got", 'accept reject', 'and were answered as typed');
# The mock's turn has no end after a request: Ctrl-C ends it.
wait_for(2, sub { screen() =~ /STATUS/ }) or press('C-c');
shows(qr/STATUS \d+/, 'it ends');

# Questions.
type_line("clear; $ctl run mock question --dir $repo --sandbox-id quest; echo STATUS \$?");
shows(qr/Choose a color.*Red.*Blue.*answer/s, 'a question with its options');
type_line('2');
wait_for(10, sub { scalar grep { $_->{type} eq 'question.resolved' }
    $d->events('quest') });
my ($answer) = grep { $_->{type} eq 'question.resolved' } $d->events('quest');
is($answer->{data}{response}, 'Blue', 'answered by its number');
shows(qr/Allow mock experiment/, 'the next question');
press('Enter');
wait_for(10, sub { 2 == grep { $_->{type} eq 'question.resolved' }
    $d->events('quest') });
is((grep { $_->{type} eq 'question.resolved' } $d->events('quest'))[1]{data}{status},
    'rejected', 'declined by an empty line');
wait_for(2, sub { screen() =~ /STATUS/ }) or press('C-c');
shows(qr/STATUS \d+/, 'it ends');

# Ctrl-C cancels the turn, and the sandbox is not left behind.
type_line("clear; $ctl run mock 'run sleep 400' --dir $repo --sandbox-id slow; echo STATUS \$?");
ok(wait_for(15, sub { scalar $d->children(qr/^sleep 400/) }), 'a long turn');
press('C-c');
shows(qr/STATUS (\d+)/, 'Ctrl-C ends it');
my ($status) = screen() =~ /STATUS (\d+)/;
isnt($status, 0, "with a status of its own ($status)");
ok(wait_for(10, sub { !$d->children(qr/^sleep 400/) }), 'and the work');
ok(wait_for(10, sub { $d->error('sandbox.get', { id => 'slow' }) eq
    'sandbox_not_found' }), 'the sandbox is gone');

# A shell.
$d->ok('sandbox.create', { id => 'sh' });
type_line("clear; $ctl shell sh; echo STATUS \$?");
wait_for(10, sub { screen() =~ /[#\$] *$/m });
type_line('echo in-$((20 + 3)); hostname; tty');
shows(qr/^in-23\nsh\n\/dev\/pts\/\d+/m, 'a shell in the sandbox, on a terminal');
type_line('stty size');
shows(qr/^40 120$/m, 'of our size');
tmux('resize-window', '-t', 'w', '-x', '100', '-y', '30');
type_line('clear; stty size');
shows(qr/^30 100$/m, 'that follows ours');
type_line('clear; sleep 500');
ok(wait_for(10, sub { scalar $d->children(qr/^sleep 500/) }), 'a command in front');
press('C-z');
shows(qr/[Ss]topped/, 'Ctrl-Z stops it');
type_line('kill %1; fg');
ok(wait_for(10, sub { !$d->children(qr/^sleep 500/) }), 'job control works');
type_line('clear; sleep 501');
wait_for(10, sub { scalar $d->children(qr/^sleep 501/) });
press('C-c');
ok(wait_for(10, sub { !$d->children(qr/^sleep 501/) }), 'Ctrl-C goes to the command');
type_line('clear; exit 5');
shows(qr/STATUS 5/, 'the shell\'s exit status is ours');
type_line('clear; stty -a | grep -o "[-]*echo "');
shows(qr/^echo $/m, 'our terminal is as it was');

# The terminal of a shell that is killed from outside comes back too.
type_line("clear; $ctl shell sh; echo STATUS \$?");
wait_for(10, sub { screen() =~ /[#\$] *$/m });
$d->ok('sandbox.stop', { id => 'sh', grace_ms => 200 });
shows(qr/STATUS \d+/, 'a shell whose sandbox is stopped ends');
type_line('clear; stty -a | grep -o "[-]*icanon"');
shows(qr/^icanon/m, 'and leaves the terminal in order');

done_testing;
