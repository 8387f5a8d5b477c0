from arcface_mxnet.align.landmarks import refine_landmarks
from arcface_mxnet.align.mtcnn import MtcnnDetector
from arcface_mxnet.checkpoints.load import save_checkpoint
import mxnet as mx
import numpy as np
import pytest


class BrightestPixel:
    """Stands for LNet: finds the bright spot in each patch, exactly."""

    def run(self, data):
        faces, _, height, width = data.shape
        blue = data.reshape(faces, 5, 3, height * width)[:, :, 0]
        rows, columns = np.divmod(blue.argmax(2), width)
        places = np.stack([(columns + 0.5) / width, (rows + 0.5) / height], 2)
        return [places[:, number] for number in range(5)]


def test_landmarks_move_to_what_lnet_sees_in_their_own_patch():
    image = np.zeros((200, 200, 3), np.uint8)
    truth = np.array([[60.0, 70], [110, 72], [84, 100], [66, 130], [108, 128]])
    for x, y in truth.astype(int):
        image[y - 2 : y + 2, x - 2 : x + 2] = 255  # its centre is x, y
    guess = truth + np.random.default_rng(4).uniform(-5, 5, truth.shape)
    box = np.array([[40.0, 40, 135, 159]])  # patches of 30 pixels
    found = refine_landmarks(BrightestPixel(), image, box, guess[None])
    assert np.abs(found[0] - truth).max() < 2.6  # two of its 24 places, 1.25 pixels each


def test_a_landmark_that_would_move_too_far_stays():
    class Corner:
        def run(self, data):
            places = ([0.95, 0.6], [0.5, 0.5], [0.6, 0.6], [0.4, 0.05], [0.5, 0.4])
            return [np.tile(place, (len(data), 1)) for place in places]

    guess = np.full((2, 5, 2), 50.0)
    box = np.array([[0.0, 0, 79, 79], [0, 0, 83, 39]])  # patches of 20, and of 21: 22 pixels
    found = refine_landmarks(Corner(), np.zeros((99, 99, 3), np.uint8), box, guess)
    assert found[0].tolist() == [[50, 50], [50, 50], [52, 52], [50, 50], [50, 48]]
    assert np.allclose(found[1], [[50, 50], [50, 50], [52.2, 52.2], [50, 50], [50, 47.8]])


def test_no_faces_no_work():
    assert refine_landmarks(None, None, np.zeros((0, 4)), np.zeros((0, 5, 2))).shape == (0, 5, 2)


def test_detector_takes_det4_from_its_folder(models, shared_data, tmp_path):
    """A det4 that always answers "a tenth to the right" moves every landmark by that."""
    from arcface_mxnet.data.images import read_image

    for path in (models / "mtcnn").iterdir():
        (tmp_path / path.name).symlink_to(path)
    with pytest.raises(FileNotFoundError, match="det4"):
        MtcnnDetector(mx.cpu(), model_dir=tmp_path, accurate_landmarks=True)
    heads, parameters = [], {}
    patches = mx.sym.SliceChannel(mx.sym.Variable("data"), num_outputs=5)  # as the published det4
    for number in range(5):
        name = f"fc{number}"
        body = mx.sym.Convolution(
            patches[number], kernel=(3, 3), num_filter=1, no_bias=True, name=f"conv{number}"
        )
        heads.append(mx.sym.FullyConnected(body, num_hidden=2, name=name))
        parameters[f"conv{number}_weight"] = mx.nd.ones((1, 3, 3, 3))
        parameters[f"{name}_weight"] = mx.nd.zeros((2, 22 * 22))
        parameters[f"{name}_bias"] = mx.nd.array([0.6, 0.5])
    save_checkpoint(f"{tmp_path}/det4", 1, mx.sym.Group(heads), parameters, {})
    photo = read_image(shared_data / "lfw/fold_1/Abel_Pacheco/Abel_Pacheco_0001.jpg")
    (plain,) = MtcnnDetector(mx.cpu(), model_dir=tmp_path).detect(photo)
    (moved,) = MtcnnDetector(mx.cpu(), model_dir=tmp_path, accurate_landmarks=True).detect(photo)
    patch = 0.25 * (plain.box[2:] - plain.box[:2]).max()
    shift = moved.landmarks - plain.landmarks
    assert np.abs(shift - (0.1 * patch, 0)).max() < 0.6  # corners of patches are rounded
