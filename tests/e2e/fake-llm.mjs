// A stand-in for the Anthropic Messages API on loopback, for tests that run
// the real agents without a network and without a key. The other APIs have a
// module each: fake-llm-responses.mjs is OpenAI's Responses.
//
// It keeps no conversation: each request carries the whole of it, so what to
// say next follows from the last text of the user and from how many answers
// the model has given since. The text holds directives, performed in order:
//
//	(no directive)                          says what it was told
//	fake:text say="…"                       says that
//	fake:stream n=8 delay=40                n pieces, delay ms apart
//	fake:think                              thinks, then speaks
//	fake:read path=a.txt                    tool Read
//	fake:write path=a.txt content="x\n"     tool Write
//	fake:edit path=a.txt old="x" new="y"    tool Read, then tool Edit
//	fake:bash cmd="…"                       tool Bash
//	fake:ask question="…" options="A|B"     tool AskUserQuestion
//	fake:plan plan="…"                      tool ExitPlanMode
//	fake:tool use=NAME input="{…}"          any tool, with this input
//	fake:error status=529 times=2           that status, so many times
//	fake:todo steps="A|B"                   Codex's plan: A done, the rest not
//	fake:slow delay=3000                    silence first
//	fake:hang                               begins and never ends
//	fake:drop                               begins and cuts the connection
//
// A turn whose directives have all been performed ends with a text that quotes
// the last tool's result. Relative paths are taken from the agent's working
// directory, which its system prompt tells.
//
// Options: --log FILE (one JSON line per request and response, bounded), --key K
// (refuse any other key with 401), --port N. Prints `listening 127.0.0.1:PORT`
// and leaves when its standard input ends, so it never outlives a test.

import http from 'node:http';
import fs from 'node:fs';
import path from 'node:path';
import crypto from 'node:crypto';
import { responses } from './fake-llm-responses.mjs';
import { chatCompletions } from './fake-llm-chat.mjs';

const BODY_MAX = 32 * 1024 * 1024;
const LOG_MAX = 8 * 1024 * 1024;
const LIFE_MS = 3600 * 1000;
const ERRORS = {
	400: 'invalid_request_error', 401: 'authentication_error',
	403: 'permission_error', 404: 'not_found_error',
	413: 'request_too_large', 429: 'rate_limit_error',
	500: 'api_error', 529: 'overloaded_error',
};

function options(argv) {
	const opt = { log: null, key: null, port: 0 };

	for (let i = 0; i < argv.length; i += 2) {
		const name = argv[i].replace(/^--/, '');

		if (!(name in opt) || argv[i + 1] === undefined) {
			process.stderr.write(
			    'usage: fake-llm.mjs [--log FILE] [--key K] [--port N]\n');
			process.exit(100);
		}
		opt[name] = argv[i + 1];
	}
	opt.port = Number(opt.port);
	return opt;
}

const opt = options(process.argv.slice(2));
const logFd = opt.log === null ? -1 : fs.openSync(opt.log, 'a', 0o600);
const started = Date.now();
const errorsGiven = new Map();	// conversation and text -> times refused
let logged = 0;
let requests = 0;

export function log(record) {
	const line = JSON.stringify({ t: Date.now() - started, ...record }) + '\n';

	if (logFd === -1 || logged + line.length > LOG_MAX)
		return;
	logged += line.length;
	fs.writeSync(logFd, line);
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export const ident = (prefix) => prefix + crypto.randomBytes(12).toString('hex');

// --- what the conversation says ----------------------------------------------

function plainText(text) {
	return text
	    .replace(/<system-reminder>[\s\S]*?<\/system-reminder>/g, '')
	    .replace(/\[Request interrupted by user[^\]]*\]/g, '')
	    .trim();
}

function blocksOf(message) {
	if (typeof message.content === 'string')
		return [{ type: 'text', text: message.content }];
	return Array.isArray(message.content) ? message.content : [];
}

// The last words of the user: { text, at }, AT the index of their message.
function lastWords(messages) {
	for (let at = messages.length - 1; at >= 0; at--) {
		if (messages[at].role !== 'user')
			continue;
		const texts = blocksOf(messages[at])
		    .filter((b) => b.type === 'text')
		    .map((b) => plainText(b.text ?? ''))
		    .filter((t) => t !== '');

		if (texts.length > 0)
			return { text: texts[texts.length - 1], at };
	}
	return { text: '', at: -1 };
}

