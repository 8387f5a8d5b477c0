"""Fixtures that every test may use."""

from pathlib import Path

import arcface_mxnet  # noqa: F401  (first: it makes MXNet importable)
import pytest

ROOT = Path(__file__).parents[1]
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def converted_networks(tmp_path_factory):
    """Keep converted networks in a folder of the tests, not in the user's cache."""
    from arcface_mxnet.engines import cache

    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "user_cache_dir", lambda: folder)
        yield folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real faces and original records, or skip."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real faces and original records are absent: no folder {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def models() -> Path:
    """Return the folder of the pretrained networks, fetched once into models/, or skip."""
    pytest.importorskip("onnx")
    from arcface_mxnet.data.sources import fetch

    try:
        fetch(["sface", "mtcnn"], ROOT)
    except OSError as error:
        pytest.skip(f"pretrained networks are absent: {error}")
    return ROOT / "models"
