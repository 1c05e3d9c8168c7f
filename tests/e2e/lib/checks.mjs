// What scripts of checks share: each check is one line of TAP, what a part throws
// is one failure and the next part goes on, and each wait has an end.

let count = 0;

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
export const slow = Number(process.env.SANDBOXD_SANITIZED ? 4 : 1);

export function say(good, name, why) {
	count++;
	console.log(`${good ? 'ok' : 'not ok'} ${count} - ${name}`);
	if (!good)
		console.log(`# ${String(why).slice(0, 2000).replace(/\n/g, '\n# ')}`);
	return good;
}
export function note(text) {
	console.log(`# ${String(text).replace(/\n/g, '\n# ')}`);
}
// Members of objects may stand in any order.
export function sorted(v) {
	if (Array.isArray(v))
		return v.map(sorted);
	if (v && typeof v === 'object')
		return Object.fromEntries(Object.keys(v).sort()
		    .map((k) => [k, sorted(v[k])]));
	return v;
}
export function is(got, want, name) {
	const [a, b] = [got, want].map((v) => JSON.stringify(sorted(v)));
	return say(a === b, name, `got ${a}, not ${b}`);
}
export function ok(good, name, got) {
	return say(Boolean(good), name, good ? '' : `got ${JSON.stringify(got)}`);
}
export function like(got, pattern, name) {
	return say(pattern.test(String(got)), name,
	    `got ${JSON.stringify(got)}, not ${pattern}`);
}
export async function part(name, code, seconds = 30) {
	let timer;
	try {
		await Promise.race([code(), new Promise((_, no) => {
			timer = setTimeout(() => no(new Error('no end in time')),
			    seconds * 1000 * slow);
		})]);
	} catch (e) {
		say(false, name, e?.stack ?? JSON.stringify(e));
	}
	clearTimeout(timer);
}
export async function until(seconds, code) {
	const end = Date.now() + seconds * 1000 * slow;
	for (;;) {
		const got = await code();
		if (got || Date.now() > end)
			return got;
		await sleep(20);
	}
}
// What CODE throws; a failure when it throws nothing.
export async function thrown(code, name) {
	try {
		const got = await code();
		say(false, name, `no error: ${JSON.stringify(got)}`);
		return {};
	} catch (e) {
		say(true, name);
		return e;
	}
}
export function plan() {
	console.log(`1..${count}`);
}