function resultText(block) {
	if (typeof block.content === 'string')
		return block.content;
	return (block.content ?? []).filter((c) => c.type === 'text')
	    .map((c) => c.text).join('\n');
}

// Tool results that came after message AT, oldest first.
function resultsAfter(messages, at) {
	return messages.slice(at + 1).filter((m) => m.role === 'user')
	    .flatMap(blocksOf).filter((b) => b.type === 'tool_result');
}

function workingDirectory(body) {
	const all = JSON.stringify([body.system ?? '', body.messages ?? []]);
	const m = all.match(/orking directory:\s*(\/[^\s"\\<]*)/);

	return m ? m[1] : '/';
}

// --- directives ----------------------------------------------------------------

const TOOLS = ['read', 'write', 'edit', 'bash', 'ask', 'plan', 'tool', 'todo'];

function parseDirectives(text) {
	const list = [];
	const verb = /fake:([a-z]+)((?:\s+[a-z_]+=(?:"(?:[^"\\]|\\.)*"|[^\s"]+))*)/g;
	const pair = /([a-z_]+)=("(?:[^"\\]|\\.)*"|[^\s"]+)/g;

	for (const m of text.matchAll(verb)) {
		const args = {};

		for (const p of m[2].matchAll(pair))
			args[p[1]] = p[2].startsWith('"') ?
			    JSON.parse(p[2]) : p[2];
		if (m[1] === 'edit')	// a file must be read before it is edited
			list.push({ name: 'read', args });
		list.push({ name: m[1], args });
	}
	return list;
}

// The directives that this answer performs: those after the ROUNDth tool call
// up to and including the next one.
function share(list, round) {
	let from = 0;

	for (let i = 0, seen = 0; i < list.length && seen < round; i++)
		if (TOOLS.includes(list[i].name)) {
			seen++;
			from = i + 1;
		}
	const rest = list.slice(from);
	const tool = rest.findIndex((d) => TOOLS.includes(d.name));

	return tool === -1 ? rest : rest.slice(0, tool + 1);
}

function toolUse(d, cwd) {
	const file = path.resolve(cwd, d.args.path ?? 'file.txt');

	switch (d.name) {
	case 'read':
		return ['Read', { file_path: file }];
	case 'write':
		return ['Write', { file_path: file, content: d.args.content ?? '' }];
	case 'edit':
		return ['Edit', { file_path: file, old_string: d.args.old ?? '',
		    new_string: d.args.new ?? '', replace_all: false }];
	case 'bash':
		return ['Bash', { command: d.args.cmd ?? 'true',
		    description: 'Run a command' }];
	case 'tool':
		return [d.args.use ?? 'Read', JSON.parse(d.args.input ?? '{}')];
	case 'plan':
		return ['ExitPlanMode', { plan: d.args.plan ?? 'Do it.' }];
	default:
		return ['AskUserQuestion', { questions: [{
		    question: d.args.question ?? 'Which one?',
		    header: 'Question', multiSelect: false,
		    options: (d.args.options ?? 'Yes|No').split('|').map(
			(label) => ({ label, description: `Choose ${label}` })) }] }];
	}
}

function lastSentence(results, text) {
	if (results.length === 0)
		return `Hello from the fake model. You said: ${text}`;
	const last = results[results.length - 1];
	const how = last.is_error ? 'The tool failed' : 'The tool answered';

	return `${how}: ${resultText(last).slice(0, 400)}`;
}

