"""The machine itself: what it draws, applies and notices.  `make mutants` runs the faults."""

import ast

import pytest

from tests.mutants import operators, runner, table
from tests.mutants.hand import BY_HAND
from tests.mutants.table import Mutant

SOURCE = '''"""Docstring 3."""

LIMIT = 3


def build_parser():
    return parser(7)


def work(config, rows, log):
    log.info("%d rows", 5)
    rows.sort()
    if len(rows) < 2:
        raise ValueError(f"{len(rows)} rows, wanted {4}")
    return rows[: config.per_batch_size]
'''


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of one file, src/training/one.py, with nothing to test it."""
    (tmp_path / "src/training").mkdir(parents=True)
    (tmp_path / "src/training/one.py").write_text(SOURCE)
    for module in (operators, table, runner):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    return tmp_path


def changed(mutant):
    """Return the one line that a fault changes."""
    before, after = SOURCE.splitlines(), mutant.applied().splitlines()
    assert len(before) == len(after)
    ((old, new),) = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    return old.strip(), new.strip()


def test_every_operator_finds_its_faults_and_only_those(project):
    found = operators.candidates("training", {})
    lines = {operator: [changed(one) for one in mutants] for operator, mutants in found.items()}
    assert lines == {
        "drop a call": [("rows.sort()", "pass")],
        "swap a comparison": [("if len(rows) < 2:", "if len(rows) <= 2:")],
        "option as default": [
            ("return rows[: config.per_batch_size]", "return rows[: 128]"),
        ],
        "off by one": [("if len(rows) < 2:", "if len(rows) < 3:")],
    }
    for mutants in found.values():
        for one in mutants:
            ast.parse(one.applied())


def test_a_draw_is_a_function_of_its_seed_and_takes_every_folder():
    first, again, other = (operators.draw(seed, 30) for seed in (1, 1, 2))
    assert first == again != other and len(set(first)) == 30
    assert {one.file.split("/")[1] for one in first} == set(operators.FOLDERS)
    for one in first:
        ast.parse(one.applied())


def test_a_fault_that_no_longer_applies_is_not_seen(project):
    gone = Mutant("gone", "src/training/one.py", "rows.reverse()", "pass", ("tests",))
    twice = Mutant("twice", "src/training/one.py", "rows", "row", ("tests",))
    absent = Mutant("absent", "src/training/two.py", "rows", "row", ("tests",))
    for mutant, words in ((gone, "0 times"), (twice, "7 times"), (absent, "is gone")):
        outcome = runner.try_one(mutant)
        assert not outcome.is_seen and words in outcome.words
    assert not runner.try_one(Mutant("", "src/training/one.py", "rows.sort()", "pass", ())).is_seen


@pytest.mark.parametrize(
    ("code", "is_seen"), [(1, True), (None, True), (-11, True), (0, False), (2, False), (5, False)]
)
def test_only_failing_tests_see_a_fault(project, monkeypatch, code, is_seen):
    """0: passed; 2: not collected, which a test of something else could be; 5: no tests."""
    monkeypatch.setattr(runner, "pytest_exit", lambda folder, tests: (code, "words"))
    mutant = Mutant("", "src/training/one.py", "rows.sort()", "pass", ("tests/x.py",))
    assert runner.try_one(mutant).is_seen == is_seen


def test_the_copy_alone_has_the_fault(project, monkeypatch):
    def look(folder, tests):
        assert "rows.sort()" not in (folder / "arcface_mxnet/training/one.py").read_text()
        return 1, ""

    monkeypatch.setattr(runner, "pytest_exit", look)
    mutant = Mutant("", "src/training/one.py", "rows.sort()", "pass", ("tests/x.py",))
    assert runner.try_one(mutant).is_seen
    assert (project / "src/training/one.py").read_text() == SOURCE


def test_all_kept_faults_apply_and_name_tests():
    kept = [*BY_HAND, *table.read_drawn()]
    for mutant in kept:
        mutant.applied()
        assert mutant.tests, mutant.name
        for test in mutant.tests:
            assert (table.ROOT / test.split("::")[0]).is_file(), test
