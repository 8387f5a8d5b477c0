"""pyarrow, which alone reads and writes Parquet, where it is installed."""

from __future__ import annotations

from types import ModuleType

HOW = "pip install 'arcface_mxnet[parquet]', or take FILE.npy"


def parquet_modules() -> tuple[ModuleType, ModuleType]:
    """Return pyarrow and its module of Parquet.  Raises ValueError if they do not load."""
    try:
        import pyarrow
        from pyarrow import compute, parquet  # noqa: F401  (loads pyarrow.compute)
    except ModuleNotFoundError:
        raise ValueError(f"Parquet needs pyarrow, which is not installed: {HOW}") from None
    except ImportError as error:  # from version 22 on it wants numpy 2, which MXNet does not
        raise ValueError(f"Parquet needs pyarrow, which does not load ({error}): {HOW}") from None
    return pyarrow, parquet