// What to send: content blocks, with how they are to be sent. DIALECT: where
// tool results are found, and what tools and their arguments are called.
export function compose(body, dialect = { results: resultsAfter, toolUse }) {
	const messages = body.messages ?? [];
	const { text, at } = lastWords(messages);
	const results = dialect.results(messages, at);
	const list = parseDirectives(text);
	const round = results.length;
	const cwd = workingDirectory(body);
	const out = { text, round, blocks: [], stop: 'end_turn', delay: 0,
	    error: null, wait: 0, end: 'stop' };

	for (const d of share(list, round)) {
		if (TOOLS.includes(d.name)) {
			const [name, input] = dialect.toolUse(d, cwd);

			out.blocks.push({ type: 'tool_use', id: ident('toolu_'),
			    name, input });
			out.stop = 'tool_use';
		} else if (d.name === 'text') {
			out.blocks.push({ type: 'text', text: d.args.say ?? '' });
		} else if (d.name === 'stream') {
			const n = Math.min(Number(d.args.n ?? 8), 10000);
			const parts = Array.from({ length: n },
			    (_, i) => `part ${i + 1} of ${n}, `);

			out.delay = Number(d.args.delay ?? 40);
			out.blocks.push({ type: 'text', text: parts.join(''), parts });
		} else if (d.name === 'think') {
			out.blocks.push({ type: 'thinking', thinking:
			    'First I look at the request. Then I decide.' });
		} else if (d.name === 'error') {
			out.error = { status: Number(d.args.status ?? 500),
			    times: Number(d.args.times ?? 1e9) };
		} else if (d.name === 'slow') {
			out.wait = Number(d.args.delay ?? 3000);
		} else if (d.name === 'hang' || d.name === 'drop') {
			out.blocks.push({ type: 'text', text: 'I begin and ' });
			out.end = d.name;
		}
	}
	if (!out.blocks.some((b) => b.type !== 'thinking'))
		out.blocks.push({ type: 'text', text: lastSentence(results, text) });
	return out;
}

// --- answers -------------------------------------------------------------------

export function pieces(text, size) {
	const list = [];

	for (let i = 0; i < text.length; i += size)
		list.push(text.slice(i, i + size));
	return list;
}

function deltasOf(block) {
	if (block.type === 'thinking')
		return pieces(block.thinking, 22)
		    .map((t) => ({ type: 'thinking_delta', thinking: t }))
		    .concat([{ type: 'signature_delta', signature: 'ZmFrZQ==' }]);
	if (block.type === 'tool_use')
		return pieces(JSON.stringify(block.input), 24)
		    .map((t) => ({ type: 'input_json_delta', partial_json: t }));
	return (block.parts ?? pieces(block.text, 24))
	    .map((t) => ({ type: 'text_delta', text: t }));
}

function emptyBlock(b) {
	if (b.type === 'thinking')
		return { type: 'thinking', thinking: '', signature: '' };
	if (b.type === 'tool_use')
		return { type: 'tool_use', id: b.id, name: b.name, input: {} };
	return { type: 'text', text: '' };
}

const usage = () => ({ input_tokens: 120, cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0, output_tokens: 1, service_tier: 'standard' });

function messageOf(body, content, stop) {
	return { id: ident('msg_'), type: 'message', role: 'assistant',
	    model: body.model ?? 'fake', content, stop_reason: stop,
	    stop_sequence: null, usage: usage() };
}

