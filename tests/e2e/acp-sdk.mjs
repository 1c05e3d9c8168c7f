// The unmodified npm package sandbox-agent against a running server: agents, and
// sessions over ACP, as its users call them.
//
//	node acp-sdk.mjs DIRECTORY-OF-PACKAGES BASE-URL TOKEN|- PART...
//
// Parts: agents, raw, scripted, mock, many, restart. restart asks for a restart of
// the server by a line on its output, "# restart", and goes on at SIGUSR2.
// scripted installs AGENT (../t/lib/acp-agent.pl) through the file and process
// routes, as users of that package do.

import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { say, note, is, ok, like, part, until, thrown, plan, sleep }
	from './lib/checks.mjs';

const [dir, baseUrl, word, ...parts] = process.argv.slice(2);
const token = word === '-' ? undefined : word;
const { SandboxAgent, SandboxAgentError, InMemorySessionPersistDriver, AcpRpcError,
	UnsupportedSessionValueError, UnsupportedSessionCategoryError,
	UnsupportedSessionConfigOptionError, UnsupportedPermissionReplyError } =
	await import(pathToFileURL(`${dir}/node_modules/sandbox-agent/dist/index.js`));
const { AcpHttpClient } =
	await import(pathToFileURL(`${dir}/node_modules/acp-http-client/dist/index.js`));

const home = '.local/share/sandbox-agent/bin/agent_processes';
const driver = () => new InMemorySessionPersistDriver({ maxEventsPerSession: 1e6 });
const connect = (o = {}) =>
	SandboxAgent.connect({ baseUrl, token, persist: driver(), ...o });
const raw = (path, o = {}) => fetch(baseUrl + path, { ...o, headers: {
	...(token ? { authorization: `Bearer ${token}` } : {}), ...(o.headers ?? {}) } });
const post = (path, body) => raw(path, { method: 'POST', body: JSON.stringify(body),
	headers: { 'content-type': 'application/json' } });
// Connections that end by a problem reject what nobody waits for.
const unhandled = [];
process.on('unhandledRejection', (e) => unhandled.push(e));

const events = async (sdk, s) =>
	(await sdk.getEvents({ sessionId: s.id, limit: 100000 })).items;
const updates = async (sdk, s) => (await events(sdk, s))
	.filter((e) => e.sender === 'agent' && e.payload.method === 'session/update')
	.map((e) => e.payload.params.update);
const chunks = async (sdk, s) => (await updates(sdk, s))
	.filter((u) => u.sessionUpdate === 'agent_message_chunk' && u.content.type === 'text')
	.map((u) => u.content.text);
const text = (t) => [{ type: 'text', text: t }];
// A prompt may be answered before its last updates are there.
async function told(sdk, s, wanted, seconds = 10) {
	let got;
	await until(seconds, async () => {
		got = await chunks(sdk, s);
		return got.join(' ').includes(wanted);
	});
	return got;
}
async function servers(sdk) {
	return (await sdk.listAcpServers()).servers;
}

// --- agents --------------------------------------------------------------------------

const ids = ['claude', 'codex', 'opencode', 'amp', 'pi', 'cursor', 'mock'];
const words = ['planMode', 'permissions', 'questions', 'toolCalls', 'toolResults',
	'textMessages', 'images', 'fileAttachments', 'sessionLifecycle', 'errorEvents',
	'reasoning', 'status', 'commandExecution', 'fileChanges', 'mcpTools',
	'streamingDeltas', 'itemStarted', 'sharedProcess'];

