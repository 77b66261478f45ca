// Choosing, on the review's page only: sends choices with the stamp of what they were made upon, and follows what others do.
"use strict";
(() => {
  const { el, data } = gallery;
  const busy = { building: data.building };
  let version = data.version;
  let due = data.due;

  const said = document.body.appendChild(el("p", { id: "said", popover: "manual", role: "status" }));
  const bar = document.body.appendChild(el("div", { id: "progress", hidden: true }));
  const confirmation = document.body.appendChild(el("dialog", { id: "confirm", "aria-label": "Confirm" }));
  const tools = document.getElementById("tools");
  const all = el("button", { id: "approve-all", type: "button", title: "Approve everything shown", on: { click: approveShown } }, "Approve");
  const build = el("button", { id: "build", type: "button", on: { click: () => order([]) } });
  tools.prepend(all);
  tools.append(build);

  // ------------------------------------------------------------ talking to the server

  let fading = 0;
  function say(words, bad = false) {
    said.textContent = words;
    said.className = bad ? "bad" : "";
    if (said.matches(":popover-open")) said.hidePopover();
    said.showPopover();
    clearTimeout(fading);
    fading = setTimeout(() => said.hidePopover(), bad ? 9000 : 4000);
  }

  async function send(path, body) {
    try {
      const answer = await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
      if (!(answer.headers.get("content-type") || "").includes("json")) return { ok: false, words: await answer.text() };
      return { ok: answer.ok, status: answer.status, ...(await answer.json()) };
    } catch {
      return { ok: false, words: "The review does not answer; is it still running?" };
    }
  }

  function take(state) {
    if (state.cards || state.gone) gallery.update(state.cards || [], state.gone || [], state.order);
    if (state.due) due = state.due;
    if (state.version > version) version = state.version;
    chrome();
    refreshViewer();
  }

  function refreshViewer() {
    const { view } = gallery;
    if (!view.card || !document.getElementById("viewer").open) return;
    if (pressed) { postponed = true; return; }
    const writing = document.activeElement && document.activeElement.matches("textarea");
    if (writing && drafts.has(view.card.id)) return;
    const card = gallery.card(view.card.id);
    if (!card) { document.getElementById("viewer").close(); return; }
    view.card = card;
    view.number = Math.max(0, Math.min(view.number, card.candidates.length - 1));
    gallery.redrawViewer();
    if (writing) document.querySelector("#viewer textarea").focus(); // what is typed next is a note, not a choice
  }

  // A button that is drawn anew between press and release of the mouse would never be clicked.
  let pressed = false;
  let postponed = false;
  addEventListener("pointerdown", () => { pressed = true; }, true);
  for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, () => setTimeout(() => {
    pressed = false;
    if (postponed) { postponed = false; refreshViewer(); }
  }, 0), true);

  let last = Promise.resolve();
  function choose(verb, cards, more = {}) { // one after the other: the next one's stamps come from the answer before it
    last = last.then(() => sendChoice(verb, cards, more));
    return last;
  }

  async function sendChoice(verb, cards, more) {
    if (!cards.length) return null;
    const entries = Object.fromEntries(cards.map((card) => [card.id, card.stamp]));
    const answer = await send("/choose", { verb, entries, ...more });
    take(answer);
    if (answer.ok) say(answer.words.length === 1 ? answer.words[0] : `${answer.words.length} entries: ${verb} is done`);
    else say(answer.words || "It was refused.", true);
    return answer.ok ? answer : null;
  }

  // ------------------------------------------------------------ what costs

  function ask(title, words, yes, then) {
    const close = () => confirmation.close();
    const go = el("button", { class: "yes", type: "button", on: { click: () => { close(); then(); } } }, yes);
    confirmation.replaceChildren(el("h2", {}, title), el("p", {}, words),
      el("div", { class: "actions" }, el("button", { type: "button", on: { click: close } }, "Not now"), go));
    confirmation.showModal();
    go.focus();
  }

  async function order(ids) {
    const price = await send("/price", { ids });
    if (!price.ok) { say(price.words, true); return; }
    if (price.stop) { say(price.stop, true); return; }
    if (!price.entries) { say("There is nothing to do."); return; }
    const what = price.pictures ? `${price.pictures} ${price.pictures === 1 ? "picture" : "pictures"} for ${price.words}` : `files of ${price.entries} ${price.entries === 1 ? "entry" : "entries"}, no picture is bought`;
    const start = async () => {
      const answer = await send("/build", { ids, cost: price.cost, unknown: price.unknown });
      if (!answer.ok) say(answer.words, true);
    };
    const where = ids.length === 1 ? ids[0] : "Build everything that is to do";
    const free = price.words === "free";
    ask(where, `Make ${free ? what.replace("for free", "for nothing") : what}?`, price.pictures && !free ? `Pay ${price.words}` : "Make", start);
  }

  async function reroll(card) {
    const done = await choose("reroll", [card]);
    if (done) order([card.id]);
  }

  function approveShown() {
    const cards = open(gallery.shown);
    if (cards.length) ask("Approve", `Approve ${cards.length} ${cards.length === 1 ? "entry" : "entries"} shown? They keep their pictures until somebody releases them.`, `Approve ${cards.length}`, () => choose("approve", cards));
  }

  const made = (card) => card.candidates.some((one) => one.digest);
  const approved = (card) => card.marks.includes("approved");
  const open = (cards) => cards.filter((card) => made(card) && !approved(card));
  const toggleApproval = (card) => choose(approved(card) ? "release" : "approve", [card]);
  const togglePick = (card, number) => (card.candidates[number].picked ? choose("unpick", [card]) : choose("pick", [card], { number: number + 1 }));
  const toggleRejection = (card, number) => choose(card.candidates[number].rejected ? "admit" : "reject", [card], { number: number + 1 });

  // ------------------------------------------------------------ the viewer's buttons

  function actions(view, place) {
    const { card, number } = view;
    const one = card.candidates[number];
    if (!one) return;
    const button = (words, title, on, more = {}) => place.append(el("button", { type: "button", title, on: { click: on }, ...more }, words));
    const fixed = approved(card);
    if (card.candidates.length > 1) button(one.picked ? "Unpick" : `Pick ${number + 1}`, "Enter", () => togglePick(card, number), { class: one.picked ? "" : "yes", disabled: fixed || !one.digest });
    if (made(card)) button(fixed ? "Release" : "Approve", "a", () => toggleApproval(card));
    if (one.digest) button(one.rejected ? "Take rejection back" : "Reject", "x", () => toggleRejection(card, number), { disabled: fixed });
    button(`One more · ${card.price}`, "another candidate with a fresh seed (r)", () => reroll(card), { disabled: fixed || !made(card) });
    if (card.verdict !== "fresh" && card.verdict !== "modified") button("Make…", "build this entry (m)", () => order([card.id]));
    note(card, place);
  }

  // ------------------------------------------------------------ notes

  const drafts = new Map(); // id → { text, over: the note that it was typed over, refused }: what is typed and not in the lockfile

  function note(card, place) {
    const draft = drafts.get(card.id);
    const field = el("textarea", { placeholder: card.locked ? "Note" : "A note is saved with the picture: make the picture first.", "aria-label": "Note", maxlength: 4000, readonly: !card.locked, class: draft && draft.refused ? "unkept" : "" });
    field.value = draft ? draft.text : card.note;
    field.addEventListener("input", () => {
      const typed = drafts.get(card.id) || { over: card.note, refused: false };
      typed.text = field.value;
      drafts.set(card.id, typed);
    });
    field.addEventListener("blur", () => { const typed = drafts.get(card.id); if (typed && !typed.refused) keepNote(card.id); });
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape" || (event.key === "Enter" && (event.ctrlKey || event.metaKey))) { field.blur(); event.preventDefault(); document.querySelector("#viewer .stage").focus(); }
      event.stopPropagation();
    });
    place.append(field);
    if (!draft || !draft.refused) return;
    const button = (words, on) => el("button", { type: "button", on: { click: on } }, words);
    place.append(el("p", { class: "reason" }, card.note ? `Not kept yet. The lockfile says: ${card.note}` : "Not kept yet."),
      button("Keep this note", () => keepNote(card.id)), button("Drop it", () => { drafts.delete(card.id); refreshViewer(); }));
  }

  function keepNote(id) {
    last = last.then(async () => {
      const [draft, card] = [drafts.get(id), gallery.card(id)];
      if (!draft || !card) return;
      const { text } = draft;
      if (text.trim() === card.note) drafts.delete(id);
      else if (draft.over !== card.note) {
        Object.assign(draft, { refused: true, over: card.note });
        say("The note changed meanwhile. Nothing was overwritten; both are shown.", true);
      } else if (!(await sendChoice("note", [card], { text }))) Object.assign(draft, { refused: true, over: card.note });
      else if (draft.text === text) drafts.delete(id);
      else draft.over = card.note;
      refreshViewer();
    });
  }

  addEventListener("beforeunload", (event) => { if (drafts.size) event.preventDefault(); });

  function typed(event, card, view) {
    if (!card || event.repeat) return false;
    const number = view ? view.number : card.used;
    const one = card.candidates[number];
    if (event.key === "a") toggleApproval(card);
    else if (event.key === "x" && one) toggleRejection(card, number);
    else if (event.key === "r") reroll(card);
    else if (event.key === "m") order([card.id]);
    else if (event.key === "n" && view) document.querySelector("#viewer textarea").focus();
    else if ((event.key === "p" || (event.key === "Enter" && view && !event.target.matches("button"))) && one && card.candidates.length > 1) togglePick(card, number);
    else return false;
    return true;
  }

  // ------------------------------------------------------------ the bar, and what others do

  function chrome() {
    const waiting = open(gallery.shown).length;
    all.textContent = `Approve ${waiting}`;
    all.hidden = !waiting;
    build.hidden = !due.entries || busy.building;
    build.textContent = due.pictures ? `Build ${due.pictures} · ${due.words}` : "Build files";
  }

  function progress(event) {
    bar.hidden = false;
    bar.style.setProperty("width", `${event.pictures ? Math.round(100 * event.stored / event.pictures) : 60}%`);
    bar.title = event.id;
  }

  function heard(event) {
    if (event.type === "hello") { busy.building = event.building; if (event.version !== version) whole(); chrome(); }
    else if (event.type === "cards") take(event);
    else if (event.type === "progress") progress(event);
    else if (event.type === "ended") { events.close(); say("The review has ended.", true); }
    else if (event.type === "problem") say(event.words, true);
    else if (event.type === "building") {
      busy.building = event.running;
      bar.hidden = !event.running;
      bar.style.setProperty("width", "2%");
      if (!event.running) say(event.words, event.bad);
      chrome();
    }
  }

  async function whole() {
    const answer = await fetch("/cards");
    if (!answer.ok) return;
    const state = await answer.json();
    const here = new Set(state.cards.map((card) => card.id));
    take({ ...state, gone: gallery.cards.filter((card) => !here.has(card.id)).map((card) => card.id), order: [...here] });
  }

  gallery.hooks.opened.push(actions);
  gallery.hooks.keys.push(typed);
  gallery.hooks.filtered.push(chrome);
  gallery.moreKeys = [["Enter, p", "pick this candidate, or take the pick back"], ["a", "approve, or release"], ["x", "reject, or take it back"], ["r", "one more candidate; says its price"], ["m", "make what this entry lacks"], ["n", "note; Escape leaves it"]];
  chrome();
  gallery.redrawViewer();
  const events = new EventSource("/events");
  events.addEventListener("message", (message) => heard(JSON.parse(message.data)));
})();
