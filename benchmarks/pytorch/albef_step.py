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
Synthetic data: stepping.py. --serve: see compare_step.py for the protocol.
"""

import model as m
import stepping


def make_stepper(args):
    config = m.load_config(args.config).updated(dict(x.split("=", 1) for x in args.set))
    model = m.Albef(config).to(args.device)
    optimizer = m.make_optimizer(model, args.lr)
    texts = stepping.SyntheticTexts(args.batch, config.text_low, config.text_high,
                                    config.vocab_size, config.cls_token_id, config.pad_token_id,
                                    config.max_position_embeddings, args.text_lengths)  # fmt: skip
    if args.compile:
        model.compile_blocks()

    def make_batch(step: int) -> m.Batch:
        batch = m.Batch(stepping.synthetic_images(args.batch, config.image_res), *texts(step))
        return m.Batch(*(x.to(args.device) for x in batch))

    def train_step(batch: m.Batch):
        return m.train_step(model, optimizer, batch, args.alpha, bf16=args.precision == "bf16")[1]

    return stepping.Stepper(args.device, make_batch, train_step), model


def check_case(args):
    """--check: whether the numbers are those of a golden case."""
    if args.check:
        import check

        return check.run(args.check, args.compile)


if __name__ == "__main__":
    p = stepping.arguments(__doc__)
    p.add_argument("--alpha", type=float, default=0.4, help="weight of the soft targets")
    p.add_argument("--check", metavar="CASE", help="compare with a golden case and exit")
    stepping.main(p, make_stepper, check_case)
