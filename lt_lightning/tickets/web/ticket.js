/**
 * Classify texts with a ticket, in a browser or in Node: no server, no dependency.
 *
 *     import { loadTicket } from "./ticket.js";
 *     const ticket = await loadTicket(bytes);        // the bytes of a file that `export` wrote
 *     ticket.predict(["Stocks fell"])[0];            // a probability per class of ticket.classNames
 *
 * The words of a text, the logits and the shares of words are those of the Python package, but for rounding in the
 * last digits. `docs/ticket-format.md` describes the file. Tickets of pre-trained encoders, and those that split texts
 * with spaCy, are refused.
 */

/**
 * A word of a text and what it adds to each logit.
 *
 * @typedef {object} Word
 * @property {string} text the word as it stands in the text
 * @property {number} start its place in the text, in UTF-16 units
 * @property {number} end the place behind it
 * @property {boolean} known whether the ticket has a vector of it
 * @property {number[]} shares what it adds to each logit
 */

/**
 * Why a text has its logits.
 *
 * @typedef {object} Explanation
 * @property {"windows" | "leave-one-out"} method `windows`: the shares and `bias` add up to the logits.
 *     `leave-one-out`: each share is how much the logit falls without the word; they need not add up.
 * @property {number[]} logits one per class; of two classes a single one, of class 1
 * @property {number[] | null} bias what no word adds: biases; null for `leave-one-out`
 * @property {Word[]} words
 */

/**
 * Texts as the words that a network knows, one behind the other.
 *
 * @typedef {object} Reading
 * @property {Int32Array} ids the row of each word's vector
 * @property {Int32Array} starts its place in the text
 * @property {Int32Array} ends the place behind it
 */

/**
 * The arrays of a ticket's file.
 *
 * @typedef {Map<string, {type: string, bytes: Uint8Array}>} Tensors
 */

/**
 * What a word adds to windows, without zeros.
 *
 * @typedef {object} Answers
 * @property {Uint16Array | Int32Array} features
 * @property {Uint8Array | Int32Array} taps the position of the word in the window
 * @property {Float32Array} values
 */

/**
 * A parameter: its living entries and their places in C order.
 *
 * @typedef {object} Parameter
 * @property {number[]} shape
 * @property {Float32Array} values
 * @property {Int32Array | null} places null where all entries live
 */

const UNKNOWN = 0;
const PADDING = 1;
const FORMAT = "lt-lightning packed ticket";
const VERSIONS = ["1", "2"];
const SEAL = 64; // hexadecimal digits
/** Numbers of words' answers that are kept: 56 MB. */
const KEPT = 8_000_000;
/** Windows that are computed at a time, so that a text of any length fits into memory. */
const BLOCK = 2048;

/**
 * Read a ticket.
 *
 * @param {ArrayBuffer | Uint8Array} bytes the file that `python -m lt_lightning.export` wrote
 * @returns {Promise<Ticket>}
 * @throws {Error} the bytes are no ticket, or damaged, or one that cannot be read here; the message says which
 */
export async function loadTicket(bytes) {
  const file = new Uint8Array(bytes);
  const { about, tensors } = unseal(file);
  if (about.splitter === "spacy") {
    throw new Error("the ticket splits texts with spaCy, which runs in Python alone");
  }
  const words = await unpackWords(tensors, "words");
  const places = readPlaces(tensors, "words", about.words - 2);
  if (!places || places.length !== words.length) throw new Error("the ticket is damaged: its words have no ids");
  /** @type {Map<string, number>} */
  const ids = new Map();
  for (let i = 0; i < words.length; i++) ids.set(words[i], places[i] + 2);
  if (tensors.has("zero_words")) {
    for (const word of await unpackWords(tensors, "zero_words")) ids.set(word, PADDING);
  }
  /** @type {Map<string, Parameter>} */
  const parameters = new Map();
  for (const [name, stated] of Object.entries(about.parameters)) {
    parameters.set(name, readParameter(tensors, name, stated));
  }
  const network = about.model.name === "birnn" ? new Recurrence(about.model, parameters) : new Convolution(parameters);
  return new Ticket(about, ids, network);
}

/** A text classifier. */
export class Ticket {
  #ids;
  #network;

  /**
   * @param {any} about the header of the file
   * @param {Map<string, number>} ids the row of each word's vector
   * @param {Convolution | Recurrence} network
   */
  constructor(about, ids, network) {
    /** The header of the file: where the ticket comes from, its accuracy, … @type {any} */
    this.about = about;
    this.#ids = ids;
    this.#network = network;
  }

  /** The classes in the order of `predict`. @returns {string[]} */
  get classNames() {
    return this.about.class_names;
  }

