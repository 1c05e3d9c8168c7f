# Which libraries each program links, read from its dynamic section. A library
# that appears here grew a trust boundary: it must be meant.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_program('readelf');
my $libc = 'libc.so|ld-linux|linux-vdso|libm.so|libpthread|librt|libdl|libgcc_s';
$libc .= '|libasan|libubsan|libclang_rt' if $ENV{SANDBOXD_SANITIZED};

my %may = (
	'sandboxd' => 'libev|libyajl|libseccomp|libmd',
	'sandboxd-store' => 'libev|libyajl|liblmdb',
	'sandboxd-init' => 'libev|libyajl|libarchive',
	'sandboxd-session' => 'libev|libyajl',
	'sandboxd-relay' => 'libev|libyajl',
	'sandboxd-gateway' => 'libev|libyajl|liblmdb|libmicrohttpd|libgnutls|libwslay' .
	    '|libmd',
	'sandboxd-courier' => 'libev|libyajl|libcurl|libarchive|libcares|libmd',
	'sandboxctl' => 'libyajl',
	'sandboxctl-http' => 'libyajl|libcurl|libmd',
);
my %must = (
	'sandboxd' => [qw(libev libyajl libseccomp)],
	'sandboxd-gateway' => [qw(libmicrohttpd liblmdb)],
	'sandboxd-store' => [qw(libev libyajl liblmdb)],
	'sandboxd-courier' => [qw(libev libcurl libarchive libcares)],
);

sub needed {
	my ($name) = @_;
	my $got = run_cmd(['readelf', '-d', '-W', program($name)]);
	return $got->{out} =~ /\(NEEDED\).*?\[([^\]]+)\]/g;
}

for my $name (sort keys %may) {
	ok(-x program($name), "$name was built") or next;
	my @foreign = grep { !/^(?:$libc|$may{$name})/ } needed($name);
	is("@foreign", '', "$name links nothing that its row does not name");
	for my $lib (@{$must{$name} // []}) {
		ok((grep { /^\Q$lib\E/ } needed($name)), "$name links $lib");
	}
}

# These run where no library of ours can be found: inside any root image.
for my $name (qw(sandboxd-init sandboxd-session)) {
	my @libs = $ENV{SANDBOXD_SANITIZED} ? () : needed($name);
	is("@libs", '', "$name is static");
}

# Hardening that a privileged program owes.
for my $name (sort keys %may) {
	my $head = run_cmd(['readelf', '-h', '-l', '-W', program($name)])->{out};
	like($head, qr/Type:\s+DYN/, "$name is position independent");
	my ($flags) = $head =~ /GNU_STACK\s+\S+ \S+ \S+ \S+ \S+ (\S+)/;
	is($flags, 'RW', "$name has no executable stack");
	like($head, qr/GNU_RELRO/, "$name has read-only relocations");
}

done_testing;
