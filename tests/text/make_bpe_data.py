"""Writes include/albef/text/bpe_data.hpp: what CLIP's tokenizer asks of Unicode and HTML.

Usage: python3 make_bpe_data.py > ../../include/albef/text/bpe_data.hpp   (needs: regex)

The classes of letters and numbers are those of Python's regex module, with which the reference splits
texts; the entities are those of Python's html.unescape.
"""
import html
import html.entities

import regex

CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def lines(kind, name, items, comment):
    print("\n// %s\ninline constexpr %s %s[]{" % (comment, kind, name))
    line = "   "
    for item in items:
        if len(line) + len(item) > 97:
            print(line)
            line = "   "
        line += " " + item + ","
    print(line[:-1] + "};")


def table(name, known, comment):
    first = sorted(c for c in known if c - 1 not in known)
    end = sorted(c + 1 for c in known if c + 1 not in known)
    lines("std::int32_t", name, ["0x%X" % n for run in zip(first, end) for n in run], comment)


def matches(pattern):
    return {c for c in CODES if regex.fullmatch(pattern, chr(c), regex.IGNORECASE)}


def literal(text):
    return '"%s"' % "".join("\\x%02X" % b for b in text.encode())


print("""// What CLIP's tokenizer asks of Unicode and HTML, as the reference answers it.
// Made by tests/text/make_bpe_data.py; do not edit.
#pragma once

#include <cstdint>

// clang-format off
namespace albef::detail::bpe {

struct Entity {
  const char *name, *text;
};
struct Reference {
  std::int32_t number, code;
};

// A table of ranges holds the first code point of each range and the one behind its last.""")
table("letter", matches(r"[\p{L}]"), "Letters.")
table("number", matches(r"[\p{N}]"), "Numbers.")
table("skipped", set(CODES) - matches(r"[\p{L}]") - matches(r"[\p{N}]")
      - matches(r"[^\s\p{L}\p{N}]") - matches(r"\s"),
      "Of no piece: a mark that is the form of a letter where case does not count.")
lines("Entity", "entities", ['{"%s", %s}' % (name, literal(text))
                             for name, text in sorted(html.entities.html5.items())],
      "Named characters of HTML, in the order of the names.")
lines("Reference", "replaced", ["{0x%X, 0x%X}" % (n, ord(t))
                                for n, t in sorted(html._invalid_charrefs.items())],
      "Numbers of characters that stand for another.")
table("dropped", html._invalid_codepoints, "Numbers of characters that stand for nothing.")
print("\n}  // namespace albef::detail::bpe\n// clang-format on")
