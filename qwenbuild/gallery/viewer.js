// One entry on the whole screen: a candidate, all of them side by side, or before and after under a slider; and its facts.
"use strict";
(() => {
  const { el, address, data } = gallery;
  const box = document.getElementById("viewer");
  const view = { card: null, number: 0, mode: "one", actual: false, at: 50 };

  const one = () => view.card.candidates[view.number] || null;
  const hasBefore = () => Boolean(view.card.before && view.card.before.digest);
  const hasMany = () => view.card.candidates.length > 1;

  function open(card, number) {
    view.card = card;
    view.number = number === undefined ? card.used : number;
    view.actual = false;
    const undecided = card.marks.includes("unpicked") || card.marks.includes("pick void");
    view.mode = !card.candidates.length ? "before" : hasMany() && undecided && number === card.used ? "all" : "one";
    if (!box.open) box.showModal();
    draw();
    box.querySelector(".stage").focus({ preventScroll: true });
    history.replaceState(null, "", "#" + encodeURIComponent(card.id));
  }

  function picture(digest, size, ratio, alt) {
    const source = address("large", digest);
    if (!source) return el("div", { class: "picture missing", css: { "--ar": ratio } }, el("span", { class: "words" }, "no picture yet"));
    const made = el("img", { class: "picture", src: source, alt, css: { "--ar": ratio } });
    if (size) made.style.setProperty("--px", `${size[0]}px`);
    return made;
  }

  const shot = (number) => {
    const candidate = view.card.candidates[number];
    return picture(candidate.digest, candidate.size, gallery.shape(view.card, candidate).toFixed(4), `${view.card.id}, candidate ${number + 1}`);
  };

  // ------------------------------------------------------------ the stage

  function layout(count, ratio, width, height) {
    let best = { columns: 1, size: 1 };
    for (let across = 1; across <= count; across += 1) {
      const rows = Math.ceil(count / across);
      const size = Math.min(width / across - 19, (height / rows - 34) * ratio);
      if (size > best.size) best = { columns: across, size };
    }
    return best;
  }

  function all(stage) {
    const ratio = gallery.shape(view.card, one());
    const area = box.querySelector(".stage");
    const width = area && area.clientWidth ? area.clientWidth : innerWidth * 0.7;
    const height = area && area.clientHeight ? area.clientHeight : innerHeight * 0.8;
    const { columns: across, size } = layout(view.card.candidates.length, ratio, width, height);
    const figures = view.card.candidates.map((candidate, number) => el("figure", {
      class: (number === view.number ? "chosen" : "") + (candidate.rejected ? " rejected" : ""),
      on: { click: () => { view.number = number; view.mode = "one"; draw(); } },
    }, el("div", { class: "cell" }, shot(number)), el("figcaption", {}, said(candidate, number))));
    stage.append(el("div", { class: "all", css: { "--columns": across, "--cell-width": `${Math.ceil(size)}px`, "--cell-height": `${Math.ceil(size / ratio) + 28}px`, "--rows": Math.ceil(figures.length / across) } }, ...figures));
  }

  function said(candidate, number) {
    const words = [`${number + 1}`, `seed ${candidate.seed}`];
    if (candidate.picked) words.push("picked");
    else if (number === view.card.used) words.push("in use");
    if (candidate.rejected) words.push("rejected");
    return words.join(" · ");
  }

  function slide(stage) {
    const { before } = view.card;
    const after = one();
    if (!after || !after.digest) { stage.append(picture(before.digest, before.size, before.ratio, "before")); return; }
    const pair = el("div", { class: "pair", css: { "--ar": gallery.shape(view.card, after).toFixed(4), "--at": `${view.at}%` } },
      el("img", { src: address("large", before.digest), alt: "before", class: "was" }),
      el("img", { src: address("large", after.digest), alt: "after", class: "is" }),
      el("span", { class: "line" }), el("span", { class: "side left" }, data.against || "before"), el("span", { class: "side right" }, "now"),
      el("input", { type: "range", min: 0, max: 100, step: 0.5, value: view.at, "aria-label": "before and after", on: { input: (event) => { view.at = Number(event.target.value); pair.style.setProperty("--at", `${view.at}%`); } } }));
    stage.append(pair);
  }

  function stage() {
    const made = el("div", { class: "stage" + (view.actual ? " actual" : ""), tabindex: "-1" });
    if (view.mode === "all" && hasMany()) all(made);
    else if (view.mode === "before" && hasBefore()) slide(made);
    else if (one()) {
      const shown = shot(view.number);
      shown.addEventListener("click", () => { view.actual = !view.actual; draw(); });
      made.append(shown);
    } else made.append(el("p", { class: "empty" }, "There is no picture of this entry."));
    return made;
  }

  function strip() {
    const modes = el("div", { class: "modes" });
    const mode = (name, words, key) => modes.append(el("button", { type: "button", "aria-pressed": String(view.mode === name), title: `${words} (${key})`, on: { click: () => set(name) } }, words));
    if (hasMany() || hasBefore()) mode("one", "One", "o");
    if (hasMany()) mode("all", "Side by side", "s");
    if (hasBefore()) mode("before", "Before and after", "b");
    const small = view.mode === "one" && hasMany() ? view.card.candidates.map((candidate, number) => el("button", {
      type: "button", class: "mini" + (candidate.rejected ? " rejected" : ""), "aria-pressed": String(number === view.number), "aria-label": `candidate ${number + 1}`,
      on: { click: () => choose(number) },
    }, address("small", candidate.digest) ? el("img", { src: address("small", candidate.digest), alt: "" }) : el("span", { class: "words" }, "…"),
    el("span", { class: "number" + (candidate.picked ? " picked" : "") }, String(number + 1)))) : [];
    return el("div", { class: "strip" }, modes, ...small);
  }

  // ------------------------------------------------------------ the facts

  function facts() {
    const { card } = view;
    const candidate = one();
    const old = card.before;
    const rows = [];
    const row = (name, value) => { if (value !== "" && value !== undefined && value !== null) rows.push(el("dt", {}, name), el("dd", {}, value)); };
    if (candidate) {
      if (hasMany()) row("Candidate", said(candidate, view.number));
      else row("Seed", String(candidate.seed));
    }
    row("Model", [card.provider, card.model].filter(Boolean).join(" · "));
    row("Size", candidate && candidate.size ? `${candidate.size[0]} × ${candidate.size[1]}` : card.size);
    row("Price", candidate ? candidate.price || card.price : "");
    const shown = candidate || old;
    if (shown && shown.file) row("Shown", `${shown.file}, made from the picture, which is nowhere at hand`);
    row("Made", candidate ? candidate.made : old && old.made);
    row("Tags", card.tags.join(", "));
    if (card.files.length) rows.push(el("dt", {}, card.files.length > 1 ? "Files" : "File"), el("dd", { class: "files" }, ...card.files.map(([path, verdict]) => el("div", {}, path, verdict === "fresh" ? "" : ` (${verdict})`))));
    if (candidate && candidate.key) rows.push(el("dt", {}, "Key"), el("dd", { class: "key" }, candidate.key));
    const state = gallery.tone(card);
    return el("aside", { class: "facts" },
      el("h2", {}, card.id),
      el("p", { class: "states" }, state ? el("span", { class: "dot " + state }) : null, gallery.states(card).join(" · ")),
      el("div", { class: "actions" }),
      ...card.reasons.map((reason) => el("p", { class: "reason" }, reason)),
      el("h3", {}, "Prompt"), el("p", { class: "prompt" }, card.prompt),
      ...(candidate && candidate.rewritten && candidate.rewritten !== card.prompt ? [el("h3", {}, "As the API rewrote it"), el("p", { class: "prompt" }, candidate.rewritten)] : []),
      ...(card.negative ? [el("h3", {}, "Negative prompt"), el("p", { class: "prompt" }, card.negative)] : []),
      ...(card.note && !data.live ? [el("h3", {}, "Note"), el("p", { class: "prompt" }, card.note)] : []),
      el("dl", {}, ...rows),
      ...(old && card.candidates.length ? [el("h3", {}, `At ${data.against || "the earlier revision"}`), el("dl", {}, ...changes(old))] : []));
  }

  function changes(old) {
    const rows = old.changes.map(([name, words]) => [el("dt", {}, name), el("dd", {}, words)]);
    const shown = old.file ? [el("dt", {}, "shown"), el("dd", {}, `${old.file}, made from the picture, which is nowhere at hand`)] : [];
    return [...rows.flat(), ...shown, el("dt", {}, "made"), el("dd", {}, old.made), el("dt", {}, "key"), el("dd", { class: "key" }, old.key)];
  }

  function draw() {
    const side = (words, step, name) => el("button", { type: "button", class: "turn " + name, "aria-label": words, on: { click: () => turn(step) } }, step < 0 ? "‹" : "›");
    const place = gallery.shown.indexOf(view.card);
    const close = el("button", { type: "button", class: "close", "aria-label": "Close", on: { click: () => box.close() } }, "×");
    const panel = facts();
    box.replaceChildren(el("div", { class: "left" }, stage(), strip(), side("Previous", -1, "back"), side("Next", 1, "on")), panel, close,
      el("p", { class: "place" }, place < 0 ? "" : `${place + 1} / ${gallery.shown.length}`));
    if (view.mode === "all") { const fresh = stage(); box.querySelector(".stage").replaceWith(fresh); }
    if (document.activeElement === document.body || document.activeElement === box) box.querySelector(".stage").focus({ preventScroll: true });
    for (const call of gallery.hooks.opened) call(view, panel.querySelector(".actions"), panel);
    ahead();
  }

  function ahead() {
    for (const step of [1, -1]) {
      const next = gallery.shown[gallery.shown.indexOf(view.card) + step];
      const candidate = next && gallery.used(next);
      if (candidate && candidate.digest) new Image().src = address("large", candidate.digest);
    }
  }

  // ------------------------------------------------------------ moving about

  function turn(step) {
    const at = gallery.shown.indexOf(view.card);
    const next = gallery.shown[at < 0 ? 0 : at + step];
    if (next) open(next, next.used);
  }

  function choose(number) {
    if (!view.card.candidates[number]) return;
    view.number = number;
    if (view.mode === "before") view.mode = "one";
    draw();
    box.querySelector(".stage").focus({ preventScroll: true });
  }

  function set(mode) {
    if ((mode === "all" && !hasMany()) || (mode === "before" && !hasBefore())) return;
    view.mode = view.mode === mode ? "one" : mode;
    view.actual = false;
    draw();
    const range = box.querySelector("input[type=range]");
    (range || box.querySelector(".stage")).focus({ preventScroll: true });
  }

  box.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("textarea, input:not([type=range])")) return;
    const sliding = event.target.matches("input[type=range]");
    if (!sliding && event.key === "ArrowRight") turn(1);
    else if (!sliding && event.key === "ArrowLeft") turn(-1);
    else if (/^[1-9]$/.test(event.key)) choose(Number(event.key) - 1);
    else if (event.key === "s") set("all");
    else if (event.key === "b") set("before");
    else if (event.key === "o") set("one");
    else if (event.key === "z") { view.actual = !view.actual; view.mode = "one"; draw(); }
    else if (event.key === "t") document.getElementById("theme").click();
    else if (!gallery.hooks.keys.some((call) => call(event, view.card, view))) return;
    event.preventDefault();
  });
  box.addEventListener("close", () => {
    history.replaceState(null, "", location.pathname + location.search);
    if (view.card) gallery.focus(view.card);
  });
  addEventListener("resize", () => { if (box.open && view.mode === "all") draw(); });

  let start = null;
  box.addEventListener("touchstart", (event) => { start = event.touches.length === 1 && !view.actual && !event.target.matches("input") ? event.touches[0] : null; }, { passive: true });
  box.addEventListener("touchend", (event) => {
    if (!start) return;
    const far = event.changedTouches[0].clientX - start.clientX;
    const drop = Math.abs(event.changedTouches[0].clientY - start.clientY);
    if (Math.abs(far) > 60 && drop < 40) turn(far < 0 ? 1 : -1);
    start = null;
  }, { passive: true });

  gallery.open = open;
  gallery.view = view;
  gallery.redrawViewer = () => { if (box.open) draw(); };
  let asked = "";
  try { asked = decodeURIComponent(location.hash.slice(1)); } catch { asked = ""; }
  if (asked && gallery.card(asked)) open(gallery.card(asked), gallery.card(asked).used);
})();
