// What a card says of itself: its states in words, the one that matters most, its shapes and its pictures.
// Draws nothing.
"use strict";
(() => {
  const VERDICTS = {
    generate: "to make", doubt: "in doubt", refused: "refused", failed: "failed its check", recover: "to recover", resume: "under way",
    derive: "files to make", restore: "files to restore", modified: "changed by hand", orphan: "orphan", fresh: "up to date",
  };
  const SIGNS = [ // the first that holds is on the card: state, words, kind, shape
    ["removed", "removed", "hollow", "–"], ["in doubt", "in doubt", "bad", "!"], ["refused", "refused", "bad", "!"],
    ["failed its check", "failed its check", "bad", "!"], ["changed by hand", "changed by hand", "bad", "!"], ["missing", "file missing", "bad", "!"],
    ["under way", "under way", "open", "…"], ["to recover", "to recover", "open", "…"], ["pick void", "pick void", "open", "?"],
    ["held", "approved, held", "held", "="], ["rejected", "rejected", "bad", "×"], ["stale", "stale", "open", "↻"], ["to make", "not made yet", "hollow", "○"],
    ["not made yet", "not made yet", "hollow", "○"], ["approved", "approved", "approved", "✓"], ["unpicked", "not picked yet", "open", "?"], ["picked", "picked", "approved", "✓"],
  ];

  function states(card) {
    if (!card.states) {
      const files = card.files.map((file) => file.state).filter(Boolean);
      const verdict = card.verdict === "removed" ? [] : [VERDICTS[card.verdict] || card.verdict];
      card.states = [...new Set([...card.marks, ...verdict, ...files])];
    }
    return card.states;
  }

  function sign(card) {
    if (card.sign === undefined) {
      const said = states(card);
      const found = SIGNS.find(([state]) => said.includes(state));
      card.sign = found ? { words: found[1], kind: found[2], shape: found[3] } : null;
    }
    return card.sign;
  }

  const label = (card) => (card.id.startsWith(card.asset + "/") ? card.id.slice(card.asset.length + 1) : card.id);
  const used = (card) => card.candidates[card.used] || null;
  const isMade = (card) => card.candidates.some((one) => one.digest);
  const isDecided = (card) => ["approved", "picked", "rejected"].some((mark) => card.marks.includes(mark));
  const isUndecided = (card) => isMade(card) && !isDecided(card);

  function size(card, shown) { // width and height in pixels of a file, a candidate or an earlier picture
    if (shown && shown.size) return shown.size;
    const candidate = used(card);
    if (candidate && candidate.size) return candidate.size;
    return [Math.round(1000 * Math.min(Math.max(card.ratio, 0.2), 5)), 1000];
  }

  const ships = (card) => card.files.filter((file) => file.digest);

  function pictures(card, bought, all) { // what a card shows: its files as they ship, or what was bought for them
    const candidate = (one, number) => ({ kind: "candidate", number, one, digest: one.digest, size: size(card, one), words: `candidate ${number + 1}` });
    if (all && card.candidates.length > 1) return card.candidates.map(candidate);
    if (!bought && ships(card).length) return card.files.map((file, number) => ({ kind: "file", number, file, digest: file.digest, size: size(card, file), words: file.path })).filter((shown) => shown.digest);
    if (card.candidates.length) return [candidate(used(card), card.used)];
    const before = card.before || { digest: "", size: null };
    return [{ kind: "before", number: 0, digest: before.digest, size: before.size || size(card, null), words: "before" }];
  }

  const ground = (shown) => ((shown.file || shown.one || shown).opaque ? "" : "ground"); // nothing is seen behind what is opaque

  Object.assign(gallery, { ground, states, sign, label, used, isMade, isUndecided, size, ships, pictures });
})();
