// What changes on the disk while the page is open arrives by itself: other cards, a build that goes on, the end of it all.
// Knows no choice.
"use strict";
(() => {
  const { el, data, talk, emit, on } = gallery;
  const { say } = talk;
  const bar = document.body.appendChild(el("div", { id: "progress", hidden: true }));
  const follow = { building: data.building, version: data.version, due: data.due };
  let events = null;

  function take(state) { // a newer state of some cards, or of all
    if (state.due) follow.due = state.due;
    if (state.version > follow.version) follow.version = state.version;
    if (state.boards) data.boards = state.boards;
    if (state.differences) Object.assign(data, { differences: state.differences });
    if (state.against !== undefined && state.against !== data.against) compared(state.against);
    if (state.atlases) emit("atlases", state.atlases);
    if (state.cards || state.gone) gallery.update(state.cards || [], state.gone || [], state.order);
    emit("state");
  }

  function compared(against) { // with another revision: the tab of what changed comes, or goes
    data.against = against;
    if (!against && gallery.isSeen("changes")) gallery.show("cards");
    gallery.tabs();
  }

  async function whole() {
    const answer = await fetch("/cards");
    if (!answer.ok) return;
    const now = await answer.json();
    const here = new Set(now.cards.map((card) => card.id));
    take({ ...now, gone: gallery.cards.filter((card) => !here.has(card.id)).map((card) => card.id), order: [...here] });
  }

  function built(event) {
    follow.building = event.running;
    bar.hidden = !event.running;
    bar.style.setProperty("width", "2%");
    if (!event.running) say(event.words, event.bad);
    emit("state");
  }

  function progress(event) {
    bar.hidden = false;
    bar.style.setProperty("width", `${event.pictures ? Math.round((100 * event.stored) / event.pictures) : 60}%`);
    say(event.pictures ? `Building: ${event.stored} of ${event.pictures} pictures` : `Building: ${event.id}`);
  }

  const HEARD = {
    hello: (event) => { follow.building = event.building; if (event.version !== follow.version) whole(); emit("state"); },
    cards: take, progress, building: built,
    ended: () => { events.close(); say("The review has ended.", true); },
    problem: (event) => say(event.words, true),
  };

  on("start", () => {
    events = new EventSource("/events");
    events.addEventListener("message", (message) => { const event = JSON.parse(message.data); if (HEARD[event.type]) HEARD[event.type](event); });
  });
  gallery.follow = Object.assign(follow, { take, whole });
})();
