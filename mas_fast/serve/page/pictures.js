/** The pictures of a run, as they come: one large, all of them small, and the one before. */

/**
 * A shot is a picture as far as it is drawn: {src, blob, labels, share, final}; src is a data URL,
 * labels those of its scene (null: not there yet). Says "choose" when another is chosen.
 */
export class Pictures extends EventTarget {
  #image;
  #before;
  #slider;
  #thumbs;
  #stage;
  #progress;

  /** Args: root: the section of the page. */
  constructor(root) {
    super();
    this.shots = [];
    this.index = 0;
    this.earlier = null; // the src of the picture that was whole before
    this.alt = "";
    this.#stage = root.querySelector(".stage");
    this.#image = root.querySelector(".now");
    this.#before = root.querySelector(".before");
    this.#slider = root.querySelector(".slider");
    this.#thumbs = root.querySelector(".thumbs");
    this.#progress = root.querySelector("progress");
    this.#thumbs.addEventListener("change", (event) => this.choose(Number(event.target.value)));
    this.#slider.querySelector("input").addEventListener("input", () => this.#show());
  }

  /** The shot that is shown large; undefined: none yet. */
  get chosen() {
    return this.shots[this.index];
  }

  get comparing() {
    return !this.#slider.hidden;
  }

  /** Whether the picture before is laid over a part of the one now. */
  set comparing(on) {
    this.#slider.hidden = !on;
    this.#show();
  }

  /** Begin a run of `count` pictures. What is there is shown until the first of it comes. */
  begin(count, alt) {
    if (this.chosen?.final) this.earlier = this.chosen.src;
    this.shots = new Array(count);
    this.index = Math.min(this.index, count - 1);
    this.alt = alt;
    this.#stage.classList.add("stale");
    this.#progress.hidden = false;
    this.#progress.value = 0;
  }

  /** Show how far one of them is. */
  take(index, shot) {
    this.shots[index] = shot;
    this.#show();
  }

  /** The run is over. */
  end() {
    this.#progress.hidden = true;
    this.#stage.classList.remove("stale");
  }

  /** Show the pictures of an earlier run. */
  restore(shots, index, alt) {
    if (this.chosen?.final) this.earlier = this.chosen.src;
    Object.assign(this, { shots, index, alt });
    this.end();
    this.#show();
  }

  choose(index) {
    this.index = index;
    this.#show();
    this.dispatchEvent(new Event("choose"));
  }

  #show() {
    const shot = this.chosen;
    if (shot) {
      this.#stage.classList.remove("stale", "empty");
      this.#image.hidden = false;
      this.#image.src = shot.src;
      this.#image.alt = shot.final ? this.alt : `${this.alt}, not yet whole`;
      this.#progress.value = shot.share;
    }
    const comparing = this.comparing && this.earlier !== null;
    this.#before.hidden = !comparing;
    if (comparing) {
      this.#before.src = this.earlier;
      const share = this.#slider.querySelector("input").value;
      this.#before.style.clipPath = `inset(0 ${100 - share}% 0 0)`;
    }
    this.#list();
  }

  #list() {
    this.#thumbs.hidden = this.shots.length < 2;
    const { shots } = this;
    const current = this.#thumbs.querySelectorAll("label");
    if (current.length !== shots.length) {
      this.#thumbs.replaceChildren(...Array.from(shots, (_, n) => thumb(n)));
    }
    this.#thumbs.querySelectorAll("label").forEach((item, n) => {
      item.querySelector("input").checked = n === this.index;
      const image = item.querySelector("img");
      image.hidden = !shots[n];
      if (shots[n] && image.src !== shots[n].src) image.src = shots[n].src;
    });
  }
}

function thumb(n) {
  const item = document.createElement("label");
  const input = document.createElement("input");
  Object.assign(input, { type: "radio", name: "candidate", value: n });
  input.ariaLabel = `Picture ${n + 1}`;
  const image = document.createElement("img");
  image.alt = "";
  item.append(input, image);
  return item;
}
