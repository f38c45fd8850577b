// Drives `vestibule demo` in a real browser, through its real login form.
//
//   DEMO_URL=http://localhost:8080 node tests/node/browser/demo.mjs
//
// Every scenario has a browser of its own: the gateway explains a loop after three logins in 30 seconds of one browser.

import { strict as assert } from 'node:assert';

import { look, required, run } from './lib.mjs';

const gateway = new URL(required('DEMO_URL')).origin;
const port = new URL(gateway).port;
const sessionCookie = `vestibule-dev-${port}`;
const deepLink = `${gateway}/reports/2026?page=2&q=a%20b&empty=`;
const jsonWebToken = /eyJ[\w-]+\.[\w-]+\./;

const atGateway = (page) => new URL(page.url()).origin === gateway;
const loginButton = (page) => page.getByRole('button', { name: 'Log in', exact: true });
const sampleHeading = (page) => page.getByRole('heading', { level: 1, name: /this is what reached the application/i });
const claims = (page) => page.getByRole('region', { name: 'Access token', exact: true }).locator('pre').last();
const result = (page) => page.getByRole('status');

/** The page asks for a login, at the provider and not at the gateway. */
const expectLoginForm = async (page) => {
  await loginButton(page).waitFor();
  assert.ok(!atGateway(page), `the login form is at ${page.url()}`);
};

const typeLogin = async (page, username, password = 'demo') => {
  await expectLoginForm(page);
  await page.getByLabel('User name').fill(username);
  await page.getByLabel('Password').fill(password);
  await loginButton(page).click();
};

