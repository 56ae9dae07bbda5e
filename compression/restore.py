"""One layer of a compressed network with the weights that it had before: what it alone costs."""

from __future__ import annotations

from torch import nn

from .activations import fold_norms
from .errors import NotOffered
from .language import tr
from .models import Chain, behind, layer_names, replace_layer, twin
from .networks import architecture_for
from .recipe import Recipe


def restorable(recipe: Recipe) -> list[str]:
    """Names of the dense network's layers, from input to output."""
    return layer_names(architecture_for(recipe.model, recipe.dataset, recipe.width))


def why_not_restored(recipe: Recipe, hidden: tuple[int, ...]) -> str:
    """The reason why no layer of this recipe's network can have its dense weights again, or an
    empty string. hidden: units of the network that the recipe makes.
    """
    if any(step.name == "distill" for step in recipe.steps):
        return tr("a student learns weights of its own, which those of its teacher do not fit")
    if hidden != architecture_for(recipe.model, recipe.dataset, recipe.width).hidden:
        return tr(
            "channels are gone, so its layers have other shapes than those of the dense network"
        )
    return ""


def restored(model: Chain, dense: Chain, name: str) -> Chain:
    """The network with this layer, and the batch norm behind it, of the dense network: weights and
    bias as floats, its input too; both halves of a layer that was split into two.

    It shares the tensors of both networks. Raises NotOffered where the shapes differ.
    """
    if model.architecture.hidden != dense.architecture.hidden:
        raise NotOffered("{name}: its shape is not the one it has in the dense network", name=name)
    bits = model.architecture.activation_bits
    made, source = twin(model), fold_norms(dense, bits) if bits else dense
    norm = behind(source, name)
    is_norm = norm and isinstance(source.get_submodule(norm), nn.BatchNorm2d)
    for own in (name, norm) if is_norm else (name,):
        layer = twin(source.get_submodule(own))
        if layer._modules.pop("input", None) is not None:  # whole numbers at the layer's input
            layer._forward_pre_hooks.clear()
        replace_layer(made, own, layer)
    return made
