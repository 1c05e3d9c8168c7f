# A database of a newer schema is refused, with words that help: both versions and what
# to do, an exit status of its own, which the unit of systemd does not answer by trying
# again, and sandboxctl doctor, which needs no daemon. Going back to what knows it works.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
$d->ok('session.create', { id => 'keep', agent => 'mock' });
$d->turn('keep', 'this stays');
my @keep = $d->event_texts('keep');
my $schema = $d->ok('status')->{store}{schema};
cmp_ok($schema, '>=', 2, "status tells the schema: $schema");

sub doctor {
	my $r = run_cmd([Sandboxd::program('sandboxctl'), 'doctor', '--config',
	    "$d->{dir}/doctor", '--json']);
	my ($check) = grep { $_->{name} eq 'database' } @{from_json($r->{out})->{checks}};
	return ($check // {}, $r);
}
spew("$d->{dir}/doctor", "[daemon]\nlibexec_dir = " . build_dir() . "\n"
    . "state_dir = $d->{state}\nrun_dir = $d->{run}\n");
my $data = "$d->{state}/store/data.mdb";
ok($d->stop, 'it ends');
my ($good) = doctor();
is($good->{state}, 'ok', 'doctor finds it good') or diag(Sandboxd::to_json($good));
like($good->{detail}, qr/schema $schema/, 'and names the schema');

my $was = slurp($data);
(my $newer = $was) =~ s/schema$schema/schema9/g;
isnt($newer, $was, 'a database of schema 9');
spew($data, $newer);
my $r = run_cmd([$d->argv]);
is($r->{status}, 102, 'an exit status of its own');
like($r->{err}, qr/schema 9 .*\(\d[\w.]*\) knows $schema at most/, 'both versions');
like($r->{err}, qr/Install .*--restore/, 'and what to do');
my ($bad, $all) = doctor();
is($bad->{state}, 'missing', 'doctor finds it');
like($bad->{detail}, qr/schema 9.*knows $schema/, 'with both versions');
like($bad->{mend}, qr/install .*--restore/, 'and what to do');
is($all->{status}, 1, 'which is its exit status');
is(slurp($data), $newer, 'nobody has changed the file');

my $unit = slurp("$FindBin::Bin/../../contrib/systemd/sandboxd.service.in");
my ($never) = $unit =~ /^RestartPreventExitStatus=(.*)/m;
ok((grep { $_ eq '102' } split ' ', $never), 'systemd does not try again');
like(slurp("$FindBin::Bin/../../doc/sandboxd.8"), qr/^\.It 102\n/m, 'the manual has it');

spew($data, 'x' x length $was);
(my $damaged) = doctor();
is($damaged->{state}, 'missing', 'a damaged one is told from that');
like($damaged->{detail}, qr/cannot be read/, 'as what it is');
unlink($data);
is((doctor())[0]{detail}, 'none yet', 'and none');

spew($data, $was);
$d->launch;
is_deeply([ $d->event_texts('keep') ], \@keep, 'back to ours: all is there');
ok($d->stop, 'it ends');
is(join("\n", $d->leftovers), '', 'nothing is left');
done_testing;
