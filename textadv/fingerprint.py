"""What tells a model from others of the same name."""

import hashlib
from typing import Any

import torch


def parameters_fingerprint(model: Any) -> str:
    """SHA-256 of a module's parameters and buffers."""
    digest = hashlib.sha256()
    for name, values in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(values.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
