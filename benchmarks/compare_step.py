#!/usr/bin/env python3
"""Runs the same training steps of ALBEF, CLIP, FLAVA or DINO in this library and in PyTorch, taking
turns, and prints the time of both, their ratio and their peak memory.

    python compare_step.py --torch-python <venv>/bin/python --config tiny --batch 64
    python compare_step.py --torch-python <venv>/bin/python --config base --batch 8 \\
        --alternate runs --rounds 3 --steps 2 --warmup 1
    python compare_step.py --torch-python <venv>/bin/python --config base --batch 64 \\
        --ours-args "--device cuda" \\
        --torch-args "--set teacher_dropout=false --device cuda --precision bf16" [--compile]

The machine may be busy or change its clock, so the programs alternate (A B, B A, A B, ...), each
pair runs the same step numbers (the same caption lengths), and the ratio is taken per pair:
time of PyTorch / time of this library, above 1 where this library is faster.

--alternate live  both programs stay alive, only one computes; needs memory for both
--alternate runs  a new process for every turn, which repeats the warm-up; needs memory for one

What a program must understand (benchmarks/pytorch/*_step.py and the C++ step_bench do):
    --config NAME --batch N --threads N --warmup N --steps N --json
        runs the steps; standard output is one line of JSON with the list "step_ms"
    --config NAME --batch N --threads N --serve
        prints one line of JSON when ready; then reads lines "step N", runs the next N steps and
        prints one line of JSON with "seconds" and, if it likes, "step_ms"; ends at "quit" or at the
        end of input. Step numbers start at 0 and go on from request to request.
The momentum model runs without dropout in both, which is this library's default; the official code
leaves it on, so for that comparison switch it on in both.
Standard error is passed through. Peak memory is what the operating system counted for the process
(VmHWM or ru_maxrss), so both programs are measured in the same way; of a program that reports
"device_memory_mb" it is that (of PyTorch what its allocator has reserved, of this library all that is
taken of the GPU's memory, the CUDA context included).
"""

import argparse
import glob
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def parse_line(line: str, name: str, key: str) -> dict:
    try:
        answer = json.loads(line)
    except json.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict) or key not in answer:
        sys.exit(f"{name}: got '{line.strip()}', expected a line of JSON with '{key}'")
    return answer


class Live:
    """A program that stays alive and runs steps on request."""

    def __init__(self, name: str, command: list[str], args):
        self.name, self.times, self.peak_mb = name, [], 0.0
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command + ["--serve"], stdin=pipe, stdout=pipe, text=True)
        parse_line(self.process.stdout.readline(), name, "ready")
        if args.warmup > 0:
            self._ask(args.warmup)
        self.steps = args.steps

    def turn(self) -> float:
        answer = self._ask(self.steps)
        default = [1e3 * answer["seconds"] / self.steps] * self.steps
        return self._add(answer.get("step_ms", default), answer.get("device_memory_mb", 0))

    def _ask(self, steps: int) -> dict:
        try:
            self.process.stdin.write(f"step {steps}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            sys.exit(f"{self.name}: ended with status {self.process.wait()}")
        return parse_line(self.process.stdout.readline(), self.name, "seconds")

    def _add(self, times: list[float], device_mb: float) -> float:
        self.times += times
        if device_mb:
            self.peak_mb = device_mb  # on a GPU: what the program says it takes of its memory
            return statistics.median(times)
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as file:
            peak = next(line for line in file if line.startswith("VmHWM"))
        self.peak_mb = int(peak.split()[1]) / 1024
        return statistics.median(times)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


class Runs:
    """A program that is started anew for every turn."""

    def __init__(self, name: str, command: list[str], args):
        self.name, self.times, self.peak_mb = name, [], 0.0
        self.command = command + ["--json", "--steps", str(args.steps)]
        self.command += ["--warmup", str(args.warmup)]

    def turn(self) -> float:
        process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"{self.name}: ended with status {process.returncode}")
        times = parse_line(output, self.name, "step_ms")["step_ms"]
        self.times += times
        self.peak_mb = max(self.peak_mb, usage.ru_maxrss / 1024)
        return statistics.median(times)

    def close(self) -> None:
        pass


