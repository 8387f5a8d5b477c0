"""The names beside the checkpoints of a prefix are those of its last run's identities."""

from arcface_mxnet.training.growth import names_path, write_names


def test_names_of_an_earlier_run_do_not_stay_beside_rows_of_others(tmp_path):
    prefix = str(tmp_path / "model")
    (tmp_path / "train.names").write_text("0\tann\n1\tbob\n")
    write_names(prefix, tmp_path, is_new=True)
    assert names_path(prefix).read_text() == "0\tann\n1\tbob\n"
    other = tmp_path / "without"
    other.mkdir()
    write_names(prefix, other, is_new=False)  # the same data at another place
    assert names_path(prefix).exists()
    write_names(prefix, other, is_new=True)
    assert not names_path(prefix).exists()
    write_names(prefix, other, is_new=True)
