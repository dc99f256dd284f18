/** The page: a caption and a painted scene become pictures. */

import { Api } from "./api.js";
import { askKey, bindDialogs, showFacts } from "./dialogs.js";
import { download, fileName, labelFile, legendFile } from "./downloads.js";
import { sceneOfFiles } from "./files.js";
import { blank, square } from "./labels.js";
import { linkOf, readLink } from "./link.js";
import { Pictures } from "./pictures.js";
import { captionOf, countOf, drawn, edited } from "./recipe.js";
import { Region } from "./region.js";
import { Runs } from "./runs.js";
import { complain, say, settle } from "./say.js";
import { Settings } from "./settings.js";
import { Strip } from "./strip.js";
import { Studio } from "./studio.js";
import { unknownWords } from "./words.js";

const NO_SCENE = { side: 1, grid: 1, labels: null }; // of a model that draws none

const byId = (id) => document.getElementById(id);

export class Page {
  constructor(api, facts) {
    this.api = api;
    this.facts = facts;
    this.scene = facts.scene ?? NO_SCENE;
    this.known = facts.words && new Set(facts.words);
    this.caption = byId("caption");
    this.studio = new Studio(byId("scene"), this.scene, facts.classes);
    this.settings = new Settings(byId("settings"), facts.sampling);
    this.pictures = new Pictures(byId("picture"));
    this.region = new Region(byId("region"), facts.picture);
    this.strip = new Strip(byId("history"));
    this.runs = new Runs();
    this.shown = null; // {state, paint, shots, chosen, link}: the recipe of what is shown, and it
    for (const part of document.querySelectorAll(".of-scenes")) part.hidden = !facts.scene;
    document.querySelector(".without-scenes").hidden = facts.scene !== null;
    byId("bundle").textContent = facts.name;
    showFacts(facts);
    this.#bindRuns();
    this.#bindScene();
    this.#bindPicture();
    this.#bindFiles();
    byId("ask").addEventListener("submit", (event) => {
      event.preventDefault();
      this.draw();
    });
    byId("stop").addEventListener("click", () => this.runs.abort());
    this.caption.addEventListener("input", () => this.#checkWords());
    addEventListener("hashchange", () => this.open(location.hash));
    this.#checkWords();
  }

  /** Draw what caption, painting and settings say. */
  async draw() {
    if (!this.caption.value.trim()) {
      say("write a caption first, and the picture follows");
      return this.caption.focus();
    }
    try {
      if (!this.settings.locked) this.settings.reroll();
      await this.#run(this.#made());
    } catch (error) {
      complain(error);
    }
  }

  /** Draw a region of the picture that is shown anew, with another seed: the same would give it back. */
  redraw(box) {
    const shot = this.pictures.chosen;
    if (!shot?.final || !this.shown) return say("wait until the picture is whole");
    try {
      const { caption, guidance, temperature } = this.#made().state;
      const what = byId("settings").elements.what.value;
      const seed = crypto.getRandomValues(new Uint32Array(1))[0];
      const edit = { seed, region: box.join(), what, caption, guidance, temperature };
      this.#run(edited(this.shown, edit), shot.blob);
    } catch (error) {
      complain(error);
    }
  }

  /** Open what a link leads to, and draw it. */
  async open(fragment) {
    if (fragment === this.shown?.link) return;
    try {
      const found = await readLink(fragment);
      if (!found) return;
      this.#fill(found);
      const { bundle } = found.state;
      if (bundle !== this.facts.name) {
        throw new Error(`this link is of the bundle ${bundle}; here is ${this.facts.name}`);
      }
      await this.#run(found);
    } catch (error) {
      complain(error);
    }
  }

  /** What a picture is made of now: {state, paint}; paint null: nothing is painted. */
  #made() {
    const { painting } = this.studio;
    const paint = painting.isBlank ? null : painting.labels.slice();
    const { side, labels } = this.scene;
    const caption = this.caption.value.trim();
    const bundle = this.facts.name;
    const state = { bundle, caption, ...this.settings.read(), chosen: 0, side, labels };
    return { state, paint };
  }

