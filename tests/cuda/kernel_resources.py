#!/usr/bin/env python3
"""Registers, spills and shared memory of every CUDA kernel, as ptxas reports them.

usage: kernel_resources.py [--arch 90] [--nvcc nvcc] [--type bfloat16 ...] [--all]

Compiles cmake/cuda/primitives_<type>.cu and prints the kernels that use many registers or any stack
(--all: every kernel). Exit status 1 if one spills more than a few registers.
"""
import argparse
import pathlib
import re
import subprocess
import sys

SPILL_LIMIT = 32  # bytes
MANY_REGISTERS = 96
ROOT = pathlib.Path(__file__).resolve().parents[2]
ENTRY = re.compile(
    r"Compiling entry function '(?P<name>\w+)'.*?"
    r"(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, "
    r"(?P<loads>\d+) bytes spill loads.*?"
    r"Used (?P<registers>\d+) registers(?P<rest>[^\n]*)", re.S)


def compile_report(nvcc, arch, source):
    command = [nvcc, "-std=c++20", "--expt-relaxed-constexpr", f"-arch=sm_{arch}", "-cubin",
               "-Xptxas", "-v", f"-I{ROOT / 'include'}", "-o", "/dev/null", str(source)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"{source}: {result.stderr}")
    return result.stderr


def readable(names):
    out = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True,
                         check=True).stdout.splitlines()
    return [re.sub(r"\(.*|albef::detail::|albef::|void ", "", n) for n in out]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", default="90")
    parser.add_argument("--nvcc", default="nvcc")
    parser.add_argument("--type", nargs="*", default=["bfloat16", "float", "double"])
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    failed = False
    for kind in options.type:
        report = compile_report(options.nvcc, options.arch,
                                ROOT / "src" / "cuda" / f"primitives_{kind}.cu")
        kernels = [m.groupdict() for m in ENTRY.finditer(report)]
        print(f"sm_{options.arch}, {kind}: {len(kernels)} kernels")
        print(f"{'registers':>9} {'stack':>6} {'spilled':>8} {'static smem':>12}  kernel")
        rows = zip(kernels, readable([k["name"] for k in kernels]))
        for k, name in sorted(rows, key=lambda row: -int(row[0]["registers"])):
            spilled = max(int(k["stores"]), int(k["loads"]))
            failed |= spilled > SPILL_LIMIT
            if not (options.all or spilled or int(k["stack"]) or
                    int(k["registers"]) >= MANY_REGISTERS):
                continue
            shared = re.search(r"(\d+) bytes smem", k["rest"])
            print(f"{k['registers']:>9} {k['stack']:>6} {spilled:>8} "
                  f"{shared.group(1) if shared else 0:>12}  {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
