"""Packs sprites, easy-VQA and composed scenes: pictures into tars, texts into ALBEF's JSON.

    python3 make_task_shards.py sprites SOURCE OUT   # SOURCE/sprites.bpk, sprites.tsv
    python3 make_task_shards.py easyvqa SOURCE OUT   # SOURCE/{train,test}.bpk, {train,test}.tsv
    python3 make_task_shards.py scenes SOURCE OUT    # SOURCE/SPLIT.bpk, SPLIT_{scenes,...}.tsv

The .bpk files are blob packs as make_emoji_shards.py describes them, the .tsv files UTF-8 tables,
tab-separated, with one header line; the column `image` is the number of the picture in the pack.
  sprites  columns image, name, style -> OUT/sprites.tar.gz with STYLE/NAME.png, spaces in names as
           '_', for the styles whose licence suits a permissive tree.
  easyvqa  columns image, question, answer -> OUT/easyvqa-SPLIT.tar.gz with SPLIT/NUMBER.png,
           OUT/easyvqa-SPLIT.json.gz (the VQA format of the official code), OUT/answer_list.json and
           OUT/easyvqa-train-captions.json.gz: "a blue circle", where training questions tell both.
  scenes   of the splits train, val and test the tables
             SPLIT_scenes    image, background, new_looks, objects (NAME@STYLE@X,Y,W,H between ;)
             SPLIT_captions  image, caption
             SPLIT_vqa       image, question, answer, type
             SPLIT_ve        image, hypothesis, label
             SPLIT_pairs     left, right, label, statement
             SPLIT_ground    image, phrase, x, y, w, h
           -> the files that make_scenes writes, the boxes to choose from being those of the scene.
The files are the same bytes on every run. Needs only the Python standard library.
"""

import argparse
import collections
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


def tar_bytes(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files:
            add(tar, name, data)
    return out.getvalue()


def write_tar(path, files):
    write_packed(path, tar_bytes(files), f"{len(files)} pictures")


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


def record_bytes(records):
    lines = ",\n".join(json.dumps(r, separators=(",", ":")) for r in records)
    return f"[{lines}]\n".encode()


def write_records(path, records, what):
    write_packed(path, record_bytes(records), f"{len(records)} {what}")


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


def scenes(source, out):
    images, annotations, references, detections, answers = [], [], [], {}, set()

    def save(name, records):
        write(out / f"{name}.json", record_bytes(records), f"{len(records)} records")

    for split in ("train", "val", "test"):
        def table(name):
            return rows(source / f"{split}_{name}.tsv")

        def picture(number):
            return f"{split}/{int(number):05}.png"

        texts = collections.defaultdict(list)
        for row in table("captions"):
            texts[picture(row["image"])].append(row["caption"])
        ids, files = {}, []
        pack = read_pack(source / f"{split}.bpk")
        for row in table("scenes"):
            image, objects = picture(row["image"]), []
            for entry in row["objects"].split(";"):
                name, style, box = entry.split("@")
                objects.append({"name": name, "style": style,
                                "box": [int(x) for x in box.split(",")]})
            label = {"caption": texts[image], "background": row["background"], "objects": objects,
                     "new_looks": int(row["new_looks"])}
            files += [(image, pack[int(row["image"])]),
                      (image[:-3] + "json", json.dumps(label, separators=(",", ":")).encode())]
            ids[image] = {"image": len(images)}
            for thing in objects:
                ids[image][tuple(thing["box"])] = len(annotations)
                annotations.append({"id": len(annotations), "image_id": len(images),
                                    "bbox": thing["box"], "category": thing["name"]})
            detections[len(images)] = [thing["box"] for thing in objects]
            images.append({"id": len(images), "file_name": image, "width": 96, "height": 96})
        write(out / f"{split}.tar", tar_bytes(files), f"{len(pack)} pictures")

        if split == "train":
            save("retrieval_train", [{"image_id": i, "image": image, "caption": text}
                                     for i, (image, all) in enumerate(texts.items())
                                     for text in all])
        else:
            save(f"retrieval_{split}", [{"image": image, "caption": all}
                                        for image, all in texts.items()])
        questions = [{"dataset": "vqa", "image": picture(row["image"]),
                      "question": row["question"], "question_id": i, "answer": [row["answer"]],
                      "type": row["type"]} for i, row in enumerate(table("vqa"))]
        answers.update(question["answer"][0] for question in questions)
        save(f"vqa_{split}", questions)
        save(f"ve_{split}", [{"image": picture(row["image"]), "sentence": row["hypothesis"],
                              "label": row["label"]} for row in table("ve")])
        save(f"nlvr_{split}", [{"images": [picture(row["left"]), picture(row["right"])],
                                "sentence": row["statement"], "label": row["label"].title()}
                               for row in table("pairs")])
        grounding = []
        for row in table("ground"):
            image, box = picture(row["image"]), tuple(int(row[key]) for key in "xywh")
            grounding.append({"image": image, "text": row["phrase"], "ref_id": len(references)})
            references.append({"ref_id": len(references), "ann_id": ids[image][box],
                               "image_id": ids[image]["image"], "split": split})
        save(f"grounding_{split}", grounding)
    save("answer_list", sorted(answers))
    save("refs", references)
    for name, what in (("instances", {"images": images, "annotations": annotations}),
                       ("dets", detections)):
        write(out / f"{name}.json", (json.dumps(what, separators=(",", ":")) + "\n").encode(), name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("sprites", "easyvqa", "scenes"))
    parser.add_argument("source", type=pathlib.Path, help="folder of the packs and tables")
    parser.add_argument("out", type=pathlib.Path, help="folder for the results")
    args = parser.parse_args()
    {"sprites": sprites, "easyvqa": easyvqa, "scenes": scenes}[args.what](args.source, args.out)


if __name__ == "__main__":
    main()
