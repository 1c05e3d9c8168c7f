# A service where a sandbox has no namespace of its own: in a container without
# privileges it is started again, ready, hung and ended as elsewhere.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Sandboxd::Oci;
use Test::More;

need_root();
need_program('crun');
my $script = <<'S';
#!/bin/sh
c=/opt/build/sandboxctl
until_seen() { # sandbox, words, times
	i=0
	while [ $i -lt 300 ]; do
		$c history $1 >/data/seen 2>&1
		[ "$(grep -c "$2" /data/seen)" -ge "$3" ] && { echo "seen $1 $2"; return; }
		i=$((i + 1)); sleep 0.1
	done
	echo "NOT seen $1 $2"
	cat /data/seen
}
$c create r --restart always --backoff 50ms --start-limit 3 --ready notify \
    -- sh -c 'echo >&3; sleep 0.2; exit 3' >/dev/null 2>&1 || echo refused
until_seen r service.ready 2
until_seen r service.failed 1
$c create f --restart always --finish 'test "$1 $2" = "3 0" && exit 125' -- sh -c 'exit 3' >/dev/null 2>&1
until_seen f 'ended with 125' 1
$c create h --watchdog 500ms:stop -- sh -c 'sleep 611 & sleep 612' >/dev/null 2>&1
until_seen h service.hung 1
until_seen h service.failed 1
i=0
while grep -aqs 'sleep.61[12]' /proc/[0-9]*/cmdline && [ $i -lt 100 ]; do i=$((i + 1)); sleep 0.1; done
echo "left $(grep -als 'sleep.61[12]' /proc/[0-9]*/cmdline | wc -l)"
$c create t --ready tcp:8123 -- perl -MIO::Socket::INET -e '
	my $s = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1:8123") or die $!;
	sleep 600' >/dev/null 2>&1
until_seen t service.ready 1
$c stop t >/dev/null 2>&1; $c start t >/dev/null 2>&1
until_seen t service.ready 2
$c --json get t | tr -d '\n' | sed 's/.*"isolation":\({[^}]*}\).*/record \1/'
echo
S
for (['with nothing', caps => []], ['an engine\'s filter', caps => [docker_caps()], filter => docker_filter()]) {
	my ($what, @o) = @$_;
	my $got = run_bundle(@o, script => $script, timeout => 150);
	my $out = $got->{out};
	my ($record) = $out =~ /^record (.*)$/m;
	my $have = $record ? from_json($record) : {};
	unlike($out, qr/refused|NOT seen/, "$what: all is seen") or diag($out, $got->{err});
	like($out, qr/^seen r service.failed$/m, "$what: started again until its limit");
	like($out, qr/^seen f ended with 125$/m, "$what: its finish command is told, and believed");
	like($out, qr/^left 0$/m, "$what: hung, it is killed with all it had started");
	like($out, qr/^seen t service.ready$/m, "$what: a port makes it ready");
	ok(!$have->{pid}, "$what: without a namespace of processes") or diag($record // $out);
}
done_testing;