  /**
   * Return the logits of each text: one per class; of two classes a single one, of class 1.
   *
   * @param {string[]} texts
   * @returns {Float32Array[]}
   */
  logits(texts) {
    return checked(texts).map((text) => this.#network.logits(this.#read(text).ids));
  }

  /** What `predict` divides logits by, fitted on validation rows; 1 if there is none. @returns {number} */
  get temperature() {
    return this.about.temperature ?? 1;
  }

  /**
   * Return the probabilities of the classes for each text; they sum to 1.
   *
   * @param {string[]} texts
   * @param {{raw?: boolean}} [options] `raw`: do not divide the logits by the temperature
   * @returns {Float32Array[]}
   */
  predict(texts, { raw = false } = {}) {
    const temperature = raw ? 1 : this.temperature;
    return this.logits(texts).map((logits) => softmax(logits.map((logit) => logit / temperature)));
  }

  /**
   * Return what each word adds to each logit of a text.
   *
   * For a convolutional network these are exact: a feature is the answer of one window of words, to which each word
   * adds a product; with the biases they add up to the logit. For a recurrent network a share is how much the logit
   * falls when the word is left out.
   *
   * @param {string} text
   * @returns {Explanation}
   */
  explain(text) {
    const [given] = checked([text]);
    const read = this.#read(given);
    const { method, logits, bias, shares } = this.#network.explain(read.ids);
    const words = Array.from(read.ids, (id, i) => ({
      text: given.slice(read.starts[i], read.ends[i]),
      start: read.starts[i],
      end: read.ends[i],
      known: id > PADDING,
      shares: shares[i],
    }));
    return { method, logits: Array.from(logits), bias, words };
  }

  /** @param {string} text @returns {Reading} */
  #read(text) {
    const limit = this.about.max_length ?? Infinity;
    return this.about.splitter === "letters" ? readLetters(text, this.#ids, limit) : readWords(text, this.#ids, limit);
  }
}

/** @param {Float32Array} logits @returns {Float32Array} */
function softmax(logits) {
  const all = logits.length === 1 ? [0, logits[0]] : Array.from(logits);
  const highest = Math.max(...all);
  const powers = all.map((logit) => Math.exp(logit - highest));
  const sum = powers.reduce((one, other) => one + other, 0);
  return Float32Array.from(powers, (power) => power / sum);
}

/** @param {string[]} texts @returns {string[]} */
function checked(texts) {
  if (!Array.isArray(texts)) throw new TypeError("texts: give an array of strings, such as [text]");
  texts.forEach((text, place) => {
    if (typeof text !== "string") throw new TypeError(`texts: number ${place} is no string`);
  });
  return texts;
}

// ---------------------------------------------------------------------------------------------------------- Words

/*
 * What the tokenizer of the Python package does to each character: the tables of `data/characters.py`. Runs of code points "skip length", or, of
 * LOWER, "skip length step add": `length` code points, each `step` from the one before, become the one `add` from
 * their own. Numbers in base 36.
 */
const SPACES = "@SPACES@";
const MARKS = "@MARKS@";
const LOWER = "@LOWER@";
/** The one character whose lower case is two. */
const DOTTED = "\u0130";

const LETTER = 0;
const SPACE = 1;
const MARK = 2;
/** A letter with another lower case. */
const CAPITAL = 3;
/** Half of a character beyond U+FFFF. */
const SURROGATE = 4;

const { kinds, kindsBeyond, lowered } = characterTables();

/** Return what the characters are: an array below U+10000, a map beyond, and the lower case of capitals. */
function characterTables() {
  const kinds = new Uint8Array(0x10000);
  /** @type {Map<number, number>} */
  const kindsBeyond = new Map();
  /** @type {Map<number, string>} */
  const lowered = new Map();
  const set = (/** @type {number} */ code, /** @type {number} */ kind) => {
    if (code < 0x10000) kinds[code] = kind;
    else kindsBeyond.set(code, kind);
  };
  for (const [runs, kind] of /** @type {[string, number][]} */ ([[SPACES, SPACE], [MARKS, MARK]])) {
    const numbers = runs.split(" ").map((number) => parseInt(number, 36));
    for (let i = 0, code = 0; i < numbers.length; i += 2) {
      code += numbers[i];
      for (let end = code + numbers[i + 1]; code < end; code++) set(code, kind);
    }
  }
  const numbers = LOWER.split(" ").map((number) => parseInt(number, 36));
  for (let i = 0, code = 0; i < numbers.length; i += 4) {
    code += numbers[i];
    for (let n = 0; n < numbers[i + 1]; n++, code += numbers[i + 2]) {
      set(code, CAPITAL);
      lowered.set(code, String.fromCodePoint(code + numbers[i + 3]));
    }
  }
  set(0x130, CAPITAL);
  lowered.set(0x130, "i\u0307");
  kinds.fill(SURROGATE, 0xd800, 0xe000);
  return { kinds, kindsBeyond, lowered };
}

/**
 * Cut a text into words: at white space, each punctuation mark a word of its own, in lower case.
 *
 * @param {string} text
 * @param {Map<string, number>} known
 * @param {number} limit the number of words that are read
 * @returns {Reading}
 */
function readWords(text, known, limit) {
  const found = new Found();
  let start = -1; // of the word that the place is in
  let plain = true; // whether that word stands in the text as it is looked up
  const close = (/** @type {number} */ end) => {
    if (start < 0) return;
    const word = text.slice(start, end);
    found.add(known.get(plain ? word : lowerCase(word)) ?? UNKNOWN, start, end);
    start = -1;
    plain = true;
  };
  for (let at = 0, size = 1; at < text.length && found.length < limit; at += size) {
    const unit = text.charCodeAt(at);
    let kind = kinds[unit];
    size = 1;
    if (kind === SURROGATE) {
      const code = /** @type {number} */ (text.codePointAt(at));
      size = code > 0xffff ? 2 : 1;
      kind = code > 0xffff ? (kindsBeyond.get(code) ?? LETTER) : CAPITAL; // a half becomes U+FFFD
    }
    if (kind === LETTER) {
      if (start < 0) start = at;
    } else if (kind === CAPITAL) {
      if (start < 0) start = at;
      plain = false;
    } else {
      close(at);
      if (kind === MARK && found.length < limit) {
        found.add(known.get(text.slice(at, at + size)) ?? UNKNOWN, at, at + size);
      }
    }
  }
  if (found.length < limit) close(text.length);
  return found.reading();
}

/** @param {string} word @returns {string} each character's own lower case; U+FFFD for half a character */
function lowerCase(word) {
  let result = "";
  for (const character of word) {
    const code = /** @type {number} */ (character.codePointAt(0));
    result += isHalf(character) ? "\ufffd" : (lowered.get(code) ?? character);
  }
  return result;
}

/** @param {string} character @returns {boolean} whether it is half of a pair, without the other */
function isHalf(character) {
  const code = character.charCodeAt(0);
  return character.length === 1 && code >= 0xd800 && code < 0xe000;
}

/**
 * Make each character of a text a word.
 *
 * @param {string} text
 * @param {Map<string, number>} known
 * @param {number} limit the number of words that are read
 * @returns {Reading}
 */
function readLetters(text, known, limit) {
  const found = new Found();
  let at = 0;
  for (const character of text) {
    if (found.length >= limit) break;
    found.add(known.get(isHalf(character) ? "\ufffd" : character) ?? UNKNOWN, at, at + character.length);
    at += character.length;
  }
  return found.reading();
}

/** Words that are found one by one. */
class Found {
  length = 0;
  #numbers = new Int32Array(3 * 64);

