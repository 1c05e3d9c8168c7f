// The `local` provider of the unmodified npm package sandbox-agent: it starts the
// program that SANDBOX_AGENT_BIN names, and ends it.
//
//	SANDBOX_AGENT_BIN=… node local-provider.mjs DIRECTORY-OF-PACKAGES
//
// Prints one TAP line a check.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [dir] = process.argv.slice(2);
const load = (file) =>
	import(pathToFileURL(`${dir}/node_modules/sandbox-agent/dist/${file}`));
const { SandboxAgent } = await load('index.js');
const { local } = await load('providers/local.js');
let count = 0;

function say(good, name, why) {
	count++;
	console.log(`${good ? 'ok' : 'not ok'} ${count} - ${name}`);
	if (!good)
		console.log(`# ${String(why).replace(/\n/g, '\n# ')}`);
}
function is(got, want, name) {
	say(JSON.stringify(got) === JSON.stringify(want), name,
	    `got ${JSON.stringify(got)}, not ${JSON.stringify(want)}`);
}
function ok(good, name, got) {
	say(Boolean(good), name, `got ${JSON.stringify(got)}`);
}
async function part(name, code, seconds = 60) {
	let timer;
	try {
		await Promise.race([code(), new Promise((_, no) => {
			timer = setTimeout(() => no(new Error('no end in time')), seconds * 1000);
		})]);
	} catch (e) {
		say(false, name, e.stack ?? e);
	}
	clearTimeout(timer);
}
const alive = (pid) => {
	try {
		return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
	} catch {
		return false;
	}
};
// Everything below a process, by what ps tells.
function below(root) {
	const rows = spawnSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' }).stdout
		.trim().split('\n').map((line) => line.trim().split(/\s+/).map(Number));
	const found = [root];
	for (let i = 0; i < found.length; i++)
		found.push(...rows.filter(([, parent]) => parent === found[i]).map(([pid]) => pid));
	return found;
}
const children = () => below(process.pid).slice(1)
	.filter((pid) => alive(pid) &&
	    readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('sandboxd'));
const text = (bytes) => new TextDecoder().decode(bytes);

const work = process.cwd();
writeFileSync('on-the-host', 'host\n');

await part('one server', async () => {
	const start = Date.now();
	const sdk = await SandboxAgent.start({ sandbox: local({ log: 'silent' }) });
	const took = Date.now() - start;
	ok(took < 15000, 'start() comes back', took);
	console.log(`# started in ${took} ms`);
	ok(/^local\/127\.0\.0\.1:\d+$/.test(sdk.sandboxId), 'sandboxId', sdk.sandboxId);
	is(await sdk.getHealth(), { status: 'ok' }, 'getHealth');
	const refused = await fetch(`http://${sdk.sandboxId.slice(6)}/v1/health`);
	is(refused.status, 401, 'nobody else is let in');
	is((await sdk.listAgents()).agents.map((a) => a.id), ['claude', 'codex', 'opencode',
		'amp', 'pi', 'cursor', 'mock'], 'the agents in their order');

	// Files and processes, where it was started.
	is(text(await sdk.readFsFile({ path: `${work}/on-the-host` })), 'host\n',
	    'readFsFile of the directory it was started in');
	await sdk.writeFsFile({ path: `${work}/made` }, 'inside\n');
	const run = await sdk.runProcess({ command: 'cat', args: ['made', 'on-the-host'] });
	is([run.exitCode, run.stdout], [0, 'inside\nhost\n'], 'runProcess there');
	ok(!existsSync('made'), 'nothing of it reaches the host');

	// A session.
	const session = await sdk.createSession({ agent: 'mock', cwd: work });
	const events = [];
	session.onEvent((e) => events.push(e));
	const answer = await session.prompt([{ type: 'text', text: 'hello' }]);
	is(answer.stopReason, 'end_turn', 'a prompt of a mock session');
	for (let i = 0; i < 250 && !events.some((e) => e.payload?.method ===
	    'session/update'); i++)
		await new Promise((go) => setTimeout(go, 20));
	ok(events.some((e) => e.payload?.method === 'session/update'), 'has updates', events);

	const all = children();
	ok(all.length > 3, 'it has its processes', all);
	const end = Date.now();
	await sdk.destroySandbox();
	ok(Date.now() - end < 5000, 'destroySandbox() comes back', Date.now() - end);
	console.log(`# ended in ${Date.now() - end} ms`);
	for (let i = 0; i < 100 && all.some(alive); i++)
		await new Promise((go) => setTimeout(go, 20));
	is(all.filter(alive), [], 'nothing of it is left');
});

await part('several at once', async () => {
	const all = await Promise.all([1, 2, 3].map(() =>
		SandboxAgent.start({ sandbox: local({ log: 'silent',
		    env: { SANDBOX_AGENT_NETWORK: 'none' } }) })));
	is(new Set(all.map((sdk) => sdk.sandboxId)).size, 3, 'three servers, three ports');
	await Promise.all(all.map((sdk, i) =>
		sdk.writeFsFile({ path: '/tmp/mine' }, `of ${i}`)));
	const read = await Promise.all(all.map(async (sdk) =>
		text(await sdk.readFsFile({ path: '/tmp/mine' }))));
	is(read, ['of 0', 'of 1', 'of 2'], 'each has its own files');
	await all[0].destroySandbox();
	is(await all[1].getHealth(), { status: 'ok' }, 'one that ends leaves the others');
	await Promise.all(all.slice(1).map((sdk) => sdk.destroySandbox()));
	for (let i = 0; i < 100 && children().length > 0; i++)
		await new Promise((go) => setTimeout(go, 20));
	is(children(), [], 'nothing is left of any');
});

await part('a token and a port of the caller', async () => {
	const sdk = await SandboxAgent.start({ sandbox: local({ log: 'silent',
		token: 'a-token-of-mine' }) });
	const url = `http://${sdk.sandboxId.slice(6)}/v1/health`;
	is((await fetch(url, { headers: { Authorization: 'Bearer a-token-of-mine' } })).status,
	    200, 'the token is good');
	const port = Number(sdk.sandboxId.split(':')[1]);
	let failed;
	try {
		await SandboxAgent.start({ sandbox: local({ log: 'silent', port }) });
	} catch (e) {
		failed = e.message;
	}
	is(failed, 'sandbox-agent exited before becoming healthy.',
	    'a port that is taken: it ends at once');
	await sdk.destroySandbox();
});

console.log(`1..${count}`);
process.exit(0);
