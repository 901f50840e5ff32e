"""Writes include/albef/text/unicode_data.hpp: what the reference tokenizer does with each code point.

Usage: python3 make_unicode_data.py > ../../include/albef/text/unicode_data.hpp   (needs: tokenizers)
       python3 make_unicode_data.py --checksums   prints those of wordpiece_test.cpp

Everything is found by asking Hugging Face's tokenizers, for all code points, and Python's str.lower
for what decides between the two forms of a sigma. Which Unicode version a table follows is up to
them (the categories are old ones, lower case is new), so none of it comes from a Unicode library.
"""
import sys
import unicodedata

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def bert(**options):
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**off, **options}).normalize_str


clean, strip, lower = bert(clean_text=True), bert(strip_accents=True), bert(lowercase=True)
cjk, nfd = bert(handle_chinese_chars=True), normalizers.NFD().normalize_str
split = pre_tokenizers.BertPreTokenizer().pre_tokenize_str


def words(text):
    return [word for word, _ in split(text)]


def checksum(**options):
    normalize, out = normalizers.BertNormalizer(**options).normalize_str, 14695981039346656037
    for c in map(chr, CODES):
        for byte in "".join(w + " " for w in words(normalize(
                "a" + c + "\u0301b\u302e" + c + "\U0001d165"))).encode():
            out = (out ^ byte) * 1099511628211 % 2**64
    return "0x%xu" % out


if sys.argv[1:] == ["--checksums"]:
    print(checksum(strip_accents=True), checksum(strip_accents=False),
          checksum(strip_accents=True, lowercase=False, handle_chinese_chars=False),
          checksum(strip_accents=True, clean_text=False))
    sys.exit()


def classes():
    """Canonical combining classes as NFD has them: by the order into which it brings two marks."""

    def goes_before(b, a):
        return nfd("a" + a + b) != "a" + a + b

    low, high = "\u0338", "\u0345"  # of the lowest class, 1, and of the highest, 240
    marks = [chr(c) for c in CODES if nfd(chr(c)) == chr(c)
             and (chr(c) in (low, high) or goes_before(chr(c), high) or goes_before(low, chr(c)))]
    known = {}
    for mark in marks:
        known.setdefault(unicodedata.combining(mark), mark)
    return {ord(mark): value for mark in marks for value, other in known.items()
            if not goes_before(mark, other) and not goes_before(other, mark)}


def runs(values):
    """[first, end) of neighbours."""
    out = []
    for c in sorted(values):
        if out and out[-1][1] == c:
            out[-1][1] = c + 1
        else:
            out.append([c, c + 1])
    return out


def table(name, values, comment):
    numbers = [n for run in runs(values) for n in run]
    array("std::int32_t", name, ["0x%X" % n for n in numbers], comment)


def array(kind, name, items, comment):
    print("\n// %s\ninline constexpr %s %s[]{" % (comment, kind, name))
    line = "   "
    for item in items:
        if len(line) + len(item) > 97:
            print(line)
            line = "   "
        line += " " + item + ","
    print(line[:-1] + "};")


print("""// What BERT's tokenisation asks of Unicode, as the reference tokenizer answers it.
// Made by tests/text/make_unicode_data.py; do not edit.
#pragma once

#include <cstdint>

// clang-format off
namespace albef::detail::unicode {

struct CombiningRange {
  std::int32_t first, end;
  int combining_class;
};
struct LowerRange {
  std::int32_t first, last;
  int step, distance;
};

// A table of ranges holds the first code point of each range and the one behind its last.""")

table("dropped", [c for c in CODES if clean(chr(c)) == ""], "Left out of clean texts.")
table("space", [c for c in CODES if words("a" + chr(c) + "b") == ["a", "b"]], "Separate words.")
table("punctuation", [c for c in CODES if words("a" + chr(c) + "b") == ["a", chr(c), "b"]],
      "Words of their own.")
table("cjk", [c for c in CODES if cjk(chr(c)) != chr(c)], "Chinese characters.")
accents = {c for c in CODES if strip(chr(c)) == "" and nfd(chr(c)) == chr(c)}
table("accent", accents, "Dropped where accents are stripped.")
table("decomposed", [c for c in CODES if nfd(chr(c)) != chr(c)], "Have a canonical decomposition.")
combining = classes()
table("accent_between", [c for c in accents if c not in combining],
      "Accents of combining class 0: marks are not sorted across them.")
array("CombiningRange", "combining",
      ["{0x%X, 0x%X, %d}" % (first, end, value) for value in sorted(set(combining.values()))
       for first, end in runs(c for c in combining if combining[c] == value and c not in accents)],
      "Combining classes of the marks that are no accents.")

pairs = {c: lower(chr(c)) for c in CODES if lower(chr(c)) != chr(c) and c != 0x130}
assert lower("\u0130") == "i\u0307" and all(len(low) == 1 for low in pairs.values())
lowering = []
for c in sorted(pairs):
    delta = ord(pairs[c]) - c
    if lowering:
        last = lowering[-1]
        step = c - last[1]
        if last[3] == delta and step <= 2 and (last[2] == step or last[0] == last[1]):
            last[1], last[2] = c, step
            continue
    lowering.append([c, c, 1, delta])
array("LowerRange", "lower", ["{0x%X, 0x%X, %d, %d}" % tuple(r) for r in lowering],
      "Lower case but for U+0130: first and last code point, step, distance.")

single = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
single.add_tokens([AddedToken("b", single_word=True, normalized=False)])
table("word", [c for c in CODES if 2 not in single.encode(chr(c) + "b").ids],
      "What a token that is a single word does not stand beside.")

SIGMA = chr(0x3A3)
ignorable = [c for c in CODES if ("a" + chr(c) + SIGMA).lower()[-1] == "\u03c2"
             and (chr(c) + SIGMA).lower()[-1] == "\u03c3"]
table("case_ignorable", ignorable, "Passed over in the search for the letters around a sigma.")
table("cased", [c for c in CODES if (chr(c) + SIGMA).lower()[-1] == "\u03c2"],
      "Letters with case, but for those that are passed over.")
print("\n}  // namespace albef::detail::unicode\n// clang-format on")
