// One entry on the whole screen: which way it is looked at, its facts, and the way to the next one. Knows no server.
"use strict";
(() => {
  const { el, button, byId, address, stages, compare, emit, on } = gallery;
  const box = byId("viewer");
  const view = { card: null, number: 0, file: 0, mode: "ship", scale: "fit", how: "slider", at: 50, pair: null };
  const SCALES = ["fit", "1", "2"];

  const one = () => view.card.candidates[view.number] || null;
  const file = () => view.card.files[view.file] || null;
  const MODES = { // name → words, key, whether the entry can be looked at so
    ship: ["Ships", "o", () => Boolean(file() && file().digest)],
    frames: ["In place", "f", () => gallery.ships(view.card).length > 0],
    steps: ["Each step", "e", () => Boolean(file() && file().steps.length && file().digest && view.card.candidates.length)],
    tile: ["3 × 3", "w", () => Boolean(view.card.tile && (gallery.ships(view.card).length || (one() && one().digest)))],
    bought: ["Bought", "v", () => Boolean(one())],
    all: ["Candidates", "s", () => view.card.candidates.length > 1],
    compare: ["Compare", "b", () => gallery.pairs.comparables(view.card).length > 1],
  };
  const can = (mode) => MODES[mode][2]();

  function usual(card) { // how an entry is looked at first
    if (!card.candidates.length) return "compare";
    const open = card.marks.includes("unpicked") || card.marks.includes("pick void");
    if (card.candidates.length > 1 && open) return "all";
    if (gallery.ships(card).length > 1) return "frames";
    return can("ship") ? "ship" : "bought";
  }

  function open(card, { number, file: which, mode } = {}) {
    const other = view.card !== card;
    view.card = card;
    view.number = number ?? card.used;
    view.file = Math.max(0, which ?? card.files.findIndex((each) => each.digest));
    view.scale = "fit";
    const asked = mode || (which !== undefined && card.files.length > 1 ? "ship" : gallery.look.bought ? "bought" : "");
    view.mode = asked && can(asked) ? asked : usual(card);
    if (other) gallery.point(card);
    if (!box.open) box.showModal();
    draw();
    settle();
    history.replaceState(null, "", "#" + encodeURIComponent(card.id));
  }

  // ------------------------------------------------------------ drawing

  function room() {
    const area = box.querySelector(".stage");
    return area && area.clientWidth ? [area.clientWidth, area.clientHeight] : [innerWidth * 0.7, innerHeight * 0.75];
  }

  function stage() {
    const made = el("div", { class: `stage as-${view.mode}${view.scale === "fit" ? "" : " actual"}`, tabindex: "-1", role: "group", "aria-label": "Picture" });
    const size = room();
    const chooseFile = (number) => { view.file = number; view.mode = "ship"; draw(); };
    const chooseCandidate = (number) => { view.number = number; view.mode = "bought"; draw(); };
    if (view.mode === "compare" && can("compare")) made.append(compare.draw(view, size, draw));
    else if (!can(view.mode)) made.append(lone());
    else if (view.mode === "frames") made.append(stages.frames(view, chooseFile));
    else if (view.mode === "all") made.append(stages.all(view, size, chooseCandidate));
    else made.append(stages[view.mode](view, size));
    return made;
  }

  function lone() {
    const { before } = view.card;
    return before && before.digest ? stages.picture(before.digest, before.size || gallery.size(view.card, null), "before", "fit", room()) : el("p", { class: "empty" }, "This entry has no picture.");
  }

  function strip() {
    const modes = Object.entries(MODES).filter(([mode]) => can(mode));
    const tabs = modes.length > 1 ? el("div", { class: "modes", role: "group", "aria-label": "Look" }, modes.map(([mode, [words, key]]) => button(words, () => set(mode), { "aria-pressed": String(view.mode === mode), title: `${words} (${key})` }))) : null;
    const sizes = ["ship", "bought"].includes(view.mode) ? button({ fit: "Fit", 1: "1×", 2: "2×" }[view.scale], rescale, { class: "scale", title: "Size (z)", "aria-label": `${{ fit: "Fit", 1: "1×", 2: "2×" }[view.scale]}, size of the picture` }) : null;
    const small = view.mode === "bought" && view.card.candidates.length > 1 ? view.card.candidates.map((candidate, number) => button([
      address("small", candidate.digest) ? el("img", { src: address("small", candidate.digest), alt: "" }) : el("span", { class: "words" }, "…"),
      el("span", { class: "number" + (candidate.picked ? " picked" : "") }, String(number + 1))], () => choose(number), { class: "mini" + (candidate.rejected ? " rejected" : ""), "aria-pressed": String(number === view.number), "aria-label": `candidate ${number + 1}` })) : [];
    return el("div", { class: "strip" }, tabs, sizes, small);
  }

  function draw() {
    const held = document.activeElement;
    const again = box.contains(held) && held.getAttribute("aria-label");
    const turner = (words, step, name) => button(step < 0 ? "‹" : "›", () => turn(step), { class: "turn " + name, "aria-label": words });
    const place = gallery.shown.indexOf(view.card);
    const panel = gallery.facts(view, (number) => { view.file = number; view.mode = "ship"; draw(); });
    const counter = el("p", { class: "place" }, place < 0 ? "" : `${place + 1} / ${gallery.shown.length}`);
    const close = button("×", () => box.close(), { class: "close", "aria-label": "Close" });
    const scrolled = box.querySelector(".facts") ? box.querySelector(".facts").scrollTop : 0;
    box.replaceChildren(el("div", { class: "left" }, el("div", { class: "stage" }), strip(), turner("Previous", -1, "back"), turner("Next", 1, "on"), counter), panel, close);
    box.querySelector(".stage").replaceWith(stage());
    panel.scrollTop = view.drawn === view.card ? scrolled : 0;
    view.drawn = view.card;
    emit("opened", view, panel.querySelector(".actions"));
    if (document.activeElement === document.body || document.activeElement === box) {
      const same = again && [...box.querySelectorAll("[aria-label]")].find((node) => node.getAttribute("aria-label") === again && node.matches("button, input, select"));
      (same || box.querySelector(".stage")).focus({ preventScroll: true });
    }
    ahead();
  }

  function ahead() {
    for (const step of [1, -1]) {
      const next = gallery.shown[gallery.shown.indexOf(view.card) + step];
      const shown = next && gallery.pictures(next, view.mode === "bought", false)[0];
      if (shown && shown.digest) new Image().src = stages.full(shown.digest);
    }
  }

  // ------------------------------------------------------------ moving about

  function turn(step) {
    const at = gallery.shown.indexOf(view.card);
    const next = gallery.shown[at < 0 ? 0 : at + step];
    if (next) open(next, view.mode === "compare" || view.mode === "bought" ? { mode: view.mode } : {});
  }

  function choose(number) {
    if (!view.card.candidates[number]) return;
    view.number = number;
    if (!["all", "compare"].includes(view.mode)) view.mode = "bought";
    if (view.mode === "compare") view.pair = null;
    draw();
    box.querySelector(".stage").focus({ preventScroll: true });
  }

  function set(mode) {
    if (!can(mode)) return;
    view.mode = view.mode === mode && mode !== "ship" ? (can("ship") ? "ship" : "bought") : mode;
    view.scale = "fit";
    draw();
    settle();
  }

  const settle = () => (box.querySelector("input[type=range]") || box.querySelector(".stage")).focus({ preventScroll: true });

  function rescale() {
    if (!["ship", "bought"].includes(view.mode)) view.mode = can("ship") ? "ship" : "bought";
    view.scale = SCALES[(SCALES.indexOf(view.scale) + 1) % SCALES.length];
    draw();
  }

  box.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("textarea, select, input:not([type=range])")) return;
    const sliding = event.target.matches("input[type=range]");
    const mode = Object.keys(MODES).find((each) => MODES[each][1] === event.key);
    if (!sliding && event.key === "ArrowRight") turn(1);
    else if (!sliding && event.key === "ArrowLeft") turn(-1);
    else if (/^[1-9]$/.test(event.key)) choose(Number(event.key) - 1);
    else if (mode) set(mode);
    else if (event.key === "k" && view.mode === "compare") { view.how = compare.next(view.how); draw(); }
    else if (event.key === "z") rescale();
    else if (event.key === "g") gallery.look.nextGround();
    else if (event.key === "t") gallery.theme();
    else if (event.key === "?") gallery.help();
    else if (!gallery.keys.some((call) => call(event, view.card, view))) return;
    event.preventDefault();
  });
  box.addEventListener("close", () => {
    history.replaceState(null, "", location.pathname + location.search);
    if (view.card && gallery.card(view.card.id)) gallery.focus(view.card);
    emit("closed");
  });
  addEventListener("resize", () => { if (box.open && !box.contains(document.activeElement && document.activeElement.closest("textarea"))) draw(); });

  let start = null;
  box.addEventListener("touchstart", (event) => { start = event.touches.length === 1 && view.scale === "fit" && !event.target.matches("input, .strip *, .steps *, .placements *") ? event.touches[0] : null; }, { passive: true });
  box.addEventListener("touchend", (event) => {
    if (!start) return;
    const far = event.changedTouches[0].clientX - start.clientX;
    const drop = Math.abs(event.changedTouches[0].clientY - start.clientY);
    if (Math.abs(far) > 60 && drop < 40) turn(far < 0 ? 1 : -1);
    start = null;
  }, { passive: true });

  Object.assign(gallery, { open, view, keys: [], redrawViewer: () => { if (box.open) draw(); }, isOpen: () => box.open });
  on("start", () => {
    let asked = "";
    try { asked = decodeURIComponent(location.hash.slice(1)); } catch { asked = ""; }
    if (asked && gallery.card(asked)) open(gallery.card(asked));
  });
})();
