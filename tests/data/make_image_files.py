"""Writes the pictures of image_files/ in formats beside PNG and JPEG, and damaged ones, all 19 x 13, each with what
Pillow's convert('RGB') gives as NAME.expected.png; refused_* are damaged beyond what Pillow reads. Made with Pillow 13."""
import io
import os
import struct
import zlib

import numpy as np
from PIL import Image

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "image_files"))
W, H = 19, 13
rng = np.random.default_rng(7)
y, x = np.mgrid[0:H, 0:W]
rgb = Image.fromarray(np.stack([x * 13, y * 19, (x * y) % 256], -1).astype(np.uint8))
rgba = rgb.copy()
rgba.putalpha(Image.fromarray((255 - x * y).clip(0, 255).astype(np.uint8)))
palette = rgb.quantize(16)
files = {}


def saved(picture, kind, **options):
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def bytes_(n):
    return rng.integers(0, 256, n, dtype=np.uint8).tobytes()


# WebP
files["lossless.webp"] = saved(rgb, "WEBP", lossless=True)
files["lossy.webp"] = saved(rgb, "WEBP", quality=70)
files["alpha.webp"] = saved(rgba, "WEBP", lossless=True, exact=True)
files["animated.webp"] = saved(rgb, "WEBP", save_all=True, append_images=[rgb.rotate(180)], lossless=True)

# GIF
files["interlaced.gif"] = saved(palette, "GIF", interlace=1)
files["gray.gif"] = saved(rgb.convert("L"), "GIF")
files["animated.gif"] = saved(palette, "GIF", save_all=True, append_images=[rgb.rotate(180).quantize(8)])


