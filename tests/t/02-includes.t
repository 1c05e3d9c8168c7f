# The folder is the trust boundary: who may include whom, checked line by line.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

my %may = (
	lib => [],
	sandbox => [qw(lib)],
	supervisor => [qw(lib sandbox)],
	store => [qw(lib)],
	init => [qw(lib sandbox)],
	session => [qw(lib)],
	relay => [qw(lib)],
	gateway => [qw(lib)],
	courier => [qw(lib sandbox egress)],
	egress => [qw(lib)],
	ctl => [qw(lib sandbox)],
);
# The only user of each outside library, by folder.
my %only = (
	'lmdb.h' => qr{^(?:store/|gateway/db\.c)},
	'seccomp.h' => qr{^sandbox/},
	'microhttpd.h' => qr{^gateway/},
	'gnutls/' => qr{^gateway/http_tls\.c},
	'wslay/' => qr{^gateway/ws\.c},
	# The store scans appends itself, without a tree.
	'yajl/' => qr{^(?:lib/json(?:_\w+)?|store/append)\.c$},
	'archive.h' => qr{^courier/unpack\.c},
	'archive_entry.h' => qr{^courier/unpack\.c},
	'ares.h' => qr{^egress/resolve\.c},
	'curl/' => qr{^(?:courier|ctl/http)/},
);
my $src = root_dir() . '/src';
my @files = split /\n/,
    run_cmd(['find', $src, '-name', '*.[ch]', '-type', 'f'])->{out};

ok(@files > 20, 'there are sources to look at');
my (@wrong, @outside, @unknown, @reports);
for my $file (sort @files) {
	(my $name = $file) =~ s{^\Q$src\E/}{};
	my ($folder) = $name =~ m{^([^/]+)/};
	push @unknown, $name if !$may{$folder};
	for my $line (split /\n/, slurp($file)) {
		if ($line =~ /^\s*#\s*include\s+"([^"]+)"/) {
			my $what = $1;
			next if $what eq 'config.h' || $what !~ m{/};
			my ($to) = $what =~ m{^([^/]+)/};
			next if -e "$src/$folder/$what";	# agents/mock.h
			# How events lie in the map that gateways read.
			next if $folder eq 'gateway' &&
			    $what eq 'store/stored.h';
			push @wrong, "$name: $what" unless $to eq $folder ||
			    grep { $_ eq $to } @{$may{$folder}};
			# The code between fork and exec reports, it does
			# not log.
			push @reports, "$name: $what" if $folder eq 'sandbox' &&
			    $what =~ m{^lib/(?:log|chan|proto|ops)\.h};
		} elsif ($line =~ /^\s*#\s*include\s+<([^>]+)>/) {
			my $what = $1;
			for my $lib (keys %only) {
				push @outside, "$name: $what" if
				    index($what, $lib) == 0 &&
				    $name !~ $only{$lib};
			}
		}
	}
}
is(join("\n", @unknown), '', 'every folder of sources has a row');
is(join("\n", @wrong), '', 'no folder includes one that its row does not name');
is(join("\n", @outside), '', 'each library has one user');
is(join("\n", @reports), '', 'the sandbox folder reports and never logs');

# Every source opens by saying what it is for.
my @mute = grep { slurp($_) !~ m{\A/\*} } @files;
is(join("\n", @mute), '', 'every file opens with its job');

done_testing;