def find_ours() -> str:
    found = glob.glob(os.path.join(HERE, "..", "build*", "**", "step_bench"), recursive=True)
    found = [path for path in found if os.access(path, os.X_OK) and os.path.isfile(path)]
    if not found:
        sys.exit("step_bench: not found under build*/, build the benchmarks or give --ours")
    return max(found, key=os.path.getmtime)


def parse_arguments():
    text = argparse.RawDescriptionHelpFormatter
    p = argparse.ArgumentParser(description=__doc__, formatter_class=text)
    p.add_argument("--ours", help="the C++ program; default: the newest build*/**/step_bench")
    p.add_argument("--torch-python", default=sys.executable, help="a Python that has PyTorch")
    p.add_argument("--model", default="albef", choices=["albef", "clip", "flava", "dino"])
    p.add_argument("--config", default="tiny")
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--rounds", type=int, default=7, help="pairs of turns")
    p.add_argument("--steps", type=int, default=10, help="steps of a turn")
    p.add_argument("--warmup", type=int, default=5, help="steps before the first (or each) turn")
    p.add_argument("--alternate", choices=["live", "runs"], default="live")
    p.add_argument("--compile", action="store_true", help="PyTorch with torch.compile")
    p.add_argument("--ours-args", default="", help="further options of the C++ program")
    p.add_argument("--torch-args", default="--set teacher_dropout=false",
                   help="further options of the PyTorch program (default: %(default)s)")  # fmt: skip
    p.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    args = p.parse_args()
    if args.rounds < 1 or args.steps < 1:
        p.error("--rounds and --steps must be at least 1")
    return args


def main() -> int:
    args = parse_arguments()
    common = ["--config", args.config, "--batch", str(args.batch), "--threads", str(args.threads)]
    ours = [args.ours or find_ours(), "--model", args.model] + common + args.ours_args.split()
    torch = [args.torch_python, os.path.join(HERE, "pytorch", f"{args.model}_step.py")] + common
    torch += args.torch_args.split() + (["--compile"] if args.compile else [])

    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"warning: other programs keep {load:.1f} cores busy; OpenMP programs suffer from "
              "that far beyond the time they lose, so use results of an idle machine only",
              file=sys.stderr)  # fmt: skip

    kind = Live if args.alternate == "live" else Runs
    programs = [kind("albef", ours, args), kind("pytorch", torch, args)]
    ratios = []
    for i in range(args.rounds):
        turns = {p.name: p.turn() for p in (programs if i % 2 == 0 else reversed(programs))}
        ratios.append(turns["pytorch"] / turns["albef"])
        print(f"pair {i + 1}: albef {turns['albef']:.1f} ms, pytorch {turns['pytorch']:.1f} ms, "
              f"ratio {ratios[-1]:.2f}", file=sys.stderr)  # fmt: skip
    for program in programs:
        program.close()

    result = {"model": args.model, "config": args.config, "batch": args.batch, "threads": args.threads,
              "alternate": args.alternate, "compile": args.compile, "ratios": ratios,
              "load_at_start": load}  # fmt: skip
    for p in programs:
        median = statistics.median(p.times)
        result[p.name] = {
            "median_ms": median,
            "min_ms": min(p.times),
            "max_ms": max(p.times),
            "pairs_per_second": 1e3 * args.batch / median,
            "peak_mb": p.peak_mb,
        }
    if args.json:
        print(json.dumps(result))
        return 0
    print(f"{args.config}, batch {args.batch}, {args.threads} threads, {args.rounds} pairs")
    print(f"{'':10}{'median ms':>12}{'min':>10}{'max':>10}{'pairs/s':>10}{'peak MB':>10}")
    for p in programs:
        r = result[p.name]
        print(f"{p.name:10}{r['median_ms']:12.1f}{r['min_ms']:10.1f}{r['max_ms']:10.1f}"
              f"{r['pairs_per_second']:10.1f}{r['peak_mb']:10.0f}")  # fmt: skip
    print(f"pytorch time / albef time: median {statistics.median(ratios):.2f} "
          f"(min {min(ratios):.2f}, max {max(ratios):.2f})")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
