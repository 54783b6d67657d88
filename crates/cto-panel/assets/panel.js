// The panel's one script: copy, keys, the live notice. Every page works without it.
'use strict';
(() => {
  const $ = (id) => document.getElementById(id);
  const notice = $('notice');
  let spoken = '';
  const say = (text) => {
    if (notice && text !== spoken) { spoken = text; notice.textContent = text; }
  };

  // Copying: the clipboard, or the text selected so that it can be copied by hand.
  const copy = async (id) => {
    const source = $(id);
    if (!source) return;
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
      say('Copied.');
    } catch {
      const range = document.createRange();
      range.selectNodeContents(source);
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      say('The clipboard is closed; the text is selected.');
    }
  };
  document.addEventListener('click', (event) => {
    const button = event.target.closest('button[data-copy]');
    if (button) copy(button.dataset.copy);
  });

  // Keys.
  const dialog = $('keys');
  const keysOn = $('keys-on');
  try { if (keysOn) keysOn.checked = localStorage.getItem('cto-keys') !== 'off'; } catch { /* no storage: keys stay on */ }
  keysOn?.addEventListener('change', () => {
    try { localStorage.setItem('cto-keys', keysOn.checked ? 'on' : 'off'); } catch { /* kept for this page only */ }
  });
  const steps = {};
  const step = (selector, by, mark) => {
    const all = [...document.querySelectorAll(selector)];
    if (!all.length) return;
    const before = steps[selector];
    const at = before === undefined ? (by > 0 ? 0 : all.length - 1) : (before + by + all.length) % all.length;
    if (mark && before !== undefined) all[before]?.classList.remove('at');
    steps[selector] = at;
    if (mark) {
      all[at].classList.add('at');
      all[at].closest('details')?.setAttribute('open', '');
      all[at].scrollIntoView({ block: 'center' });
    } else {
      (all[at].querySelector('a') ?? all[at]).focus();
    }
  };
  const go = { o: '/', r: '/runs', l: '/ladder', a: '/approvals' };
  let going = false;
  document.addEventListener('keydown', (event) => {
    const target = event.target;
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (target.matches('input, select, textarea, [contenteditable]') || dialog?.open) return;
    const key = event.key;
    if (key === '?') { dialog?.showModal(); event.preventDefault(); return; }
    if (keysOn && !keysOn.checked) return;
    if (going) {
      going = false;
      if (go[key]) { location.assign(go[key]); event.preventDefault(); }
      return;
    }
    const actions = {
      g: () => { going = true; setTimeout(() => { going = false; }, 1500); },
      '/': () => document.querySelector('form[role=search] input')?.focus(),
      j: () => step('#rows tbody tr', 1), k: () => step('#rows tbody tr', -1),
      ']': () => step('.failing', 1), '[': () => step('.failing', -1),
      n: () => step('.diff .add:not(.add + .add), .diff .del:not(.del + .del)', 1, true),
      N: () => step('.diff .add:not(.add + .add), .diff .del:not(.del + .del)', -1, true),
      f: () => $('follow')?.click(), c: () => copy('run-name'),
    };
    if (actions[key]) { actions[key](); event.preventDefault(); }
  });

  // Live: one stream for all tabs of this browser; the tab that holds the lock tells the others.
  const seq = Number(document.documentElement.dataset.seq);
  const made = $('made');
  if (!seq || !window.EventSource) return;
  const channel = 'BroadcastChannel' in window ? new BroadcastChannel('cto-panel') : null;
  let heard = Date.now();
  let timer;
  const offer = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (notice.querySelector('a')) return;
      const link = document.createElement('a');
      link.href = location.href;
      link.textContent = 'New evidence – reload';
      spoken = link.textContent;
      notice.replaceChildren(link);
    }, 250);
  };
  const live = $('live');
  let announced = 0;
  let shown = live ? document.querySelectorAll('#live-events li').length : 0;
  const follow = $('follow');
  const tail = $('tail');
  tail?.addEventListener('scroll', () => {
    if (follow?.checked && tail.scrollTop + tail.clientHeight < tail.scrollHeight - 40) follow.checked = false;
  });
  const refresh = async () => {
    const answer = await fetch(`/api/cto/runs/${live.dataset.run}/live`).catch(() => null);
    if (!answer?.ok) return;
    const run = JSON.parse(await answer.text());
    $('live-state').textContent = run.state === 'running' ? `${run.count} events so far` : `It ended: ${run.status ?? run.state}. Reload to see its evidence.`;
    if (run.state !== 'running') offer();
    const list = $('live-events');
    const last = list.lastElementChild ? Number(list.lastElementChild.textContent.split(' ')[0]) : -1;
    for (const event of run.events.filter((event) => event.seq > last)) {
      const item = document.createElement('li');
      item.textContent = `${event.seq} · ${event.ms} ms · ${event.type}`;
      list.append(item);
    }
    if (follow?.checked) tail.scrollTop = tail.scrollHeight;
    if (run.count > shown && Date.now() - announced > 10000) {
      announced = Date.now();
      say(`${run.count - shown} new events`);
      shown = run.count;
    }
  };
  const heed = (message) => {
    heard = Date.now();
    if (message.kind === 'snapshot' && message.seq > seq) offer();
    if (message.kind === 'live' && live) refresh();
  };
  channel?.addEventListener('message', (event) => heed(event.data));
  const lead = () => new Promise(() => {
    const stream = new EventSource('/api/cto/events');
    for (const kind of ['snapshot', 'live']) {
      stream.addEventListener(kind, (event) => {
        const message = { kind, seq: JSON.parse(event.data).seq };
        heed(message);
        channel?.postMessage(message);
      });
    }
    // Without a stream, ask now and then; a reader that is away is not asked for.
    stream.addEventListener('error', poll);
    setInterval(() => { if (stream.readyState === EventSource.OPEN) { heard = Date.now(); channel?.postMessage({ kind: 'here', seq: 0 }); } }, 10000);
  });
  let etag = '';
  let polling = false;
  const poll = async () => {
    if (polling) return;
    polling = true;
    await new Promise((done) => setTimeout(done, 8000 + Math.random() * 4000));
    polling = false;
    if (document.hidden) return;
    const answer = await fetch('/api/cto/control-summary', { headers: { 'If-None-Match': etag } }).catch(() => null);
    if (!answer || !(answer.ok || answer.status === 304)) return;
    heard = Date.now();
    if (answer.ok) {
      etag = answer.headers.get('ETag') ?? '';
      if (JSON.parse(await answer.text()).snapshot_seq > seq) offer();
    }
  };
  if (navigator.locks) navigator.locks.request('cto-sse', lead); else lead();
  const since = Date.parse(made?.textContent ?? '');
  setInterval(() => {
    const age = Math.round((Date.now() - since) / 1000);
    if (age >= 0) $('ago').textContent = age < 120 ? `${age} s ago` : `${Math.round(age / 60)} min ago`;
    if (Date.now() - heard > 60000) say(`▲ Not updating since ${new Date(heard).toISOString().slice(11, 19)} UTC`);
  }, 5000);
})();
