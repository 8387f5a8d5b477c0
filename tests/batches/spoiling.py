"""Records made unreadable."""

from arcface_mxnet.data.records import RecordReader


def spoil(folder, *keys):
    """Blank the image of these records; all lengths, and so the index, stay."""
    content = bytearray((folder / "train.rec").read_bytes())
    with RecordReader(folder / "train.rec", folder / "train.idx") as reader:
        for key in keys:
            payload = reader.read(key).payload
            at = content.index(payload)
            content[at : at + len(payload)] = bytes(len(payload))
    (folder / "train.rec").write_bytes(content)
