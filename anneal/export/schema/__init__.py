"""The documents that commands print with `--json`, and the browser reads: a module a document, and `check`, which compares one with the other.

Each has a version, which changes when a reader of the old form would be misled; new keys may come at any time. Sizes are numbers, or
expressions in symbols as text. Numbers that JSON does not have are text: "NaN", "Infinity", "-Infinity".
"""
