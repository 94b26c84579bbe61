"""Random weights that give results: what the recipes `*_cases.py` of this folder do instead of training.

    torch==2.15.0

Each layer is scaled once so that its output has mean 0 and deviation 1 on the shared pictures: then random features
differ from place to place, and the last layer's scale and bias decide how many results come out.
"""

import torch
from torch import nn


def settle(model, run, keep=(), smooth=False):
    """Scales convolutions and linear layers to mean 0 and deviation 1 a channel, in the order `run()` calls them.

    Layers with a word of `keep` in their name stay, and so do those whose output does not vary. With `smooth` kernels
    are made smooth first, else the last bit of each pixel decides as much as the shapes do; that is as it should be
    where a resize is to be checked, and not where readers round differently. It also fills layers that start at zero,
    as the box heads of some families do, which would leave every box where its proposal is.
    """
    if smooth:
        for module in model.modules():
            if isinstance(module, nn.Conv2d) and module.kernel_size[0] > 1:
                module.weight.copy_(module.weight.mean((2, 3), keepdim=True) * module.kernel_size[0] + 0.2 * module.weight)
            if isinstance(module, nn.Linear) and not module.weight.any():
                nn.init.xavier_uniform_(module.weight)
    hooks = []

    def once(layer, _, out):
        if hasattr(layer, "settled") or out.numel() == 0:
            return None
        layer.settled = True
        channel = out.dim() - 1 if isinstance(layer, nn.Linear) else 1
        dims = [d for d in range(out.dim()) if d != channel]
        mean, std = out.mean(dims), out.std(dims)
        if float(std.min()) < 1e-4 and not isinstance(layer, nn.Conv2d):
            return None
        std = std.clamp_min(1e-6)
        shape = [-1 if d == channel else 1 for d in range(out.dim())]
        axis = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
        groups = layer.weight.shape[axis]
        layer.weight /= std.view([groups if d == axis else 1 for d in range(layer.weight.dim())])
        if layer.bias is None:
            return out / std.view(shape)
        layer.bias.copy_((layer.bias - mean) / std)
        return (out - mean.view(shape)) / std.view(shape)

    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)) and not any(word in name for word in keep):
            hooks.append(module.register_forward_hook(once))
    run()
    for hook in hooks:
        hook.remove()


def stretch(scale, bias, *layers):
    """After `settle` the outputs have deviation 1; the last layers get the scale and the bias that are wanted."""
    for layer in layers:
        layer.weight *= scale
        layer.bias *= scale
        layer.bias += torch.as_tensor(bias, dtype=torch.float32)
