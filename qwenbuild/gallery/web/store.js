// The cards, in the manifest's order: which of them the filter shows, and what becomes of them while the page is open.
// Draws nothing.
"use strict";
(() => {
  const { data, emit, states } = gallery;
  const store = { cards: [], shown: [], index: new Map(), query: { words: "", asset: "", tag: "", state: "" } };

  const text = (card) => {
    if (!card.text) {
      card.text = [card.id, card.prompt, card.model, card.provider, card.note, ...card.tags, ...states(card), ...card.files.map((file) => file.path),
        ...card.candidates.map((one) => `${one.seed} ${one.key}`)].join("\n").toLowerCase();
    }
    return card.text;
  };

  function test(word) {
    const [, kind, rest] = /^(asset|tag|is):(.*)$/.exec(word) || [];
    if (kind === "asset") return (card) => card.asset.toLowerCase() === rest;
    if (kind === "tag") return (card) => card.tags.some((tag) => tag.toLowerCase() === rest);
    if (kind === "is" && rest === "undecided") return gallery.isUndecided;
    if (kind === "is") return (card) => states(card).some((state) => state.replaceAll(" ", "-") === rest);
    return (card) => text(card).includes(word);
  }

  function filter(query = {}) {
    Object.assign(store.query, query);
    const { words, asset, tag, state } = store.query;
    const asked = words.toLowerCase().split(/\s+/).filter(Boolean).map(test);
    if (asset) asked.push((card) => card.asset === asset);
    if (tag) asked.push((card) => card.tags.includes(tag));
    if (state === "any change") asked.push((card) => ["changed", "new", "removed"].some((mark) => card.marks.includes(mark)));
    else if (state === "undecided") asked.push(gallery.isUndecided);
    else if (state) asked.push((card) => states(card).includes(state));
    store.shown = asked.length ? store.cards.filter((card) => asked.every((one) => one(card))) : store.cards;
    emit("filtered");
  }

  function update(changed, gone = [], order = null) { // new cards in place of old ones; `order` names all ids when some are new
    store.cards = [...store.cards];
    for (const card of changed) {
      const old = store.index.get(card.id);
      if (old) { for (const name of Object.keys(old)) delete old[name]; Object.assign(old, card); continue; }
      store.cards.push(card);
      store.index.set(card.id, card);
    }
    if (gone.length) {
      const left = new Set(gone);
      gone.forEach((id) => store.index.delete(id));
      store.cards = store.cards.filter((card) => !left.has(card.id));
    }
    if (order) {
      const place = new Map(order.map((id, number) => [id, number]));
      store.cards = [...store.cards].sort((one, other) => place.get(one.id) - place.get(other.id));
    }
    emit("updated", changed.map((card) => card.id));
    filter();
  }

  function census() { // how many cards there are of each asset, tag and state
    const [assets, tags, kinds] = [new Map(), new Map(), new Map()];
    const add = (map, name) => map.set(name, (map.get(name) || 0) + 1);
    for (const card of store.cards) {
      add(assets, card.asset);
      card.tags.forEach((tag) => add(tags, tag));
      states(card).forEach((state) => add(kinds, state));
      if (gallery.isUndecided(card)) add(kinds, "undecided");
      if (["changed", "new", "removed"].some((mark) => card.marks.includes(mark))) add(kinds, "any change");
    }
    return { assets, tags: new Map([...tags].sort((a, b) => a[0].localeCompare(b[0]))), kinds };
  }

  store.cards = data.cards;
  store.index = new Map(store.cards.map((card) => [card.id, card]));
  store.shown = store.cards;
  Object.assign(gallery, { store, filter, update, census, card: (id) => store.index.get(id) });
  Object.defineProperty(gallery, "cards", { get: () => store.cards });
  Object.defineProperty(gallery, "shown", { get: () => store.shown });
})();
