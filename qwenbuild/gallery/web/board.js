// The board: an asset's axes as rows and columns, each entry a cell. Only the rows and columns near the screen are drawn.
// Knows no server; what a key does to a cell, a row or a column is the review's matter.
"use strict";
(() => {
  const { data, el, byId, look, source, on, count } = gallery;
  const host = byId("board");
  const inner = host.appendChild(el("div", { class: "inner" }));
  const top = inner.appendChild(el("div", { class: "over", "aria-hidden": "true" }));
  const sides = inner.appendChild(el("div", { class: "sides-of" })); // one element that stays, not one in each row: browsers scroll that quickly
  const body = inner.appendChild(el("div", { class: "cells" }));
  const list = gallery.rows(body, host, sides);
  const chosen = new Map(); // asset → number of the axis whose values are the columns
  const GAP = 4;
  const HEAD = 30; // pixels of a row of column names
  const SOME = 8;  // columns drawn at a time
  let blocks = [];
  let rowInfo = [];
  let side = 120;
  let cell = look.zoom;
  let at = { row: -1, column: 0 }; // the cell, or the head (row or column -1), that has the focus
  let [from, to] = [0, 0];

  // ------------------------------------------------------------ rows and columns

  const FILES = "file";
  const CANDIDATES = "candidate";

  function axes(asset, cards) { // the manifest's own, and files or candidates where an entry has several
    const found = (data.boards[asset] || []).map((axis) => ({ name: axis.name, labels: axis.labels }));
    const files = Math.max(...cards.map((card) => card.files.length), 0);
    const most = Math.max(...cards.map((card) => card.candidates.length), 0);
    if (files > 1) found.push({ name: FILES, labels: (cards.find((card) => card.files.length === files) || cards[0]).files.map((file) => file.name || file.path.split("/").pop()) });
    if (most > 1) found.push({ name: CANDIDATES, labels: Array.from({ length: most }, (_, number) => String(number + 1)) });
    return found;
  }

  function usual(own) { // the longest axis that fits across the page, so that the page is used; else the last
    const fitting = own.map((axis, number) => [axis.labels.length, number]).filter(([length]) => side + length * (cell + GAP) < host.clientWidth);
    return fitting.length ? fitting.sort((one, other) => other[0] - one[0] || other[1] - one[1])[0][1] : own.length - 1;
  }

  function block(asset, cards) {
    const all = axes(asset, cards);
    const own = (data.boards[asset] || []).length;
    if (!chosen.has(asset)) chosen.set(asset, own > 1 ? usual(all.slice(0, own)) : all.length - 1);
    const column = Math.min(chosen.get(asset), all.length - 1);
    const across = all[column];
    const extra = across && (across.name === FILES || across.name === CANDIDATES) ? across.name : "";
    const rows = new Map();
    const columns = new Set();
    cards.forEach((card, number) => {
      const place = card.place.length ? card.place : [number];
      const left = place.filter((_, axis) => axis !== column);
      const key = left.join(",");
      if (!rows.has(key)) rows.set(key, { place: left, cells: new Map() });
      if (!extra) { const value = all.length ? place[column] : 0; rows.get(key).cells.set(value, card); columns.add(value); return; }
      (extra === FILES ? card.files : card.candidates).forEach((_, value) => { rows.get(key).cells.set(value, card); columns.add(value); });
    });
    const names = all.slice(0, own).filter((_, axis) => axis !== column);
    const label = (place) => place.map((value, axis) => (names[axis] ? names[axis].labels[value] : gallery.label(cards[value] || cards[0]))).join(" · ");
    const sorted = [...rows.values()].sort((one, other) => compare(one.place, other.place));
    for (const row of sorted) row.label = label(row.place);
    return {
      asset, cards, axes: all, column, extra, rows: sorted, columns: [...columns].sort((one, other) => one - other),
      across, down: names.map((axis) => axis.name).join(" × ") || asset,
    };
  }

  function compare(one, other) {
    for (let axis = 0; axis < one.length; axis += 1) if (one[axis] !== other[axis]) return one[axis] - other[axis];
    return 0;
  }

  function layout() {
    if (host.hidden) return;
    cell = Math.min(look.zoom, Math.max(host.clientWidth - 40, 48));
    const longest = Math.max(...gallery.shown.map((card) => gallery.label(card).length), 4);
    side = host.clientWidth < 600 ? Math.min(92, longest * 7 + 16) : Math.min(230, longest * 7.2 + 24);
    const sections = new Map();
    for (const card of gallery.shown) { if (!sections.has(card.asset)) sections.set(card.asset, []); sections.get(card.asset).push(card); }
    blocks = [...sections].map(([asset, cards]) => block(asset, cards));
    const widest = Math.max(...blocks.map((one) => one.columns.length), 1);
    inner.style.setProperty("width", `${Math.max(side + widest * (cell + GAP) + 24, host.clientWidth)}px`);
    inner.style.setProperty("--cell", `${cell}px`);
    inner.style.setProperty("--side", `${side}px`);
    const rows = [];
    rowInfo = [];
    for (const one of blocks) {
      rowInfo.push({ block: one, kind: "title" }, { block: one, kind: "head" });
      rows.push({ height: 48, draw: () => title(one) }, { height: HEAD, draw: () => head(one) });
      for (const row of one.rows) {
        const number = rows.length;
        rowInfo.push({ block: one, kind: "row", row });
        rows.push({ height: cell + GAP, draw: () => line(one, row, number) });
      }
    }
    span();
    list.set(rows);
  }

  // ------------------------------------------------------------ drawing

  function span() { // which columns are near the screen
    const step = cell + GAP;
    from = Math.max(0, Math.floor((host.scrollLeft - side) / step / SOME) * SOME - SOME);
    to = Math.ceil((host.scrollLeft + host.clientWidth) / step / SOME) * SOME + SOME;
  }

  const left = (place) => `${side + place * (cell + GAP)}px`;

  function title(one) {
    const picker = one.axes.length > 1 ? el("label", { class: "picker" }, "Columns ", el("select", { on: { change: (event) => { chosen.set(one.asset, Number(event.target.value)); layout(); } } },
      one.axes.map((axis, number) => el("option", { value: number, selected: number === one.column }, axis.name)))) : null;
    const shape = one.across ? `${one.down} × ${one.across.name} · ${one.cards.length}` : String(one.cards.length);
    return el("div", { class: "board-title" }, el("div", {}, el("h2", {}, one.asset, " ", el("span", { class: "quiet" }, shape)), picker));
  }

  function names(one, live) {
    return one.columns.map((value, place) => {
      if (place < from || place > to) return null;
      const words = one.across ? one.across.labels[value] : "";
      const props = { class: "column", css: { left: left(place), width: `${cell}px` }, title: words };
      return live ? el("button", { ...props, type: "button", tabindex: "-1", "data-column": place, "aria-label": `${words}, column of ${count(columnCards(one, place).length, "entry", "entries")}` }, words) : el("span", props, words);
    });
  }

  const head = (one) => el("div", { class: "line head" }, el("span", { class: "corner" }, one.down), el("div", { class: "names" }, names(one, true)));

  function over(y) { // the names of the columns stay where the first row is
    const info = rowInfo[list.at(Math.max(y, 0))];
    const shown = info && info.kind === "row" ? info.block : null;
    top.hidden = !shown;
    if (!shown) { top.block = null; return; }
    if (top.block === shown && top.from === from && top.to === to) return;
    Object.assign(top, { block: shown, from, to });
    top.replaceChildren(el("span", { class: "corner" }, shown.asset), el("div", { class: "names" }, names(shown, false)));
  }

  function line(one, row, number) {
    const node = el("div", { class: "line" });
    node.beside = el("button", { class: "side", type: "button", tabindex: "-1", title: row.label, "aria-label": `${row.label}, row of ${count(rowCards(row).length, "entry", "entries")}` }, row.label);
    node.cells = new Map();
    node.number = number;
    fill(node, one, row);
    return node;
  }

  function fill(node, one, row) {
    for (const [place, made] of node.cells) if (place < from || place > to) { made.remove(); node.cells.delete(place); }
    for (let place = from; place <= Math.min(to, one.columns.length - 1); place += 1) {
      if (node.cells.has(place)) continue;
      const made = square(one, row, one.columns[place], place);
      node.append(made);
      node.cells.set(place, made);
    }
    if (node.isConnected) gallery.load(node);
  }

  function shownIn(one, card, value) {
    if (one.extra === CANDIDATES) { const each = card.candidates[value]; return each ? { digest: each.digest, size: gallery.size(card, each), words: `candidate ${value + 1}`, rejected: each.rejected, one: each } : null; }
    if (one.extra === FILES && !look.bought) { const file = card.files[value]; return file ? { digest: file.digest, size: gallery.size(card, file), words: file.path, file } : null; }
    return gallery.pictures(card, look.bought, false)[0];
  }

  function square(one, row, value, place) {
    const card = row.cells.get(value);
    const css = { left: left(place) };
    if (!card) return el("span", { class: "cell empty", css }, cell >= 96 ? "not in the manifest" : cell >= 64 ? "none" : "–");
    const shown = shownIn(one, card, value);
    const sign = gallery.sign(card);
    const address = shown && source(shown.digest, shown.size, cell);
    const made = el("button", {
      type: "button", tabindex: "-1", class: "cell" + (address ? "" : " absent") + (shown && shown.rejected ? " rejected" : ""), css, "data-column": place,
      "aria-label": [card.id, one.extra && shown ? shown.words : "", sign ? sign.words : "up to date"].filter(Boolean).join(", "),
    });
    if (address) {
      const small = Math.min(cell / shown.size[0], cell / shown.size[1], 1);
      made.append(el("img", { class: gallery.ground(shown) + (cell < 96 ? " flat" : ""), "data-src": address, alt: "", decoding: "async", css: { width: `${Math.round(shown.size[0] * small)}px`, height: `${Math.round(shown.size[1] * small)}px` } }));
    } else made.append(el("span", { class: "words" }, cell >= 96 ? card.prompt.slice(0, 90) : "…"));
    if (sign) made.append(el("span", { class: `mark ${sign.kind}${cell >= 128 ? "" : " bare"}`, title: sign.words }, el("span", { class: "shape" }, sign.shape), cell >= 128 ? sign.words : null));
    made.gallery = card;
    return made;
  }

  function widen() {
    const before = [from, to];
    span();
    if (before[0] === from && before[1] === to) return;
    for (const [number, node] of list.drawn) {
      const info = rowInfo[number];
      if (info.kind === "row") fill(node, info.block, info.row);
      else if (info.kind === "head") node.querySelector(".names").replaceChildren(...names(info.block, true).filter(Boolean));
    }
  }

  // ------------------------------------------------------------ a cell, a row, a column

  const unique = (cards) => [...new Set(cards)];
  const rowCards = (row) => unique(row.cells.values());
  const columnCards = (one, place) => unique(one.rows.map((row) => row.cells.get(one.columns[place])).filter(Boolean));

  function pointedCards() { // what a key of the review is about
    const info = rowInfo[at.row];
    if (!info) return [];
    if (info.kind === "head") return columnCards(info.block, at.column);
    if (info.kind !== "row") return [];
    if (at.column < 0) return rowCards(info.row);
    const card = info.row.cells.get(info.block.columns[at.column]);
    return card ? [card] : [];
  }

  function go(row, column) {
    const info = rowInfo[row];
    if (!info || info.kind === "title") return false;
    const last = info.block.columns.length - 1;
    at = { row, column: Math.min(Math.max(column, info.kind === "head" ? 0 : -1), last) };
    const node = list.reveal(row, info.kind === "row" ? HEAD + 4 : 0);
    const step = cell + GAP;
    if (at.column >= 0) {
      const x = side + at.column * step;
      if (x - side < host.scrollLeft) host.scrollLeft = x - side;
      else if (x + step > host.scrollLeft + host.clientWidth) host.scrollLeft = x + step - host.clientWidth + 8;
      widen();
    }
    const target = info.kind === "head" ? node.querySelector(`[data-column="${at.column}"]`) : at.column < 0 ? node.beside : node.cells.get(at.column);
    for (const old of inner.querySelectorAll("[tabindex='0'].cell, [tabindex='0'].side, [tabindex='0'].column")) old.setAttribute("tabindex", "-1");
    if (target && target.focus && target.matches("button")) { target.setAttribute("tabindex", "0"); target.focus({ preventScroll: true }); }
    else if (target) { host.focus({ preventScroll: true }); }
    const card = pointedCards()[0];
    if (card) gallery.point(card);
    return true;
  }

  function vertical(by) {
    let row = at.row + by;
    while (rowInfo[row] && rowInfo[row].kind === "title") row += by;
    return rowInfo[row] ? go(row, at.column) : true;
  }

  function key(event) {
    if (event.key === "+" || event.key === "=") { look.closer(1); return true; }
    if (event.key === "-") { look.closer(-1); return true; }
    if (!rowInfo.length) return false;
    const moves = { ArrowRight: () => go(at.row, at.column + 1), ArrowLeft: () => go(at.row, at.column - 1), ArrowDown: () => vertical(1), ArrowUp: () => vertical(-1), Home: () => go(at.row, 0), End: () => go(at.row, Infinity) };
    if (!moves[event.key]) return false;
    if (at.row < 0) return go(2, 0);
    return moves[event.key]();
  }

  function focus(card) {
    const number = rowInfo.findIndex((info) => info.kind === "row" && [...info.row.cells.values()].includes(card));
    if (number < 0) return;
    const { block: one, row } = rowInfo[number];
    const place = one.columns.findIndex((value) => row.cells.get(value) === card);
    go(number, one.extra && at.row === number ? at.column : place);
  }

  function redraw(ids) { // during a build only the cells of the entries that changed are drawn anew
    const changed = new Set(ids);
    for (const [number, node] of list.drawn) {
      const info = rowInfo[number];
      if (info.kind !== "row") continue;
      info.block.columns.forEach((value, place) => {
        const card = info.row.cells.get(value);
        const old = node.cells.get(place);
        if (!card || !old || !changed.has(card.id)) return;
        const made = square(info.block, info.row, value, place);
        const held = old === document.activeElement;
        old.replaceWith(made);
        gallery.load(made);
        node.cells.set(place, made);
        if (held) { made.setAttribute("tabindex", "0"); made.focus({ preventScroll: true }); }
      });
    }
  }

  let cards = [];
  function again() { // laid out anew only when other entries are shown
    if (host.hidden) return;
    const same = cards.length === gallery.shown.length && cards.every((card, number) => card === gallery.shown[number]);
    cards = gallery.shown;
    if (same && rowInfo.length) return;
    at = { row: -1, column: 0 };
    layout();
  }

  inner.addEventListener("click", (event) => {
    const hit = event.target.closest("button.cell");
    if (!hit) return;
    const number = Number(hit.dataset.column);
    const info = rowInfo[hit.parentElement.number];
    const value = info.block.columns[number];
    gallery.open(hit.gallery, info.block.extra === CANDIDATES ? { number: value, mode: "bought" } : info.block.extra === FILES ? { file: value } : {});
  });
  inner.addEventListener("focusin", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const row = [...list.drawn].find(([, each]) => each.contains(button) || each.beside === button);
    if (row) at = { row: row[0], column: button.dataset.column === undefined ? -1 : Number(button.dataset.column) };
    const card = pointedCards()[0];
    if (card) gallery.point(card);
    gallery.emit("pointed");
  });
  list.placed = over;
  host.addEventListener("scroll", widen, { passive: true });
  on("filtered", again);
  on("updated", (ids) => { if (!host.hidden) redraw(ids); else rowInfo = []; });
  on("look", (changes) => { if (host.hidden) return; const card = pointedCards()[0]; layout(); if (card && "zoom" in changes && inner.contains(document.activeElement)) focus(card); });
  addEventListener("resize", layout);
  gallery.views.set("board", {
    words: "Board", host, key, focus,
    show: () => { cards = gallery.shown; layout(); },
    cards: () => pointedCards(),
    scope: () => { const info = rowInfo[at.row]; return !info || at.row < 0 ? "" : info.kind === "head" ? "column" : at.column < 0 ? "row" : "cell"; },
    absent: () => !Object.keys(data.boards || {}).length,
  });
})();
