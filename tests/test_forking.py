"""A process that a test forks leaves alone what it was born with."""

import gc
import os
import weakref


class Cyclic:
    def __init__(self):
        self.itself = self


def test_a_forked_process_collects_nothing_of_its_parent():
    gc.collect()
    gc.disable()
    try:
        is_there = weakref.ref(Cyclic())
        child = os.fork()
        if not child:
            gc.collect()
            os._exit(0 if is_there() else 1)
        assert os.waitpid(child, 0)[1] == 0
        gc.collect()
        assert is_there() is None
    finally:
        gc.enable()
