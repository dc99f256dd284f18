/** The bundle's classes: a list to choose from, by name, search and number keys. */

const KINDS = { stuff: "Surroundings", thing: "Things", part: "Parts of a person" };
const DIGITS = 9;

/** Says "choose" when another class is chosen. */
export class Classes extends EventTarget {
  #list;
  #search;
  #all;
  #classes;
  #shown = []; // in the order of the list

  /**
   * Args:
   *     root: holds .class-list, input[type=search], and the check box that shows the unlearned.
   *     classes: of the bundle; see mas_fast/serve/facts.py.
   */
  constructor(root, classes) {
    super();
    this.#classes = classes;
    this.#list = root.querySelector(".class-list");
    this.#search = root.querySelector("input[type=search]");
    this.#all = root.querySelector("input[type=checkbox]");
    const learned = classes.filter((one) => one.learned).length;
    root.querySelector(".rest").hidden = learned === 0 || learned === classes.length;
    root.querySelector(".rest-count").textContent = classes.length - learned;
    this.#all.checked = learned === 0;
    this.#search.addEventListener("input", () => this.#fill());
    this.#search.addEventListener("keydown", ({ key }) => {
      if (key !== "Enter" && key !== "Escape") return;
      const [first] = this.#shown;
      this.#search.value = "";
      this.#fill();
      if (key === "Enter" && first) this.choose(first.label);
    });
    this.#all.addEventListener("change", () => this.#fill());
    this.#list.addEventListener("change", (event) => this.choose(Number(event.target.value)));
    this.#fill();
    if (this.#shown.length) this.choose(this.#shown[0].label);
  }

  /** The class that is chosen: {label, name, colour, learned}. */
  get chosen() {
    return this.named(this.label);
  }

  named(label) {
    return this.#classes.find((one) => one.label === label);
  }

  /** Choose a class by its label. */
  choose(label) {
    this.label = label;
    if (!this.#shown.some((one) => one.label === label)) {
      this.#search.value = "";
      this.#all.checked ||= !this.named(label).learned;
      this.#fill();
    }
    const input = this.#list.querySelector(`input[value="${label}"]`);
    input.checked = true;
    this.#reveal(input.closest("label"));
    this.dispatchEvent(new Event("choose"));
  }

  /** Choose that of a number key, 1 to 9. Whether there is one. */
  chooseDigit(digit) {
    const found = this.#shown[digit - 1];
    if (digit > DIGITS || !found) return false;
    this.choose(found.label);
    return true;
  }

  focusSearch() {
    this.#search.focus();
    this.#search.select();
  }

  /** Scroll the list alone, never the page. */
  #reveal(item) {
    const [list, box] = [this.#list.getBoundingClientRect(), item.getBoundingClientRect()];
    if (box.top < list.top) this.#list.scrollTop -= list.top - box.top + 8;
    if (box.bottom > list.bottom) this.#list.scrollTop += box.bottom - list.bottom + 8;
    if (box.left < list.left) this.#list.scrollLeft -= list.left - box.left + 8;
    if (box.right > list.right) this.#list.scrollLeft += box.right - list.right + 8;
  }

  #fill() {
    const wanted = this.#search.value.trim().toLowerCase();
    const fits = ({ name, learned }) =>
      wanted ? name.toLowerCase().includes(wanted) : learned || this.#all.checked;
    const starts = ({ name }) => name.toLowerCase().startsWith(wanted);
    const kinds = Object.keys(KINDS);
    // Of the surroundings COCO has the broad ones last: sky, grass, mountain.
    const order = ({ kind, label }) => (kind === "stuff" ? -label : label);
    const rank = (one) => [!starts(one), !one.learned, kinds.indexOf(one.kind), order(one)];
    const byRank = (a, b) => {
      const [left, right] = [rank(a), rank(b)];
      const n = left.findIndex((value, i) => value !== right[i]);
      return n < 0 ? 0 : left[n] - right[n];
    };
    this.#shown = this.#classes.filter(fits).sort(byRank);
    this.#list.replaceChildren(...this.#shown.map((one, n) => this.#item(one, n)));
    if (!this.#shown.length) this.#list.textContent = `no class is called “${wanted}”`;
  }

  #item({ label, name, colour, learned, kind }, n) {
    const item = document.createElement("label");
    item.className = "class";
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name: "class", value: label, checked: label === this.label });
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = colour;
    const text = document.createElement("span");
    text.className = "class-name";
    text.textContent = name;
    item.title = `${KINDS[kind]}${learned ? "" : "; no caption named it when the model learned"}`;
    item.append(input, swatch, text);
    if (!learned) item.append(element("span", "note", "unnamed"));
    if (n < DIGITS) item.append(element("kbd", "", String(n + 1)));
    return item;
  }
}

function element(tag, name, text) {
  const made = document.createElement(tag);
  made.className = name;
  made.textContent = text;
  if (tag === "kbd") made.ariaHidden = "true";
  return made;
}
