"""Networks for other classes than those they were trained on, the same functions at first.

What a class is called decides: a class of the same name keeps its embedding, wherever it stands.
A new class begins at the mean embedding; in a network that knew none, all classes begin alike. What
tells them apart is drawn, and weighted such that it cancels at first: so it learns at once, as in a
network that was drawn whole, but begins where the other one ended.

Source: arXiv:2006.06676, section 2 and appendix C (conditioning by embeddings and projection).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from stylegan2.models.layers import normalize
from stylegan2.models.mapping import MappingNetwork

EMBED, EMBED_BIAS = "mapping.embed.weight", "mapping.embed.bias"
FIRST, FIRST_BIAS = "mapping.fc0.weight", "mapping.fc0.bias"
OUT, OUT_BIAS = "b4.out.weight", "b4.out.bias"
SKETCH = ("mapping.sketch.mean", "mapping.sketch.deviation")  # a row a class

Tensors = dict[str, Tensor]


def match(names: Sequence[str], known: Sequence[str]) -> list[int | None]:
    """Return where each class stands among the known ones; None for a new one."""
    places = {name: i for i, name in enumerate(known)}
    return [places.get(name) for name in names]


def embeddings(weight: Tensor, bias: Tensor) -> Tensor:
    """Return the normalised embedding of each class, [num_classes, E].

    Args:
        weight: of the embedding, [E, num_classes].
        bias: [E].
    """
    return normalize(weight.T / math.sqrt(weight.shape[1]) + bias)


def rearrange(tensors: Tensors, places: Sequence[int | None]) -> Tensors:
    """Return tensors of a conditional network for other classes.

    Args:
        tensors: of a generator or a discriminator; left unchanged.
        places: where each new class stands among the old ones; None begins at their mean.
    """
    old = tensors[EMBED]  # [E, num_classes]; the layer scales it by 1 / sqrt(num_classes)
    mean = old.mean(dim=1)
    columns = [mean if i is None else old[:, i] for i in places]
    new = torch.stack(columns, dim=1) * math.sqrt(len(places) / old.shape[1])
    sketch = {
        key: torch.stack([x.mean(dim=0) if i is None else x[i] for i in places])
        for key, x in _sketch(tensors).items()
    }
    return {**tensors, **sketch, EMBED: new}


def _sketch(tensors: Tensors) -> Tensors:
    """Return those tensors of a generator's sketch that have a row a class, if it has one."""
    return {key: tensors[key] for key in SKETCH if key in tensors}


def add_to_generator(tensors: Tensors, drawn: Tensors) -> Tensors:
    """Return tensors of a conditional generator that draws as an unconditional one at first.

    All classes have one embedding, of which the biases take off what it adds.

    Args:
        tensors: of the unconditional one; left unchanged.
        drawn: tensors of a conditional one with random weights and the same z_dim and w_dim.
    """
    z_dim = tensors[FIRST].shape[1]
    columns = drawn[FIRST][:, z_dim:]  # [F, E]
    embed = drawn[EMBED][:, :1].expand_as(drawn[EMBED])
    shared = embeddings(embed, drawn[EMBED_BIAS])[0]  # [E]
    size = z_dim + columns.shape[1]
    sketch = {key: x.expand(embed.shape[1], -1) for key, x in _sketch(tensors).items()}
    return {
        **tensors,
        **sketch,
        EMBED: embed,
        EMBED_BIAS: drawn[EMBED_BIAS],
        FIRST: torch.cat([tensors[FIRST] * math.sqrt(size / z_dim), columns], dim=1),
        FIRST_BIAS: tensors[FIRST_BIAS] - columns @ shared / math.sqrt(size),
    }


def take_from_generator(tensors: Tensors, z_dim: int) -> Tensors:
    """Return tensors of an unconditional generator: the conditional one at the mean embedding.

    Args:
        tensors: of the conditional one; left unchanged.
        z_dim: length of its latents.
    """
    first = tensors[FIRST]  # [F, z_dim + E]
    size = first.shape[1]
    mean = embeddings(tensors[EMBED], tensors[EMBED_BIAS]).mean(dim=0)
    kept = {key: x for key, x in tensors.items() if key not in (EMBED, EMBED_BIAS)}
    sketch = {key: x.mean(dim=0, keepdim=True) for key, x in _sketch(tensors).items()}
    return {
        **kept,
        **sketch,
        FIRST: first[:, :z_dim] * math.sqrt(z_dim / size),
        FIRST_BIAS: tensors[FIRST_BIAS] + first[:, z_dim:] @ mean / math.sqrt(size),
    }


@torch.no_grad()
def add_to_discriminator(tensors: Tensors, drawn: Tensors, mapping: MappingNetwork) -> Tensors:
    """Return tensors of a projection discriminator that begins with an unconditional one's logits.

    All classes are mapped to one vector m; along m the last layer is the unconditional one, and
    across m as drawn, which their product does not see until classes differ.

    Args:
        tensors: of the unconditional one; left unchanged.
        drawn: tensors of a conditional one with random weights and as many feature maps.
        mapping: of the conditional one, on the CPU; changed in place.
    """
    embed = drawn[EMBED][:, :1].expand_as(drawn[EMBED])
    mapping.load_state_dict({"embed.weight": embed}, strict=False)
    m = mapping(None, torch.eye(embed.shape[1])[:1])[0]  # [K]
    share = m / m.square().sum()  # m @ share = 1
    across = drawn[OUT] - share[:, None] * (m @ drawn[OUT])  # [K, C]; m @ across = 0
    root = math.sqrt(len(m))  # the projection is divided by it
    return {
        **tensors,
        **{key: x for key, x in drawn.items() if key.startswith("mapping.")},
        EMBED: embed,
        OUT: root * share[:, None] * tensors[OUT] + across,
        OUT_BIAS: root * share * tensors[OUT_BIAS],
    }


@torch.no_grad()
def take_from_discriminator(tensors: Tensors, mapping: MappingNetwork) -> Tensors:
    """Return tensors of an unconditional discriminator, whose logit is the mean over all classes.

    Args:
        tensors: of the projection discriminator; left unchanged.
        mapping: its own, on the CPU.
    """
    mean = mapping(None, torch.eye(mapping.c_dim)).mean(dim=0)  # [K]
    mean = mean / math.sqrt(len(mean))
    kept = {key: x for key, x in tensors.items() if not key.startswith("mapping.")}
    return {
        **kept,
        OUT: (mean @ tensors[OUT])[None],
        OUT_BIAS: (mean @ tensors[OUT_BIAS])[None],
    }
