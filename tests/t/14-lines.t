# The control socket against clients that do not behave.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;

sub answer_to {
	my ($bytes) = @_;
	my $c = $d->client;
	$c->write($bytes);
	return $c->json(5) // { broken => $c->{broken} };
}

sub code_of { return $_[0]{error}{code} // to_json($_[0]) }

is(code_of(answer_to("{\"id\":1,\"op\":\"status\"\n")), 'bad_request',
    'an object that is not closed');
like(code_of(answer_to("[1,2]\n")), qr/^(?:bad_request|unknown_operation)$/,
    'an array');
is(code_of(answer_to("{\"id\":1}\n")), 'bad_request', 'no operation');
is(code_of(answer_to("{\"id\":{},\"op\":\"status\"}\n")), 'bad_request',
    'an id that is neither number nor text');
is(code_of(answer_to("{\"id\":1,\"op\":\"status\",\"id\":2}\n")), 'bad_request',
    'a member twice');
is(code_of(answer_to("{\"id\":1,\"op\":\"status\",\"x\":1}\n")), 'bad_request',
    'an unknown member');
is(code_of(answer_to("status \xff\xfe\n")), 'bad_request', 'bytes that are not UTF-8');
is(code_of(answer_to("{\"id\":1,\"op\":\"session.prompt\",\"args\":{\"id\":\"a\","
    . "\"text\":\"\xc0\x80\"}}\n")), 'bad_request', 'overlong UTF-8');
is(code_of(answer_to('{"id":1,"op":"status","args":' . '[' x 5000 . "\n")),
    'bad_request', 'five thousand open brackets');
is(answer_to("{\"id\":\"abc\",\"op\":\"status\"}\n")->{id}, 'abc',
    'an id may be text');
is(answer_to("{\"id\":9007199254740993,\"op\":\"status\"}\n")->{id},
    9007199254740993, 'a large id comes back unchanged');
is(answer_to("\n\n\nstatus\n")->{ok}{pid}, $d->{pid}, 'empty lines are nothing');

# A line without an end: refused at its limit, and the connection ended.
{
	my $c = $d->client;
	my $chunk = 'x' x 65536;
	my $sent = 0;
	while ($sent < 8 * 1024 * 1024) {
		last unless $c->write($chunk);
		$sent += length $chunk;
	}
	my $msg = $c->json(5);
	is($msg ? code_of($msg) : $c->{broken}, 'too_large',
	    'a line of megabytes is refused');
	ok(!defined $c->line(5) && $c->{broken} =~ /closed/, 'and hung up on');
}

# Many half-written lines cost nobody else anything.
my @half = map { my $c = $d->client; $c->write('{"id":1,"op":"sta'); $c } 1 .. 100;
is($d->ok('status')->{pid}, $d->{pid}, 'a hundred half-written lines later');
$half[7]->write("tus\"}\n");
is($half[7]->json->{ok}{pid}, $d->{pid}, 'one of them goes on');
$_->close for @half;

# Several requests in one write are answered in order.
{
	my $c = $d->client;
	$c->write(join('', map { "{\"id\":$_,\"op\":\"status\"}\n" } 1 .. 50));
	my @ids = map { ($c->json // {})->{id} // 'none' } 1 .. 50;
	is("@ids", join(' ', 1 .. 50), 'fifty requests at once, in order');
}

# A client that asks and never reads stalls only itself.
{
	my $c = $d->client;
	$c->{fh}->blocking(0);
	my $line = "{\"id\":1,\"op\":\"help\"}\n" x 500;
	for (1 .. 200) {
		last unless defined syswrite($c->{fh}, $line);
	}
	is($d->ok('status')->{pid}, $d->{pid}, 'a client that never reads');
	my $rss = slurp("/proc/$d->{pid}/status") =~ /VmRSS:\s+(\d+)/ ? $1 : 0;
	ok($rss < 64 * 1024 * (1 + 9 * !!$ENV{SANDBOXD_SANITIZED}),
	    "memory is bounded ($rss kB)");
}

# Half-close: the end of our words is not the end of our interest.
{
	my $c = $d->client;
	$c->write("status\n");
	shutdown($c->{fh}, 1);
	is($c->json->{ok}{pid}, $d->{pid}, 'an answer after half-close');
	ok(!defined $c->line(5) && $c->{broken} =~ /closed/,
	    'then the connection ends');
}
# A last line without a newline counts when the client has finished.
{
	my $c = $d->client;
	$c->write('status');
	shutdown($c->{fh}, 1);
	is(($c->json // {})->{ok}{pid}, $d->{pid}, 'a line ended by the end of input');
}

done_testing;
