// The grid: cards drawn from the page's data, a filter, and the keyboard. Knows no server and no other file.
"use strict";
const gallery = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const main = document.getElementById("cards");
  const search = document.getElementById("search");
  const pickers = { asset: byId("by-asset"), tag: byId("by-tag"), state: byId("by-state") };
  const sections = new Map();
  const FIRST = 60;  // cards drawn before the first paint
  const CHUNK = 150; // cards drawn between two frames after it
  const SPACES = 8;  // empty places that keep a section's last row as wide as the others
  let cards = [];
  let index = new Map();
  let shown = [];
  const hooks = { drawn: [], opened: [], keys: [], filtered: [] };

  function byId(id) { return document.getElementById(id); }

  function el(tag, props = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(props)) {
      if (value === undefined || value === null || value === false) continue;
      if (name === "class") made.className = value;
      else if (name === "on") for (const [event, call] of Object.entries(value)) made.addEventListener(event, call);
      else if (name === "css") for (const [key, set] of Object.entries(value)) made.style.setProperty(key, set);
      else made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  }

  function address(kind, digest) {
    return /^[0-9a-f]{64}$/.test(digest) ? data[kind].replace("*", digest) : "";
  }

  // ------------------------------------------------------------ what a card says

  const WORDS = {
    generate: "to make", doubt: "in doubt", refused: "refused", failed: "failed its check", recover: "to recover", resume: "under way", derive: "files to make",
    restore: "files to restore", modified: "changed by hand", orphan: "orphan", removed: "removed", fresh: "up to date",
  };
  const states = (card) => [...card.marks, ...(card.verdict === "removed" ? [] : [WORDS[card.verdict] || card.verdict])];
  const label = (card) => (card.id.startsWith(card.asset + "/") ? card.id.slice(card.asset.length + 1) : card.id);
  const used = (card) => card.candidates[card.used] || null;

  function tone(card) {
    if (card.marks.includes("approved")) return card.marks.includes("held") ? "held" : "approved";
    if (card.verdict === "doubt" || card.verdict === "refused" || card.verdict === "failed" || card.marks.includes("rejected")) return "bad";
    if (card.marks.includes("unpicked") || card.marks.includes("pick void")) return "open";
    if (card.verdict === "generate" || card.verdict === "removed") return "hollow";
    return "";
  }

  const spread = () => document.body.classList.contains("takes");

  function shape(card, candidate) {
    const size = candidate && candidate.size;
    return size ? Math.min(Math.max(size[0] / size[1], 0.2), 5) : card.ratio;
  }

  function frame(card, number) {
    const candidate = number < 0 ? { digest: card.before ? card.before.digest : "", size: card.before && card.before.size } : card.candidates[number];
    const several = card.candidates.length > 1;
    const source = address("small", candidate.digest);
    const made = el("button", {
      class: "frame" + (candidate.rejected ? " rejected" : "") + (number === card.used ? " used" : "") + (source ? "" : " missing"),
      type: "button", "data-number": number, css: { "--ar": shape(card, candidate).toFixed(4) },
      "aria-label": several && number >= 0 ? `${card.id}, candidate ${number + 1}` : card.id,
    });
    if (source) made.append(el("img", { src: source, alt: "", loading: "lazy", decoding: "async" }));
    else made.append(el("span", { class: "words" }, candidate.lost ? "its bytes are nowhere at hand" : card.prompt.slice(0, 160)));
    if (several && number >= 0) made.append(el("span", { class: "number" + (candidate.picked ? " picked" : "") }, spread() ? String(number + 1) : `${number + 1} / ${card.candidates.length}`));
    return made;
  }

  function frames(card) {
    if (!card.candidates.length) return [frame(card, -1)];
    if (!spread()) return [frame(card, card.used)];
    return card.candidates.map((_, number) => frame(card, number));
  }

  function draw(card) {
    const made = frames(card);
    const wide = made.reduce((sum, one) => sum + Number(one.style.getPropertyValue("--ar")), 0);
    const state = tone(card);
    const about = el("p", { class: "name" },
      state ? el("span", { class: "dot " + state, title: states(card).join(", ") }) : null,
      el("span", { class: "label", title: card.id }, label(card)),
      card.before && card.verdict !== "removed" ? el("span", { class: "tag" }, "changed") : null,
      card.marks.includes("new") ? el("span", { class: "tag" }, "new") : null,
      card.note ? el("span", { class: "tag", title: card.note }, "note") : null);
    card.node.replaceChildren(el("div", { class: "frames" }, ...made), about);
    card.node.style.setProperty("--wide", wide.toFixed(4));
    card.drawn = true;
    for (const call of hooks.drawn) call(card);
  }

  function adopt(card) {
    card.text = [card.id, card.prompt, card.model, card.provider, card.note, ...card.tags, ...states(card), ...card.files.map((file) => file[0]),
      ...card.candidates.map((one) => `${one.seed} ${one.key}`)].join("\n").toLowerCase();
    card.node = card.node || el("article", { class: "card" });
    card.node.gallery = card;
    return card;
  }

  function section(asset, ratio) {
    if (!sections.has(asset)) {
      const scale = Math.min(Math.max(1 / Math.sqrt(ratio), 0.8), 1.35).toFixed(3);
      const grid = el("div", { class: "grid", css: { "--scale": scale, "--wide": ratio } }, ...Array.from({ length: SPACES }, () => el("i", { class: "space" })));
      const number = el("span", { class: "quiet" });
      const node = el("section", {}, el("h2", {}, asset, " ", number), grid);
      main.append(node);
      sections.set(asset, { node, grid, number, cards: [] });
    }
    return sections.get(asset);
  }

  // ------------------------------------------------------------ the filter

  function tests() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const made = words.map((word) => {
      const [, kind, rest] = /^(asset|tag|is):(.*)$/.exec(word) || [];
      if (kind === "asset") return (card) => card.asset.toLowerCase() === rest;
      if (kind === "tag") return (card) => card.tags.some((tag) => tag.toLowerCase() === rest);
      if (kind === "is") return (card) => states(card).some((state) => state.replace(" ", "-") === rest);
      return (card) => card.text.includes(word);
    });
    if (pickers.asset.value) made.push((card) => card.asset === pickers.asset.value);
    if (pickers.tag.value) made.push((card) => card.tags.includes(pickers.tag.value));
    if (pickers.state.value) made.push((card) => states(card).includes(pickers.state.value));
    return made;
  }

  function filter() {
    const asked = tests();
    shown = [];
    for (const { node, cards: own, number } of sections.values()) {
      let visible = 0;
      for (const card of own) {
        const keep = asked.every((test) => test(card));
        if (card.node.hidden === keep) card.node.hidden = !keep;
        if (keep) { visible += 1; shown.push(card); }
      }
      if (node.hidden !== !visible) node.hidden = !visible;
      number.textContent = String(visible);
    }
    byId("count").textContent = shown.length === cards.length ? `${cards.length}` : `${shown.length} of ${cards.length}`;
    byId("nothing").hidden = shown.length > 0;
    for (const call of hooks.filtered) call(shown);
  }

  function options(select, all, counts) {
    const chosen = select.value;
    select.replaceChildren(el("option", { value: "" }, all),
      ...[...counts].map(([name, number]) => el("option", { value: name }, `${name} (${number})`)));
    select.value = counts.has(chosen) ? chosen : "";
    select.hidden = counts.size < 2 && !select.value;
  }

  function census() {
    const [assets, tags, all] = [new Map(), new Map(), new Map()];
    const add = (map, name) => map.set(name, (map.get(name) || 0) + 1);
    for (const card of cards) {
      add(assets, card.asset);
      card.tags.forEach((tag) => add(tags, tag));
      states(card).forEach((state) => add(all, state));
    }
    options(pickers.asset, "All assets", assets);
    options(pickers.tag, "All tags", new Map([...tags].sort((a, b) => a[0].localeCompare(b[0]))));
    options(pickers.state, "Any state", all);
  }

  // ------------------------------------------------------------ drawing all of them

  function start(given) {
    cards = given.map(adopt);
    index = new Map(cards.map((card) => [card.id, card]));
    for (const card of cards) section(card.asset, card.ratio).cards.push(card);
    for (const { grid, cards: own } of sections.values()) {
      for (const card of own) card.node.style.setProperty("--wide", card.ratio);
      grid.prepend(...own.map((card) => card.node));
    }
    census();
    filter();
    redraw();
  }

  function redraw() {
    const queue = [...shown, ...cards.filter((card) => card.node.hidden)];
    queue.forEach((card) => { card.drawn = false; });
    let next = 0;
    const some = (number) => { for (const end = Math.min(next + number, queue.length); next < end; next += 1) if (!queue[next].drawn) draw(queue[next]); };
    const later = () => { some(CHUNK); if (next < queue.length) setTimeout(later, 0); };
    some(FIRST);
    requestAnimationFrame(() => setTimeout(later, 0));
  }

  function update(changed, gone = [], order = null) {
    const active = current();
    for (const card of changed) {
      const old = index.get(card.id);
      if (old) { for (const name of Object.keys(old)) if (name !== "node") delete old[name]; Object.assign(old, card); adopt(old); draw(old); continue; }
      adopt(card);
      cards.push(card);
      index.set(card.id, card);
      section(card.asset, card.ratio).cards.unshift(card);
      section(card.asset, card.ratio).grid.prepend(card.node);
      draw(card);
    }
    for (const id of gone) {
      const card = index.get(id);
      if (!card) continue;
      card.node.remove();
      index.delete(id);
      cards = cards.filter((one) => one !== card);
      section(card.asset).cards = section(card.asset).cards.filter((one) => one !== card);
    }
    if (order) sort(order);
    census();
    filter();
    if (active && !active.node.contains(document.activeElement) && !active.node.hidden) focus(active);
  }

  function sort(order) {
    const place = new Map(order.map((id, number) => [id, number]));
    const before = (one, other) => place.get(one.id) - place.get(other.id);
    cards.sort(before);
    for (const { grid, cards: own } of sections.values()) grid.prepend(...own.sort(before).map((card) => card.node));
  }

  // ------------------------------------------------------------ keyboard and chrome

  const current = () => document.activeElement && document.activeElement.closest(".card") ? document.activeElement.closest(".card").gallery : null;

  function focus(card) {
    if (!card) return;
    if (!card.drawn) draw(card);
    const target = card.node.querySelector(".frame.used") || card.node.querySelector(".frame");
    target.focus({ preventScroll: true });
    card.node.scrollIntoView({ block: "nearest" });
  }

  function across(card, step) {
    const place = (one) => one.node.getBoundingClientRect();
    const from = place(card);
    const middle = from.left + from.width / 2;
    let best = null;
    let row = null;
    for (let at = shown.indexOf(card) + step; at >= 0 && at < shown.length; at += step) {
      const box = place(shown[at]);
      if (Math.abs(box.top - from.top) < 8) continue;
      if (row === null) row = box.top;
      if (Math.abs(box.top - row) > 8) break;
      const far = Math.abs(box.left + box.width / 2 - middle);
      if (best === null || far < best.far) best = { far, card: shown[at] };
    }
    return best && best.card;
  }

  const MOVES = {
    ArrowRight: (card) => shown[shown.indexOf(card) + 1], ArrowLeft: (card) => shown[shown.indexOf(card) - 1],
    ArrowDown: (card) => across(card, 1), ArrowUp: (card) => across(card, -1),
    Home: () => shown[0], End: () => shown[shown.length - 1],
  };

  function typed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const writing = event.target.matches("input, textarea, select");
    if (event.target === search && (event.key === "Escape" || event.key === "ArrowDown" || event.key === "Enter")) {
      if (event.key === "Escape" && search.value) { search.value = ""; filter(); } else focus(shown[0]);
      event.preventDefault();
      return;
    }
    if (writing) return;
    const card = current();
    if (MOVES[event.key] && (card || shown.length)) { focus(card ? MOVES[event.key](card) : shown[0]); event.preventDefault(); return; }
    if (event.key === "/") { search.focus(); search.select(); event.preventDefault(); return; }
    if (event.key === "c") { takes(); return; }
    if (event.key === "t") { theme(); return; }
    if (event.key === "?") { keys(); return; }
    if (card && /^[1-9]$/.test(event.key) && card.candidates[event.key - 1]) { api.open(card, event.key - 1); return; }
    for (const call of hooks.keys) if (call(event, card)) { event.preventDefault(); return; }
  }

  function takes() {
    const on = document.body.classList.toggle("takes");
    byId("takes").setAttribute("aria-pressed", on);
    redraw();
  }

  const kept = { get(name) { try { return localStorage.getItem(name); } catch { return null; } }, set(name, value) { try { localStorage.setItem(name, value); } catch { /* a page from disk may have none */ } } };

  function theme(wanted) {
    const now = document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    const next = wanted || (now === "dark" ? "light" : "dark");
    document.documentElement.dataset.theme = next;
    kept.set("qwenbuild-theme", next);
  }

  const KEYS = [["/", "filter; Escape empties it"], ["arrows", "move; in the viewer the next entry"], ["Enter", "open"], ["1 – 9", "candidate"], ["Escape", "close"],
    ["s", "candidates side by side"], ["b", "before and after; arrows move the slider"], ["z", "actual pixels"], ["c", "all candidates in the grid"], ["t", "light or dark"]];

  function keys() {
    const box = byId("keys");
    const rows = [...KEYS, ...(api.moreKeys || [])].flatMap(([key, words]) => [el("dt", {}, key), el("dd", {}, words)]);
    box.replaceChildren(el("h2", {}, "Keys"), el("dl", { class: "keys" }, ...rows), el("form", { method: "dialog" }, el("button", {}, "Close")));
    box.showModal();
  }

  const api = { data, el, address, hooks, states, label, used, shape, tone, update, focus, current, draw, open: () => {}, moreKeys: [], get shown() { return shown; }, get cards() { return cards; }, card: (id) => index.get(id), filter };

  search.addEventListener("input", filter);
  for (const select of Object.values(pickers)) select.addEventListener("change", filter);
  byId("clear").addEventListener("click", () => { search.value = ""; for (const select of Object.values(pickers)) select.value = ""; filter(); });
  byId("takes").addEventListener("click", takes);
  byId("theme").addEventListener("click", () => theme());
  byId("help").addEventListener("click", keys);
  document.addEventListener("keydown", typed);
  main.addEventListener("click", (event) => {
    const hit = event.target.closest(".frame");
    if (hit) api.open(hit.closest(".card").gallery, Math.max(0, Number(hit.dataset.number)));
  });
  if (kept.get("qwenbuild-theme")) theme(kept.get("qwenbuild-theme"));
  byId("takes").hidden = !data.cards.some((card) => card.candidates.length > 1);
  start(data.cards);
  return api;
})();
