// Choosing: each choice is sent with the stamp of what it was made upon, can be undone, and is followed by the next undecided entry.
// Knows no button and no stream.
"use strict";
(() => {
  const { count, talk } = gallery;
  const pending = new Map(); // id → choices that are on their way
  const done = [];           // what undo takes back, the last choice at the end
  let last = Promise.resolve();

  const isMade = gallery.isMade;
  const isApproved = (card) => card.marks.includes("approved");
  const isOpen = (card) => isMade(card) && !isApproved(card);
  const pickedNumber = (card) => card.candidates.findIndex((one) => one.picked) + 1;
  const usedNumber = (card) => card.used + 1;

  // ------------------------------------------------------------ sending

  function mark(cards, by) {
    for (const card of cards) {
      const left = (pending.get(card.id) || 0) + by;
      if (left > 0) pending.set(card.id, left); else pending.delete(card.id);
    }
    gallery.counted();
  }

  function choose(verb, cards, more = {}) { // one after the other: the next one's stamps come from the answer before it
    mark(cards, 1);
    last = last.then(() => deliver(verb, cards, more)).finally(() => mark(cards, -1));
    return last;
  }

  async function deliver(verb, cards, { back = inverse(verb, cards), ...more } = {}) {
    const now = cards.map((card) => gallery.card(card.id)).filter(Boolean);
    if (!now.length) return null;
    const answer = await talk.send("/choose", { verb, entries: Object.fromEntries(now.map((card) => [card.id, card.stamp])), ...more });
    gallery.follow.take(answer);
    if (!answer.ok) { talk.say(answer.words || "The request was refused.", true); return null; }
    talk.say(answer.words.length === 1 ? answer.words[0] : `${count(answer.words.length, "entry", "entries")}: ${verb} is done`);
    if (back) done.push(back);
    gallery.emit("chosen");
    return answer;
  }

  // ------------------------------------------------------------ undo

  function inverse(verb, cards) {
    const step = (other, some, more = {}) => (some.length ? [{ verb: other, ids: some.map((card) => card.id), more }] : []);
    if (verb === "approve") return { words: "approve", steps: step("release", cards.filter((card) => !isApproved(card))) };
    if (verb === "release") return { words: "release", steps: step("approve", cards.filter(isApproved)) };
    if (verb === "pick" || verb === "unpick") return { words: verb, steps: cards.flatMap((card) => (pickedNumber(card) ? step("pick", [card], { number: pickedNumber(card) }) : step("unpick", [card]))) };
    if (verb === "reject") return { words: "reject", steps: step("admit", cards, { numbers: Object.fromEntries(cards.map((card) => [card.id, usedNumber(card)])) }) };
    if (verb === "note") return { words: "note", steps: cards.flatMap((card) => step("note", [card], { text: card.note })) };
    return null;
  }

  async function undo() {
    const back = done.pop();
    if (!back) { talk.say("There is nothing to undo."); return; }
    for (const { verb, ids, more } of back.steps) {
      const cards = ids.map((id) => gallery.card(id)).filter(Boolean);
      if (!(await choose(verb, cards, { ...more, back: null }))) return;
    }
    talk.say(`Undone: ${back.words} of ${back.steps.length === 1 && back.steps[0].ids.length === 1 ? back.steps[0].ids[0] : count(back.steps.flatMap((step) => step.ids).length, "entry", "entries")}`);
    const first = back.steps[0] && gallery.card(back.steps[0].ids[0]);
    if (first) go(first);
    gallery.emit("chosen");
  }

  // ------------------------------------------------------------ the next undecided one

  const isPending = (card) => pending.has(card.id);

  function nextUndecided(card) {
    const { shown } = gallery;
    const at = shown.indexOf(card);
    const order = [...shown.slice(at + 1), ...shown.slice(0, Math.max(at, 0))];
    return order.find((other) => gallery.isUndecided(other) && !isPending(other)) || null;
  }

  const go = (card) => { if (gallery.isOpen()) gallery.open(card); else gallery.focus(card); };

  function advance(card) {
    const next = nextUndecided(card);
    if (next) go(next);
    else if (gallery.isOpen()) gallery.redrawViewer();
    return next;
  }

  // ------------------------------------------------------------ the verbs

  const forward = (card, stay, sent) => { if (!stay) advance(card); return sent; };

  function approve(cards, stay) { // again on what is approved: release it
    const open = cards.filter(isOpen);
    if (open.length) return forward(cards[cards.length - 1], stay || cards.length > 1, choose("approve", open));
    const fixed = cards.filter(isApproved);
    return fixed.length ? choose("release", fixed) : talk.say("There is no picture to approve.", true);
  }

  function pick(card, number) {
    if (card.candidates[number].picked) return choose("unpick", [card]);
    return forward(card, false, choose("pick", [card], { number: number + 1 }));
  }

  function reject(cards, number) { // one candidate, else the picture in use of each
    const free = cards.filter((card) => isMade(card) && !isApproved(card));
    if (!free.length) return talk.say(cards.some(isApproved) ? "It is approved: release it first." : "There is no picture to reject.", true);
    if (free.length > 1) return choose("reject", free.filter((card) => !card.candidates[card.used].rejected));
    const [card] = free;
    const one = card.candidates[number ?? card.used];
    const back = { words: one.rejected ? "taking the rejection back" : "reject", steps: [{ verb: one.rejected ? "reject" : "admit", ids: [card.id], more: { number: (number ?? card.used) + 1 } }] };
    const left = card.candidates.filter((other) => other !== one && !other.rejected && other.digest).length;
    return forward(card, cards.length > 1 || one.rejected || left > 0, choose(one.rejected ? "admit" : "reject", [card], { number: (number ?? card.used) + 1, back }));
  }

  Object.assign(gallery, { isPending, choices: { choose, deliver, approve, pick, reject, undo, advance, isApproved, isOpen, queue: (call) => { last = last.then(call); return last; }, canUndo: () => done.length > 0 } });
})();
