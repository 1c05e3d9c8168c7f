# The directories of sandboxes are spread over a disk that can do so: the one that
# they lie in bears ext4's mark, the sandboxes' own do not, and their files are as
# they were.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
need_program('lsattr', 'stat');
my $d = Sandboxd->start;
my $all = "$d->{state}/sandboxes";

sub marked { return run_cmd(['lsattr', '-d', $_[0]])->{out} =~ /^\S*T/ }

plan(skip_all => 'the state directory is not on ext4')
    if run_cmd(['stat', '-f', '-c', '%T', $all])->{out} !~ m{^ext2/ext3};
ok(marked($all), 'spread');
$d->ok('sandbox.create', { id => 'one' });
ok(!marked("$all/one/$_"), "not within a sandbox: $_") for '.', 'upper';
is($d->sh('one', 'echo x > /root/f')->{exit_code}, 0, 'a file');
$d->restart;
ok(marked($all), 'after a restart');
$d->ok('sandbox.start', { id => 'one' });
is($d->sh('one', 'cat /root/f')->{stdout}, "x\n", '... the file is there');
done_testing();
