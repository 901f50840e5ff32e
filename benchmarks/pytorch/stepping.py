"""What the programs that time steps in PyTorch share: synthetic texts and pictures, options, timing,
the protocol of ../compare_step.py.

Synthetic data, the same in every program that is compared (i: row, j: position, s: step from 0):
    length = low + (i * 7919 + s * 104729) % (high - low + 1)
    id     = [CLS] for j = 0, else 5 + (i * 31 + j * 17 + s * 13) % (vocabulary - 5)
low..high is 3..25 for base and small (mean fill 56 % of 25) and 5..9 for tiny. Pixels are uniform in
[0, 1), then normalised.
"""

import argparse
import json
import os
import resource
import sys
import time

import torch

PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)
PIXEL_STD = (0.26862954, 0.26130258, 0.27577711)


class SyntheticTexts:
    """Ids and mask (B, L) of numbered steps, L that of the longest text."""

    def __init__(self, batch: int, low: int, high: int, vocabulary: int, cls: int, pad: int = 0,
                 longest: int = 512, lengths: str = ""):  # fmt: skip
        self.batch, self.low, self.high, self.lengths = batch, low, high, None
        self.vocabulary, self.cls, self.pad = vocabulary, cls, pad
        if ":" in lengths:
            self.low, self.high = (int(x) for x in lengths.split(":"))
        elif lengths:
            with open(lengths, encoding="utf-8") as file:
                self.lengths = [int(line) for line in file if line.strip()]
        least, most = min(self.lengths or [self.low]), max(self.lengths or [self.high])
        if not 2 <= least <= most <= longest:
            raise ValueError(f"--text-lengths: {least}..{most} is not within 2..{longest}")

    def length(self, row: int, step: int) -> int:
        if self.lengths:
            return self.lengths[(step * self.batch + row) % len(self.lengths)]
        return self.low + (row * 7919 + step * 104729) % (self.high - self.low + 1)

    def __call__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        lengths = torch.tensor([self.length(i, step) for i in range(self.batch)])
        i, j = torch.arange(self.batch)[:, None], torch.arange(int(lengths.max()))[None, :]
        mask = (j < lengths[:, None]).long()
        ids = 5 + (i * 31 + j * 17 + step * 13) % (self.vocabulary - 5)
        ids = torch.where(mask == 1, ids, self.pad)
        ids[:, 0] = self.cls
        return ids, mask


def synthetic_images(batch: int, size: int) -> torch.Tensor:
    image = torch.rand(batch, 3, size, size)
    mean, std = (torch.tensor(x)[:, None, None] for x in (PIXEL_MEAN, PIXEL_STD))
    return (image - mean) / std


class Stepper:
    """Runs numbered steps and times each: make_batch(step) outside of the time, train_step(batch) ->
    loss inside."""

    def __init__(self, device: str, make_batch, train_step):
        self.device, self.make_batch, self.train_step = device, make_batch, train_step
        self.next_step, self.loss = 0, float("nan")

    def run(self, steps: int) -> list[float]:
        """Milliseconds of each step."""
        times = []
        for _ in range(steps):
            batch = self.make_batch(self.next_step)
            if self.device == "cuda":
                torch.cuda.synchronize()
            begin = time.perf_counter()
            self.loss = self.train_step(batch).item()
            if self.device == "cuda":
                torch.cuda.synchronize()
            times.append(1e3 * (time.perf_counter() - begin))
            self.next_step += 1
        return times


def peak_rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def device_memory_mb() -> float:
    return torch.cuda.max_memory_reserved() / 2**20 if torch.cuda.is_available() else 0.0


def median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def emit(values: dict) -> None:
    print(json.dumps(values), flush=True)


def serve(stepper: Stepper, about: dict) -> None:
    emit({**about, "ready": True})
    for line in sys.stdin:
        words = line.split()
        if words == ["quit"]:
            return
        if len(words) != 2 or words[0] != "step" or not words[1].isdigit():
            emit({"error": f"got '{line.strip()}', expected 'step N' or 'quit'"})
            continue
        times = stepper.run(int(words[1]))
        emit({"steps": len(times), "seconds": sum(times) / 1e3, "step_ms": times,
              "loss": stepper.loss, "peak_rss_mb": peak_rss_mb(),
              "device_memory_mb": device_memory_mb()})  # fmt: skip


def profile(stepper: Stepper) -> None:
    activity = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activity) as result:
        stepper.run(1)
    table = result.key_averages().table(sort_by="self_cpu_time_total", row_limit=20)
    print(table, file=sys.stderr)


def arguments(description: str) -> argparse.ArgumentParser:
    """The options that all programs have."""
    text = argparse.RawDescriptionHelpFormatter
    p = argparse.ArgumentParser(description=description, formatter_class=text)
    p.add_argument("--config", default="tiny", help="tiny, small, base or a JSON file")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override")
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--text-lengths", default="", help="LOW:HIGH or a file, one length a line")
    p.add_argument("--steps", type=int, default=10)
    p.add_argument("--warmup", type=int, default=2)
    p.add_argument("--threads", type=int, default=0, help="0: one per core")
    p.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    p.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    p.add_argument("--lr", type=float, default=1e-5)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--compile", action="store_true", help="torch.compile the layers")
    p.add_argument("--json", action="store_true", help="one JSON line instead of text")
    p.add_argument("--serve", action="store_true", help="steps on request, see compare_step.py")
    p.add_argument("--profile", action="store_true", help="operators of one step, after the others")
    return p


def prepare(args) -> None:
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    torch.set_flush_denormal(True)


def run(args, make_stepper) -> int:
    """Times the steps that the options ask for; make_stepper(args) -> (Stepper, module)."""
    start_rss = peak_rss_mb()
    stepper, module = make_stepper(args)
    about = {"program": "pytorch", "version": torch.__version__, "compile": args.compile,
             "config": args.config, "batch": args.batch, "threads": torch.get_num_threads(),
             "parameters": sum(p.numel() for p in module.parameters() if p.requires_grad),
             "start_rss_mb": start_rss}  # fmt: skip
    if args.serve:
        serve(stepper, about)
        return 0
    begin = time.perf_counter()
    stepper.run(args.warmup)
    warmup_seconds = time.perf_counter() - begin
    times = stepper.run(args.steps)
    typical = median(times)
    result = {**about, "steps": len(times), "seconds": sum(times) / 1e3, "step_ms": times,
              "median_ms": typical, "pairs_per_second": 1e3 * args.batch / typical,
              "warmup_seconds": warmup_seconds, "loss": stepper.loss,
              "peak_rss_mb": peak_rss_mb(),
              "device_memory_mb": device_memory_mb()}  # fmt: skip
    if args.json:
        emit(result)
    else:
        print("steps (ms): " + " ".join(f"{t:.1f}" for t in times))
        print(f"median {typical:.1f} ms, {result['pairs_per_second']:.1f} pairs/s, "
              f"peak memory {result['peak_rss_mb']:.0f} MB, loss {stepper.loss:.4f}")  # fmt: skip
    if args.profile:
        profile(stepper)
    return 0


def main(parser: argparse.ArgumentParser, make_stepper, otherwise=lambda args: None) -> None:
    """A program: run(), or what otherwise(args) returns if that is not None."""
    args = parser.parse_args()
    prepare(args)
    try:
        done = otherwise(args)
        sys.exit(run(args, make_stepper) if done is None else done)
    except (ValueError, OSError) as error:
        sys.exit(f"{os.path.basename(sys.argv[0])}: {error}")
