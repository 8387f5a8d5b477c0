"""What a classifier takes, by hand, and what is said where it does not fit."""

import pytest

pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from arcface_mxnet.torch_engine.classifier_memory import (  # noqa: E402
    ClassifierMemory,
    refuse_too_much,
)


def memory(identities, width=512, batch=64, processes=1, rate=None, rows=1, moments=1, **more):
    return ClassifierMemory.of(
        identities=identities, rows=rows, width=width, batch=batch, moments=moments,
        processes=processes, rate=rate or 1.0, is_sampled=rate is not None,
        **more,
    )  # fmt: skip


def test_a_million_by_hand():
    found = memory(1_000_000)
    whole = 1_000_000 * 512 * 4
    assert (found.weights, found.moments, found.moved) == (whole, whole, 0)
    assert (found.gradients, found.logits) == (2 * whole, 64 * 4 * 1_000_000)
    assert memory(1_000_000, processes=2).gradients == 3 * whole
    assert memory(1_000_000, rows=3).weights == 3 * whole
    assert memory(1_000_000, moments=2).moments == 2 * whole


def test_a_sample_by_hand():
    """Where the logits are the most, no gradient is there yet."""
    found = memory(10_000_000, width=128, rate=0.1)
    whole, part = 10_000_000 * 128 * 4, 1_000_000 * 128 * 4
    assert (found.weights, found.moved) == (whole, part)
    assert (found.gradients, found.logits) == (0, 6 * 64 * 4 * 1_000_000)
    assert found.working == found.total - 2 * whole


# identities, width, rate, batches of a step: bytes that a process grew by at its peak, as
# benchmarks/classifier.py measures them.
ACCUMULATED = {
    (1_000_000, 128, 0.1, 4): 2_044_547_072,
    (1_000_000, 128, 0.1, 8): 2_761_584_640,
    (400_000, 256, None, 4): 2_213_695_488,
}


@pytest.mark.parametrize("case", ACCUMULATED)
def test_batches_before_the_last_of_a_step_are_counted(case):
    identities, width, rate, batches = case
    found = memory(identities, width, rate=rate, accumulate=batches).total
    assert found == pytest.approx(ACCUMULATED[case], rel=0.1)
    once = memory(identities, width, rate=rate).total
    assert once < 0.9 * ACCUMULATED[case]


def test_small_logits_are_not_given_back():
    found = memory(100_000)
    assert (found.gradients, found.logits) == (2 * 100_000 * 512 * 4, 6 * 64 * 100_000 * 4)


@pytest.mark.parametrize("on_host", [True, False])
def test_what_does_not_fit_is_refused_with_the_sum(on_host):
    too_much = memory(10_000_000, rate=0.1)
    said = (
        r"weights 20.48 \+ moments 20.48 .* = 47.42 GB on each process, 47.42 GB of it on the host"
    )
    with pytest.raises(ValueError, match=said + ", which has 23.00 GB free"):
        refuse_too_much(too_much, on_host, 23 * 10**9, None)
    refuse_too_much(too_much, on_host, 48 * 10**9, None)


def test_host_and_device_have_their_parts():
    found = memory(10_000_000, width=128, rate=0.1)
    refuse_too_much(found, True, found.stored, found.working)
    with pytest.raises(ValueError, match=r"10.24 GB of it on the host, which has 10.24 GB free"):
        refuse_too_much(found, True, found.stored - 1, found.working)
    with pytest.raises(ValueError, match=r"2.11 GB of it on the device, which has 2.11 GB free"):
        refuse_too_much(found, True, found.stored, found.working - 1)
    with pytest.raises(ValueError, match=r"12.35 GB of it on the device"):
        refuse_too_much(found, False, 1 << 60, found.total - 1)
