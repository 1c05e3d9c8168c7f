// A real agent through the unmodified npm package sandbox-agent: each feature is
// tried as its users would, and what came of it is told in one line:
//
//	feature AGENT NAME yes|no|- WORDS
//
// `-` means that the agent does not offer it. Nothing is believed: text has to come
// back, files have to be there, and what the model was asked stands in its log.
//
//	node acp-agents.mjs DIRECTORY-OF-PACKAGES BASE-URL TOKEN|- AGENT LOG-OF-MODEL

import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { note, until, sleep, slow } from './lib/checks.mjs';

const [dir, baseUrl, word, agent, log] = process.argv.slice(2);
const token = word === '-' ? undefined : word;
const { SandboxAgent, InMemorySessionPersistDriver } =
	await import(pathToFileURL(`${dir}/node_modules/sandbox-agent/dist/index.js`));
const persist = new InMemorySessionPersistDriver({ maxEventsPerSession: 1e6 });
const connect = () => SandboxAgent.connect({ baseUrl, token, persist });
const cwd = '/tmp/project';
const text = (t) => [{ type: 'text', text: t }];
process.on('unhandledRejection', (e) => note(`unhandled: ${e?.stack ?? e}`));

let sdk = await connect();
const model = () => readFileSync(log, 'utf8').split('\n').flatMap((line) => {
	try { return [JSON.parse(line)]; } catch { return []; }
}).filter((l) => l.ev === 'plan');
const updates = async (s) => (await sdk.getEvents({ sessionId: s.id, limit: 1e6 })).items
	.filter((e) => e.sender === 'agent' && e.payload.method === 'session/update')
	.map((e) => e.payload.params.update);
const of = async (s, kind) => (await updates(s)).filter((u) => u.sessionUpdate === kind);
const said = async (s) => (await of(s, 'agent_message_chunk'))
	.map((u) => u.content.text ?? '').join('');
const seen = (s, pattern, seconds = 5) => until(seconds, async () =>
	pattern.test(await said(s)) && await said(s));
const file = async (path) => {
	try {
		return new TextDecoder().decode(await sdk.readFsFile({ path }));
	} catch {
		return null;
	}
};
// Replies in turn, then `once`; what was asked.
function answers(s, ...replies) {
	const asked = [];
	s.onPermissionRequest((r) => {
		asked.push(r);
		const how = replies.shift() ?? 'once';
		const done = typeof how === 'string' ? s.respondPermission(r.id, how)
		    : s.rawRespondPermission(r.id, how(r));
		done.catch((e) => note(`reply: ${e}`));
	});
	return asked;
}
// With the model that the test's own server plays best, if it is named.
async function make(o = {}) {
	const s = await sdk.createSession({ agent, cwd, ...o });
	if (process.env.MODEL)
		await s.rawSend('session/set_config_option', { configId: 'model',
		    value: process.env.MODEL });
	return s;
}
async function said_ok(s, words) {
	const r = await s.prompt(text(words));
	if (r.stopReason !== 'end_turn')
		throw new Error(`stopReason ${r.stopReason}`);
	return r;
}

