// Looks at pages: pictures at both widths and in dark colours in tests/screenshots, and an accessibility check of each.
//
//   node tests/node/browser/pages.mjs '[{"name":"error-503","url":"http://localhost:8080/…"}, …]'
//
// A page may have "status" (the expected one), "heading" (text of the first heading), "cookies" (a list of name, value and
// url that the browser has already) and "html" instead of "url" (a page that is not served anywhere).

import { strict as assert } from 'node:assert';

import { look, run } from './lib.mjs';

const pages = JSON.parse(process.argv[2] ?? '[]');
assert.ok(pages.length > 0, 'no pages to look at');

await run(
  Object.fromEntries(
    pages.map(({ name, url, html, status, heading, cookies }) => [
      name,
      async (context) => {
        const page = await context.newPage();
        if (cookies) await context.addCookies(cookies);
        if (html !== undefined) {
          await page.setContent(html);
        } else {
          const answer = await page.goto(url);
          if (status !== undefined) assert.equal(answer.status(), status);
        }
        if (heading !== undefined) {
          assert.equal((await page.getByRole('heading', { level: 1 }).first().textContent()).trim(), heading);
        }
        await look(page, name);
      },
    ]),
  ),
);