async function stream(res, body, plan) {
	const send = (event) => res.write(
	    `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);

	res.writeHead(200, { 'content-type': 'text/event-stream',
	    'cache-control': 'no-cache', 'request-id': ident('req_') });
	send({ type: 'message_start', message: messageOf(body, [], null) });
	for (const [index, block] of plan.blocks.entries()) {
		send({ type: 'content_block_start', index,
		    content_block: emptyBlock(block) });
		for (const delta of deltasOf(block)) {
			if (res.destroyed)
				return;
			send({ type: 'content_block_delta', index, delta });
			if (plan.delay > 0)
				await sleep(plan.delay);
		}
		if (plan.end === 'hang' && block.type === 'text')
			return;		// the client, or our end, closes it
		if (plan.end === 'drop' && block.type === 'text') {
			await sleep(50);
			res.destroy();
			return;
		}
		send({ type: 'content_block_stop', index });
	}
	send({ type: 'message_delta', delta: { stop_reason: plan.stop,
	    stop_sequence: null }, usage: { output_tokens: 24 } });
	send({ type: 'message_stop' });
	res.end();
}

function whole(res, body, plan) {
	const content = plan.blocks.map((b) => {
		const { parts, ...rest } = b;

		return b.type === 'thinking' ?
		    { ...rest, signature: 'ZmFrZQ==' } : rest;
	});

	json(res, 200, messageOf(body, content, plan.stop));
}

export function json(res, status, value) {
	res.writeHead(status, { 'content-type': 'application/json',
	    'request-id': ident('req_') });
	res.end(JSON.stringify(value));
}

function refuse(res, status, message) {
	json(res, status, { type: 'error', request_id: ident('req_'),
	    error: { type: ERRORS[status] ?? 'api_error', message } });
}

// True when an error directive still has refusals to give.
export function stillRefused(req, plan) {
	const of = req.headers['x-claude-code-session-id'] ??
	    req.headers['session-id'];
	const key = `${of}\0${plan.text}`;
	const given = errorsGiven.get(key) ?? 0;

	if (plan.error === null || given >= plan.error.times)
		return false;
	if (errorsGiven.size < 10000)
		errorsGiven.set(key, given + 1);
	return true;
}

async function messages(req, res, body, n) {
	// A request without tools that wants JSON asks for a title.
	if (body.output_config?.format !== undefined && !body.tools?.length) {
		log({ ev: 'title', n });
		return whole(res, body, { blocks: [{ type: 'text',
		    text: '{"title":"Fake"}' }], stop: 'end_turn' });
	}
	const plan = compose(body);

	log({ ev: 'plan', n, model: body.model, stream: body.stream === true,
	    user: plan.text.slice(0, 2000), round: plan.round, stop: plan.stop,
	    messages: body.messages?.length ?? 0,
	    images: (body.messages ?? []).flatMap((m) => Array.isArray(m.content) ?
		m.content : []).filter((p) => p.type === 'image').length,
	    tools: (body.tools ?? []).map((t) => t.name) });
	if (plan.wait > 0)
		await sleep(plan.wait);
	if (stillRefused(req, plan))
		return refuse(res, plan.error.status, 'as the test wished');
	if (body.stream === true)
		return stream(res, body, plan);
	return whole(res, body, plan);
}

function keyOf(req) {
	const bearer = /^Bearer (.*)$/.exec(req.headers.authorization ?? '');

	return req.headers['x-api-key'] ?? (bearer ? bearer[1] : null);
}

async function answer(req, res, text, n) {
	const where = req.url.split('?')[0];
	let body;

	if (req.method === 'HEAD' || req.method === 'GET') {
		if (where === '/v1/models')
			return json(res, 200, { data: [], has_more: false });
		res.writeHead(200);
		return res.end();
	}
	if (opt.key !== null && keyOf(req) !== opt.key)
		return refuse(res, 401, 'invalid x-api-key');
	try {
		body = JSON.parse(text);
	} catch {
		return refuse(res, 400, 'the body is not JSON');
	}
	if (where === '/v1/messages/count_tokens')
		return json(res, 200, {
		    input_tokens: Math.ceil(text.length / 4) });
	if (where === '/v1/messages')
		return messages(req, res, body, n);
	if (where === '/v1/responses')
		return responses(req, res, body, n);
	if (where === '/v1/chat/completions')
		return chatCompletions(req, res, body, n);
	log({ ev: 'unknown', n, path: req.url.slice(0, 200) });
	return refuse(res, 404, 'no such route');
}

const server = http.createServer((req, res) => {
	const n = ++requests;
	const chunks = [];
	let size = 0;

	log({ ev: 'request', n, method: req.method, path: req.url.slice(0, 200),
	    agent: req.headers['user-agent'], keyed: keyOf(req) !== null,
	    session: req.headers['x-claude-code-session-id'] });
	res.on('close', () => log({ ev: 'response', n, status: res.statusCode,
	    aborted_by_client: !res.writableFinished }));
	req.on('error', () => res.destroy());
	req.on('data', (c) => {
		size += c.length;
		if (size > BODY_MAX)
			req.destroy();
		else
			chunks.push(c);
	});
	req.on('end', () => {
		answer(req, res, Buffer.concat(chunks).toString('utf8'), n)
		    .catch((e) => {
			log({ ev: 'defect', n, message: String(e) });
			res.destroy();
		    });
	});
});

server.maxConnections = 256;
server.listen(opt.port, '127.0.0.1', () => {
	process.stdout.write(`listening 127.0.0.1:${server.address().port}\n`);
});
process.stdout.on('error', () => process.exit(0));
process.stdin.on('end', () => process.exit(0));
process.stdin.on('error', () => process.exit(0));
process.stdin.resume();
setTimeout(() => process.exit(0), LIFE_MS).unref();
