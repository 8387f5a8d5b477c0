"""FaceDataset: the published layout, plain im2rec files, and folders that are broken."""

from contextlib import closing

from arcface_mxnet.data.dataset import FaceDataset, is_same_data, read_property
from arcface_mxnet.data.records import RecordWriter
import cv2
import numpy as np
import pytest

IDENTITIES = [0, 0, 1, 2, 2, 2, 3]


def test_keys_ranges_and_samples(tmp_path, make_dataset, image_of):
    dataset = FaceDataset(make_dataset(tmp_path, IDENTITIES))
    assert dataset.num_classes == 4
    assert dataset.image_shape == (16, 16)
    assert list(dataset.image_keys) == [1, 2, 3, 4, 5, 6, 7]
    assert dataset.identity_ranges.tolist() == [[1, 3], [3, 4], [4, 7], [7, 8]]
    assert [keys.tolist() for keys in dataset.keys_by_identity] == [[1, 2], [3], [4, 5, 6], [7]]
    assert dataset.identities(dataset.image_keys).tolist() == IDENTITIES
    for key, identity in enumerate(IDENTITIES, start=1):
        image, found = dataset.sample(key)
        assert found == identity
        assert np.array_equal(image, image_of(key, identity)), "RGB as packed"


def test_the_original_records(shared_data):
    dataset = FaceDataset(shared_data / "original_records")
    assert (dataset.num_classes, dataset.image_shape, len(dataset.image_keys)) == (
        10,
        (112, 112),
        40,
    )
    assert dataset.identity_ranges.tolist() == [[first, first + 4] for first in range(1, 41, 4)]
    samples = [dataset.sample(key) for key in dataset.image_keys]
    assert [identity for _, identity in samples] == list(np.repeat(np.arange(10), 4))
    assert {image.shape for image, _ in samples} == {(112, 112, 3)}


def test_a_plain_im2rec_file(tmp_path, make_plain, image_of):
    dataset = FaceDataset(make_plain(tmp_path, [1, 1, 0, 1, 2]))
    assert list(dataset.image_keys) == [0, 1, 2, 3, 4]
    assert dataset.identity_ranges.tolist() == [[0, 2], [2, 3], [3, 4], [4, 5]]
    assert [keys.tolist() for keys in dataset.keys_by_identity] == [[2], [0, 1, 3], [4]]
    image, identity = dataset.sample(3)
    assert identity == 1 and np.array_equal(image, image_of(3, 1))


def test_plain_keys_with_gaps(tmp_path, encode, image_of):
    with RecordWriter(tmp_path / "train.rec", tmp_path / "train.idx") as writer:
        for key in (5, 6, 9, 10):
            writer.write(key, 0.0, encode(image_of(key, 0)))
    (tmp_path / "property").write_text("1,16,16")
    assert FaceDataset(tmp_path).identity_ranges.tolist() == [[5, 7], [9, 11]]


def test_a_list_that_was_not_grouped_still_knows_its_identities(tmp_path, make_dataset):
    dataset = FaceDataset(make_dataset(tmp_path, [0, 1, 0, 0, 1]))
    assert dataset.identity_ranges.tolist() == [[1, 2], [2, 3], [3, 5], [5, 6]]
    assert [keys.tolist() for keys in dataset.keys_by_identity] == [[1, 3, 4], [2, 5]]


def test_images_filter_leaves_the_numbers_alone(tmp_path, make_dataset):
    dataset = FaceDataset(make_dataset(tmp_path, IDENTITIES), images_filter=2)
    assert list(dataset.image_keys) == [1, 2, 4, 5, 6]
    assert dataset.identities(dataset.image_keys).tolist() == [0, 0, 2, 2, 2]
    assert dataset.identity_ranges.tolist() == [[1, 3], [4, 7]]
    assert dataset.num_classes == 4
    with pytest.raises(ValueError, match="--images-filter 4: no identity .* the most is 3"):
        FaceDataset(tmp_path, images_filter=4)


def test_images_filter_keeps_the_order_of_a_list_that_is_not_grouped(tmp_path, make_dataset):
    dataset = FaceDataset(make_dataset(tmp_path, [0, 1, 0, 2, 1]), images_filter=2)
    assert list(dataset.image_keys) == [1, 2, 3, 5]
    assert dataset.identity_ranges.tolist() == [[1, 2], [2, 3], [3, 4], [5, 6]]


def test_another_image_size_resizes(tmp_path, make_dataset):
    dataset = FaceDataset(make_dataset(tmp_path, [0]), image_size=(24, 24))
    assert dataset.image_shape == (24, 24)
    assert dataset.sample(1)[0].shape == (24, 24, 3)


def test_an_image_of_another_shape_is_named(tmp_path, make_dataset, encode):
    make_dataset(tmp_path, [0])
    with RecordWriter(tmp_path / "train.rec", tmp_path / "train.idx") as writer:
        writer.write(1, 0.0, encode(np.zeros((32, 64, 3), np.uint8)))
        writer.write(2, 0.0, encode(np.zeros((32, 32, 3), np.uint8)))
    dataset = FaceDataset(tmp_path)
    assert dataset.sample(2)[0].shape == (16, 16, 3)
    with pytest.raises(ValueError, match="record 1: is 32 wide and 16 high.*--image-size"):
        dataset.sample(1)


