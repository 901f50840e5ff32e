#!/usr/bin/env python3
"""Times ALBEF pre-training steps in PyTorch, eager or compiled: on the CPU in fp32, or on a GPU in
fp32 or bf16 autocast.

    python3 -m venv <dir>; <dir>/bin/pip install -r benchmarks/pytorch/requirements.txt
    python albef_step.py --config tiny --batch 64 --steps 20 --warmup 5 --json
    python albef_step.py --config base --batch 8 --steps 3 --warmup 1
    python albef_step.py --config base --set image_res=224 --set vision_depth=6 --batch 4
    python albef_step.py --config base --device cuda --precision bf16 --compile
    python albef_step.py --check tests/golden/pretrain_step_nano    # same numbers as the official?

A step is everything from the batch to the updated weights: forward of student and momentum model,
three losses, backward, AdamW, momentum update, queues. The batch is made before the clock starts.

Synthetic data, the same in every program that is compared (i: row, j: position, s: step from 0):
    length = low + (i * 7919 + s * 104729) % (high - low + 1)
    id     = [CLS] for j = 0, else 5 + (i * 31 + j * 17 + s * 13) % (vocabulary - 5)
low..high is 3..25 for base (mean fill 56 % of 25) and 5..9 for tiny. Pixels are uniform in [0, 1),
then normalised with the mean and deviation that pre-training uses.

--serve: see compare_step.py for the protocol.
"""

import argparse
import json
import resource
import sys
import time

import torch

import model as m

PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)
PIXEL_STD = (0.26862954, 0.26130258, 0.27577711)


class SyntheticData:
    def __init__(self, config: m.Config, batch: int, lengths: str):
        self.config, self.batch, self.lengths = config, batch, None
        self.low, self.high = config.text_low, config.text_high
        if ":" in lengths:
            self.low, self.high = (int(x) for x in lengths.split(":"))
        elif lengths:
            with open(lengths, encoding="utf-8") as file:
                self.lengths = [int(line) for line in file if line.strip()]
        shortest = min(self.lengths or [self.low])
        longest = max(self.lengths or [self.high])
        if not 2 <= shortest <= longest <= config.max_position_embeddings:
            raise ValueError(f"--text-lengths: {shortest}..{longest} is not within 2.."
                             f"{config.max_position_embeddings}")  # fmt: skip

    def length(self, row: int, step: int) -> int:
        if self.lengths:
            return self.lengths[(step * self.batch + row) % len(self.lengths)]
        return self.low + (row * 7919 + step * 104729) % (self.high - self.low + 1)

    def __call__(self, step: int) -> m.Batch:
        c = self.config
        lengths = torch.tensor([self.length(i, step) for i in range(self.batch)])
        i, j = torch.arange(self.batch)[:, None], torch.arange(int(lengths.max()))[None, :]
        mask = (j < lengths[:, None]).long()
        ids = 5 + (i * 31 + j * 17 + step * 13) % (c.vocab_size - 5)
        ids = torch.where(mask == 1, ids, c.pad_token_id)
        ids[:, 0] = c.cls_token_id
        image = torch.rand(self.batch, 3, c.image_res, c.image_res)
        mean, std = (torch.tensor(x)[:, None, None] for x in (PIXEL_MEAN, PIXEL_STD))
        return m.Batch((image - mean) / std, ids, mask)


class Stepper:
    """Runs numbered steps and times each."""

    def __init__(self, args, config: m.Config):
        self.device, self.bf16 = args.device, args.precision == "bf16"
        self.model = m.Albef(config).to(self.device)
        self.optimizer = m.make_optimizer(self.model, args.lr)
        self.data = SyntheticData(config, args.batch, args.text_lengths)
        if args.compile:
            self.model.compile_blocks()
        self.alpha, self.next_step, self.loss = args.alpha, 0, float("nan")

    def run(self, steps: int) -> list[float]:
        """Milliseconds of each step."""
        times = []
        for _ in range(steps):
            batch = m.Batch(*(x.to(self.device) for x in self.data(self.next_step)))
            if self.device == "cuda":
                torch.cuda.synchronize()
            begin = time.perf_counter()
            _, loss = m.train_step(self.model, self.optimizer, batch, self.alpha,
                                   bf16=self.bf16)  # fmt: skip
            self.loss = loss.item()
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


def parse_arguments():
    text = argparse.RawDescriptionHelpFormatter
    p = argparse.ArgumentParser(description=__doc__, formatter_class=text)
    p.add_argument("--config", default="tiny", help="tiny, base or a JSON file")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override")
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--text-lengths", default="", help="LOW:HIGH or a file, one length a line")
    p.add_argument("--steps", type=int, default=10)
    p.add_argument("--warmup", type=int, default=2)
    p.add_argument("--threads", type=int, default=0, help="0: one per core")
    p.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    p.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    p.add_argument("--lr", type=float, default=1e-5)
    p.add_argument("--alpha", type=float, default=0.4, help="weight of the soft targets")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--compile", action="store_true", help="torch.compile the layers")
    p.add_argument("--json", action="store_true", help="one JSON line instead of text")
    p.add_argument("--serve", action="store_true", help="steps on request, see compare_step.py")
    p.add_argument("--profile", action="store_true", help="operators of one step, after the others")
    p.add_argument("--check", metavar="CASE", help="compare with a golden case and exit")
    return p.parse_args()


def main() -> int:
    args = parse_arguments()
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    torch.set_flush_denormal(True)
    if args.check:
        import check

        return check.run(args.check, args.compile)

    start_rss = peak_rss_mb()
    config = m.load_config(args.config).updated(dict(x.split("=", 1) for x in args.set))
    stepper = Stepper(args, config)
    about = {"program": "pytorch", "version": torch.__version__, "compile": args.compile,
             "config": args.config, "batch": args.batch, "threads": torch.get_num_threads(),
             "parameters": sum(p.numel() for p in stepper.model.parameters() if p.requires_grad),
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


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ValueError, OSError) as error:
        sys.exit(f"albef_step.py: {error}")
