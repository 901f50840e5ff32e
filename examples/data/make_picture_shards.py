"""Packs labelled photographs and titled drawings into shards, and writes texts to learn words from.

    python3 make_picture_shards.py grocery SOURCE OUT [--size 64] [--train 12] [--test 6]
    python3 make_picture_shards.py clipart SOURCE OUT
    python3 make_picture_shards.py texts OUT TABLE:COLUMN ...

The .bpk files are blob packs as make_emoji_shards.py describes them, the .tsv files UTF-8 tables,
tab-separated, with one header line; the column `image` is the number of the picture in the pack.
  grocery  {train,val,test}.bpk, .tsv (image, class), classes.tsv (class, name, coarse, description)
           -> OUT/grocery-SPLIT.tar.gz: SPLIT-NUMBER.jpg, .cls (the number of the class) and .json
           (its name and the coarser one); OUT/classes.txt, OUT/coarse.txt: the names, a line each,
           number 0 first. --size scales the pictures (needs Pillow), --train and --test take so
           many of each class, evenly spread over its pictures; without them everything is taken
           as it is, and the split val is written, too.
  clipart  clipart.bpk, clipart.tsv (image, split, caption, title, description, ...)
           -> OUT/clipart-SPLIT.tar.gz: NUMBER.png or .jpg with NUMBER.json (caption, split).
  texts    -> OUT: the different texts of the columns, one a line, in the order they come; what is
           between | is a text each, and of sentences those that end with a stop before a capital.
The files are the same bytes on every run with the same Pillow.
"""

import argparse
import collections
import io
import json
import pathlib
import re

from make_emoji_shards import read_pack
from make_task_shards import rows, tar_bytes, write, write_packed


def extension(picture):
    return "png" if picture[:4] == b"\x89PNG" else "jpg"


def scaled(picture, size):
    if not size:
        return picture
    from PIL import Image
    out = io.BytesIO()
    image = Image.open(io.BytesIO(picture)).convert("RGB").resize((size, size), Image.LANCZOS)
    image.save(out, "JPEG", quality=75, optimize=True)
    return out.getvalue()


def spread(items, most):
    """`most` of the items, evenly spread; all if there are no more, or `most` is 0."""
    if not most or len(items) <= most:
        return items
    return [items[i * len(items) // most] for i in range(most)]


def grocery(args):
    classes = rows(args.source / "classes.tsv")
    for split in ("train", "test") if args.train or args.test else ("train", "val", "test"):
        pack = read_pack(args.source / f"{split}.bpk")
        pictures = collections.defaultdict(list)
        for row in rows(args.source / f"{split}.tsv"):
            pictures[int(row["class"])].append(int(row["image"]))
        files = []
        for label, kind in enumerate(classes):
            text = {"name": kind["name"], "coarse": kind["coarse"]}
            for number in spread(pictures[label], getattr(args, split, 0)):
                picture, key = scaled(pack[number], args.size), f"{split}-{number:04}"
                files += [(f"{key}.{extension(picture)}", picture), (f"{key}.cls", b"%d" % label),
                          (f"{key}.json", json.dumps(text, separators=(",", ":")).encode())]
        write_packed(args.out / f"grocery-{split}.tar.gz", tar_bytes(files),
                     f"{len(files) // 3} pictures")
    for name, column in (("classes", "name"), ("coarse", "coarse")):
        names = list(dict.fromkeys(kind[column] for kind in classes))
        write(args.out / f"{name}.txt", "".join(n + "\n" for n in names).encode(),
              f"{len(names)} names")


def clipart(args):
    pack = read_pack(args.source / "clipart.bpk")
    splits = collections.defaultdict(list)
    for row in rows(args.source / "clipart.tsv"):
        picture, key = pack[int(row["image"])], f"{int(row['image']):04}"
        text = {"caption": row["caption"], "split": row["split"]}
        splits[row["split"]] += [
            (f"{key}.{extension(picture)}", picture),
            (f"{key}.json", json.dumps(text, ensure_ascii=False, separators=(",", ":")).encode())]
    for split, files in splits.items():
        write_packed(args.out / f"clipart-{split}.tar.gz", tar_bytes(files),
                     f"{len(files) // 2} pictures")


def texts(args):
    found = {}
    for place in args.columns:
        table, column = place.rsplit(":", 1)
        for row in rows(pathlib.Path(table)):
            if row.get("split", "train") != "train":
                continue
            for text in row[column].split("|"):
                for sentence in re.split(r"(?<=[.!?]) +(?=[A-Z])", " ".join(text.split())):
                    if re.search(r"\w\w", sentence):
                        found.setdefault(sentence)
    write_packed(args.out, "".join(text + "\n" for text in found).encode(), f"{len(found)} texts")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="what", required=True)
    for run in (grocery, clipart):
        command = commands.add_parser(run.__name__)
        command.set_defaults(run=run)
        command.add_argument("source", type=pathlib.Path, help="folder of the packs and tables")
        command.add_argument("out", type=pathlib.Path, help="folder for the shards")
        if run is grocery:
            command.add_argument("--size", type=int, default=0, help="pixels (default: as it is)")
            command.add_argument("--train", type=int, default=0, help="pictures of a class")
            command.add_argument("--test", type=int, default=0, help="pictures of a class")
    command = commands.add_parser("texts")
    command.set_defaults(run=texts)
    command.add_argument("out", type=pathlib.Path, help="file to write, .txt.gz")
    command.add_argument("columns", nargs="+", help="TABLE.tsv:COLUMN; of tables with splits, train")
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
