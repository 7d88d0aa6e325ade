// What a person may type into the forms, before the node is asked.
//
// Owns: the judgement of the payment form and of the add-a-node form, and the JSON text of a
// payment. Pure. The node judges again; this only saves a round trip and says it sooner.

import { amountText, jsonFromUnits, parseAmount } from './amount.js';
import { recipientError } from './address.js';

/** Bytes of UTF-8 a memo may have (protocol: transfers). */
export const MEMO_BYTES_MAX = 64;

export function memoBytes(memo) {
  return new TextEncoder().encode(memo).length;
}

function memoError(memo) {
  if (/[\u0000-\u001f\u007f-\u009f]/.test(memo)) return 'A memo is one line of plain text.';
  const bytes = memoBytes(memo);
  return bytes > MEMO_BYTES_MAX ? `This memo takes ${bytes} bytes; ${MEMO_BYTES_MAX} fit.` : null;
}

function amountError(parsed, fee, funds) {
  if (parsed.error) return parsed.error;
  if (parsed.units === 0n) return 'Enter more than zero.';
  if (funds !== null && parsed.units + fee > funds) {
    const what = fee > 0n ? 'with the fee ' : '';
    return `More than you have: ${what}this takes ${amountText(parsed.units + fee)} of your ${amountText(funds)} coins.`;
  }
  return null;
}

/**
 * Judges the payment form. `typed` holds the four texts; `known` holds { network, address, funds },
 * each null while unknown. Answers { errors, payment }: an error sentence for each bad field, or the
 * payment with amounts in base units.
 */
export function checkPayment(typed, known) {
  const errors = {};
  const recipient = typed.recipient.trim();
  const amount = parseAmount(typed.amount);
  const fee = typed.fee.trim() === '' ? { units: 0n } : parseAmount(typed.fee);
  const note = (field, error) => {
    if (error) errors[field] = error;
  };
  note('recipient', recipientError(recipient, known.network));
  if (!errors.recipient && recipient.toLowerCase() === known.address?.toLowerCase()) {
    note('recipient', 'This is your own address.');
  }
  note('amount', amountError(amount, fee.units ?? 0n, known.funds));
  note('fee', fee.error);
  note('memo', memoError(typed.memo));
  if (Object.keys(errors).length > 0) return { errors, payment: null };
  return { errors, payment: { recipient, amount: amount.units, fee: fee.units, memo: typed.memo } };
}

/**
 * The JSON text of a payment. Amounts are written digit by digit, never through a float. The same
 * `requestId` sent again never pays twice.
 */
export function paymentJson(payment, requestId) {
  const fields = [
    `"recipient":${JSON.stringify(payment.recipient)}`,
    `"amount":${jsonFromUnits(payment.amount)}`,
  ];
  if (payment.fee > 0n) fields.push(`"fee":${jsonFromUnits(payment.fee)}`);
  if (payment.memo !== '') fields.push(`"memo":${JSON.stringify(payment.memo)}`);
  fields.push(`"request_id":${JSON.stringify(requestId)}`);
  return `{${fields.join(',')}}`;
}

/** What is wrong with the address of a node, as a sentence, or null. */
export function nodeError(typed) {
  const text = typed.trim();
  if (text === '') return 'Enter host and port of a node, as in localhost:5001.';
  if (/^[a-z]+:\/\//i.test(text)) return 'Leave out http://: only host and port, as in localhost:5001.';
  const parts = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+):(\d{1,5})$/i.exec(text);
  if (!parts) return 'Enter host and port, as in localhost:5001 or 192.168.1.20:5000.';
  const port = Number(parts[2]);
  return port < 1 || port > 65535 ? 'A port is a number from 1 to 65535.' : null;
}
