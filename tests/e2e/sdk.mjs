// The unmodified npm package sandbox-agent against a running server: files,
// processes, terminals, configuration and errors, as its users call them.
//
//	node sdk.mjs DIRECTORY-OF-PACKAGES BASE-URL [TOKEN]
//
// Prints one TAP line a check; what comes back is compared with what the wire
// reference of that package promises, never with what our server happens to do.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [dir, baseUrl, token] = process.argv.slice(2);
const require = createRequire(`${dir}/node_modules/`);
const find = (name) => import(pathToFileURL(require.resolve(name)));
const { SandboxAgent, SandboxAgentError } =
	await import(pathToFileURL(`${dir}/node_modules/sandbox-agent/dist/index.js`));
const WebSocket = (await find('ws')).default;

const sdk = await SandboxAgent.connect({ baseUrl, token });
const text = (bytes) => new TextDecoder().decode(bytes);
const bytes = (s) => new TextEncoder().encode(s);
const b64 = (s) => Buffer.from(s, 'base64');
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
let count = 0;

function say(good, name, why) {
	count++;
	console.log(`${good ? 'ok' : 'not ok'} ${count} - ${name}`);
	if (!good)
		console.log(`# ${String(why).replace(/\n/g, '\n# ')}`);
}
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
// Frames of a terminal have their members in alphabetic order.
const frame = (f) => f && Object.keys(f).sort().map((k) => [k, f[k]]);
function is(got, want, name) {
	say(same(got, want), name, `got ${JSON.stringify(got)}, not ${JSON.stringify(want)}`);
}
function ok(good, name, got) {
	say(Boolean(good), name, good ? '' : `got ${JSON.stringify(got)}`);
}
function like(got, pattern, name) {
	say(pattern.test(String(got)), name, `got ${JSON.stringify(got)}, not ${pattern}`);
}
// One part; what it throws is one failure, and the next part goes on.
async function part(name, code, seconds = 30) {
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
// A call that must fail: status and type of the problem.
async function fails(code, status, type, name, detail) {
	try {
		const got = await code();
		say(false, name, `no error: ${JSON.stringify(got)}`);
	} catch (e) {
		const p = e.problem ?? {};
		const good = e instanceof SandboxAgentError && e.status === status &&
			(type === null || p.type === `urn:sandbox-agent:error:${type}`) &&
			(!detail || detail.test(p.detail ?? ''));
		say(good, name, `${e} ${JSON.stringify(p)}`);
	}
}
async function until(seconds, code) {
	const end = Date.now() + seconds * 1000;
	for (;;) {
		const got = await code();
		if (got || Date.now() > end)
			return got;
		await sleep(30);
	}
}
const raw = (path, o = {}) => fetch(baseUrl + path, { ...o, headers: {
	...(token ? { authorization: `Bearer ${token}` } : {}), ...(o.headers ?? {}) } });

// --- health and raw errors ----------------------------------------------------

await part('core', async () => {
	is(await sdk.getHealth(), { status: 'ok' }, 'getHealth');
	is((await raw('/v1/nothing')).status, 404, 'an unknown path is 404');
	const wrong = await raw('/v1/health', { method: 'DELETE' });
	is(wrong.status, 405, 'a wrong method is 405');
	like(wrong.headers.get('allow'), /GET/, 'with Allow');
	is((await raw('/v1/processes/run', { method: 'POST', body: '{}',
	    headers: { 'content-type': 'text/plain' } })).status, 415, 'a wrong type is 415');
	const post = (body) => raw('/v1/processes/run', { method: 'POST', body,
	    headers: { 'content-type': 'application/json' } });
	is((await post('{')).status, 400, 'no JSON is 400');
	is((await post('{}')).status, 422, 'a member missing is 422');
	is((await post('{"command":"true","args":null}')).status, 422, 'args: null is 422');
	is((await post('{"command":"true","cwd":null,"timeoutMs":null}')).status, 200,
	    'null for optional members is as good as none');
	is((await raw('/v1/health', { method: 'OPTIONS' })).status, 200, 'OPTIONS is 200');
	const head = await raw('/v1/health', { method: 'HEAD' });
	is([head.status, head.headers.get('content-length')], [200, '15'], 'HEAD has the length');
	const health = await raw('/v1/health');
	is(health.headers.get('content-type'), 'application/json', 'the type has no charset');
	is(health.headers.get('vary'),
	    'origin, access-control-request-method, access-control-request-headers', 'vary');
	is((await raw('/v1/fs/entries?path=/&path=/')).status, 400, 'a parameter twice is 400');
	const problem = await raw('/v1/processes/proc_999999');
	is(problem.headers.get('content-type'), 'application/problem+json', 'the type of a problem');
	const charset = await raw('/v1/processes/run', { method: 'POST',
	    body: '{"command":"true","unknown":1}',
	    headers: { 'content-type': 'application/json; charset=utf-8' } });
	is(charset.status, 200, 'a charset and unknown members are no harm');
});

// --- with a token --------------------------------------------------------------

if (token) {
	await part('auth', async () => {
		for (const bad of [undefined, 'wrong']) {
			const other = await SandboxAgent.connect({ baseUrl, token: bad,
			    skipHealthCheck: true });
			await fails(() => other.listProcesses(), 401, 'token_invalid',
			    `${bad ?? 'no'} token: 401`);
		}
		is((await fetch(`${baseUrl}/v1/health`)).status, 401, 'health needs it too');
		is((await fetch(new URL('/', baseUrl))).status, 200, 'the root does not');
		is((await fetch(`${baseUrl}/v1/nothing`)).status, 404, 'nor an unknown path');
		is((await fetch(`${baseUrl}/v1/health?access_token=${token}`)).status, 401,
		    'access_token is refused on an ordinary route');
		is((await fetch(`${baseUrl}/v1/health`, { headers: {
		    authorization: `Basic ${Buffer.from(`u:${token}`).toString('base64')}` } }))
		    .status, 200, 'Basic with the token as password');
	});
}

// --- files ---------------------------------------------------------------------

const at = `/tmp/sdk-${process.pid}`;
await part('files', async () => {
	is(await sdk.mkdirFs({ path: `${at}/deep/er` }), { path: `${at}/deep/er` }, 'mkdirFs');
	is(await sdk.mkdirFs({ path: `${at}/deep/er` }), { path: `${at}/deep/er` }, 'twice');
	is(await sdk.writeFsFile({ path: `${at}/a.txt` }, bytes('héllo')),
	    { path: `${at}/a.txt`, bytesWritten: 6 }, 'writeFsFile');
	is(text(await sdk.readFsFile({ path: `${at}/a.txt` })), 'héllo', 'readFsFile');
	is(await sdk.writeFsFile({ path: `${at}/new/sub/b` }, 'text'),
	    { path: `${at}/new/sub/b`, bytesWritten: 4 }, 'parents are made');
	const binary = new Uint8Array(300000).map((_, i) => (i * 7919) >> 3);
	await sdk.writeFsFile({ path: `${at}/bin` }, binary);
	ok(Buffer.compare(await sdk.readFsFile({ path: `${at}/bin` }), binary) === 0,
	    'bytes as they are');
	await sdk.writeFsFile({ path: `${at}/empty` }, new Uint8Array());
	is((await sdk.readFsFile({ path: `${at}/empty` })).length, 0, 'an empty file');
	const two = new Uint8Array(2 * 1024 * 1024).fill(65);
	is((await sdk.writeFsFile({ path: `${at}/two` }, two)).bytesWritten, two.length, '2 MiB');
	is((await sdk.writeFsFile({ path: `${at}/more` }, new Uint8Array(3 << 20))).bytesWritten,
	    3 << 20, 'and more than the original takes');
	const st = await sdk.statFs({ path: `${at}/a.txt` });
	is(Object.keys(st), ['path', 'entryType', 'size', 'modified'], 'statFs: its members');
	is([st.path, st.entryType, st.size], [`${at}/a.txt`, 'file', 6], 'and values');
	like(st.modified, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+\+00:00$/, 'modified');
	is((await sdk.statFs({ path: at })).entryType, 'directory', 'a directory');
	const list = await sdk.listFsEntries({ path: at });
	ok(Array.isArray(list), 'listFsEntries is a bare array', list);
	is(list.map((e) => e.name).sort(), ['a.txt', 'bin', 'deep', 'empty', 'more', 'new', 'two'],
	    'with every name');
	const one = list.find((e) => e.name === 'a.txt');
	is(Object.keys(one), ['name', 'path', 'entryType', 'size', 'modified'], 'members of an entry');
	is(one.path, `${at}/a.txt`, 'its path');
	ok(Array.isArray(await sdk.listFsEntries()), 'without a path: home');
	is(await sdk.moveFs({ from: `${at}/a.txt`, to: `${at}/far/away.txt` }),
	    { from: `${at}/a.txt`, to: `${at}/far/away.txt` }, 'moveFs makes parents');
	await sdk.writeFsFile({ path: `${at}/c` }, 'c');
	await fails(() => sdk.moveFs({ from: `${at}/c`, to: `${at}/far/away.txt` }), 400,
	    'invalid_request', 'onto what is there: 400', /destination already exists/);
	await sdk.moveFs({ from: `${at}/c`, to: `${at}/far`, overwrite: true });
	is(text(await sdk.readFsFile({ path: `${at}/far` })), 'c', 'overwrite replaces a directory');
	await fails(() => sdk.moveFs({ from: `${at}/none`, to: `${at}/x` }), 400,
	    'invalid_request', 'from nothing: 400', /path not found/);
	is(await sdk.deleteFsEntry({ path: `${at}/empty` }), { path: `${at}/empty` },
	    'deleteFsEntry');
	await fails(() => sdk.deleteFsEntry({ path: `${at}/deep` }), 502, 'stream_error',
	    'a full directory: 502', /not empty/i);
	is(await sdk.deleteFsEntry({ path: `${at}/deep`, recursive: true }),
	    { path: `${at}/deep` }, 'recursive');
	await fails(() => sdk.readFsFile({ path: `${at}/none` }), 400, 'invalid_request',
	    'a missing file is 400', /path not found/);
	await fails(() => sdk.statFs({ path: `${at}/none` }), 400, 'invalid_request',
	    'also for stat', /path not found/);
	await fails(() => sdk.readFsFile({ path: at }), 400, 'invalid_request',
	    'a directory is no file', /not a file/);
	await fails(() => sdk.listFsEntries({ path: `${at}/bin` }), 400, 'invalid_request',
	    'a file is no directory', /not a directory/);
	await fails(() => sdk.writeFsFile({ path: at }, 'x'), 502, 'stream_error',
	    'writing to a directory: 502', /Is a directory \(os error 21\)/);
	await fails(() => sdk.mkdirFs({ path: `${at}/bin` }), 502, 'stream_error',
	    'mkdir over a file: 502', /File exists/);
	await fails(() => sdk.readFsFile({ path: '../etc/passwd' }), 400, 'invalid_request',
	    'climbing out of home: 400', /invalid relative path/);
	await sdk.writeFsFile({ path: '~/tilde' }, 't');
	like((await sdk.statFs({ path: '~/tilde' })).path, /\/~\/tilde$/, '~ is a name like others');
	await sdk.deleteFsEntry({ path: '~', recursive: true });
	await sdk.runProcess({ command: 'ln', args: ['-s', `${at}/bin`, `${at}/link`] });
	is((await sdk.listFsEntries({ path: at })).find((e) => e.name === 'link').entryType,
	    'file', 'a link is listed as a file');
	is((await sdk.statFs({ path: `${at}/link` })).size, 300000, 'and followed by stat');
});

// A tar archive: [name, type, content, mode] each.
function tar(entries) {
	const blocks = [];
	for (const [name, type, content = '', mode = 0o644] of entries) {
		const h = Buffer.alloc(512);
		h.write(name, 0);
		h.write(mode.toString(8).padStart(7, '0'), 100);
		h.write('0000000', 108);
		h.write('0000000', 116);
		h.write((type === '2' ? 0 : content.length).toString(8).padStart(11, '0'), 124);
		h.write('14600000000', 136);
		h.write('        ', 148);
		h.write(type, 156);
		if (type === '2')
			h.write(content, 157);
		h.write('ustar\0' + '00', 257);
		const sum = h.reduce((a, b) => a + b, 0);
		h.write(sum.toString(8).padStart(6, '0') + '\0 ', 148);
		blocks.push(h);
		if (type !== '2' && content.length) {
			const body = Buffer.alloc(Math.ceil(content.length / 512) * 512);
			body.write(content);
			blocks.push(body);
		}
	}
	blocks.push(Buffer.alloc(1024));
	return Buffer.concat(blocks);
}

await part('batch', async () => {
	const got = await sdk.uploadFsBatch(tar([['./a.txt', '0', 'one'], ['d', '5', '', 0o755],
	    ['d/b.sh', '0', '#!/bin/sh\necho ran\n', 0o755]]), { path: `${at}/up` });
	is(got, { paths: [`${at}/up/a.txt`, `${at}/up/d`, `${at}/up/d/b.sh`], truncated: false },
	    'uploadFsBatch');
	is((await sdk.runProcess({ command: `${at}/up/d/b.sh` })).stdout, 'ran\n', 'modes hold');
	const many = (n) => tar(Array.from({ length: n }, (_, i) => [`f${i}`, '0', 'x']));
	let r = await sdk.uploadFsBatch(many(1024), { path: `${at}/many` });
	is([r.paths.length, r.truncated], [1024, false], '1024 entries');
	r = await sdk.uploadFsBatch(many(1025), { path: `${at}/many` });
	is([r.paths.length, r.truncated], [1024, true], 'one more is cut from the answer');
	is((await sdk.listFsEntries({ path: `${at}/many` })).length, 1025, 'but unpacked');
	await fails(() => sdk.uploadFsBatch(tar([['../esc.txt', '0', 'x']]), { path: `${at}/up` }),
	    400, 'invalid_request', 'climbing out: 400', /invalid relative path/);
	await fails(() => sdk.uploadFsBatch(bytes('garbage'.repeat(200)), { path: `${at}/up` }),
	    502, 'stream_error', 'garbage: 502');
	is(await sdk.uploadFsBatch(new Uint8Array(), { path: `${at}/up` }),
	    { paths: [], truncated: false }, 'nothing: nothing');
	is((await raw(`/v1/fs/upload-batch?path=${at}/up`, { method: 'POST', body: 'x',
	    headers: { 'content-type': 'application/zip' } })).status, 400, 'another type: 400');
});

// --- processes -------------------------------------------------------------------

const sh = (script, o = {}) => ({ command: 'sh', args: ['-c', script], ...o });
const logText = (log, stream) => Buffer.concat(log.entries
    .filter((e) => !stream || e.stream === stream).map((e) => b64(e.data))).toString();
const ended = (id) => until(10, async () => {
	const p = await sdk.getProcess(id);
	return p.status === 'exited' ? p : null;
});

await part('run', async () => {
	const r = await sdk.runProcess(sh('echo out; echo err >&2; exit 3'));
	ok(Number.isInteger(r.durationMs), 'durationMs', r);
	delete r.durationMs;
	is(r, { exitCode: 3, timedOut: false, stdout: 'out\n', stderr: 'err\n',
	    stdoutTruncated: false, stderrTruncated: false }, 'runProcess');
	is((await sdk.runProcess(sh('echo $WORD; pwd', { env: { WORD: 'given' }, cwd: '/tmp' })))
	    .stdout, 'given\n/tmp\n', 'env and cwd');
	is((await sdk.runProcess({ command: 'cat' })).stdout, '', 'standard input is empty');
	const began = Date.now();
	const late = await sdk.runProcess(sh('echo soon; sleep 60 & sleep 60', { timeoutMs: 300 }));
	is([late.exitCode, late.timedOut, late.stdout], [null, true, 'soon\n'], 'time-out');
	ok(Date.now() - began < 3000, 'a grandchild does not delay it', Date.now() - began);
	is((await sdk.runProcess(sh('kill -9 $$'))).exitCode, null, 'by a signal: null');
	const cut = await sdk.runProcess(sh('printf 0123456789; printf ab >&2', { maxOutputBytes: 4 }));
	is([cut.stdout, cut.stdoutTruncated, cut.stderr, cut.stderrTruncated],
	    ['0123', true, 'ab', false], 'maxOutputBytes');
	is((await sdk.runProcess(sh('printf "a\\377b"'))).stdout, 'a\ufffdb', 'bad UTF-8');
	await fails(() => sdk.runProcess({ command: '' }), 400, 'invalid_request',
	    'no command: 400', /command must not be empty/);
	await fails(() => sdk.runProcess({ command: '/no/such' }), 502, 'stream_error',
	    'no such program: 502', /failed to spawn process: No such file or directory \(os error 2\)/);
	await fails(() => sdk.runProcess({ command: 'true', cwd: '/no/such' }), 502,
	    'stream_error', 'no such directory: 502');
});

await part('config', async () => {
	const c = await sdk.getProcessConfig();
	is(c, { maxConcurrentProcesses: 64, defaultRunTimeoutMs: 30000, maxRunTimeoutMs: 300000,
	    maxOutputBytes: 1048576, maxLogBytesPerProcess: 10485760,
	    maxInputBytesPerRequest: 65536 }, 'getProcessConfig');
	is((await sdk.setProcessConfig({ ...c, defaultRunTimeoutMs: 900000 })).defaultRunTimeoutMs,
	    300000, 'setProcessConfig clamps');
	await fails(() => sdk.setProcessConfig({ ...c, maxConcurrentProcesses: 0 }), 400,
	    'invalid_request', 'zero: 400', /maxConcurrentProcesses must be greater than 0/);
	const missing = { ...c };
	delete missing.maxOutputBytes;
	await fails(() => sdk.setProcessConfig(missing), 422, null, 'one missing: 422');
	const first = await sdk.createProcess({ command: 'sleep', args: ['60'] });
	const running = (await sdk.listProcesses()).processes.filter((p) => p.status === 'running');
	await sdk.setProcessConfig({ ...c, maxConcurrentProcesses: running.length });
	await fails(() => sdk.createProcess({ command: 'sleep', args: ['60'] }), 409, 'conflict',
	    'too many: 409', /max concurrent process limit reached/);
	is(await sdk.setProcessConfig(c), c, 'set back');
	await sdk.killProcess(first.id);
	await sdk.deleteProcess(first.id);
});

await part('managed', async () => {
	const p = await sdk.createProcess(sh('echo one; echo two >&2; sleep 0.2; echo three; exit 7',
	    { cwd: '/tmp' }));
	is(Object.keys(p), ['id', 'command', 'args', 'cwd', 'tty', 'interactive', 'owner', 'status',
	    'pid', 'createdAtMs'], 'createProcess: members in order');
	like(p.id, /^proc_\d+$/, 'its id');
	is([p.command, p.cwd, p.tty, p.interactive, p.owner, p.status],
	    ['sh', '/tmp', false, false, 'user', 'running'], 'and values');
	const e = await ended(p.id);
	is([e.status, e.exitCode, 'pid' in e], ['exited', 7, false], 'getProcess after its end');
	ok(e.exitedAtMs >= e.createdAtMs, 'exitedAtMs', e);
	const log = await sdk.getProcessLogs(p.id);
	is([log.processId, log.stream], [p.id, 'combined'], 'getProcessLogs');
	is(Object.keys(log.entries[0]), ['sequence', 'stream', 'timestampMs', 'data', 'encoding'],
	    'members of an entry');
	is(log.entries.map((x) => x.sequence), [1, 2, 3], 'sequences');
	is([logText(log, 'stdout'), logText(log, 'stderr')], ['one\nthree\n', 'two\n'], 'the text');
	is(logText(await sdk.getProcessLogs(p.id, { stream: 'stderr' })), 'two\n', 'one stream');
	is((await sdk.getProcessLogs(p.id, { tail: 1 })).entries.map((x) => x.sequence), [3], 'tail');
	is((await sdk.getProcessLogs(p.id, { since: 2 })).entries.map((x) => x.sequence), [3],
	    'since');
	is((await sdk.getProcessLogs(p.id, { tail: 0 })).entries, [], 'tail 0');
	is((await sdk.stopProcess(p.id)).status, 'exited', 'stopping what has ended');
	await fails(() => sdk.sendProcessInput(p.id, { data: '' }), 409, 'conflict',
	    'input to it: 409', /process is not running/);
	is((await sdk.listProcesses({ owner: 'user' })).processes.some((x) => x.id === p.id), true,
	    'listProcesses by owner');
	is((await sdk.listProcesses({ owner: 'desktop' })).processes, [], 'of another');
	await sdk.deleteProcess(p.id);
	await fails(() => sdk.getProcess(p.id), 404, 'not_found', 'deleted: 404',
	    new RegExp(`not found: process ${p.id}`));

	const q = await sdk.createProcess(sh('trap "" TERM; echo up; while :; do sleep 0.1; done'));
	await until(5, async () => logText(await sdk.getProcessLogs(q.id)) === 'up\n');
	await fails(() => sdk.deleteProcess(q.id), 409, 'conflict', 'deleting what runs: 409',
	    /still running/);
	is((await sdk.stopProcess(q.id, { waitMs: 200 })).status, 'running', 'TERM was ignored');
	const k = await sdk.killProcess(q.id, { waitMs: 5000 });
	is([k.status, 'exitCode' in k], ['exited', false], 'killed: no exitCode');
	await sdk.deleteProcess(q.id);

	await fails(() => sdk.createProcess({ command: '/no/such' }), 502, 'stream_error',
	    'no such program: 502', /failed to spawn/);
	const ids = [];
	for (let i = 0; i < 3; i++)
		ids.push((await sdk.createProcess({ command: 'true' })).id);
	const listed = (await sdk.listProcesses()).processes.map((x) => x.id);
	is(listed, [...listed].sort(), 'the list is sorted as text');
	for (const id of ids) {
		await ended(id);
		await sdk.deleteProcess(id);
	}
});

await part('input', async () => {
	const p = await sdk.createProcess({ command: 'cat', interactive: true });
	is(await sdk.sendProcessInput(p.id, { data: Buffer.from('base64\n').toString('base64') }),
	    { bytesWritten: 7 }, 'sendProcessInput: base64 unless told');
	is(await sdk.sendProcessInput(p.id, { data: 'plain\n', encoding: 'utf8' }),
	    { bytesWritten: 6 }, 'utf8');
	ok(await until(5, async () => logText(await sdk.getProcessLogs(p.id)) === 'base64\nplain\n'),
	    'it arrives');
	await fails(() => sdk.sendProcessInput(p.id, { data: 'x', encoding: 'utf-8' }), 400,
	    'invalid_request', 'another encoding: 400', /encoding must be one of: base64, utf8, text/);
	await fails(() => sdk.sendProcessInput(p.id, { data: '!' }), 400, 'invalid_request',
	    'no base64: 400', /invalid base64 input/);
	await fails(() => sdk.sendProcessInput(p.id, { data: 'x'.repeat(65537), encoding: 'text' }),
	    413, 'invalid_request', 'too much: 413', /maxInputBytesPerRequest \(65536\)/);
	await fails(() => sdk.sendProcessInput('proc_999999', { data: '' }), 404, 'not_found',
	    'nobody: 404');
	await fails(() => sdk.resizeProcessTerminal(p.id, { cols: 80, rows: 24 }), 409, 'conflict',
	    'resizing what is no terminal: 409', /not running in tty mode/);
	await sdk.killProcess(p.id);
	await sdk.deleteProcess(p.id);
});

await part('follow', async () => {
	const p = await sdk.createProcess(sh('for i in 1 2 3 4 5; do echo $i; sleep 0.05; done'));
	const seen = [];
	const f = await sdk.followProcessLogs(p.id, (e) => seen.push(e));
	ok(await until(5, () => logText({ entries: seen }) === '1\n2\n3\n4\n5\n'), 'followProcessLogs',
	    seen);
	is(seen.map((e) => e.sequence), seen.map((_, i) => i + 1), 'each once, in order');
	f.close();
	await f.closed;
	ok(true, 'and it closes');
	const later = [];
	const g = await sdk.followProcessLogs(p.id, (e) => later.push(e), { since: 3 });
	await until(3, () => later.length >= seen.length - 3);
	is(later.map((e) => e.sequence), seen.slice(3).map((e) => e.sequence), 'since');
	g.close();
	await g.closed;
	await ended(p.id);
	await sdk.deleteProcess(p.id);
});

// --- terminals -------------------------------------------------------------------

// A session and what it has told so far.
async function terminal(id, o = {}) {
	const t = { shown: '', ready: null, exit: null, errors: [], closed: false };
	t.session = sdk.connectProcessTerminal(id, { WebSocket, ...o });
	t.session.onData((d) => { t.shown += text(d); });
	t.session.onReady((s) => { t.ready = s; });
	t.session.onExit((s) => { t.exit = s; });
	t.session.onError((e) => { t.errors.push(e); });
	t.session.onClose(() => { t.closed = true; });
	await until(5, () => t.ready || t.closed);
	return t;
}

await part('terminal', async () => {
	const p = await sdk.createProcess({ command: 'sh', tty: true, interactive: true });
	is(p.tty, true, 'a process on a terminal');
	const t = await terminal(p.id);
	is(frame(t.ready), [['processId', p.id], ['type', 'ready']], 'ready');
	t.session.sendInput('stty size; echo "is $((40 + 2))"\n');
	ok(await until(5, () => /24 80[\s\S]*is 42/.test(t.shown)), 'input and output, 24 by 80',
	    t.shown);
	t.session.resize({ cols: 120, rows: 40 });
	t.session.sendInput('stty size\n');
	ok(await until(5, () => /40 120/.test(t.shown)), 'resize by a frame', t.shown);
	is(await sdk.resizeProcessTerminal(p.id, { cols: 100, rows: 30 }), { cols: 100, rows: 30 },
	    'resizeProcessTerminal');
	t.session.sendInput('stty size\n');
	ok(await until(5, () => /30 100/.test(t.shown)), 'takes effect', t.shown);
	t.session.sendInput(bytes('echo by""tes\n'));
	ok(await until(5, () => /\nbytes/.test(t.shown)), 'input as bytes', t.shown);
	const second = await terminal(p.id);
	is(second.shown, '', 'nothing is replayed');
	t.session.sendInput('echo for""both\n');
	ok(await until(5, () => /forboth/.test(t.shown) && /forboth/.test(second.shown)),
	    'two viewers');
	const log = await sdk.getProcessLogs(p.id);
	is([log.stream, new Set(log.entries.map((e) => e.stream)).size], ['pty', 1],
	    'its log is the terminal\'s');
	is((await sdk.getProcessLogs(p.id, { stream: 'combined' })).entries, [],
	    'which combined does not hold');
	second.session.close();
	ok(await until(5, () => second.closed), 'a viewer leaves');
	is((await sdk.getProcess(p.id)).status, 'running', 'and the process stays');
	t.session.sendInput('exit 4\n');
	ok(await until(5, () => t.exit && t.closed), 'its end', t.shown);
	is(frame(t.exit), [['exitCode', 4], ['type', 'exit']], 'is told');
	const late = await terminal(p.id);
	ok(await until(5, () => late.exit && late.closed), 'attaching afterwards', late.shown);
	is(frame(late.exit), [['exitCode', 4], ['type', 'exit']], 'tells it again');
	await fails(() => sdk.resizeProcessTerminal(p.id, { cols: 1, rows: 1 }), 409, 'conflict',
	    'resizing it: 409');
	await sdk.deleteProcess(p.id);

	const k = await sdk.createProcess({ command: 'sleep', args: ['60'], tty: true });
	const v = await terminal(k.id);
	await sdk.killProcess(k.id);
	ok(await until(5, () => v.exit), 'killed', v.shown);
	is(frame(v.exit), [['exitCode', null], ['type', 'exit']], 'null');
	await sdk.deleteProcess(k.id);
}, 60);

await part('terminal frames', async () => {
	const p = await sdk.createProcess({ command: 'cat', tty: true });
	const frames = [];
	const socket = sdk.connectProcessTerminalWebSocket(p.id, { WebSocket });
	socket.on('message', (data, binary) => frames.push(binary ? data : JSON.parse(data)));
	let closed = false;
	socket.on('close', () => { closed = true; });
	await until(5, () => frames.length > 0);
	is(frame(frames[0]), [['processId', p.id], ['type', 'ready']],
	    'ready is the first frame');
	const error = async (frame, pattern, name, options) => {
		const n = frames.length;
		socket.send(frame, options);
		await until(3, () => frames.length > n);
		const got = frames.slice(n).find((f) => f.type === 'error');
		say(got && pattern.test(got.message), name, JSON.stringify(got));
	};
	await error('{', /invalid terminal frame/, 'no JSON');
	await error('{"type":"nope"}', /invalid terminal frame/, 'an unknown frame');
	await error('{"type":"input"}', /invalid terminal frame/, 'a member missing');
	await error('{"type":"input","data":"x","encoding":"rot13"}',
	    /encoding must be one of: base64, utf8, text/, 'an unknown encoding');
	await error(Buffer.from('x'), /binary input is not supported/, 'a binary frame');
	await error(JSON.stringify({ type: 'input', data: 'x'.repeat(65537) }),
	    /maxInputBytesPerRequest \(65536\)/, 'too much input');
	let pong = false;
	socket.on('pong', () => { pong = true; });
	socket.ping('x');
	ok(await until(3, () => pong), 'ping is answered');
	socket.send('{"type":"input","data":"aGk=","encoding":"base64"}');
	ok(await until(3, () => frames.some((f) => Buffer.isBuffer(f) && /hi/.test(f))),
	    'errors close nothing');
	socket.send('{"type":"close"}');
	ok(await until(3, () => closed), 'close');
	await sdk.killProcess(p.id);
	await sdk.deleteProcess(p.id);

	const refused = (url) => new Promise((done) => {
		const s = new WebSocket(url);
		s.on('unexpected-response', (_, r) => { done(r.statusCode); s.terminate(); });
		s.on('open', () => { done('open'); s.close(); });
		s.on('error', () => {});
	});
	const url = sdk.buildProcessTerminalWebSocketUrl('proc_999999');
	is(await refused(url), 404, 'no such process: 404');
	const pipe = await sdk.createProcess({ command: 'sleep', args: ['60'] });
	is(await refused(sdk.buildProcessTerminalWebSocketUrl(pipe.id)), 409, 'no terminal: 409');
	is((await raw(`/v1/processes/${pipe.id}/terminal/ws`)).status, 400, 'a plain GET: 400');
	if (token)
		is(await refused(sdk.buildProcessTerminalWebSocketUrl(pipe.id,
		    { accessToken: 'wrong' })), 401, 'a wrong token: 401');
	await sdk.killProcess(pipe.id);
	await sdk.deleteProcess(pipe.id);
}, 60);

// --- configuration ---------------------------------------------------------------

await part('mcp', async () => {
	const q = { directory: at, mcpName: 'x' };
	await fails(() => sdk.getMcpConfig(q), 404, 'session_not_found', 'not there: 404',
	    /session not found: mcp:x/);
	await sdk.setMcpConfig(q, { type: 'local', command: 'node', args: ['a', 'b'], cwd: '/x',
	    enabled: false, env: { Z: '1', A: '2' }, timeoutMs: 5000, extra: 1 });
	is(await sdk.getMcpConfig(q), { type: 'local', command: 'node', args: ['a', 'b'],
	    env: { A: '2', Z: '1' }, enabled: false, timeoutMs: 5000, cwd: '/x' },
	    'a local server in its normal form');
	await sdk.setMcpConfig(q, { type: 'stdio', command: 'x' });
	is(await sdk.getMcpConfig(q), { type: 'local', command: 'x', args: [] }, 'an alias');
	await sdk.setMcpConfig(q, { type: 'http', url: 'https://example.com/mcp',
	    headers: { b: '1', a: '2' }, timeout: 7, bearer_token_env_var: 'T', oauth: null });
	is(await sdk.getMcpConfig(q), { type: 'remote', url: 'https://example.com/mcp',
	    headers: { a: '2', b: '1' }, bearerTokenEnvVar: 'T', timeoutMs: 7 }, 'a remote one');
	await fails(() => sdk.setMcpConfig(q, { type: 'x' }), 422, null, 'another type: 422');
	const file = JSON.parse(text(await sdk.readFsFile(
	    { path: `${at}/.sandbox-agent/config/mcp.json` })));
	is(Object.keys(file), ['x'], 'kept in the directory');
	await sdk.deleteMcpConfig(q);
	await sdk.deleteMcpConfig(q);
	await fails(() => sdk.getMcpConfig(q), 404, 'session_not_found', 'deleted, twice');
	is((await raw(`/v1/config/mcp?directory=${at}`)).status, 400, 'without a name: 400');
});

await part('skills', async () => {
	const q = { directory: at, skillName: 'd' };
	const entry = { sources: [{ type: 'github', source: 'rivet-dev/skills',
	    skills: ['sandbox-agent'] }, { type: 'git', source: 'https://x/y.git', ref: 'main',
	    subpath: 'skills' }] };
	await sdk.setSkillsConfig(q, entry);
	is(await sdk.getSkillsConfig(q), entry, 'skills round trip');
	await sdk.deleteSkillsConfig(q);
	await fails(() => sdk.getSkillsConfig(q), 404, 'session_not_found', 'deleted: 404',
	    /session not found: skills:d/);
});

await part('tidy', () => sdk.deleteFsEntry({ path: at, recursive: true }));
await sdk.dispose?.();
console.log(`1..${count}`);
process.exit(0);
