"""The distance to a teacher: values and gradients against numpy, and what is left of it."""

from arcface_mxnet.losses.distill import MAP, Taught, without_teacher
import mxnet as mx
import numpy as np
import pytest

ROWS, SIZE, CLASSES = 6, 4, 3
LABEL = np.array([0, 1, 2, 0, 1, 2], np.float32)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def distance(kind, x, teacher, weight_map=None):
    student = unit(x if weight_map is None else x @ weight_map.T)
    if kind == "squared":
        return ((student - unit(teacher)) ** 2).sum(axis=1)
    return 1 - (student * unit(teacher)).sum(axis=1)


def slopes(function, array):
    found = np.zeros(array.shape)
    for place in np.ndindex(array.shape):
        ends = []
        for step in (1e-6, -1e-6):
            moved = array.copy()
            moved[place] += step
            ends.append(function(moved))
        found[place] = (ends[0] - ends[1]) / 2e-6
    return found


@pytest.mark.parametrize("kind", ["cosine", "squared"])
@pytest.mark.parametrize("teacher_size", [SIZE, 7])
def test_value_and_gradients(build, kind, teacher_size):
    """Beside no loss: the teacher's gradient alone; none goes to the teacher."""
    rng = np.random.default_rng(3)
    x, teacher = rng.normal(size=(ROWS, SIZE)), 5 * rng.normal(size=(ROWS, teacher_size))
    loss = Taught(CLASSES, build("none", CLASSES), kind, 2.5, teacher_size, SIZE)
    symbol = loss.symbol(mx.sym.Variable("x"), mx.sym.Variable("softmax_label"))
    assert loss.image_inputs() == {"teacher": (teacher_size,)}
    executor = symbol.simple_bind(
        mx.cpu(), x=x.shape, teacher=teacher.shape, softmax_label=(ROWS,), grad_req="write"
    )
    maps = [name for name in executor.arg_dict if name == MAP]
    assert maps == ([] if teacher_size == SIZE else [MAP])
    weight_map = rng.normal(size=(teacher_size, SIZE)) if maps else None
    for name, value in {
        "x": x,
        "teacher": teacher,
        "softmax_label": LABEL,
        MAP: weight_map,
    }.items():
        if value is not None:
            executor.arg_dict[name][:] = value
    executor.forward(is_train=True)
    executor.backward()
    outputs = executor.output_dict
    wanted = distance(kind, x, teacher, weight_map)
    np.testing.assert_allclose(outputs["teacher_loss_output"].asnumpy(), wanted.mean(), rtol=1e-5)
    cosine = 1 - distance("cosine", x, teacher, weight_map)
    np.testing.assert_allclose(
        outputs["teacher_cosine_output"].asnumpy(), cosine, rtol=1e-4, atol=1e-6
    )
    np.testing.assert_array_equal(outputs["embedding_output"].asnumpy(), x.astype(np.float32))

    def check(name, function, array):
        found = executor.grad_dict[name].asnumpy()
        np.testing.assert_allclose(found, slopes(function, array), rtol=1e-3, atol=1e-5)
        assert np.abs(found).max() > 0.01

    check("x", lambda a: 2.5 * distance(kind, a, teacher, weight_map).mean(), x)
    if maps:
        check(MAP, lambda a: 2.5 * distance(kind, x, teacher, a).mean(), weight_map)
    assert not executor.grad_dict["teacher"].asnumpy().any()


def test_squared_is_twice_the_cosine():
    """As the help says of --teacher-loss."""
    rng = np.random.default_rng(0)
    x, teacher = rng.normal(size=(2, ROWS, SIZE))
    np.testing.assert_allclose(distance("squared", x, teacher), 2 * distance("cosine", x, teacher))


@pytest.mark.parametrize("key", ["4", "12", "magface"])
def test_beside_a_loss_nothing_of_it_changes(build, key):
    alone = build(key, CLASSES, per_batch_size=ROWS)
    both = Taught(CLASSES, alone, "cosine", 1.0, SIZE, SIZE)
    x, label = mx.sym.Variable("x"), mx.sym.Variable("softmax_label")
    names = both.symbol(x, label).list_outputs()
    own = alone.symbol(x, label).list_outputs()
    assert names == [*own, "teacher_loss_output", "teacher_cosine_output"]
    assert without_teacher(names) == list(range(len(own)))
    for name in ("batch_plan", "base_milestones", "delay", "needs_identities"):
        assert getattr(both, name) == getattr(alone, name), name
    assert [m.name for m in both.reports()] == [
        *(m.name for m in alone.reports()), "teacher_cosine",
    ]  # fmt: skip
