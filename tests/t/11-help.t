# help: every operation with its fields, or one.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Sandboxd;
use Test::More;

need_root();
my $d = Sandboxd->start;
my $all = $d->ok('help')->{operations};

is(ref $all, 'ARRAY', 'a list');
my %op = map { $_->{name} => $_ } @$all;
for my $name (qw(help status sandbox.create sandbox.list sandbox.get sandbox.exec
    sandbox.stop sandbox.start sandbox.destroy session.create session.list
    session.get session.prompt session.events session.cancel
    session.permission.reply session.question.reply session.question.reject
    session.end session.delete agent.list agent.install agent.probe
    agent.reload)) {
	ok($op{$name}, "$name is there");
	like($op{$name}{help}, qr/\.$/, "$name has a sentence of help");
}
for my $name (grep { !/^(?:help|status|doctor|backup|role\.reset|upgrade|\w+\.(?:list|create|reload|stats|compact))$/ } sort keys %op) {
	my ($id) = grep { $_->{name} eq 'id' } @{$op{$name}{fields}};
	ok($id && $id->{required}, "$name names its object by id");
}
my $one = $d->ok('help', { id => 'sandbox.exec' })->{operations};
is(scalar @$one, 1, 'help about one operation');
is($one->[0]{name}, 'sandbox.exec', 'the one that was asked for');
is($d->error('help', { id => 'sandbox.fly' }), 'unknown_operation',
    'help about none');

done_testing;
