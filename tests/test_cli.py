"""How scripts end, and the size of crops on the command line."""

import argparse

from arcface_mxnet.cli import add_image_size_argument, parse_size, run
import pytest


@pytest.mark.parametrize("text, size", [("112,96", (112, 96)), (" 7, 1", (7, 1))])
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "112", "112x112", "a,b", "0,112", "112,-1", "112,96,", "1.5,2", "3,112,112", "1,112,112"],
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="^--image-size .*: give HEIGHT,WIDTH in pixels"):
        parse_size(text)


def test_channels_where_published():
    assert parse_size("3,112,96", channels=True) == parse_size("112,96", channels=True)
    for text in ("1,112,96", "112", "3,112,0", "3,3,112,96"):
        with pytest.raises(ValueError, match="give 3,HEIGHT,WIDTH or HEIGHT,WIDTH"):
            parse_size(text, channels=True)


def test_both_spellings_and_the_default():
    parser = argparse.ArgumentParser()
    add_image_size_argument(parser)
    given = [["--image-size", "8,9"], ["--image_size", "8,9"], []]
    sizes = [parser.parse_args(arguments).image_size for arguments in given]
    assert sizes == ["8,9", "8,9", "112,112"]


def test_a_default_that_lies_elsewhere(capsys):
    parser = argparse.ArgumentParser()
    add_image_size_argument(parser, default=None, otherwise="as property says")
    assert parser.parse_args([]).image_size is None
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    assert "in pixels (default: as property says)" in capsys.readouterr().out


def test_exit_codes(capsys):
    def work(error):
        raise error

    assert [run(lambda: None), run(lambda: 1)] == [0, 1]
    assert run(lambda: work(ValueError("a wrong value"))) == 2
    assert run(lambda: work(FileNotFoundError("no file x"))) == 2
    assert capsys.readouterr().err == "error: a wrong value\nerror: no file x\n"
    assert run(lambda: work(KeyboardInterrupt())) == 130
    with pytest.raises(KeyError):
        run(lambda: work(KeyError("ours")))
