/* The end of a review: what the answers say, which side was which, and the verdict. */
"use strict";
(() => {
  function show(state, main, tools) {
    const { make } = tools;
    main.replaceChildren(
      make("section", { class: "words", "aria-label": "Result" },
        ...state.words.map((sentence) => make("p", {}, sentence)),
        make("p", { class: "quiet" }, `The accelerated stack: ${state.stack}`)),
      verdict(state.recipe, tools),
      flaws(state.findings, tools),
      list("Pairs, unblinded", state.findings.filter((f) => !f.identical), state, tools),
      list("Identical pairs", state.findings.filter((f) => f.identical), state, tools));
  }

  /* What goes into the recipe. */

  function verdict(recipe, tools) {
    const { make } = tools;
    const section = make("section", { "aria-labelledby": "verdict" },
      make("h2", { id: "verdict" }, "Verdict"));
    if (recipe.problem) section.append(make("p", { id: "nothing" }, recipe.problem));
    else section.append(...stamp(recipe, make), ...form(recipe, tools));
    return section;
  }

  function stamp(recipe, make) {
    if (recipe.status === "unreviewed") return [];
    const note = recipe.note ? `: ${recipe.note}` : "";
    const when = recipe.when ? ` on ${recipe.when}` : "";
    return [make("p", { class: `stamp ${recipe.status}`, role: "status" },
      `The recipe is ${recipe.status} by ${recipe.reviewer}${when}${note}`)];
  }

  function form(recipe, { make, button, act }) {
    const note = make("textarea", { id: "reason", maxlength: 2000, rows: 2 });
    const again = make("input", { type: "checkbox", id: "again" });
    const decide = (status) => {
      if (status === "rejected" && !note.value.trim()) {
        note.setCustomValidity("A rejection needs a note that says why.");
        note.reportValidity();
        return;
      }
      act("decision", { status, note: note.value, again: again.checked });
    };
    note.addEventListener("input", () => note.setCustomValidity(""));
    const isDecided = recipe.status !== "unreviewed";
    return [
      make("label", {}, "Note (needed to reject)", note),
      ...(isDecided ? [make("label", {}, again, " Replace the verdict that is there")] : []),
      make("div", { class: "tools" },
        button(() => decide("approved"), { id: "approve" }, "Approve"),
        button(() => decide("rejected"), { id: "reject" }, "Reject")),
    ];
  }

  /* What was seen where. */

  function flaws(findings, { make }) {
    const byFlaw = new Map();
    for (const finding of findings) {
      for (const flaw of finding.answer.flaws) {
        byFlaw.set(flaw, [...(byFlaw.get(flaw) || []), finding]);
      }
    }
    const lines = [...byFlaw].sort().map(([flaw, found]) =>
      make("li", {}, `${flaw}: ${found.map(place).join("; ")}`));
    return make("section", { "aria-labelledby": "flaws" },
      make("h2", { id: "flaws" }, "Flaws"),
      lines.length ? make("ul", {}, ...lines) : make("p", {}, "None was noted."));
  }

  function place(finding) {
    const where = finding.identical ? "identical pair" : worse(finding);
    return `“${finding.prompt}”, seed ${finding.seed} (${where})`;
  }

  function worse(finding) {
    if (finding.marked) return `marked on the ${finding.marked} video`;
    if (!finding.preferred) return "no side was worse";
    return `${finding.preferred === "baseline" ? "accelerated" : "baseline"} video worse`;
  }

  function list(title, findings, state, tools) {
    const { make } = tools;
    const section = make("section", {}, make("h2", {}, `${title} (${findings.length})`));
    section.append(...findings.map((finding) => show_one(finding, state, tools)));
    return section;
  }

  function show_one(finding, state, { make, button, mountPlayer }) {
    const box = make("div", { class: "finding", "data-trial": finding.trial },
      make("h3", {}, finding.prompt),
      make("p", { class: "quiet" }, `${finding.pair}, seed ${finding.seed}`),
      make("p", {}, describe(finding)));
    if (finding.answer.note) box.append(make("p", {}, `Note: ${finding.answer.note}`));
    const labels = [finding.left, finding.right].map((arm) => arm[0].toUpperCase() + arm.slice(1));
    const replay = button(() => {
      const layout = { ...state.player, start: finding.answer.mark?.frame };
      replay.replaceWith(mountPlayer(finding.trial, labels, layout, true));
    }, { class: "replay" }, "Show again");
    box.append(replay);
    return box;
  }

  function describe(finding) {
    const { choice, flaws: tags, mark } = finding.answer;
    const sides = `Left was ${finding.left}, right was ${finding.right}.`;
    const said = choice === "none" ? "You saw no difference." : `You said ${choice} is better.`;
    const wrong = tags.length ? ` Flaws: ${tags.join(", ")}.` : "";
    const at = mark ? ` Marked on the ${mark.side}, frame ${mark.frame + 1}.` : "";
    return `${sides} ${said}${wrong}${at}`;
  }

  window.solResult = { show };
})();
