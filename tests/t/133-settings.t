# Settings of a session: models, modes and thought levels are changed while it
# lives and are the same in the next worker; what the agent does not have is
# refused and changes nothing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
$d->ok('session.create', { id => 's', agent => 'mock', model => 'one',
    thought_level => 'low' }, timeout => 30);

sub settings {
	my $s = $d->ok('session.get', { id => 's' });
	return join(' ', map { $s->{$_} // '-' }
	    qw(model permission_mode agent_mode thought_level));
}

is(settings(), 'one default build low', 'as it was made');
$d->ok('session.configure', { id => 's', model => 'two' });
$d->ok('session.configure', { id => 's', permission_mode => 'plan',
    thought_level => 'high' });
$d->ok('session.configure', { id => 's', agent_mode => 'plan' });
is(settings(), 'two plan plan high', 'changed');
$d->error('session.configure', { id => 's', thought_level => 'deep', model => 'three' },
    'mode_not_supported');
$d->error('session.configure', { id => 's', agent_mode => 'odd' }, 'mode_not_supported');
is(settings(), 'two plan plan high', 'what is refused changes nothing');
$d->turn('s', 'say hello');
for my $how ('TERM', 'KILL') {
	$d->restart($how);
	is(settings(), 'two plan plan high', "the same after $how");
	my @e = $d->turn('s', 'say again');
	is($e[-1]{type}, 'turn.ended', 'and it works');
	is(settings(), 'two plan plan high', 'with them');
}
my ($worker) = $d->children(qr/sandboxd-session/);
kill('KILL', $worker) if $worker;
ok(wait_for(20, sub { my @e = eval { $d->turn('s', 'say once more') };
    @e && $e[-1]{type} eq 'turn.ended' }), 'a worker that died is replaced');
is(settings(), 'two plan plan high', 'and so it stays');
$d->error('session.create', { id => 't', agent => 'mock', thought_level => 'deep' },
    'mode_not_supported');

done_testing;
