# A36: nothing inside gives the operator's rights on our API: neither the token nor the
# control socket is anywhere in a sandbox's environment, memory, descriptors or files. The
# same search finds both outside, and a word that was planted inside.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../t/lib";
use Sandboxd;
use Test::More;

need_root();
my $token = join('', map { ('a' .. 'z')[rand 26] } 1 .. 24) . 'TOKEN';
my $d = Sandboxd->start(http => 1, token => $token);
# The word comes in two halves, so that the search does not find itself.
my $search = <<'PERL';
use strict; my $word = $ARGV[0] . $ARGV[1]; my $socket = $ARGV[2]; my @found;
sub look { my ($where, $text) = @_; push @found, $where if index($text, $word) >= 0 }
for my $pid (grep { /^\d+$/ && $_ != $$ } map { m{/(\d+)$} } glob('/proc/[0-9]*')) {
	for my $f ("environ", "cmdline") {
		open(my $fh, '<', "/proc/$pid/$f") or next; local $/; look("$f of $pid", scalar(<$fh>) // '');
	}
	for my $fd (glob("/proc/$pid/fd/*")) {
		my $to = readlink($fd) // next;
		push @found, "descriptor of $pid: $to" if index($to, 'control.sock') >= 0;
		open(my $fh, '<', $fd) or next if -f $fd; next unless -f $fd; local $/ = \1048576; look("$fd", scalar(<$fh>) // '');
	}
	open(my $maps, '<', "/proc/$pid/maps") or next;
	open(my $mem, '<:raw', "/proc/$pid/mem") or next;
	while (<$maps>) {
		my ($from, $to) = /^([0-9a-f]+)-([0-9a-f]+) r/ or next;
		no warnings 'portable'; ($from, $to) = (hex $from, hex $to);
		next if $to - $from > 64 << 20 || !sysseek($mem, $from, 0);
		sysread($mem, my $text, $to - $from) or next; look("memory of $pid", $text);
	}
}
look('our environment', join("\0", %ENV));
for my $dir ('/tmp', '/run', '/var/lib', '/etc', '/root', '/home', '/opt', '/srv', '/dev/shm') {
	my @todo = ($dir); my $n = 0;
	while (defined(my $at = shift @todo)) {
		last if $n++ > 20000;
		if (-l $at) { next } elsif (-d $at) { opendir(my $h, $at) or next; push @todo, map { "$at/$_" } grep { !/^\.\.?$/ } readdir $h }
		elsif (-S $at) { push @found, "socket $at" if $at =~ /control\.sock$/ || $at eq $socket }
		elsif (-f $at && -s $at < 1 << 20) { open(my $fh, '<', $at) or next; local $/; look($at, scalar(<$fh>) // '') }
	}
}
print "$_\n" for @found; print "done\n";
PERL
my $dir = Sandboxd->scratch_dir;
spew("$dir/search.pl", $search);
my @args = ('perl', '/opt/search.pl', substr($token, 0, 10), substr($token, 10), $d->{socket});

# Outside: this test was told it, and the socket is there.
my $found = run_cmd(['perl', "$dir/search.pl", @args[2 .. 4]], timeout => 100)->{out};
like($found, qr/^memory of $$\n/m, 'outside the token is found in the memory of one who has it');
like($found, qr/^socket \Q$d->{socket}\E$/m, 'and the socket');

for my $network (qw(filtered host)) {
	$d->ok('sandbox.create', { id => $network, network => $network,
	    mounts => [{ source => "$dir/search.pl", target => '/opt/search.pl' }] });
	$d->ok('session.create', { id => "s-$network", agent => 'mock', sandbox => $network });
	my $r = $d->exec($network, \@args);
	is($r->{stdout}, "done\n", "$network: nothing inside");
	next if $network eq 'host';	# the search is long, and the same
	$d->sh($network, "echo " . $token . " >/tmp/planted; rm -f /tmp/none");
	$r = $d->exec($network, \@args);
	is($r->{stdout}, "/tmp/planted\ndone\n", 'but what was planted there');
	my $client = "$d->{socket}";
	like($d->sh($network, "perl -MIO::Socket::UNIX -e 'print IO::Socket::UNIX->new(Peer => "
	    . "\"$client\") ? \"in\" : \"out\"'")->{stdout}, qr/^out$/, 'the socket is not to be had by its name');
}

done_testing;
