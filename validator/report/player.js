/* Two videos drawn from one clock, so that they cannot go out of step.
 *
 * Contract: mounts every `.player` of the parsed page when it comes near the view, and at once any
 * that `window.solPlayer.mount(element)` is given. It reads
 *
 *   <div class="player" tabindex="0" role="group" aria-label="..."
 *        data-frames="17" data-columns="5" data-width="64" data-height="64" data-fps="8"
 *        data-label-a="Baseline" data-label-b="Accelerated" data-start="8" data-autoplay>
 *     <img class="sheet" data-arm="a" src="..." alt=""> <img class="sheet" data-arm="b" ...>
 *     <div class="stills">shown without a script, on paper, and while the sheets load</div>
 *   </div>
 *
 * A sheet holds all frames in rows of `columns`, each width x height pixels; both arms share this
 * layout. Labels come from the data attributes alone: a blind page says "Left" and "Right".
 * `data-start` (0 if absent) is the frame shown first. `data-autoplay` starts the player when it
 * is first in view, unless the reader prefers reduced motion. Starting one player pauses another.
 *
 * It adds the class `ready`, `data-frame`, `data-mode` and `data-playing` to the player,
 * `data-frame` to each canvas, and sends a bubbling `player-frame` event (detail: frame) at each
 * drawn frame. A player that is removed from the page stops.
 *
 * Keys while the player or something in it has the focus: Space or K play, arrows or , . step,
 * Home End first and last, S W D F mode, X the other arm, G gain, L loop, [ ] speed. Arrows on a
 * slider (wipe, frame) move that slider.
 */
