// The review's buttons and keys, and what costs.
"use strict";
(() => {
  const { el, button, byId, talk, follow, choices, notes, on, count } = gallery;
  const { say, send } = talk;
  const confirmation = document.body.appendChild(el("dialog", { id: "confirm", "aria-label": "Confirm" }));
  const tools = byId("tools");
  const undo = button("Undo", choices.undo, { id: "undo", title: "Take the last choice back (u)", hidden: true });
  const all = button("", approveShown, { id: "approve-all", title: "Approve everything shown" });
  const build = button("", () => order([]), { id: "build" });
  const against = el("input", { id: "against", type: "text", placeholder: "Compare with", "aria-label": "Compare with a git revision, or qwenbuild.lock", title: "a git revision, or qwenbuild.lock; Enter", spellcheck: "false", autocomplete: "off", maxlength: 200 });
  against.addEventListener("keydown", (event) => { if (event.key === "Enter") compare(against.value.trim()); });
  tools.prepend(undo, all);
  tools.append(build, against);

  // ------------------------------------------------------------ what costs

  function ask(title, words, yes, then) {
    const held = document.activeElement;
    const close = () => { confirmation.close(); if (held && held.isConnected) held.focus({ preventScroll: true }); };
    const go = button(yes, () => { close(); then(); }, { class: "yes" });
    confirmation.replaceChildren(el("h2", {}, title), el("p", {}, words), el("div", { class: "actions" }, button("Not now", close), go));
    confirmation.showModal();
    go.focus();
  }

  const named = (ids) => (ids.length === 1 ? ids[0] : count(ids.length, "entry", "entries"));

  async function pay(ids, price, before = null) {
    if (before && !(await before())) return;
    const answer = await send("/build", { ids, cost: price.cost, unknown: price.unknown });
    if (!answer.ok) say(answer.words, true);
  }

  async function priced(ids, more = {}) {
    const price = await send("/price", { ids, ...more });
    if (price.ok && !price.stop && price.entries) return price;
    say(price.ok ? price.stop || "There is nothing to do." : price.words, !price.ok || Boolean(price.stop));
    return null;
  }

  async function order(ids) {
    const price = await priced(ids);
    if (!price) return;
    const free = price.words === "free";
    const what = price.pictures ? `${count(price.pictures, "picture")} for ${free ? "nothing" : price.words}` : `files of ${count(price.entries, "entry", "entries")}, no picture is bought`;
    ask(ids.length ? named(ids) : "Build everything that is out of date", `Make ${what}?`, price.pictures && !free ? `Pay ${price.words}` : "Make", () => pay(ids, price));
  }

  async function reroll(cards) { // nothing is written before its price was agreed to
    const ids = cards.filter(choices.isOpen).map((card) => card.id);
    if (!ids.length) { say(cards.some(choices.isApproved) ? "It is approved: release it first." : "Make the picture first.", true); return; }
    const price = await priced(ids, { reroll: true });
    if (!price) return;
    const free = price.words === "free";
    ask(`One more of ${named(ids)}`, `Make ${count(price.pictures, "picture")} for ${free ? "nothing" : price.words}?`, free ? "Make" : `Pay ${price.words}`,
      () => pay(ids, price, () => choices.choose("reroll", ids.map((id) => gallery.card(id)).filter(Boolean))));
  }

  async function compare(revision) { // what is known of it arrives as any news does
    const answer = await send("/compare", { against: revision });
    if (!answer.ok) { say(answer.words, true); return; }
    say(revision ? `Compared with ${revision}` : "Compared with nothing");
    if (revision) gallery.show("changes");
  }

  function approveShown() {
    const cards = gallery.shown.filter(choices.isOpen);
    if (cards.length) ask("Approve", `Approve ${count(cards.length, "entry", "entries")} shown? They keep their pictures until somebody releases them.`, `Approve ${cards.length}`, () => choices.choose("approve", cards));
  }

  // ------------------------------------------------------------ the viewer's buttons

  function actions(view, place) {
    const { card, number } = view;
    const one = card.candidates[number];
    if (!one) return;
    const fixed = choices.isApproved(card);
    const left = card.candidates.filter((each) => each.digest && !each.rejected).length;
    const several = card.candidates.length > 1;
    const main = fixed ? "" : !left ? "more" : one.rejected ? "" : several && !one.picked && !card.marks.includes("picked") ? "pick" : "approve";
    const put = (name, words, title, call, more = {}) => place.append(button(words, call, { title, class: main === name ? "yes" : "", ...more }));
    const more = () => put("more", `One more · ${card.price}`, "another candidate with a fresh seed (r)", () => reroll([card]), { disabled: fixed || !gallery.isMade(card) });
    if (main === "more") more();
    if (several && left) put("pick", one.picked ? "Unpick" : `Pick ${number + 1}`, "Enter", () => choices.pick(card, number), { disabled: fixed || !one.digest || one.rejected });
    if (gallery.isMade(card) && (left || fixed)) put("approve", fixed ? "Release" : "Approve", "a", () => choices.approve([card]));
    if (one.digest) put("reject", one.rejected ? "Undo rejection" : "Reject", "x", () => choices.reject([card], number), { disabled: fixed });
    if (main !== "more") more();
    if (card.verdict !== "fresh" && card.verdict !== "modified") put("make", "Make…", "build this entry (m)", () => order([card.id]));
    if (choices.canUndo()) put("undo", "Undo", "take the last choice back (u)", choices.undo);
    const made = gallery.shown.filter(gallery.isMade);
    place.append(el("p", { class: "reason" }, `${made.filter((each) => gallery.isUndecided(each) && !gallery.isPending(each)).length} of ${made.length} left`));
    notes.draw(card, place);
  }

  function typed(event, card, view) { // in a board's row or column: of all its entries
    if (event.repeat) return false;
    if (event.key === "u") { choices.undo(); return true; }
    if (!card) return false;
    const cards = view ? [card] : gallery.seen().cards(card);
    const number = view ? view.number : card.used;
    const one = card.candidates[number];
    if (event.key === ".") { if (!choices.advance(card)) say("Nothing is undecided."); }
    else if (event.key === "a") choices.approve(cards);
    else if (event.key === "x") choices.reject(cards, cards.length === 1 && view ? number : undefined);
    else if (event.key === "r") reroll(cards);
    else if (event.key === "m") order(cards.map((each) => each.id));
    else if (event.key === "n" && view) byId("viewer").querySelector("textarea").focus();
    else if ((event.key === "p" || (event.key === "Enter" && view && !event.target.matches("button"))) && one && card.candidates.length > 1 && cards.length === 1) choices.pick(card, number);
    else return false;
    return true;
  }

  // ------------------------------------------------------------ an entry that is open, drawn anew

  let pressed = false; // a button that is drawn anew between press and release of the mouse would never be clicked
  let postponed = false;
  addEventListener("pointerdown", () => { pressed = true; }, true);
  for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, () => setTimeout(() => { pressed = false; if (postponed) { postponed = false; refresh(); } }, 0), true);

  function refresh() {
    const { view } = gallery;
    if (!view.card || !gallery.isOpen()) return;
    if (pressed) { postponed = true; return; }
    const writing = document.activeElement && document.activeElement.matches("textarea");
    if (writing && notes.drafts.has(view.card.id)) return;
    const card = gallery.card(view.card.id);
    if (!card) { byId("viewer").close(); return; }
    view.card = card;
    const shown = card.candidates[view.number];
    if (!shown || (shown.rejected && !view.wasRejected)) view.number = Math.max(0, Math.min(card.used, card.candidates.length - 1));
    view.wasRejected = Boolean(card.candidates[view.number] && card.candidates[view.number].rejected);
    gallery.redrawViewer();
    if (writing) byId("viewer").querySelector("textarea").focus(); // what is typed next is a note, not a choice
  }

  // ------------------------------------------------------------ the bar

  function chrome() {
    const waiting = gallery.shown.filter(choices.isOpen).length;
    all.textContent = `Approve ${waiting}`;
    all.hidden = !waiting;
    undo.hidden = !choices.canUndo();
    build.hidden = !follow.due.entries || follow.building;
    build.textContent = follow.due.pictures ? `Build ${follow.due.pictures} · ${follow.due.words}` : "Build files";
  }

  on("opened", actions);
  on("state", () => { chrome(); refresh(); });
  on("redraw", refresh);
  on("counted", chrome);
  on("chosen", chrome);
  gallery.keys.push(typed);
  gallery.moreKeys = [["Enter, p", "pick this candidate, or take the pick back"], ["a", "approve, or release"], ["x", "reject, or take it back"], ["r", "one more candidate; says its price first"], ["a x r", "on the board, at the head of a row or column: all of it"],
    ["u", "undo"], [".", "the next undecided one"], ["m", "make what this entry lacks"], ["n", "note; Escape leaves it"]];
  on("start", () => { chrome(); against.value = gallery.data.against || ""; });
})();
