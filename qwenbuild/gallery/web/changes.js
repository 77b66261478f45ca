// What changed since an earlier revision: each entry with before, now, and how much of it differs. Knows no server.
"use strict";
(() => {
  const { data, el, byId, source, on, pairs } = gallery;
  const host = byId("changes");
  const list = gallery.rows(host);
  let cards = [];
  let tall = 200;

  function figure(words, digest, size) {
    const [own, high] = size || [tall, tall];
    const scale = Math.min(tall / high, (innerWidth - 60) / 2 / own, 1);
    const css = { width: `${Math.round(own * scale)}px`, height: `${Math.round(high * scale)}px` };
    const from = source(digest || "", size, own * scale);
    const shown = from ? el("span", { class: "ground pic", css }, el("img", { "data-src": from, alt: "", decoding: "async" }))
      : el("span", { class: "absent pic", css: { width: "8rem", height: "6rem" } }, el("span", { class: "words" }, "none"));
    return el("span", { class: "was-is" }, shown, el("span", { class: "file" }, words));
  }

  function kind(card) {
    if (card.verdict === "removed") return "removed";
    return card.marks.includes("new") ? "new" : "changed";
  }

  function line(card) {
    const [one, other] = pairs.first(card);
    const before = one && card.before ? one : { digest: card.before ? card.before.digest : "", size: card.before && card.before.size };
    const shown = gallery.pictures(card, false, false)[0];
    const after = card.before && other ? other : kind(card) === "removed" ? { digest: "" } : shown;
    const words = card.before ? card.before.changes.map(([name, text]) => `${name}: ${text}`).slice(0, 3) : [];
    const share = el("span", {}, "\u00a0");
    if (one && other && card.before) pairs.share(one.digest, other.digest).then((value) => { share.textContent = pairs.percent(value); });
    const made = el("button", { class: "change", type: "button", on: { click: () => gallery.open(card, card.before && card.candidates.length ? { mode: "compare" } : {}) } },
      el("span", { class: "pair-of" }, figure(data.against || "before", before.digest, before.size || gallery.size(card, null)), el("span", { class: "arrow", "aria-hidden": "true" }, "→"), figure("now", after.digest, after.size || gallery.size(card, null))),
      el("span", { class: "about" }, el("strong", {}, card.id), el("span", { class: `sign ${kind(card) === "removed" ? "hollow" : "open"}` }, el("span", { class: "shape", "aria-hidden": "true" }, kind(card) === "new" ? "+" : kind(card) === "removed" ? "–" : "≠"), kind(card)),
        share, words.map((text) => el("span", { class: "quiet" }, text.length > 160 ? `${text.slice(0, 160)}…` : text))));
    made.gallery = card;
    return el("div", { class: "row" }, made);
  }

  function layout() {
    if (host.hidden) return;
    tall = innerWidth < 600 ? 120 : 200;
    cards = gallery.shown.filter((card) => ["changed", "new", "removed"].some((mark) => card.marks.includes(mark)));
    const high = (card) => Math.max(Math.min(tall, gallery.size(card, card.files[0])[1]), 96);
    list.set(cards.map((card) => ({ height: high(card) + (innerWidth < 600 ? 150 : 48), draw: () => line(card) })));
  }

  function focus(card) {
    const number = cards.indexOf(card);
    if (number >= 0) list.reveal(number, byId("bar").offsetHeight).querySelector("button").focus({ preventScroll: true });
  }

  function key(event) {
    const at = cards.indexOf(gallery.current());
    const to = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: cards.length - 1 }[event.key];
    if (to === undefined) return false;
    if (cards.length) focus(cards[Math.min(Math.max(to, 0), cards.length - 1)]);
    return true;
  }

  host.addEventListener("focusin", (event) => { const node = event.target.closest(".change"); if (node) gallery.point(node.gallery); });
  on("filtered", layout);
  addEventListener("resize", layout);
  gallery.views.set("changes", { words: "Changes", host, show: layout, key, focus, cards: (card) => [card], absent: () => !data.against });
})();