"use strict";
(() => {
  const MODES = { side: "Side by side", wipe: "Wipe", difference: "Difference", flip: "Flip" };
  const GAINS = [1, 4, 16];
  const SPEEDS = [0.25, 0.5, 1, 2];
  const WIPE_STEP = 0.02;
  const WIPE_LEAP = 0.1;
  const WHITE = 255;
  const ROUNDING = 1e-3;
  const NEAR = "600px";
  let playing = null;

  function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  function button(text, action, attributes = {}) {
    const element = make("button", { type: "button", ...attributes }, text);
    element.addEventListener("click", action);
    return element;
  }

  function press(element, isPressed) {
    element.setAttribute("aria-pressed", String(isPressed));
  }

  const within = (value, low, high) => Math.min(Math.max(value, low), high);

  class Player {
    constructor(root, sheets) {
      const data = root.dataset;
      this.root = root;
      this.sheets = sheets;
      this.count = Number(data.frames);
      this.columns = Number(data.columns);
      this.width = Number(data.width);
      this.height = Number(data.height);
      this.fps = Number(data.fps);
      this.labels = { a: data.labelA, b: data.labelB };
      this.frame = Number(data.start || 0);
      this.mode = "side";
      this.arm = "a";
      this.gain = 4;
      this.speed = 1;
      this.loops = true;
      this.wipe = 0.5;
      this.build();
      this.listen();
      this.setMode("side");
      root.classList.add("ready");
    }

    /* What is on the page. */

    build() {
      this.views = [this.makeView(), this.makeView()];
      this.handle = make("div", {
        class: "handle", role: "slider", tabindex: "0", "aria-label": "Wipe position",
        "aria-valuemin": "0", "aria-valuemax": "100",
      });
      this.views[0].stage.append(this.handle);
      const views = this.views.map((view) => view.figure);
      // Above the views: their height changes with the mode, and what is pressed must not move.
      this.root.append(
        this.makeModes(), this.makeTransport(), make("div", { class: "views" }, ...views));
    }

    makeView() {
      const size = { width: this.width, height: this.height };
      const canvas = make("canvas", { ...size, role: "img" });
      const label = make("div", { class: "labels" });
      const stage = make("div", { class: "stage" }, canvas);
      const context = canvas.getContext("2d");
      context.imageSmoothingEnabled = false;
      return { figure: make("div", { class: "view" }, label, stage), canvas, context, label, stage };
    }

    makeTransport() {
      this.play = button("Play", () => this.toggle(), { class: "play" });
      this.scrub = make("input", {
        type: "range", min: 0, max: this.count - 1, step: 1, "aria-label": "Frame" });
      this.scrub.addEventListener("input", () => this.jump(Number(this.scrub.value)));
      this.loop = button("Loop", () => this.setLoops(!this.loops), { "aria-pressed": "true" });
      this.pace = make("select", { "aria-label": "Speed" },
        ...SPEEDS.map((speed) => make("option", { value: speed }, `${speed}×`)));
      this.pace.value = "1";
      this.pace.addEventListener("change", () => this.setSpeed(Number(this.pace.value)));
      // No <output>: that would be read aloud at every frame.
      this.counter = make("span", { class: "counter" });
      return make("div", { class: "transport" }, this.play,
        button("‹", () => this.step(-1), { "aria-label": "One frame back", class: "step" }),
        this.scrub,
        button("›", () => this.step(1), { "aria-label": "One frame on", class: "step" }),
        this.counter, this.loop, this.pace);
    }

    makeModes() {
      this.modes = Object.fromEntries(Object.entries(MODES).map(([mode, text]) =>
        [mode, button(text, () => this.setMode(mode), { "data-mode": mode })]));
      this.gains = GAINS.map((gain) =>
        button(`×${gain}`, () => this.setGain(gain), { "data-gain": gain }));
      this.other = button("Other arm", () => this.flip(), { class: "other" });
      const choices = { class: "choices", role: "group" };
      this.gainBox = make("div", { ...choices, "aria-label": "Amplification" }, ...this.gains);
      return make("div", { class: "modes" },
        make("div", { ...choices, "aria-label": "View" }, ...Object.values(this.modes)),
        this.gainBox, this.other);
    }

    listen() {
      const stage = this.views[0].stage;
      stage.addEventListener("pointerdown", (event) => this.grab(event));
      stage.addEventListener("pointermove", (event) => {
        if (stage.hasPointerCapture(event.pointerId)) this.drag(event);
      });
      this.handle.addEventListener("keydown", (event) => this.nudge(event));
      this.root.addEventListener("keydown", (event) => this.type(event));
      new ResizeObserver(() => this.fit()).observe(this.root);
    }

    /* What the reader may change. */

    setMode(mode) {
      this.mode = mode;
      this.root.dataset.mode = mode;
      for (const [name, element] of Object.entries(this.modes)) press(element, name === mode);
      this.views[1].figure.hidden = mode !== "side";
      this.handle.hidden = mode !== "wipe";
      this.gainBox.hidden = mode !== "difference";
      this.other.hidden = mode !== "flip";
      this.fit();
      this.draw();
    }

    setGain(gain) {
      this.gain = gain;
      this.draw();
    }

    setWipe(share) {
      this.wipe = within(share, 0, 1);
      this.draw();
    }

    setSpeed(speed) {
      this.speed = speed;
      this.pace.value = String(speed);
      this.restartClock();
    }

    setLoops(loops) {
      this.loops = loops;
      press(this.loop, loops);
      this.restartClock();
    }

    flip() {
      this.arm = this.arm === "a" ? "b" : "a";
      this.draw();
    }

    step(by) {
      this.pause();
      this.jump((this.frame + by + this.count) % this.count);
    }

    jump(frame) {
      this.frame = within(frame, 0, this.count - 1);
      this.restartClock();
      this.draw();
    }

    /* The clock: the frame follows from the time since `since`, for both arms at once. */

    toggle() {
      if (playing === this) this.pause();
      else this.start();
    }

    start() {
      if (playing) playing.pause();
      playing = this;
      if (!this.loops && this.frame === this.count - 1) this.frame = 0;
      this.showPlaying();
      this.restartClock();
      const tick = (now) => {
        if (playing !== this) return;
        if (this.root.isConnected) {
          this.follow(now);
          requestAnimationFrame(tick);
        } else this.pause();
      };
      requestAnimationFrame(tick);
    }

    pause() {
      if (playing === this) playing = null;
      this.showPlaying();
    }

    /* The next tick sets the time: that of an event may lie after it. */
    restartClock() {
      this.since = null;
    }

    follow(now) {
      const rate = (this.fps * this.speed) / 1000;
      this.since ??= now - (this.frame + ROUNDING) / rate;
      const frame = Math.floor((now - this.since) * rate);
      if (!this.loops && frame >= this.count) {
        this.pause();
        return;
      }
      if (frame % this.count === this.frame) return;
      this.frame = frame % this.count;
      this.draw();
    }

    showPlaying() {
      this.play.textContent = playing === this ? "Pause" : "Play";
      this.root.dataset.playing = String(playing === this);
    }

    /* Drawing. */

    draw() {
      const [first, second] = this.views;
      if (this.mode === "side") {
        this.paint(first, "a");
        this.paint(second, "b");
        this.name(first, this.labels.a);
        this.name(second, this.labels.b);
      } else if (this.mode === "wipe") this.drawWipe(first);
      else if (this.mode === "difference") this.drawDifference(first);
      else {
        this.paint(first, this.arm);
        this.name(first, this.labels[this.arm]);
      }
      this.showFrame();
    }

    paint({ context }, arm, from = 0) {
      const x = (this.frame % this.columns) * this.width;
      const y = Math.floor(this.frame / this.columns) * this.height;
      const width = this.width - from;
      if (width > 0) {
        context.drawImage(
          this.sheets[arm], x + from, y, width, this.height, from, 0, width, this.height);
      }
    }

    drawWipe(view) {
      this.paint(view, "a");
      this.paint(view, "b", Math.round(this.wipe * this.width));
      const percent = Math.round(100 * this.wipe);
      this.handle.style.left = `${100 * this.wipe}%`;
      this.handle.setAttribute("aria-valuenow", String(percent));
      this.handle.setAttribute("aria-valuetext", `${this.labels.a} on the left ${percent}%`);
      this.name(view, this.labels.a, this.labels.b);
    }

    drawDifference(view) {
      const [a, b] = [this.read("a"), this.read("b")];
      const image = view.context.createImageData(this.width, this.height);
      const out = image.data;
      let [sum, top] = [0, 0];
      for (let i = 0; i < out.length; i += 1) {
        const apart = Math.abs(a[i] - b[i]);
        sum += apart;
        if (apart > top) top = apart;
        out[i] = i % 4 === 3 ? WHITE : this.gain * apart;
      }
      view.context.putImageData(image, 0, 0);
      for (const element of this.gains) press(element, Number(element.dataset.gain) === this.gain);
      const mean = sum / (3 * this.width * this.height);
      const numbers = `this frame: mean ${mean.toFixed(2)}, largest ${top} of ${WHITE}`;
      this.name(view, `|${this.labels.a} − ${this.labels.b}| × ${this.gain}`, numbers);
    }

    read(arm) {
      if (!this.scratch) {
        const canvas = make("canvas", { width: this.width, height: this.height });
        this.scratch = { context: canvas.getContext("2d", { willReadFrequently: true }) };
      }
      this.paint(this.scratch, arm);
      return this.scratch.context.getImageData(0, 0, this.width, this.height).data;
    }

    name(view, ...texts) {
      const label = texts.join(" | ");
      if (view.named === label) return;
      view.named = label;
      view.label.replaceChildren(...texts.map((text) => make("span", {}, text)));
      view.canvas.setAttribute("aria-label", label);
    }

    showFrame() {
      const seconds = (this.frame / this.fps).toFixed(2);
      this.counter.textContent = `${this.frame + 1} / ${this.count} · ${seconds} s`;
      this.scrub.value = String(this.frame);
      this.root.dataset.frame = String(this.frame);
      for (const view of this.views) view.canvas.dataset.frame = String(this.frame);
      const detail = { frame: this.frame };
      this.root.dispatchEvent(new CustomEvent("player-frame", { bubbles: true, detail }));
    }

    fit() {
      for (const { canvas } of this.views) {
        canvas.classList.toggle("enlarged", canvas.clientWidth > this.width);
      }
    }

    /* Pointer and keys. */

    grab(event) {
      if (this.mode === "flip") this.flip();
      if (this.mode !== "wipe") return;
      this.views[0].stage.setPointerCapture(event.pointerId);
      this.handle.focus();
      this.drag(event);
      event.preventDefault();
    }

    drag(event) {
      const box = this.views[0].canvas.getBoundingClientRect();
      this.setWipe((event.clientX - box.left) / box.width);
    }

    nudge(event) {
      const steps = {
        ArrowLeft: -WIPE_STEP, ArrowDown: -WIPE_STEP, ArrowRight: WIPE_STEP, ArrowUp: WIPE_STEP,
        PageDown: -WIPE_LEAP, PageUp: WIPE_LEAP, Home: -1, End: 1,
      };
      if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
      this.setWipe(this.wipe + steps[event.key]);
      event.preventDefault();
      event.stopPropagation();
    }

    type(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const key = event.key.toLowerCase();
      const native = { INPUT: /^(arrow|home|end|page)/, SELECT: /./, BUTTON: /^( |enter)$/ };
      if (native[event.target.tagName]?.test(key)) return;
      const action = this.actions()[key];
      if (!action) return;
      action();
      event.preventDefault();
    }

    actions() {
      return {
        " ": () => this.toggle(), k: () => this.toggle(),
        ",": () => this.step(-1), arrowleft: () => this.step(-1),
        ".": () => this.step(1), arrowright: () => this.step(1),
        home: () => this.jump(0), end: () => this.jump(this.count - 1),
        s: () => this.setMode("side"), w: () => this.setMode("wipe"),
        d: () => this.setMode("difference"), f: () => this.setMode("flip"),
        x: () => (this.mode === "flip" ? this.flip() : this.setMode("flip")),
        l: () => this.setLoops(!this.loops),
        g: () => this.setGain(after(GAINS, this.gain, 1, true)),
        "[": () => this.setSpeed(after(SPEEDS, this.speed, -1)),
        "]": () => this.setSpeed(after(SPEEDS, this.speed, 1)),
      };
    }
  }

  function after(values, value, by, wraps = false) {
    const index = values.indexOf(value) + by;
    const last = values.length - 1;
    return values[wraps ? (index + values.length) % values.length : within(index, 0, last)];
  }

  function startInView(player) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const watch = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watch.disconnect();
      if (!playing) player.start();
    }, { threshold: 0.5 });
    watch.observe(player.root);
  }

  async function mount(root) {
    if (root.dataset.mounted) return;
    root.dataset.mounted = "true";
    const [a, b] = ["a", "b"].map((arm) => root.querySelector(`img.sheet[data-arm="${arm}"]`));
    try {
      await Promise.all([a.decode(), b.decode()]);
    } catch {
      root.append(make("p", { class: "quiet" }, "The frames could not be decoded."));
      return;
    }
    const player = new Player(root, { a, b });
    if ("autoplay" in root.dataset) startInView(player);
  }

  function mountAll() {
    const watch = new IntersectionObserver((entries) => {
      for (const entry of entries.filter(({ isIntersecting }) => isIntersecting)) {
        watch.unobserve(entry.target);
        mount(entry.target);
      }
    }, { rootMargin: NEAR });
    document.querySelectorAll(".player").forEach((root) => watch.observe(root));
  }

  window.solPlayer = { mount };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", mountAll);
  else mountAll();
})();
