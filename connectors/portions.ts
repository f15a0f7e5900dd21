/** Splits items, in order: each portion is within `maxBytes`, unless a single item is larger. */
export function* portions<Item>(
  items: readonly Item[],
  sizeOf: (item: Item) => number,
  maxBytes: number,
): Generator<readonly Item[]> {
  let portion: Item[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = sizeOf(item);
    if (portion.length > 0 && bytes + size > maxBytes) {
      yield portion;
      portion = [];
      bytes = 0;
    }
    portion.push(item);
    bytes += size;
  }
  if (portion.length > 0) yield portion;
}
