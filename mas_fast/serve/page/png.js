/**
 * PNG files of labels, byte for byte. A canvas would not do: it hands out colours, which profiles
 * and transparency change, and of a palette not the indices.
 */

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const GRAY = 0;
const RGB = 2;
const PALETTE = 3;
const CHANNELS = { [GRAY]: 1, [RGB]: 3, [PALETTE]: 1, 4: 2, 6: 4 };
const LARGEST = 2 ** 25; // pixels
const TEXT = new TextDecoder("latin1");

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = CRC[(sum ^ byte) & 255] ^ (sum >>> 8);
  return ~sum >>> 0;
}

/** Send bytes through a (De)CompressionStream. */
export async function through(bytes, transform) {
  const stream = new Blob([bytes]).stream().pipeThrough(transform);
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function chunk(type, content) {
  const bytes = new Uint8Array(content.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  bytes.set(new TextEncoder().encode(type), 4);
  bytes.set(content, 8);
  view.setUint32(content.length + 8, crc(bytes.subarray(4, content.length + 8)));
  return bytes;
}

/**
 * Write labels as the gray levels of an 8-bit PNG.
 *
 * Args:
 *     labels: Uint8Array [width * height].
 *     palette: Uint8Array [256 * 3]; with it, the labels are the indices of its colours.
 *     text: pairs of a key and an ASCII text.
 *
 * Returns:
 *     The file's bytes.
 */
export async function encodePng(labels, width, height, { palette, text = [] } = {}) {
  const rows = new Uint8Array((width + 1) * height); // each begins with its filter: none
  for (let row = 0; row < height; row++) {
    rows.set(labels.subarray(row * width, (row + 1) * width), row * (width + 1) + 1);
  }
  const head = new Uint8Array(13);
  const view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  head.set([8, palette ? PALETTE : GRAY], 8);
  const parts = [
    Uint8Array.from(SIGNATURE),
    chunk("IHDR", head),
    ...(palette ? [chunk("PLTE", palette)] : []),
    ...text.map(([key, value]) => chunk("tEXt", new TextEncoder().encode(`${key}\0${value}`))),
    chunk("IDAT", await through(rows, new CompressionStream("deflate"))),
    chunk("IEND", new Uint8Array(0)),
  ];
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/**
 * Read a PNG of 8 bits a channel or less.
 *
 * Returns:
 *     width, height; channels, 1 to 4; samples, Uint8Array [height * width * channels], of a palette
 *     the indices; text, a Map of its uncompressed text entries.
 *
 * Throws:
 *     Error: says what was found.
 */
export async function decodePng(bytes) {
  if (!SIGNATURE.every((byte, n) => bytes[n] === byte)) throw new Error("this is no PNG");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const data = [];
  const text = new Map();
  let head = null;
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const type = TEXT.decode(bytes.subarray(at + 4, at + 8));
    if (at + 12 + length > bytes.length) throw new Error("this PNG is cut off");
    const content = bytes.subarray(at + 8, at + 8 + length);
    if (type === "IHDR") head = content;
    if (type === "IDAT") data.push(content);
    if (type === "tEXt") {
      const end = content.indexOf(0);
      text.set(TEXT.decode(content.subarray(0, end)), TEXT.decode(content.subarray(end + 1)));
    }
    at += 12 + length;
  }
  if (!head || !data.length) throw new Error("this PNG holds no picture");
  const headView = new DataView(head.buffer, head.byteOffset, head.length);
  const [width, height] = [headView.getUint32(0), headView.getUint32(4)];
  const [depth, kind, , , interlaced] = head.subarray(8);
  const channels = CHANNELS[kind];
  if (!channels || depth > 8 || interlaced) {
    throw new Error("found a PNG of 16 bits or interlaced, expected 8 bits, not interlaced");
  }
  if (!(width * height <= LARGEST)) throw new Error(`${width} x ${height} pixels are too many`);
  const packed = await inflate(data, height * (1 + Math.ceil((width * channels * depth) / 8)));
  const rows = unfilter(packed, height, Math.max(1, (channels * depth) >> 3));
  const samples = depth === 8 ? rows : unpack(rows, width, height, depth);
  return { width, height, channels, samples, text };
}

/** Inflate to the length that a picture has, and never further. */
async function inflate(parts, expected) {
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(expected);
  let length = 0;
  try {
    for (const reader = stream.getReader(); ; ) {
      const { value, done } = await reader.read();
      if (done) break;
      if (length + value.length > expected) throw new Error("more");
      bytes.set(value, length);
      length += value.length;
    }
  } catch {
    throw new Error("this PNG is damaged");
  }
  if (length !== expected) throw new Error("this PNG is cut off");
  return bytes;
}

/** Undo the filters of rows (PNG specification, 9.2). */
function unfilter(packed, height, pixel) {
  const stride = packed.length / height - 1;
  const rows = new Uint8Array(stride * height);
  for (let row = 0; row < height; row++) {
    const filter = packed[row * (stride + 1)];
    if (filter > 4) throw new Error("this PNG is damaged");
    for (let n = 0; n < stride; n++) {
      const at = row * stride + n;
      const a = n >= pixel ? rows[at - pixel] : 0;
      const b = row ? rows[at - stride] : 0;
      const c = row && n >= pixel ? rows[at - stride - pixel] : 0;
      const guess = [0, a, b, (a + b) >> 1, filter === 4 ? paeth(a, b, c) : 0][filter];
      rows[at] = packed[row * (stride + 1) + 1 + n] + guess;
    }
  }
  return rows;
}

function paeth(a, b, c) {
  const [pa, pb, pc] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
  if (pa <= pb && pa <= pc) return a;
  return pb <= pc ? b : c;
}

/** Samples of 1, 2 or 4 bits, one byte each; every row begins with a byte. */
function unpack(rows, width, height, depth) {
  const stride = rows.length / height;
  const samples = new Uint8Array(width * height);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const bit = column * depth;
      const byte = rows[row * stride + (bit >> 3)];
      samples[row * width + column] = (byte >> (8 - depth - (bit & 7))) & ((1 << depth) - 1);
    }
  }
  return samples;
}

/** One channel of what decodePng gives. */
export function channel({ samples, channels }, index) {
  return samples.filter((_, n) => n % channels === index);
}

/** Base64 of bytes, and bytes of Base64. */
export function toBase64(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

export function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
