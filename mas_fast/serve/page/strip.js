/** The pictures of this visit, newest first; each leads back to what it was made of. */

import { captionOf } from "./recipe.js";

const MOST = 60;

/** Says "open", as a CustomEvent, with {entry}. */
export class Strip extends EventTarget {
  #links = new WeakMap(); // by entry
  #list;
  #root;

  /** Args: root: the section of the page, with a list. */
  constructor(root) {
    super();
    this.#root = root;
    this.#list = root.querySelector("ol");
  }

  /**
   * Add a run that is over.
   *
   * Args:
   *     entry: {state, paint, shots, chosen, link}; what `link` leads to is drawn again to the same
   *         bytes.
   */
  add(entry) {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.append(document.createElement("img"));
    if (entry.state.edits) {
      link.append(Object.assign(document.createElement("span"), { textContent: "edit" }));
    }
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // opened elsewhere, as any link
      event.preventDefault();
      this.#mark(item);
      this.dispatchEvent(new CustomEvent("open", { detail: { entry } }));
    });
    item.append(link);
    this.#links.set(entry, link);
    this.refresh(entry);
    this.#list.prepend(item);
    this.#mark(item);
    while (this.#list.children.length > MOST) this.#list.lastChild.remove();
    this.#root.hidden = false;
  }

  /** Show what an entry says now. */
  refresh(entry) {
    const link = this.#links.get(entry);
    const image = link.querySelector("img");
    const what = entry.state.edits ? ", with a region redrawn" : "";
    image.src = entry.shots[entry.chosen].src;
    image.alt = link.title = `${captionOf(entry)}, seed ${entry.state.seed}${what}`;
    link.href = entry.link;
  }

  #mark(current) {
    for (const item of this.#list.children) {
      item.querySelector("a").ariaCurrent = item === current ? "true" : "false";
    }
  }
}
