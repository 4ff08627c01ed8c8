// WGSL as tokens, line by line: enough of the language to colour what the compiler writes and what a reader looks for.

const WORDS = {
  keyword:
    "alias break case const const_assert continue continuing default diagnostic discard else enable fn for if let loop override requires return struct switch var while",
  type: "array atomic bool f16 f32 i32 mat2x2 mat3x3 mat4x4 ptr u32 vec2 vec3 vec4",
  constant: "true false",
  space: "storage workgroup private function uniform read write read_write",
};

const CLASSES = new Map(Object.entries(WORDS).flatMap(([name, words]) => words.split(" ").map((word) => [word, name])));

// In this order: a comment, an attribute, a number, a word, a run of blanks, one other sign.
const TOKEN = /(\/\/.*)|(@\w+)|(0[xX][\da-fA-F]+[iu]?|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[fhiu]?)|([A-Za-z_]\w*)|(\s+)|([^])/gu;

/**
 * The tokens of one line.
 * @param {string} line
 * @returns {[string, string][]} class and text; the texts together are the line. Classes: comment, attribute, number, keyword, type, constant, space,
 *   function, name, or empty for blanks and signs
 */
export function tokens(line) {
  const found = [];
  for (const match of line.matchAll(TOKEN)) {
    const [text, comment, attribute, number, word] = match;
    if (comment !== undefined) found.push(["comment", text]);
    else if (attribute !== undefined) found.push(["attribute", text]);
    else if (number !== undefined) found.push(["number", text]);
    else if (word !== undefined) found.push([CLASSES.get(word) ?? (line[match.index + text.length] === "(" ? "function" : "name"), text]);
    else if (found.length > 0 && found.at(-1)[0] === "") found.at(-1)[1] += text;
    else found.push(["", text]);
  }
  return found;
}
