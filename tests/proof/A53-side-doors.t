# A53: settings of agents, hooks and shell files that a sandbox writes are read by
# nothing outside it: not by the daemon's processes, not by sandboxctl.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
need_program('git', 'strace');
my $marks = Sandboxd->scratch_dir(0777);
my $work = Sandboxd->scratch_dir(0777);
my @git = ('git', '-c', 'safe.directory=*', '-C', $work);
run_cmd([@git, 'init', '-q']);
spew("$work/f", "1\n");
run_cmd([@git, '-c', 'user.name=n', '-c', 'user.email=e@x', 'commit', '-q', '--allow-empty', '-m', 'x']);
run_cmd(['chown', '-R', '1000:1000', $work]);
my $d = Sandboxd->start(http => 1);
my @doors = qw(.claude/settings.json .claude.json .codex/config.toml .mcp.json .bashrc .profile .bash_profile .zshrc
    .envrc .npmrc .gitconfig .vscode/tasks.json .cursor/mcp.json Makefile package.json .git/hooks/post-checkout
    .git/hooks/pre-commit .git/hooks/post-index-change);
my $plant = 'cd /w; for f in ' . join(' ', @doors) . '; do mkdir -p $(dirname $f); '
    . "printf '#!/bin/sh\\ntouch $marks/'\$(echo \$f | tr / _)'\\n' >\$f; chmod 755 \$f; done; "
    . "git -c safe.directory='*' config core.fsmonitor 'touch $marks/fsmonitor; false'; "
    . "git -c safe.directory='*' config core.pager 'touch $marks/pager; cat'; echo 2 >>f";
my $ctl = program('sandboxctl');
my @ctl = ($ctl, '--socket', $d->{socket});
my $home = Sandboxd->scratch_dir;
for my $mode (qw(cow rw)) {
	$d->ok('sandbox.create', { id => $mode, mounts => [{ source => $work, target => '/w', mode => $mode }] });
	my $trace = "$home/trace-$mode";
	my $tracer = fork // die;
	if ($tracer == 0) {
		exec('strace', '-f', '-qq', '-o', $trace, '-e', 'trace=open,openat,openat2,execve,execveat',
		    map { ('-p', $_) } $d->{pid}, $d->children(qr/store|relay|gateway/));
	}
	wait_for(10, sub { (slurp("/proc/$d->{pid}/status") // '') =~ /TracerPid:\s+[1-9]/ }) or BAIL_OUT('no strace');
	my $r = $d->sh($mode, $plant);
	is($r->{exit_code}, 0, "$mode: the doors are planted") or diag($r->{stderr});
	$d->ok('session.create', { id => "s$mode", agent => 'mock', sandbox => $mode, directory => '/w' });
	$d->turn("s$mode", 'run ls -la');
	for my $cmd (['diff', $mode], ['ls'], ['exec', $mode, '--', 'true'], ['show', $mode]) {
		my $got = run_cmd([@ctl, @$cmd], dir => $work, env => { HOME => $work, SHELL => '/bin/bash' }, timeout => 30);
		isnt($got->{out}, '', "$mode: sandboxctl diff shows what has changed") or diag($got->{err})
		    if $cmd->[0] eq 'diff' && $mode eq 'cow';
	}
	$d->http(GET => "/i/$mode/v1/fs/entries?path=/w");
	$d->ok('sandbox.destroy', { id => $mode });
	kill('INT', $tracer);
	waitpid($tracer, 0);
	my @read = grep { m{"[^"]*/(?:\.claude|\.codex|\.mcp|\.bashrc|\.profile|\.git/|\.npmrc|\.gitconfig)} && !/O_PATH/ }
	    grep { /\Q$work\E/ } split /\n/, slurp($trace);
	is(join("\n", @read), '', "$mode: no process of the daemon opens one of them");
	is(join(' ', map { s{.*/}{}r } glob("$marks/*")), '', "$mode: none of them was run");
}
ok(-e "$work/.claude/settings.json", 'they do lie on the host, by the read-write mount');
# Where somebody reads them they work: git does, as whoever trusts the directory.
run_cmd([@git, 'status'], timeout => 20);
ok(-e "$marks/fsmonitor", 'git on the host runs what the sandbox has put there');
done_testing;
