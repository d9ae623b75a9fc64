// A walk through the console in Chromium: node walk.mjs URL FOLDER. It says
// what it has seen, and ends with an error at the first thing that is not so.
// With a folder it leaves a picture there of where it ended.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [base, folder] = process.argv.slice(2);
const axe = readFileSync(createRequire(join(process.cwd(), 'x.js')).resolve('axe-core/axe.min.js'), 'utf8');
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
const complaints = [];
let last;

async function open(options = {}) {
  const context = await browser.newContext({ baseURL: base, viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(30000);
  const page = await context.newPage();
  page.on('pageerror', (e) => complaints.push(`${page.url()}: ${e}`));
  page.on('console', (m) => { if (m.type() === 'error' && !/status of 4\d\d/.test(m.text())) complaints.push(`${page.url()}: ${m.text()}`); });
  last = page;
  return page;
}

async function step(name, walk) {
  const start = Date.now();
  await walk();
  console.log(`${name} (${Date.now() - start} ms)`);
}

async function fill(page, data) {
  await page.getByLabel('Data, as JSON').fill(JSON.stringify(data, null, 2));
}

const pages = { overview: '/', functions: '/functions', runs: '/runs', failed: '/runs?status=failed', events: '/events', send: '/send?type=email/send', mails: '/mails', 'not found': '/runs/none' };

try {
  const page = await open();
  const list = await open();
  await list.goto('/runs');
  await list.locator('.live[data-state=on]').waitFor();

  await step('the form says what is wrong, and where', async () => {
    await page.goto('/send?type=user/registered');
    assert.deepEqual(JSON.parse(await page.getByLabel('Data, as JSON').inputValue()), { userId: 'user-1', email: 'someone@example.com' });
    await fill(page, { userId: 'walker', email: 'nobody' });
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.getByRole('alert').getByText('data.email').waitFor();
    assert.match(await page.getByLabel('Data, as JSON').inputValue(), /nobody/);
  });

  await step('the editor completes from the schema', async () => {
    await page.goto('/send?type=email/send');
    const area = page.getByLabel('Data, as JSON');
    await area.fill('{\n  ');
    await area.press('Control+ ');
    const options = page.getByRole('listbox').getByRole('option');
    assert.match(await options.first().textContent(), /subject.*required/);
    await area.press('Enter');
    assert.equal(await area.inputValue(), '{\n  "subject": ""');
    await page.keyboard.type('Hi');
    assert.equal(await area.inputValue(), '{\n  "subject": "Hi"');
    await page.getByText(/Not JSON yet/).waitFor();
  });

  await step('an event is sent, and what it started is shown', async () => {
    // The workflow invokes the function too: who comes second starts no run.
    for (let n = 0, status; status !== 'Succeeded'; n++) {
      assert.ok(n < 10, `the function's run is ${status} each time`);
      await page.goto('/send?type=user/registered');
      await fill(page, { userId: `walker-${n}`, email: 'walker@example.com' });
      await page.getByRole('button', { name: 'Send', exact: true }).click();
      await page.getByText('The event is stored').waitFor();
      const ended = page.getByRole('row').filter({ hasText: 'send-welcome-email' }).getByText(/^(Succeeded|Filtered)$/);
      await ended.waitFor();
      status = await ended.textContent();
    }
    await page.getByRole('row').filter({ hasText: 'user-registration-workflow' }).getByText('Waiting').waitFor();
    pages.event = new URL(page.url()).pathname + '?type=user/registered';
  });

  await step('the runs appear in the list by themselves', async () => {
    const row = list.locator('#run-rows tr').filter({ hasText: 'user-registration-workflow' }).first();
    await row.getByText('Waiting').waitFor();
    assert.equal(await list.evaluate(() => performance.getEntriesByType('navigation').length + performance.getEntriesByType('resource').filter((r) => r.name.endsWith('/runs')).length), 1);
  });

  await step('a reader further down is not moved', async () => {
    for (let i = 0; i < 45; i++) await list.request.post('/e/walk', { data: { name: 'audit/log', data: { action: 'LOOKED', userId: `u${i}` } } });
    await list.locator('#run-rows tr').filter({ hasText: 'audit' }).nth(2 * 45 - 1).waitFor(); // a straggler would count as news
    await list.mouse.wheel(0, 1200);
    await list.waitForFunction(() => scrollY > 600);
    const before = await list.evaluate(() => document.querySelector('#run-rows tr').id);
    await list.request.post('/e/walk', { data: { name: 'audit/log', data: { action: 'LOOKED', userId: 'late' } } });
    const news = list.getByRole('button', { name: /new runs?$/ });
    await news.waitFor();
    assert.equal(await list.evaluate(() => document.querySelector('#run-rows tr').id), before);
    await news.click();
    await list.waitForFunction((id) => document.querySelector('#run-rows tr').id !== id && scrollY === 0, before);
  });

  await step('the timeline opens, with input and output', async () => {
    await page.getByRole('link', { name: 'send-welcome-email' }).click();
    await page.getByRole('heading', { name: 'Timeline' }).waitFor();
    pages.run = new URL(page.url()).pathname;
    pages.question = `${pages.run}?ask=replay`;
    const first = page.locator('details.step').filter({ hasText: 'email.send' }).first();
    await first.locator('summary').click();
    await first.getByRole('heading', { name: 'Input' }).waitFor();
    await first.getByRole('heading', { name: 'Output' }).waitFor();
    assert.ok(await page.locator('.lane .seg').count() > 0);
    await page.getByText('As a table').click();
    await page.getByRole('table', { name: 'The steps of the run' }).getByRole('columnheader', { name: 'Started after' }).waitFor();
  });

  await step('it is replayed', async () => {
    const before = page.url();
    await page.getByRole('button', { name: 'Replay' }).click();
    const dialog = page.getByRole('dialog', { name: 'Replay this run?' });
    await dialog.getByRole('button', { name: 'Replay' }).click();
    await page.waitForURL((url) => url.href !== before);
    await page.getByText('Replay of').waitFor();
    await page.locator('.badge.big').getByText('Succeeded').waitFor();
  });

  await step('a waiting run is cancelled', async () => {
    await page.goto('/runs?function=user-registration-workflow&status=waiting');
    await page.locator('#run-rows a.row').first().click();
    await page.getByText(/^Sleeps; goes on in/).waitFor();
    pages.waiting = new URL(page.url()).pathname;
    await page.getByRole('button', { name: 'Cancel' }).click();
    const dialog = page.getByRole('dialog', { name: 'Cancel this run?' });
    await dialog.getByLabel('Reason').fill('the walk is over');
    await dialog.getByRole('button', { name: 'Cancel the run' }).click();
    await page.locator('.badge.big').getByText('Cancelled').waitFor();
    await page.getByText('the walk is over').waitFor();
    await list.locator('#run-rows tr').filter({ hasText: 'user-registration-workflow' }).getByText('Cancelled').waitFor();
  });

  await step('a mail', async () => {
    await page.goto('/mails');
    await page.locator('.mails a.row').first().click();
    await page.getByRole('link', { name: 'Source' }).click();
    await page.getByText(/Message-ID/i).first().waitFor();
    pages.mail = new URL(page.url()).pathname;
  });

  await step('by keyboard alone', async () => {
    const keys = await open();
    await keys.goto('/');
    await keys.keyboard.press('Tab');
    assert.equal(await keys.evaluate(() => document.activeElement.textContent), 'Skip to the content');
    const tabTo = async (what, test, most = 40) => {
      for (let i = 0; i < most; i++) {
        await keys.keyboard.press('Tab');
        if (await keys.evaluate(test)) return;
      }
      assert.fail(`${what} is not reached with Tab`);
    };
    await tabTo('the page of runs', () => document.activeElement.textContent === 'Runs');
    await Promise.all([keys.waitForURL(/\/runs$/), keys.keyboard.press('Enter')]);
    await tabTo('a run', () => document.activeElement.matches('a.row'));
    await Promise.all([keys.waitForURL(/\/runs\/./), keys.keyboard.press('Enter')]);
    await tabTo('the replay', () => document.activeElement.dataset.dialog === 'ask-replay');
    await keys.keyboard.press('Space');
    await keys.getByRole('dialog').waitFor();
    await keys.keyboard.press('Escape');
    assert.equal(await keys.evaluate(() => document.activeElement.dataset.dialog), 'ask-replay');
    await tabTo('a step', () => document.activeElement.matches('details.step > summary'));
    await keys.keyboard.press('Enter');
    assert.ok(await keys.evaluate(() => document.activeElement.parentElement.open));
    const outline = await keys.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.equal(outline, 'solid', 'the focus can be seen');
    await keys.context().close();
  });

  await step('without JavaScript', async () => {
    const plain = await open({ javaScriptEnabled: false });
    await plain.goto('/send?type=system/maintenance');
    await plain.getByRole('button', { name: 'Send', exact: true }).click();
    assert.match(plain.url(), /\/events\//);
    await plain.goto('/runs');
    await plain.getByLabel('Status').selectOption('succeeded');
    await plain.getByRole('button', { name: 'Filter' }).click();
    await plain.locator('#run-rows a.row').first().click();
    await plain.locator('[data-dialog="ask-replay"]').click();
    await plain.locator('dialog[open]').getByRole('button', { name: 'Replay' }).click();
    await plain.getByText('Replay of').waitFor();
    await plain.context().close();
  });

  // What depends on the theme is the contrast.
  for (const [theme, rules] of Object.entries({ light: {}, dark: { runOnly: ['color-contrast'] } })) {
    await step(`axe, ${theme}`, async () => {
      const look = await open({ colorScheme: theme });
      for (const [name, path] of Object.entries(pages)) {
        await look.goto(path);
        for (const d of await look.locator('details.step').all()) await d.evaluate((el) => { el.open = true; });
        await look.evaluate(axe);
        const { violations } = await look.evaluate((r) => axe.run(document, { resultTypes: ['violations'], ...r }), rules);
        const bad = violations.filter((v) => v.impact === 'serious' || v.impact === 'critical');
        assert.deepEqual(bad.map((v) => `${name}: ${v.id}: ${v.nodes.map((n) => `${n.html} ${n.failureSummary}`).join('\n')}`), []);
      }
      await look.context().close();
    });
  }

  await step('as wide as a phone', async () => {
    const phone = await open({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
    for (const [name, path] of Object.entries(pages)) {
      await phone.goto(path);
      const [is, room] = await phone.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(is <= room && room <= 360, `${name} is ${is} wide, and the screen ${room}`);
    }
    await phone.context().close();
  });

  assert.deepEqual(complaints, [], 'the browser complained');
} catch (e) {
  if (folder) await last.screenshot({ path: join(folder, 'walk.png') }).catch(() => {});
  console.error(complaints.join('\n'));
  console.error(`at ${last.url()}\n`, e);
  process.exitCode = 1;
} finally {
  await browser.close();
}
