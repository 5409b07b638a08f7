/**
 * Lines of a stream of bytes, as views of the pieces that it comes in: no string is made, and bytes
 * are copied only for a line that goes over the end of a piece.
 */
const NEWLINE = 0x0a;

/** Splits pieces of input into records; both are bytes. */
export interface Splitter {
  /** The records that are whole with this piece. They are views of it, mostly. */
  push(piece: Uint8Array): Uint8Array[];
  /** What is left at the end of the input. Throws for what cannot be a record. */
  end(): Uint8Array[];
}

/** Thrown for a record that is longer than any may be. */
export class RecordTooLong extends Error {}

export class LineSplitter implements Splitter {
  readonly #maxBytes: number;
  /** The beginning of a line whose end has not come yet. */
  #pieces: Uint8Array[] = [];
  #pieceBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(piece: Uint8Array): Uint8Array[] {
    const { buffer, byteOffset, byteLength } = piece;
    const lines: Uint8Array[] = [];
    let start = 0;
    let end = piece.indexOf(NEWLINE);
    if (end >= 0 && this.#pieceBytes > 0) {
      lines.push(this.#joined(piece.subarray(0, end)));
      start = end + 1;
      end = piece.indexOf(NEWLINE, start);
    }
    while (end >= 0) {
      lines.push(new Uint8Array(buffer, byteOffset + start, end - start));
      start = end + 1;
      end = start;
      while (end < byteLength && piece[end] !== NEWLINE) end++;
      if (end === byteLength) break;
    }
    if (start < byteLength) this.#keep(piece.subarray(start));
    return lines;
  }

  #keep(piece: Uint8Array): void {
    this.#pieceBytes += piece.byteLength;
    if (this.#pieceBytes > this.#maxBytes) throw new RecordTooLong();
    this.#pieces.push(piece);
  }

  #joined(last: Uint8Array): Uint8Array {
    const line = new Uint8Array(this.#pieceBytes + last.byteLength);
    let at = 0;
    for (const piece of [...this.#pieces, last]) {
      line.set(piece, at);
      at += piece.byteLength;
    }
    this.#pieces = [];
    this.#pieceBytes = 0;
    return line;
  }

  /** A last line needs no newline; nothing behind the last newline is no line. */
  end(): Uint8Array[] {
    return this.#pieceBytes === 0 ? [] : [this.#joined(new Uint8Array(0))];
  }
}
