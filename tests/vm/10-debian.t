# Our package on Debian 12 with systemd, version 2 of control groups, and Debian's
# own kernel: installed, used, upgraded, rebooted, purged.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use VM;

my $root = "$FindBin::Bin/../..";
my $build = $ENV{SANDBOXD_BUILD} // "$root/build/dev";
my $deb = vm_prepare();
my ($console) = vm_boot(seconds => 560, append => '',
    files => { 'sandboxd.deb' => $deb, tests => "$root/tests/t",
	proof => "$root/tests/proof", probe => "$build/tests/abuse/probe" });
vm_report($console);
done_testing;
