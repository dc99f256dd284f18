/** The server: requests with its key, and its errors in one line. */

import { eventsOf } from "./events.js";

const KEY = "mas_fast.key"; // in sessionStorage

/** What the server refused, or could not do. */
export class Failure extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/**
 * Args:
 *     askKey(wrong): a promise of a key, or null to give up; `wrong`: whether one was refused.
 */
export class Api {
  #askKey;

  constructor(askKey) {
    this.#askKey = askKey;
  }

  /** What the model knows: see mas_fast/serve/facts.py. */
  async bundle() {
    return (await this.#ask("v1/bundle", {})).json();
  }

  /** The events of a picture that is drawn, each as an object. */
  generate(request, signal) {
    const headers = { "Content-Type": "application/json" };
    return this.#stream("v1/images/generations", JSON.stringify(request), headers, signal);
  }

  /** The same of a region that is drawn anew; `image` is a Blob. */
  edit(request, image, signal) {
    const form = new FormData();
    for (const [name, value] of Object.entries(request)) form.set(name, value);
    form.set("image", image, "picture.png");
    return this.#stream("v1/images/edits", form, {}, signal);
  }

  async *#stream(path, body, headers, signal) {
    const response = await this.#ask(path, { method: "POST", body, headers, signal });
    for await (const { event, data } of eventsOf(response.body)) {
      const said = JSON.parse(data);
      if (event === "error") throw new Failure(said.error.message);
      yield said;
    }
  }

  async #ask(path, options) {
    for (let wrong = false; ; wrong = true) {
      const key = sessionStorage.getItem(KEY);
      const headers = { ...options.headers, ...(key && { Authorization: `Bearer ${key}` }) };
      const response = await fetch(path, { ...options, headers }).catch((error) => {
        if (error.name === "AbortError") throw error;
        throw new Failure("the server does not answer");
      });
      if (response.ok) return response;
      const said = await response.json().catch(() => null);
      if (response.status !== 401) {
        throw new Failure(said?.error?.message ?? response.statusText, response.status);
      }
      const given = await this.#askKey(wrong && key !== null);
      if (given === null) throw new Failure("the server wants a key", 401);
      sessionStorage.setItem(KEY, given);
    }
  }
}
