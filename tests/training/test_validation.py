"""When a verification is worth a checkpoint."""

from arcface_mxnet.training.validation import Best, TargetResult, number_to_save


def results(*accuracies):
    return [TargetResult(str(i), accuracy, 0.0, 1.0) for i, accuracy in enumerate(accuracies)]


def test_the_last_target_decides_and_ties_go_by_the_sum():
    best = Best()
    assert best.take(results(0.9, 0.5))
    assert not best.take(results(1.0, 0.4))  # the last is worse
    assert best.take(results(0.25, 0.75))  # better, though the sum is lower
    assert not best.take(results(0.125, 0.75))  # a tie with a lower sum
    assert best.take(results(0.25, 0.75))  # a tie with the same sum
    assert best.take(results(0.5, 0.75))  # a tie with a higher sum
    assert best == Best(0.75, 1.25)
    assert not best.take([])


def test_numbers():
    assert [number_to_save(ckpt, True, 7) for ckpt in range(4)] == [None, 7, 7, 1]
    assert [number_to_save(ckpt, False, 7) for ckpt in range(4)] == [None, None, 7, None]
