"""Faults that once passed every test, each with the tests that see it now."""

from .table import Mutant

BY_HAND: tuple[Mutant, ...] = ()