async function agents() {
	const sdk = await connect();
	await part('agents', async () => {
		is(await sdk.getHealth(), { status: 'ok' }, 'getHealth');
		const list = (await sdk.listAgents()).agents;
		is(list.map((a) => a.id), ids, 'listAgents: the seven, in order');
		for (const a of list) {
			is(Object.keys(a.capabilities), words, `${a.id}: eighteen capabilities`);
			ok(Object.values(a.capabilities).every((v) => typeof v === 'boolean'),
			    `${a.id}: all true or false`);
			ok(!('version' in a) && !('configOptions' in a) && !('path' in a),
			    `${a.id}: no configuration`, a);
			ok(typeof a.installed === 'boolean' &&
			    typeof a.credentialsAvailable === 'boolean', `${a.id}: two words more`);
		}
		const full = (await sdk.listAgents({ config: true })).agents;
		is(full.map((a) => a.id), ids, 'with config: the same');
		for (const a of full) {
			const model = a.configOptions?.find((o) => o.category === 'model');
			ok(model && model.type === 'select', `${a.id}: models can be chosen`, a);
			ok(model?.options.some((o) => o.value === model.currentValue),
			    `${a.id}: the present one too`, model);
		}
		const mock = await sdk.getAgent('mock', { config: true });
		is(mock.configOptions.map((o) => o.category).sort(),
		    ['mode', 'model', 'thought_level'], 'mock has the three options');
		is(mock.version, 'builtin', 'and its version');
		ok(mock.path?.length > 0, 'and a path', mock);
		is(mock.installed, true, 'and is there');
		is((await sdk.getAgent('mock', { config: true, noCache: true })).id, 'mock',
		    'no_cache');
		const e = await thrown(() => sdk.getAgent('nope'), 'an agent that nobody knows');
		is([e instanceof SandboxAgentError, e.status, e.problem?.type, e.problem?.agent],
		    [true, 400, 'urn:sandbox-agent:error:unsupported_agent', 'nope'],
		    'is unsupported_agent');
		is((await raw('/v1/agents?config=1')).status, 400, 'config=1 is 400');
		is((await raw('/v1/agents/Mock')).status, 400, 'case counts');
	}, 60);
	await part('installing', async () => {
		const first = await sdk.installAgent('mock', { reinstall: true });
		is(first.already_installed, false, 'mock, again');
		is(first.artifacts.map((a) => [a.kind, a.source, a.version]),
		    [['agent_process', 'builtin', 'builtin']], 'one artifact');
		is(await sdk.installAgent('mock'), { already_installed: true, artifacts: [] },
		    'and then it is there');
		const e = await thrown(() => sdk.installAgent('nope'), 'installing nobody');
		is([e.status, e.problem?.type],
		    [400, 'urn:sandbox-agent:error:unsupported_agent'], 'is refused');
		is((await raw('/v1/agents/mock/install', { method: 'POST' })).status, 415,
		    'without a body: 415');
	});
	await part('the inspector', async () => {
		ok(String(sdk.inspectorUrl).endsWith('/ui/'), 'inspectorUrl', sdk.inspectorUrl);
	});
	await sdk.dispose();
}

// --- raw ACP -------------------------------------------------------------------------

async function rawAcp() {
	await part('AcpHttpClient', async () => {
		const seen = [];
		const client = new AcpHttpClient({ baseUrl, token,
		    transport: { path: '/v1/acp/raw%20a%2Fb', bootstrapQuery: { agent: 'mock' } },
		    onEnvelope: (e, way) => seen.push([way, e]) });
		const got = await client.initialize({ protocolVersion: 1 });
		is(got.protocolVersion, 1, 'initialize');
		is(got.echoed?.method, 'initialize', 'mock echoes');
		const ext = await client.extMethod('x/y', { a: 1 });
		is(ext.echoed?.params, { a: 1 }, 'an extension method passes');
		await until(5, () => seen.some(([, e]) => e.method === 'mock/echo' &&
		    e.params.message.method === 'x/y'));
		await sleep(300);
		is(seen.filter(([way, e]) => way === 'inbound' && !e.method &&
		    e.result?.echoed?.method === 'x/y').length, 1,
		    'its response is delivered once');
		const list = (await (await raw('/v1/acp')).json()).servers;
		ok(list.some((s) => s.serverId === 'raw a/b' && s.agent === 'mock' &&
		    s.createdAtMs > 1e12), 'it is listed by its name', list);
		const began = Date.now();
		await client.disconnect();
		const took = Date.now() - began;
		ok(took < 1000, 'disconnect waits for nobody', took);
		const left = (await (await raw('/v1/acp')).json()).servers;
		ok(!left.some((s) => s.serverId === 'raw a/b'), 'and it is gone', left);
	});
}

// --- an agent of our own ---------------------------------------------------------------