  /** Draw a recipe; `source`: see drawn. */
  #run({ state, paint }, source) {
    const run = { state, paint, count: countOf({ state }) };
    return this.runs.start(run, (signal) => drawn(this.api, run, signal, source));
  }

  #bindRuns() {
    const stop = byId("stop");
    const heard = (name, act) => this.runs.addEventListener(name, ({ detail }) => act(detail));
    heard("begin", ({ run }) => {
      settle();
      stop.hidden = false;
      this.pictures.begin(run.count, captionOf(run));
      this.pictures.index = run.state.edits ? 0 : run.state.chosen;
      say("drawing");
    });
    heard("event", ({ event }) => {
      this.pictures.take(event.index, event.shot);
      if (event.index === this.pictures.index && event.shot.labels) {
        this.studio.ghost = event.shot.labels;
      }
      this.#tellWords(event.unknown_words, event.truncated);
    });
    heard("end", ({ run, seconds }) => {
      this.#over();
      say(`drawn in ${seconds.toFixed(1)} seconds`);
      this.#keep(run);
    });
    heard("fail", ({ error }) => {
      this.#over();
      complain(error);
    });
    heard("abort", () => {
      this.#over();
      say("stopped");
    });
  }

  #over() {
    byId("stop").hidden = true;
    this.pictures.end();
    this.#offer();
  }

  /** Keep a run that is over: in the history, and in the address. */
  async #keep(run) {
    const { index: chosen } = this.pictures;
    const shots = [...this.pictures.shots];
    const state = run.state.edits ? run.state : { ...run.state, chosen };
    const link = await linkOf({ state, paint: run.paint });
    const entry = { state, paint: run.paint, shots, chosen, link };
    this.shown = entry;
    this.strip.add(entry);
    history.replaceState(null, "", link);
    this.#offer();
  }

  #bindScene() {
    const { studio } = this;
    const { follow } = byId("scene").querySelector("form").elements;
    studio.addEventListener("stroke", () => this.runs.abort());
    studio.addEventListener("follow", () => {
      if (follow.checked) this.draw();
    });
    document.addEventListener("keydown", (event) => {
      if (!(event.ctrlKey || event.metaKey) || isText(event.target)) return;
      const key = event.key.toLowerCase();
      if (key === "z") event.shiftKey ? studio.redo() : studio.undo();
      else if (key === "y") studio.redo();
      else return;
      event.preventDefault();
    });
  }

  #bindPicture() {
    this.#button("reroll", () => {
      this.settings.reroll();
      this.draw();
    });
    this.#button("compare", (button) => {
      this.pictures.comparing = !this.pictures.comparing;
      button.ariaPressed = String(this.pictures.comparing);
    });
    this.#button("redraw", (button) => {
      this.region.on = !this.region.on;
      button.ariaPressed = String(this.region.on);
      byId("redraw-what").hidden = !this.region.on || !this.facts.scene;
    });
    this.region.addEventListener("region", ({ detail }) => this.redraw(detail.box));
    this.pictures.addEventListener("choose", async () => {
      const { chosen, index } = this.pictures;
      this.studio.ghost = chosen?.labels ?? null;
      if (!this.shown || this.runs.running) return;
      const entry = this.shown;
      Object.assign(entry, { chosen: index, state: { ...entry.state, chosen: index } });
      entry.link = await linkOf(entry);
      this.strip.refresh(entry);
      if (entry === this.shown) history.replaceState(null, "", entry.link);
    });
    this.strip.addEventListener("open", ({ detail: { entry } }) => {
      this.runs.abort();
      this.#fill(entry);
      this.pictures.restore(entry.shots, entry.chosen, captionOf(entry));
      this.studio.ghost = this.pictures.chosen.labels;
      this.shown = entry;
      history.replaceState(null, "", entry.link);
      say(`back to: ${captionOf(entry)}`);
      this.#offer();
    });
    this.#button("copy-link", async () => {
      const copied = await navigator.clipboard?.writeText(location.href).then(() => true, () => false);
      say(copied ? "the link is copied" : "the link is in the address bar");
    });
    this.#offer();
  }

  #bindFiles() {
    const { classes } = this.facts;
    const { side, labels: layout } = this.scene;
    const take = async (files) => {
      if (!files.length) return;
      try {
        if (!this.facts.scene) throw new Error("this model knows no scenes: there is nothing to open");
        const found = await sceneOfFiles([...files], classes, layout, side);
        settle();
        this.studio.replace(found, `opened ${files[0].name}`);
      } catch (error) {
        complain(error);
      }
    };
    byId("open").addEventListener("change", async ({ target }) => {
      await take([...target.files]);
      target.value = ""; // so that the same file can be opened again
    });
    const dropping = (on) => document.body.classList.toggle("dropping", on);
    addEventListener("dragover", (event) => {
      event.preventDefault();
      dropping(event.dataTransfer.types.includes("Files"));
    });
    addEventListener("dragleave", (event) => event.relatedTarget ?? dropping(false));
    addEventListener("drop", (event) => {
      event.preventDefault();
      dropping(false);
      take([...event.dataTransfer.files]);
    });
    const named = (end, blob) => {
      const { caption, seed } = this.shown?.state ?? this.#made().state;
      download(`${fileName(caption, seed)}${end}.png`, blob);
    };
    const { painting } = this.studio;
    const shot = () => this.pictures.chosen;
    this.#button("save-picture", () => named("", shot().blob));
    this.#button("save-scene", () => named(".scene", shot().sceneBlob));
    this.#button("save-legend", async () => named(".legend", await legendFile(shot().labels, side, classes)));
    this.#button("save-painting", async () =>
      named(".painted", await labelFile(painting.labels, side, classes, layout)),
    );
  }

  /** Fill caption, painting and fields with what a picture is made of. */
  #fill({ state, paint }) {
    const { side, labels } = this.scene;
    this.caption.value = captionOf({ state });
    this.settings.write(state);
    this.#checkWords();
    if (paint && state.labels !== labels) {
      throw new Error(`this link's scene is of ${state.labels}, the model's are of ${labels}`);
    }
    const map = paint && square(paint, state.side, state.side, side);
    this.studio.painting.replace(map ?? blank(side));
    this.studio.ghost = null;
  }

  /** Enable what can be done with what is there. */
  #offer() {
    const { chosen, earlier } = this.pictures;
    const whole = Boolean(chosen?.final);
    const able = { redraw: whole, "copy-link": this.shown !== null, compare: earlier !== null };
    Object.assign(able, { "save-picture": whole, "save-scene": whole && chosen.labels !== null });
    able["save-legend"] = able["save-scene"];
    for (const [name, can] of Object.entries(able)) byId(name).disabled = !can;
  }

  #checkWords() {
    this.#tellWords(unknownWords(this.caption.value, this.known), []);
  }

  #tellWords(unknown, truncated) {
    const words = unknown.map((word) => `“${word}”`).join(", ");
    const known = unknown.length && `The model has not learned ${words}.`;
    const cut = truncated.length && `The caption is too long: it read “${truncated[0]}”.`;
    const line = [known, cut].filter(Boolean).join(" ");
    if (byId("unknown").textContent !== line) byId("unknown").textContent = line;
  }

  #button(id, act) {
    byId(id).addEventListener("click", (event) => act(event.currentTarget));
  }
}

function isText(target) {
  return target.matches("textarea, input:not([type=radio], [type=checkbox], [type=range])");
}

bindDialogs();
const api = new Api(askKey);
/** The page, once the bundle is known. */
export const page = api.bundle().then((facts) => new Page(api, facts));
page.then((made) => {
  document.body.classList.add("ready");
  return made.open(location.hash);
}, complain);
