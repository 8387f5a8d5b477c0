"""A plugin of pytest for an environment without MXNet: what needs it is skipped, and said.

    python -m pytest -p tests.without_mxnet --at-least 400

A module or test counts as in need of MXNet when it ends in "No module named 'mxnet'", or fails
after a command has said that it needs MXNet.
"""

from importlib.util import find_spec
import re

import pytest

REASON = "needs MXNet, which is not installed"
SAID = (  # by errors.py for a command, and by training
    "this command needs mxnet, which is not installed",
    "nor MXNet ([cpu] or [cu112]) is installed",
)
# Tests that run MXNet in a process of its own or by --engine mxnet.
BY_NAME = ("tests/deploy/", "tests/test_mxnet_settings.py", r"test_shapes.py::.*\[mxnet\]")


def pytest_addoption(parser):
    parser.addoption("--at-least", type=int, default=0, help="fail if fewer tests passed")


def pytest_configure(config):
    if find_spec("mxnet"):
        raise pytest.UsageError("MXNet is installed here: this run is for an environment without")


def pytest_collection_modifyitems(items):
    for item in items:
        if any(re.search(name, item.nodeid) for name in BY_NAME):
            item.add_marker(pytest.mark.skip(reason=REASON))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    if report.failed and "No module named 'mxnet'" in str(report.longrepr):
        report.outcome, report.longrepr = "skipped", (str(collector.path), None, REASON)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    error = call.excinfo and call.excinfo.value
    is_missed = isinstance(error, ModuleNotFoundError) and error.name == "mxnet"
    told = report.longreprtext + report.capstderr
    if report.failed and (is_missed or any(words in told for words in SAID)):
        report.outcome, report.longrepr = "skipped", (str(item.path), None, REASON)
    return report


def pytest_sessionfinish(session, exitstatus):
    if hasattr(session.config, "workerinput"):
        return  # of pytest-xdist: the first process counts
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    passed, wanted = len(reporter.stats.get("passed", [])), session.config.getoption("--at-least")
    if passed < wanted:
        reporter.write_line(f"error: {passed} tests passed without MXNet, at least {wanted} must")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
