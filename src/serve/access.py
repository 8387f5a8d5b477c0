"""Who may ask: the token, the name of the service, pages of other sites; wrong tokens take time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
import hashlib
import hmac
import time
from urllib.parse import urlsplit

from .refusal import Refusal

# Hold no secret, nor do the files of the page.
OPEN_PATHS = frozenset({"/health", "/ready", "/v1/health", "/v1/ready"})
FORGIVEN = 60.0  # seconds after the last wrong token of an address
LONGEST_PAUSE = 3.0  # seconds
FIRST_PAUSE = 0.04
ADDRESSES = 4096  # of which wrong tokens are remembered


@dataclass(frozen=True)
class Access:
    """Who may ask.

    token: the bearer token demanded, or "" for none.  hosts: names under which the service may
    be addressed, empty for any.  A page of another site that is open in a local browser is
    kept out by both: its requests carry its own origin, or (rebound) its own host.
    """

    token: str = ""
    hosts: frozenset[str] = frozenset({"localhost", "127.0.0.1", "::1"})

    def check(self, path: str, headers: Mapping[str, str], *, is_open: bool = False) -> None:
        """Raise Refusal (401 or 403) for a request that may not be made.

        is_open: it asks for a file of the page.
        """
        host = headers.get("host", "")
        if self.hosts and hostname(host) not in self.hosts:
            raise Refusal(403, "wrong_host", "the service is not addressed by this name")
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            raise Refusal(403, "wrong_origin", "pages of other sites may not use the service")
        if self.token and not is_open and path not in OPEN_PATHS:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            if not scheme:
                raise Refusal(401, "unauthorized", "send the header Authorization: Bearer TOKEN")
            is_right = hmac.compare_digest(given.strip().encode(), self.token.encode())
            if scheme.lower() != "bearer" or not is_right:
                raise Refusal(
                    401, "wrong_token", "this is not the token of the service; send the header "
                    "Authorization: Bearer TOKEN",
                )  # fmt: skip

    @property
    def name_of_token(self) -> str:
        """What tells a token from another in the audit log, and does not give it away."""
        digest = hashlib.sha256(f"audit {self.token}".encode()).hexdigest()[:8]
        return f"token {digest}" if self.token else "no token"


class WrongTokens:
    """Makes an address that gives wrong tokens wait, longer with each of them."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    async def pause(self, address: str) -> None:
        """Wait before a wrong token is answered."""
        count, last = self._wrong.pop(address, (0, 0.0))
        now = time.monotonic()
        count = 1 if now - last > FORGIVEN else count + 1
        self._wrong[address] = count, now
        while len(self._wrong) > ADDRESSES:
            self._wrong.popitem(last=False)
        await asyncio.sleep(min(FIRST_PAUSE * 2 ** min(count - 1, 10), LONGEST_PAUSE))


def hostname(host: str) -> str | None:
    """Return the name or address in a Host header, without the port; None if it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
