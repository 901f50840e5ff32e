#!/usr/bin/env python3
"""Registers, spills and shared memory of every CUDA kernel, as ptxas reports them.

usage: kernel_resources.py [--arch 80 90 100] [--nvcc nvcc] [--type bfloat16 ...] [--all]

Compiles cmake/cuda/primitives_<type>.cu for each architecture, prints how long that took, and the
kernels that use many registers or any stack (--all: every kernel). Exit status 1 if one spills more
than a few registers.
"""
import argparse
import pathlib
import re
import resource
import subprocess
import sys
import tempfile

SPILL_LIMIT = 32  # bytes
MANY_REGISTERS = 96
ROOT = pathlib.Path(__file__).resolve().parents[2]
ENTRY = re.compile(
    r"Compiling entry function '(?P<name>\w+)'.*?"
    r"(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, "
    r"(?P<loads>\d+) bytes spill loads.*?"
    r"Used (?P<registers>\d+) registers(?P<rest>[^\n]*)", re.S)


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def compile_report(nvcc, arch, source):
    """What ptxas says about the kernels of a source, and the CPU seconds of the compilation."""
    with tempfile.NamedTemporaryFile(suffix=".o") as out:
        command = [nvcc, "-std=c++20", "--expt-relaxed-constexpr", f"-arch=sm_{arch}", "-O3", "-c",
                   "-Xptxas", "-v", f"-I{ROOT / 'include'}", "-o", out.name, str(source)]
        before = cpu_seconds()
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"{source}: {result.stderr}")
    return result.stderr, cpu_seconds() - before


def readable(names):
    out = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True,
                         check=True).stdout.splitlines()
    return [re.sub(r"\(.*|albef::detail::|albef::gpu::|albef::|void ", "", n) for n in out]


def print_kernels(arch, kind, nvcc, everything):
    """Whether no kernel spills."""
    source = ROOT / "cmake" / "cuda" / f"primitives_{kind}.cu"
    report, seconds = compile_report(nvcc, arch, source)
    kernels = [m.groupdict() for m in ENTRY.finditer(report)]
    if not kernels:
        sys.exit(f"{source}: no kernels in the report of {nvcc}")
    print(f"sm_{arch}, {kind}: {len(kernels)} kernels, compiled in {seconds:.0f} s of CPU time")
    print(f"{'registers':>9} {'stack':>6} {'spilled':>8} {'static smem':>12}  kernel")
    good = True
    rows = zip(kernels, readable([k["name"] for k in kernels]))
    for k, name in sorted(rows, key=lambda row: -int(row[0]["registers"])):
        spilled = max(int(k["stores"]), int(k["loads"]))
        good &= spilled <= SPILL_LIMIT or kind == "double"  # which only gradient checks use
        if not (everything or spilled or int(k["stack"]) or
                int(k["registers"]) >= MANY_REGISTERS):
            continue
        shared = re.search(r"(\d+) bytes smem", k["rest"])
        print(f"{k['registers']:>9} {k['stack']:>6} {spilled:>8} "
              f"{shared.group(1) if shared else 0:>12}  {name}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", nargs="*", default=["80", "90", "100"])
    parser.add_argument("--nvcc", default="nvcc")
    parser.add_argument("--type", nargs="*", default=["bfloat16", "float", "double"])
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    good = True
    for arch in options.arch:
        for kind in options.type:
            good &= print_kernels(arch, kind, options.nvcc, options.all)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
