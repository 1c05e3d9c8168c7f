// The model server's Responses, as Codex calls them: POST /v1/responses, always
// streamed, with the directives of fake-llm.mjs performed by Codex's own tools:
//
//	fake:read, fake:bash                    exec_command; with escalate=1 it
//						asks to leave Codex's sandbox
//	fake:write, fake:edit                   apply_patch
//	fake:ask                                request_user_input
//	fake:todo                               update_plan
//	fake:plan plan="…"                      the text of a proposed plan
//	fake:tool use=NAME input="{…}"          any tool; SPACE/NAME when it is in
//						a name space, as those of MCP
//	fake:incomplete                         stops as at the limit of tokens

import path from 'node:path';
import { compose, ident, json, log, pieces, sleep, stillRefused } from
    './fake-llm.mjs';

// --- the conversation ----------------------------------------------------------

function textOf(content) {
	if (typeof content === 'string')
		return content;
	return (content ?? []).filter((c) => typeof c.text === 'string')
	    .map((c) => c.text).join('\n');
}

// What Codex puts before the user's words is wrapped in a tag of its own.
function isWrapping(text) {
	return /^\s*(<\/?[a-zA-Z_]+[ >]|# AGENTS\.md )/.test(text);
}

function asMessage(item) {
	if (item.type === 'function_call_output' ||
	    item.type === 'custom_tool_call_output')
		return { role: 'user', content: [{ type: 'tool_result',
		    content: textOf(item.output), is_error: false }] };
	if (item.type !== 'message' && item.type !== undefined)
		return { role: 'assistant', content: '' };
	return { role: item.role, content: (Array.isArray(item.content) ?
	    item.content : [{ type: 'input_text', text: item.content ?? '' }])
	    .filter((c) => typeof c.text === 'string' && !isWrapping(c.text))
	    .map((c) => ({ type: 'text', text: c.text })) };
}

function results(messages, at) {
	return messages.slice(at + 1).flatMap((m) => m.content)
	    .filter((c) => c.type === 'tool_result');
}

function imagesOf(input) {
	return input.flatMap((i) => Array.isArray(i.content) ? i.content : [])
	    .filter((c) => c.type === 'input_image')
	    .map((c) => String(c.image_url ?? '').slice(0, 64));
}

function toolsOf(body) {
	const more = (body.input ?? []).filter((i) => i.type === 'additional_tools')
	    .flatMap((i) => i.tools ?? []);

	return [...(body.tools ?? []), ...more];
}

function toolNames(tools) {
	return tools.flatMap((t) => t.type === 'namespace' ?
	    (t.tools ?? []).map((u) => `${t.name}/${u.name}`) :
	    [t.name ?? t.type]);
}

// --- Codex's tools ---------------------------------------------------------------

const lines = (text, mark) => text.replace(/\n$/, '').split('\n')
    .map((l) => mark + l + '\n').join('');

function patch(d, cwd) {
	const file = path.resolve(cwd, d.args.path ?? 'file.txt');
	const what = d.name === 'write' ?
	    `*** Add File: ${file}\n` + lines(d.args.content ?? '', '+') :
	    `*** Update File: ${file}\n@@\n` + lines(d.args.old ?? '', '-') +
	    lines(d.args.new ?? '', '+');

	return `*** Begin Patch\n${what}*** End Patch\n`;
}

function command(d, cwd) {
	const file = path.resolve(cwd, d.args.path ?? 'file.txt');

	return { cmd: d.name === 'read' ? `cat '${file}'` : d.args.cmd ?? 'true',
	    ...(d.args.escalate === undefined ? {} : {
		sandbox_permissions: 'require_escalated',
		justification: 'May I run this outside?' }) };
}

function steps(d) {
	return { explanation: 'As the test wished', plan: (d.args.steps ??
	    'First|Second').split('|').map((step, i) => ({ step,
	    status: ['completed', 'in_progress'][i] ?? 'pending' })) };
}

function question(d) {
	return { questions: [{ id: 'q1', header: 'Question',
	    question: d.args.question ?? 'Which one?',
	    options: (d.args.options ?? 'Yes|No').split('|').map(
		(label) => ({ label, description: `Choose ${label}` })) }] };
}

function toolUse(d, cwd) {
	switch (d.name) {
	case 'read':
	case 'bash':
		return ['exec_command', command(d, cwd)];
	case 'write':
	case 'edit':
		return ['apply_patch', patch(d, cwd)];
	case 'plan':
		return ['', { plan_text: '<proposed_plan>\n' +
		    `${d.args.plan ?? 'Do it.'}\n</proposed_plan>` }];
	case 'todo':
		return ['update_plan', steps(d)];
	case 'tool':
		return [d.args.use ?? 'view_image', JSON.parse(d.args.input ?? '{}')];
	default:
		return ['request_user_input', question(d)];
	}
}

// A block's item, as the answer carries it.
function itemOf(block) {
	const call = { id: ident('fc_'), call_id: block.id, status: 'completed' };

	if (block.type === 'text')
		return { type: 'message', id: ident('msg_'), role: 'assistant',
		    status: 'completed', content: [{ type: 'output_text',
			text: block.text, annotations: [] }] };
	if (block.type === 'thinking')
		return { type: 'reasoning', id: ident('rs_'), content: [],
		    encrypted_content: 'ZmFrZQ==', summary: [{
			type: 'summary_text', text: block.thinking }] };
	if (typeof block.input === 'string')
		return { type: 'custom_tool_call', ...call, name: block.name,
		    input: block.input };
	const [space, name] = block.name.includes('/') ?
	    block.name.split('/') : [undefined, block.name];

	return { type: 'function_call', ...call, name,
	    ...(space === undefined ? {} : { namespace: space }),
	    arguments: JSON.stringify(block.input) };
}

// --- answers -----------------------------------------------------------------------

const usage = () => ({ input_tokens: 120, output_tokens: 24, total_tokens: 144,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens_details: { reasoning_tokens: 0 } });

function responseOf(body, id, status, output, more) {
	return { id, object: 'response', created_at: 1, model: body.model, status,
	    output, usage: null, error: null, incomplete_details: null, ...more };
}

// The events between an item's beginning and its end.
function deltasOf(block, item) {
	if (block.type === 'text')
		return (block.parts ?? pieces(block.text, 24)).map((delta) => ({
		    type: 'response.output_text.delta', item_id: item.id,
		    content_index: 0, delta }));
	if (block.type === 'thinking')
		return [{ type: 'response.reasoning_summary_part.added',
		    item_id: item.id, summary_index: 0,
		    part: { type: 'summary_text', text: '' } }].concat(
		    pieces(block.thinking, 22).map((delta) => ({
			type: 'response.reasoning_summary_text.delta',
			item_id: item.id, summary_index: 0, delta })));
	return [];
}

function emptied(item) {
	if (item.type === 'message')
		return { ...item, status: 'in_progress', content: [] };
	if (item.type === 'reasoning')
		return { ...item, summary: [] };
	return { ...item, status: 'in_progress' };
}

async function stream(res, body, plan, items) {
	const id = ident('resp_');
	let sequence = 0;
	const send = (event) => res.write(`event: ${event.type}\ndata: ` +
	    JSON.stringify({ sequence_number: sequence++, ...event }) + '\n\n');

	res.writeHead(200, { 'content-type': 'text/event-stream',
	    'cache-control': 'no-cache', 'x-request-id': ident('req_') });
	send({ type: 'response.created',
	    response: responseOf(body, id, 'in_progress', []) });
	for (const [index, item] of items.entries()) {
		const block = plan.blocks[index];

		send({ type: 'response.output_item.added', output_index: index,
		    item: emptied(item) });
		for (const delta of deltasOf(block, item)) {
			if (res.destroyed)
				return;
			send({ output_index: index, ...delta });
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
		send({ type: 'response.output_item.done', output_index: index,
		    item });
	}
	if (plan.incomplete)
		send({ type: 'response.incomplete', response: responseOf(body, id,
		    'incomplete', items, { usage: usage(),
			incomplete_details: { reason: 'max_output_tokens' } }) });
	else
		send({ type: 'response.completed', response: responseOf(body, id,
		    'completed', items, { usage: usage() }) });
	res.end();
}

export async function responses(req, res, body, n) {
	const input = Array.isArray(body.input) ? body.input :
	    [{ role: 'user', content: body.input }];
	const all = JSON.stringify(input);
	const cwd = /<cwd>([^<]*)<\/cwd>/.exec(all)?.[1] ?? '/';
	const tools = toolNames(toolsOf(body));
	const images = imagesOf(input);
	const plan = compose({ messages: input.map(asMessage),
	    system: `Working directory: ${cwd}` }, { results, toolUse });

	plan.incomplete = /fake:incomplete/.test(plan.text);
	for (const b of plan.blocks)	// a plan is words, not a tool, here
		if (b.type === 'tool_use' && b.input?.plan_text !== undefined)
			Object.assign(b, { type: 'text', text: b.input.plan_text });
	log({ ev: 'plan', n, model: body.model, stream: body.stream === true,
	    user: plan.text.slice(0, 2000), round: plan.round, stop: plan.stop,
	    messages: input.length, effort: body.reasoning?.effort, images, cwd,
	    tools, skills: [...all.matchAll(/\\n- ([a-z0-9-]+): /g)]
		.map((m) => m[1]) });
	if (plan.wait > 0)
		await sleep(plan.wait);
	if (stillRefused(req, plan))
		return json(res, plan.error.status, { error: { type: 'fake',
		    message: 'as the test wished', code: null } });
	const items = plan.blocks.map(itemOf);

	if (body.stream === true)
		return stream(res, body, plan, items);
	return json(res, 200, responseOf(body, ident('resp_'), 'completed', items,
	    { usage: usage() }));
}
