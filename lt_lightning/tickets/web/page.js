/**
 * Show a ticket on a page: a box to type in, the classes with their probabilities, the words that decided, and files.
 *
 *     mount(document.querySelector("main"), ticket);
 *     mountBox(document.querySelector(".demo"), ticket); // without files and origin, as a part of another page
 *
 * `ticket` is what `loadTicket` of `ticket.js` returns. The element gets the class `ticket`, which `words.css` and
 * `page.css` style.
 */

/** @typedef {import("./ticket.js").Ticket} Ticket */
/** @typedef {import("./ticket.js").Explanation} Explanation */

/** Reasons of so many words are shown. */
const SHOWN = 2000;
/** Texts of more characters get no reasons where each word means another reading of the text. */
const READ_AGAIN = 1600;
/** Milliseconds without a key before a text is classified. */
const PAUSE = 120;
/** Rows of a file that are classified before the page may react again. */
const ROWS = 500;
/** The words that decided, as a list. */
const DECIDING = 10;
/** Words whose share is less than this part of the largest are neither marked nor listed. */
const LEAST = 0.05;

/**
 * Build the page of a ticket inside an element.
 *
 * @param {HTMLElement} root
 * @param {Ticket} ticket
 */
export function mount(root, ticket) {
  root.classList.add("ticket");
  root.replaceChildren(header(ticket), classifier(ticket, "h2"), files(ticket, root), origin(ticket));
}

/**
 * Build the box to type in, with its answer, inside an element below a heading of level 2.
 *
 * @param {HTMLElement} root
 * @param {Ticket} ticket
 */
export function mountBox(root, ticket) {
  root.classList.add("ticket");
  root.replaceChildren(classifier(ticket, "h3"));
}

/**
 * Return a new element.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [properties] `class` and names with a dash are attributes, all others properties
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class" || name.includes("-")) made.setAttribute(name, value);
    else Object.assign(made, { [name]: value });
  }
  made.append(...children);
  return made;
}

/** @param {number} share @param {number} [digits] */
function percent(share, digits = 1) {
  return `${(100 * share).toFixed(digits)} %`;
}

/** @param {number} number */
function signed(number) {
  return `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(2)}`;
}

/** @param {Ticket} ticket */
function header({ about, classNames }) {
  const alive = about.total ? about.alive / about.total : 1 - about.sparsity;
  const right = typeof about.test_acc === "number" ? `, ${percent(about.test_acc)} right on its test part` : "";
  const whole = typeof about.full_test_acc === "number" ? ` (whole network ${percent(about.full_test_acc)})` : "";
  return element(
    "header",
    {},
    element("h1", {}, `${about.corpus ?? "Texts"}: ${classNames.length} classes`),
    element("p", { class: "quiet" }, `A network with ${percent(alive, 2)} of its weights${right}${whole}. It runs in this page: nothing is sent.`),
  );
}

