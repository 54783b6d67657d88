// Judges the panel in a real browser. The plan comes as JSON in the first argument; problems go to standard output.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { axe, contrast, shape } from './checks.mjs';
import { launch, pages } from './panel.mjs';

const plan = JSON.parse(process.argv[2]);
const problems = [];
const facts = {};
const say = (where, found) => { for (const one of found) problems.push(`${where}: ${one}`); };
const need = (holds, text) => { if (!holds) problems.push(text); };
/** Runs one part; what goes wrong in it is a problem of it, and the others still run. */
const part = async (name, work) => {
  if (process.env.CTO_TEST_PART && !name.includes(process.env.CTO_TEST_PART)) return;
  const started = performance.now();
  try { await work(); } catch (error) { problems.push(`${name}: ${String(error).slice(0, 600)}`); }
  facts[`seconds ${name}`] = Math.round((performance.now() - started) / 100) / 10;
};
const browser = await launch();

/** Opens a context that counts what must never happen. */
const watched = async (options) => {
  const context = await browser.newContext(options);
  const seen = { foreign: [], violations: [], streams: 0, alerts: 0, errors: [] };
  context.on('request', (request) => {
    const url = new URL(request.url());
    if (url.protocol === 'http:' && url.hostname !== '127.0.0.1') seen.foreign.push(request.url());
    if (url.pathname === '/api/cto/events') seen.streams += 1;
  });
  await context.exposeBinding('reportViolation', (_, text) => { seen.violations.push(text); });
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => globalThis.reportViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
  });
  context.on('page', (page) => {
    page.on('dialog', (dialog) => { seen.alerts += 1; dialog.dismiss(); });
    page.on('pageerror', (error) => seen.errors.push(String(error)));
  });
  return [context, seen];
};

const settle = (name, seen) => {
  say(`${name} off-origin request`, seen.foreign);
  say(`${name} policy violation`, seen.violations);
  say(`${name} script error`, seen.errors);
  need(seen.alerts === 0, `${name}: something alerted`);
};

// Every page × data, empty, error × light, dark × 1280, 320.
const looks = Object.entries(plan.states).flatMap(([state, its]) => ['light', 'dark'].flatMap((colorScheme) => [1280, 320].map((width) => ({ state, its, colorScheme, width }))));
const look = async ({ state, its: { base, runs, status }, colorScheme, width }) => {
  const [context, seen] = await watched({ colorScheme, viewport: { width, height: 800 }, bypassCSP: true });
  const page = await context.newPage();
  for (const [name, place] of Object.entries(pages(runs))) {
    const where = `${state} ${name} ${colorScheme} ${width}`;
    const answer = await page.goto(base + place, { waitUntil: 'load' });
    need((status ?? [200, 404]).includes(answer.status()), `${where}: status ${answer.status()}`);
    if (answer.status() === 404 && name !== 'not-found') problems.push(`${where}: not found`);
    if (name !== 'run-report') say(where, await shape(page, width));
    say(where, await contrast(page));
    say(where, await axe(page));
    facts.checked = (facts.checked ?? 0) + 1;
  }
  need(seen.alerts === 0, `${state}: something alerted`);
  say(`${state} off-origin request`, seen.foreign);
  await context.close();
};
await part('pages', async () => {
  const queue = [...looks];
  const worker = async () => { while (queue.length) await look(queue.shift()); };
  await Promise.all([worker(), worker(), worker()]);
});

const { base, runs } = plan.states.data;

