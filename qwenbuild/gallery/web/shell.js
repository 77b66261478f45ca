// The bar above the views: filter, counts and keys; and the start of it all. Knows no server.
"use strict";
(() => {
  const { data, el, byId, on, emit, look, store, filter } = gallery;
  const search = byId("search");
  const pickers = { asset: byId("by-asset"), tag: byId("by-tag"), state: byId("by-state") };

  // ------------------------------------------------------------ the filter

  function options(select, all, counts) {
    const chosen = select.value;
    select.replaceChildren(el("option", { value: "" }, all), ...[...counts].map(([name, number]) => el("option", { value: name }, `${name} (${number})`)));
    select.value = counts.has(chosen) ? chosen : "";
    select.hidden = counts.size < 2 && !select.value;
  }

  function census() {
    const { assets, tags, kinds } = gallery.census();
    options(pickers.asset, "All assets", assets);
    options(pickers.tag, "All tags", tags);
    options(pickers.state, "Any state", kinds);
  }

  const asked = () => filter({ words: search.value, asset: pickers.asset.value, tag: pickers.tag.value, state: pickers.state.value });

  function clear() {
    search.value = "";
    for (const select of Object.values(pickers)) select.value = "";
    asked();
  }

  function counted() {
    const { shown, cards } = store;
    byId("count").textContent = shown.length === cards.length ? `${cards.length}` : `${shown.length} of ${cards.length}`;
    byId("nothing").hidden = shown.length > 0;
    const made = shown.filter(gallery.isMade);
    const left = made.filter((card) => gallery.isUndecided(card) && !(gallery.isPending && gallery.isPending(card)));
    byId("left").textContent = data.live && made.length ? `${left.length} of ${made.length} left` : "";
    emit("counted");
  }

  // ------------------------------------------------------------ keys

  const KEYS = [["/", "filter; Escape empties it"], ["arrows", "move; in the viewer the next entry"], ["Enter", "open"], ["Escape", "close"], ["l", "cards, board, sheets, changes"],
    ["v", "what ships, or what was bought"], ["z", "as large as fits, 1×, 2×"], ["g", "ground behind transparency"], ["+ −", "larger and smaller cells on the board"], ["c", "all candidates in the grid"], ["t", "light or dark"],
    ["1 – 9", "candidate"], ["o f e w s", "one entry: ships, in place, each step, 3 × 3, candidates"], ["b, k", "compare; how: slider, side by side, blink, difference"]];

  function help() {
    const box = byId("keys");
    const rows = [...KEYS, ...(gallery.moreKeys || [])].flatMap(([key, words]) => [el("dt", {}, key), el("dd", {}, words)]);
    box.replaceChildren(el("h2", {}, "Keys"), el("dl", { class: "keys" }, ...rows), el("form", { method: "dialog" }, el("button", {}, "Close")));
    box.showModal();
  }

  function inSearch(event) {
    if (event.key === "Escape" && search.value) { search.value = ""; asked(); }
    else if (["Escape", "ArrowDown", "Enter"].includes(event.key)) gallery.seen().key({ key: gallery.current() && store.shown.includes(gallery.current()) ? "Home" : "ArrowDown" });
    else return;
    event.preventDefault();
  }

  const PLAIN = { "/": () => { search.focus(); search.select(); }, l: gallery.next, v: look.turn, z: look.nextSize, g: look.nextGround, c: look.spread, t: () => gallery.theme(), "?": help };

  function typed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target === search) { inSearch(event); return; }
    if (event.target.matches("input, textarea, select")) return;
    const card = gallery.current();
    if (gallery.seen().key(event)) { event.preventDefault(); return; }
    if (PLAIN[event.key]) { PLAIN[event.key](); event.preventDefault(); return; }
    if (card && /^[1-9]$/.test(event.key) && card.candidates[event.key - 1]) { gallery.open(card, { number: event.key - 1, mode: "bought" }); return; }
    if (gallery.keys.some((call) => call(event, card, null))) event.preventDefault();
  }

  search.addEventListener("input", asked);
  for (const select of Object.values(pickers)) select.addEventListener("change", asked);
  byId("clear").addEventListener("click", clear);
  byId("help").addEventListener("click", help);
  document.addEventListener("keydown", typed);
  on("filtered", counted);
  on("updated", census);
  Object.assign(gallery, { help, counted, clear });

  function start() {
    census();
    if (data.against && store.cards.some((card) => ["changed", "new", "removed"].some((mark) => card.marks.includes(mark)))) {
      pickers.state.value = "any change";
      filter({ state: "any change" });
      gallery.show("changes");
    } else { counted(); gallery.show("cards"); }
    emit("start");
  }

  gallery.start = start;
})();
