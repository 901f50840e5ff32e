#!/usr/bin/env python3
"""Times CLIP training steps with open_clip's model and loss. Options: those of albef_step.py.

    python clip_step.py --config tiny --batch 64 --steps 20 --warmup 5

Configurations are those of model.py; the text encoder has num_hidden_layers layers, and texts are
padded to max_position_embeddings tokens at most 77, as open_clip's tokenizer does. A step: forward,
loss, backward, AdamW, clamp of the temperature. Synthetic data: stepping.py.
"""

import math

import open_clip
import torch

import model as m
import stepping


def make_stepper(args):
    c = m.load_config(args.config).updated(dict(x.split("=", 1) for x in args.set))
    context = min(c.max_position_embeddings, 77)
    vision = {"image_size": c.image_res, "layers": c.vision_depth, "width": c.vision_width,
              "head_width": c.vision_width // c.vision_heads, "patch_size": c.patch_size,
              "mlp_ratio": c.mlp_ratio}  # fmt: skip
    text = {"context_length": context, "vocab_size": c.vocab_size, "width": c.hidden_size,
            "heads": c.num_attention_heads, "layers": c.num_hidden_layers,
            "mlp_ratio": c.intermediate_size / c.hidden_size}  # fmt: skip
    model = open_clip.model.CLIP(c.embed_dim, vision, text).to(args.device).train()
    towers = torch.compile(model) if args.compile else model
    loss = open_clip.ClipLoss()
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.2},
                                   {"params": others, "weight_decay": 0.0}],
                                  lr=args.lr, betas=(0.9, 0.98), eps=1e-6)  # fmt: skip
    texts = stepping.SyntheticTexts(args.batch, c.text_low, c.text_high, c.vocab_size - 1,
                                    c.cls_token_id, longest=context,
                                    lengths=args.text_lengths)  # fmt: skip

    def make_batch(step: int):
        ids, mask = texts(step)
        ids[torch.arange(args.batch), mask.sum(1) - 1] = c.vocab_size - 1  # the end token
        ids = torch.nn.functional.pad(ids, (0, context - ids.shape[1]))
        return stepping.synthetic_images(args.batch, c.image_res).to(args.device), ids.to(args.device)

    def train_step(batch):
        with torch.autocast(args.device, torch.bfloat16, enabled=args.precision == "bf16"):
            total = loss(*towers(*batch))
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
        return total.detach()

    return stepping.Stepper(args.device, make_batch, train_step), model


if __name__ == "__main__":
    stepping.main(stepping.arguments(__doc__), make_stepper)
