"""The old places of the checkpoint functions, which users' scripts import, stay."""

from arcface_mxnet.checkpoints import load, names, params
from arcface_mxnet.training import checkpoints, params_file


def test_old_places():
    for module, functions in (
        (load, "load_checkpoint load_symbol save_checkpoint save_symbol Params"),
        (names, "LAST checkpoint_numbers params_path split_checkpoint"),
        (params, "named_params split_params"),
    ):
        for name in functions.split():
            assert getattr(checkpoints, name) is getattr(module, name)
    assert params_file.read_params is params.read_params
    assert params_file.write_params is params.write_params