@pytest.mark.parametrize("payload", [b"", b"no image", b"\xff\xd8\xff\xe0broken"])
def test_an_image_that_does_not_decode_is_named(tmp_path, make_dataset, payload):
    make_dataset(tmp_path, [0])
    with RecordWriter(tmp_path / "train.rec", tmp_path / "train.idx") as writer:
        writer.write(7, 0.0, payload)
    with pytest.raises(ValueError, match=r"train.rec: record 7: \d+ bytes that are no image"):
        FaceDataset(tmp_path).sample(7)


@pytest.mark.parametrize(
    "text",
    ["4,16,16", "4,16,16\n", "\n 4, 16 ,16\r\n", "9,1,1\n4,16,16\n7\nshuffled\n2021-03-04 1:2"],
)
def test_property_with_the_lines_of_later_tools(tmp_path, text):
    (tmp_path / "property").write_text(text)
    assert read_property(tmp_path / "property") == (4, (16, 16))


@pytest.mark.parametrize("text", ["4,16", "", "4;16;16", "0,16,16", "4,16,16,3", "x,16,16"])
def test_a_property_without_three_numbers(tmp_path, text):
    (tmp_path / "property").write_text(text)
    with pytest.raises(ValueError, match="expected a line NUM_CLASSES,HEIGHT,WIDTH .* found"):
        read_property(tmp_path / "property")


def test_missing_folder_and_files(tmp_path, make_dataset):
    with pytest.raises(FileNotFoundError, match="no dataset folder .*nowhere; pack"):
        FaceDataset(tmp_path / "nowhere")
    make_dataset(tmp_path, [0])
    for name in ("train.idx", "train.rec", "property"):
        (tmp_path / name).rename(tmp_path / "away")
        with pytest.raises(FileNotFoundError, match=f"has no file {name}"):
            FaceDataset(tmp_path)
        (tmp_path / "away").rename(tmp_path / name)


def test_labels_beyond_property_are_refused(tmp_path, make_dataset, make_plain):
    for write in (make_dataset, make_plain):
        write(tmp_path, [0, 5])
        (tmp_path / "property").write_text("5,16,16")
        with pytest.raises(ValueError, match="has identity 5, but .*property says 5 identities"):
            FaceDataset(tmp_path)


def test_a_cut_off_file_and_the_index_of_another(tmp_path, make_dataset):
    folder = make_dataset(tmp_path / "a", IDENTITIES)
    other = make_dataset(tmp_path / "b", IDENTITIES[:4])
    whole = (folder / "train.rec").read_bytes()
    (folder / "train.rec").write_bytes(whole[:-100])
    with pytest.raises(ValueError, match="cut off"):
        FaceDataset(folder)
    (folder / "train.rec").write_bytes(whole)
    (folder / "train.idx").write_bytes((other / "train.idx").read_bytes())
    with pytest.raises(ValueError, match="belongs to another .rec"):
        FaceDataset(folder)


def test_the_fingerprint_changes_with_the_data(tmp_path, make_dataset):
    first = FaceDataset(make_dataset(tmp_path / "a", [0, 0, 1])).fingerprint()
    same = FaceDataset(make_dataset(tmp_path / "b", [0, 0, 1])).fingerprint()
    other = FaceDataset(make_dataset(tmp_path / "c", [0, 1, 1, 1])).fingerprint()
    assert first == same != other


def test_the_fingerprint_changes_with_images_of_the_same_lengths(tmp_path, make_dataset):
    folder = make_dataset(tmp_path, IDENTITIES)
    with closing(FaceDataset(folder)) as dataset:
        found = dataset.fingerprint()
        payload = dataset.records.read(1).payload
    whole = (folder / "train.rec").read_bytes()
    at = whole.index(payload) + len(payload) // 2
    (folder / "train.rec").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with closing(FaceDataset(folder)) as dataset:
        other = dataset.fingerprint()
    with closing(FaceDataset(folder, images_filter=2)) as dataset:
        assert dataset.fingerprint() == other
    assert found != other and found.split("-")[0] == other.split("-")[0]
    assert is_same_data(found, found) and not is_same_data(found, other)
    assert is_same_data(found.split("-")[0], other)  # an older one, of no images
    assert not is_same_data(other.split("-")[1], other) and not is_same_data(None, other)


def test_a_property_longer_than_any_is_not_read(tmp_path):
    path = tmp_path / "property"
    path.write_text("2,16,16\n" + "\n" * (1 << 20))
    with pytest.raises(ValueError, match=r"property.*1048584 bytes"):
        read_property(path)


def test_an_image_that_does_not_decode_is_told_with_its_cure(tmp_path):
    with RecordWriter(tmp_path / "train.rec", tmp_path / "train.idx") as writer:
        large = cv2.imencode(".png", np.zeros((2100, 2100), np.uint8))[1].tobytes()
        for key, payload in ((1, b"no image"), (2, large)):
            writer.write(key, float(key - 1), payload)
    (tmp_path / "property").write_text("2,16,16\n")
    dataset = FaceDataset(tmp_path)
    with pytest.raises(ValueError, match=f"arcface-rec check {tmp_path}"):
        dataset.sample(1)
    with pytest.raises(ValueError, match="pixels"):
        dataset.sample(2)
