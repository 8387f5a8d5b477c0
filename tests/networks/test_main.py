from pathlib import Path

from arcface_mxnet.networks import NETWORKS
from arcface_mxnet.networks.__main__ import main
import pytest


def test_table_of_all(capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["network", "parameters", "multiply-adds", "embedding", "head"]
    assert [line.split()[0] for line in lines[1:]] == NETWORKS.names()


def test_some(capsys):
    main(["r50", "y1", "--markdown"])
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| r50 | 43.59 M | 6.31 G | 512 | E |",
        "| y1 | 1.00 M | 0.22 G | 128 | GDC |",
    ]


def test_unknown():
    with pytest.raises(ValueError, match="'r51': unknown network"):
        main(["r51"])


def test_not_built():
    with pytest.raises(ValueError, match="'mnas' is not built"):
        main(["mnas"])


def test_picture_too_small_for_the_head():
    with pytest.raises(ValueError, match="y1: a picture of 64x64 pixels does not fit the network"):
        main(["y1", "--image-size", "64,64"])


@pytest.mark.parametrize("document", ["README.md", "docs/networks.md"])
def test_the_documents_show_this_table(capsys, document):
    main(["--markdown"])
    assert capsys.readouterr().out in (Path(__file__).parents[2] / document).read_text()