async function install(sdk, id = 'amp') {
	const script = readFileSync(new URL('../t/lib/acp-agent.pl', import.meta.url));
	await sdk.writeFsFile({ path: `${home}/${id}-acp` }, script);
	const done = await sdk.runProcess({ command: 'sh',
	    args: ['-c', `chmod 755 "$HOME/${home}/${id}-acp"`] });
	is(done.exitCode, 0, 'the scripted agent is put there');
}

async function scriptedBasics(sdk) {
	await part('sessions', async () => {
		const s = await sdk.createSession({ agent: 'amp', cwd: '/tmp' });
		is([s.agent, s.agentSessionId.length > 0], ['amp', true], 'createSession');
		const heard = [];
		const off = s.onEvent((e) => heard.push(e));
		is(await s.prompt(text('say hello think tool plan commands say bye')),
		    { stopReason: 'end_turn' }, 'prompt');
		is(await told(sdk, s, 'bye'), ['hello', 'bye'], 'its chunks');
		is((await updates(sdk, s)).map((u) => u.sessionUpdate),
		    ['agent_message_chunk', 'agent_thought_chunk', 'tool_call',
		    'tool_call_update', 'plan', 'available_commands_update',
		    'agent_message_chunk'], 'all of its updates');
		const all = await events(sdk, s);
		is(all.map((e) => e.eventIndex), all.map((_, i) => i + 1), 'getEvents is ordered');
		ok(heard.length >= 9, 'onEvent hears them', heard.length);
		off();
		is(all.filter((e) => e.payload.method === 'session/new').length, 1,
		    'from session/new on');
		const page = await sdk.listSessions();
		ok(page.items.some((x) => x.id === s.id), 'listSessions');
		is((await sdk.getSession(s.id)).agentSessionId, s.agentSessionId, 'getSession');
		is(await sdk.getSession('nobody'), null, 'getSession of nobody');
		ok((await servers(sdk)).filter((x) => x.agent === 'amp').length === 1,
		    'one ACP server');
		const a = await sdk.getAgent('amp');
		ok(a.serverStatus?.status === 'running' && a.serverStatus.uptimeMs >= 0,
		    'serverStatus', a.serverStatus);
	});
	await part('what was said', async () => {
		const s = await sdk.createSession({ agent: 'amp' });
		const big = 'ü"\\\n\u2028🦊'.repeat(25000);
		const blocks = [{ type: 'text', text: big },
		    { type: 'image', data: 'aGk=', mimeType: 'image/png' },
		    { type: 'resource_link', uri: 'file:///tmp/x', name: 'x' },
		    { type: 'resource', resource: { uri: 'mem:1', text: 'inside',
			mimeType: 'text/plain' } }, { type: 'text', text: 'blocks say done' }];
		await s.prompt(blocks);
		await told(sdk, s, 'done');
		const got = (await updates(sdk, s)).find((u) => u._meta?.blocks)?._meta.blocks;
		is(got?.length, 5, 'five blocks');
		ok(got?.[0]?.text === big, '300 kB are unchanged', got?.[0]?.text?.length);
		is(got?.slice(1), blocks.slice(1), 'and so are the others');
		const t = await sdk.createSession({ agent: 'amp' });
		await t.prompt(text('chunks 200 say end'));
		is(await told(sdk, t, 'end'),
		    [...Array(200).keys()].map((i) => `c${i + 1}`).concat('end'),
		    '200 chunks in order');
	});
	await part('errors', async () => {
		const s = await sdk.createSession({ agent: 'amp' });
		const e = await thrown(() => s.prompt(text('error')), 'an error of the agent');
		is([e.constructor?.name, e.code, e.data], ['AcpRpcError', -32001,
		    { why: 'error', n: 7 }], 'has code and data');
		like(e.message, /as you wish/, 'and its message');
		is((await s.prompt(text('say on'))).stopReason, 'end_turn', 'the session goes on');
		const f = await thrown(() => sdk.createSession({ agent: 'amp', cwd: '/fail' }),
		    'a session/new that fails');
		is([f.code, f.data], [-32602, { cwd: '/fail' }], 'is told so');
		const r = await thrown(() => s.rawSend('no/such', { a: 1 }), 'a method nobody has');
		is(r.code, -32601, 'is -32601');
	});
	await part('rawSend', async () => {
		const s = await sdk.createSession({ agent: 'amp' });
		const got = await s.rawSend('echo/me', { x: [1, { y: null }] });
		is(got.echoed, { x: [1, { y: null }], sessionId: s.agentSessionId },
		    'any method, with the session');
		is(await s.rawSend('say', { hi: 1 }, { notification: true }), undefined,
		    'a notification');
		ok(await until(10, async () => (await events(sdk, s)).some((e) =>
		    e.payload.method === 'said' || e.payload.params?.hi === 1)), 'goes out');
		await thrown(() => s.rawSend('session/cancel'), 'session/cancel is not for users');
		const log = (await s.rawSend('log')).methods;
		ok(log.includes('authenticate'), 'authenticate was called', log);
		ok(log.indexOf('initialize') === 0, 'initialize came first', log);
	});
}