/** @param {Ticket} ticket @param {"h2" | "h3"} heading */
function classifier(ticket, heading) {
  const names = ticket.classNames;
  const box = element("textarea", { id: "text", spellcheck: false, "aria-describedby": "answer" });
  const answer = element("p", { id: "answer", class: "best", "aria-live": "polite" });
  const note = element("p", { class: "quiet", "aria-live": "polite" });
  const body = element("tbody");
  const words = element("p", { class: "words" });
  const deciding = element("ol", { class: "deciding" });
  const reasons = element("section", {}, element(heading, {}, "Words that decided"), words, deciding, note);
  let chosen = -1; // the class whose reasons are shown; −1: the most probable one
  const rows = names.map((name, place) => {
    const radio = element("input", { type: "radio", name: "class", value: String(place), "aria-label": `reasons for ${name}` });
    radio.addEventListener("change", () => {
      chosen = place;
      show();
    });
    const bar = element("div", { class: "bar" });
    const number = element("td");
    const row = element("tr", {}, element("th", { scope: "row", title: name }, element("label", {}, radio, name)), element("td", {}, bar), number);
    body.append(row);
    return { row, radio, bar, number };
  });

  function show() {
    const text = box.value;
    reasons.hidden = !text.trim();
    const probabilities = ticket.predict([text])[0];
    const best = probabilities.indexOf(Math.max(...probabilities));
    answer.textContent = text.trim() ? `${names[best]}, ${percent(probabilities[best])}` : "Type or paste a text.";
    rows.forEach(({ row, radio, bar, number }, place) => {
      row.classList.toggle("best", place === best);
      radio.checked = place === (chosen < 0 ? best : chosen);
      bar.style.width = percent(probabilities[place]).replace(" ", "");
      number.textContent = percent(probabilities[place]);
    });
    if (!reasons.hidden) explain(text, chosen < 0 ? best : chosen);
  }

  /** @param {string} text @param {number} place */
  function explain(text, place) {
    const isLong = ticket.about.model.name === "birnn" && text.length > READ_AGAIN;
    if (isLong) {
      words.replaceChildren();
      deciding.replaceChildren();
      note.textContent = `Reasons are shown for texts of up to ${READ_AGAIN} characters.`;
      return;
    }
    const found = ticket.explain(text);
    const share = sharesOf(found, place);
    const largest = Math.max(1e-9, ...found.words.slice(0, SHOWN).map((_, i) => Math.abs(share(i))));
    /** @type {(Node | string)[]} */
    const parts = [];
    let end = 0;
    found.words.slice(0, SHOWN).forEach((word, i) => {
      parts.push(text.slice(end, word.start));
      end = word.end;
      const strength = Math.abs(share(i)) / largest;
      if (strength < LEAST) {
        parts.push(word.text);
        return;
      }
      const side = share(i) > 0 ? "for" : "against";
      const span = element("span", { class: side, title: `${word.text}: ${signed(share(i))}` }, word.text);
      span.style.backgroundColor = `rgba(var(--${side}), ${(0.45 * strength).toFixed(2)})`;
      parts.push(span);
    });
    words.replaceChildren(...parts);
    const order = found.words.map((_, i) => i).sort((one, other) => Math.abs(share(other)) - Math.abs(share(one)));
    deciding.replaceChildren(
      ...order.slice(0, DECIDING).filter((i) => Math.abs(share(i)) > LEAST * largest).map((i) =>
        element("li", {}, `${found.words[i].text} `, element("span", { class: "number" }, signed(share(i)))),
      ),
    );
    const what =
      found.method === "windows"
        ? `What each word adds to the score of ${names[place]}; the rest is ${signed(biasOf(found, place))}.`
        : `How much the score of ${names[place]} falls without the word.`;
    const cut = found.words.length > SHOWN ? ` The text has ${found.words.length.toLocaleString("en")} words; the first ${SHOWN.toLocaleString("en")} are shown.` : "";
    note.textContent = found.words.length ? what + cut : "The text has no words.";
  }

  /** @type {number | undefined} */
  let timer;
  box.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      chosen = -1;
      show();
    }, PAUSE);
  });
  show();
  return element(
    "section",
    {},
    element(heading, {}, element("label", { htmlFor: "text" }, "A text")),
    box,
    answer,
    element("table", { "aria-label": "Probability of each class" }, body),
    reasons,
  );
}

/**
 * Return a function from a word's place to what it adds to the score of a class. Of two classes there is one logit, of
 * class 1, and class 0 has its negative.
 *
 * @param {Explanation} found @param {number} place
 * @returns {(word: number) => number}
 */
function sharesOf(found, place) {
  if (found.logits.length > 1) return (word) => found.words[word].shares[place];
  const sign = place ? 1 : -1;
  return (word) => sign * found.words[word].shares[0];
}

/** @param {Explanation} found @param {number} place */
function biasOf(found, place) {
  const bias = found.bias ?? [0];
  return bias.length > 1 ? bias[place] : (place ? 1 : -1) * bias[0];
}

