// The cards: every entry with the files that ship, in the sections of their assets. Knows no server.
"use strict";
(() => {
  const { el, byId, look, source, on } = gallery;
  const host = byId("cards");
  const list = gallery.rows(host);
  const GAP = 14;
  const LINE = 21;      // pixels of a line of words below a picture
  const NARROWEST = 112; // pixels of a card: its name has to be read
  let places = [];       // number of a row → its cards and their boxes
  let rowOf = new Map(); // card → number of its row
  let tall = 220;

  // ------------------------------------------------------------ how large each picture is

  function box(shown, width) {
    const [own, high] = shown.size;
    const scale = look.size === "fit" ? Math.min(1, tall / high, (width * 0.98) / own) : Math.min(Number(look.size), width / own);
    return { ...shown, width: Math.max(Math.round(own * scale), 8), height: Math.max(Math.round(high * scale), 8), scaled: look.size === "fit" && scale < 1 };
  }

  function measure(card, width) {
    const boxes = gallery.pictures(card, look.bought, look.takes).map((shown) => box(shown, width));
    if (!boxes[0].digest) Object.assign(boxes[0], { width: Math.max(Math.min(boxes[0].width, tall * 1.2), 150), height: Math.min(boxes[0].height, tall), scaled: true });
    const total = boxes.reduce((sum, one) => sum + one.width, 0) + 4 * (boxes.length - 1);
    return { card, boxes, width: Math.max(Math.min(total, width), NARROWEST), scaled: boxes.every((one) => one.scaled), wraps: total > width };
  }

  function stretch(row, width, factor) { // a full row of pictures that were made smaller is as wide as the page
    const gaps = GAP * (row.length - 1);
    const free = row.reduce((sum, one) => sum + one.width, 0);
    const by = Math.min(factor || (width - gaps) / free, 1.3);
    if (!row.every((one) => one.scaled && !one.wraps) || by <= 1) return 1;
    for (const one of row) {
      one.width = Math.floor(one.width * by);
      for (const each of one.boxes) { each.width = Math.floor(each.width * by); each.height = Math.floor(each.height * by); }
    }
    return by;
  }

  function flow(cards, width) {
    const made = [];
    let row = [];
    let taken = 0;
    let factor = 1;
    for (const one of cards.map((card) => measure(card, width))) {
      if (row.length && taken + one.width + GAP * row.length > width) { factor = stretch(row, width); made.push(row); row = []; taken = 0; }
      row.push(one);
      taken += one.width;
    }
    if (row.length) { stretch(row, width, factor); made.push(row); }
    return made;
  }

  const wrapped = (one) => one.boxes.reduce((sum, each) => sum + each.height + 26, 0);
  const pictureHeight = (row) => Math.max(...row.map((one) => (one.wraps ? wrapped(one) : Math.max(...one.boxes.map((each) => each.height)) + (one.boxes.length > 1 && one.boxes[0].kind === "file" ? LINE : 0))));
  const words = (row) => LINE * (row.some((one) => gallery.sign(one.card)) ? 2 : 1) + 18;

  // ------------------------------------------------------------ drawing

  function frame(card, shown) {
    const words = [card.id, shown.kind === "file" && card.files.length > 1 ? shown.file.path : "", shown.kind === "candidate" && card.candidates.length > 1 ? `candidate ${shown.number + 1}` : ""].filter(Boolean).join(", ");
    const from = source(shown.digest, shown.size, shown.width);
    const made = el("button", {
      class: `frame ${from ? gallery.ground(shown) : "absent"}` + (shown.kind === "candidate" && shown.one.rejected ? " rejected" : "") + (shown.kind === "candidate" && shown.number === card.used && look.takes ? " used" : ""),
      type: "button", "aria-label": words, "data-kind": shown.kind, "data-number": shown.number,
      css: { width: `${shown.width}px`, height: `${shown.height}px` },
    });
    if (from) made.append(el("img", { "data-src": from, alt: "", decoding: "async", class: shown.width > shown.size[0] ? "sharp" : "" }));
    else made.append(el("span", { class: "words" }, shown.one && shown.one.lost ? "its bytes are nowhere at hand" : card.prompt.slice(0, 160)));
    if (shown.kind === "candidate" && card.candidates.length > 1) made.append(el("span", { class: "number" + (shown.one.picked ? " picked" : "") }, look.takes ? String(shown.number + 1) : `${shown.number + 1} / ${card.candidates.length}`));
    return made;
  }

  function pictures(one) {
    const { card, boxes } = one;
    const several = boxes.length > 1 && boxes[0].kind === "file";
    return el("div", { class: "frames" + (one.wraps ? " wraps" : "") }, boxes.map((shown) => (several
      ? el("span", { class: "named" }, frame(card, shown), el("span", { class: "file", css: { "max-width": `${Math.max(shown.width, 40)}px` } }, shown.file.name || shown.file.path.split("/").pop()))
      : frame(card, shown))));
  }

  function badge(card) {
    const sign = gallery.sign(card);
    return sign && el("p", { class: "sign " + sign.kind }, el("span", { class: "shape", "aria-hidden": "true" }, sign.shape), sign.words);
  }

  function draw(one) {
    const { card } = one;
    const changed = card.before && card.verdict !== "removed";
    const made = el("article", { class: "card", css: { width: `${one.width}px` } }, pictures(one),
      el("p", { class: "name" }, el("span", { class: "label", title: card.id }, gallery.label(card)),
        changed ? el("span", { class: "tag" }, "changed") : null, card.marks.includes("new") ? el("span", { class: "tag" }, "new") : null,
        card.note ? el("span", { class: "tag", title: card.note.length > 300 ? `${card.note.slice(0, 300)}…` : card.note }, "note") : null),
      badge(card));
    made.gallery = card;
    return made;
  }

  function heading(asset, cards) {
    const number = el("span", { class: "quiet" }, String(cards.length));
    return el("div", { class: "heading" }, el("h2", {}, asset, " ", number));
  }

  // ------------------------------------------------------------ all of them

  function sections() {
    const found = new Map();
    for (const card of gallery.shown) {
      if (!found.has(card.asset)) found.set(card.asset, []);
      found.get(card.asset).push(card);
    }
    return found;
  }

  function layout() {
    if (host.hidden) return;
    const width = host.clientWidth;
    tall = innerWidth < 500 ? 138 : innerWidth < 900 ? 168 : 220;
    const rows = [];
    places = [];
    rowOf = new Map();
    for (const [asset, cards] of sections()) {
      rows.push({ height: 54, draw: () => heading(asset, cards) });
      places.push(null);
      for (const row of flow(cards, width)) {
        for (const one of row) rowOf.set(one.card, rows.length);
        places.push(row);
        rows.push({ height: pictureHeight(row) + words(row), draw: () => el("div", { class: "row" }, row.map(draw)) });
      }
    }
    list.set(rows);
  }

  function again() { // laid out anew; who had the focus keeps it
    const held = host.contains(document.activeElement) && gallery.current();
    layout();
    if (held) focus(held, false);
  }

  // ------------------------------------------------------------ moving about

  function focus(card, scroll = true) {
    const number = rowOf.get(card);
    if (number === undefined) return;
    const node = scroll ? list.reveal(number, byId("bar").offsetHeight) : list.drawn.get(number);
    const own = node && [...node.querySelectorAll(".card")].find((one) => one.gallery === card);
    if (own) (own.querySelector(".frame.used") || own.querySelector(".frame")).focus({ preventScroll: true });
  }

  function across(card, step) { // the nearest card of the row above or below
    const left = (row, which) => { let at = 0; for (const one of row) { if (one.card === which) return at + one.width / 2; at += one.width + GAP; } return at; };
    let number = rowOf.get(card);
    const middle = left(places[number], card);
    do number += step; while (number >= 0 && number < places.length && !places[number]);
    const row = places[number];
    return row && row.reduce((best, one) => (Math.abs(left(row, one.card) - middle) < Math.abs(left(row, best.card) - middle) ? one : best), row[0]).card;
  }

  const step = (by) => (card) => gallery.shown[gallery.shown.indexOf(card) + by];
  const MOVES = { ArrowRight: step(1), ArrowLeft: step(-1), ArrowDown: (card) => across(card, 1), ArrowUp: (card) => across(card, -1), Home: () => gallery.shown[0], End: () => gallery.shown[gallery.shown.length - 1] };

  function key(event) {
    const card = gallery.current();
    if (!MOVES[event.key] || !gallery.shown.length) return false;
    focus((card && rowOf.has(card) && MOVES[event.key](card)) || card || gallery.shown[0]);
    return true;
  }

  host.addEventListener("click", (event) => {
    const hit = event.target.closest(".frame");
    if (!hit) return;
    const card = hit.closest(".card").gallery;
    const number = Number(hit.dataset.number);
    gallery.open(card, hit.dataset.kind === "file" ? { file: number } : { number, mode: hit.dataset.kind === "candidate" && (look.bought || look.takes) ? "bought" : "" });
  });
  host.addEventListener("focusin", (event) => { const node = event.target.closest(".card"); if (node) gallery.point(node.gallery); });
  on("filtered", again);
  on("look", (changes) => { if (!("zoom" in changes)) again(); });
  let width = 0;
  addEventListener("resize", () => { if (host.clientWidth !== width) { width = host.clientWidth; layout(); } else list.later(); });
  gallery.views.set("cards", { words: "Cards", host, show: layout, key, focus, cards: (card) => [card] });
})();
