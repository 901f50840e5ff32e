"""ALBEF (Li et al., NeurIPS 2021) for pre-training in PyTorch 2: the model and its three losses.

Written for comparison: the same mathematics, parameter names and amount of work as the official
code (text padded to the longest caption, image-text matching as one call of B and one of 2B pairs,
masked language modelling over all positions, cross-attention keys and values recomputed in every
call), expressed the way PyTorch 2 does it well: scaled_dot_product_attention, one fused optimizer
call, one multi-tensor call for the momentum model, no queue copies, no host synchronisation inside
the model.
"""

import copy
import dataclasses
import json
import os
from typing import NamedTuple, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclasses.dataclass
class Config:
    """Sizes of the model; the default is the published one at 256 x 256 pixels (`base`)."""

    image_res: int = 256
    patch_size: int = 16
    vision_width: int = 768
    vision_depth: int = 12
    vision_heads: int = 12
    mlp_ratio: float = 4
    vit_layer_norm_eps: float = 1e-6
    hidden_size: int = 768
    num_hidden_layers: int = 12
    fusion_layer: int = 6
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    vocab_size: int = 30522
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    embed_dim: int = 256
    queue_size: int = 65536
    momentum: float = 0.995
    temp: float = 0.07
    mlm_probability: float = 0.15
    dropout: float = 0.1
    teacher_dropout: bool = True  # as in the official code
    pad_token_id: int = 0
    cls_token_id: int = 101
    mask_token_id: int = 103
    text_low: int = 3  # range of caption lengths of the synthetic data, [CLS] included
    text_high: int = 25

    def updated(self, values: dict) -> "Config":
        """Copy with the known keys of `values` replaced; values may be strings."""
        known = {f.name: f.type for f in dataclasses.fields(self)}
        parsed = {}
        for key, value in values.items():
            if key not in known:
                raise ValueError(f"unknown configuration key '{key}', known: {', '.join(known)}")
            parsed[key] = known[key](json.loads(value) if isinstance(value, str) else value)
        return dataclasses.replace(self, **parsed)


CONFIGS = {
    "base": Config(),
    "small": Config(image_res=128, vision_width=384, vision_depth=8, vision_heads=6,
                    hidden_size=384, num_hidden_layers=8, fusion_layer=4, num_attention_heads=6,
                    intermediate_size=1536, max_position_embeddings=64, queue_size=16384),
    "tiny": Config(image_res=64, vision_width=128, vision_depth=4, vision_heads=4,
                   hidden_size=128, num_hidden_layers=4, fusion_layer=2, num_attention_heads=4,
                   intermediate_size=512, vocab_size=2048, max_position_embeddings=32,
                   embed_dim=64, queue_size=1024, dropout=0.0, cls_token_id=2, mask_token_id=4,
                   text_low=5, text_high=9),
}  # fmt: skip


