// What the pages can do without: they are live, times stay right, lists go on
// when their end comes into view, questions are dialogs, the editor completes.
(() => {
  'use strict';
  const root = document.documentElement;
  root.classList.add('js');
  const $ = (q, at = document) => at.querySelector(q);
  const all = (q, at = document) => [...at.querySelectorAll(q)];

  // ---- times: in the words of format.go, exact in the zone of the reader ----
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium', hour12: false });
  const rough = (s) => s < 60 ? `${Math.max(1, Math.floor(s))} s` : s < 3600 ? `${Math.floor(s / 60)} min`
    : s < 172800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} d`;
  function tellTimes(at = document) {
    const now = Date.now();
    const found = all('time, [data-since]', at);
    for (const t of found) {
      // Of 10,000 rows those that are out of sight cost nothing.
      if (found.length > 500 && t.isConnected && t.checkVisibility && !t.checkVisibility({ contentVisibilityAuto: true })) continue;
      const when = t.when ??= Date.parse(t.dateTime || t.dataset.since);
      if (!(when > 0)) continue;
      const s = (now - when) / 1000;
      const text = t.dataset.since ? `${rough(s)} so far` : s < 0 ? `in ${rough(-s)}` : s < 1 ? 'now' : `${rough(s)} ago`;
      if (t.textContent !== text) t.textContent = text;
      if (t.dateTime && !t.dataset.told) {
        t.dataset.told = '1';
        t.title = `${exact.format(when)} (${zone})`;
      }
    }
  }
  for (const z of all('[data-zone]')) z.textContent = zone;

  // ---- theme: no request, no flash on the next page ----
  const dark = () => root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  $('[data-theme-button]')?.addEventListener('click', (e) => {
    e.preventDefault();
    const theme = dark() ? 'light' : 'dark';
    root.dataset.theme = theme;
    document.cookie = `wildout-theme=${theme}; path=/; max-age=31536000; samesite=strict`;
    say(`${theme} theme`);
  });

  // ---- what a screen reader hears ----
  let saying = 0;
  function say(text) {
    const at = $('#said');
    clearTimeout(saying);
    saying = setTimeout(() => { at.textContent = text; }, 300);
  }

  // ---- put new HTML into the page without losing place, focus or what is open ----
  const kept = (el, name) => (name === 'open' && /^(DETAILS|DIALOG)$/.test(el.nodeName)) || (el.nodeName === 'TIME' && (name === 'title' || name === 'data-told'));
  function morph(old, next) {
    if (old.isEqualNode(next)) return;
    if (old.nodeType !== 1) {
      if (old.data !== next.data) old.data = next.data;
      return;
    }
    if (old.nodeName === 'DIALOG' && old.open) return;
    for (const { name, value } of [...next.attributes]) {
      if (!kept(old, name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      if (!kept(old, name) && !next.hasAttribute(name)) old.removeAttribute(name);
    }
    delete old.when;
    let at = old.firstChild;
    for (const child of [...next.childNodes]) {
      let match = at;
      if (child.id) match = [...old.children].find((c) => c.id === child.id) || null;
      else if (at && (at.nodeName !== child.nodeName || at.id)) match = null;
      if (!match) { old.insertBefore(child, at); continue; }
      if (match !== at) old.insertBefore(match, at);
      morph(match, child);
      at = match.nextSibling;
    }
    while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
  }

  // ---- lists ----
  const waiting = new Map(); // rows that came while the reader was busy, by id
  const list = $('[data-rows="runs"], [data-rows="events"]');
  function busy() {
    if (!list) return false;
    const box = list.closest('table');
    return box.getBoundingClientRect().top < 0 || list.matches(':hover') || list.contains(document.activeElement);
  }
  function insert(row) {
    const at = row.dataset.at;
    const before = all(':scope > tr', list).find((r) => r.dataset.at <= at);
    row.classList.add('fresh');
    row.addEventListener('animationend', () => row.classList.remove('fresh'), { once: true });
    list.insertBefore(row, before || null);
    $('[data-empty]')?.remove();
    $('thead', list.parentElement)?.classList.remove('unseen');
  }
  function showWaiting() {
    for (const row of waiting.values()) if (!document.getElementById(row.id)) insert(row);
    waiting.clear();
    news();
  }
  function news() {
    const at = $('#news');
    if (!at) return;
    const n = waiting.size;
    const what = list.dataset.rows === 'runs' ? 'run' : 'event';
    if (!n) { at.replaceChildren(); return; }
    let button = $('button', at);
    if (!button) {
      button = document.createElement('button');
      button.className = 'button main';
      button.addEventListener('click', () => { scrollTo({ top: 0, behavior: 'smooth' }); showWaiting(); $('#main').focus({ preventScroll: true }); });
      at.append(button);
    }
    button.textContent = `${n} new ${what}${n > 1 ? 's' : ''}`;
  }
  if (list) {
    const look = () => { if (waiting.size && !busy()) showWaiting(); };
    addEventListener('scroll', look, { passive: true });
    list.addEventListener('mouseleave', () => setTimeout(look, 400));
  }
  let heard = [];
  setInterval(() => {
    if (heard.length) say(heard.length > 2 ? `${heard.length} changes` : heard.join('; '));
    heard = [];
  }, 3000);

  function patch(html) {
    const t = document.createElement('template');
    t.innerHTML = html;
    tellTimes(t.content);
    for (const next of [...t.content.children]) {
      const old = document.getElementById(next.id);
      if (old) {
        if (old.dataset.say !== next.dataset.say && next.dataset.say) heard.push(next.dataset.say);
        const status = old.id === 'run' && [$('.badge.big', old)?.textContent, $('.badge.big', next)?.textContent];
        if (status && status[0] !== status[1]) heard.push(`The run is now: ${status[1]}`);
        morph(old, next);
      } else if (waiting.has(next.id)) {
        waiting.set(next.id, next);
      } else if (list && next.nodeName === 'TR' && !('known' in next.dataset)) {
        const first = $(':scope > tr', list);
        const oldest = all(':scope > tr', list).at(-1);
        if (oldest && $('[data-more]') && next.dataset.at < oldest.dataset.at) continue; // it is on a later page
        if (next.dataset.say) heard.push(`New: ${next.dataset.say}`);
        if (first && busy()) { waiting.set(next.id, next); news(); } else insert(next);
      } else if (next.nodeName === 'TR' && $('[data-rows=""]')) {
        $('[data-rows=""]').append(next);
      }
    }
  }

  // ---- the stream; none while the page is not to be seen ----
  const address = document.body.dataset.live;
  const mark = $('.live');
  let source = null;
  let tries = 0;
  let timer = 0;
  function state(name, text) {
    if (!mark) return;
    if (mark.dataset.state === name) return;
    mark.dataset.state = name;
    $('[data-live-text]').textContent = text;
  }
  function connect() {
    if (!address || source || document.hidden) return;
    source = new EventSource(address);
    source.onopen = () => { tries = 0; state('on', 'live'); };
    source.onmessage = (e) => patch(e.data);
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) {
        disconnect();
        clearTimeout(timer);
        timer = setTimeout(connect, Math.min(30000, 1000 * 2 ** tries++));
      }
      state('off', 'reconnecting');
    };
  }
  function disconnect() { source?.close(); source = null; }
  document.addEventListener('visibilitychange', () => { if (document.hidden) disconnect(); else { connect(); tellTimes(); } });
  addEventListener('pagehide', disconnect);
  addEventListener('pageshow', connect);
  connect();

  // ---- the end of a list comes into view ----
  async function more(link) {
    const box = link.closest('[data-more]');
    if (box.dataset.busy) return;
    box.dataset.busy = '1';
    link.textContent = 'Loading…';
    try {
      const answer = await fetch(link.href);
      if (!answer.ok) throw new Error(answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const rows = all('[data-rows] > tr', page).filter((r) => !document.getElementById(r.id));
      // A body of its own for each page: what is out of sight is not drawn, and
      // the browser watches over 50 bodies and not over 10,000 rows.
      const body = document.createElement('tbody');
      body.className = 'later';
      body.setAttribute('role', 'rowgroup');
      body.append(...rows);
      body.style.containIntrinsicSize = `auto ${Math.round(list.clientHeight / list.children.length * rows.length)}px`;
      list.parentElement.append(body);
      tellTimes(body);
      const next = $('[data-more]', page);
      if (next) { box.replaceWith(next); watchMore(); } else box.remove();
      if (document.activeElement === document.body && rows[0] && box.dataset.clicked) $('a', rows[0])?.focus();
    } catch {
      link.textContent = 'Not loaded. Try again';
      delete box.dataset.busy;
    }
  }
  const eye = 'IntersectionObserver' in window ? new IntersectionObserver((seen) => {
    for (const s of seen) if (s.isIntersecting && scrollY > 0) more($('a', s.target));
  }, { rootMargin: '600px' }) : null;
  function watchMore() {
    const box = list && $('[data-more]');
    if (!box) return;
    $('a', box).addEventListener('click', (e) => {
      if (e.metaKey || e.ctrlKey || e.shiftKey) return;
      e.preventDefault();
      box.dataset.clicked = '1';
      more(e.currentTarget);
    });
    eye?.observe(box);
  }
  watchMore();

  // ---- filters apply when they change; empty ones stay out of the address ----
  for (const form of all('form[data-auto]')) {
    form.addEventListener('submit', () => {
      for (const el of form.elements) if (el.name && !el.value) el.disabled = true;
    });
    form.addEventListener('change', (e) => { if (e.target.nodeName === 'SELECT') form.requestSubmit(); });
  }
  addEventListener('pageshow', () => { for (const el of all('form[data-auto] [name]')) el.disabled = false; });

  // ---- clicks that exist many times ----
  document.addEventListener('click', async (e) => {
    const opener = e.target.closest('[data-dialog]');
    if (opener) {
      const dialog = document.getElementById(opener.dataset.dialog);
      if (dialog?.showModal) { e.preventDefault(); dialog.close(); dialog.showModal(); }
      return;
    }
    const closer = e.target.closest('[data-close]');
    if (closer) { e.preventDefault(); closer.closest('dialog').close(); return; }
    const copy = e.target.closest('[data-copy]');
    if (copy) {
      const text = copy.dataset.copy || $('pre', copy.parentElement).textContent;
      try { await navigator.clipboard.writeText(text); say('Copied'); copy.classList.add('done'); setTimeout(() => copy.classList.remove('done'), 1200); } catch { say('Not copied'); }
    }
  });
  document.addEventListener('keydown', (e) => { if (e.key === ' ' && e.target.matches?.('a[role="button"]')) { e.preventDefault(); e.target.click(); } });
  function openTarget() {
    const at = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (at?.nodeName === 'DETAILS') { at.open = true; $('summary', at).focus(); }
  }
  addEventListener('hashchange', openTarget);
  openTarget();

  tellTimes();
  setInterval(tellTimes, 1000);
})();