async function scriptedSettings(sdk) {
	await part('modes and options', async () => {
		const s = await sdk.createSession({ agent: 'amp' });
		is((await s.getModes()).currentModeId, 'ask', 'getModes');
		await s.setMode('plan');
		is((await s.getModes()).currentModeId, 'plan', 'setMode');
		const bad = await thrown(() => s.setMode('fly'), 'a mode that nobody has');
		ok(bad instanceof UnsupportedSessionValueError, 'is refused here', bad.name);
		is((await s.getConfigOptions()).map((o) => o.id), ['model', 'thinking', 'style'],
		    'getConfigOptions');
		await s.setModel('large');
		await s.setThoughtLevel('high');
		await s.setConfigOption('style', 'long');
		is((await s.getConfigOptions()).map((o) => o.currentValue),
		    ['large', 'high', 'long'], 'all three are set');
		ok((await thrown(() => s.setModel('huge'), 'a model that nobody has'))
		    instanceof UnsupportedSessionValueError, 'is refused');
		ok((await thrown(() => s.setConfigOption('nope', 'x'), 'an option that nobody has'))
		    instanceof UnsupportedSessionConfigOptionError, 'is refused');
		const all = await sdk.createSession({ agent: 'amp', mode: 'plan',
		    model: 'large', thoughtLevel: 'high' });
		is([(await all.getModes()).currentModeId,
		    ...(await all.getConfigOptions()).slice(0, 2).map((o) => o.currentValue)],
		    ['plan', 'large', 'high'], 'createSession with all three');
		await thrown(() => sdk.createSession({ agent: 'amp', model: 'huge' }),
		    'or not, with one that nobody has');
		const less = await sdk.createSession({ agent: 'amp', cwd: '/modeless' });
		await less.setMode('plan');
		is((await less.getConfigOptions()).find((o) => o.id === 'mode').currentValue,
		    'plan', '-32601 falls back to the option');
	});
	await part('what the agent changes', async () => {
		const s = await sdk.createSession({ agent: 'amp' });
		await s.prompt(text('mode plan options say done'));
		await told(sdk, s, 'done');
		ok(await until(5, async () => (await s.getModes()).currentModeId === 'plan'),
		    'its mode');
		ok(await until(5, async () => (await s.getConfigOptions())[0].currentValue ===
		    'large'), 'its options');
	});
}

