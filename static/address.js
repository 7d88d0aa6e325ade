// Recipients as a person types them.
//
// Owns: the form of an address: bech32m (BIP-350) over the 32 bytes of a public key, or that key in
// 64 hex digits. Never: whether the key is on the curve; that is the node's to say.

const ALPHABET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const GENERATORS = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
const BECH32M = 0x2bc830a3;
const CHECKSUM_LENGTH = 6;
/** 32 bytes in groups of five bits. */
const KEY_LENGTH = 52;

/** How addresses begin on a network, or null while its name is not known. Other names are custom chains'. */
export function prefixOf(network) {
  if (!network) return null;
  if (network === 'main') return 'far';
  return network === 'dev' ? 'fard' : 'farc';
}

function polymod(values) {
  let sum = 1;
  for (const value of values) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ value;
    for (let bit = 0; bit < 5; bit += 1) if ((top >>> bit) & 1) sum ^= GENERATORS[bit];
  }
  return sum >>> 0;
}

function expandPrefix(prefix) {
  const codes = [...prefix].map((letter) => letter.charCodeAt(0));
  return [...codes.map((code) => code >>> 5), 0, ...codes.map((code) => code & 31)];
}

/** Prefix and five-bit values of a bech32m text with a good checksum, else null. */
export function decodeBech32m(text) {
  if (text !== text.toLowerCase() && text !== text.toUpperCase()) return null;
  const lower = text.toLowerCase();
  const split = lower.lastIndexOf('1');
  const prefix = lower.slice(0, split);
  if (split < 1 || /[^\x21-\x7e]/.test(prefix) || lower.length > 90) return null;
  const values = [...lower.slice(split + 1)].map((letter) => ALPHABET.indexOf(letter));
  if (values.length < CHECKSUM_LENGTH || values.includes(-1)) return null;
  if (polymod([...expandPrefix(prefix), ...values]) !== BECH32M) return null;
  return { prefix, values: values.slice(0, -CHECKSUM_LENGTH) };
}

/**
 * What is wrong with a recipient, as a sentence, or null. `network` is the node's network name, or
 * null while it is not known; then the prefix is left to the node.
 */
export function recipientError(typed, network) {
  const text = typed.trim();
  if (text === '') return 'Enter the address of the recipient.';
  if (/^[0-9a-f]{64}$/i.test(text)) return null;
  if (/\s/.test(text)) return 'An address has no spaces.';
  const expected = prefixOf(network);
  if (!/^far[cd]?1/i.test(text)) {
    return `An address starts with ${expected ?? 'far'}1, or is a public key of 64 hex digits.`;
  }
  const decoded = decodeBech32m(text);
  if (!decoded) return 'This address has a mistyped or missing character: its checksum does not match.';
  if (decoded.values.length !== KEY_LENGTH) return 'This address has the wrong length.';
  if (expected && decoded.prefix !== expected) {
    return `This address belongs to another network: here they start with ${expected}1.`;
  }
  return null;
}