/** The sample page answers at exactly this address, and has got a token. */
const expectLanded = async (page, url) => {
  await page.waitForURL(url);
  await sampleHeading(page).waitFor();
  const { pathname, search } = new URL(url);
  assert.equal(await page.locator('main > p > code').first().textContent(), `GET ${pathname}${search}`);
  const headers = page.getByRole('table').getByRole('row');
  const authorization = headers.filter({ has: page.getByRole('rowheader', { name: 'authorization', exact: true }) });
  assert.match(await authorization.getByRole('cell').last().textContent(), /^Bearer \(\d+ characters/);
  const cookies = headers.filter({ has: page.getByRole('rowheader', { name: 'cookie', exact: true }) });
  for (const shown of await cookies.allTextContents()) assert.doesNotMatch(shown, /vestibule/);
};

const logIn = async (page, url, username) => {
  await page.goto(url);
  await typeLogin(page, username);
  await expectLanded(page, url);
};

/** Calls the gateway from a script on the page, as an application would. */
const call = (page, path, options) =>
  page.evaluate(
    async ([path, options]) => {
      const answer = await fetch(path, { headers: { accept: 'application/json' }, ...options });
      const text = await answer.text();
      return {
        status: answer.status,
        url: answer.url,
        type: answer.headers.get('content-type'),
        challenge: answer.headers.get('www-authenticate'),
        body: text === '' ? null : JSON.parse(text),
      };
    },
    [path, options],
  );

/** Presses "Sign out" and follows to where it ends, over the provider's question if it asks one. */
const signOut = async (page) => {
  await page.getByRole('link', { name: 'Sign out' }).click();
  const question = page.getByRole('heading', { name: 'Log out?' });
  const end = page.waitForURL((url) => url.pathname === '/oauth2/signed_out').then(() => 'end');
  if ((await Promise.race([question.waitFor().then(() => 'question', () => 'end'), end])) === 'question') {
    await page.getByRole('button', { name: 'Log out' }).click();
  }
  await end;
  assert.ok(atGateway(page));
};

await run({
  'a public page needs no login': async (context) => {
    const page = await context.newPage();
    const answer = await page.goto(`${gateway}/public/hello`);
    assert.equal(answer.status(), 200);
    assert.equal(page.url(), `${gateway}/public/hello`);
    await page.getByRole('heading', { level: 1, name: /hello/i }).waitFor();
    assert.deepEqual(await context.cookies(gateway), [], 'a public page sets no cookie');
    await look(page, 'demo-public');
  },

  'a deep link with a query survives the login': async (context) => {
    const page = await context.newPage();
    await page.goto(deepLink);
    await expectLoginForm(page);
    await look(page, 'demo-login');
    await typeLogin(page, 'alice', 'wrong');
    await page.getByRole('alert').waitFor();
    await look(page, 'demo-login-wrong-password');
    await typeLogin(page, 'alice');
    await expectLanded(page, deepLink);
    const shown = JSON.parse(await claims(page).textContent());
    assert.equal(shown.preferred_username, 'alice');
    await look(page, 'demo-sample');
  },

  'one click on an account logs in too': async (context) => {
    const page = await context.newPage();
    await page.goto(`${gateway}/`);
    await expectLoginForm(page);
    await page.getByRole('button', { name: /\(bob\)/ }).click();
    await expectLanded(page, `${gateway}/`);
    assert.equal(JSON.parse(await claims(page).textContent()).preferred_username, 'bob');
  },

  'the browser holds opaque cookies that scripts cannot read, and no token': async (context) => {
    const page = await context.newPage();
    const seen = [];
    page.on('response', (answer) => {
      if (new URL(answer.url()).origin === gateway) seen.push(answer);
    });
    await logIn(page, deepLink, 'alice');
    assert.equal(await page.evaluate(() => document.cookie), '');
    const cookies = await context.cookies(gateway);
    assert.ok(cookies.some(({ name }) => name === sessionCookie), `no ${sessionCookie} in ${JSON.stringify(cookies)}`);
    for (const { name, value, httpOnly, sameSite, path, domain, expires } of cookies) {
      assert.ok(name === sessionCookie || name === `${sessionCookie}-login`, name);
      assert.deepEqual({ httpOnly, sameSite, path, domain }, { httpOnly: true, sameSite: 'Lax', path: '/', domain: 'localhost' }, name);
      assert.ok(name.length + 1 + value.length < 200, `${name} is too long`);
      assert.doesNotMatch(value, jsonWebToken);
      if (name === sessionCookie) assert.equal(expires, -1, 'the session cookie ends with the browser');
    }
    const stored = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]));
    assert.equal(stored, '[{},{}]');
    assert.ok(seen.length > 0);
    for (const answer of seen) {
      const headers = { ...(await answer.allHeaders()) };
      // The way to the provider's logout carries an ID token as a hint; a login carries none.
      assert.doesNotMatch(JSON.stringify(headers), jsonWebToken, answer.url());
      if (answer.status() < 300) assert.doesNotMatch(await answer.text(), jsonWebToken, answer.url());
      // The back button takes a redirect from the cache if it may: the way to the login again and again, until the
      // browser gives up.
      else assert.match(headers['cache-control'] ?? '', /no-store/, answer.url());
    }
  },

  'the application is called by fetch, by WebSocket and as a stream': async (context) => {
    const page = await context.newPage();
    await logIn(page, `${gateway}/`, 'alice');
    await page.getByRole('button', { name: 'Fetch' }).click();
    await result(page).getByText(/^200/).waitFor();
    await result(page).getByText(/Bearer \(\d+ characters/).waitFor();
    await page.getByRole('button', { name: 'WebSocket' }).click();
    await result(page).getByText(/^came back: hello at/).waitFor();
    await page.getByRole('button', { name: 'Stream of events' }).click();
    await result(page).getByText(/^event \d+/).waitFor();
    await page.getByRole('button', { name: 'Stream of events' }).click();
    await result(page).getByText('stream closed').waitFor();
    await look(page, 'demo-sample-with-result');
  },

  'the page knows how long things live': async (context) => {
    const page = await context.newPage();
    await logIn(page, `${gateway}/`, 'alice');
    for (const field of ['access_token_expires', 'session_expires', 'idle_expires']) {
      await page.locator(`#${field}`).getByText(/\d left$/).waitFor();
    }
  },

  'a refresh brings another access token to the application': async (context) => {
    const page = await context.newPage();
    await logIn(page, `${gateway}/`, 'alice');
    const before = JSON.parse(await claims(page).textContent());
    const first = (await call(page, '/oauth2/session')).body.access_token_expires;
    // A token in the first tenth of its life is fresh enough, and the answer says so; so this asks until it is not.
    const { status, session } = await page.evaluate(async (first) => {
      for (;;) {
        const answer = await fetch('/oauth2/session/refresh', { method: 'POST' });
        const session = await answer.json();
        if (answer.status !== 200 || session.access_token_expires > first) return { status: answer.status, session };
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
    }, first);
    assert.equal(status, 200, JSON.stringify(session));
    assert.doesNotMatch(JSON.stringify(session), jsonWebToken);
    await page.reload();
    await expectLanded(page, `${gateway}/`);
    const after = JSON.parse(await claims(page).textContent());
    assert.equal(after.sub, before.sub);
    assert.notEqual(after.jti, before.jti, 'the same access token as before');
  },

  'two tabs log in and each lands where it was going, whichever is finished first': async (context) => {
    const [first, second] = [await context.newPage(), await context.newPage()];
    const [one, two] = [`${gateway}/tab?number=1`, `${gateway}/tab?number=2`];
    await first.goto(one);
    await second.goto(two);
    await Promise.all([expectLoginForm(first), expectLoginForm(second)]);
    await typeLogin(second, 'alice');
    await expectLanded(second, two);
    const [{ value }] = (await context.cookies(gateway)).filter(({ name }) => name === sessionCookie);
    await typeLogin(first, 'alice');
    await expectLanded(first, one);
    await second.reload();
    await expectLanded(second, two);
    assert.equal((await context.cookies(gateway)).find(({ name }) => name === sessionCookie).value, value, 'two sessions');
  },

  'tabs that a new browser opens all at once land where they were going, after one more click at most': async (context) => {
    const urls = [1, 2, 3].map((number) => `${gateway}/tab?number=${number}`);
    const tabs = await Promise.all(urls.map(() => context.newPage()));
    await Promise.all(tabs.map((tab, index) => tab.goto(urls[index])));
    // Each was given a login cookie, and the browser kept the one that came last.
    for (const [index, tab] of tabs.entries()) {
      await typeLogin(tab, 'alice');
      const again = tab.getByRole('link', { name: 'Start again' });
      await again.or(sampleHeading(tab)).waitFor();
      if (await again.isVisible()) await again.click();
      await expectLanded(tab, urls[index]);
    }
  },

  'the back button after a login is no dead end': async (context) => {
    const page = await context.newPage();
    await logIn(page, deepLink, 'alice');
    // What lies behind is the login form; the provider may send a browser that it knows on at once.
    await page.goBack();
    const form = loginButton(page);
    await form.or(sampleHeading(page)).waitFor();
    if (await form.isVisible()) await typeLogin(page, 'alice');
    await expectLanded(page, deepLink);
  },

  'a callback that nobody waits for leads to a login': async (context) => {
    const page = await context.newPage();
    const answer = await page.goto(`${gateway}/oauth2/callback?code=made-up&state=made-up`);
    assert.equal(answer.status(), 400);
    await look(page, 'demo-callback-refused');
    await page.getByRole('main').getByRole('link').first().click();
    await typeLogin(page, 'alice');
    await sampleHeading(page).waitFor();
    assert.ok(atGateway(page));
  },

  'without its session a fetch gets 401 and a navigation goes through the login': async (context) => {
    const page = await context.newPage();
    await logIn(page, deepLink, 'alice');
    await context.clearCookies({ name: sessionCookie });
    const refused = await call(page, '/whoami');
    assert.equal(refused.status, 401);
    assert.equal(refused.url, `${gateway}/whoami`, 'a fetch is never redirected');
    assert.match(refused.type, /^application\/problem\+json/);
    assert.match(refused.challenge, /^Bearer /);
    assert.equal(refused.body.status, 401);
    assert.equal(typeof refused.body.code, 'string');
    assert.ok(refused.body.login.startsWith(`${gateway}/oauth2/start`), refused.body.login);
    assert.deepEqual(
      (await context.cookies(gateway)).filter(({ name }) => name === sessionCookie), [], 'a fetch starts no session',
    );
    // The provider still knows this browser: the login is silent.
    const other = `${gateway}/elsewhere?after=expiry`;
    await page.goto(other);
    await expectLanded(page, other);
    assert.equal((await context.cookies(gateway)).filter(({ name }) => name === sessionCookie).length, 1);
  },

  'signing out ends it here and at the provider, and leads on': async (context) => {
    const page = await context.newPage();
    await logIn(page, deepLink, 'alice');
    const other = await context.newPage();
    await other.goto(`${gateway}/`);
    await expectLanded(other, `${gateway}/`);
    await signOut(page);
    await look(page, 'demo-signed-out');
    assert.deepEqual((await context.cookies(gateway)).filter(({ name }) => name === sessionCookie), []);
    assert.equal((await call(other, '/whoami')).status, 401, 'the other tab is signed out as well');

    // Back shows nothing that needs the session once the server is asked.
    await page.goBack();
    await page.reload();
    await expectLoginForm(page);

    // The link on the page leads to a login, which asks again.
    await page.goto(`${gateway}/oauth2/signed_out`);
    await page.getByRole('main').getByRole('link').first().click();
    await typeLogin(page, 'bob');
    await sampleHeading(page).waitFor();
    assert.ok(atGateway(page));
    assert.equal(JSON.parse(await claims(page).textContent()).preferred_username, 'bob');
  },
});