async function scriptedPermissions(sdk) {
	const four = 'allow_once+allow_always+reject_once+reject_always';
	await part('permissions', async () => {
		for (const [kinds, reply, outcome] of [[four, 'once', 'opt-allow_once'],
		    [four, 'always', 'opt-allow_always'], [four, 'reject', 'opt-reject_once'],
		    ['allow_once+reject_always', 'always', 'opt-allow_once'],
		    ['allow_once+reject_always', 'reject', 'opt-reject_always']]) {
			const s = await sdk.createSession({ agent: 'amp' });
			const asked = [];
			s.onPermissionRequest((r) => {
				asked.push(r);
				void s.respondPermission(r.id, reply);
			});
			is((await s.prompt(text(`ask ${kinds} say then`))).stopReason, 'end_turn',
			    `${reply} of ${kinds}`);
			is(await told(sdk, s, 'then'), [`selected ${outcome}`, 'then'],
			    `is ${outcome}`);
			is([asked.length, asked[0]?.toolCall.title, asked[0]?.options.length],
			    [1, 'touch a file', kinds.split('+').length], 'it was asked once');
		}
		const s = await sdk.createSession({ agent: 'amp' });
		s.onPermissionRequest((r) => void s.rawRespondPermission(r.id,
		    { outcome: { outcome: 'selected', optionId: 'mine' } }));
		await s.prompt(text(`ask ${four} say raw`));
		is(await told(sdk, s, 'raw'), ['selected mine', 'raw'], 'a raw reply');
		const none = await sdk.createSession({ agent: 'amp' });
		await none.prompt(text(`ask ${four} say none`));
		is(await told(sdk, none, 'none'), ['cancelled', 'none'], 'nobody who listens');
		const odd = await sdk.createSession({ agent: 'amp' });
		let failed;
		odd.onPermissionRequest((r) => odd.respondPermission(r.id, 'always')
		    .catch((e) => { failed = e; }));
		await odd.prompt(text('ask reject_once say odd'));
		await told(sdk, odd, 'odd');
		ok(failed instanceof UnsupportedPermissionReplyError,
		    'a reply without an option', failed);
		like((await chunks(sdk, odd))[0], /^error -?\d+$/, 'is an error to the agent');
	}, 60);
}

async function scriptedSeveral(sdk) {
	await part('two at one time', async () => {
		const [a, b] = await Promise.all([1, 2].map(() =>
		    sdk.createSession({ agent: 'amp' })));
		ok(a.agentSessionId !== b.agentSessionId, 'two sessions of one agent');
		is((await servers(sdk)).filter((s) => s.agent === 'amp').length, 1,
		    'on one connection');
		await Promise.all([a.prompt(text('chunks 20 say A')),
		    b.prompt(text('chunks 20 say B'))]);
		is((await told(sdk, a, 'A')).at(-1), 'A', 'each hears its own');
		is((await told(sdk, b, 'B')).at(-1), 'B', 'and its own only');
		is((await chunks(sdk, a)).length, 21, 'all of it');
		const many = await Promise.all([...Array(40).keys()].map((i) =>
		    a.rawSend('echo/n', { i })));
		is(many.map((m) => m.echoed.i), [...Array(40).keys()], 'forty POSTs at one time');
	});
	await part('destroySession', async () => {
		const s = await sdk.createSession({ agent: 'amp' });
		const running = s.prompt(text('wait'));
		await sleep(100);
		const gone = await sdk.destroySession(s.id);
		ok(gone.destroyedAt > 0, 'during a prompt');
		is((await running).stopReason, 'cancelled', 'which is cancelled');
		const p = await sdk.createSession({ agent: 'amp' });
		const asked = new Promise((yes) => p.onPermissionRequest(yes));
		const turn = p.prompt(text('ask allow_once say never'));
		await asked;
		await sdk.destroySession(p.id);
		like((await turn).stopReason, /^(end_turn|cancelled)$/, 'during a permission');
		is((await told(sdk, p, 'never'))[0], 'cancelled', 'which is cancelled');
	});
	await part('invalid lines', async () => {
		const s = await sdk.createSession({ agent: 'amp' });
		is((await s.prompt(text('junk array stderr oh say fine'))).stopReason, 'end_turn',
		    'the session goes on');
		is(await told(sdk, s, 'fine'), ['fine'], 'and is heard');
		const server = (await servers(sdk)).find((x) => x.agent === 'amp').serverId;
		const reply = await raw(`/v1/acp/${encodeURIComponent(server)}`);
		const reader = reply.body.getReader();
		let all = '';
		await until(10, async () => {
			const { value } = await reader.read();
			all += new TextDecoder().decode(value);
			return all.includes('_adapter/invalid_stdout') && all.includes('"fine"');
		});
		await reader.cancel();
		like(all, /"raw":"this is not json"/, 'the line is shown');
		like(all, /data: \[1, ?2, ? ?3\]\n/, 'one that is JSON is passed');
	});
}

