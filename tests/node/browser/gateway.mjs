// What only a browser can show of the gateway: frames, kept forms, loops, links of other sites, a clock that runs ahead.
//
//   GATEWAY_URL, STRICT_URL   two gateways of tests/it/chromium.rs, the second with same_site = "strict"
//   APPLICATION_URL           their application directly: another site, and the control of the clocks

import { strict as assert } from 'node:assert';

import { look, required, run } from './lib.mjs';

const gateway = new URL(required('GATEWAY_URL')).origin;
const strict = new URL(required('STRICT_URL')).origin;
const elsewhere = new URL(required('APPLICATION_URL')).origin;
const sessionCookie = `vestibule-dev-${new URL(gateway).port}`;

const account = (page, username) => page.getByRole('button', { name: new RegExp(`\\(${username}\\)`) });
const heading = (page, name) => page.getByRole('heading', { level: 1, name, exact: true });

const logIn = async (page, url, username = 'alice') => {
  await page.goto(url);
  await account(page, username).click();
  await page.waitForURL(url);
  await heading(page, 'Application').waitFor();
};

/** The clocks of the gateway and of its provider jump ahead. */
const timePasses = async (seconds) => {
  const answer = await fetch(`${elsewhere}/control/advance?seconds=${seconds}`);
  assert.equal(answer.status, 200);
};

const call = (page, path) =>
  page.evaluate(async (path) => {
    const answer = await fetch(path);
    return { status: answer.status, redirected: answer.redirected, body: await answer.text() };
  }, path);

/** Opens a WebSocket on the page and keeps there what becomes of it. */
const openWebSocket = (page) =>
  page.evaluate(
    () =>
      new Promise((opened, refused) => {
        const socket = new WebSocket(location.origin.replace(/^http/, 'ws') + '/socket');
        globalThis.ended = new Promise((resolve) => socket.addEventListener('close', () => resolve('closed')));
        globalThis.echo = (text) =>
          new Promise((resolve) => {
            socket.addEventListener('message', ({ data }) => resolve(data), { once: true });
            socket.send(text);
          });
        socket.addEventListener('open', () => opened());
        socket.addEventListener('error', () => refused(new Error('the WebSocket was refused')));
      }),
  );