// With the policy on: nothing of ours breaks it, and hostile text does nothing.
await part('policy', async () => {
  const [context, seen] = await watched({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  for (const place of Object.values(pages(runs))) await page.goto(base + place, { waitUntil: 'load' });
  settle('with the policy', seen);
  // A script in the page cannot be made of text.
  const blocked = await page.evaluate(() => { try { document.body.innerHTML = '<b>x</b>'; return false; } catch { return true; } });
  need(blocked, 'innerHTML is not blocked by trusted types');
  await context.close();
});

// Without JavaScript everything that is static is there.
await part('no script', async () => {
  const [context, seen] = await watched({ javaScriptEnabled: false });
  const page = await context.newPage();
  for (const [name, place] of Object.entries(pages(runs))) {
    await page.goto(base + place);
    const heading = await page.locator('h1').first().textContent();
    need(heading.trim().length > 0, `without script ${name}: no heading`);
  }
  await page.goto(`${base}/runs/${runs.pass}/patch`);
  need((await page.locator('.diff .add').count()) > 0, 'without script: no added line');
  settle('without script', seen);
  await context.close();
});

// The keyboard.
await part('keyboard', async () => {
  const [context, seen] = await watched({ permissions: ['clipboard-read', 'clipboard-write'] });
  const page = await context.newPage();
  await page.goto(`${base}/`);
  await page.keyboard.press('Tab');
  need((await page.evaluate(() => document.activeElement.className)) === 'skip', 'the skip link is not first');
  await page.keyboard.press('Enter');
  need((await page.evaluate(() => document.activeElement.id)) === 'main', 'the skip link does not lead to the content');
  await page.keyboard.press('?');
  need(await page.locator('dialog#keys').isVisible(), '? opens no list');
  await page.keyboard.press('Escape');
  await page.keyboard.press('g');
  await page.keyboard.press('r');
  await page.waitForURL('**/runs');
  await page.keyboard.press('/');
  need((await page.evaluate(() => document.activeElement.id)) === 'q', '/ does not lead to the filter');
  await page.keyboard.type('jjj');
  need((await page.inputValue('#q')) === 'jjj', 'keys act inside an input');
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press('j');
  const first = await page.evaluate(() => document.activeElement.textContent);
  await page.keyboard.press('j');
  const second = await page.evaluate(() => document.activeElement.textContent);
  need(first && second && first !== second, 'j does not go from row to row');
  await page.keyboard.press('Enter');
  await page.waitForURL(`**/runs/${second}`);
  await page.keyboard.press('c');
  await page.waitForFunction(() => document.getElementById('notice').textContent === 'Copied.');
  await page.goto(`${base}/runs`);
  await page.focus('#q');
  await page.keyboard.press('Control+V');
  need((await page.inputValue('#q')) === second, 'c does not copy the name');
  await page.goto(`${base}/runs/${runs.fail}`);
  await page.keyboard.press(']');
  need(await page.evaluate(() => document.activeElement.classList.contains('failing')), '] does not lead to a failed check');
  await page.goto(`${base}/runs/${runs.pass}/patch`);
  await page.keyboard.press('n');
  need((await page.locator('.diff .at').count()) === 1, 'n does not lead to a change');
  // Single keys can be turned off, and stay off.
  await page.keyboard.press('?');
  await page.locator('#keys-on').uncheck();
  await page.keyboard.press('Escape');
  await page.goto(`${base}/`);
  await page.keyboard.press('g');
  await page.keyboard.press('r');
  await page.waitForTimeout(200);
  need(new URL(page.url()).pathname === '/', 'keys that were turned off still act');
  settle('keyboard', seen);
  await context.close();
});

// Theme, paper, forced colours, reduced motion.
await part('theme and paper', async () => {
  const [context, seen] = await watched({ colorScheme: 'light', reducedMotion: 'reduce' });
  const page = await context.newPage();
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.goto(`${base}/runs`);
  const before = await ground();
  await page.getByRole('link', { name: 'dark' }).click();
  need(page.url() === `${base}/runs`, 'the theme leads away from the page');
  need((await ground()) !== before, 'the dark theme is not dark');
  need((await page.evaluate(() => getComputedStyle(document.documentElement).scrollBehavior)) === 'auto', 'reduced motion moves');
  const cookies = (await context.cookies()).map((cookie) => cookie.name.replace(/\d+$/, ''));
  need(cookies.every((name) => ['cto_theme_', 'cto_session_'].includes(name)), `cookies: ${cookies}`);
  await page.emulateMedia({ media: 'print' });
  await page.goto(`${base}/runs/${runs.pass}`);
  need(!(await page.locator('.top').isVisible()) && !(await page.locator('button').first().isVisible()), 'paper shows what cannot be pressed');
  const pdf = await page.pdf({ format: 'A4', tagged: true });
  facts.pdf_bytes = pdf.length;
  need(pdf.length > 10_000, 'the paper is empty');
  await page.emulateMedia({ media: 'screen', forcedColors: 'active' });
  await page.goto(`${base}/`);
  need((await page.evaluate(() => parseFloat(getComputedStyle(document.querySelector('.banner')).borderTopWidth))) >= 1, 'forced colours lose a border');
  settle('theme and paper', seen);
  await context.close();
});

// Budgets: sizes and counts, not times; times are told.
await part('budgets', async () => {
  const [context, seen] = await watched({});
  const page = await context.newPage();
  const cdp = await context.newCDPSession(page);
  await cdp.send('Emulation.setCPUThrottlingRate', { rate: 4 });
  const measured = async (name, url, most) => {
    const started = performance.now();
    const answer = await page.goto(url, { waitUntil: 'domcontentloaded' });
    const ready = Math.round(performance.now() - started);
    const bytes = (await answer.body()).length;
    const nodes = await page.evaluate(() => document.querySelectorAll('*').length);
    facts[name] = { ready_ms_4x: ready, bytes, nodes };
    need(bytes <= most.bytes, `${name}: ${bytes} bytes, ${most.bytes} are allowed`);
    need(nodes <= most.nodes, `${name}: ${nodes} nodes, ${most.nodes} are allowed`);
  };
  await measured('overview', `${base}/`, { bytes: 60_000, nodes: 1_500 });
  await measured('runs of ten thousand', `${plan.many}/runs`, { bytes: 60_000, nodes: 1_500 });
  need((await page.locator('#rows tbody tr').count()) === 100, 'not 100 rows of ten thousand');
  need((await page.textContent('main')).includes('10\u202f000 runs'), 'the total of ten thousand is not exact');
  await page.getByRole('link', { name: 'Next 100 runs' }).click();
  const seconds = await page.locator('#rows tbody tr td a').first().textContent();
  need(seconds.endsWith('0000009899'), `the second page starts at ${seconds}`);
  // A page of its own: what the one before still asks for is not the overview's.
  const fresh = await context.newPage();
  let requests = 0;
  fresh.on('request', () => { requests += 1; });
  await fresh.goto(`${base}/`, { waitUntil: 'load' });
  await fresh.waitForTimeout(300);
  facts.overview_requests = requests;
  need(requests <= 4, `the overview makes ${requests} requests`);
  settle('budgets', seen);
  await context.close();
});

// One stream for eight tabs; each hears of a new run, and nothing moves until the reader reloads.
await part('live', async () => {
  const [context, seen] = await watched({});
  const tabs = [];
  for (let at = 0; at < 8; at += 1) {
    const tab = await context.newPage();
    await tab.goto(`${base}/runs`);
    tabs.push(tab);
  }
  await tabs[0].waitForTimeout(1_000);
  need(seen.streams === 1, `${seen.streams} streams for eight tabs`);
  const rows = await tabs[3].locator('#rows tbody tr').count();
  const cto = (args) => promisify(execFile)(plan.program, args, { env: plan.environment, cwd: plan.directory });
  await cto(['run', 'r1-string-slugify']);
  for (const tab of tabs) await tab.getByRole('link', { name: 'New evidence – reload' }).waitFor({ timeout: 20_000 });
  need((await tabs[3].locator('#rows tbody tr').count()) === rows, 'rows moved under the reader');
  await tabs[3].getByRole('link', { name: 'New evidence – reload' }).click();
  await tabs[3].waitForLoadState('load');
  need((await tabs[3].locator('#rows tbody tr').count()) === rows + 1, 'the new run is not there after a reload');
  // The tab that held the stream goes; another takes over.
  await tabs[0].close();
  await tabs[5].waitForTimeout(1_000);
  need(seen.streams === 2, `${seen.streams} streams after the first tab was closed`);
  for (const tab of tabs.slice(1)) await tab.close();

  // A run that is under way.
  const running = cto(plan.slow);
  const page = await context.newPage();
  await page.goto(`${base}/runs`);
  for (let tries = 0; tries < 60 && (await page.locator('#begun').count()) === 0; tries += 1) {
    await page.waitForTimeout(250);
    await page.reload();
  }
  need((await page.locator('#begun').count()) === 1, 'a run that is under way is not listed');
  await page.locator('section[aria-labelledby=begun] a').first().click();
  await page.waitForSelector('#live');
  const started = await page.locator('#live-events li').count();
  say('live', await (async () => { const [c] = await watched({ bypassCSP: true }); const p = await c.newPage(); await p.goto(page.url()); const f = await axe(p); await c.close(); return f; })());
  await page.waitForFunction((before) => document.querySelectorAll('#live-events li').length > before, started, { timeout: 30_000 });
  await running;
  await page.waitForFunction(() => document.getElementById('live-state').textContent.startsWith('It ended: pass'), null, { timeout: 20_000 });
  await page.reload();
  need((await page.textContent('.verdict')).includes('Pass'), 'the run that was under way has no verdict');
  settle('live', seen);
  await context.close();
});

await browser.close();
console.log(JSON.stringify({ problems, facts }, null, 1));
process.exitCode = problems.length === 0 ? 0 : 1;
