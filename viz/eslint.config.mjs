// What the page's JavaScript keeps to: ESLint's own recommendations, and nothing that reads strings as markup or as code.

import js from "@eslint/js";
import globals from "globals";

const MARKUP = ["innerHTML", "outerHTML", "insertAdjacentHTML", "setHTMLUnsafe", "createContextualFragment", "srcdoc"].map((property) => ({
  property,
  message: "names and texts of a user's graph are hostile: build elements with el() of page/dom.js",
}));

export default [
  { ignores: ["dist/**", "node_modules/**"] },
  js.configs.recommended,
  {
    files: ["**/*.js", "**/*.mjs"],
    languageOptions: { ecmaVersion: 2024, sourceType: "module" },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "no-unused-vars": "error",
      "no-var": "error",
      "prefer-const": "error",
      eqeqeq: "error",
      curly: ["error", "multi-line"],
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-new-func": "error",
      "no-script-url": "error",
      "no-restricted-properties": ["error", ...MARKUP, { object: "document", property: "write", message: "build elements with el() of page/dom.js" }],
      "no-console": "error",
      "max-lines": ["error", 400],
    },
  },
  { files: ["page/**/*.js"], languageOptions: { globals: globals.browser } },
  { files: ["page/theme.js"], languageOptions: { sourceType: "script" } },
  { files: ["*worker.js"], languageOptions: { globals: globals.worker } },
  { files: ["service-worker.js"], languageOptions: { globals: globals.serviceworker } },
  {
    files: ["tests/**", "bench/**", "*.config.mjs"],
    languageOptions: { globals: globals.node },
    rules: { "no-console": "off" },
  },
];
