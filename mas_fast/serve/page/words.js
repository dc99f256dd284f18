/** Which words of a caption the model has learned. */

/** Split a caption as mas_fast/text/captions.py does. */
export function wordsOf(caption) {
  const text = caption.replaceAll("\u2019", "'").toLowerCase().normalize("NFC");
  const runs = text.match(/[\p{L}\p{M}\p{N}'-]+/gu) ?? [];
  return runs.map((run) => run.replace(/^['-]+|['-]+$/g, "")).filter(Boolean);
}

/** The words of a caption that are not in a set, each once; none where there is no set. */
export function unknownWords(caption, known) {
  return known ? [...new Set(wordsOf(caption))].filter((word) => !known.has(word)) : [];
}
