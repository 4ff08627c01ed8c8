// The text of a rule as tokens, lightly: its own words, numbers, and what it names.

const WORDS = new Set(["when", "assumes", "grad", "and", "or", "not"]);

// In this order: the arrow, a number, a name (with a dtype after @), a run of blanks, one other sign.
const TOKEN = /(=>)|(@\w+)|(\d+\.?\d*(?:[eE][+-]?\d+)?)|([A-Za-z_]\w*)|(\s+)|([^])/gu;

/**
 * The tokens of a rule's text.
 * @param {string} text
 * @returns {[string, string][]} class and text; the texts together are the rule. Classes: keyword, type, number, function, name, or empty
 */
export function ruleTokens(text) {
  const found = [];
  for (const match of text.matchAll(TOKEN)) {
    const [token, arrow, dtype, number, word] = match;
    if (arrow !== undefined || WORDS.has(word)) found.push(["keyword", token]);
    else if (dtype !== undefined) found.push(["type", token]);
    else if (number !== undefined) found.push(["number", token]);
    else if (word !== undefined) found.push([text[match.index + token.length] === "(" ? "function" : "name", token]);
    else if (found.length > 0 && found.at(-1)[0] === "") found.at(-1)[1] += token;
    else found.push(["", token]);
  }
  return found;
}
