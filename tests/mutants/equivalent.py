"""Drawn faults that are none: the program does the same, so no test can see them.

Each is (file, old text, new text as the operator writes it, why).
"""

SAME: tuple[tuple[str, str, str, str], ...] = ()
