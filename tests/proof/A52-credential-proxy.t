# A52: secrets that a proxy adds to requests: needs the credential proxy, a feature
# that is still to come.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Proof;
use Test::More;

need_root();
need_program('cc');
plan(skip_all => 'there is no credential proxy yet: agents are given their keys');
