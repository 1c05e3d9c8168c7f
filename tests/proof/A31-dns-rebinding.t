# A31: a name answers with a public address, then with a private one. The address that was
# checked is the one that is dialled; the name is asked for once for each connection.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::World;
use Test::More;

need_program('curl');
my $w = Sandboxd::World->new(names => {
	'turn.example' => [['11.22.33.44'], ['10.9.8.7']],
	'mixed.example' => [['11.22.33.44', '10.9.8.7', '169.254.169.254']] });
my $d = Sandboxd->start(conf => $w->conf);
$d->ok('sandbox.create', { id => 'open', network => 'filtered', egress => {
    allow => ['*.example', '10.0.0.0/8', '169.254.0.0/16'] } });
$d->ok('sandbox.create', { id => 'f', network => 'filtered', egress => { allow => ['*.example'] } });

sub run { my ($box, $name) = @_;
    return split /\n/, $d->sh($box, "for i in \$(seq 20); do curl -sS -m 20 -o /dev/null -w "
    . "'%{http_code}\\n' http://$name/ 2>&1; done")->{stdout} }
sub where { my %n; $n{(split)[0]}++ for $w->arrivals; return \%n }

run('open', 'turn.example');
is_deeply(where(), { '11.22.33.44' => 10, '10.9.8.7' => 10 },
    'with the guard off every second request reaches the private address');
$w->forget;
my @codes = run('f', 'turn.example');
is(() = grep({ $_ eq '200' } @codes), 10, 'with it every second one is served');
is(() = grep({ $_ eq '403' } @codes), 10, 'and every second one refused');
is_deeply(where(), { '11.22.33.44' => 10 }, 'the private address is never reached');
is(() = grep({ /^turn\.example A$/ } $w->queries), 20, 'each connection asks once');
$w->forget;
run('f', 'mixed.example');
is_deeply(where(), { '11.22.33.44' => 20 }, 'of several addresses only the public one is dialled');

done_testing;
