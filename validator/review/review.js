/* The review page: shows the state that the server tells, and sends back what the reviewer says.
 *
 * Nothing is decided here: the server says what comes next. An answer counts once the server has
 * acknowledged it; until then the trial stays on the page with what was entered.
 */
"use strict";
(() => {
  const FLAWS = ["blur", "flicker", "motion", "shape", "colour", "artefact", "other"];
  const CHOICES = [
    ["left", "Left is better", "←"],
    ["none", "No difference", "↓"],
    ["right", "Right is better", "→"],
  ];
  const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "none", 0: "none" };
  /* A second press of a key is not an answer to a trial that has only just appeared. */
  const SETTLE_MS = 300;
  const LONGEST_NOTE = 2000;

  const main = document.getElementById("main");
  let state = null;
  let trial = null;
  let busy = false;

  function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value !== false) element.setAttribute(key, value === true ? "" : value);
    }
    element.append(...children);
    return element;
  }

  function button(action, attributes, ...children) {
    const element = make("button", { type: "button", ...attributes }, ...children);
    element.addEventListener("click", action);
    return element;
  }

  /* Talking to the server. */

  async function send(path, body) {
    const options = body === undefined ? {} : {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    };
    let reply;
    try {
      reply = await fetch(path, options);
    } catch {
      throw new Error("The server does not answer, so this is not kept yet. Start `sol review` " +
        "again and open the address it prints: every earlier answer is there.");
    }
    const data = await reply.json();
    if (!reply.ok) throw new Error(data.error);
    return data;
  }

  async function act(path, body) {
    if (busy) return;
    busy = true;
    try {
      const next = await send(path, body);
      complain("");
      render(next);
    } catch (error) {
      complain(error.message, () => act(path, body));
    } finally {
      busy = false;
    }
  }

  function complain(text, retry) {
    const problem = document.getElementById("problem");
    problem.hidden = !text;
    problem.replaceChildren(text);
    if (text && retry) problem.append(button(retry, {}, "Try again"));
  }

  /* One screen for each phase. */

  function render(next) {
    state = next;
    trial = null;
    document.getElementById("who").textContent =
      [state.reviewer, state.run].filter(Boolean).join(" · ");
    const notice = document.getElementById("notice");
    notice.hidden = !state.notice;
    notice.textContent = state.notice || "";
    showProgress();
    const screens = {
      name: askName, trial: showTrial, answered: showAnswered,
      result: () => window.solResult.show(state, main, { make, button, act, mountPlayer }),
    };
    screens[state.phase]();
    main.dataset.phase = state.phase;
  }

  function showProgress() {
    const bar = document.getElementById("bar");
    bar.max = state.total || 1;
    bar.value = state.answered || 0;
    document.getElementById("count").textContent =
      state.total ? `${state.answered} of ${state.total} answered` : "";
  }

  function askName() {
    const input = make("input", { type: "text", maxlength: 100, required: true, autocomplete: "name" });
    const form = make("form", {},
      make("h2", {}, "Who is reviewing?"),
      make("label", {}, "Your name, as it goes into the recipe", input),
      make("div", { class: "tools" }, make("button", { type: "submit" }, "Begin")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      act("reviewer", { name: input.value });
    });
    main.replaceChildren(make("section", {}, form));
    input.focus();
  }

  function showAnswered() {
    main.replaceChildren(make("section", {},
      make("h2", {}, "Every pair is answered."),
      make("p", {}, "The result tells which side was which. After that no answer can be changed."),
      make("div", { class: "tools" },
        button(() => act("reveal", {}), { id: "reveal" }, "Show the result"),
        undoButton())));
    document.getElementById("reveal").focus();
  }

  function showTrial() {
    const draft = state.draft || {};
    trial = {
      id: state.trial.id, flaws: new Set(draft.flaws), mark: draft.mark || null,
      ready: false, shown: null, spent: 0, paused: false,
    };
    trial.note = make("textarea", { id: "note", maxlength: LONGEST_NOTE, rows: 1 });
    trial.note.value = draft.note || "";
    trial.player = mountPlayer(state.trial.id, ["Left", "Right"], state.player, true);
    trial.player.addEventListener("player-frame", begin);
    trial.player.addEventListener("click", placeMark);
    trial.where = make("div", { class: "tools", id: "where" });
    const screen = make("section", { class: "blind", "aria-labelledby": "prompt" },
      make("h2", { id: "prompt" }, state.trial.prompt),
      trial.player, choices(), flaws(),
      make("label", {}, "Note ", make("kbd", {}, "N"), trial.note), trial.where, tools());
    main.replaceChildren(screen, help());
    showMark();
  }

  function choices() {
    return make("div", { class: "choose", role: "group", "aria-label": "Which is better?" },
      ...CHOICES.map(([choice, text, key]) =>
        button(() => answer(choice), { "data-choice": choice }, `${text} `, make("kbd", {}, key))));
  }

  function flaws() {
    return make("fieldset", {}, make("legend", {}, "What is wrong with the worse one (optional)"),
      make("div", { class: "flaws" }, ...FLAWS.map((flaw, index) =>
        button(() => toggle(flaw), { "data-flaw": flaw, "aria-pressed": String(trial.flaws.has(flaw)) },
          `${flaw} `, make("kbd", {}, String(index + 1))))));
  }

  function tools() {
    return make("div", { class: "tools" },
      button(pause, { id: "pause" }, "Pause ", make("kbd", {}, "P")), undoButton());
  }

  function undoButton() {
    return button(() => act("undo", {}), { id: "undo", disabled: !state.answered },
      "Take the last answer back ", make("kbd", {}, "U"));
  }

  function help() {
    return make("p", { class: "quiet" },
      "Some pairs are twice the same video. Space plays and pauses, comma and full stop step by ",
      "one frame, a click into a video marks the place of a flaw. Every answer is kept at once; ",
      "you may close this page and come back.");
  }

  /* The player: the server sends both sheets under names that say nothing. */

  function mountPlayer(id, labels, layout, autoplay) {
    const side = (name, arm) =>
      make("img", { class: "sheet", "data-arm": arm, src: `sheet/${id}/${name}`, alt: "" });
    const player = make("div", {
      class: "player", tabindex: 0, role: "group", "aria-label": "The two videos",
      "data-frames": layout.frames, "data-columns": layout.columns, "data-width": layout.width,
      "data-height": layout.height, "data-fps": layout.fps, "data-autoplay": autoplay,
      "data-start": layout.start || 0, "data-label-a": labels[0], "data-label-b": labels[1],
    }, side("left", "a"), side("right", "b"),
    make("div", { class: "stills loading quiet" }, "Loading"));
    queueMicrotask(() => window.solPlayer.mount(player));
    return player;
  }

  /* Has the server make the next trial's sheets while this one is looked at. */
  function warm(next) {
    for (const side of next ? ["left", "right"] : []) new Image().src = `sheet/${next}/${side}`;
  }

  /* What the reviewer does. */

  function begin() {
    if (!trial || trial.ready) return;
    trial.ready = true;
    trial.shown = performance.now();
    warm(state.next);
  }

  function answer(choice) {
    if (!trial || !trial.ready || trial.paused) return;
    if (performance.now() - trial.shown < SETTLE_MS && !trial.spent) return;
    act("answer", {
      trial: trial.id, choice, flaws: [...trial.flaws].sort(), note: trial.note.value.trim(),
      mark: trial.mark, seconds: (trial.spent + performance.now() - trial.shown) / 1000,
    });
  }

  function toggle(flaw) {
    if (!trial.flaws.delete(flaw)) trial.flaws.add(flaw);
    main.querySelector(`[data-flaw="${flaw}"]`)
      .setAttribute("aria-pressed", String(trial.flaws.has(flaw)));
  }

  function placeMark(event) {
    if (event.target.tagName !== "CANVAS") return;
    const canvases = [...trial.player.querySelectorAll("canvas")];
    const box = event.target.getBoundingClientRect();
    const share = (value, size) => Math.min(Math.max(value / size, 0), 1);
    trial.mark = {
      side: canvases.indexOf(event.target) === 0 ? "left" : "right",
      frame: Number(trial.player.dataset.frame),
      x: share(event.clientX - box.left, box.width), y: share(event.clientY - box.top, box.height),
    };
    showMark();
  }

  function showMark() {
    for (const old of trial.player.querySelectorAll(".mark")) old.remove();
    trial.where.replaceChildren();
    const { mark } = trial;
    if (!mark) return;
    const remove = () => { trial.mark = null; showMark(); };
    trial.where.append(
      make("span", {}, `Marked: ${mark.side}, frame ${mark.frame + 1}`),
      button(remove, {}, "Remove the mark"));
    const stage = trial.player.querySelectorAll(".stage")[mark.side === "left" ? 0 : 1];
    const dot = make("div", { class: "mark" });
    dot.style.left = `${100 * mark.x}%`;
    dot.style.top = `${100 * mark.y}%`;
    stage?.append(dot);
  }

  function pause() {
    const blind = main.querySelector(".blind");
    if (trial.paused) {
      main.querySelector("#paused").remove();
      trial.shown = performance.now();
    } else {
      if (trial.player.dataset.playing === "true") click(".play");
      if (trial.ready) trial.spent += performance.now() - trial.shown;
      main.prepend(make("section", { id: "paused" },
        make("h2", {}, "Paused"),
        make("p", {}, `${state.answered} of ${state.total} are answered and kept. You may close `,
          "this page; the address works while the server runs, and `sol review` continues later."),
        make("div", { class: "tools" },
          button(pause, { id: "resume" }, "Go on ", make("kbd", {}, "P")))));
      main.querySelector("#resume").focus();
    }
    trial.paused = !trial.paused;
    blind.hidden = trial.paused;
  }

  /* Keys: before the player sees them, so that arrows answer and do not step. */

  function click(selector, index = 0) {
    trial.player.querySelectorAll(selector)[index]?.click();
  }

  function type(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { target, key } = event;
    if (state?.phase === "answered" && key.toLowerCase() === "u") act("undo", {});
    if (!trial) return;
    if (target.tagName === "TEXTAREA" || target.type === "text") {
      if (key === "Escape") target.blur();
      return;
    }
    const presses = target.tagName === "BUTTON" && (key === " " || key === "Enter");
    const moves = target.type === "range" && /^(Arrow|Home|End|Page)/.test(key);
    if (presses || moves || target.tagName === "SELECT") return;
    if (perform(key, event.repeat)) {
      event.preventDefault();
      event.stopPropagation();
    }
  }

  /* Whether the key is one of the page's. */
  function perform(key, isRepeated) {
    const letter = key.toLowerCase();
    const actions = { u: () => act("undo", {}), p: pause };
    if (!trial.paused) {
      for (const [name, choice] of Object.entries(KEYS)) actions[name.toLowerCase()] = () => answer(choice);
      FLAWS.forEach((flaw, index) => { actions[index + 1] = () => toggle(flaw); });
      Object.assign(actions, {
        " ": () => click(".play"), n: () => trial.note.focus(),
        ",": () => click(".step", 0), ".": () => click(".step", 1),
      });
    }
    const steps = letter === "," || letter === ".";
    const hidden = ["s", "w", "d", "f", "x", "g"];
    if (letter in actions && (!isRepeated || steps)) actions[letter]();
    return letter in actions || hidden.includes(letter);
  }

  document.addEventListener("keydown", type, { capture: true });
  /* A slider that was moved by hand gives the arrows back. */
  document.addEventListener("pointerup", (event) => {
    if (event.target.type === "range") event.target.blur();
  });
  /* A page that comes back out of the browser's memory may be older than the answers. */
  window.addEventListener("pageshow", (event) => { if (event.persisted) act("state"); });
  act("state");
})();
