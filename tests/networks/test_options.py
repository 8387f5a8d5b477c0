"""Values that no network or not this network has: one clear error."""

from arcface_mxnet.networks import NETWORKS, NetworkOptions, build_network
import pytest


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("r51", {}, "'r51': unknown network; known: .*did you mean r50.$"),
        ("r50", {"output": "Q"}, "'Q': unknown head; known: A, AX, B"),
        ("r50", {"unit": "4"}, "'4': unknown residual unit; known: 1, 2, 3, 3_x"),
        ("r50", {"unit": "3_x"}, "only networks of bottlenecks have it .*use unit 3"),
        ("r50", {"input": 3}, "--version-input 3: there are 0, 1 and 2"),
        ("m1", {"input": 2}, "--version-input 2: MobileNet has 0 and 1"),
        ("i2", {"input": 2}, "--version-input 2: Inception-ResNet has 0 and 1"),
        ("r50", {"act": "gelu"}, "--version-act 'gelu': there are prelu, relu"),
        ("r50", {"emb_size": 0}, "--emb-size 0: give at least 1"),
        ("r50", {"se": 2}, "--version-se 2: there are 0 and 1"),
        ("m1", {"multiplier": 0.01}, "--version-multiplier 0.01: give at least 0.03125"),
        ("r50", {"multiplier": 2.0}, "network 'r50' has no option multiplier 2.0; it uses act"),
        ("r50", {"bn_mom": 0.99}, "network 'r50' has no option bn_mom 0.99"),
        ("y1", {"se": 1, "input": 0}, "network 'y1' has no option se 1, input 0"),
        ("m2", {"output": "GDC"}, "network 'm2' has no option output 'GDC'"),
        ("s20", {"output": "GDC"}, "network 's20' has no option output 'GDC'"),
        ("r50v1", {"unit": "2"}, "network 'r50v1' has no option unit '2'"),
        ("r50", {"output": "A", "emb_size": 128}, "head A has no layer .* gives 512, not 128"),
        (
            "r50",
            {"output": "Z"},
            "head Z has no layer .* gives 25088, not 512; use",
        ),
        ("mnas", {}, "'mnas' is not built: what is published of it does not settle its layers"),
        ("mnas05", {}, "'mnas05' is not built"),
        ("mnas025", {}, "'mnas025' is not built"),
        ("vargfacenet", {}, "'vargfacenet' is not built"),
    ],
)
def test_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        build_network(name, NetworkOptions(**options))


def test_all_faults_at_once():
    with pytest.raises(ValueError, match="(?s)--emb-size -1.*--version-se 7.*multiplier 0.5"):
        build_network("r18", NetworkOptions(emb_size=-1, se=7, multiplier=0.5))


def test_naming_what_a_network_is_anyway_is_no_fault():
    """--network s20 --version-output H and r50v1 --version-unit 1 say nothing wrong."""
    build_network("s20", NetworkOptions(output="H"))
    build_network("r50v1", NetworkOptions(unit="1"))


def test_fixed_names_are_their_network():
    assert same("r50v1", {}, "r50", {"unit": "1"})
    assert same("r100fc", {}, "r100", {"output": "I"})
    assert same("m05", {}, "m1", {"multiplier": 0.5})
    assert same("r49", {}, "r50", {})
    assert not same("r50v1", {}, "r50", {})


def same(name, options, other, other_options):
    one = build_network(name, NetworkOptions(**options)).tojson()
    return one == build_network(other, NetworkOptions(**other_options)).tojson()


def test_uses_are_options():
    known = set(NetworkOptions.__dataclass_fields__)
    assert all(NETWORKS[name].uses <= known for name in NETWORKS)
