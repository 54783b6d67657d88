// What every page must hold, whoever looks at it: each returns a list of problems.
import { axeSource } from './panel.mjs';

const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa', 'best-practice'];

/** The rules of axe-core. The page's own policy keeps foreign scripts out, so the context that calls this bypasses it. */
export const axe = async (page) => {
  await page.addScriptTag({ path: axeSource });
  const found = await page.evaluate(async (tags) => (await globalThis.axe.run(document, { runOnly: tags })).violations, TAGS);
  return found.map((one) => `axe ${one.id}: ${one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')}`);
};

/** Contrast of every text node against what is painted behind it, also of single symbols, which axe leaves open. */
export const contrast = (page) => page.evaluate(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) return color;
    }
    return rgba(getComputedStyle(document.body).backgroundColor);
  };
  const problems = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let lowest = 99;
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || element.closest('dialog:not([open]), script, .sr, option') || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const color = rgba(element.ownerSVGElement ? style.fill : style.color);
    const [a, b] = [light(color), light(behind(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    lowest = Math.min(lowest, ratio);
    if (ratio < 4.5) problems.push(`contrast ${ratio.toFixed(2)} of "${walker.currentNode.textContent.trim().slice(0, 40)}"`);
  }
  return problems.slice(0, 5);
});

/** What a page must be whatever it shows. */
export const shape = (page, width) => page.evaluate((width) => {
  const problems = [];
  const need = (holds, text) => { if (!holds) problems.push(text); };
  need(document.querySelectorAll('h1').length === 1, 'not exactly one h1');
  need(document.title.length > 3, 'no title');
  need(document.documentElement.scrollWidth <= width, `scrolls sideways: ${document.documentElement.scrollWidth} px`);
  for (const form of document.forms) {
    const own = new URL(form.action, location.href).origin === location.origin;
    need(form.method === 'dialog' || (form.method === 'get' && own), `a form is ${form.method} to ${form.action}`);
  }
  for (const link of document.querySelectorAll('a[href]')) need(/^http:\/\/127\.0\.0\.1:/.test(link.href), `a link leads to ${link.href}`);
  const foreign = document.querySelectorAll('img, iframe, object, embed, video, audio, base, [onclick], [onerror], [onload], [style]');
  need(foreign.length === 0, `active or foreign: ${[...foreign].slice(0, 2).map((one) => one.outerHTML.slice(0, 80))}`);
  need(document.querySelectorAll('script').length <= 1, 'more than the one script');
  const text = document.documentElement.outerHTML;
  const odd = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206e\ufeff]/.exec(text);
  need(!odd, `holds U+${odd?.[0].charCodeAt(0).toString(16)}`);
  return problems;
}, width);
