// The editor of the page that sends events: it completes from the schema of the
// event type, and says where the text is no JSON.
(() => {
  'use strict';
  const area = document.getElementById('s-data');
  const schemaText = document.getElementById('schema');
  if (!area || !schemaText) return;
  const schema = JSON.parse(schemaText.textContent);
  const form = document.getElementById('send-form');

  // ---- what a schema says of a place ----
  function flat(node, depth = 0) {
    if (!node || typeof node !== 'object' || depth > 6) return {};
    let n = node;
    const name = /^#\/\$defs\/(.+)$/.exec(n.$ref || '')?.[1];
    if (name && schema.$defs?.[name]) n = flat(schema.$defs[name], depth + 1);
    const parts = [...(n.allOf || []), ...(n.oneOf || []), ...(n.anyOf || [])];
    if (!parts.length) return n;
    const out = { ...n, properties: { ...n.properties } };
    for (const part of parts) {
      const p = flat(part, depth + 1);
      out.properties = { ...p.properties, ...out.properties };
      for (const key of ['type', 'enum', 'const', 'items']) out[key] ??= p[key];
    }
    return out;
  }
  function nodeAt(path) {
    let n = flat(schema);
    for (const part of path) n = flat(typeof part === 'number' ? n.items : n.properties?.[part]);
    return n;
  }
  const kind = (n) => Array.isArray(n.type) ? n.type.find((t) => t !== 'null') : n.type || (n.properties ? 'object' : n.items ? 'array' : '');
  function example(n) {
    for (const v of [n.const, n.default, n.examples?.[0], n.enum?.[0]]) if (v !== undefined) return JSON.stringify(v);
    return { object: '{}', array: '[]', number: '1', integer: '1', boolean: 'false', null: 'null' }[kind(n)] || '""';
  }

  // ---- where the caret is: the path, the keys there already, what is begun ----
  function where(text) {
    const stack = [];
    let top = null;
    let i = 0;
    const place = () => ({ path: stack.filter((f) => f.key !== undefined).map((f) => f.key), top });
    while (i < text.length) {
      const c = text[i];
      if (c === '"') {
        let end = i + 1;
        while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
        if (end >= text.length) return { ...place(), from: i, begun: text.slice(i + 1), quoted: true };
        if (top?.object && top.expect === 'key') { top.key = JSON.parse(text.slice(i, end + 1)); top.keys.push(top.key); top.expect = 'colon'; }
        else if (top) top.expect = 'comma';
        i = end + 1;
        continue;
      }
      if (c === '{' || c === '[') { top = c === '{' ? { object: true, keys: [], expect: 'key' } : { object: false, key: 0, expect: 'value' }; stack.push(top); }
      else if (c === '}' || c === ']') { stack.pop(); top = stack.at(-1) || null; if (top) top.expect = 'comma'; }
      else if (c === ':' && top) top.expect = 'value';
      else if (c === ',' && top) { if (top.object) { top.expect = 'key'; top.key = undefined; } else { top.key++; top.expect = 'value'; } }
      else if (/[^\s]/.test(c)) {
        const word = /^[^\s,:{}[\]"]+/.exec(text.slice(i))?.[0] || c;
        if (i + word.length === text.length) return { ...place(), from: i, begun: word, quoted: false };
        if (top) top.expect = 'comma';
        i += word.length;
        continue;
      }
      i++;
    }
    return { ...place(), from: text.length, begun: '', quoted: false };
  }
  function choices() {
    const before = area.value.slice(0, area.selectionStart);
    const after = area.value.slice(area.selectionStart);
    const at = where(before);
    if (!at.top) return { at, found: [] };
    const begun = at.begun.toLowerCase();
    let found = [];
    if (at.top.object && at.top.expect === 'key') {
      const n = nodeAt(at.path);
      const later = new Set([...after.matchAll(/"((?:[^"\\]|\\.)*)"\s*:/g)].map((m) => m[1]));
      found = Object.entries(n.properties || {}).filter(([name]) => !at.top.keys.includes(name) && !later.has(name)).map(([name, p]) => {
        const f = flat(p);
        const must = n.required?.includes(name);
        return { name, place: must ? n.required.indexOf(name) : 1000, about: (must ? 'required' : '') + (must && f.description ? ', ' : '') + (f.description || (must ? '' : f.format || kind(f) || '')), text: `${JSON.stringify(name)}: ${example(f)}` };
      });
      found.sort((a, b) => a.place - b.place);
    } else if (at.top.expect === 'value') {
      const n = nodeAt(at.path);
      const values = n.enum || (n.const !== undefined ? [n.const] : kind(n) === 'boolean' ? [true, false] : n.examples || []);
      found = values.map((v) => ({ name: JSON.stringify(v), about: '', text: JSON.stringify(v) }));
    }
    return { at, found: found.filter((f) => f.name.toLowerCase().replace(/^"/, '').startsWith(begun)).slice(0, 30) };
  }

  // ---- the list under the caret ----
  const box = document.createElement('div');
  box.className = 'choices';
  box.id = 's-choices';
  box.setAttribute('role', 'listbox');
  box.setAttribute('aria-label', 'Suggestions');
  box.hidden = true;
  area.parentElement.append(box);
  area.setAttribute('aria-autocomplete', 'list');
  area.setAttribute('aria-controls', box.id);
  let shown = [];
  let chosen = 0;
  let place = null;
  function hide() { box.hidden = true; shown = []; area.removeAttribute('aria-activedescendant'); }
  function pick(n) {
    chosen = (n + shown.length) % shown.length;
    [...box.children].forEach((el, i) => el.setAttribute('aria-selected', String(i === chosen)));
    box.children[chosen].scrollIntoView({ block: 'nearest' });
    area.setAttribute('aria-activedescendant', box.children[chosen].id);
  }
  function suggest() {
    const { at, found } = choices();
    if (!found.length) { hide(); return; }
    place = at;
    shown = found;
    box.replaceChildren(...found.map((f, i) => {
      const el = document.createElement('div');
      el.id = `s-choice-${i}`;
      el.setAttribute('role', 'option');
      const name = document.createElement('b');
      name.textContent = f.name;
      const about = document.createElement('span');
      about.textContent = f.about;
      el.append(name, about);
      el.addEventListener('mousedown', (e) => { e.preventDefault(); pick(i); take(); });
      return el;
    }));
    const line = area.value.slice(0, area.selectionStart).split('\n').length;
    const height = parseFloat(getComputedStyle(area).lineHeight);
    box.style.top = `${Math.min(area.clientHeight, line * height + 14 - area.scrollTop)}px`;
    box.hidden = false;
    pick(0);
  }
  function replace(from, to, text) {
    area.focus();
    area.setSelectionRange(from, to);
    // This keeps what can be undone.
    if (!document.execCommand('insertText', false, text)) area.setRangeText(text, from, to, 'end');
  }
  function take() {
    let { text } = shown[chosen];
    let to = area.selectionStart;
    if (place.quoted && area.value[to] === '"') to++;
    const rest = area.value.slice(to);
    if (/^\s*"/.test(rest)) text += ',';
    const from = place.from;
    hide();
    replace(from, to, text);
    // An empty value is where one goes on.
    const empty = /(""|\{\}|\[\])(,?)$/.exec(text);
    if (empty) { const at = area.selectionStart - 1 - empty[2].length; area.setSelectionRange(at, at); }
  }

  // ---- is it JSON ----
  const check = document.getElementById('s-check');
  let timer = 0;
  function judge() {
    try {
      const v = JSON.parse(area.value.trim() || '{}');
      check.textContent = v && typeof v === 'object' && !Array.isArray(v) ? '' : 'The data must be an object: {…}';
    } catch (e) {
      const at = /position (\d+)/.exec(e.message);
      const before = at ? area.value.slice(0, +at[1] + area.value.length - area.value.trimStart().length) : null;
      check.textContent = before === null ? `Not JSON yet: ${e.message}` : `Not JSON yet: line ${before.split('\n').length}, column ${before.length - before.lastIndexOf('\n')}`;
    }
  }
  area.addEventListener('input', (e) => {
    clearTimeout(timer);
    timer = setTimeout(judge, 500);
    area.removeAttribute('aria-invalid');
    if (e.data === '"' || !box.hidden) suggest();
  });
  area.addEventListener('blur', hide);
  area.addEventListener('keydown', (e) => {
    if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) { e.preventDefault(); form.requestSubmit(); return; }
    if (e.key === ' ' && e.ctrlKey) { e.preventDefault(); suggest(); return; }
    if (!box.hidden) {
      if (e.key === 'ArrowDown' || e.key === 'ArrowUp') { e.preventDefault(); pick(chosen + (e.key === 'ArrowDown' ? 1 : -1)); return; }
      if (e.key === 'Enter' || e.key === 'Tab') { e.preventDefault(); take(); return; }
      if (e.key === 'Escape') { e.preventDefault(); hide(); return; }
    }
    if (e.key === 'Enter' && !e.shiftKey && !e.altKey) {
      const before = area.value.slice(0, area.selectionStart);
      const pad = /(^|\n)([ \t]*)[^\n]*$/.exec(before)[2] + (/[{[]\s*$/.test(before) ? '  ' : '');
      e.preventDefault();
      replace(area.selectionStart, area.selectionEnd, `\n${pad}`);
    }
  });

  // ---- a field of the list goes into the object ----
  for (const button of document.querySelectorAll('[data-insert]')) {
    button.addEventListener('click', () => {
      let data;
      try { data = JSON.parse(area.value.trim() || '{}'); } catch { judge(); area.focus(); return; }
      const path = button.dataset.path.split('.');
      let at = data;
      for (const part of path.slice(0, -1)) at = typeof at[part] === 'object' && at[part] ? at[part] : (at[part] = {});
      at[path.at(-1)] ??= JSON.parse(button.dataset.insert);
      replace(0, area.value.length, JSON.stringify(data, null, 2));
      const found = area.value.indexOf(JSON.stringify(path.at(-1)));
      if (found >= 0) area.setSelectionRange(found, found);
    });
  }
})();
