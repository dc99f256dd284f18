/** What a picture is drawn with, beside caption and scene: seed, number, guidance, temperature. */

const LARGEST = 2 ** 53; // whole numbers below it are exact in JSON here

export class Settings {
  #fields;

  /**
   * Args:
   *     form: holds inputs called seed, locked, count, guidance and temperature.
   *     sampling: the bundle's own, that hold where a field is empty.
   */
  constructor(form, sampling) {
    this.#fields = form.elements;
    for (const name of ["guidance", "temperature"]) {
      this.#fields[name].placeholder = own(sampling[name]);
    }
    this.reroll();
  }

  get locked() {
    return this.#fields.locked.checked;
  }

  /** Take another seed. */
  reroll() {
    this.#fields.seed.value = crypto.getRandomValues(new Uint32Array(1))[0] % 1_000_000;
  }

  /**
   * Read the fields.
   *
   * Returns:
   *     {seed, count, guidance, temperature}; the last two null: the model's own.
   *
   * Throws:
   *     Error: says which field is unfit.
   */
  read() {
    const seed = Number(this.#fields.seed.value || "0");
    if (!Number.isInteger(seed) || seed < 0 || seed >= LARGEST) {
      throw new Error(`seed: found ${this.#fields.seed.value}, expected a whole number from 0`);
    }
    const count = Number(this.#fields.count.value);
    return { seed, count, guidance: this.#number("guidance"), temperature: this.#number("temperature") };
  }

  /** Set the fields to what `read` gave. */
  write({ seed, count, guidance, temperature }) {
    this.#fields.seed.value = seed;
    this.#fields.count.value = count;
    this.#fields.guidance.value = guidance ?? "";
    this.#fields.temperature.value = temperature ?? "";
  }

  #number(name) {
    const { value, validity } = this.#fields[name];
    if (validity.badInput) throw new Error(`${name}: expected a number, or nothing`);
    return value === "" ? null : Number(value);
  }
}

/** A setting of the bundle in words: one value, or one of each stream. */
function own(value) {
  const values = typeof value === "object" && value ? Object.values(value) : [value];
  return [...new Set(values.flat().filter((one) => one !== null && one !== undefined))].join(" / ");
}
