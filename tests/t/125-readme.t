# The README's curl examples, run as they stand there: only the address is
# another. What comes must have the shape that is shown.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
need_program('curl', 'python3');

my $readme = slurp(root_dir() . '/README.md');
my ($section) = $readme =~ /^## HTTP\n(.*?)^## /ms;
ok($section, 'README has a section on HTTP') or BAIL_OUT('no examples');

# Blocks of [command, what it shows].
my @blocks;
while ($section =~ /^```\n(.*?)^```$/msg) {
	my @block;
	for my $line (split /\n/, $1) {
		if ($line =~ s/^\$ //) {
			push @block, [$line, []];
		} else {
			push @{$block[-1][1]}, $line;
		}
	}
	push @blocks, \@block;
}
cmp_ok(scalar @blocks, '>=', 5, 'examples are found');

my $open = Sandboxd->start(http => 1);
my $closed = Sandboxd->start(http => 1, token => 'the-administrator');
my $dir = Sandboxd->scratch_dir;

# JSON as its members and the kinds of their values, texts with the numbers, times
# and ids out of them.
sub shape {
	my ($v) = @_;
	return { map { $_ => shape($v->{$_}) } keys %$v } if ref $v eq 'HASH';
	return [map { shape($_) } @$v] if ref $v eq 'ARRAY';
	return ref $v ? 'BOOL' : !defined $v ? 'NULL' :
	    $v =~ /^\d{4}-\d\d-\d\dT[\d:.]+Z$/ ? 'TIME' :
	    $v =~ /^\d{3,}$/ ? 'BIG' : $v =~ /^\d+$/ ? 'NUMBER' : $v;
}

sub shape_of {
	my ($line) = @_;
	my ($front, $json) = $line =~ /^((?:data: )?)([\[{].*)$/s
	    or return $line;
	my $v = eval { from_json($json) } or return $line;
	my $s = shape($v);
	# How long it took, and which process it was, is chance.
	for (qw(durationMs pid status)) {
		$s->{$_} = 'NUMBER' if ref $s eq 'HASH' && ($s->{$_} // '') =~
		    /^(?:BIG|NUMBER)$/ && $_ ne 'status';
	}
	$s->{status} = $v->{status} if ref $s eq 'HASH' && exists $s->{status};
	$s->{exitCode} = $v->{exitCode} if ref $s eq 'HASH' &&
	    exists $s->{exitCode};
	return $front . to_json($s);
}

for my $i (0 .. $#blocks) {
	# The last block is about a server with a token.
	my $d = $i == $#blocks ? $closed : $open;
	my $script = "set -o pipefail\n";
	my $url = $d->url;
	my @want;
	for my $n (0 .. $#{$blocks[$i]}) {
		my ($command, $shown) = @{$blocks[$i][$n]};
		$command =~ s{http://127\.0\.0\.1:2468}{$url}g;
		# Messages and servers need their moment.
		$script .= "sleep 0.5\n" if $command =~ /sse|port/;
		$script .= "$command\necho; echo '=== $n' \$?\n";
	}
	my $got = run_cmd(['bash', '-c', $script], dir => $dir, timeout => 60,
	    env => { PATH => build_dir() . ":$ENV{PATH}",
		SANDBOXD_SOCKET => $d->{socket} });
	my @parts = split /^=== \d+ \d+\n/m, $got->{out};
	for my $n (0 .. $#{$blocks[$i]}) {
		my ($command, $shown) = @{$blocks[$i][$n]};
		my @lines = grep { $_ ne '' } split /\n/, $parts[$n] // '';
		s/\Q$url\E/http:\/\/127.0.0.1:2468/g for @lines;
		is(join("\n", map { shape_of($_) } @lines),
		    join("\n", map { shape_of($_) } grep { $_ ne '' } @$shown),
		    "README: $command") or diag($got->{err});
	}
}

# What else it says of the interface.
like(slurp(root_dir() . '/doc/sandboxd-http.7'), qr/\.Sh ROUTES/,
    'the manual that it names is there');

done_testing;
