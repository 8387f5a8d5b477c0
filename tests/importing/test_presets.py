"""A preset of arcface-import is fed what embedding feeds the file itself."""

from arcface_mxnet.embedder import Embedder
from arcface_mxnet.engines.presets import PRESETS
from arcface_mxnet.importing.command import main
import numpy as np
import pytest

from tests.end_to_end.foreign import write_foreign


@pytest.mark.parametrize("scaled", [False, True], ids=["bare", "scales itself"])
@pytest.mark.parametrize("preset", ["insightface", "adaface", "sface"])
def test_an_imported_network_gives_what_the_file_gives(tmp_path, crops, preset, scaled):
    theirs = write_foreign(tmp_path / "theirs.onnx", size=(112, 112), scaled=scaled)
    assert main([str(theirs), "--prefix", str(tmp_path / "ours"), "--preset", preset]) == 0
    options = {"flip": False, "normalize": False}
    wanted = Embedder(theirs, preset=PRESETS[preset].declared, **options)(crops)
    found = Embedder(f"{tmp_path}/ours,0", engine="mxnet", **options)(crops)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())


def test_a_family_of_another_alignment_is_not_offered(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["theirs.onnx", "--preset", "facenet"])
    assert "invalid choice: 'facenet'" in capsys.readouterr().err
