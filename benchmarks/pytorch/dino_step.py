#!/usr/bin/env python3
"""Times DINO training steps with timm's vision transformer and the head and loss of main_dino.py.
Options: those of albef_step.py.

    python dino_step.py --config tiny --batch 64 --steps 20 --warmup 5

Two crops of the configured size, which the teacher sees too, and six of half of it. A step: forward
of teacher and student, loss, clipping of each gradient, AdamW, moving average, centre. Synthetic
data: stepping.py.
"""

import copy

import timm
import torch
import torch.nn.functional as F
from torch import nn

import model as m
import stepping


class Head(nn.Module):
    def __init__(self, width: int, hidden: int, bottleneck: int, out: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden),
                                 nn.GELU(), nn.Linear(hidden, bottleneck))  # fmt: skip
        self.last_layer = nn.utils.parametrizations.weight_norm(
            nn.Linear(bottleneck, out, bias=False))  # fmt: skip
        lengths = self.last_layer.parametrizations.weight.original0
        lengths.data.fill_(1)
        lengths.requires_grad = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last_layer(F.normalize(self.mlp(x), dim=-1))


class Dino(nn.Module):
    def __init__(self, c: m.Config, drop_path: float, out: int):
        super().__init__()
        small = c.vision_width < 384
        self.backbone = timm.models.vision_transformer.VisionTransformer(
            img_size=c.image_res, patch_size=c.patch_size, embed_dim=c.vision_width,
            depth=c.vision_depth, num_heads=c.vision_heads, mlp_ratio=c.mlp_ratio, num_classes=0,
            drop_path_rate=drop_path, dynamic_img_size=True, global_pool="token")  # fmt: skip
        self.head = Head(c.vision_width, 256 if small else 2048, 64 if small else 256, out)

    def forward(self, crops: list) -> torch.Tensor:
        return self.head(torch.cat([self.backbone(x) for x in crops]))


def make_stepper(args):
    c = m.load_config(args.config).updated(dict(x.split("=", 1) for x in args.set))
    out = 1024 if c.vision_width < 384 else 65536
    student = Dino(c, 0.1, out).to(args.device)
    teacher = Dino(c, 0.0, out).to(args.device)
    teacher.load_state_dict(student.state_dict())
    teacher.requires_grad_(False)
    center = torch.zeros(1, out, device=args.device)
    trained = [p for p in student.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=args.lr, weight_decay=0.04)
    views = torch.compile(student) if args.compile else student
    targets = torch.compile(copy.copy(teacher)) if args.compile else teacher

    def make_batch(step: int) -> list:
        large = stepping.synthetic_images(2 * args.batch, c.image_res)
        small = stepping.synthetic_images(6 * args.batch, c.image_res // 2)
        return [large.to(args.device), small.to(args.device)]

    def train_step(crops: list):
        with torch.autocast(args.device, torch.bfloat16, enabled=args.precision == "bf16"):
            with torch.no_grad():
                given = targets(crops[:1])
            q = F.softmax((given.float() - center) / 0.04, dim=-1).chunk(2)
            log_p = F.log_softmax(views(crops).float() / 0.1, dim=-1).chunk(8)
            terms = [-(t * s).sum(-1).mean() for i, t in enumerate(q)
                     for j, s in enumerate(log_p) if i != j]  # fmt: skip
            loss = sum(terms) / len(terms)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for p in trained:
            p.grad.mul_(torch.clamp(3.0 / (p.grad.norm() + 1e-6), max=1.0))
        optimizer.step()
        with torch.no_grad():
            center.mul_(0.9).add_(given.float().mean(0, keepdim=True), alpha=0.1)
            torch._foreach_mul_(list(teacher.parameters()), 0.996)
            torch._foreach_add_(list(teacher.parameters()), list(student.parameters()), alpha=0.004)
        return loss.detach()

    return stepping.Stepper(args.device, make_batch, train_step), student


if __name__ == "__main__":
    stepping.main(stepping.arguments(__doc__), make_stepper)