async function scriptedRest(sdk) {
	await part('restore with replay', async () => {
		const persist = driver();
		const one = await connect({ persist, replayMaxEvents: 50, replayMaxChars: 12000 });
		const s = await one.createSession({ agent: 'amp', cwd: '/tmp' });
		await s.prompt(text('say remember-this'));
		await told(one, s, 'remember-this');
		await one.dispose();
		const two = await connect({ persist });
		const again = await two.resumeSession(s.id);
		ok(again.agentSessionId && again.id === s.id, 'resumeSession');
		await again.prompt(text('blocks say after'));
		await told(two, again, 'after');
		const got = (await updates(two, again)).find((u) => u._meta?.blocks)?._meta.blocks;
		is(got?.length, 2, 'the next prompt has a block more');
		like(got?.[0]?.text, /Previous session history/, 'the history');
		like(got?.[0]?.text, /remember-this/, 'with what was said');
		is((await two.resumeOrCreateSession({ id: s.id, agent: 'amp', mode: 'plan' })).id,
		    s.id, 'resumeOrCreateSession of an old one');
		is((await two.resumeOrCreateSession({ id: 'fresh', agent: 'amp' })).id, 'fresh',
		    'and of a new one');
		const before = (await servers(two)).length;
		await two.dispose();
		const left = (await servers(sdk)).length;
		ok(left < before, 'dispose removes the server', [before, left]);
	}, 60);
	await part('the end of the agent', async () => {
		const own = await connect();
		const s = await own.createSession({ agent: 'amp' });
		const server = (await servers(own)).filter((x) => x.agent === 'amp')
		    .map((x) => x.serverId);
		const pending = s.prompt(text('stderr last-words exit 3'));
		pending.catch(() => {});
		const path = async () => {
			for (const id of server) {
				const r = await post(`/v1/acp/${encodeURIComponent(id)}`,
				    { jsonrpc: '2.0', id: 'dead?', method: 'echo/x' });
				if (r.status === 502)
					return [id, await r.json()];
			}
			return null;
		};
		const [id, problem] = await until(10, path) ?? [];
		is(problem?.type, 'urn:sandbox-agent:error:stream_error',
		    'a POST after that is 502');
		const stream = await (await raw(`/v1/acp/${encodeURIComponent(id)}`)).body
		    .getReader();
		let all = '';
		await until(10, async () => {
			all += new TextDecoder().decode((await stream.read()).value);
			return all.includes('agent_exited');
		});
		await stream.cancel();
		like(all, /"method":"_adapter\/agent_exited","params":\{"code":3,"success":false\}/,
		    'the stream tells of it');
		is((await raw(`/v1/acp/${encodeURIComponent(id)}`, { method: 'DELETE' })).status,
		    204, 'DELETE is 204');
		await own.dispose();
		// Who waited has been told, by a rejection that this package hands to
		// nobody.
		ok(unhandled.splice(0).every((e) =>
		    e.problem?.type === 'urn:sandbox-agent:error:agent_process_exited'),
		    'the prompt was answered by agent_process_exited', unhandled);
	});
}

async function scripted() {
	const sdk = await connect();
	await install(sdk);
	await scriptedBasics(sdk);
	await scriptedSettings(sdk);
	await scriptedPermissions(sdk);
	await scriptedSeveral(sdk);
	await scriptedRest(sdk);
	await sdk.dispose();
	ok(await until(5, async () => {
		const r = await (await raw('/v1/acp')).json();
		return r.servers.length === 0;
	}), 'nothing is left');
}

// --- mock ----------------------------------------------------------------------------

