// Every way back after something has expired, was blocked or went wrong: each ends on a way forward.
//
//   GATEWAY_URL       the gateway of tests/it/recovery.rs
//   APPLICATION_URL   its application directly: another site, and the control of the clocks
//   SIBLING_URL       the same application under the gateway's host name: a sibling that cross_site lists

import { strict as assert } from 'node:assert';
import { createServer, request as send } from 'node:http';

import { look, required, run, withOptions } from './lib.mjs';

const gateway = new URL(required('GATEWAY_URL')).origin;
const application = new URL(required('APPLICATION_URL')).origin;
const sibling = new URL(required('SIBLING_URL')).origin;
const sessionCookie = `vestibule-dev-${new URL(gateway).port}`;

const account = (page, username) => page.getByRole('button', { name: new RegExp(`\\(${username}\\)`) });
const heading = (page, name) => page.getByRole('heading', { level: 1, name, exact: true });
const link = (page, name) => page.getByRole('link', { name, exact: true });
const button = (page, name) => page.getByRole('button', { name, exact: true });

const control = async (what) => {
  const answer = await fetch(`${application}/control/${what}`);
  assert.equal(answer.status, 200);
  return answer.text();
};

/** The clocks of the gateway and of its provider jump ahead. */
const timePasses = (seconds) => control(`clocks?gateway=${seconds}&provider=${seconds}`);

/** What has reached the application at this path: `{ method, body }` each, oldest first. */
const arrived = async (path) => JSON.parse(await control(`arrived?path=${path}`));

/** Opens a page that needs a login, as somebody whom the provider does not know yet. */
const logIn = async (page, url, username = 'alice') => {
  await page.goto(url);
  await account(page, username).click();
  await landed(page, url);
};

/** The application shows its page at exactly this address. */
const landed = async (page, url) => {
  await page.waitForURL(url);
  await heading(page, 'Application').waitFor();
};

const signOut = async (context) => {
  const page = await context.newPage();
  await page.goto(`${gateway}/oauth2/sign_out`);
  const question = button(page, 'Log out');
  const end = heading(page, 'You are signed out');
  await question.or(end).waitFor();
  if (await question.isVisible()) await question.click();
  await end.waitFor();
  await page.close();
};

/** Follows "Log in in a new tab", on a page or in a frame, and comes back when the application shows itself there. */
const logInInANewTab = async (context, frame) => {
  const [other] = await Promise.all([context.waitForEvent('page'), link(frame, 'Log in in a new tab').click()]);
  await heading(other, 'Application').waitFor();
  await other.close();
};

/** The accessibility check is a script: where none can run, it looks at a copy of the page. */
const lookAtACopy = async (page, name) => {
  const copy = await page.context().browser().newPage();
  await copy.setContent(await page.content());
  await look(copy, name);
  await copy.close();
};

const note = 'one\ntwo "three" <b>&amp; \'four\' é 日本 \u{1f511} %41+';

/** Fills and sends the form of the application; `frame` is the page or a frame in it. */
const fill = async (frame) => {
  await frame.getByLabel('Note').fill(note);
  await frame.getByLabel('Red').check();
  await frame.getByLabel('Blue').check();
};

/** A proxy that takes some of the gateway's cookies away; `drop` decides by a cookie's name. */
const cookieThief = async (drop) => {
  const proxy = createServer((incoming, outgoing) => {
    const url = new URL(incoming.url);
    const headers = { ...incoming.headers };
    delete headers['proxy-connection'];
    const passedOn = send(url, { method: incoming.method, headers, setHost: false }, (answer) => {
      const kept = { ...answer.headers };
      if (url.origin === gateway && kept['set-cookie']) {
        kept['set-cookie'] = kept['set-cookie'].filter((cookie) => !drop(cookie.split('=')[0]));
      }
      outgoing.writeHead(answer.statusCode, kept);
      answer.pipe(outgoing);
    });
    passedOn.on('error', () => outgoing.destroy());
    incoming.pipe(passedOn);
  });
  await new Promise((listening) => proxy.listen(0, '127.0.0.1', listening));
  return proxy;
};

let drop = () => false;
const proxy = await cookieThief((name) => drop(name));
const throughTheProxy = { proxy: { server: `http://127.0.0.1:${proxy.address().port}`, bypass: '<-loopback>' } };

