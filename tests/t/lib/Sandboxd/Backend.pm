# Servers inside sandboxes: backend.pl, told to listen on a port.
#
#	Sandboxd::Backend::start($d, 'box', 8080);

package Sandboxd::Backend;

use strict;
use warnings;
use Sandboxd;

# True when it listens.
sub start {
	my ($d, $box, $port, $address) = @_;
	my $text = slurp(root_dir() . '/tests/t/lib/backend.pl');
	my $got = $d->exec($box, ['sh', '-c', <<"END"], stdin => $text);
cat > /tmp/backend.pl
setsid perl /tmp/backend.pl $port @{[$address // '']} > /tmp/backend.$port 2>&1 < /dev/null &
for i in `seq 100`; do
	grep -q listening /tmp/backend.$port 2> /dev/null && exit 0
	sleep 0.1
done
cat /tmp/backend.$port
exit 1
END
	return $got->{exit_code} == 0;
}

1;
