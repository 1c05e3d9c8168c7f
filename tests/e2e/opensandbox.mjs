// What a program does with OpenSandbox's SDK, a line of output for each step:
// a word, a blank, JSON. Driven by 85-opensandbox.t.
import { ConnectionConfig, Sandbox, SandboxManager } from '@alibaba-group/opensandbox';

const [domain, apiKey] = process.argv.slice(2);
const config = (more) => new ConnectionConfig({ domain, apiKey, protocol: 'http', ...more });
const say = (word, value) => console.log(word, JSON.stringify(value ?? null));
const failure = async (step) => {
	try {
		await step();
	} catch (e) {
		return `${e.statusCode} ${e.error?.code}`;
	}
	return 'no error';
};
const create = (more, connectionConfig = config()) => Sandbox.create({
	connectionConfig, image: 'ubuntu', skipHealthCheck: true, timeoutSeconds: 120, ...more,
});

const box = await create({ metadata: { team: 'a' }, env: { WHO: 'me' } });
const manager = SandboxManager.create({ connectionConfig: config() });
say('created', box.id);
say('info', await box.getInfo());
const list = async (filter) => (await manager.listSandboxInfos(filter)).items.map((i) => i.id);
say('listed', await list({ states: ['Running'], metadata: { team: 'a' }, pageSize: 5 }));
say('unlisted', await list({ metadata: { team: 'b' } }));
say('renewed', (await box.renew(600)).expiresAt);
say('expires', (await box.getInfo()).expiresAt);
say('endpoint', await box.getEndpoint(8080));
await box.pause();
say('paused', (await box.getInfo()).status.state);
say('twice', await failure(() => box.pause()));
const again = await Sandbox.resume({ connectionConfig: config(), sandboxId: box.id, skipHealthCheck: true });
say('resumed', (await again.getInfo()).status.state);
await manager.patchSandboxMetadata(box.id, { role: 'x', team: null });
say('patched', (await again.getInfo()).metadata);
await again.kill();
say('killed', await failure(() => box.getInfo()));
say('unknown', await failure(() => create({ image: 'python:3' })));
const ruled = await create({ networkPolicy: { egress: [{ action: 'allow', target: 'pypi.org' }] } });
say('policy', (await ruled.getInfo()).status.state);
await ruled.kill();
say('badkey', await failure(() => create({}, config({ apiKey: 'guess' }))));
const never = await create({ timeoutSeconds: null });
say('never', (await never.getInfo()).expiresAt);
await never.kill();
const proxied = await create({}, config({ useServerProxy: true }));
say('proxied', await proxied.getEndpoint(8080));
await proxied.kill();
