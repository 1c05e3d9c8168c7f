# A machine whose first program is sandboxd itself.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use VM;

my $deb = vm_prepare();
my ($console, $kernel) = vm_boot(seconds => 200, append => 'vm_init=/opt/vm/pid1',
    files => { 'sandboxd.deb' => $deb }, options => ['-no-reboot']);
vm_report($console);
# The kernel tells how its first process ended when it may not.
like($kernel, qr/exitcode=0x00002a00/, 'process 1 ended with the command\'s 42')
    or diag($kernel);
done_testing;
