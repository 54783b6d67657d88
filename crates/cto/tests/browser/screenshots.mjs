// Takes a picture of every page, light and dark, wide and narrow. Arguments: base address, folder, runs as JSON.
import { mkdirSync } from 'node:fs';
import { launch, pages } from './panel.mjs';

const [base, folder, runs, only] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const browser = await launch();
const sizes = [['wide', 1280, 900], ['narrow', 320, 700]];
let count = 0;
for (const colorScheme of ['light', 'dark']) {
  for (const [width, w, height] of sizes) {
    const context = await browser.newContext({ colorScheme, viewport: { width: w, height } });
    const page = await context.newPage();
    for (const [name, place] of Object.entries({ ...pages(JSON.parse(runs)), ...JSON.parse(process.env.CTO_PAGES ?? '{}') })) {
      if (only && !new RegExp(only).test(`${name}-${colorScheme}-${width}`)) continue;
      await page.goto(base + place, { waitUntil: 'load' });
      await page.screenshot({ path: `${folder}/${name}-${colorScheme}-${width}.png`, fullPage: true });
      count += 1;
    }
    await context.close();
  }
}
await browser.close();
console.log(`${count} pictures in ${folder}`);
