# A47: every number from 0 to 1,023, by the ordinary door, as x32 and by int 0x80,
# against the checked-in table calls-x86_64.txt, as root and as user. The table
# says what the filter decides; what the kernel says to a call that is let through
# is compared with a sandbox without filter, where the same calls get through.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
plan(skip_all => 'the table is that of x86_64') if (POSIX::uname())[4] ne 'x86_64';

my %table;	# number => [name, verdict]
for (split /\n/, slurp("$FindBin::Bin/calls-x86_64.txt")) {
	$table{$1} = [$2, $3] if /^(\d+) (\w+) (allowed|refused|absent)$/;
}
# The table is what the program has; a change must be made in both.
my $list = from_json(run_cmd([program('sandboxd'), '--print-seccomp=json'])->{out});
my %has;
for my $g (@{$list->{groups}}) {
	for my $verdict (qw(allowed refused absent)) {
		$has{$g->{$verdict}{$_}} = "$_ $verdict" for keys %{$g->{$verdict}};
	}
}
is(join("\n", map { "$_ $has{$_}" } sort { $a <=> $b } keys %has),
    join("\n", map { "$_ @{$table{$_}}" } sort { $a <=> $b } keys %table),
    'the list is the checked-in table');

sub answers {
	my ($d, $how, $as) = @_;
	my $r = $d->exec('n', ['/opt/numbers', $how], timeout_ms => 100000, %$as);
	my %got = map { /^(\d+) (\S+)$/ ? ($1 => $2) : () } split /\n/, $r->{stdout};
	is(scalar keys %got, 1024, "$how: all were tried") or diag(to_json($r));
	return \%got;
}

sub wrong {
	my ($got, $want) = @_;
	return join("\n", map { my $w = $want->($_);
	    $got->{$_} =~ /^$w$/ ? () : "$_: $got->{$_}, not $w" } 0 .. 1023);
}

my $d = Sandboxd->start;
my $open = unguarded('seccomp');
$_->ok('sandbox.create', { id => 'n', mounts => [helper_mount('numbers')] })
    for $d, $open;
my @users = Sandboxd::both_users();
my ($free, $free32, $freex) = map { answers($open, $_, {}) } qw(native int80 x32);
my (%through, $n);
for (@users) {
	my ($who, $as) = @$_;
	my $got = answers($d, 'native', $as);
	my $bare = $who eq 'root' ? $free : answers($open, 'native', $as);
	# uretprobe and uprobe: newer kernels let no filter see them, and do
	# nothing in them but where root of the host has set a probe.
	is(wrong($got, sub {
		return quotemeta($bare->{$_[0]}) if $_[0] == 335 || $_[0] == 336;
		my $v = ($table{$_[0]} // ['', 'absent'])->[1];
		return $v eq 'refused' ? 'EPERM' : $v eq 'absent' ? 'ENOSYS' :
		    # a rule about arguments refuses what is all ones
		    $table{$_[0]}[0] =~ /^(?:clone|socket|socketpair|mknod|mknodat)$/ ? '\w+' :
		    quotemeta($bare->{$_[0]});
	}), '', "$who: each call is let through, refused or absent as the table says");
	is(wrong(answers($d, $_, $as), sub { 'ENOSYS' }), '',
	    "$who: nothing by $_") for qw(x32 int80);
}
# The guard off: the same calls answer otherwise.
my @reach = grep { ($table{$_} // ['', 'absent'])->[1] ne 'allowed' &&
    $free->{$_} !~ /^(?:EPERM|ENOSYS)$/ } 0 .. 1023;
cmp_ok(scalar @reach, '>', 15, 'without the filter the kernel hears of '
    . join(' ', map { ($table{$_} // [$_])->[0] } @reach));
SKIP: {
	skip 'this kernel has no 32-bit door', 1 if $free32->{20} eq 'SIGSEGV' ||
	    $free32->{20} eq 'ENOSYS';
	is($free32->{20}, 'ok', 'without the filter the 32-bit door is open (getpid)');
}
# By name, those that matter most.
my %number = map { $table{$_}[0] => $_ } keys %table;
for my $call (qw(bpf perf_event_open userfaultfd kexec_load kexec_file_load
    init_module finit_module delete_module quotactl open_by_handle_at ptrace keyctl
    unshare setns mount chroot pivot_root)) {
	is($table{$number{$call}}[1], 'refused', "$call is refused");
}
for my $call (qw(io_uring_setup io_uring_enter io_uring_register clone3)) {
	is($table{$number{$call}}[1], 'absent', "$call is not there");
}
done_testing;
