// From what somebody types to subwords and back, as `attnlib.data.cleaning` and `.tokenizer` do.

export const [BOS, EOS, UNK] = [1, 2, 3]; // the padding is 0

// Python's isspace counts four separators of ASCII that Unicode does not call white space. (What `\s`
// matches would differ from both: here it counts the byte-order mark, and not the next-line sign.)
const SPACE = /\p{White_Space}/u;
const isSpace = (letter) => SPACE.test(letter) || (letter >= "\u001c" && letter <= "\u001f");
const HIDDEN = /\p{Default_Ignorable_Code_Point}|\p{Cf}|\p{Cc}/u; // nobody can see them

const JOINERS = "\u200c\u200d";
const PLAIN = new Map([
  ...[..."\u2018\u2019\u201a\u201b\u2032\u02bc\u00b4\uff07"].map((sign) => [sign, ["'"]]),
  ...[..."\u201c\u201d\u201e\u201f\u2033\uff02"].map((sign) => [sign, ['"', "\u201c"]]),
  ...[..."\u2010\u2011\u2012\u2013\u2014\u2015\u2212"].map((sign) => [sign, ["-"]]),
  ["\u2026", ["..."]],
]);

/** The text without what nobody can see, its typographic signs as plain as the model knows them. */
export function clean(text, signs) {
  return [...text]
    .map((letter) => {
      if (JOINERS.includes(letter)) return signs.includes(letter) ? letter : "";
      if (isSpace(letter)) return " ";
      if (HIDDEN.test(letter)) return "";
      if (signs.includes(letter)) return letter;
      return (PLAIN.get(letter) ?? []).find((plain) => signs.includes(plain[0])) ?? letter;
    })
    .join("");
}

const PUNCTUATION = /([!-/:-@[-`{-~]|\p{P})/u;

/** Byte-pair encoding (Sennrich et al. 2016), from the file that the library `tokenizers` writes. */
export class Tokenizer {
  constructor({ model: { vocab, merges } }, size) {
    this.ids = new Map(Object.entries(vocab));
    this.words = [];
    for (const [word, id] of this.ids) this.words[id] = word;
    this.ranks = new Map(merges.map((pair, rank) => [Array.isArray(pair) ? pair.join(" ") : pair, rank]));
    this.size = size; // ids in use: what comes after them is read as unknown
  }

  /** Subwords { id, text } of a text; neighbouring characters that were never seen are one. */
  encode(text) {
    const line = text.normalize("NFC").split(SPACE).filter(Boolean).join("\u2581");
    if (!line) return [];
    const words = `\u2581${line.replace(/^\u2581/u, "")}`.match(/\u2581[^\u2581]*/gu);
    return words.flatMap((word) => word.split(PUNCTUATION).filter(Boolean).flatMap((piece) => this.merged(piece)));
  }

  /** One piece, merged: always the pair that was learned first. */
  merged(piece) {
    const parts = [...piece].map((text) => ({ text, known: this.ids.has(text) }));
    const rank = (i) =>
      parts[i].known && parts[i + 1].known ? (this.ranks.get(`${parts[i].text} ${parts[i + 1].text}`) ?? Infinity) : Infinity;
    const join = (i) => parts.splice(i, 2, { text: parts[i].text + parts[i + 1].text, known: parts[i].known });
    for (;;) {
      let best = 0;
      for (let i = 1; i + 1 < parts.length; i += 1) if (rank(i) < rank(best)) best = i;
      if (parts.length < 2 || rank(best) === Infinity) break;
      join(best);
    }
    for (let i = parts.length - 2; i >= 0; i -= 1) if (!parts[i].known && !parts[i + 1].known) join(i);
    return parts.map(({ text, known }) => {
      const id = known ? this.ids.get(text) : UNK;
      return { id: id < this.size ? id : UNK, text };
    });
  }

  token(id) {
    return this.words[id];
  }

  /** The text of ids, without the specials. */
  decode(ids) {
    const words = ids.filter((id) => id > UNK).map((id) => this.words[id]);
    return words.map((word, i) => word.replaceAll("\u2581", i ? " " : "")).join("");
  }
}
