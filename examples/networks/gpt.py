"""GPT: a transformer that predicts the next token (Radford et al., 2019, in its small form)."""

import math

import samara
from samara import nn


class CausalSelfAttention(nn.Module):
    """Each position attends to itself and what came before, in several heads."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.project = nn.Linear(width, width, bias=False)
        self.drop = nn.Dropout(dropout)

    def forward(self, x, past=None):
        batch, length, width = x.shape
        q, k, v = (
            part.reshape(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for part in self.qkv(x).split(width, dim=2)
        )
        if past is not None:
            k, v = samara.cat([past[0], k], dim=2), samara.cat([past[1], v], dim=2)
        dropout = self.dropout if self.training else 0.0
        # With a past there is one new position, which sees everything.
        y = nn.functional.scaled_dot_product_attention(
            q, k, v, dropout_p=dropout, is_causal=past is None
        )
        y = y.transpose(1, 2).reshape(batch, length, width)
        return self.drop(self.project(y)), (k, v)


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, bias=False)
        self.attention = CausalSelfAttention(width, heads, dropout)
        self.norm2 = nn.LayerNorm(width, bias=False)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width, bias=False),
            nn.GELU(),
            nn.Linear(4 * width, width, bias=False),
            nn.Dropout(dropout),
        )

    def forward(self, x, past=None):
        y, present = self.attention(self.norm1(x), past)
        x = x + y
        return x + self.mlp(self.norm2(x)), present


class GPT(nn.Module):
    """Tokens [N, L] -> logits [N, L, vocabulary]; `past` is what earlier positions left behind."""

    def __init__(self, vocabulary, context, layers, heads, width, dropout=0.0):
        super().__init__()
        self.context = context
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.ModuleList([Block(width, heads, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(width, bias=False)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.tokens.weight = self.head.weight  # one table for reading and writing
        self.reset(layers)

    def reset(self, layers):
        """Normal weights; what is added to the residual stream is scaled down by its depth."""
        for name, parameter in self.named_parameters():
            if parameter.ndim < 2:
                continue
            residual = name.endswith(("project.weight", "mlp.2.weight"))
            nn.init.normal_(parameter, 0.0, 0.02 / math.sqrt(2 * layers) if residual else 0.02)

    def forward(self, tokens, past=None):
        start = 0 if past is None else past[0][0].shape[2]
        positions = samara.arange(start, start + tokens.shape[1])
        x = self.drop(self.tokens(tokens) + self.positions(positions))
        present = []
        for i, block in enumerate(self.blocks):
            x, kept = block(x, None if past is None else past[i])
            present.append(kept)
        return self.head(self.norm(x)), present
