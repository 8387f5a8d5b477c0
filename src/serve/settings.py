"""What the application is told when it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .access import Access
from .limits import Limits


@dataclass(frozen=True)
class Settings:
    """threshold: cosine from which on two faces count as one person.  web: folder of the page."""

    threshold: float
    model: str
    web: Path
    limits: Limits = field(default_factory=Limits)
    access: Access = field(default_factory=Access)
