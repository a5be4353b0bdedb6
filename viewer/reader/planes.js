// Bytes in the low bit planes of an image: bit i, the most significant of each byte first, is bit
// floor(i / N) of value i mod N.

/** Stored bytes from `start` to `end`. */
export function readStored(values, start, end) {
  const bytes = new Uint8Array(end - start);
  visit(values.length, start, end, (index, plane, at) => {
    bytes[at >> 3] |= ((values[index] >> plane) & 1) << (7 - (at & 7));
  });
  return bytes;
}

/** Clear, in place, the bits of the stored bytes from `start` to `end`. */
export function clearStored(values, start, end) {
  visit(values.length, start, end, (index, plane) => {
    values[index] &= ~(1 << plane);
  });
}

function visit(n, start, end, use) {
  let plane = Math.floor((8 * start) / n);
  let index = (8 * start) % n;
  for (let at = 0; at < 8 * (end - start); at += 1) {
    use(index, plane, at);
    index += 1;
    if (index === n) [index, plane] = [0, plane + 1];
  }
}