await run({
  'a form over an expired session is kept, and sent once, as it was, without any script': withOptions(
    { javaScriptEnabled: false },
    async (context) => {
      const page = await context.newPage();
      await logIn(page, `${gateway}/start`);
      // What the browser sends when nothing is in the way.
      await page.goto(`${gateway}/form?to=/notes`);
      await fill(page);
      await button(page, 'Save').click();
      await heading(page, 'Saved').waitFor();
      await page.goto(`${gateway}/form?to=/notes`);
      await fill(page);
      await timePasses(3601);
      await button(page, 'Save').click();
      await heading(page, 'Your form was not sent').waitFor();
      await lookAtACopy(page, 'recovery-form-not-sent');
      // Pressed too early, or loaded again, it is kept once more.
      await button(page, 'Send again').click();
      await heading(page, 'Your form was not sent').waitFor();
      await page.reload();
      await heading(page, 'Your form was not sent').waitFor();
      assert.equal((await arrived('/notes')).length, 1);
      await logInInANewTab(context, page);
      assert.equal((await arrived('/notes')).length, 1, 'nobody but the person sends it');
      await button(page, 'Send again').click();
      await heading(page, 'Saved').waitFor();
      const [usual, kept, ...more] = await arrived('/notes');
      assert.deepEqual(kept, usual);
      assert.equal(more.length, 0);
      assert.equal(kept.method, 'POST');
      assert.match(kept.body, /kind=a%26b&note=one%0D%0Atwo.*&colour=red&colour=blue&=?/);
    },
  ),

  'a form in a frame is kept there, and sent after the login': async (context) => {
    const page = await context.newPage();
    await logIn(page, `${gateway}/start`);
    await page.goto(`${gateway}/framed?src=/form?to=/framed-notes`);
    const frame = page.frameLocator('iframe');
    await fill(frame);
    await timePasses(3601);
    await button(frame, 'Save').click();
    await heading(frame, 'Your form was not sent').waitFor();
    await logInInANewTab(context, frame);
    await button(frame, 'Send again').click();
    await heading(frame, 'Saved').waitFor();
    assert.equal((await arrived('/framed-notes')).length, 1);
  },

  'a form that cannot be kept is still there one step back': async (context) => {
    const page = await context.newPage();
    await logIn(page, `${gateway}/start`);
    await page.goto(`${gateway}/form?to=/files&as=multipart/form-data`);
    await fill(page);
    await timePasses(3601);
    await button(page, 'Save').click();
    await heading(page, 'Your form was not sent').waitFor();
    await look(page, 'recovery-form-not-kept');
    assert.equal(await button(page, 'Send again').count(), 0);
    await logInInANewTab(context, page);
    await page.goBack();
    assert.equal(await page.getByLabel('Note').inputValue(), note);
    await button(page, 'Save').click();
    await heading(page, 'Saved').waitFor();
    const [sent, ...more] = await arrived('/files');
    assert.ok(sent.body.includes('日本') && more.length === 0, sent.body);
  },

  'a fetch learns where the login is, and works after it': async (context) => {
    const page = await context.newPage();
    await logIn(page, `${gateway}/start`);
    await timePasses(3601);
    const call = () =>
      page.evaluate(async () => {
        const answer = await fetch('/data?of=mine', { method: 'GET' });
        return { status: answer.status, redirected: answer.redirected, type: answer.headers.get('content-type'), body: await answer.text() };
      });
    const refused = await call();
    assert.deepEqual([refused.status, refused.redirected, refused.type], [401, false, 'application/problem+json']);
    const { login } = JSON.parse(refused.body);
    assert.equal(login, `${gateway}/oauth2/start?rd=%2Fdata%3Fof%3Dmine`);
    const other = await context.newPage();
    await other.goto(login);
    await landed(other, `${gateway}/data?of=mine`);
    assert.equal((await call()).status, 200);
  },

  'a WebSocket is refused before it opens, and closed when its session ends': async (context) => {
    const page = await context.newPage();
    const open = () =>
      page.evaluate(
        () =>
          new Promise((opened) => {
            const socket = new WebSocket(location.origin.replace(/^http/, 'ws') + '/socket');
            globalThis.closed = new Promise((resolve) => socket.addEventListener('close', ({ wasClean }) => resolve(wasClean)));
            socket.addEventListener('open', () => opened('open'));
            socket.addEventListener('error', () => opened('refused'));
          }),
      );
    await page.goto(`${gateway}/public/start`);
    assert.equal(await open(), 'refused');
    assert.deepEqual(await arrived('/socket'), []);
    await logIn(page, `${gateway}/start`);
    assert.equal(await open(), 'open');
    await signOut(context);
    await page.evaluate(() => globalThis.closed);
    assert.equal(await open(), 'refused');
    assert.equal((await arrived('/socket')).length, 1);
  },

  'an EventSource gets 401 and stops': async (context) => {
    const page = await context.newPage();
    const asked = [];
    page.on('request', (request) => {
      if (new URL(request.url()).pathname === '/events') asked.push(request);
    });
    const listen = () =>
      page.evaluate(() => {
        const source = new EventSource('/events');
        globalThis.stopped = new Promise((resolve) => {
          source.addEventListener('error', () => {
            if (source.readyState === EventSource.CLOSED) resolve('stopped');
          });
        });
        return Promise.race([
          new Promise((resolve) => source.addEventListener('message', ({ data }) => resolve(data), { once: true })),
          globalThis.stopped,
        ]);
      });
    await page.goto(`${gateway}/public/start`);
    assert.equal(await listen(), 'stopped');
    assert.deepEqual(await arrived('/events'), []);
    assert.equal(asked.length, 1, 'it asks once');
    await logIn(page, `${gateway}/start`);
    assert.equal(await listen(), 'hello');
    // The stream is cut with its session; the browser tries once more, and stops.
    await signOut(context);
    assert.equal(await page.evaluate(() => globalThis.stopped), 'stopped');
    assert.equal((await arrived('/events')).length, 1);
    assert.equal(asked.length, 3);
  },

  'three tabs log in, in any order, and each ends where it was going': async (context) => {
    const tabs = [1, 2, 3].map((number) => `${gateway}/tab?number=${number}&q=a%20b`);
    const pages = [];
    for (const url of tabs) {
      const page = await context.newPage();
      await page.goto(url);
      await account(page, 'alice').waitFor();
      pages.push(page);
    }
    const sessions = new Set();
    for (const index of [1, 2, 0]) {
      await account(pages[index], 'alice').click();
      await landed(pages[index], tabs[index]);
      const [cookie] = (await context.cookies(gateway)).filter(({ name }) => name === sessionCookie);
      sessions.add(cookie.value);
    }
    assert.equal(sessions.size, 1, 'the tabs share one session');
  },

  'back to the login service and through it again ends on the page': async (context) => {
    const page = await context.newPage();
    const url = `${gateway}/deep?link=1`;
    await logIn(page, url);
    await page.goto(`${gateway}/further`);
    await heading(page, 'Application').waitFor();
    await page.goBack();
    await landed(page, url);
    // One step farther is the login service. It knows the browser by now and sends it back with another code.
    const calledBack = page.waitForResponse((answer) => new URL(answer.url()).pathname === '/oauth2/callback');
    await page.goBack();
    assert.equal((await calledBack).status(), 303);
    await landed(page, url);
  },

  'a login page that was left open in one tab still ends on its page after the login in another': async (context) => {
    const [left, other] = [await context.newPage(), await context.newPage()];
    await left.goto(`${gateway}/left?open=1`);
    await account(left, 'bob').waitFor();
    await logIn(other, `${gateway}/other`);
    await account(left, 'bob').click();
    await landed(left, `${gateway}/left?open=1`);
  },

  'back to the callback ends on the page': async (context) => {
    const page = await context.newPage();
    const url = `${gateway}/looping`;
    await logIn(page, url);
    for (const shown of ['Application', 'You keep being sent to the login']) {
      await context.clearCookies({ name: sessionCookie });
      await page.goto(url);
      await heading(page, shown).waitFor();
    }
    // This page is the callback itself, and so a step of the history.
    assert.equal(new URL(page.url()).pathname, '/oauth2/callback');
    await link(page, 'Continue').click();
    await landed(page, url);
    await page.goBack();
    await landed(page, url);
  },

  'a bookmarked callback ends on the page, or on a link that leads there': async (context) => {
    const page = await context.newPage();
    const url = `${gateway}/bookmarked?page=2`;
    const calledBack = page.waitForRequest((request) => new URL(request.url()).pathname === '/oauth2/callback');
    await logIn(page, url);
    const bookmark = (await calledBack).url();
    await page.goto(bookmark);
    await landed(page, url);
    // Signed out, or never come back: the login in it is spent.
    await context.clearCookies({ name: sessionCookie });
    await page.goto(bookmark);
    await heading(page, 'This login has been used already').waitFor();
    await look(page, 'recovery-bookmarked-callback');
    await link(page, 'Start again').click();
    await landed(page, url);
    await context.clearCookies({ name: sessionCookie });
    await timePasses(3601);
    await page.goto(bookmark);
    await heading(page, 'Your login took too long').waitFor();
    await link(page, 'Start again').click();
    await landed(page, url);
    await page.goto(bookmark);
    await landed(page, url);
    // In a browser that has never been here, and without anything of a login.
    const stranger = await context.browser().newContext();
    const elsewhere = await stranger.newPage();
    await elsewhere.goto(`${gateway}/oauth2/callback`);
    await heading(elsewhere, 'Your login could not be completed').waitFor();
    await link(elsewhere, 'Start again').click();
    await account(elsewhere, 'alice').click();
    await landed(elsewhere, `${gateway}/`);
    await stranger.close();
  },

  'blocked cookies are named, nothing goes round, and once they are allowed the link works': withOptions(
    throughTheProxy,
    async (context) => {
      const page = await context.newPage();
      const url = `${gateway}/blocked?page=3`;
      drop = () => true;
      await page.goto(url);
      await account(page, 'alice').click();
      await heading(page, 'Your login could not be completed').waitFor();
      await page.getByText('allow cookies for this site').waitFor();
      await look(page, 'recovery-cookies-blocked');
      const callbacks = [];
      page.on('request', (request) => {
        if (new URL(request.url()).pathname === '/oauth2/callback') callbacks.push(request);
      });
      const before = page.url();
      await link(page, 'Start again').click();
      await page.waitForURL((url) => url.pathname === '/oauth2/callback' && url.href !== before);
      await heading(page, 'Your login could not be completed').waitFor();
      assert.equal(callbacks.length, 1, 'one press of the link is one login');
      drop = () => false;
      await link(page, 'Start again').click();
      await landed(page, url);
    },
  ),

  'a session cookie that never comes back ends the round with an explanation': withOptions(
    throughTheProxy,
    async (context) => {
      const page = await context.newPage();
      const url = `${gateway}/round?page=4`;
      drop = (name) => name === sessionCookie;
      await page.goto(url);
      await account(page, 'alice').click();
      await heading(page, 'You keep being sent to the login').waitFor();
      drop = () => false;
      await link(page, 'Continue').click();
      await heading(page, 'You keep being sent to the login').waitFor();
      await link(page, 'Continue').click();
      await landed(page, url);
    },
  ),

  'a provider whose clock is wrong is explained; one that is a little off is no matter': async (context) => {
    const page = await context.newPage();
    const url = `${gateway}/clock`;
    await control('clocks?provider=90');
    await page.goto(url);
    await account(page, 'alice').click();
    await heading(page, 'Your login could not be completed').waitFor();
    await page.getByText('tell the person who runs this site').waitFor();
    await page.getByText(/^Request id: \w+/).waitFor();
    await look(page, 'recovery-clock');
    await control('clocks?gateway=45');
    await link(page, 'Start again').click();
    await landed(page, url);
    await control('clocks?provider=-90');
    await context.clearCookies({ name: sessionCookie });
    await page.goto(url);
    await landed(page, url);
    await control('clocks?provider=45');
  },

  'a listed sibling acts where it may, and nowhere else': async (context) => {
    const page = await context.newPage();
    await logIn(page, `${gateway}/start`);
    await page.goto(`${sibling}/form?to=${gateway}/cart`);
    await fill(page);
    await button(page, 'Save').click();
    await heading(page, 'Saved').waitFor();
    assert.equal((await arrived('/cart')).length, 1);
    await page.goto(`${sibling}/form?to=${gateway}/stolen`);
    await button(page, 'Save').click();
    await heading(page, 'This came from another site').waitFor();
    await look(page, 'recovery-cross-site');
    assert.deepEqual(await arrived('/stolen'), []);
    await link(page, 'Open this site').click();
    await landed(page, `${gateway}/`);
    await page.goto(`${sibling}/elsewhere`);
    const sockets = await page.evaluate(
      (gateway) =>
        Promise.all(
          ['/cart/socket', '/socket/of/mine'].map(
            (path) =>
              new Promise((resolve) => {
                const socket = new WebSocket(gateway.replace(/^http/, 'ws') + path);
                socket.addEventListener('open', () => resolve('open'));
                socket.addEventListener('error', () => resolve('refused'));
              }),
          ),
        ),
      gateway,
    );
    assert.deepEqual(sockets, ['open', 'refused']);
    // The answer is still kept from its scripts: no header of ours shares it.
    const read = await page.evaluate(
      (url) => fetch(url, { method: 'POST', credentials: 'include', body: new URLSearchParams('a=b') }).then(() => 'read', () => 'kept back'),
      `${gateway}/cart`,
    );
    assert.equal(read, 'kept back');
  },
});
