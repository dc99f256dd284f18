/** The pictures of this visit, newest first; each leads back to what it was made of. */

const MOST = 60;

/** Says "open", as a CustomEvent, with {entry}. */
export class Strip extends EventTarget {
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
   *     entry: {state, paint, shots, chosen, link, edited}; what `link` leads to is drawn again to
   *         the same bytes, but for an edit, whose link is that of the picture that it began with.
   */
  add(entry) {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = entry.link;
    const image = document.createElement("img");
    const { caption, seed } = entry.state;
    const what = entry.edited ? ", with a region redrawn" : "";
    image.src = entry.shots[entry.chosen].src;
    image.alt = `${caption}, seed ${seed}${what}`;
    link.title = image.alt;
    link.append(image);
    if (entry.edited) link.append(Object.assign(document.createElement("span"), { textContent: "edit" }));
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // opened elsewhere, as any link
      event.preventDefault();
      this.#mark(item);
      this.dispatchEvent(new CustomEvent("open", { detail: { entry } }));
    });
    item.append(link);
    this.#list.prepend(item);
    this.#mark(item);
    while (this.#list.children.length > MOST) this.#list.lastChild.remove();
    this.#root.hidden = false;
  }

  #mark(current) {
    for (const item of this.#list.children) {
      item.querySelector("a").ariaCurrent = item === current ? "true" : "false";
    }
  }
}
