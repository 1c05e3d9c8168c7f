# Every operation of the table, as the table tells it: asked rightly as JSON and
# as words, with each of its fields wrong in every way that the table rules out,
# without what it needs, and twice on one line. What is wrong gets bad_request and
# the name of the field, and changes nothing.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
my $c = $d->client;
my @ops = @{$d->ok('help')->{operations}};
my %op = map { $_->{name} => $_ } @ops;

ok(@ops >= 38, 'the table has ' . @ops . ' operations');
is(scalar keys %op, scalar @ops, 'each once');

# --- one good request of each ------------------------------------------------------

# How each is asked, in this order, where nothing but id is not enough; by then
# what they name is there. A string instead of arguments: the error that is the
# right answer here, for what cannot be had from this client.
my @asked;
sub ask { push @asked, [@_] }

ask('help');
ask('status');
ask('sandbox.create', { id => 'one', labels => { team => 'red' } });
ask('sandbox.list', { state => 'running', limit => 5 });
ask('sandbox.get', { id => 'one' });
ask('sandbox.stats', { id => 'one' });
ask('sandbox.exec', { id => 'one', command => ['true'] });
ask('sandbox.update', { id => 'one', labels => { a => 'b' }, timeout => '1h' });
ask('sandbox.renew', { id => 'one', timeout => '2h' });
ask('sandbox.touch', { id => 'one' });
ask('sandbox.events', { id => 'one' });
ask('sandbox.expose', { id => 'one', port => 8080 });
ask('sandbox.unexpose', { id => 'one', port => 8080 });
ask('sandbox.pause', { id => 'one' });
ask('sandbox.resume', { id => 'one' });
ask('session.create', { id => 's', agent => 'mock', sandbox => 'one' });
ask('session.list', { sandbox => 'one' });
ask('session.get', { id => 's' });
ask('session.prompt', { id => 's', text => 'hello', stream => \1 });
ask('session.events', { id => 's', limit => 3 });
ask('session.configure', { id => 's', model => 'mock' });
ask('session.end', { id => 's' });
ask('session.delete', { id => 's' });
ask('agent.list', { id => 'mock' });
ask('agent.reload');
ask('token.create', { label => 'x' });
ask('token.list');
ask('sandbox.stop', { id => 'one', grace_ms => 100 });
ask('sandbox.start', { id => 'one' });
ask('sandbox.destroy', { id => 'one' });

