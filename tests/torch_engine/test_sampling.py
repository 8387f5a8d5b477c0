"""Which identities a partial classifier samples, and what becomes of the others."""

from arcface_mxnet.training.optimizer import SGD, AdamW
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install 'arcface_mxnet[torch]'")

from arcface_mxnet.torch_engine.class_rows import ClassRows, SampledRows  # noqa: E402
from arcface_mxnet.torch_engine.sampling import sampled  # noqa: E402
from arcface_mxnet.torch_engine.slices import Range, Slice, slice_of  # noqa: E402

CPU, RANGE = torch.device("cpu"), Range(100, 200)


def sample(rate, labels, seed=0, range_=RANGE):
    generator = torch.Generator().manual_seed(seed)
    return sampled(range_, rate, torch.tensor(labels, dtype=torch.float32), generator).tolist()


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9, 0.99, 1.0])
def test_the_batchs_own_are_always_in_and_none_is_twice(rate):
    for seed in range(20):
        found = sample(rate, [100, 117, 117, 5, 199, 200], seed)
        assert {100, 117, 199} <= {*found} and found == sorted({*found})
        assert len(found) == max(3, int(100 * rate)) and 100 <= found[0] <= found[-1] < 200


def test_at_least_one_is_sampled():
    assert len(sample(0.001, [5])) == 1


@pytest.mark.parametrize("rate", [0.1, 0.6])
def test_each_of_the_others_is_as_likely(rate):
    """Of 97 others each comes with probability (wanted - 3) / 97."""
    draws = 3000
    counts = np.zeros(200)
    for seed in range(draws):
        counts[sample(rate, [100, 117, 199], seed)] += 1
    others = np.delete(counts[100:], [0, 17, 99])
    p = (int(100 * rate) - 3) / 97
    assert others.mean() == pytest.approx(draws * p)
    assert np.abs(others - draws * p).max() < 4.5 * (draws * p * (1 - p)) ** 0.5
    pairs = [{*sample(rate, [100], seed)} for seed in range(draws)]
    both = sum({110, 150} <= one for one in pairs) / draws
    k = int(100 * rate) - 1
    assert both == pytest.approx(k * (k - 1) / (99 * 98), abs=4.5 * (both / draws) ** 0.5)


def test_ranges_are_as_equal_as_can_be_and_cover_all():
    for identities, count in [(7, 3), (7, 2), (100, 7), (3, 3)]:
        ranges = [slice_of(identities, rank, count) for rank in range(count)]
        assert ranges[0].begin == 0 and ranges[-1].end == identities
        assert all(one.end == next_.begin for one, next_ in zip(ranges, ranges[1:], strict=False))
        assert max(r.size for r in ranges) - min(r.size for r in ranges) <= 1
    with pytest.raises(ValueError, match="2 identities for 3 processes"):
        slice_of(2, 0, 3)


def test_places_of_a_sample_and_of_a_range():
    one = Slice(Range(10, 20), torch.tensor([11, 14, 19]))
    places, is_here = one.places(torch.tensor([14.0, 12.0, 19.0, 3.0, 40.0]))
    assert is_here.tolist() == [True, False, True, False, False]
    assert places.tolist() == [1, 0, 2, 0, 0]
    assert one.identities(torch.tensor([2])).tolist() == [19]
    places, is_here = Slice(Range(10, 20)).places(torch.tensor([10.0, 19.0, 20.0]))
    assert places.tolist() == [0, 9, 0] and is_here.tolist() == [True, True, False]


def rows_of(kind, rule, **options):
    made = kind(Range(4, 14), {"fc7_weight": 2, "fc7_bias": 2}, 3, rule, CPU, **options)
    generator = torch.Generator().manual_seed(1)
    made.fill(lambda name, begin, rows: rows.normal_(generator=generator))
    return made


def step(rows, labels):
    """Make a pass whose loss is half the sum of squares: the gradient of a row is the row."""
    where, values = rows.begin(torch.tensor(labels, dtype=torch.float32))
    sum(0.5 * (value**2).sum() for value in values.values()).backward()
    return where


@pytest.mark.parametrize("rule", [SGD(0.9, 0.01, {}), AdamW(0.01, {})])
def test_those_not_sampled_keep_weight_and_moments(rule):
    torch.manual_seed(3)
    rows = rows_of(SampledRows, rule, rate=0.4, device=CPU, rank=0)
    for number in range(3):
        before = {name: value.clone() for name, value in (rows.weights | rows.moments).items()}
        where = step(rows, [4 + number, 13])
        rows.update(0.1, 1.0)
        kept = np.repeat(~np.isin(np.arange(4, 14), where.sample.numpy()), 2)
        assert kept.sum() == 12
        for name, value in (rows.weights | rows.moments).items():
            changed = (value != before[name]).reshape(20, -1).any(dim=1).numpy()
            assert (changed == ~kept).all(), name


def test_several_batches_make_one_update_of_all_that_they_had():
    """Each batch has a sample of its own; a row's gradient is the sum over those that have it."""
    torch.manual_seed(4)
    rule = SGD(0.0, 0.0, {})
    rows = rows_of(SampledRows, rule, rate=0.4, device=CPU, rank=0)
    before = rows.weights["fc7_weight"].clone()
    times = np.zeros(10)
    for labels in ([4], [9], [4]):
        times[step(rows, labels).sample.numpy() - 4] += 1
    rows.update(0.1, 0.5)
    assert {*times} > {0, 1} and times[0] >= 2
    wanted = before * torch.tensor(1 - 0.05 * np.repeat(times, 2), dtype=torch.float32)[:, None]
    np.testing.assert_allclose(rows.weights["fc7_weight"], wanted, rtol=1e-6)


def test_several_batches_of_all_are_as_without_samples():
    rule = SGD(0.9, 0.01, {})
    rows = rows_of(ClassRows, rule)
    whole = rows_of(SampledRows, rule, rate=1.0, device=CPU, rank=0)
    for _ in range(2):
        for one in (rows, whole):
            step(one, [4])
            step(one, [5])
            one.update(0.1, 0.5)
    for name, value in (rows.weights | rows.moments).items():
        np.testing.assert_array_equal(value.detach(), (whole.weights | whole.moments)[name])