  /** @param {number} id @param {number} start @param {number} end */
  add(id, start, end) {
    const at = 3 * this.length++;
    if (at === this.#numbers.length) {
      const longer = new Int32Array(2 * at);
      longer.set(this.#numbers);
      this.#numbers = longer;
    }
    this.#numbers[at] = id;
    this.#numbers[at + 1] = start;
    this.#numbers[at + 2] = end;
  }

  /** @returns {Reading} */
  reading() {
    const ids = new Int32Array(this.length);
    const starts = new Int32Array(this.length);
    const ends = new Int32Array(this.length);
    for (let word = 0, at = 0; word < this.length; word++, at += 3) {
      ids[word] = this.#numbers[at];
      starts[word] = this.#numbers[at + 1];
      ends[word] = this.#numbers[at + 2];
    }
    return { ids, starts, ends };
  }
}

// -------------------------------------------------------------------------------------------------------- Networks

/** Word vectors of which most entries may be dead. */
class Vectors {
  /** @param {Parameter} parameter (words, dimensions) */
  constructor({ shape, values, places }) {
    const [words, dims] = shape;
    this.dims = dims;
    this.values = values;
    /** The dimension of each entry; null where all live. @type {Uint16Array | Int32Array | null} */
    this.dimensions = null;
    this.starts = new Int32Array(words + 1);
    if (!places) {
      for (let word = 0; word <= words; word++) this.starts[word] = word * dims;
      return;
    }
    this.dimensions = dims < 0x10000 ? new Uint16Array(places.length) : new Int32Array(places.length);
    for (let i = 0; i < places.length; i++) {
      const word = Math.floor(places[i] / dims);
      this.dimensions[i] = places[i] - word * dims;
      this.starts[word + 1]++;
    }
    for (let word = 0; word < words; word++) this.starts[word + 1] += this.starts[word];
  }

