"""Networks: published backbones as symbols, by their published names.

NETWORKS["r50"] is the entry of a network: its builder *and* its initializer.
build_network(name, options) returns the symbol that ends in "fc1".
"""

from . import (  # noqa: F401  (each registers its family)
    densenet,
    dpn,
    inception_resnet,
    mobilefacenet,
    mobilenet,
    mobilenet_v2,
    resnet,
    spherenet,
)
from .base import NETWORKS, Network, NetworkOptions, build_network

__all__ = ["NETWORKS", "Network", "NetworkOptions", "build_network"]
