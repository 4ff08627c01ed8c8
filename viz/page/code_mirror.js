// The editor: CodeMirror as PyScript ships it, in a shadow root, so that its styles are adopted sheets (the page allows no style elements).

import { core, commands, language, python, state as states, view as views } from "../pyscript/codemirror.js";

const COLOURS = {
  keyword: "keyword",
  atom: "number",
  literal: "number",
  string: "string",
  regexp: "string",
  comment: "comment",
  "definition(variableName)": "function",
  typeName: "type",
  className: "type",
  meta: "type",
};

const LOOK = {
  "&": { height: "100%", color: "var(--ink)", backgroundColor: "transparent", fontSize: "13px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55", scrollbarWidth: "thin" },
  ".cm-content": { caretColor: "var(--ink)", padding: "8px 0" },
  ".cm-cursor, .cm-dropCursor": { borderLeftColor: "var(--ink)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "color-mix(in srgb, var(--forward) 26%, transparent)",
  },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--ink-3)", border: "none", fontVariantNumeric: "tabular-nums" },
  ".cm-lineNumbers .cm-gutterElement": { padding: "0 6px 0 10px", minWidth: "28px" },
  ".cm-foldGutter": { display: "none !important" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--ink) 4%, transparent)" },
  ".cm-activeLineGutter": { backgroundColor: "transparent", color: "var(--ink)" },
  ".cm-matchingBracket": { backgroundColor: "color-mix(in srgb, var(--forward) 30%, transparent) !important" },
  ".cm-selectionMatch": { backgroundColor: "color-mix(in srgb, var(--fused) 30%, transparent)" },
  ".cm-wrong": { backgroundColor: "var(--error-soft)", boxShadow: "inset 3px 0 0 var(--error)" },
  ".cm-where": { textDecoration: "underline wavy var(--error)", textDecorationSkipInk: "none" },
  ".cm-shown": { backgroundColor: "var(--mark)", boxShadow: "inset 3px 0 0 var(--fused)" },
  ".cm-panels, .cm-tooltip": { backgroundColor: "var(--raised)", color: "var(--ink)", border: "1px solid var(--line)", borderRadius: "6px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent-soft)", color: "var(--accent-ink)" },
  ".cm-textfield": { backgroundColor: "var(--panel)", border: "1px solid var(--line-strong)", color: "var(--ink)" },
  ".cm-button": { backgroundImage: "none", backgroundColor: "var(--sunken)", border: "1px solid var(--line)", color: "var(--ink)" },
};

/**
 * @param {HTMLElement} place where it stands
 * @param {{label: string, change: (text: string) => void, cursor: (line: number) => void, submit: () => void, leave: () => void}} told `cursor` gets the line, from 1, that
 *   the user has gone to
 */
export function makeMirror(place, { label, change, cursor, submit, leave }) {
  const { EditorView, Decoration, keymap } = views;
  const marked = states.StateEffect.define();
  const marks = states.StateField.define({
    create: () => Decoration.none,
    update(now, transaction) {
      let next = now.map(transaction.changes);
      for (const effect of transaction.effects) if (effect.is(marked)) next = lineMarks(transaction.state.doc, effect.value, Decoration);
      return next;
    },
    provide: (field) => EditorView.decorations.from(field),
  });
  const wrong = { failure: null, shown: null };
  let told = true; // false while the page itself changes the text

  const root = place.attachShadow({ mode: "open" });
  const editor = new EditorView({
    root,
    parent: root,
    state: states.EditorState.create({
      extensions: [
        states.Prec.highest(keymap.of([{ key: "Mod-Enter", run: () => (submit(), true) }])), // CodeMirror would begin a line
        core.basicSetup,
        python.python(),
        language.indentUnit.of("    "),
        language.syntaxHighlighting(colours()),
        EditorView.theme(LOOK),
        EditorView.contentAttributes.of({ "aria-label": label, tabindex: "0" }),
        keymap.of([{ key: "Escape", run: () => (leave(), true) }, commands.indentWithTab]),
        marks,
        EditorView.domEventHandlers({ beforeinput: overwrite }),
        EditorView.updateListener.of(heard),
      ],
    }),
  });

  function heard(update) {
    if (update.docChanged && told) change(update.state.doc.toString());
    const user = update.transactions.some((one) => one.isUserEvent("select") || one.isUserEvent("input") || one.isUserEvent("move"));
    if (update.selectionSet && user) cursor(update.state.doc.lineAt(update.state.selection.main.head).number);
  }

  const draw = () => editor.dispatch({ effects: marked.of({ ...wrong }) });
  return {
    text(value) {
      if (editor.state.doc.toString() === value) return;
      told = false;
      editor.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: value }, selection: { anchor: 0 } });
      told = true;
    },
    mark(failure) {
      wrong.failure = failure?.line ? failure : null;
      wrong.shown = null;
      draw();
    },
    show(line) {
      wrong.shown = line;
      draw();
      const at = editor.state.doc.line(Math.min(line, editor.state.doc.lines)).from;
      editor.dispatch({ effects: EditorView.scrollIntoView(at, { y: "center" }) });
    },
    focus: () => editor.focus(),
  };
}

/** The line of a failure, underlined where it is known how far, and the line that is shown; lines the text does not have are left out. */
function lineMarks(doc, { failure, shown }, Decoration) {
  const ranges = [];
  const there = (number) => Number.isInteger(number) && number >= 1 && number <= doc.lines;
  if (there(shown)) ranges.push(Decoration.line({ class: "cm-shown" }).range(doc.line(shown).from));
  if (there(failure?.line)) {
    const { from, to } = doc.line(failure.line);
    ranges.push(Decoration.line({ class: "cm-wrong" }).range(from));
    const [start, end] = [from + (failure.column ?? 1) - 1, Math.min(to, from + (failure.end_column ?? 0) - 1)];
    if (failure.column && from <= start && start < end) ranges.push(Decoration.mark({ class: "cm-where" }).range(start, end));
  }
  return Decoration.set(ranges, true);
}

/**
 * Text that is typed over a selection. Left to itself, Chromium keeps the look of what was selected as an inline style, which the page's policy forbids.
 */
function overwrite(event, editor) {
  const { from, to, empty } = editor.state.selection.main;
  if (event.inputType !== "insertText" || !event.data || empty || editor.composing || editor.state.selection.ranges.length > 1) return false;
  const insert = () => editor.state.update(editor.state.replaceSelection(event.data), { userEvent: "input.type", scrollIntoView: true });
  event.preventDefault();
  const taken = editor.state.facet(views.EditorView.inputHandler).some((handle) => handle(editor, from, to, event.data, insert));
  if (!taken) editor.dispatch(insert());
  return true;
}

/** The kinds of words that CodeMirror's own style knows, in the page's colours. */
function colours() {
  const specs = [];
  for (const { tag } of language.defaultHighlightStyle.specs) {
    const name = [tag].flat().map((one) => COLOURS[String(one)]).find(Boolean);
    if (name) specs.push({ tag, color: `var(--syntax-${name})`, ...(name === "comment" ? { fontStyle: "italic" } : {}) });
  }
  return language.HighlightStyle.define(specs);
}
