// Shared by the browser tests and the screenshots: the browser, and the addresses of all pages.
import { createRequire } from 'node:module';

const place = process.env.CTO_TEST_BROWSER;
if (!place) throw new Error('CTO_TEST_BROWSER names no directory; scripts/test installs it');
const require = createRequire(`${place}/package.json`);
const { chromium } = require('playwright-core');
export const axeSource = require.resolve('axe-core/axe.min.js');

/** Starts Debian's own Chromium, which asks nobody for anything. */
export const launch = () => chromium.launch({
  executablePath: process.env.CTO_TEST_CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'],
});

/** Every page, by a name that a file can have; `runs` names runs of the installation by what they are. */
export const pages = (runs) => {
  const all = {
    overview: '/', runs: '/runs', 'runs-filtered': '/runs?status=fail&sort=longest', 'runs-nothing-found': '/runs?q=no-such-run',
    ladder: '/ladder', 'ladder-stage': '/ladder/2', compare: '/compare', matrix: '/matrix', approvals: '/approvals', lanes: '/lanes',
    failures: '/failures', state: '/state', promotion: '/promotion', planning: '/planning', help: '/help', 'not-found': '/nope',
  };
  for (const [name, run] of Object.entries(runs)) {
    all[`run-${name}`] = `/runs/${run}`;
  }
  const shown = runs.pass ?? runs.hostile;
  if (shown) {
    for (const tab of ['timeline', 'patch', 'tests', 'events', 'evidence', 'usage', 'report']) all[`run-${tab}`] = `/runs/${shown}/${tab}`;
  }
  if (runs.hostile) {
    for (const tab of ['patch', 'tests', 'events']) all[`run-hostile-${tab}`] = `/runs/${runs.hostile}/${tab}`;
  }
  if (runs.pass && runs.fail) all['compare-two'] = `/compare?a=${runs.pass}&b=${runs.fail}`;
  return all;
};
