// Ends sessions at the admin listener and at /oauth2/sessions, with a browser that runs no scripts.
//
//   ADMIN_URL     the admin listener, with three sessions of alice and one of bob behind it
//   GATEWAY_URL   the gateway, and COOKIE: the session of one of alice's browsers
//   ADMIN_TOKEN   for the scenario with Basic alone

import { strict as assert } from 'node:assert';
import { createServer } from 'node:http';

import { required, run, withOptions } from './lib.mjs';

const admin = required('ADMIN_URL');
const withoutScripts = { javaScriptEnabled: false };

const rows = (page) => page.locator('tbody tr').count();

await run({
  'a session is ended by its button, then all of its person': withOptions(withoutScripts, async (context) => {
    const page = await context.newPage();
    await page.goto(`${admin}/sessions`);
    assert.equal(await rows(page), 4);
    await page.getByLabel('User name').fill('bob');
    await page.getByRole('button', { name: 'Show' }).click();
    assert.equal(await rows(page), 1);
    await page.getByRole('button', { name: /^End session of bob/ }).click();
    assert.match(page.url(), /\/sessions\?user=bob&ended=1$/);
    assert.equal(await page.getByRole('status').textContent(), '1 session has ended.');
    assert.equal(await rows(page), 0);
    await page.getByRole('link', { name: 'Show all' }).click();
    assert.equal(await rows(page), 3);
  }),

  'a person ends their other sessions, then this one': withOptions(withoutScripts, async (context) => {
    const gateway = required('GATEWAY_URL');
    await context.addCookies(JSON.parse(required('COOKIE')));
    const page = await context.newPage();
    await page.goto(`${gateway}/oauth2/sessions`);
    assert.equal(await page.getByRole('listitem').count(), 3);
    await page.getByRole('button', { name: /^End localhost/ }).first().click();
    assert.equal(await page.getByRole('listitem').count(), 2);
    await page.getByRole('button', { name: 'End all others' }).click();
    assert.equal(await page.getByRole('listitem').count(), 1);
    await page.getByRole('button', { name: /^Sign out/ }).click();
    assert.equal(await page.getByRole('heading', { level: 1 }).textContent(), 'You are signed out');
    const list = await context.newPage();
    await list.goto(`${admin}/sessions`);
    assert.equal(await rows(list), 0);
  }),

  'a page of another site cannot use the Basic credentials of the browser': withOptions(
    { httpCredentials: { username: 'me', password: process.env.ADMIN_TOKEN ?? '', send: 'always' } },
    async (context) => {
      if (!process.env.ADMIN_TOKEN) return;
      const own = await context.newPage();
      assert.equal((await own.goto(`${admin}/sessions`)).status(), 200);
      const evil = createServer((_, answer) => {
        answer.setHeader('content-type', 'text/html');
        answer.end(`<form method=post action="${admin}/sessions/revoke"><input name=all value=true><button>Win</button></form>`);
      });
      await new Promise((ready) => evil.listen(0, '127.0.0.1', ready));
      const page = await context.newPage();
      await page.goto(`http://127.0.0.1:${evil.address().port}/`);
      const answered = page.waitForResponse((answer) => answer.url().startsWith(admin));
      await page.getByRole('button', { name: 'Win' }).click();
      assert.equal((await answered).status(), 403);
      evil.close();
    },
  ),
});