def load_config(name_or_file: str) -> Config:
    """`base`, `small`, `tiny`, or a JSON file whose keys override those of `base`."""
    if name_or_file in CONFIGS:
        return CONFIGS[name_or_file]
    if not os.path.exists(name_or_file):
        raise ValueError(f"--config {name_or_file}: neither {' nor '.join(CONFIGS)} nor a file")
    with open(name_or_file, encoding="utf-8") as file:
        return Config().updated(json.load(file))


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, mask: Optional[Tensor] = None,
           dropout: float = 0.0) -> Tensor:  # fmt: skip
    """Multi-head attention of projected (B, L, D), (B, S, D), (B, S, D) -> (B, L, D)."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
    return out.transpose(1, 2).flatten(2)


# --- vision transformer: pre-norm, no dropout ---------------------------------------------------


class VitAttention(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.heads = c.vision_heads
        self.qkv = nn.Linear(c.vision_width, 3 * c.vision_width)
        self.proj = nn.Linear(c.vision_width, c.vision_width)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(attend(*self.qkv(x).chunk(3, dim=-1), self.heads))


class VitMlp(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        hidden = int(c.vision_width * c.mlp_ratio)
        self.fc1 = nn.Linear(c.vision_width, hidden)
        self.fc2 = nn.Linear(hidden, c.vision_width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class VitBlock(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.norm1 = nn.LayerNorm(c.vision_width, c.vit_layer_norm_eps)
        self.attn = VitAttention(c)
        self.norm2 = nn.LayerNorm(c.vision_width, c.vit_layer_norm_eps)
        self.mlp = VitMlp(c)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.proj = nn.Conv2d(3, c.vision_width, c.patch_size, c.patch_size)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image).flatten(2).transpose(1, 2)  # (B, patches, D)


class VisionTransformer(nn.Module):
    """(B, 3, H, W) -> (B, 1 + patches, D)."""

    def __init__(self, c: Config):
        super().__init__()
        self.patch_embed = PatchEmbed(c)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, c.vision_width))
        patches = (c.image_res // c.patch_size) ** 2
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + patches, c.vision_width))
        self.blocks = nn.ModuleList(VitBlock(c) for _ in range(c.vision_depth))
        self.norm = nn.LayerNorm(c.vision_width, c.vit_layer_norm_eps)

    def forward(self, image: Tensor) -> Tensor:
        x = self.patch_embed(image)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


# --- BERT: post-norm, first text layers, then fusion layers with cross attention ----------------


class BertEmbeddings(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.word_embeddings = nn.Embedding(c.vocab_size, c.hidden_size, padding_idx=c.pad_token_id)
        self.position_embeddings = nn.Embedding(c.max_position_embeddings, c.hidden_size)
        self.token_type_embeddings = nn.Embedding(c.type_vocab_size, c.hidden_size)
        self.LayerNorm = nn.LayerNorm(c.hidden_size, c.layer_norm_eps)
        self.dropout = nn.Dropout(c.dropout)

    def forward(self, ids: Tensor) -> Tensor:
        position = self.position_embeddings.weight[: ids.shape[1]]
        x = self.word_embeddings(ids) + position + self.token_type_embeddings.weight[0]
        return self.dropout(self.LayerNorm(x))


class BertSelfAttention(nn.Module):
    """Projections and attention; keys and values come from `context`."""

    def __init__(self, c: Config, context_width: int):
        super().__init__()
        self.heads, self.dropout = c.num_attention_heads, c.dropout
        self.query = nn.Linear(c.hidden_size, c.hidden_size)
        self.key = nn.Linear(context_width, c.hidden_size)
        self.value = nn.Linear(context_width, c.hidden_size)

    def forward(self, x: Tensor, context: Tensor, mask: Optional[Tensor]) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        return attend(self.query(x), self.key(context), self.value(context), self.heads, mask,
                      dropout)  # fmt: skip


class BertOutput(nn.Module):
    """Dense, dropout, residual, LayerNorm: the end of every BERT sub-layer."""

    def __init__(self, c: Config, width: int):
        super().__init__()
        self.dense = nn.Linear(width, c.hidden_size)
        self.LayerNorm = nn.LayerNorm(c.hidden_size, c.layer_norm_eps)
        self.dropout = nn.Dropout(c.dropout)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.LayerNorm(self.dropout(self.dense(x)) + residual)


class BertAttention(nn.Module):
    def __init__(self, c: Config, context_width: int):
        super().__init__()
        self.self = BertSelfAttention(c, context_width)
        self.output = BertOutput(c, c.hidden_size)

    def forward(self, x: Tensor, context: Tensor, mask: Optional[Tensor]) -> Tensor:
        return self.output(self.self(x, context, mask), x)


class BertIntermediate(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.dense = nn.Linear(c.hidden_size, c.intermediate_size)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.dense(x))


class BertLayer(nn.Module):
    def __init__(self, c: Config, fusion: bool):
        super().__init__()
        self.attention = BertAttention(c, c.hidden_size)
        if fusion:
            self.crossattention = BertAttention(c, c.vision_width)
        self.intermediate = BertIntermediate(c)
        self.output = BertOutput(c, c.intermediate_size)

    def forward(self, x: Tensor, mask: Tensor, image: Optional[Tensor]) -> Tensor:
        x = self.attention(x, x, mask)
        if image is not None:
            x = self.crossattention(x, image, None)
        return self.output(self.intermediate(x), x)


class BertEncoder(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        layers = [BertLayer(c, fusion=i >= c.fusion_layer) for i in range(c.num_hidden_layers)]
        self.layer = nn.ModuleList(layers)


class Bert(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.fusion_layer = c.fusion_layer
        self.embeddings = BertEmbeddings(c)
        self.encoder = BertEncoder(c)

    def text(self, ids: Tensor, mask: Tensor) -> Tensor:
        x = self.embeddings(ids)
        for layer in self.encoder.layer[: self.fusion_layer]:
            x = layer(x, mask, None)
        return x  # (B, L, D)

    def fuse(self, x: Tensor, mask: Tensor, image: Tensor) -> Tensor:
        for layer in self.encoder.layer[self.fusion_layer :]:
            x = layer(x, mask, image)
        return x  # (B, L, D)


class MlmTransform(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.dense = nn.Linear(c.hidden_size, c.hidden_size)
        self.LayerNorm = nn.LayerNorm(c.hidden_size, c.layer_norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        return self.LayerNorm(F.gelu(self.dense(x)))


class MlmPredictions(nn.Module):
    def __init__(self, c: Config, word_embeddings: nn.Embedding):
        super().__init__()
        self.transform = MlmTransform(c)
        self.decoder = nn.Linear(c.hidden_size, c.vocab_size)
        self.decoder.weight = word_embeddings.weight
        self.bias = self.decoder.bias  # official state dicts hold it under both names

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.transform(x))


class MlmHead(nn.Module):
    def __init__(self, c: Config, word_embeddings: nn.Embedding):
        super().__init__()
        self.predictions = MlmPredictions(c, word_embeddings)


class BertForMaskedLM(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.bert = Bert(c)
        self.cls = MlmHead(c, self.bert.embeddings.word_embeddings)

    def logits(self, ids: Tensor, mask: Tensor, image: Tensor) -> Tensor:
        x = self.bert.fuse(self.bert.text(ids, mask), mask, image)
        return self.cls.predictions(x)  # (B, L, vocabulary)


# --- ALBEF --------------------------------------------------------------------------------------


class Batch(NamedTuple):
    image: Tensor  # (B, 3, H, W)
    ids: Tensor  # (B, L), padded to the longest caption
    mask: Tensor  # (B, L), 1 = token, 0 = padding


class Draws(NamedTuple):
    """The random choices of a step, for a run that must repeat them."""

    neg_image: Tensor  # (B,) image for text b
    neg_text: Tensor  # (B,) text for image b
    mlm_ids: Tensor  # (B, L) captions after masking
    mlm_labels: Tensor  # (B, L), -100 = no loss


class Output(NamedTuple):
    loss_ita: Tensor
    loss_itm: Tensor
    loss_mlm: Tensor
    image_feat_m: Tensor  # (B, E) for the queue
    text_feat_m: Tensor  # (B, E)
    itm_logits: Tensor  # (3B, 2)
    weights_i2t: Tensor  # (B, B) sampling weights of negative texts
    weights_t2i: Tensor  # (B, B)


class Albef(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.config = c
        self.visual_encoder = VisionTransformer(c)
        self.vision_proj = nn.Linear(c.vision_width, c.embed_dim)
        self.text_encoder = BertForMaskedLM(c)
        self.text_proj = nn.Linear(c.hidden_size, c.embed_dim)
        self.itm_head = nn.Linear(c.hidden_size, 2)
        self.temp = nn.Parameter(torch.tensor(float(c.temp)))
        self._initialise()
        for name in ("visual_encoder", "vision_proj", "text_encoder", "text_proj"):
            twin = copy.deepcopy(getattr(self, name)).requires_grad_(False)
            setattr(self, name + "_m", twin)
        for name in ("image_queue", "text_queue"):
            queue = torch.empty(c.embed_dim, c.queue_size).normal_()
            self.register_buffer(name, F.normalize(queue, dim=0))
        self.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))

        named = dict(self.named_parameters())
        self._twins = [(named[name.replace("_m.", ".", 1)], p) for name, p in named.items()
                       if name.split(".")[0].endswith("_m")]  # fmt: skip
        self.train()

    def train(self, mode: bool = True) -> "Albef":
        super().train(mode)
        self.text_encoder_m.train(mode and self.config.teacher_dropout)
        return self

    def _initialise(self):
        for name, p in self.named_parameters():
            if p.ndim >= 2:
                nn.init.normal_(p, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def compile_blocks(self):
        """Compiles one layer of each kind; the code is reused by all layers of that kind, which
        takes minutes less than compiling the unrolled step and loses little."""
        torch._dynamo.config.recompile_limit = 64  # with/without gradient, image, twice the rows
        kinds = (VitBlock, BertEmbeddings, BertLayer, MlmPredictions)
        for module in self.modules():
            if isinstance(module, kinds):
                module.compile(dynamic=True)

    @torch.no_grad()
    def update_teacher(self):
        """p_m = momentum * p_m + (1 - momentum) * p, all tensors in one call."""
        online, teacher = zip(*self._twins)
        torch._foreach_lerp_(teacher, online, 1.0 - self.config.momentum)

    @torch.no_grad()
    def enqueue(self, image_feat: Tensor, text_feat: Tensor):
        """Writes B columns at queue_ptr; after the backward, which still reads the old content."""
        begin, batch = int(self.queue_ptr), image_feat.shape[0]
        if self.config.queue_size % batch != 0:
            raise ValueError(f"queue_size {self.config.queue_size} is no multiple of batch {batch}")
        self.image_queue[:, begin : begin + batch] = image_feat.t()
        self.text_queue[:, begin : begin + batch] = text_feat.t()
        self.queue_ptr[0] = (begin + batch) % self.config.queue_size

    def mask_tokens(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """BERT masking: 15 % of the words; of these 80 % [MASK], 10 % a random word, 10 % kept."""
        c = self.config
        chosen = torch.rand(ids.shape, device=ids.device) < c.mlm_probability
        chosen &= (ids != c.pad_token_id) & (ids != c.cls_token_id)
        labels = ids.masked_fill(~chosen, -100)
        kind = torch.rand(ids.shape, device=ids.device)
        words = torch.randint(c.vocab_size, ids.shape, device=ids.device)
        changed = torch.where(kind < 0.8, c.mask_token_id, torch.where(kind < 0.9, words, ids))
        return torch.where(chosen, changed, ids), labels

    def forward(self, batch: Batch, alpha: float, draws: Optional[Draws] = None) -> Output:
        image, ids, mask = batch
        rows = ids.shape[0]
        bias = (1.0 - mask[:, None, None, :].to(image.dtype)) * -10000.0  # (B, 1, 1, L)

        image_embeds = self.visual_encoder(image)
        text_embeds = self.text_encoder.bert.text(ids, bias)
        image_feat = F.normalize(self.vision_proj(image_embeds[:, 0]), dim=-1)
        text_feat = F.normalize(self.text_proj(text_embeds[:, 0]), dim=-1)

        with torch.no_grad():
            image_embeds_m = self.visual_encoder_m(image)
            text_embeds_m = self.text_encoder_m.bert.text(ids, bias)
            image_feat_m = F.normalize(self.vision_proj_m(image_embeds_m[:, 0]), dim=-1)
            text_feat_m = F.normalize(self.text_proj_m(text_embeds_m[:, 0]), dim=-1)

        def similarity(query: Tensor, keys: Tensor, queue: Tensor) -> Tensor:  # (B, B + Q)
            return torch.cat([query @ keys.t(), query @ queue], dim=1) / self.temp

        def contrast(sim: Tensor, sim_m: Tensor) -> Tensor:
            """Cross entropy with targets alpha * softmax(sim_m) + (1 - alpha) * identity."""
            log_p = F.log_softmax(sim, dim=1)
            soft = (F.softmax(sim_m, dim=1) * log_p).sum(1)
            return -(alpha * soft + (1.0 - alpha) * log_p.diagonal()).mean()

        sim_i2t = similarity(image_feat, text_feat_m, self.text_queue)
        sim_t2i = similarity(text_feat, image_feat_m, self.image_queue)
        with torch.no_grad():
            sim_i2t_m = similarity(image_feat_m, text_feat_m, self.text_queue)
            sim_t2i_m = similarity(text_feat_m, image_feat_m, self.image_queue)
        loss_ita = (contrast(sim_i2t, sim_i2t_m) + contrast(sim_t2i, sim_t2i_m)) / 2

        with torch.no_grad():
            own = torch.eye(rows, dtype=torch.bool, device=ids.device)
            weights_i2t = F.softmax(sim_i2t[:, :rows], dim=1).masked_fill(own, 0.0)
            weights_t2i = F.softmax(sim_t2i[:, :rows], dim=1).masked_fill(own, 0.0)
            if draws is None:
                neg_image = torch.multinomial(weights_t2i, 1).squeeze(1)
                neg_text = torch.multinomial(weights_i2t, 1).squeeze(1)
                mlm_ids, mlm_labels = self.mask_tokens(ids)
            else:
                neg_image, neg_text, mlm_ids, mlm_labels = draws

        fuse = self.text_encoder.bert.fuse
        positive = fuse(text_embeds, bias, image_embeds)
        negative = fuse(torch.cat([text_embeds, text_embeds[neg_text]]),
                        torch.cat([bias, bias[neg_text]]),
                        torch.cat([image_embeds[neg_image], image_embeds]))  # fmt: skip
        itm_logits = self.itm_head(torch.cat([positive[:, 0], negative[:, 0]]))
        itm_labels = (torch.arange(3 * rows, device=ids.device) < rows).long()
        loss_itm = F.cross_entropy(itm_logits, itm_labels)

        with torch.no_grad():
            logits_m = self.text_encoder_m.logits(mlm_ids, bias, image_embeds_m)
            soft_words = F.softmax(logits_m, dim=-1)
        log_p = F.log_softmax(self.text_encoder.logits(mlm_ids, bias, image_embeds), dim=-1)
        hard = F.nll_loss(log_p.flatten(0, 1), mlm_labels.flatten(), ignore_index=-100)
        masked = mlm_labels != -100
        distill = -((soft_words * log_p).sum(-1) * masked).sum() / masked.sum()
        loss_mlm = (1.0 - alpha) * hard + alpha * distill

        return Output(loss_ita, loss_itm, loss_mlm, image_feat_m, text_feat_m, itm_logits,
                      weights_i2t, weights_t2i)  # fmt: skip


def make_optimizer(model: Albef, lr: float, weight_decay: float = 0.02) -> torch.optim.AdamW:
    """AdamW with the official groups: no decay for vectors and names ending in '.bias'."""
    plain, decayed = [], []
    for name, p in model.named_parameters():
        if p.requires_grad:
            (plain if p.ndim == 1 or name.endswith(".bias") else decayed).append(p)
    groups = [{"params": plain, "weight_decay": 0.0},
              {"params": decayed, "weight_decay": weight_decay}]  # fmt: skip
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.999), eps=1e-8, fused=True)


def train_step(model: Albef, optimizer, batch: Batch, alpha: float,
               draws: Optional[Draws] = None, bf16: bool = False) -> tuple[Output, Tensor]:  # fmt: skip
    """One step in the official order; with bf16 the forward pass runs under autocast."""
    optimizer.zero_grad(set_to_none=True)
    with torch.no_grad():
        model.temp.clamp_(0.001, 0.5)
    model.update_teacher()  # reads online weights only, so it may come before their forward
    with torch.autocast(batch.image.device.type, dtype=torch.bfloat16, enabled=bf16):
        out = model(batch, alpha, draws)
    loss = out.loss_ita + out.loss_itm + out.loss_mlm
    loss.backward()
    optimizer.step()
    model.enqueue(out.image_feat_m, out.text_feat_m)
    return out, loss.detach()
