// The model server's chat completions, as OpenCode, Pi and others call them: POST
// /v1/chat/completions, with the directives of fake-llm.mjs.
//
// Each agent has tools of its own: the one that a directive means is found by its
// name among those that the request offers, and its arguments are named as its
// schema names them. A request without tools asks for a title.

import path from 'node:path';
import { compose, ident, json, log, pieces, sleep, stillRefused } from
    './fake-llm.mjs';

const NAMES = {
	read: ['read', 'read_file'],
	write: ['write', 'write_file'],
	edit: ['edit', 'edit_file', 'replace'],
	bash: ['bash', 'shell', 'run_shell_command'],
	ask: ['question', 'askuserquestion', 'ask_user'],
	plan: ['plan_exit', 'exitplanmode'],
};

function results(messages, at) {
	return messages.slice(at + 1).filter((m) => m.role === 'tool')
	    .map((m) => ({ is_error: false, content: m.content }));
}

// The tool as it was offered, or one by the first name that nobody offered.
function offered(tools, name) {
	const found = tools.find((t) => NAMES[name].includes(t.name.toLowerCase()));

	return found ?? { name: NAMES[name][0], parameters: {} };
}

function fileArguments(d, props, cwd) {
	const key = ['filePath', 'file_path', 'path'].find((k) => k in props) ??
	    'path';
	const args = { [key]: path.resolve(cwd, d.args.path ?? 'file.txt') };
	const was = d.args.old ?? '';
	const is = d.args.new ?? '';

	if (d.name === 'write')
		args.content = d.args.content ?? '';
	if (d.name !== 'edit')
		return args;
	if ('edits' in props)
		args.edits = [{ oldText: was, newText: is }];
	else if ('old_string' in props)
		Object.assign(args, { old_string: was, new_string: is });
	else
		Object.assign(args, { oldString: was, newString: is });
	return args;
}

function question(d) {
	return { questions: [{ question: d.args.question ?? 'Which one?',
	    header: 'Question', options: (d.args.options ?? 'Yes|No').split('|')
		.map((label) => ({ label, description: `Choose ${label}` })) }] };
}

function toolOf(tools) {
	return (d, cwd) => {
		if (d.name === 'tool')
			return [d.args.use ?? 'read',
			    JSON.parse(d.args.input ?? '{}')];
		const tool = offered(tools, d.name);
		const props = tool.parameters?.properties ?? {};

		if (d.name === 'ask')
			return [tool.name, question(d)];
		if (d.name === 'plan')
			return [tool.name, 'plan' in props ?
			    { plan: d.args.plan ?? 'Do it.' } : {}];
		if (d.name === 'bash')
			return [tool.name, { command: d.args.cmd ?? 'true',
			    ...('description' in props ?
				{ description: 'Run a command' } : {}) }];
		return [tool.name, fileArguments(d, props, cwd)];
	};
}

const usage = () => ({ prompt_tokens: 120, completion_tokens: 24,
    total_tokens: 144 });

function deltasOf(block, index) {
	if (block.type === 'thinking')
		return pieces(block.thinking, 22)
		    .map((t) => ({ reasoning_content: t }));
	if (block.type === 'text')
		return (block.parts ?? pieces(block.text, 24))
		    .map((t) => ({ content: t }));
	return [{ tool_calls: [{ index, id: block.id, type: 'function',
	    function: { name: block.name, arguments: '' } }] }]
	    .concat(pieces(JSON.stringify(block.input), 24).map((t) => ({
		tool_calls: [{ index, function: { arguments: t } }] })));
}

const finish = (plan) => plan.stop === 'tool_use' ? 'tool_calls' : 'stop';

async function stream(res, body, plan) {
	const id = ident('chatcmpl-');
	const send = (choices, more) => res.write('data: ' + JSON.stringify({ id,
	    object: 'chat.completion.chunk', created: 1, model: body.model,
	    choices, ...more }) + '\n\n');
	const say = (delta, reason = null) =>
	    send([{ index: 0, delta, finish_reason: reason }]);
	let calls = 0;

	res.writeHead(200, { 'content-type': 'text/event-stream',
	    'cache-control': 'no-cache' });
	say({ role: 'assistant', content: '' });
	for (const block of plan.blocks) {
		for (const delta of deltasOf(block, calls)) {
			if (res.destroyed)
				return;
			say(delta);
			if (plan.delay > 0)
				await sleep(plan.delay);
		}
		calls += block.type === 'tool_use' ? 1 : 0;
		if (plan.end === 'hang' && block.type === 'text')
			return;		// the client, or our end, closes it
		if (plan.end === 'drop' && block.type === 'text') {
			await sleep(50);
			res.destroy();
			return;
		}
	}
	say({}, finish(plan));
	send([], { usage: usage() });
	res.write('data: [DONE]\n\n');
	res.end();
}

function whole(res, body, plan) {
	const text = plan.blocks.filter((b) => b.type === 'text')
	    .map((b) => b.text).join('');
	const calls = plan.blocks.filter((b) => b.type === 'tool_use')
	    .map((b) => ({ id: b.id, type: 'function', function: {
		name: b.name, arguments: JSON.stringify(b.input) } }));

	json(res, 200, { id: ident('chatcmpl-'), object: 'chat.completion',
	    created: 1, model: body.model, usage: usage(), choices: [{ index: 0,
	    finish_reason: finish(plan), message: { role: 'assistant',
	    content: text, ...(calls.length > 0 ? { tool_calls: calls } : {}) } }] });
}

export async function chatCompletions(req, res, body, n) {
	const tools = (body.tools ?? []).map((t) => t.function ?? t);
	const say = body.stream === true ? stream : whole;

	if (tools.length === 0) {
		log({ ev: 'title', n });
		return say(res, body, { delay: 0, end: 'stop', stop: 'end_turn',
		    blocks: [{ type: 'text', text: 'Fake' }] });
	}
	const plan = compose(body, { results, toolUse: toolOf(tools) });
	const parts = (body.messages ?? []).flatMap(
	    (m) => Array.isArray(m.content) ? m.content : []);

	log({ ev: 'plan', n, model: body.model, stream: body.stream === true,
	    user: plan.text.slice(0, 2000), round: plan.round, stop: plan.stop,
	    messages: body.messages?.length ?? 0, effort: body.reasoning_effort,
	    images: parts.filter((p) => p.type === 'image_url').length,
	    tools: tools.map((t) => t.name) });
	if (plan.wait > 0)
		await sleep(plan.wait);
	if (stillRefused(req, plan))
		return json(res, plan.error.status, { error: {
		    message: 'as the test wished', type: 'fake', code: null } });
	return say(res, body, plan);
}