async function mock() {
	const sdk = await connect();
	await part('mock', async () => {
		const s = await sdk.createSession({ agent: 'mock', cwd: '/tmp' });
		is((await s.prompt(text('hello there'))).stopReason, 'end_turn', 'a prompt');
		like((await told(sdk, s, 'hello there')).join(''), /hello there/, 'is answered');
		const info = await sdk.getAgent('mock', { config: true });
		is((await s.getConfigOptions()).map((o) => o.category).sort(),
		    info.configOptions.map((o) => o.category).sort(),
		    'its options are those of getAgent');
		await s.setModel('mock-fast');
		await s.setThoughtLevel('high');
		await s.setMode('plan');
		is((await s.getConfigOptions()).filter((o) => o.category !== 'mode')
		    .map((o) => o.currentValue).sort(), ['high', 'mock-fast'], 'they can be set');
		is((await s.getModes()).currentModeId, 'plan', 'and the mode');
		is((await s.rawSend('x/any', { q: 1 })).echoed?.params.q, 1, 'it echoes the rest');
		const other = await sdk.createSession({ agent: 'mock', model: 'mock-fast',
		    mode: 'plan', thoughtLevel: 'medium' });
		is((await other.prompt(text('two'))).stopReason, 'end_turn', 'all at once');
	});
	await part('permissions of mock', async () => {
		for (const reply of ['once', 'always', 'reject']) {
			const s = await sdk.createSession({ agent: 'mock' });
			let asked = 0;
			s.onPermissionRequest((r) => {
				asked++;
				void s.respondPermission(r.id, reply);
			});
			is((await s.prompt(text('permission'))).stopReason, 'end_turn',
			    `permission: ${reply}`);
			is(asked, 2, 'both were asked');
		}
	});
	await part('destroySession of mock', async () => {
		const s = await sdk.createSession({ agent: 'mock' });
		const turn = s.prompt(text('sleep 20000'));
		await sleep(200);
		await sdk.destroySession(s.id);
		is((await turn).stopReason, 'cancelled', 'during a prompt');
	});
	const began = Date.now();
	await sdk.dispose();
	ok(Date.now() - began < 1500, 'dispose is quick', Date.now() - began);
}

// Two hundred clients, a session and so a server each.
async function many() {
	const n = Number(process.env.MANY ?? 200);
	await part(`${n} sessions`, async () => {
		const sdks = await Promise.all([...Array(n)].map(() => connect()));
		const began = Date.now();
		const all = await Promise.all(sdks.map((sdk) =>
		    sdk.createSession({ agent: 'mock' })));
		note(`${n} sessions in ${Date.now() - began} ms`);
		is(new Set((await servers(sdks[0])).map((s) => s.serverId)).size, n,
		    `${n} servers`);
		const stops = await Promise.all(all.map((s, i) => s.prompt(text(`hello-${i}-`))));
		is(stops.filter((r) => r.stopReason === 'end_turn').length, n, 'all have answered');
		const heard = await Promise.all(all.map(async (s, i) =>
		    (await told(sdks[i], s, `hello-${i}-`, 30)).join('')));
		is(heard.filter((t, i) => t.includes(`hello-${i}-`)).length, n,
		    'each has heard its own');
		is(heard.filter((t, i) => t.split('hello-').length > 2 &&
		    !t.includes(`hello-${i}-`)).length, 0, 'and nobody else');
		await Promise.all(sdks.map((sdk) => sdk.dispose()));
		is((await (await raw('/v1/acp')).json()).servers, [], 'nothing is left');
	}, 240);
}

// --- a restart of the server -----------------------------------------------------------

async function restart() {
	const persist = driver();
	const one = await connect({ persist });
	await part('a restart', async () => {
		const s = await one.createSession({ agent: 'mock' });
		await s.prompt(text('before'));
		await told(one, s, 'before');
		const server = (await servers(one))[0].serverId;
		const again = new Promise((done) => process.once('SIGUSR2', done));
		console.log('# restart');
		await again;
		is((await servers(one)).map((x) => x.serverId), [server], 'the server is there');
		is((await s.prompt(text('behind'))).stopReason, 'end_turn',
		    'a session goes on as if nothing were');
		like((await told(one, s, 'behind')).join(' '), /behind/, 'and is heard');
		const two = await connect({ persist });
		const t = await two.resumeSession(s.id);
		is((await t.prompt(text('resumed'))).stopReason, 'end_turn',
		    'another client restores it');
		await two.dispose();
	}, 120);
	await one.dispose();
}

const all = { agents, raw: rawAcp, scripted, mock, many, restart };
for (const name of parts)
	await all[name]();
is(unhandled.map(String), [], 'nothing was rejected that nobody heard of');
plan();
process.exit(0);
