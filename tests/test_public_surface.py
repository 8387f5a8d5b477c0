"""The names that users' scripts import are where they always were, and are what they are now."""

from importlib import import_module
import inspect

import pytest

# Today's place -> names; then where they moved from, where those scripts look.
SURFACE = {
    "networks": ("NETWORKS", "NetworkOptions", "build_network"),
    "losses": ("LOSSES", "Loss", "build_loss"),
    "data.records": ("RecordReader", "RecordWriter", "Record"),
    "data.dataset": ("FaceDataset",),
    "batches.source": ("batches",),
    "batches.mining": ("select_semi_hard",),
    "align.face": ("Face",),
    "align.mtcnn": ("MtcnnDetector",),
    "align.similarity": ("similarity_transform",),
    "align.crop": ("align_face",),
    "embedding.embedder": ("Embedder",),
    "embedding.face_model": ("FaceModel", "NoFaceError"),
    "training.loop": ("train", "TrainResult"),
    "checkpoints.load": ("load_checkpoint", "save_checkpoint"),
    "eval.scores": ("roc", "RocCurve", "tar_at_far", "OperatingPoint"),
    "eval.protocols": ("verify_pairs", "VerificationResult"),
    "eval.pair_sets": ("read_pair_set", "write_pair_set", "PairSet"),
    "megaface.search": ("identify", "IdentificationResult"),
    "megaface.features": ("read_feature", "write_feature"),
    "config": ("TrainConfig",),
}
MOVED = {
    "data.batches": ("batches.source", ("batches",)),
    "data.mining": ("batches.mining", ("select_semi_hard",)),
    "embedder": ("embedding.embedder", ("Embedder",)),
    "face_model": ("embedding.face_model", ("FaceModel", "NoFaceError")),
    "training.checkpoints": ("checkpoints.load", ("load_checkpoint", "save_checkpoint")),
}
CALLS = {
    ("align.mtcnn", "MtcnnDetector"): "ctx min_size thresholds factor",
    ("embedding.embedder", "Embedder"): "checkpoint ctx batch_size flip normalize",
    ("eval.protocols", "verify_pairs"): "left right is_genuine folds",
    ("eval.scores", "tar_at_far"): "genuine impostor far",
    ("batches.mining", "select_semi_hard"): "embeddings identities alpha max_ap rng",
    ("batches.source", "batches"): "plan dataset config rng embed num_devices",
    ("data.records", "RecordReader"): "rec_path idx_path",
    ("networks", "build_network"): "name options",
    ("losses", "build_loss"): "loss_type config num_classes",
    ("training.loop", "train"): "config ctx",
}


def there(module):
    return import_module(f"arcface_mxnet.{module}")


@pytest.mark.parametrize("module", SURFACE)
def test_names_are_there(module):
    for name in SURFACE[module]:
        assert hasattr(there(module), name), name


@pytest.mark.parametrize("old", MOVED)
def test_moved_names_are_the_same_objects(old):
    new, names = MOVED[old]
    for name in names:
        assert getattr(there(old), name) is getattr(there(new), name)


@pytest.mark.parametrize(("module", "name"), CALLS)
def test_promised_parameters_come_first_and_in_order(module, name):
    parameters = list(inspect.signature(getattr(there(module), name)).parameters)
    promised = CALLS[module, name].split()
    assert [p for p in parameters if p in promised] == promised
