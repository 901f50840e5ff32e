#!/usr/bin/env python3
"""Times FLAVA pre-training steps on pairs with transformers' FlavaForPreTraining. Options: those of
albef_step.py.

    python flava_step.py --config tiny --batch 64 --steps 20 --warmup 5

Configurations are those of model.py: two encoders of vision_depth and num_hidden_layers layers, and
half as many for the multimodal one. The codes of the patches are given, so the image tokenizer is
not timed; two patches of five are hidden, one pair of ten is mixed up. A step: forward, losses (MMM
of image and text, ITM, contrastive), backward, AdamW. Synthetic data: stepping.py.
"""

import torch
import transformers

import model as m
import stepping

CODES = 8192


def make_stepper(args):
    c = m.load_config(args.config).updated(dict(x.split("=", 1) for x in args.set))
    shared = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    text = {"hidden_size": c.hidden_size, "num_hidden_layers": c.num_hidden_layers,
            "num_attention_heads": c.num_attention_heads, "vocab_size": c.vocab_size,
            "intermediate_size": c.intermediate_size, **shared,
            "max_position_embeddings": c.max_position_embeddings}  # fmt: skip
    image = {"hidden_size": c.vision_width, "num_hidden_layers": c.vision_depth,
             "num_attention_heads": c.vision_heads, "image_size": c.image_res,
             "intermediate_size": int(c.mlp_ratio * c.vision_width), **shared,
             "patch_size": c.patch_size, "vocab_size": CODES}  # fmt: skip
    both = {"hidden_size": c.hidden_size, "num_hidden_layers": c.num_hidden_layers // 2,
            "num_attention_heads": c.num_attention_heads, **shared,
            "intermediate_size": c.intermediate_size}  # fmt: skip
    config = transformers.FlavaConfig(
        text_config=text, image_config=image, multimodal_config=both, hidden_size=c.hidden_size,
        projection_dim=c.embed_dim, global_backprop_contrastive=False)  # fmt: skip
    model = transformers.FlavaForPreTraining(config, image_codebook=torch.nn.Identity())
    model = model.to(args.device).train()
    side = c.image_res // c.patch_size
    model.image_codebook.get_codebook_indices = lambda codes: codes
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.1)
    texts = stepping.SyntheticTexts(args.batch, c.text_low, c.text_high, c.vocab_size,
                                    c.cls_token_id, longest=c.max_position_embeddings,
                                    lengths=args.text_lengths)  # fmt: skip
    hidden = (torch.arange(side * side) % 5 < 2).long().reshape(1, side, side)
    forward = torch.compile(model) if args.compile else model

    def make_batch(step: int) -> dict:
        ids, mask = texts(step)
        drawn = (torch.rand(ids.shape) < c.mlm_probability) & (mask == 1)
        drawn[:, 0] = False
        row, patch = torch.arange(args.batch)[:, None], torch.arange(side * side)[None, :]
        batch = {
            "input_ids": ids, "attention_mask": mask,
            "input_ids_masked": torch.where(drawn, c.mask_token_id, ids),
            "mlm_labels": torch.where(drawn, ids, -100),
            "pixel_values": stepping.synthetic_images(args.batch, c.image_res),
            "codebook_pixel_values": ((row * 31 + patch * 17) % CODES).reshape(-1, side, side),
            "bool_masked_pos": hidden.expand(args.batch, -1, -1).bool(),
            "itm_labels": (torch.arange(args.batch) % 10 != 9).long(),
        }  # fmt: skip
        return {name: x.to(args.device) for name, x in batch.items()}

    def train_step(batch):
        with torch.autocast(args.device, torch.bfloat16, enabled=args.precision == "bf16"):
            out = forward(**batch, skip_unmasked_multimodal_encoder=True, return_loss=True)
        optimizer.zero_grad(set_to_none=True)
        out.loss.backward()
        optimizer.step()
        return out.loss.detach()

    return stepping.Stepper(args.device, make_batch, train_step), model


if __name__ == "__main__":
    stepping.main(stepping.arguments(__doc__), make_stepper)
