# B3: 127 for a command that is not found, 126 for one that cannot be run.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Sandboxd::Init;
use Test::More;

need_root();

my $dir = Sandboxd->scratch_dir;
spew("$dir/plain", "not a program\n");
spew("$dir/script", "exit 9\n");
chmod(0755, "$dir/script");
spew("$dir/broken", "#!/nonexistent/interpreter\n");
chmod(0755, "$dir/broken");
symlink('loop', "$dir/loop");

for my $way (ways()) {
	my ($name, $wrap) = @$way;
	for (["$dir/none", 127], ['no-such-command', 127], ["$dir/plain", 126],
	    [$dir, 126], ["$dir/loop", 126], ["$dir/broken", 127],
	    ["$dir/plain/below", 127]) {
		my ($file, $code) = @$_;
		my $got = run_init([$file], wrap => $wrap);
		is($got->{status}, $code, "$name: $file is $code");
		like($got->{log}, qr/error.*\Q$file\E/, 'and is named');
	}
	is(run_init(["$dir/script"], wrap => $wrap)->{status}, 9,
	    "$name: a script without a first line is the shell's");
}
is(run_init(['script'], env => { PATH => "/nowhere:$dir" })->{status}, 9,
    'by PATH, too');

done_testing;
