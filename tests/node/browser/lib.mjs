// What the browser scripts share: Chromium, screenshots, an accessibility check, and the frame of a scenario.

import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

const screenshots = join(import.meta.dirname, '..', '..', 'screenshots');
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const desktop = { width: 1280, height: 800 };

/** How people meet a page. */
const views = {
  desktop: { viewport: desktop, colorScheme: 'light' },
  phone: { viewport: { width: 360, height: 780 }, colorScheme: 'light' },
  dark: { viewport: desktop, colorScheme: 'dark' },
};

// Milliseconds. Nothing here waits for time to pass; this is when something that should happen has failed.
const patience = 15_000;
const patienceWithAScenario = 90_000;

const program = () => {
  try {
    return execFileSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).trim();
  } catch {
    throw new Error('there is no chromium on the PATH; run: tests/install/chromium');
  }
};

/** Starts Chromium with a profile of its own, which is gone afterwards. */
export const start = () =>
  chromium.launch({
    executablePath: program(),
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });

/** A browser that has never been anywhere: no cookies, no history. */
export const freshContext = async (browser, options = {}) => {
  const context = await browser.newContext({ viewport: desktop, ...options });
  context.setDefaultTimeout(patience);
  context.setDefaultNavigationTimeout(patience);
  return context;
};

/**
 * Looks at the page as people meet it: pictures at both widths and in dark colours in tests/screenshots, nothing wider
 * than the window, and no violation of the accessibility rules (WCAG 2.2 A and AA). `chosen` are the views, and
 * `checked` those of them in which the rules are checked.
 */
export const look = async (page, name, chosen = Object.keys(views), checked = chosen) => {
  mkdirSync(screenshots, { recursive: true });
  for (const view of chosen) {
    const { viewport, colorScheme } = views[view];
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: join(screenshots, `${name}-${view}.png`), fullPage: true });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(wide <= 0, `${name} is ${wide} pixels wider than the window (${view})`);
    const violations = checked.includes(view) ? await accessibilityViolations(page) : [];
    assert.deepEqual(violations, [], `${name} breaks accessibility rules (${view})`);
  }
  await page.setViewportSize(desktop);
  await page.emulateMedia({ colorScheme: 'light' });
};

const accessibilityViolations = async (page) => {
  // Evaluated over the debugger: the page's content security policy does not apply.
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axe);
  const { violations } = await page.evaluate(() =>
    globalThis.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }),
  );
  return violations.map(({ id, help, nodes }) => ({ id, help, where: nodes.map(({ target }) => target.join(' ')) }));
};

/** A script in a page that never ends must not take the other scenarios with it. */
const inTime = async (scenario) => {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('the scenario has not ended in time')), patienceWithAScenario);
  });
  await Promise.race([scenario, late]).finally(() => clearTimeout(timer));
};

/** A scenario whose context has options of its own, such as no scripts. */
export const withOptions = (options, scenario) => Object.assign(scenario, { options });

/**
 * Runs the scenarios one after the other, each in a fresh context, and ends the process: 0 when all have passed.
 * A failed one leaves a picture of every page that it had open. `ONLY=text` runs those whose name holds it.
 */
export const run = async (scenarios) => {
  const browser = await start();
  let failed = 0;
  for (const [name, scenario] of Object.entries(scenarios).filter(([name]) => name.includes(process.env.ONLY ?? ''))) {
    const context = await freshContext(browser, scenario.options);
    try {
      await inTime(scenario(context));
      console.log(`ok      ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${name}\n${error.stack}`);
      mkdirSync(screenshots, { recursive: true });
      for (const [index, page] of context.pages().entries()) {
        console.log(`        page ${index}: ${page.url()}`);
        const path = join(screenshots, `failed-${name.replaceAll(/\W+/g, '-')}-${index}.png`);
        await page.screenshot({ path }).catch(() => {});
      }
    }
    await context.close();
  }
  await browser.close();
  process.exit(failed === 0 ? 0 : 1);
};

/** The value of an environment variable that the caller has to set. */
export const required = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`set ${name}`);
  return value;
};
