"""Lists of other data, and messages that count."""

from arcface_mxnet.data.list_faults import MAX_SHOWN, all_faults, is_of_other_data, two_of_each
import pytest


@pytest.mark.parametrize(
    ("num_found", "num_listed", "is_other"),
    [
        (0, 0, False),
        (0, 1, True),
        (1, 1, False),
        (9, 100, True),
        (10, 100, False),
        (11, 100, False),
    ],
)
def test_less_than_a_tenth_is_of_other_data(num_found, num_listed, is_other):
    assert is_of_other_data(num_found, num_listed) is is_other


def test_a_message_shows_the_first_and_counts_the_rest():
    faults = [f"line {number}" for number in range(MAX_SHOWN + 1)]
    text = all_faults("bad:", faults[:-1], "mend it")
    assert text.splitlines() == ["bad:", *(f"  {one}" for one in faults[:-1]), "mend it"]
    assert all_faults("bad:", faults).endswith(f"  {faults[-2]}\n  ... and 1 more")


def test_two_names_of_each_side():
    assert two_of_each("abc", []) == "the list: 'a' and 'b'; there: nothing"
    assert len(two_of_each(["[" * 200_000], ["x"])) < 500
