"""BERT: a transformer that reads a text in both directions (Devlin et al., 2019).

The parameters bear the names of the published checkpoints of this layout, so these load by name.
"""

import samara
from samara import nn


class Embeddings(nn.Module):
    """Token, position and segment, added and normalised: [N, L] -> [N, L, width]."""

    def __init__(self, vocabulary, width, positions, segments, dropout, eps):
        super().__init__()
        self.word_embeddings = nn.Embedding(vocabulary, width)
        self.position_embeddings = nn.Embedding(positions, width)
        self.token_type_embeddings = nn.Embedding(segments, width)
        self.LayerNorm = nn.LayerNorm(width, eps=eps)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("position_ids", samara.arange(positions).reshape(1, positions))

    def forward(self, tokens, segments):
        x = self.word_embeddings(tokens)
        x = x + self.position_embeddings(self.position_ids[:, : tokens.shape[1]])
        return self.dropout(self.LayerNorm(x + self.token_type_embeddings(segments)))


class SelfAttention(nn.Module):
    """Every position looks at all that the mask [N, 1, 1, L] lets through, in several heads."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)

    def forward(self, x, mask):
        batch, length, width = x.shape
        q, k, v = (
            part(x).reshape(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        dropout = self.dropout if self.training else 0.0
        y = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        return y.transpose(1, 2).reshape(batch, length, width)


class Residual(nn.Module):
    """norm(dense(y) + x): the end of both halves of a layer."""

    def __init__(self, inner, width, dropout, eps):
        super().__init__()
        self.dense = nn.Linear(inner, width)
        self.LayerNorm = nn.LayerNorm(width, eps=eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, y, x):
        return self.LayerNorm(self.dropout(self.dense(y)) + x)


class Layer(nn.Module):
    """Attention, then a perceptron; the norm stands after the sum."""

    def __init__(self, width, heads, inner, dropout, eps):
        super().__init__()
        self.attention = nn.ModuleDict(
            {
                "self": SelfAttention(width, heads, dropout),
                "output": Residual(width, width, dropout, eps),
            }
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, inner)})
        self.output = Residual(inner, width, dropout, eps)

    def forward(self, x, mask):
        x = self.attention["output"](self.attention["self"](x, mask), x)
        return self.output(nn.functional.gelu(self.intermediate["dense"](x)), x)


class Bert(nn.Module):
    """Tokens [N, L] and what of them is text [N, L] bool -> states [N, L, width].

    The defaults are MiniLM's with six layers (Wang et al., 2020).
    """

    def __init__(
        self,
        vocabulary=30522,
        width=384,
        layers=6,
        heads=12,
        inner=1536,
        positions=512,
        segments=2,
        dropout=0.1,
        eps=1e-12,
    ):
        super().__init__()
        self.embeddings = Embeddings(vocabulary, width, positions, segments, dropout, eps)
        stack = [Layer(width, heads, inner, dropout, eps) for _ in range(layers)]
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(stack)})
        self.pooler = nn.ModuleDict({"dense": nn.Linear(width, width)})

    def forward(self, tokens, mask=None, segments=None):
        segments = samara.zeros_like(tokens) if segments is None else segments
        seen = None if mask is None else mask[:, None, None, :]
        x = self.embeddings(tokens, segments)
        for layer in self.encoder["layer"]:
            x = layer(x, seen)
        return x

    def pooled(self, states):
        """What the first token gathered, for tasks about the whole text: [N, width]."""
        return samara.tanh(self.pooler["dense"](states[:, 0]))
