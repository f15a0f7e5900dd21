/**
 * The partition that Java's default partitioner chooses for a key: murmur2, made positive. kafkajs's own comes to the same in
 * emulated 64-bit numbers, which took a tenth of what delivering an event costs.
 */
export function partitionOf(key: string | Buffer, partitions: number): number {
  return (murmur2(typeof key === 'string' ? Buffer.from(key) : key) & 0x7f_ff_ff_ff) % partitions;
}

const M = 0x5b_d1_e9_95;

function murmur2(data: Buffer): number {
  const whole = data.length & ~3;
  let hash = 0x97_47_b2_8c ^ data.length;
  for (let at = 0; at < whole; at += 4) {
    let word = Math.imul(data.readInt32LE(at), M);
    word = Math.imul(word ^ (word >>> 24), M);
    hash = Math.imul(hash, M) ^ word;
  }
  if (whole < data.length) hash = Math.imul(hash ^ data.readUIntLE(whole, data.length - whole), M);
  hash = Math.imul(hash ^ (hash >>> 13), M);
  return hash ^ (hash >>> 15);
}
