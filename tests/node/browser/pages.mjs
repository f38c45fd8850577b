// Looks at pages: pictures at both widths and in dark colours in tests/screenshots, and an accessibility check of each.
//
//   echo '[{"name":"error-503","url":"http://localhost:8080/…"}, …]' >pages.json
//   node tests/node/browser/pages.mjs pages.json
//
// A page may have "status" (the expected one), "heading" (text of the first heading), "cookies" (a list of name, value and
// url that the browser has already), "html" instead of "url" (a page that is not served anywhere) and "alike" (one of
// many that differ in their text alone: both widths are looked at, the rules are checked on the phone).

import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';

import { look, run } from './lib.mjs';

const pages = JSON.parse(readFileSync(process.argv[2], 'utf8'));
assert.ok(pages.length > 0, 'no pages to look at');

const show = async (page, { name, url, html, status, heading, alike }) => {
  if (html !== undefined) {
    await page.setContent(html);
  } else {
    const answer = await page.goto(url);
    if (status !== undefined) assert.equal(answer.status(), status);
  }
  if (heading !== undefined) {
    assert.equal((await page.getByRole('heading', { level: 1 }).first().textContent()).trim(), heading);
  }
  await (alike ? look(page, name, ['desktop', 'phone'], ['phone']) : look(page, name));
};

const scenarios = pages
  .filter(({ alike }) => !alike)
  .map((shown) => [
    shown.name,
    async (context) => {
      if (shown.cookies) await context.addCookies(shown.cookies);
      await show(await context.newPage(), shown);
    },
  ]);
// One window for several of them: there are many.
const alike = pages.filter(({ alike }) => alike);
for (let first = 0; first < alike.length; first += 8) {
  const some = alike.slice(first, first + 8);
  scenarios.push([
    some.map(({ name }) => name).join(', '),
    async (context) => {
      const page = await context.newPage();
      for (const shown of some) await show(page, shown);
    },
  ]);
}

await run(Object.fromEntries(scenarios));
