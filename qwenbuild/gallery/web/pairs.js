// What can be compared of an entry, and how much of it differs: its files, its candidates, and what an earlier revision had.
// Draws nothing.
"use strict";
(() => {
  const { data } = gallery;
  const asked = new Map(); // pair → promise of a share, where the review works it out

  function comparables(card) {
    const found = [];
    const add = (name, digest, size, group) => { if (digest && !found.some((one) => one.digest === digest && one.group === group)) found.push({ name, digest, size, group }); };
    const before = data.against || "before";
    for (const file of card.files) {
      if (card.before) add(`${before}: ${file.path}`, card.before.files[file.path], gallery.size(card, file), file.path);
      add(file.path, file.digest, gallery.size(card, file), file.path);
    }
    if (card.before) add(`${before}: the picture`, card.before.digest, card.before.size, "picture");
    card.candidates.forEach((one, number) => add(card.candidates.length > 1 ? `candidate ${number + 1}` : "the picture", one.digest, one.size, "picture"));
    return found;
  }

  function first(card, number = card.used) { // before and now of one file where both are at hand, else of the picture, else two candidates
    const all = comparables(card);
    const of = (digest, group) => all.find((one) => one.digest === digest && one.group === group);
    for (const file of card.files) {
      const old = card.before && card.before.files[file.path];
      if (old && file.digest && old !== file.digest) return [of(old, file.path), of(file.digest, file.path)];
    }
    const used = card.candidates[number];
    if (card.before && card.before.digest && used && used.digest && card.before.digest !== used.digest) return [of(card.before.digest, "picture"), of(used.digest, "picture")];
    const pictures = all.filter((one) => one.group === "picture");
    const now = used && of(used.digest, "picture");
    if (pictures.length > 1) return now ? [now, pictures.find((one) => one !== now)] : pictures.slice(0, 2);
    return all.length > 1 ? [all[0], all[1]] : [];
  }

  function known(one, other) {
    const shares = data.differences || {};
    if (one === other) return 0;
    return shares[`${one} ${other}`] ?? shares[`${other} ${one}`];
  }

  async function share(one, other) { // 0 to 1, or null where nobody can tell
    const said = known(one, other);
    if (said !== undefined) return said;
    if (!data.live) return null;
    const pair = `${one} ${other}`;
    if (!asked.has(pair)) asked.set(pair, fetch(`/differences/${one}/${other}`).then((answer) => (answer.ok ? answer.json() : { share: null })).then((answer) => answer.share, () => null));
    return asked.get(pair);
  }

  function percent(value) {
    if (value === null || value === undefined) return "";
    if (value === 0) return "no pixel differs";
    const words = value < 0.001 ? "less than 0.1" : value < 0.1 ? (100 * value).toFixed(1) : Math.round(100 * value);
    return `${words} % of the pixels differ`;
  }

  gallery.pairs = { comparables, first, share, known, percent };
})();