/** @param {Ticket} ticket @param {HTMLElement} root where files can be dropped */
function files(ticket, root) {
  const said = element("p", { "aria-live": "polite" });
  const bar = element("progress", { hidden: true, max: 1, value: 0, "aria-label": "rows classified" });
  const columns = element("p");
  const input = element("input", { type: "file", id: "file", accept: ".txt,.csv,text/plain,text/csv" });
  const box = element(
    "section",
    { class: "file" },
    element("label", { htmlFor: "file" }, "Or drop a file, a text per line of .txt or per row of .csv: "),
    input,
    columns,
    bar,
    said,
  );
  let turn = 0; // of the latest file; earlier ones stop

  /** @param {File} file */
  async function open(file) {
    said.className = "";
    columns.replaceChildren();
    const mine = ++turn;
    try {
      const text = await readText(file);
      const table = file.name.toLowerCase().endsWith(".csv") ? parseCsv(text) : linesOf(text);
      if (table.rows.length === 0) throw new Error(`${file.name} has no texts`);
      if (table.names.length > 1) {
        const select = element("select", { id: "column" }, ...table.names.map((name, i) => element("option", { value: String(i), selected: i === table.guess }, name)));
        select.addEventListener("change", () => run(Number(select.value), ++turn));
        columns.append(element("label", { htmlFor: "column" }, "Texts are in column "), select);
      }
      const run = (/** @type {number} */ place, /** @type {number} */ turn) => classify(file.name, table, place, turn);
      await run(table.guess, mine);
    } catch (error) {
      bar.hidden = true;
      said.className = "fault";
      said.textContent = error instanceof Error ? error.message : String(error);
    }
  }

  /** @param {string} name @param {Table} table @param {number} column @param {number} mine */
  async function classify(name, table, column, mine) {
    const names = ticket.classNames;
    const lines = [[...table.names, "class", ...names.map((one) => `probability of ${one}`)].map(csvCell).join(",")];
    bar.hidden = false;
    const begin = performance.now();
    for (let start = 0; start < table.rows.length; start += ROWS) {
      const rows = table.rows.slice(start, start + ROWS);
      ticket.predict(rows.map((row) => row[column] ?? "")).forEach((probabilities, i) => {
        const best = probabilities.indexOf(Math.max(...probabilities));
        const cells = [...table.names.map((_, place) => rows[i][place] ?? ""), names[best], ...Array.from(probabilities, (one) => one.toFixed(6))];
        lines.push(cells.map(csvCell).join(","));
      });
      bar.value = Math.min(1, (start + ROWS) / table.rows.length);
      await new Promise((go) => setTimeout(go));
      if (mine !== turn) return;
    }
    bar.hidden = true;
    const seconds = (performance.now() - begin) / 1000;
    const link = element("a", {
      href: URL.createObjectURL(new Blob([`${lines.join("\r\n")}\r\n`], { type: "text/csv" })),
      download: `${name.replace(/\.[^.]*$/, "")}_classified.csv`,
    });
    link.textContent = `Save ${link.download}`;
    said.replaceChildren(`${table.rows.length.toLocaleString("en")} texts in ${seconds.toFixed(1)} s. `, link);
  }

  input.addEventListener("change", () => input.files?.[0] && open(input.files[0]));
  root.addEventListener("dragover", (event) => {
    event.preventDefault();
    box.classList.add("over");
  });
  root.addEventListener("dragleave", () => box.classList.remove("over"));
  root.addEventListener("drop", (event) => {
    event.preventDefault();
    box.classList.remove("over");
    const file = event.dataTransfer?.files[0];
    if (file) open(file);
  });
  return box;
}

/** @param {File} file @returns {Promise<string>} */
async function readText(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  try {
    if (bytes.includes(0)) throw new Error("a zero byte");
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Error(`${file.name} is no text in UTF-8; drop a .txt or .csv file`);
  }
}

/**
 * Texts in rows.
 *
 * @typedef {object} Table
 * @property {string[]} names of the columns
 * @property {string[][]} rows
 * @property {number} guess the column that the texts are probably in
 */

/** @param {string} text @returns {Table} */
function linesOf(text) {
  const rows = text.split(/\r\n|\n|\r/).filter((line) => line.trim()).map((line) => [line]);
  return { names: ["text"], rows, guess: 0 };
}

/**
 * Read CSV as in RFC 4180: a first row of names, cells with commas or line breaks in quotes, "" for a quote.
 *
 * @param {string} text
 * @returns {Table}
 */
function parseCsv(text) {
  /** @type {string[][]} */
  const rows = [];
  /** @type {string[]} */
  let row = [];
  const cell = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|\n|\r|$)/y;
  while (cell.lastIndex < text.length) {
    const line = rows.length + 1;
    const found = cell.exec(text);
    if (!found) throw new Error(`row ${line} has a quote in the middle of a cell, or none at its end; put such cells in quotes`);
    row.push(found[1] === undefined ? found[2] : found[1].replaceAll('""', '"'));
    if (found[3] !== ",") {
      if (row.length > 1 || row[0].trim()) rows.push(row);
      row = [];
      if (!found[3]) break;
    } else if (cell.lastIndex === text.length) row.push("");
  }
  if (row.length) rows.push(row);
  const [names = [], ...texts] = rows;
  const named = names.findIndex((name) => /^(text|texts|sentence|content|body|review|description|title)$/i.test(name.trim()));
  const lengths = names.map((_, column) => texts.slice(0, 100).reduce((sum, one) => sum + (one[column] ?? "").length, 0));
  return { names, rows: texts, guess: named >= 0 ? named : lengths.indexOf(Math.max(...lengths)) };
}

/** @param {string} text @returns {string} */
function csvCell(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** @param {Ticket} ticket */
function origin({ about }) {
  const facts = [
    ["network", about.network],
    ["corpus", about.corpus],
    ["trained on", about.rows?.train && `${about.rows.train.toLocaleString("en")} texts`],
    ["tested on", about.tested_on ?? (about.rows?.test && `${about.rows.test.toLocaleString("en")} texts`)],
    ["experiment", [about.experiment, Number.isInteger(about.seed) && `seed ${about.seed}`, `round ${about.round}`].filter(Boolean).join(", ")],
    ["weights", about.total && `${about.alive.toLocaleString("en")} of ${about.total.toLocaleString("en")}`],
    ["checksum", about.sha256],
  ].filter(([, value]) => value);
  return element(
    "footer",
    {},
    element("h2", {}, "Where it comes from"),
    element("dl", {}, ...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, String(value))])),
  );
}
