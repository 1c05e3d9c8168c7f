# Claude Code in a sandbox with filtered network: it reaches its model through the proxy,
# and nothing else.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::World;
use Agents;
use Test::More;

need_root();
my $w = Sandboxd::World->new(names => { 'llm.example' => ['127.0.0.1'],
    'other.example' => ['11.22.33.44'] });
my $d = claude_daemon(conf => $w->conf);
my $llm = Agents::FakeLlm->start;
my $base = "http://llm.example:$llm->{port}";
$d->ok('sandbox.create', { id => 'talk', network => 'filtered', directory => '/tmp',
    egress => { allow => ['llm.example', "127.0.0.1:$llm->{port}"] } });
$d->ok('session.create', { id => 'talk', sandbox => 'talk', agent => 'claude',
    env => { %{claude_env($llm)}, ANTHROPIC_BASE_URL => $base } }, timeout => 30);

my @e = $d->turn('talk', 'Say hello.');
like(answer_text(@e), qr/You said: Say hello\./, 'an answer of the model');
is((grep { ($_->{method} // '') eq 'POST' && ($_->{agent} // '') =~ /^claude-cli/ }
    $llm->seen('request')) > 0, 1, 'which the real agent asked');
@e = $d->turn('talk', 'fake:stream n=5 delay=30');
ok((grep { $_->{type} eq 'item.delta' && !$_->{synthetic} } @e) >= 5, 'streamed piece by piece');

my @told = grep { $_->{event} eq 'egress' } @{$d->ok('sandbox.events', { id => 'talk' })->{events}};
ok((grep { $_->{decision} eq 'allow' && $_->{host} eq 'llm.example' } @told) > 0,
    'each of its connections is in the log');
is((grep { $_->{decision} eq 'allow' && $_->{host} ne 'llm.example' } @told) + 0, 0,
    'and none went elsewhere');
is($d->sh('talk', 'curl -sS -m 10 -o /dev/null -w "%{http_code}" http://other.example/')
    ->{stdout}, 403, 'nor could');
is(() = $w->arrivals, 0, 'nobody else has heard of it');

# Without a rule it cannot talk to its model, and says so.
$d->ok('sandbox.update', { id => 'talk', egress => {} });
@e = $d->turn('talk', 'Are you there?');
unlike(answer_text(@e), qr/You said: Are you there/, 'without the rule there is no answer');

done_testing;
