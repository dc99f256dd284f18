/** Server-sent events, as the HTML standard defines them (9.2.6), out of the body of a fetch. */

/**
 * Args:
 *     body: ReadableStream of bytes.
 *
 * Yields:
 *     {event, data} of each event as it comes.
 */
export async function* eventsOf(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let event = "message";
  let data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return; // what no blank line has ended is no event
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line === "") {
          if (data.length) yield { event, data: data.join("\n") };
          event = "message";
          data = [];
          continue;
        }
        const [, field, content] = /^([^:]*)(?:: ?)?(.*)$/s.exec(line);
        if (field === "event") event = content;
        if (field === "data") data.push(content);
      }
    }
  } finally {
    reader.cancel().catch(() => {}); // of an aborted fetch there is nothing left to cancel
  }
}
