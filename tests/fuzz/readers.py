"""All readers that are tried."""

from tests.fuzz import (  # noqa: F401  (each enters its readers)
    cleaning_readers,
    commands,
    foreign_networks,
    image_readers,
    mat_readers,
    network_readers,
    newer_commands,
    record_readers,
    text_readers,
    training,
    vector_readers,
)
from tests.fuzz.table import READERS

__all__ = ["READERS"]
