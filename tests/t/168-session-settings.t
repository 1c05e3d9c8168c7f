# Modes and thought levels of sessions over HTTP: named at the beginning and changed
# later, words of an agent's own among them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start(http => 1, agents => { 'own.json' => { id => 'own',
    name => 'Own', protocol => 'mock', permission_modes => ['default', 'plan'],
    agent_modes => ['*'] } });
sub create { return $d->http('POST', "/v1/sessions/$_[0]", json => $_[1]) }
sub patch { return $d->http('PATCH', "/v1/sessions/$_[0]", json => $_[1]) }
sub get { return $d->http('GET', "/v1/sessions/$_[0]")->{json} }

my $r = create('a', { agent => 'mock', agentMode => 'plan', thoughtLevel => 'high' });
is($r->{status}, 200, 'a session with a mode and a thought level') or diag($r->{body});
is(get('a')->{agentMode}, 'plan', 'its mode');
is(get('a')->{thoughtLevel}, 'high', 'its thought level');
is(create('b', { agent => 'mock' })->{status}, 200, 'one without');
ok(!exists get('b')->{thoughtLevel}, 'has none');

for (['thoughtLevel', 'low'], ['agentMode', 'build'], ['model', 'mock-fast'],
    ['permissionMode', 'plan']) {
	my ($name, $value) = @$_;
	$r = patch('a', { $name => $value });
	is($r->{status}, 204, "PATCH $name") or diag($r->{body});
	ok(wait_for(5, sub { (get('a')->{$name} // '') eq $value }), "is $value")
	    or diag(to_json(get('a')));
}
$r = patch('a', { agentMode => 'plan', thoughtLevel => 'medium', model => 'mock' });
is($r->{status}, 204, 'several at one time');
is(patch('a', {})->{status}, 422, 'none of them');
is(patch('a', { colour => 'red' })->{status}, 422, 'only others');
is(patch('a', { $_ => '' })->{status}, 422, "$_ empty")
    for qw(model permissionMode agentMode thoughtLevel);
is(patch('a', { $_ => 'x' x 65 })->{status}, 422, "$_ too long")
    for qw(permissionMode agentMode thoughtLevel);
is(patch('a', { $_ => 5 })->{status}, 422, "$_ no text")
    for qw(permissionMode agentMode thoughtLevel);
is(patch('none', { thoughtLevel => 'x' })->{status}, 404, 'of nobody');
is(patch('a', { agentMode => 'fly' })->{status}, 400, 'a mode that mock has not');

# An agent that takes any word by its definition, and then does not.
$r = create('c', { agent => 'own', agentMode => 'mine' });
is($r->{status}, 400, 'a mode that its worker does not know');
is($r->{json}{type}, 'urn:sandbox-agent:error:mode_not_supported', 'is told so');
is_deeply($r->{json}{details}, { mode => 'mine' }, 'by name');
is(create('d', { agent => 'own', permissionMode => 'm' x 64 })->{status}, 400,
    'nor a permission mode');
is(create('e', { agent => 'mock', permissionMode => 'x' x 65 })->{status}, 422,
    'nor longer ones');

done_testing;