  /**
   * Call a function with each living entry of a word's vector.
   *
   * @param {number} word
   * @param {(dimension: number, value: number) => void} use
   */
  each(word, use) {
    const start = this.starts[word];
    for (let i = start; i < this.starts[word + 1]; i++) {
      use(this.dimensions ? this.dimensions[i] : i - start, this.values[i]);
    }
  }
}

/**
 * Convolution over words, and each filter's maximum over the windows inside the text.
 *
 * A window's value is a sum of one number for each of its words. These answers of a word, one for each position in each
 * filter, are computed once and kept, without the zeros: with few living weights they are few.
 */
class Convolution {
  /** @type {Map<number, Answers>} */
  #answers = new Map();
  #kept = 0;
  #values = new Float64Array(0);
  #sums;

  /** @param {Map<string, Parameter>} parameters */
  constructor(parameters) {
    const fc = dense(get(parameters, "fc.weight"));
    const outputs = get(parameters, "fc.weight").shape[0];
    const features = get(parameters, "fc.weight").shape[1];
    this.fcBias = dense(get(parameters, "fc.bias"));
    this.vectors = new Vectors(get(parameters, "embedding.weight"));
    /** The place of a feature's first answer. @type {number[]} */
    this.offsets = [];
    /** @type {number[]} */
    this.widths = [];
    /** @type {number[]} */
    this.biases = [];
    /** What each feature adds to each logit, feature after feature. @type {number[]} */
    this.fc = [];
    /** By dimension: the places of answers and the weights, in pairs. @type {number[][]} */
    const entries = Array.from({ length: this.vectors.dims }, () => []);
    let place = 0; // among all features
    let size = 0;
    for (let conv = 0; parameters.has(`convs.${conv}.weight`); conv++) {
      const weight = get(parameters, `convs.${conv}.weight`);
      const [filters, dims, width] = weight.shape;
      const bias = dense(get(parameters, `convs.${conv}.bias`));
      /** The offset of each filter's answers; −1 if no logit reads the filter. */
      const offsets = Array.from({ length: filters }, (_, filter) => {
        const read = Array.from({ length: outputs }, (_, output) => fc[output * features + place + filter]);
        if (read.every((one) => one === 0)) return -1;
        this.offsets.push(size);
        this.widths.push(width);
        this.biases.push(bias[filter]);
        this.fc.push(...read);
        size += width;
        return size - width;
      });
      eachEntry(weight, (at, value) => {
        const filter = Math.floor(at / (dims * width));
        const dimension = Math.floor(at / width) % dims;
        if (offsets[filter] >= 0) entries[dimension].push(offsets[filter] + (at % width), value);
      });
      place += filters;
    }
    /** The feature of each answer. */
    this.featureOf = Int32Array.from(this.offsets.flatMap((_, feature) => new Array(this.widths[feature]).fill(feature)));
    this.#sums = new Float64Array(size);
    this.widest = Math.max(1, ...this.widths);
    this.targets = entries.map((pairs) => Int32Array.from(pairs.filter((_, i) => i % 2 === 0)));
    this.weights = entries.map((pairs) => Float32Array.from(pairs.filter((_, i) => i % 2 === 1)));
  }

