# contrib/Dockerfile without an engine to build it: what its last stage installs is
# what the programs are linked with, and its words are options that exist.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_program('dpkg', 'objdump');

my $text = slurp(root_dir() . '/contrib/Dockerfile');
ok($text, 'it is there') or BAIL_OUT('no Dockerfile');
$text =~ s/^#.*\n//mg;
$text =~ s/\\\n\s*/ /g;
my @stages = split /^FROM /m, $text;
is(scalar @stages, 3, 'two stages');
like($stages[1], qr{COPY contrib/packages.build }, 'the first installs what the '
    . 'build needs from our own list');
my ($installed) = $stages[2] =~ /apt-get install -y --no-install-recommends (.*?) &&/;
my %has = map { $_ => 1 } split ' ', $installed // '';
ok($has{'ca-certificates'}, 'the courier can trust somebody');
delete $has{'ca-certificates'};

# Which library is in which package, by the lists that dpkg keeps.
my %package;
for my $list (glob('/var/lib/dpkg/info/lib*.list')) {
	my ($name) = $list =~ m{([^/:]+)(?::\w+)?\.list$};
	$package{$_} //= $name for slurp($list) =~ m{/(lib[^/\n]+\.so\.[\d.]+)$}mg;
}
my %wants;
for my $program (glob(build_dir() . '/sandbox{d,ctl}*')) {
	next if !-f $program || !-x _;
	for (run_cmd(['objdump', '-p', $program])->{out} =~ /^\s+NEEDED\s+(\S+)/mg) {
		next if /^(?:lib(?:c|m|dl|rt|pthread|asan|ubsan)|ld-linux.*)\.so/;
		$wants{$package{$_} // "whose is $_?"} = 1;
	}
}
cmp_ok(scalar(keys %wants), '>', 5, 'the programs are linked with libraries');
is(join(' ', sort keys %has), join(' ', sort keys %wants),
    'the last stage installs exactly their packages');

my ($entry) = $stages[2] =~ /^ENTRYPOINT (\[.*\])$/m;
is(join(' ', @{from_json($entry)}[-2, -1]), '/usr/sbin/sandboxd --',
    'sandboxd is the init of what is run');
ok(from_json($1), 'and there is a command') if $stages[2] =~ /^CMD (\[.*\])$/m;

done_testing;
