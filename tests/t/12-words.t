# A request as words: what people type.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
my $c = $d->client;

sub say_words {
	my ($line) = @_;
	$c->write("$line\n");
	while (my $msg = $c->json) {
		return $msg unless exists $msg->{item};
	}
	return {};
}

is(say_words('status')->{ok}{pid}, $d->{pid}, 'a bare word');
my $r = say_words('sandbox.create id=w limits.pids=64 env.CI=1 '
    . 'env.EMPTY="" labels.team="a \"b\" c" network=none');
is($r->{ok}{id}, 'w', 'words, dotted names and quotes');
is_deeply($r->{ok}{labels}, { team => 'a "b" c' }, 'a quoted value is whole');
is($r->{ok}{limits}{pids}, 64, 'a number becomes a number');
is($d->sh('w', 'echo "$CI-${EMPTY-unset}-"')->{stdout}, "1--\n",
    'env came through');
$r = say_words('sandbox.exec {"id":"w","command":["true"]}');
is($r->{ok}{exit_code}, 0, 'an operation with its arguments as JSON');
$r = say_words('sandbox.exec id=w command=["sh","-c","exit\u00203"]');
is($r->{ok}{exit_code}, 3, 'a JSON value among words');
$r = say_words('sandbox.exec id=w command="exit 4"');
is($r->{ok}{exit_code}, 4, 'a command as one text is run by the shell');
$r = say_words("  sandbox.get   id=w\t\r");
is($r->{ok}{id}, 'w', 'blanks and a carriage return do no harm');
is(say_words('sandbox.get')->{error}{code}, 'bad_request', 'a field is missing');
is(say_words('sandbox.get id=w id=w')->{error}{code}, 'bad_request',
    'a field given twice');
is(say_words('sandbox.get id="w')->{error}{code}, 'bad_request',
    'a quote that is not closed');
is(say_words('sandbox.get id')->{error}{code}, 'bad_request', 'no value');
is(say_words('sandbox.create id=x limits.pids=many')->{error}{code},
    'bad_request', 'a word where a number is wanted');
my @ids = map { say_words('status')->{id} } 1 .. 3;
is($ids[1], $ids[0] + 1, 'requests are numbered');
is($ids[2], $ids[0] + 2, 'one by one');

done_testing;
