"""Faults that the tests must see: each is put into a copy of the package, and its tests must fail.

    make mutants                                all of them, a line each; fails if one survives
    python -m tests.mutants run --only loop     those whose file or name holds "loop"
    python -m tests.mutants draw --seed 7 --count 60    draw others; prints them, or --write
    python -m tests.mutants find                look for tests that see the drawn ones; writes them

`hand.py` holds faults that were once found to pass every test, `drawn.json` those that
`operators.py` made with a seed.
"""