const tool = (name, input) => `fake:tool use=${name} input="` +
	JSON.stringify(input).replace(/"/g, '\\"') + '"';

// Each gives words when it is there, null when the agent does not offer it, and
// throws when it fails.
const features = {
	async text() {
		const s = await make();
		await said_ok(s, 'fake:text say="plain words"');
		return await seen(s, /plain words/) && 'came back';
	},
	async deltas() {
		const s = await make();
		await said_ok(s, 'fake:stream n=8 delay=30');
		await sleep(300);
		const n = (await of(s, 'agent_message_chunk')).length;
		return n > 2 ? `${n} pieces` : false;
	},
	async reasoning() {
		const s = await make();
		await said_ok(s, 'fake:think');
		return await until(3, async () => (await of(s, 'agent_thought_chunk')).length) &&
		    'thoughts are shown';
	},
	async 'tool calls and results'() {
		const s = await make();
		answers(s);
		await said_ok(s, 'fake:bash cmd="echo from-the-command"');
		return await until(5, async () => {
			const all = (await updates(s)).filter((u) => u.toolCallId);
			const call = all.find((u) => u.sessionUpdate === 'tool_call');
			return call && all.some((u) => u.status === 'completed') &&
			    JSON.stringify(all).includes('from-the-command') &&
			    `${call.kind}: ${call.title}`;
		});
	},
	async 'command execution'() {
		const s = await make();
		answers(s);
		await said_ok(s, 'fake:bash cmd="echo made > /tmp/project/by-command"');
		return (await file('/tmp/project/by-command')) === 'made\n' && 'it was run';
	},
	async 'file changes'() {
		const s = await make();
		answers(s);
		await said_ok(s, 'fake:write path=new.txt content="x y\\n"');
		if ((await file(`${cwd}/new.txt`)) !== 'x y\n')
			return false;
		const all = (await updates(s)).filter((u) => u.toolCallId);
		return all.some((u) => u.kind === 'edit' || /diff/.test(JSON.stringify(u))) ?
		    'written, and shown as an edit' : 'written';
	},
	async 'permission once'() {
		const s = await make();
		const asked = answers(s, 'once', 'reject');
		await said_ok(s, 'fake:bash cmd="touch /tmp/project/once-1"');
		if (asked.length === 0)
			return null;
		await s.prompt(text('fake:bash cmd="touch /tmp/project/once-2"'));
		return (await file('/tmp/project/once-1')) !== null &&
		    (await file('/tmp/project/once-2')) === null && asked.length === 2 &&
		    'asked again the next time';
	},
	async 'permission reject'() {
		const s = await make();
		const asked = answers(s, 'reject');
		await s.prompt(text('fake:bash cmd="mkdir /tmp/project/rejected"'));
		if (asked.length === 0)
			return null;
		return !(await sdk.listFsEntries({ path: cwd })).some((f) =>
		    f.name === 'rejected') && 'it was not done';
	},
	async 'permission always'() {
		const s = await make();
		const asked = answers(s, 'always', 'reject');
		await said_ok(s, 'fake:bash cmd="touch /tmp/project/always-1"');
		if (asked.length === 0)
			return null;
		await said_ok(s, 'fake:bash cmd="touch /tmp/project/always-1"');
		return (await file('/tmp/project/always-1')) !== null && asked.length === 1 &&
		    'not asked again';
	},
	async questions() {
		const s = await make();
		// It asks only while it plans; that it can, it tells when it runs. (The
		// package's setMode() knows only the modes of the beginning.)
		if (agent === 'codex') {
			await said_ok(s, 'fake:text say="begun"');
			await until(5, async () => (await s.getConfigOptions()).some((o) =>
			    o.id === 'mode' && o.options.some((v) => v.value === 'plan')));
			await s.setConfigOption('mode', 'plan');
		}
		const asked = answers(s, (r) => ({ outcome: { outcome: 'selected',
		    optionId: (r.options.find((o) => /Green/.test(o.name)) ??
		    r.options[0]).optionId } }));
		await s.prompt(text('fake:ask question="Which colour?" options="Red|Green"'));
		if (!asked.some((r) => r.options.some((o) => /Green/.test(o.name))))
			return null;
		return await seen(s, /Green/) && 'answered by an option';
	},
	async plans() {
		const s = await make();
		answers(s);
		// Each keeps its list by a tool of its own, if it has one.
		const todos = ['First step', 'Second step'].map((content, i) => ({ content,
		    status: 'pending', activeForm: content, priority: 'high', id: `${i}` }));
		const words = { claude: tool('TodoWrite', { todos }),
		    opencode: tool('todowrite', { todos }),
		    codex: 'fake:todo steps="First step|Second step"' }[agent];
		if (!words)
			return null;
		await s.prompt(text(words));
		return await until(2, async () => {
			const p = (await of(s, 'plan')).at(-1);
			return p && p.entries.length === 2 &&
			    `${p.entries.map((x) => x.status).join(', ')}`;
		}) || null;
	},
	async images() {
		const s = await make();
		const before = model().length;
		const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk' +
		    'YPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==';
		const r = await s.prompt([{ type: 'image', data: png, mimeType: 'image/png' },
		    ...text('fake:text say="what a picture"')]);
		if (r.stopReason !== 'end_turn' || !await seen(s, /what a picture/))
			return false;
		const plan = model().slice(before);
		return plan.some((p) => [p.images].flat().length > 0 && p.images !== 0 &&
		    p.images !== undefined) ?
		    'the model got it' : plan.some((p) => p.images === undefined) ?
		    'sent along' : false;
	},
	async 'file attachments'() {
		const s = await make();
		const before = model().length;
		await sdk.writeFsFile({ path: `${cwd}/notes.txt` }, 'attached words\n');
		const r = await s.prompt([{ type: 'resource_link', name: 'notes.txt',
		    uri: `file://${cwd}/notes.txt` }, ...text('fake:text say="seen it"')]);
		return r.stopReason === 'end_turn' && await seen(s, /seen it/) &&
		    model().length > before && 'sent along';
	},
	async modes() {
		const s = await make();
		const modes = await s.getModes();
		const other = modes?.availableModes.find((m) => m.id !== modes.currentModeId);
		if (!other)
			return null;
		await s.setMode(other.id);
		await said_ok(s, 'fake:text say="in a mode"');
		return (await s.getModes()).currentModeId === other.id &&
		    modes.availableModes.map((m) => m.id).join(', ');
	},
	async 'thought levels'() {
		const s = await make();
		await said_ok(s, 'fake:text say="begun"');
		await sleep(200);
		const o = (await s.getConfigOptions()).find((x) =>
		    x.category === 'thought_level');
		const other = o?.options.find((x) => x.value !== o.currentValue);
		if (!other)
			return null;
		await s.setThoughtLevel(other.value);
		await said_ok(s, 'fake:text say="thought about"');
		return o.options.map((x) => x.value).join(', ');
	},
	async models() {
		const s = await make();
		// Some tell it only when they run.
		await said_ok(s, 'fake:text say="begun"');
		await sleep(200);
		const o = (await s.getConfigOptions()).find((x) => x.category === 'model');
		const values = o?.options.flatMap((x) => x.options ?? [x]) ?? [];
		const other = values.find((x) => x.value !== o.currentValue);
		if (!other)
			return null;
		await s.setModel(other.value);
		await said_ok(s, 'fake:text say="by another model"');
		return (await s.getConfigOptions()).find((x) => x.category === 'model')
		    .currentValue === other.value && `${values.length} offered`;
	},
	async usage() {
		const s = await make();
		const r = await said_ok(s, 'fake:text say="counted"');
		await sleep(200);
		const u = (await of(s, 'usage_update')).at(-1);
		return u ? `${u.used} of ${u.size}` : r.usage || r._meta?.usage ? 'of the turn'
		    : null;
	},
	async cancel() {
		const s = await make();
		const turn = s.prompt(text('fake:slow delay=60000'));
		await sleep(1500);
		const began = Date.now();
		await sdk.destroySession(s.id);
		const r = await turn;
		return r.stopReason === 'cancelled' && `after ${Date.now() - began} ms`;
	},
	async 'MCP servers'() {
		const server = `${cwd}/server.mjs`;
		await sdk.writeFsFile({ path: server }, `
import readline from 'node:readline';
const out = (m) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', ...m }) + '\\n');
readline.createInterface({ input: process.stdin }).on('line', (line) => {
	const m = JSON.parse(line);
	if (m.method === 'initialize')
		out({ id: m.id, result: { protocolVersion: m.params.protocolVersion,
		    capabilities: { tools: {} }, serverInfo: { name: 't', version: '1' } } });
	else if (m.method === 'tools/list')
		out({ id: m.id, result: { tools: [{ name: 'tell', description: 'Tell.',
		    inputSchema: { type: 'object', properties: { word: { type: 'string' } } } }] } });
	else if (m.method === 'tools/call')
		out({ id: m.id, result: { content: [{ type: 'text',
		    text: 'told ' + m.params.arguments.word + ' ' + process.env.MARK }] } });
	else if (m.id !== undefined)
		out({ id: m.id, result: {} });
});
`);
		const s = await make({ sessionInit: { cwd, mcpServers: [{ name: 'pipes',
		    command: process.execPath, args: [server],
		    env: [{ name: 'MARK', value: 'marked' }] }] } });
		answers(s);
		await s.prompt(text('fake:text say="warm"'));
		// Codex finds its tools by a search.
		const name = agent === 'codex' ? 'mcp__pipes/tell' : (model().at(-1)?.tools ?? [])
		    .find((t) => /pipes.*tell/.test(t));
		if (!name)
			return null;
		await s.prompt(text(tool(name, { word: 'salt' })));
		return await until(5, async () => JSON.stringify(await updates(s))
		    .includes('told salt marked')) && name;
	},
	async errors() {
		const s = await make();
		let how;
		try {
			const r = await s.prompt(text('fake:error status=400 times=9'));
			how = /as the test wished|400|error/i.test(await said(s)) ?
			    `told in words, ${r.stopReason}` : null;
		} catch (e) {
			how = `code ${e.code}: ${e.message}`.slice(0, 60);
		}
		if (how === null)
			return false;
		await said_ok(s, 'fake:text say="better now"');
		return await seen(s, /better now/) && how;
	},
	async 'two sessions'() {
		const [a, b] = await Promise.all([make(), make()]);
		await Promise.all([said_ok(a, 'fake:text say="only A"'),
		    said_ok(b, 'fake:text say="only B"')]);
		return await seen(a, /only A/) && await seen(b, /only B/) &&
		    !/only B/.test(await said(a)) && 'each its own';
	},
	async 'after its death'() {
		const s = await make();
		await said_ok(s, 'fake:text say="first life"');
		const again = new Promise((done) => process.once('SIGUSR2', done));
		console.log('# kill');
		await again;
		const before = model().length;
		await said_ok(s, 'fake:text say="second life"');
		if (!await seen(s, /second life/))
			return false;
		const plan = model()[before];
		return plan.messages > 1 ? `resumed, ${plan.messages} messages` : 'goes on';
	},
	async restore() {
		const s = await make();
		await said_ok(s, 'fake:text say="remember me"');
		await seen(s, /remember me/);
		await sdk.dispose();
		sdk = await connect();
		const t = await sdk.resumeSession(s.id);
		await t.prompt(text('fake:text say="here again"'));
		return await seen(t, /here again/) && 'with its history';
	},
};

await sdk.mkdirFs({ path: cwd });
const only = process.env.ONLY?.split(',');
for (const [name, code] of Object.entries(features)) {
	if (only && !only.includes(name))
		continue;
	let got, timer;
	try {
		got = await Promise.race([code(), new Promise((_, no) => {
			timer = setTimeout(() => no(new Error('no end in time')),
			    60000 * slow);
		})]);
	} catch (e) {
		note(`${name}: ${e?.stack ?? JSON.stringify(e)}`);
		got = false;
	}
	clearTimeout(timer);
	console.log(`feature ${agent} ${name.replace(/ /g, '_')} ` +
	    (got ? `yes ${got}` : got === null ? '-' : 'no').replace(/\s+/g, ' '));
}
await sdk.dispose();
process.exit(0);