def gif(frame, transparent=None, screen=(W, H)):
    """One frame of single-byte codes, anywhere on the screen."""
    left, top, width, height = frame
    out = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x83, 0, 0) + bytes_(48)
    if transparent is not None:
        out += b"!\xf9\x04\x01\0\0" + bytes([transparent]) + b"\0"
    out += b"!\xfe\x05hello\0," + struct.pack("<HHHHB", left, top, width, height, 0) + b"\x08"
    codes = []
    for i, value in enumerate(rng.integers(0, 18, width * height)):
        codes += ([256] if i % 100 == 0 else []) + [int(value)]
    number = sum(code << 9 * i for i, code in enumerate(codes + [257]))
    packed = number.to_bytes((9 * (len(codes) + 1) + 7) // 8, "little")
    for i in range(0, len(packed), 255):
        out += bytes([len(packed[i:i + 255])]) + packed[i:i + 255]
    return out + b"\0;"


files["part.gif"] = gif((3, 4, 9, 5))
files["part_transparent.gif"] = gif((3, 4, 9, 5), 5)
files["outside.gif"] = gif((9, 6, 10, 7), 5, (8, 6))
files["damaged_no_end.gif"] = gif((0, 0, W, H))[:-2]

# BMP


def bmp(bits, data, compression=0, palette=b"", masks=b"", size=40, up=True, colors=0):
    if size == 12:
        header = struct.pack("<IHHHH", 12, W, H, 1, bits)
    else:
        header = struct.pack("<IiiHHIIiiII", size, W, H if up else -H, 1, bits, compression, len(data), 0, 0, colors, 0)
        header += masks.ljust(size - 40, b"\0")
    begin = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", begin + len(data), 0, 0, begin) + header + palette + data


def lines(bits):
    return bytes_((W * bits + 31) // 32 * 4 * H)


for bits in (1, 4, 8):
    files[f"bits{bits}.bmp"] = bmp(bits, lines(bits), palette=bytes_(4 << bits))
files["few_colors.bmp"] = bmp(4, bytes(lines(4)), palette=bytes_(20), colors=5)
files["top_down24.bmp"] = bmp(24, lines(24), up=False)
files["core8.bmp"] = bmp(8, lines(8), palette=bytes_(768), size=12)
files["bits16.bmp"] = bmp(16, lines(16))
files["fields565.bmp"] = bmp(16, lines(16), 3, masks=struct.pack("<III", 0xF800, 0x7E0, 0x1F))
files["bits32.bmp"] = bmp(32, lines(32))
files["fields32.bmp"] = bmp(32, lines(32), 3, size=108, masks=struct.pack("<IIII", 0xFF, 0xFF00, 0xFF0000, 0xFF000000))
runs8 = b"".join(b"\5\1\0\5\2\3\4\5\6\0\7\2\2\x09\0\0" for _ in range(5)) + b"\3\7\0\2\4\2\6\1\0\1"
runs8 = runs8[:-2] + b"".join(b"\x13" + bytes([i]) + b"\0\0" for i in range(6)) + b"\0\1"
files["runs8.bmp"] = bmp(8, runs8, 1, palette=bytes_(1024))
runs4 = b"".join(bytes([0, 7]) + bytes_(4) + b"\x0c\x3c\0\0" for _ in range(H)) + b"\0\1"
files["runs4.bmp"] = bmp(4, runs4, 2, palette=bytes_(64))

# TIFF
for name, picture in (("rgb", rgb), ("gray", rgb.convert("L")), ("palette", palette), ("one_bit", rgb.convert("1")),
                      ("cmyk", rgb.convert("CMYK"))):
    files[f"lzw_{name}.tiff"] = saved(picture, "TIFF", compression="tiff_lzw")
files["deflate_alpha.tiff"] = saved(rgba, "TIFF", compression="tiff_adobe_deflate")
files["packbits.tiff"] = saved(rgb, "TIFF", compression="packbits", strip_size=200)
files["jpeg.tiff"] = saved(rgb.convert("YCbCr"), "TIFF", compression="jpeg")
files["group4.tiff"] = saved(rgb.convert("1"), "TIFF", compression="group4")
files["gray16.tiff"] = saved(Image.fromarray(rng.integers(0, 600, (H, W)).astype(np.uint16)), "TIFF")
files["turned.tiff"] = saved(rgb.transpose(Image.Transpose.ROTATE_90), "TIFF", tiffinfo={274: 6})


def tiff(bits, samples, photometric, parts, order="<", **tags):
    names = dict(rows=278, planes=284, tile_width=322, tile_height=323, extra=338, colors=320)
    entries = {256: [W], 257: [H], 258: [bits] * samples, 259: [1], 262: [photometric], 277: [samples]}
    entries.update({names[tag]: value if isinstance(value, list) else [value] for tag, value in tags.items()})
    offsets = [8 + sum(map(len, parts[:i])) for i in range(len(parts))]
    entries.update({324 if "tile_width" in tags else 273: offsets,
                    325 if "tile_width" in tags else 279: [len(part) for part in parts]})
    data = b"".join(parts)
    data += b"\0" * (len(data) % 2)
    directory, outside = struct.pack(order + "H", len(entries)), b""
    after = 8 + len(data) + 2 + 12 * len(entries) + 4
    for tag, values in sorted(entries.items()):
        packed = struct.pack(order + "H" * len(values), *values)
        directory += struct.pack(order + "HHI", tag, 3, len(values))
        if len(packed) <= 4:
            directory += packed.ljust(4, b"\0")
        else:
            directory += struct.pack(order + "I", after + len(outside))
            outside += packed
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(order + "I", 8 + len(data)) + data + directory + bytes(4) + outside


for bits in (2, 4):
    files[f"gray{bits}.tiff"] = tiff(bits, 1, 0, [bytes_((W * bits + 7) // 8 * H)])
files["palette4.tiff"] = tiff(4, 1, 3, [bytes_(10 * H)], colors=rng.integers(0, 65536, 48).tolist())
files["rgb16_big_endian.tiff"] = tiff(16, 3, 2, [bytes_(W * H * 6)], ">")
files["premultiplied.tiff"] = tiff(8, 4, 2, [bytes_(W * H * 4)], extra=1)
files["planes.tiff"] = tiff(8, 3, 2, [bytes_(W * H) for _ in range(3)], planes=2)
files["tiles.tiff"] = tiff(8, 3, 2, [bytes_(768), bytes_(768)], tile_width=16, tile_height=16)
files["tiles_one_bit.tiff"] = tiff(1, 1, 1, [bytes_(32), bytes_(32)], tile_width=16, tile_height=16)

# PNM
files["bytes.ppm"] = saved(rgb, "PPM")
files["bits.pbm"] = saved(rgb.convert("1"), "PPM")
for kind, channels in ((2, 1), (3, 3)):
    levels = rng.integers(0, 101, W * H * channels)
    files[f"text{kind}.pnm"] = b"P%d # levels\n%d %d\n100\n" % (kind, W, H) + b" ".join(b"%d" % v for v in levels)
files["gray16.pgm"] = b"P5 %d %d\n1000\n" % (W, H) + rng.integers(0, 1001, W * H).astype(">u2").tobytes()

# Damaged, and read by Pillow
jpeg = saved(rgb, "JPEG", quality=90, subsampling=0)
scan = jpeg.index(b"\xff\xda")
scan += 2 + struct.unpack(">H", jpeg[scan + 2:scan + 4])[0]
half = scan + (len(jpeg) - 2 - scan) // 2
files["damaged_half_and_end.jpg"] = jpeg[:half] + jpeg[-2:]
files["damaged_end_in_the_middle.jpg"] = jpeg[:half] + b"\xff\xd9" + jpeg[half + 2:]
files["damaged_zeros_for_end.jpg"] = jpeg[:-2] + bytes(50)
restarts = saved(rgb, "JPEG", quality=90, subsampling=0, restart_marker_blocks=2)
lost = restarts.index(b"\xff\xd0")
files["damaged_lost_part.jpg"] = restarts[:lost] + restarts[restarts.index(b"\xff\xd1"):]


def chunk(name, data, flip=0):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data) ^ flip)


def png(data, flip=0, after=b""):
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", W, H, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", data, flip) + after + chunk(b"IEND", b""))


rows = [b"\0" + np.asarray(rgb)[i].tobytes() for i in range(H)]
packed = zlib.compress(b"".join(rows))
files["damaged_no_end.png"] = png(packed)[:-12]
files["damaged_no_checksum.png"] = png(packed)[:-16]
files["damaged_no_adler.png"] = png(packed[:-4])
files["damaged_few_rows.png"] = png(zlib.compress(b"".join(rows[:9])))
files["damaged_checksum.png"] = png(packed, 1)
files["damaged_text.png"] = png(packed, after=chunk(b"tEXt", b"a\0b", 1))
files["trailing.png"] = png(packed) + bytes(70)

for name, content in files.items():
    open(name, "wb").write(content)
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    assert picture.size == (W, H), name
    picture.save(name + ".expected.png")

# Damaged beyond that
flipped = bytearray(packed)
flipped[-1] ^= 1
refused = {"no_end.jpg": jpeg[:-2], "half.jpg": jpeg[:half], "half.png": png(packed)[:len(packed) // 2],
           "adler.png": png(bytes(flipped)), "half_stream.png": png(packed[:len(packed) // 2]),
           "half.gif": files["part.gif"][:-30], "half.webp": files["lossy.webp"][:-20],
           "half.bmp": files["bits16.bmp"][:-60], "half_runs.bmp": files["runs4.bmp"][:-40],
           "half.tiff": files["planes.tiff"][:-20], "half.ppm": files["bytes.ppm"][:-4]}
for name, content in refused.items():
    open("refused_" + name, "wb").write(content)
    try:
        Image.open(io.BytesIO(content)).convert("RGB")
    except Exception:
        continue
    raise SystemExit(f"Pillow reads {name}")
