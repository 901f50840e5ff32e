"""Packs the scene sprites and easy-VQA: pictures into compressed tars, questions into ALBEF's JSON.

    python3 make_task_shards.py sprites SOURCE OUT   # SOURCE/sprites.bpk, sprites.tsv
    python3 make_task_shards.py easyvqa SOURCE OUT   # SOURCE/{train,test}.bpk, {train,test}.tsv

The .bpk files are blob packs as make_emoji_shards.py describes them, the .tsv files UTF-8 tables,
tab-separated, with one header line; the column `image` is the number of the picture in the pack.
  sprites  columns image, name, style -> OUT/sprites.tar.gz with STYLE/NAME.png, spaces in names as
           '_', for the styles whose licence suits a permissive tree.
  easyvqa  columns image, question, answer -> OUT/easyvqa-SPLIT.tar.gz with SPLIT/NUMBER.png,
           OUT/easyvqa-SPLIT.json.gz (the VQA format of the official code), OUT/answer_list.json and
           OUT/easyvqa-train-captions.json.gz: "a blue circle", where training questions tell both.
The files are the same bytes on every run. Needs only the Python standard library.
"""

import argparse
import csv
import gzip
import io
import json
import pathlib
import re
import tarfile

from make_emoji_shards import add, read_pack

STYLES = ("noto", "fluent", "twemoji")
SHAPES = ("circle", "rectangle", "triangle")


def rows(path):
    with open(path, encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))


def write(path, data, what):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    print(f"{path}: {what}, {len(data)} bytes")


def write_packed(path, data, what):
    write(path, gzip.compress(data, 9, mtime=0), what)


def write_tar(path, files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files:
            add(tar, name, data)
    write_packed(path, out.getvalue(), f"{len(files)} pictures")


def sprites(source, out):
    pack = read_pack(source / "sprites.bpk")
    files = [(f"{row['style']}/{row['name'].replace(' ', '_')}.png", pack[int(row["image"])])
             for row in rows(source / "sprites.tsv") if row["style"] in STYLES]
    write_tar(out / "sprites.tar.gz", sorted(files))


def captions(records):
    """Colour and shape of each picture whose questions and answers name both."""
    known = {}
    for record in records:
        question, answer = record["question"], record["answer"][0]
        if answer in ("yes", "no"):
            continue
        found = known.setdefault(record["image"], {})
        if answer in SHAPES:
            found["shape"] = answer
            if asked := re.search(r"what is the (\w+) shape", question):
                found["colour"] = asked[1]
        else:
            found["colour"] = answer
            if asked := re.search("|".join(SHAPES), question):
                found["shape"] = asked[0]
    return [{"image": image, "caption": f"a {found['colour']} {found['shape']}"}
            for image, found in sorted(known.items()) if len(found) == 2]


def write_records(path, records, what):
    lines = ",\n".join(json.dumps(r, separators=(",", ":")) for r in records)
    write_packed(path, f"[{lines}]\n".encode(), f"{len(records)} {what}")


def easyvqa(source, out):
    answers = set()
    for split in ("train", "test"):
        pack = read_pack(source / f"{split}.bpk")
        write_tar(out / f"easyvqa-{split}.tar.gz",
                  [(f"{split}/{i:04}.png", data) for i, data in enumerate(pack)])
        records = [{"dataset": "vqa", "image": f"{split}/{int(row['image']):04}.png",
                    "question": row["question"], "question_id": i, "answer": [row["answer"]]}
                   for i, row in enumerate(rows(source / f"{split}.tsv"))]
        answers.update(record["answer"][0] for record in records)
        write_records(out / f"easyvqa-{split}.json.gz", records, "questions")
        if split == "train":
            write_records(out / "easyvqa-train-captions.json.gz", captions(records), "captions")
    write(out / "answer_list.json", (json.dumps(sorted(answers)) + "\n").encode(),
          f"{len(answers)} answers")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("sprites", "easyvqa"))
    parser.add_argument("source", type=pathlib.Path, help="folder of the packs and tables")
    parser.add_argument("out", type=pathlib.Path, help="folder for the results")
    args = parser.parse_args()
    {"sprites": sprites, "easyvqa": easyvqa}[args.what](args.source, args.out)


if __name__ == "__main__":
    main()
