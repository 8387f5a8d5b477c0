"""Names of people, in every script, written in one way."""

from __future__ import annotations

import unicodedata

from .refusal import Refusal

NAME_LENGTH = 100  # code points
REPLACEMENT = "\ufffd"  # what others put for bytes that they could not read: not the name any more
JOINERS = "\u200c\u200d"  # of Persian, Hindi, Sinhala and others, within words
# Controls, surrogates, private and unassigned code points, ends of lines and paragraphs, and what
# is not seen but changes how the rest is shown (right to left, tags).
REFUSED = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
BLANK = ("Zs", "Mn", "Me")  # alone they show nothing, or hang on nothing
SEEMS_BLANK = "\u115f\u1160\u3164\uffa0\u2800"  # Hangul fillers, the empty Braille pattern


def checked_name(name: str) -> str:
    """Return a name in its normal form: NFC, without blanks and joiners at its ends.

    Raises Refusal (422) if it is none.
    """
    name = _stripped(unicodedata.normalize("NFC", name))
    wrong = [letter for letter in name if not _may_stand_in_a_name(letter)]
    is_seen = any(
        unicodedata.category(letter) not in (*BLANK, "Cf") and letter not in SEEMS_BLANK
        for letter in name
    )
    if wrong or not is_seen or name in (".", "..") or len(name) > NAME_LENGTH:
        reason = f"; U+{ord(wrong[0]):04X} is not one of them" if wrong else ""
        raise Refusal(
            422,
            "bad_name",
            f"a name has 1 to {NAME_LENGTH} printable characters, and is not a dot{reason}",
        )
    return name


def _may_stand_in_a_name(letter: str) -> bool:
    if letter in JOINERS:
        return True
    return unicodedata.category(letter) not in REFUSED and letter != REPLACEMENT


def _stripped(name: str) -> str:
    """Return a name without what is not seen at its ends: two names would look like one."""
    while name != (name := name.strip().strip(JOINERS)):
        pass
    return name
