/** The run that is under way. There is one at most: the next one aborts it. */

/**
 * Says, as CustomEvents: "begin" with {run}; "event" with {run, event}, what the server said;
 * "end" with {run, seconds} once all pictures are whole; "fail" with {run, error}; "abort" with
 * {run}. After the abort of a run, nothing more is said of it.
 */
export class Runs extends EventTarget {
  #current = null;

  get running() {
    return this.#current !== null;
  }

  /**
   * Start a run.
   *
   * Args:
   *     run: what others want to know of it; `run.count` is the number of its pictures.
   *     ask(signal): an async iterator over the server's events.
   */
  async start(run, ask) {
    this.abort();
    const controller = new AbortController();
    const current = { controller, run };
    this.#current = current;
    const begin = performance.now();
    this.#say("begin", { run });
    try {
      let whole = 0;
      for await (const event of ask(controller.signal)) {
        if (this.#current !== current) return;
        whole += event.type.endsWith(".completed");
        this.#say("event", { run, event });
      }
      if (this.#current !== current) return;
      if (whole < run.count) throw new Error("the server went away before the picture was whole");
      this.#current = null;
      this.#say("end", { run, seconds: (performance.now() - begin) / 1000 });
    } catch (error) {
      if (this.#current !== current) return;
      this.#current = null;
      this.#say("fail", { run, error });
    }
  }

  /** Give up the run, if there is one; the server is told by the connection that ends. */
  abort() {
    if (!this.#current) return;
    const { controller, run } = this.#current;
    this.#current = null;
    controller.abort();
    this.#say("abort", { run });
  }

  #say(what, detail) {
    this.dispatchEvent(new CustomEvent(what, { detail }));
  }
}