for my $one (@asked) {
	my ($name, $args) = @$one;
	my $r = $c->request($name, $args // {}, timeout => 60);
	ok(defined $r->{ok}, "$name, rightly") or diag(to_json($r));
	if (!$op{$name}{streaming}) {
		is(scalar @{$r->{items}}, 0, "$name writes one line");
	}
}

# Those that need more than a line: what asks them rightly.
my %elsewhere = map { $_->[0] => $_->[1] } (
	['sandbox.changes', '81-run-diff-apply.t'],
	['sandbox.copy.in', '190-copy.t'],
	['sandbox.copy.out', '190-copy.t'],
	['sandbox.processes', '192-ps-stats.t'],
	['process.attach', '194-attach-terminal.t'],
	(map { ["process.$_", '193-processes.t'] } qw(create list get wait signal
	    delete input resize logs)),
	['session.cancel', '42-cancel-end.t'],
	['session.permission.reply', '41-replies.t'],
	['session.question.reply', '41-replies.t'],
	['session.question.reject', '41-replies.t'],
	['agent.install', '147-install-npm.t'],
	['agent.probe', '145-session-kinds.t'],
	['token.revoke', '96-tokens.t'],
	['role.reset', '171-roles.t'],
	['upgrade', '../proof/B29-upgrade.t'],
	['backup', '212-backup.t'],
	['store.compact', '253-compact.t'],
	['doctor', '172-doctor.t'],
);
my %done = map { $_->[0] => 1 } @asked;
for my $name (sort keys %op) {
	next if $done{$name};
	my $file = $elsewhere{$name} // 'none';
	my $text = slurp("$FindBin::Bin/$file") // '';
	my $word = (split /\./, $name)[-1];
	ok($text =~ /\b\Q$word\E\b/, "$name is asked in $file");
}

# --- the table's own word for what is wrong --------------------------------------------

# Values of every other kind, by kind. `any` takes all.
my %wrong = (
	'string' => [7, \1, ['x'], { a => 'b' }, undef],
	'integer' => ['x', 1.5, \1, [1], {}, undef],
	'boolean' => ['true', 1, [], {}, undef],
	'strings' => ['x', 1, { a => 'b' }, [1], [['x']], [undef], undef],
	'string map' => ['x', 1, ['x'], { a => 1 }, { a => undef }, undef],
	'object' => ['x', 1, ['x'], undef],
	'array' => ['x', 1, { a => 'b' }, undef],
	'any' => [],
);

# A value of the kind that is within the bounds.
sub right {
	my ($f) = @_;
	my $k = $f->{kind};
	return 'x' x ($f->{min} || 1) if $k eq 'string' || $k eq 'any';
	return $f->{min} // 1 if $k eq 'integer';
	return \1 if $k eq 'boolean';
	return [('x') x ($f->{min} || 1)] if $k eq 'strings';
	return {} if $k eq 'string map' || $k eq 'object';
	return [];
}

# Values beyond the bounds, where they fit in a line.
sub beyond {
	my ($f) = @_;
	my ($k, $min, $max) = @{$f}{qw(kind min max)};
	my @bad;
	return () if !defined $max;
	if ($k eq 'string') {
		push @bad, 'x' x ($max + 1) if $max < 100_000;
		push @bad, '' if $min > 0;
		push @bad, "\x{0}x";
	} elsif ($k eq 'integer') {
		push @bad, $max + 1 if $max < 2**52;
		push @bad, $min - 1;
		push @bad, 9.9e99;
	} elsif ($k eq 'strings') {
		push @bad, [('x') x ($max + 1)] if $max < 5000;
		push @bad, [] if $min > 0;
	} elsif ($k eq 'string map') {
		push @bad, { map { ("K$_" => 'v') } 0 .. $max } if $max < 5000;
	} elsif ($k eq 'array') {
		push @bad, [(1) x ($max + 1)] if $max < 5000;
	}
	return @bad;
}

sub counts {
	my $s = $d->ok('status');
	return to_json([$s->{sandboxes}, $s->{sessions},
	    scalar @{$d->ok('token.list')->{tokens}}]);
}

my $before = counts();
for my $name (sort keys %op) {
	my @fields = @{$op{$name}{fields}};
	my %good = map { $_->{name} => right($_) } grep { $_->{required} } @fields;
	my @bad;

	# One wrong, the others right.
	for my $f (@fields) {
		for my $v (@{$wrong{$f->{kind}} // die "kind $f->{kind}"}, beyond($f)) {
			my $got = $c->request($name, { %good, $f->{name} => $v });
			my $e = $got->{error} // {};
			next if ($e->{code} // '') =~ /^(?:bad_request|too_large)$/ &&
			    $e->{detail} =~ /\b\Q$f->{name}\E\b/;
			push @bad, "$f->{name}=" . substr(to_json([$v]), 0, 60)
			    . ' gave ' . substr(to_json($got), 0, 200);
		}
		next if !$f->{required};
		my %less = %good;
		delete $less{$f->{name}};
		my $e = $c->request($name, \%less)->{error} // {};
		push @bad, "without $f->{name}: " . to_json($e)
		    if ($e->{code} // '') ne 'bad_request' ||
		    $e->{detail} !~ /\b\Q$f->{name}\E\b/;
	}
	my $e = $c->request($name, { %good, surplus => 1 })->{error} // {};
	push @bad, 'an unknown field: ' . to_json($e)
	    if ($e->{code} // '') ne 'bad_request' || $e->{detail} !~ /surplus/;

	# Twice: a field, and arguments that are no object.
	if (@fields) {
		my $f = $fields[0]{name};
		$c->write(qq({"id":"t","op":"$name","args":{"$f":"x","$f":"x"}}\n));
		$e = $c->json->{error} // {};
		push @bad, 'a field twice: ' . to_json($e)
		    if ($e->{code} // '') ne 'bad_request';
	}
	for my $args ('[]', '"x"', '7', 'true') {
		$c->write(qq({"id":"a","op":"$name","args":$args}\n));
		$e = $c->json->{error} // {};
		push @bad, "args $args: " . to_json($e)
		    if ($e->{code} // '') ne 'bad_request';
	}
	is(join("\n", @bad), '', "$name refuses what the table does");
}
is(counts(), $before, 'and none of it has changed anything');

# --- twice, and as words ---------------------------------------------------------------

# The same request twice at once: both are answered, each by its own id.
for my $one (['status'], ['help'], ['sandbox.list'], ['session.list'],
    ['agent.list'], ['token.list'], ['sandbox.get', { id => 'none' }],
    ['session.events', { id => 'none' }], ['sandbox.create', { id => 'twin' }],
    ['session.create', { id => 'twin', agent => 'mock', sandbox => 'twin' }],
    ['session.end', { id => 'twin' }], ['session.delete', { id => 'twin' }],
    ['sandbox.stop', { id => 'twin' }], ['sandbox.start', { id => 'twin' }],
    ['sandbox.pause', { id => 'twin' }], ['sandbox.resume', { id => 'twin' }],
    ['sandbox.destroy', { id => 'twin' }]) {
	my ($name, $args) = @$one;
	my ($a, $b) = ($d->client, $d->client);
	my @ids = ($a->send($name, $args), $b->send($name, $args));
	my @got = map { $_->[0]->finish($_->[1], timeout => 60) }
	    [$a, $ids[0]], [$b, $ids[1]];
	ok((grep { $_->{ok} || $_->{error} } @got) == 2 &&
	    !grep({ ($_->{error}{code} // '') =~ /^(?:internal|system)$/ } @got),
	    "$name twice at once") or diag(to_json(\@got));
}

# As words each has the same answer to a field that nobody knows.
for my $name (sort keys %op) {
	$c->write("$name surplus=1\n");
	my $e = ($c->json // {})->{error} // {};
	ok(($e->{code} // '') eq 'bad_request' && $e->{detail} =~ /surplus/,
	    "$name as words") or diag(to_json($e));
}
is($d->ok('status')->{pid}, $d->{pid}, 'the supervisor is the same');

done_testing;