  /** @param {number} word @returns {Answers} */
  answers(word) {
    const known = this.#answers.get(word);
    if (known) return known;
    const sums = this.#sums;
    this.vectors.each(word, (dimension, value) => {
      const targets = this.targets[dimension];
      const weights = this.weights[dimension];
      for (let i = 0; i < targets.length; i++) sums[targets[i]] += weights[i] * value;
    });
    let count = 0;
    for (let place = 0; place < sums.length; place++) if (sums[place] !== 0) count++;
    const found = {
      features: this.offsets.length < 0x10000 ? new Uint16Array(count) : new Int32Array(count),
      taps: this.widest <= 0x100 ? new Uint8Array(count) : new Int32Array(count),
      values: new Float32Array(count),
    };
    for (let place = 0, i = 0; i < count; place++) {
      if (sums[place] === 0) continue;
      found.features[i] = this.featureOf[place];
      found.taps[i] = place - this.offsets[this.featureOf[place]];
      found.values[i++] = sums[place];
      sums[place] = 0;
    }
    if ((this.#kept += count + 1) > KEPT) {
      this.#answers.clear();
      this.#kept = count + 1;
    }
    this.#answers.set(word, found);
    return found;
  }

  /**
   * Return the highest value of each feature over its windows, and where it is reached first.
   *
   * @param {Int32Array} ids
   * @returns {{highest: Float64Array, places: Int32Array}}
   */
  strongest(ids) {
    const count = this.offsets.length;
    const highest = new Float64Array(count).fill(-Infinity);
    const places = new Int32Array(count);
    const beyond = this.widest - 1;
    for (let begin = 0; begin < Math.max(1, ids.length); begin += BLOCK) {
      const stride = Math.min(BLOCK, Math.max(1, ids.length - begin));
      // Of each feature a row, with windows before the first and behind the last, which are not read.
      const row = stride + 2 * beyond;
      if (this.#values.length < count * row) this.#values = new Float64Array(count * row);
      const values = this.#values;
      values.fill(0, 0, count * row);
      const end = Math.min(ids.length, begin + stride + beyond);
      for (let at = begin; at < end; at++) {
        const { features, taps, values: added } = this.answers(ids[at]);
        const first = at - begin + beyond;
        for (let i = 0; i < added.length; i++) values[features[i] * row + first - taps[i]] += added[i];
      }
      for (let feature = 0; feature < count; feature++) {
        // A text that is shorter than the filter has one window, whose other words are zero.
        const windows = Math.min(stride, Math.max(begin ? 0 : 1, ids.length - this.widths[feature] + 1 - begin));
        let best = highest[feature];
        const first = feature * row + beyond;
        for (let at = first, last = at + windows; at < last; at++) {
          if (values[at] > best) {
            best = values[at];
            places[feature] = begin + at - first;
          }
        }
        highest[feature] = best;
      }
    }
    return { highest, places };
  }

  /** @param {Int32Array} ids @returns {Float32Array} */
  logits(ids) {
    return this.combine(this.strongest(ids).highest);
  }

  /** @param {Float64Array} highest @returns {Float32Array} */
  combine(highest) {
    const outputs = this.fcBias.length;
    const logits = Float64Array.from(this.fcBias);
    for (let feature = 0; feature < highest.length; feature++) {
      const value = Math.max(0, highest[feature] + this.biases[feature]);
      for (let output = 0; output < outputs; output++) logits[output] += value * this.fc[feature * outputs + output];
    }
    return Float32Array.from(logits);
  }

  /** @param {Int32Array} ids */
  explain(ids) {
    const outputs = this.fcBias.length;
    const { highest, places } = this.strongest(ids);
    const bias = Array.from(this.fcBias);
    const shares = Array.from(ids, () => new Array(outputs).fill(0));
    const fires = Array.from(highest, (value, feature) => value + this.biases[feature] > 0);
    for (let output = 0; output < outputs; output++) {
      fires.forEach((does, feature) => {
        if (does) bias[output] += this.fc[feature * outputs + output] * this.biases[feature];
      });
    }
    ids.forEach((id, at) => {
      const { features, taps, values } = this.answers(id);
      features.forEach((feature, i) => {
        if (!fires[feature] || places[feature] + taps[i] !== at) return;
        for (let output = 0; output < outputs; output++) {
          shares[at][output] += this.fc[feature * outputs + output] * values[i];
        }
      });
    });
    return { method: /** @type {"windows"} */ ("windows"), logits: this.combine(highest), bias, shares };
  }
}

/** Recurrent layers, whose last states are the features. */
class Recurrence {
  /** @param {any} model the network's settings @param {Map<string, Parameter>} parameters */
  constructor(model, parameters) {
    this.cell = model.cell;
    this.vectors = new Vectors(get(parameters, "embedding.weight"));
    this.fc = new Matrix(get(parameters, "fc.weight"));
    this.fcBias = dense(get(parameters, "fc.bias"));
    /** @type {Way[][]} */
    this.layers = [];
    for (let layer = 0; parameters.has(`rnn.weight_ih_l${layer}`); layer++) {
      const names = [`l${layer}`, `l${layer}_reverse`].filter((name) => parameters.has(`rnn.weight_ih_${name}`));
      this.layers.push(names.map((name) => new Way(parameters, this.cell, name)));
    }
  }

  /** @param {Int32Array} ids @returns {Float32Array} */
  logits(ids) {
    const words = ids.length ? ids : Int32Array.of(PADDING);
    /** @type {Float64Array[]} */
    let inputs = Array.from(words, (word) => {
      const vector = new Float64Array(this.vectors.dims);
      this.vectors.each(word, (dimension, value) => (vector[dimension] = value));
      return vector;
    });
    /** @type {Float64Array[]} */
    let last = [];
    for (const ways of this.layers) {
      const outputs = ways.map((way) => way.run(inputs));
      last = outputs.map((states, place) => (ways[place].backward ? states[0] : states[states.length - 1]));
      inputs = words.length ? Array.from(words, (_, at) => join(outputs.map((states) => states[at]))) : [];
    }
    const logits = this.fc.times(join(last));
    return Float32Array.from(logits, (logit, output) => logit + this.fcBias[output]);
  }

  /** @param {Int32Array} ids */
  explain(ids) {
    const logits = this.logits(ids);
    const shares = Array.from(ids, (_, left) => {
      const without = this.logits(ids.filter((_, at) => at !== left));
      return Array.from(logits, (logit, output) => logit - without[output]);
    });
    return { method: /** @type {"leave-one-out"} */ ("leave-one-out"), logits, bias: null, shares };
  }
}

/** A recurrent layer in one direction. */
class Way {
  /** @param {Map<string, Parameter>} parameters @param {string} cell @param {string} name */
  constructor(parameters, cell, name) {
    this.cell = cell;
    this.backward = name.endsWith("_reverse");
    this.inputs = new Matrix(get(parameters, `rnn.weight_ih_${name}`));
    this.hidden = new Matrix(get(parameters, `rnn.weight_hh_${name}`));
    this.size = this.hidden.columns;
    this.inputBias = dense(get(parameters, `rnn.bias_ih_${name}`));
    this.hiddenBias = dense(get(parameters, `rnn.bias_hh_${name}`));
  }

  /** @param {Float64Array[]} inputs one per word @returns {Float64Array[]} the state after each word */
  run(inputs) {
    const outputs = new Array(inputs.length);
    let h = new Float64Array(this.size);
    let c = new Float64Array(this.size);
    for (let turn = 0; turn < inputs.length; turn++) {
      const at = this.backward ? inputs.length - 1 - turn : turn;
      const gates = this.inputs.times(inputs[at]);
      for (let i = 0; i < gates.length; i++) gates[i] += this.inputBias[i];
      [h, c] = this.step(gates, h, c);
      outputs[at] = h;
    }
    return outputs;
  }

  /**
   * Return the states after a word; the equations are torch's, and of `gru_chung` those of Chung et al. 2014.
   *
   * @param {Float64Array} gates the inputs' part @param {Float64Array} h @param {Float64Array} c
   * @returns {[Float64Array, Float64Array]}
   */
  step(gates, h, c) {
    const size = this.size;
    const next = new Float64Array(size);
    const past = this.hidden.times(h);
    for (let i = 0; i < past.length; i++) past[i] += this.hiddenBias[i];
    const gate = (/** @type {number} */ block, /** @type {number} */ i) => gates[block * size + i] + past[block * size + i];
    if (this.cell === "rnn") {
      for (let i = 0; i < size; i++) next[i] = Math.tanh(gate(0, i));
    } else if (this.cell === "gru") {
      for (let i = 0; i < size; i++) {
        const z = sigmoid(gate(1, i));
        const n = Math.tanh(gates[2 * size + i] + sigmoid(gate(0, i)) * past[2 * size + i]);
        next[i] = n + z * (h[i] - n);
      }
    } else if (this.cell === "gru_chung") {
      const kept = Float64Array.from(h, (value, i) => value * sigmoid(gate(0, i)));
      const candidate = this.hidden.times(kept);
      for (let i = 0; i < size; i++) {
        const place = 2 * size + i;
        const n = Math.tanh(gates[place] + candidate[place] + this.hiddenBias[place]);
        next[i] = h[i] + sigmoid(gate(1, i)) * (n - h[i]);
      }
    } else {
      const cells = new Float64Array(size);
      for (let i = 0; i < size; i++) {
        cells[i] = sigmoid(gate(1, i)) * c[i] + sigmoid(gate(0, i)) * Math.tanh(gate(2, i));
        next[i] = sigmoid(gate(3, i)) * Math.tanh(cells[i]);
      }
      return [next, cells];
    }
    return [next, c];
  }
}

/** A matrix of which most entries may be dead. */
class Matrix {
  /** @param {Parameter} parameter (rows, columns) */
  constructor(parameter) {
    const [rows, columns] = parameter.shape;
    this.columns = columns;
    const vectors = new Vectors(parameter);
    this.starts = vectors.starts;
    this.values = vectors.values;
    this.places = vectors.dimensions;
    this.rows = rows;
  }

  /** @param {Float64Array} vector @returns {Float64Array} */
  times(vector) {
    const result = new Float64Array(this.rows);
    for (let row = 0; row < this.rows; row++) {
      const start = this.starts[row];
      let sum = 0;
      if (this.places) {
        for (let i = start; i < this.starts[row + 1]; i++) sum += this.values[i] * vector[this.places[i]];
      } else {
        for (let i = 0; i < this.columns; i++) sum += this.values[start + i] * vector[i];
      }
      result[row] = sum;
    }
    return result;
  }
}

/** @param {number} x */
function sigmoid(x) {
  return 1 / (1 + Math.exp(-x));
}

/** @param {Float64Array[]} vectors @returns {Float64Array} one behind the other */
function join(vectors) {
  if (vectors.length === 1) return vectors[0];
  const result = new Float64Array(vectors.reduce((sum, one) => sum + one.length, 0));
  let at = 0;
  for (const one of vectors) {
    result.set(one, at);
    at += one.length;
  }
  return result;
}

// ------------------------------------------------------------------------------------------------------------ File

/**
 * Return the header and the tensors of a file whose seal is right.
 *
 * @param {Uint8Array} file
 * @returns {{about: any, tensors: Tensors}}
 */
function unseal(file) {
  const noTicket = new Error("these bytes are no ticket; give a file that `python -m lt_lightning.export` wrote");
  if (file.length < 8) throw noTicket;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const size = view.getUint32(0, true);
  if (view.getUint32(4, true) || 8 + size > file.length) throw noTicket;
  /** @type {any} */
  let header, about;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(file.subarray(8, 8 + size)));
    about = JSON.parse(header.__metadata__.lt_lightning);
  } catch {
    throw noTicket;
  }
  if (about.format !== FORMAT) throw noTicket;
  if (about.encoder) throw new Error("the ticket has a pre-trained encoder, which runs in Python alone");
  if (!VERSIONS.includes(about.version)) {
    throw new Error(`the ticket has format version ${about.version}, this reader knows ${VERSIONS.join(" and ")}`);
  }
  const start = 8 + '{"__metadata__":{"lt_lightning":"{\\"sha256\\":\\"'.length;
  const unsealed = file.slice();
  unsealed.fill(0x30, start, start + SEAL);
  if (sha256(unsealed) !== about.sha256) throw new Error("the ticket is damaged: its checksum is wrong");
  delete header.__metadata__;
  /** @type {Tensors} */
  const tensors = new Map();
  for (const [name, { dtype, data_offsets: offsets }] of Object.entries(header)) {
    tensors.set(name, { type: dtype, bytes: file.subarray(8 + size + offsets[0], 8 + size + offsets[1]) });
  }
  return { about, tensors };
}

/**
 * Return a part of a file.
 *
 * @template Part
 * @param {Map<string, Part>} parts @param {string} name @returns {Part}
 */
function get(parts, name) {
  const found = parts.get(name);
  if (!found) throw new Error(`the ticket is damaged: it has no ${name}`);
  return found;
}

/** @param {Tensors} tensors @param {string} name @param {{shape: number[], bits?: number}} stated @returns {Parameter} */
function readParameter(tensors, name, { shape, bits }) {
  const size = shape.reduce((product, one) => product * one, 1);
  const places = readPlaces(tensors, name, size);
  if (!bits) return { shape, values: readNumbers(get(tensors, name)), places };
  const codes = get(tensors, `${name}/codes`).bytes;
  const levels = tensors.has(`${name}/levels`) ? readNumbers(get(tensors, `${name}/levels`)) : null;
  const scales = levels ? null : readNumbers(get(tensors, `${name}/scales`));
  const row = size / shape[0];
  const values = new Float32Array(places ? places.length : size);
  for (let i = 0; i < values.length; i++) {
    const code = bits === 8 ? codes[i] : (codes[i >> 1] >> (4 * (i & 1))) & 15;
    if (levels) values[i] = levels[code];
    else if (scales) {
      const scale = scales.length === 1 ? scales[0] : scales[Math.floor((places ? places[i] : i) / row)];
      values[i] = scale * (code - 2 ** (bits - 1));
    }
  }
  return { shape, values, places };
}

/** @param {{type: string, bytes: Uint8Array}} tensor @returns {Float32Array} */
function readNumbers({ type, bytes }) {
  // A copy, as a view must begin at a multiple of its entries' size. All browsers run on little-endian processors.
  if (type === "F32") return new Float32Array(bytes.slice().buffer);
  return Float32Array.from(new Uint16Array(bytes.slice().buffer), (half) => {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
  });
}

/**
 * Return the places of living entries; null where all live.
 *
 * @param {Tensors} tensors @param {string} name @param {number} size @returns {Int32Array | null}
 */
function readPlaces(tensors, name, size) {
  const rice = tensors.get(`${name}/rice`)?.bytes;
  const bits = tensors.get(`${name}/bits`)?.bytes;
  const gaps = tensors.get(`${name}/gaps`)?.bytes;
  if (rice) return readRice(rice);
  if (!bits && !gaps) return name === "words" ? Int32Array.from({ length: size }, (_, i) => i) : null;
  /** @type {number[]} */
  const places = [];
  if (bits) {
    for (let i = 0; i < size; i++) if ((bits[i >> 3] >> (i & 7)) & 1) places.push(i);
  } else if (gaps) {
    for (let i = 0, place = -1, gap = 0, scale = 1; i < gaps.length; i++) {
      gap += (gaps[i] & 127) * scale;
      scale *= 128;
      if (gaps[i] < 128) {
        place += gap + 1;
        places.push(place);
        gap = 0;
        scale = 1;
      }
    }
  }
  return Int32Array.from(places);
}

/**
 * Return the places of a Rice code: its width, the number of gaps, the lowest bits of each, and the others in unary.
 *
 * @param {Uint8Array} bytes
 * @returns {Int32Array}
 */
function readRice(bytes) {
  const width = bytes[0];
  const places = new Int32Array(bytes[1] + 2 ** 8 * bytes[2] + 2 ** 16 * bytes[3] + 2 ** 24 * bytes[4]);
  const bit = (/** @type {number} */ at) => (bytes[at >> 3] >> (at & 7)) & 1;
  let low = 40; // the place of a bit
  let high = 8 * (5 + Math.ceil((places.length * width) / 8));
  for (let i = 0, place = -1; i < places.length; i++) {
    let gap = 0;
    while (!bit(high++)) {
      if (high > 8 * bytes.length) throw new Error("the ticket is damaged: places are cut off");
      gap++;
    }
    gap *= 2 ** width;
    for (let n = 0; n < width; n++) gap += bit(low++) * 2 ** n;
    place += gap + 1;
    places[i] = place;
  }
  return places;
}

/** @param {Tensors} tensors @param {string} name @returns {Promise<string[]>} */
async function unpackWords(tensors, name) {
  /** @type {string[]} */
  const words = JSON.parse(await inflate(get(tensors, name).bytes).text());
  const packed = tensors.get(`${name}/prefixes`);
  if (!packed) return words;
  const prefixes = new Uint8Array(await inflate(packed.bytes).arrayBuffer());
  let before = "";
  return words.map((rest, i) => (before = beginning(before, prefixes[i]) + rest));
}

/** @param {string} word @param {number} count @returns {string} the first `count` characters */
function beginning(word, count) {
  const start = word.slice(0, count);
  return /[\ud800-\udfff]/.test(start) ? Array.from(word).slice(0, count).join("") : start;
}

/** @param {Uint8Array} bytes what zlib compressed @returns {Response} */
function inflate(bytes) {
  const stream = new Blob([/** @type {BlobPart} */ (bytes)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream);
}

/** @param {Parameter} parameter @param {(place: number, value: number) => void} use called with each living entry */
function eachEntry({ values, places }, use) {
  for (let i = 0; i < values.length; i++) use(places ? places[i] : i, values[i]);
}

/** @param {Parameter} parameter @returns {Float32Array} with zeros where entries are dead */
function dense(parameter) {
  if (!parameter.places) return parameter.values;
  const whole = new Float32Array(parameter.shape.reduce((product, one) => product * one, 1));
  eachEntry(parameter, (place, value) => (whole[place] = value));
  return whole;
}

/**
 * Return the SHA-256 of bytes in hexadecimal (FIPS 180-4). Browsers offer their own to pages of servers alone.
 *
 * @param {Uint8Array} bytes
 * @returns {string}
 */
function sha256(bytes) {
  const primes = [];
  for (let n = 2; primes.length < 64; n++) if (primes.every((prime) => n % prime)) primes.push(n);
  const fraction = (/** @type {number} */ root) => ((root - Math.floor(root)) * 2 ** 32) | 0;
  const constants = Int32Array.from(primes, (prime) => fraction(Math.cbrt(prime)));
  const state = Int32Array.from(primes.slice(0, 8), (prime) => fraction(Math.sqrt(prime)));
  const padded = new Uint8Array((((bytes.length + 8) >> 6) + 1) << 6);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(padded.length - 4, bytes.length << 3);
  const words = new Int32Array(64);
  const turn = (/** @type {number} */ word, /** @type {number} */ by) => (word >>> by) | (word << (32 - by));
  for (let start = 0; start < padded.length; start += 64) {
    for (let i = 0; i < 16; i++) words[i] = view.getInt32(start + 4 * i);
    for (let i = 16; i < 64; i++) {
      const low = turn(words[i - 15], 7) ^ turn(words[i - 15], 18) ^ (words[i - 15] >>> 3);
      const high = turn(words[i - 2], 17) ^ turn(words[i - 2], 19) ^ (words[i - 2] >>> 10);
      words[i] = words[i - 16] + low + words[i - 7] + high;
    }
    let [a, b, c, d, e, f, g, h] = state;
    for (let i = 0; i < 64; i++) {
      const one = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + constants[i] + words[i]) | 0;
      const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
    }
    [a, b, c, d, e, f, g, h].forEach((word, i) => (state[i] += word));
  }
  return Array.from(state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}
