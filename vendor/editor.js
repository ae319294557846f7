// The SQL editor of the query page: CodeMirror 6 with just what that page needs, made into one file by build.mjs.
// Its colours are the page's own custom properties, which reach into the shadow root that holds it.
import { acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, startCompletion } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { SQLDialect, sql } from "@codemirror/lang-sql";
import { HighlightStyle, bracketMatching, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { Compartment, EditorState, Prec } from "@codemirror/state";
import { EditorView, drawSelection, highlightActiveLine, keymap, lineNumbers, placeholder, tooltips } from "@codemirror/view";
import { tags } from "@lezer/highlight";

// Athena speaks Trino's SQL: double quotes name things, and there are no backslash escapes.
const athena = SQLDialect.define({
  keywords:
    "all and any as asc at between by case cast cross cube current_date current_time current_timestamp current_row desc " +
    "describe distinct else end escape except exists explain extract false fetch filter first following for from full group " +
    "grouping having if in inner intersect interval is join last lateral left like limit natural next not " +
    "null nulls offset on or order ordinality outer over partition partitions preceding range recursive right rollup row rows " +
    "select sets show some tables table then ties to true try_cast unbounded union unnest using values when where " +
    "window with within columns",
  types:
    "array bigint binary boolean char date decimal double float int integer json map real row smallint string timestamp tinyint " +
    "varbinary varchar",
  builtin:
    "abs approx_distinct approx_percentile arbitrary array_agg array_join avg bool_and bool_or cardinality ceil coalesce concat " +
    "contains corr count count_if date_add date_diff date_format date_parse date_trunc dense_rank element_at exp first_value floor " +
    "format from_unixtime greatest json_extract json_extract_scalar lag last_value lead least length ln lower lpad ltrim max " +
    "max_by min min_by mod month ntile now nullif power quarter rank regexp_extract regexp_like regexp_replace replace reverse " +
    "round row_number rpad rtrim split split_part sqrt stddev strpos substr substring sum to_unixtime trim try typeof upper " +
    "variance week year",
  doubleQuotedStrings: false,
  backslashEscapes: false,
  operatorChars: "*+-%<>!=|/",
  identifierQuotes: '"',
});

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--code-keyword)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--code-string)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--code-number)" },
  { tag: [tags.lineComment, tags.blockComment], color: "var(--code-comment)", fontStyle: "italic" },
  { tag: [tags.standard(tags.name), tags.typeName], color: "var(--code-builtin)" },
]);

const look = EditorView.theme({
  "&": { height: "100%", color: "var(--text)", backgroundColor: "var(--surface)", fontSize: "13px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6" },
  ".cm-content": { caretColor: "var(--text)", padding: "10px 0" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "var(--surface)", color: "var(--muted)", border: "none", paddingLeft: "6px" },
  ".cm-activeLine": { backgroundColor: "var(--row-hover)" },
  ".cm-placeholder": { color: "var(--muted)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "var(--selection)",
  },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--selection)", outline: "none" },
  ".cm-tooltip": {
    backgroundColor: "var(--raised)",
    color: "var(--text)",
    border: "1px solid var(--line-strong)",
    borderRadius: "6px",
    boxShadow: "var(--shadow)",
    overflow: "hidden",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", maxHeight: "16em" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "3px 10px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--on-accent)" },
  ".cm-completionDetail": { color: "inherit", opacity: "0.75", fontStyle: "normal" },
});

/**
 * Typing over a selection, without the browser's own editing: it keeps the look of what was there by inline styles, which
 * the page's policy forbids.
 */
const typingOver = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { from, to, empty } = view.state.selection.main;
    if (event.inputType !== "insertText" || empty || !event.data) return false;
    event.preventDefault();
    const typed = () => view.state.update(view.state.replaceSelection(event.data), { userEvent: "input.type", scrollIntoView: true });
    const taken = view.state.facet(EditorView.inputHandler).some((handler) => handler(view, from, to, event.data, typed));
    if (!taken) view.dispatch(typed());
    return true;
  },
});

/** Completes the columns of the tables that the text names, of all tables where it names none. */
function columnsOf(tables) {
  return (context) => {
    const word = context.matchBefore(/[\w]+/);
    if (!word ? !context.explicit : context.state.sliceDoc(word.from - 1, word.from) === ".") return null;
    const text = context.state.doc.toString();
    const named = Object.keys(tables).filter((name) => text.includes(name));
    const columns = (named.length ? named : Object.keys(tables)).flatMap((name) => tables[name]);
    const unique = new Map(columns.map((column) => [column.label, { ...column, boost: 1 }]));
    return { from: word ? word.from : context.pos, options: [...unique.values()], validFor: /^\w*$/ };
  };
}

/**
 * Put an editor into `host`. `run` is called for Ctrl+Enter, `changed` with the text after every edit.
 * Tab completes or indents; Escape, then Tab, leaves the editor, as CodeMirror does for keyboard users.
 */
export function createEditor(host, { text = "", label = "SQL", hint = "", run, changed }) {
  const shadow = host.attachShadow({ mode: "open" });
  const language = new Compartment();
  const withTables = (tables) => [
    sql({ dialect: athena, schema: tables, upperCaseKeywords: true }),
    athena.language.data.of({ autocomplete: columnsOf(tables) }),
  ];
  const view = new EditorView({
    root: shadow,
    parent: shadow,
    state: EditorState.create({
      doc: text,
      extensions: [
        Prec.highest(keymap.of([{ key: "Mod-Enter", run: () => (run(), true) }])),
        lineNumbers(),
        history(),
        drawSelection(),
        highlightActiveLine(),
        bracketMatching(),
        closeBrackets(),
        indentOnInput(),
        autocompletion({ icons: false }),
        tooltips({ position: "absolute" }),
        placeholder(hint),
        language.of(withTables({})),
        syntaxHighlighting(colours),
        look,
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": label }),
        typingOver,
        EditorView.updateListener.of((update) => update.docChanged && changed(update.state.doc.toString())),
        keymap.of([
          { key: "Tab", run: acceptCompletion },
          ...closeBracketsKeymap,
          ...completionKeymap,
          ...historyKeymap,
          ...defaultKeymap,
          indentWithTab,
        ]),
      ],
    }),
  });
  return {
    get text() {
      return view.state.doc.toString();
    },
    set text(value) {
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: value }, selection: { anchor: value.length } });
    },
    get selected() {
      const { from, to } = view.state.selection.main;
      return view.state.sliceDoc(from, to);
    },
    /** Insert text at the cursor, and go on typing behind it. */
    insert(value) {
      view.dispatch(view.state.replaceSelection(value));
      view.focus();
    },
    focus: () => view.focus(),
    complete: () => startCompletion(view),
    /** `{table: [{label, detail}]}`: what completion offers. */
    offer: (tables) => view.dispatch({ effects: language.reconfigure(withTables(tables)) }),
  };
}