await run({
  'a frame without a session offers a login in the whole window': async (context) => {
    const page = await context.newPage();
    await page.goto(`${gateway}/public/framed`);
    const frame = page.frameLocator('iframe');
    await heading(frame, 'Please log in').waitFor();
    const login = frame.getByRole('link', { name: 'Log in' });
    const alone = await context.newPage();
    await alone.setContent(await page.frames()[1].content());
    await look(alone, 'gateway-frame');
    await login.click();
    await account(page, 'alice').click();
    await page.waitForURL((url) => url.origin === gateway);
    await heading(page, 'Application').waitFor();
    await page.goto(`${gateway}/public/framed`);
    await heading(page.frameLocator('iframe'), 'Application').waitFor();
  },

  'a form that was posted without a session is kept, and sent after the login': async (context) => {
    const page = await context.newPage();
    await page.goto(`${gateway}/public/form`);
    await page.getByLabel('Note').fill('one\ntwo "three" <b>&amp; four é');
    await page.getByRole('button', { name: 'Save' }).click();
    await heading(page, 'Your form was not sent').waitFor();
    await look(page, 'gateway-form-not-sent');
    // Pressed too early it is kept once more.
    await page.getByRole('button', { name: 'Send again' }).click();
    await heading(page, 'Your form was not sent').waitFor();
    const [other] = await Promise.all([
      context.waitForEvent('page'),
      page.getByRole('link', { name: 'Log in in a new tab' }).click(),
    ]);
    await account(other, 'alice').click();
    await heading(other, 'Application').waitFor();
    await page.getByRole('button', { name: 'Send again' }).click();
    await heading(page, 'Saved').waitFor();
    const saved = JSON.parse(await page.locator('pre').textContent());
    assert.deepEqual(saved, [['kind', 'a&b'], ['note', 'one\r\ntwo "three" <b>&amp; four é']]);
  },

  'the third login within seconds is explained, and leads on': async (context) => {
    const page = await context.newPage();
    const url = `${gateway}/looping?q=1`;
    await logIn(page, url);
    await context.clearCookies({ name: sessionCookie });
    await page.goto(url);
    await heading(page, 'Application').waitFor();
    await context.clearCookies({ name: sessionCookie });
    await page.goto(url);
    await heading(page, 'You keep being sent to the login').waitFor();
    await look(page, 'gateway-login-loop');
    await page.getByRole('link', { name: 'Continue' }).click();
    await page.waitForURL(url);
    await heading(page, 'Application').waitFor();
  },

  'a link of another site asks before it signs anybody out': async (context) => {
    const page = await context.newPage();
    await logIn(page, `${gateway}/here`);
    await page.goto(`${elsewhere}/elsewhere`);
    await page.getByRole('link', { name: 'Sign out over there' }).click();
    await heading(page, 'Sign out?').waitFor();
    await look(page, 'gateway-sign-out-confirm');
    await page.getByRole('link', { name: 'Stay logged in' }).click();
    await heading(page, 'Application').waitFor();
    await page.goBack();
    await page.getByRole('button', { name: 'Sign out' }).click();
    const question = page.getByRole('button', { name: 'Log out' });
    const end = heading(page, 'You are signed out');
    await question.or(end).waitFor();
    if (await question.isVisible()) await question.click();
    await end.waitFor();
    await page.goto(`${gateway}/public/start`);
    assert.equal((await call(page, '/api/anything')).status, 401);
  },

  'another site can neither call nor post nor embed nor listen': async (context) => {
    const page = await context.newPage();
    await logIn(page, `${gateway}/mine`);
    await page.goto(`${elsewhere}/elsewhere`);
    const outcome = await page.evaluate(async (gateway) => {
      const called = await fetch(`${gateway}/api/anything`, { credentials: 'include' }).then(() => 'read', () => 'kept back');
      await fetch(`${gateway}/stolen`, { method: 'POST', mode: 'no-cors', credentials: 'include', body: 'note=x' });
      const socket = new WebSocket(gateway.replace(/^http/, 'ws') + '/socket');
      const listened = await new Promise((resolve) => {
        socket.addEventListener('open', () => resolve('open'));
        socket.addEventListener('error', () => resolve('refused'));
      });
      return { called, listened };
    }, gateway);
    assert.deepEqual(outcome, { called: 'kept back', listened: 'refused' });
    const count = await (await fetch(`${elsewhere}/control/count?path=/stolen`)).text();
    assert.equal(count, '0', 'a request that another site forged has reached the application');
  },

  'a session that nobody has used runs out: 401 for a script, a login for a person': async (context) => {
    const page = await context.newPage();
    await logIn(page, `${gateway}/idle`);
    await timePasses(3601);
    const refused = await call(page, '/api/anything');
    assert.deepEqual([refused.status, refused.redirected], [401, false]);
    assert.equal(JSON.parse(refused.body).code, 'unauthenticated');
    // The provider, whose clock is its own, still knows this browser: nobody has to type anything.
    await page.goto(`${gateway}/idle?again=1`);
    await page.waitForURL(`${gateway}/idle?again=1`);
    await heading(page, 'Application').waitFor();
    assert.equal((await call(page, '/api/anything')).status, 200);
  },

  'an access token that has run out is renewed without anybody noticing': async (context) => {
    const page = await context.newPage();
    await logIn(page, `${gateway}/`);
    const before = (await call(page, '/api/token')).body;
    await timePasses(61);
    const after = (await call(page, '/api/token')).body;
    assert.match(before, /^Bearer ./);
    assert.match(after, /^Bearer ./);
    assert.notEqual(after, before);
  },

  'a WebSocket of the page ends when another tab signs out': async (context) => {
    const page = await context.newPage();
    await logIn(page, `${gateway}/socket-page`);
    await openWebSocket(page);
    assert.equal(await page.evaluate(() => globalThis.echo('hello')), 'hello');
    const other = await context.newPage();
    await other.goto(`${gateway}/`);
    await other.getByRole('link', { name: 'Sign out' }).click();
    assert.equal(await page.evaluate(() => globalThis.ended), 'closed');
    await assert.rejects(openWebSocket(page), /refused/);
  },

  'back after a login does not log in again, and back after a logout shows nothing of the session': async (context) => {
    const page = await context.newPage();
    await page.goto(`${gateway}/public/start`);
    await logIn(page, `${gateway}/secret?of=mine`);
    // One step behind is the provider's form, two steps the page from before.
    await page.goBack();
    await page.goForward();
    await heading(page, 'Application').waitFor();
    assert.equal(page.url(), `${gateway}/secret?of=mine`);
    await page.getByRole('link', { name: 'Sign out' }).click();
    const question = page.getByRole('button', { name: 'Log out' });
    const end = heading(page, 'You are signed out');
    await question.or(end).waitFor();
    if (await question.isVisible()) await question.click();
    await end.waitFor();
    await page.goto(`${gateway}/secret?of=mine`);
    await account(page, 'bob').waitFor();
  },

  'a strict cookie holds after a login, too': async (context) => {
    const page = await context.newPage();
    const url = `${strict}/deep?link=1`;
    await logIn(page, url);
    const [cookie] = (await context.cookies(strict)).filter(({ name }) => name === `vestibule-dev-${new URL(strict).port}`);
    assert.deepEqual([cookie.sameSite, cookie.httpOnly], ['Strict', true]);
  },
});
