"""Packs labelled emoji pictures into WebDataset shards, one plain tar per split.

    python3 make_emoji_shards.py SOURCE OUT [--style noto]

SOURCE holds STYLE.bpk and emoji.tsv:
  STYLE.bpk  a blob pack, little endian: the bytes BPK1, uint32 N, uint64 offset[N + 1] from the
             start of the file, then N complete PNG files one after the other.
  emoji.tsv  UTF-8, tab-separated, one header line, with the columns style, image (index in the
             pack), split, name, keywords (| between), codepoints (hex, - between), concept
             (code points without skin tones and gender), gender (- none, p person, m man,
             w woman), tones (0 light .. 4 dark, commas between).
OUT gets emoji-SPLIT.tar for every split: CODEPOINTS.png and CODEPOINTS.json per emoji, in the order
of the pack. The tars are the same bytes on every run. Needs only the Python standard library.
"""

import argparse
import collections
import csv
import io
import json
import pathlib
import struct
import tarfile


def read_pack(path):
    data = path.read_bytes()
    if data[:4] != b"BPK1":
        raise SystemExit(f"{path}: not a blob pack: expected the first bytes BPK1")
    (count,) = struct.unpack_from("<I", data, 4)
    offsets = struct.unpack_from(f"<{count + 1}Q", data, 8)
    return [data[a:b] for a, b in zip(offsets, offsets[1:])]


def label(row):
    fields = {"caption": row["name"], "keywords": row["keywords"].split("|")}
    fields.update({name: row[name] for name in ("codepoints", "concept", "gender")})
    fields["tones"] = [int(tone) for tone in row["tones"].split(",") if tone]
    fields["split"] = row["split"]
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def add(tar, name, data):
    entry = tarfile.TarInfo(name)  # mtime, uid and gid are 0: the same bytes on every run
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=pathlib.Path, help="folder of STYLE.bpk and emoji.tsv")
    parser.add_argument("out", type=pathlib.Path, help="folder for the shards")
    parser.add_argument("--style", default="noto", help="rows of emoji.tsv to take (default: noto)")
    args = parser.parse_args()

    pictures = read_pack(args.source / f"{args.style}.bpk")
    splits = collections.defaultdict(list)
    with open(args.source / "emoji.tsv", encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE):
            if row["style"] == args.style:
                splits[row["split"]].append(row)

    args.out.mkdir(parents=True, exist_ok=True)
    for split, rows in splits.items():
        path = args.out / f"emoji-{split}.tar"
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
            for row in sorted(rows, key=lambda row: int(row["image"])):
                add(tar, row["codepoints"] + ".png", pictures[int(row["image"])])
                add(tar, row["codepoints"] + ".json", label(row))
        print(f"{path}: {len(rows)} emoji, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
