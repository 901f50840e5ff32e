#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets, small valid files, to corpus/ beside this script.
Needs numpy, Pillow and tokenizers (PyPI); the seeds are part of the project, so that nobody else does."""
import gzip, io, json, pathlib, struct, tarfile

import numpy as np
import tokenizers
from PIL import Image

CORPUS = pathlib.Path(__file__).parent / "corpus"


def seed(target, name, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def safetensors(tensors, metadata=None):
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, (dtype, array) in tensors.items():
        raw = array.tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def picture(kind, mode="RGB", **options):
    y, x = np.mgrid[0:13, 0:17]
    rgb = np.stack([x * 15, y * 19, (x + y) * 8], -1).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(rgb).convert(mode).save(out, kind, **options)
    return out.getvalue()


def tar(members, format=tarfile.USTAR_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    end = len(out.getvalue().rstrip(b"\0"))
    return out.getvalue()[: (end + 511) // 512 * 512] + bytes(1024)  # without tar's further padding


f32 = np.arange(6, dtype=np.float32).reshape(2, 3) / 8
seed("safetensors", "two", safetensors({"a": ("F32", f32), "b": ("I64", np.arange(3))}, {"format": "pt"}))
seed("safetensors", "halves", safetensors({"h": ("F16", f32.astype(np.float16)), "u": ("U8", np.arange(4, dtype=np.uint8)),
                                           "s": ("BF16", np.zeros((), np.uint16))}))
def state(prefix, suffix=""):
    return {f"{prefix}proj{suffix}.weight": ("F32", f32.T.copy()), f"{prefix}proj{suffix}.bias": ("F32", f32[0].copy()),
            f"{prefix}scale{suffix}": ("F32", np.ones(1, np.float32))}
whole = {**state(""), **state("", "_m"), **state("optimizer.exp_avg."), **state("optimizer.exp_avg_sq."),
         "optimizer.steps": ("I64", np.array([4, 4, 4]))}
seed("checkpoint", "weights", safetensors(state("")))
seed("checkpoint", "whole", safetensors(whole, {"train.step": "4"}))

for name, array in {"matrix": f32, "bytes": np.arange(5, dtype=np.uint8), "whole": np.arange(4)}.items():
    out = io.BytesIO()
    np.save(out, array)
    seed("npy", name, out.getvalue())

png, jpeg = picture("PNG"), picture("JPEG", quality=40)
pair = {"a.png": png, "a.txt": b"a cat", "b.jpg": jpeg, "b.json": b'{"caption": "two cats", "image_id": 7}'}
seed("shard", "ustar", tar(pair))
seed("shard", "pax", tar({"n\u00e4me/a.png": png, "n\u00e4me/a.txt": "na\u00efve\nlines".encode()}, tarfile.PAX_FORMAT))
seed("shard", "gnu", tar({"long/" * 25 + "a.jpg": jpeg, "long/" * 25 + "a.json": b'{"caption": ["x", "y"]}'}, tarfile.GNU_FORMAT))
seed("shard", "gzip", gzip.compress(tar({"a.png": png, "a.txt": b"a cat"}), mtime=0))

seed("records", "captions", json.dumps([{"image": "a.png", "caption": ["a cat", "\u732b"], "image_id": 3},
                                        {"image": "b.png", "caption": "a dog", "score": 0.5, "tags": ["x", 1]}]))
seed("records", "vqa", json.dumps([{"image": "a.png", "question": "What is it?", "question_id": 1, "dataset": "vqa",
                                    "answer": ["cat", "cat", "dog"]}, {"image": "b.png", "question": "Where?", "answer": "here"}]))
seed("records", "entailment", json.dumps([{"image": "a", "sentence": "A cat.", "label": "neutral"}]))
seed("records", "reasoning", json.dumps([{"images": ["a.png", "b.png"], "sentence": "Two cats.", "label": "True"}]))
seed("records", "answers", json.dumps(["yes", "no", "2"]))
seed("records", "numbers", '[{"image": "a.png", "caption": "x", "p": NaN, "q": -Infinity, "r": 1e400, "s": "\\ud83d"}]')
seed("records", "packed", gzip.compress(b'[{"image": "a.png", "caption": "a cat"}]', mtime=0))
seed("grounding", "refs", '[{"ref_id": 1, "ann_id": 2, "image_id": 3, "split": "val"}]')
seed("grounding", "instances", '[{"ref_id": 1, "ann_id": 2, "image_id": 3, "split": "testA"}]\n---\n'
     '{"images": [{"id": 3, "width": 40, "height": 30}], "annotations": [{"id": 2, "image_id": 3, "bbox": [1, 2, 10, 12.5]}]}')
seed("grounding", "detections", '\n---\n\n---\n{"3": [[1, 2, 10, 12], [-3, 0, 39.5, 31], [5, 5, 0, 2]]}')

words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "##s", "'", "\u732b"]
seed("vocab", "words", "\n".join(words) + "\n")
seed("vocab", "windows", "\ufeff" + "\r\n".join(words))
model = tokenizers.Tokenizer(tokenizers.models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
model.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
model.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
model.decoder = tokenizers.decoders.WordPiece()
model.add_special_tokens(["[CLS]", "[SEP]", "[MASK]", "[DEC]"])
seed("tokenizer_json", "bert", json.dumps(json.loads(model.to_str()), ensure_ascii=False))
model.normalizer = tokenizers.normalizers.Sequence([tokenizers.normalizers.BertNormalizer(lowercase=False, strip_accents=True)])
seed("tokenizer_json", "sequence", json.dumps(json.loads(model.to_str())))
seed("text", "caption", "A <person> with the cat's [MASK] -- na\u00efve/\u732b\u732b!\n\u00c5ngstr\u00f6m 1,000\u2028e\u0301")
seed("text", "broken", b"caf\xc3 \xed\xa0\xbd \xff\x00 x\xcc\x81\xcc\x81")

seed("picture", "png", png)
seed("picture", "png_palette", picture("PNG", "P"))
seed("picture", "png_grey", picture("PNG", "L"))
seed("picture", "png_alpha", picture("PNG", "RGBA"))
seed("picture", "jpeg", jpeg)
seed("picture", "jpeg_progressive", picture("JPEG", progressive=True))
seed("picture", "jpeg_grey", picture("JPEG", "L"))
seed("picture", "jpeg_cmyk", picture("JPEG", "CMYK"))
seed("picture", "webp", picture("WEBP", quality=30))
seed("picture", "webp_lossless", picture("WEBP", "RGBA", lossless=True))
seed("picture", "gif", picture("GIF", "P"))
seed("picture", "bmp", picture("BMP"))
seed("picture", "bmp_palette", picture("BMP", "P"))
seed("picture", "tiff", picture("TIFF"))
seed("picture", "tiff_lzw", picture("TIFF", "L", compression="tiff_lzw"))
seed("picture", "tiff_deflate", picture("TIFF", "P", compression="tiff_adobe_deflate"))

seed("names", "weight", "a.json=0.5")
seed("names", "range", "s-{00..12}.tar")
seed("names", "braces", "{a,b{1..3}}*.tar")
seed("run_files", "metrics", '{"step":0,"loss":1.5,"itm":null}\n{"step":1,"loss":1.25,"val.score":0.5}\n')
seed("run_files", "results", '{"epoch": 3, "score": 0.5, "by": {"a": [1, 2]}}')
seed("options", "flat", 'data=a.json\ncount = 4\nrate=1e-4\nflag=true\nnames="a b" c\n[train]\nsteps=7\n')
seed("options", "lists", '# options\nnames=["x", \'y\']\nseed=18446744073709551615\noutput="run [1], a=b"\n')
