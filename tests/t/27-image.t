# A directory as root image: busybox and nothing else.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
need_program('busybox');
my $busybox = (grep { -x } map { "$_/busybox" } split /:/, $ENV{PATH})[0];
my $image = Sandboxd->scratch_dir;

mkdir("$image/$_") for qw(bin etc tmp home);
run_cmd(['cp', $busybox, "$image/bin/busybox"]);
link("$image/bin/busybox", "$image/bin/$_") for qw(sh ls cat echo id mount ps env
    touch rm mkdir hostname sleep stat);
Sandboxd::lend_libraries($image);
spew("$image/etc/passwd",
    "root:x:0:0::/root:/bin/sh\njane:x:1000:1000::/home:/bin/sh\n");
spew("$image/etc/group", "root:x:0:\njane:x:1000:\n");
spew("$image/etc/motd", "from the image\n");

my $d = Sandboxd->start;
my $r = $d->ok('sandbox.create', { id => 'i', image => $image });
is($r->{image}, $image, 'the record names the image');
is($d->sh('i', 'cat /etc/motd')->{stdout}, "from the image\n", 'its files');
my $top = join(' ', sort split ' ', $d->sh('i', 'ls /')->{stdout});
unlike($top, qr/\b(?:usr|var|boot|opt)\b/, "and none of the host's ($top)");
is($d->sh('i', 'echo new >/etc/motd; touch /etc/x; rm /home -r; cat /etc/motd')
    ->{stdout}, "new\n", 'it can be written');
is(slurp("$image/etc/motd"), "from the image\n", 'the image stays as it is');
ok(!-e "$image/etc/x" && -d "$image/home", 'in every way');
is($d->sh('i', 'id -u; id -g', user => 'jane')->{stdout}, "1000\n1000\n",
    'users are looked up in the image');
is($d->error('sandbox.exec', { id => 'i', command => ['true'],
    user => 'daemon' }), 'user_not_found', 'and not in the host');
is($d->error('sandbox.exec', { id => 'i', command => ['/usr/bin/perl'] }),
    'exec_failed', 'a program that only the host has');

# A second sandbox on the same image is its own.
$d->ok('sandbox.create', { id => 'j', image => $image });
is($d->sh('j', 'cat /etc/motd')->{stdout}, "from the image\n",
    'two sandboxes share nothing but the image');

# A session works there: the worker needs nothing of the image.
$d->ok('session.create', { id => 's', agent => 'mock', sandbox => 'i' });
my @e = $d->turn('s', 'hello');
is($e[-1]{type}, 'turn.ended', 'a session runs in it');

# Hostile images: places that we mount on are links or files.
for my $case (['proc', 'symlink'], ['dev', 'symlink'], ['tmp', 'symlink'],
    ['sys', 'symlink'], ['proc', 'file'], ['dev', 'file']) {
	my ($name, $kind) = @$case;
	my $bad = Sandboxd->scratch_dir;
	my $trap = Sandboxd->scratch_dir;
	mkdir("$bad/bin");
	Sandboxd::lend_libraries($bad);
	link("$image/bin/busybox", "$bad/bin/sh");
	$kind eq 'symlink' ? symlink($trap, "$bad/$name") : spew("$bad/$name", '');
	my $before = join(' ', sort keys %{Sandboxd::mounts()});
	my $r = $d->request('sandbox.create', { id => 'bad', image => $bad });
	is(join(' ', sort keys %{Sandboxd::mounts()}), $before,
	    "image with /$name as a $kind: no mount outside");
	opendir(my $dh, $trap);
	is(join(' ', grep { !/^\.\.?$/ } readdir $dh), '',
	    "image with /$name as a $kind: nothing made outside");
	if ($r->{ok}) {
		is($d->sh('bad', 'echo in')->{stdout}, "in\n", 'it runs inside');
		$d->ok('sandbox.destroy', { id => 'bad' });
	} else {
		is($r->{error}{code}, 'sandbox_failed', 'or is refused');
	}
}

done_testing;
