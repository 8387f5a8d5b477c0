"""Every recipe's command lines, and the quickstart's, parse as they stand."""

from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
import runpy

from arcface_mxnet.config import from_namespace
from arcface_mxnet.losses import build_loss
from arcface_mxnet.networks import build_network
from arcface_mxnet.recipes import command_lines, load_recipe, small_lines
from arcface_mxnet.training.plan import network_options
import pytest

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.toml"))
WHOLE = "title = 'a'\nsource = 'b'\ncommands = ['c']\n"
QUICKSTART = runpy.run_path(str(ROOT / "recipes" / "quickstart.py"))
CHOOSE = runpy.run_path(str(ROOT / "recipes" / "choose.py"))
SEEDS = runpy.run_path(str(ROOT / "recipes" / "seeds.py"))
FOLDS = runpy.run_path(str(ROOT / "recipes" / "folds.py"))
COMMANDS = [
    *((path.stem, line) for path in RECIPES for line in command_lines(load_recipe(path))),
    *(
        (f"{path.stem}-small", line)
        for path in RECIPES
        for line in small_lines(load_recipe(path), 1)
    ),
    *(("quickstart", QUICKSTART["arguments_of"](stage.command)) for stage in QUICKSTART["STAGES"]),
    *(
        (f"choose-{name}", QUICKSTART["arguments_of"](f"arcface-train {options} --prefix x"))
        for name, question in CHOOSE["QUESTIONS"].items()
        for _, options in question.others
    ),
    *(
        (f"seeds-{name}", QUICKSTART["arguments_of"](f"arcface-train {options} --prefix x"))
        for name, options in SEEDS["OPTIONS"].items()
    ),
    *(
        (f"folds-{name}", QUICKSTART["arguments_of"](f"arcface-train {options} --prefix x"))
        for name, options in FOLDS["CANDIDATES"].items()
    ),
]


def test_there_are_recipes():
    assert len(RECIPES) >= 5
    assert len(COMMANDS) >= 40


def test_every_recipe_has_a_small_form_or_names_the_one_that_is():
    without = [path.stem for path in RECIPES if not load_recipe(path).small]
    assert without == ["megaface"]
    assert "megaface_small.toml's" in (ROOT / "recipes" / "megaface.toml").read_text()


def test_people_who_are_reported_on_are_in_no_other_part():
    parts = [set(QUICKSTART[name].split(",")) for name in ("TRAINED", "LEFT_OUT", "HELD_OUT")]
    assert [len(part) for part in parts] == [24, 6, 10] and len(set.union(*parts)) == 40
    own = ("quickstart", "choose", "seeds")
    for name, line in COMMANDS:
        trains = Path(line[0]).name == "arcface-train"
        if trains and (name.startswith(own) or name.endswith("-small")):
            assert "31_40" not in " ".join(line), f"{name} looks at people 31-40 while it trains"
    folds = [FOLDS["people"](*ends).split(",") for ends in FOLDS["LEFT_OUT"]]
    assert sorted(sum(folds, [])) == sorted(QUICKSTART["people"](1, 30).split(","))
    assert FOLDS["FINETUNE"] in FOLDS["CANDIDATES"].values()


def test_what_is_reported_over_seeds_was_compared_with_what_it_began_with():
    taken, beside, target, _ = SEEDS["CLAIMS"][-1]
    assert taken in SEEDS["AFTER_SOFTMAX"] and beside == SEEDS["SOFTMAX"]
    assert target == "people_31_40"
    small = load_recipe(ROOT / "recipes" / "orl-softmax-triplet.toml").small
    words = SEEDS["OPTIONS"][taken].split()
    for flag in ("--lr", "--mom", "--max-steps", "--triplet-bag-size", "--images-per-identity"):
        assert f"{flag} {words[words.index(flag) + 1]} " in " ".join(small[-1].split()) + " "


def test_seed_of_a_small_form():
    recipe = load_recipe(ROOT / "recipes" / "r50-cosface.toml")
    (line,) = small_lines(recipe, 7)
    assert line[line.index("--seed") + 1] == "7" and line[line.index("--prefix") + 1].endswith("-7")


@pytest.mark.parametrize(
    ("name", "line"), COMMANDS, ids=[f"{name}-{i}" for i, (name, _) in enumerate(COMMANDS)]
)
def test_command_parses(name, line):
    program, *arguments = line
    program = Path(program).name
    if program.startswith("python") and arguments[0] == "-m":
        parser = import_module(arguments[1]).build_parser()
        arguments = arguments[2:]
    elif program.startswith("python"):
        script, *arguments = arguments
        parser = runpy.run_path(str(ROOT / script))["build_parser"]()
    else:
        scripts = {e.name: e for e in entry_points(group="console_scripts")}
        parser = import_module(scripts[program].module).build_parser()
    namespace = parser.parse_args(arguments)
    if program == "arcface-train":
        config = from_namespace(namespace)
        build_network(config.network, network_options(config))
        build_loss(config.loss_type, config, num_classes=10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title = 1 2", "r.toml: not a recipe: no TOML"),
        ("a = " + "[" * 100_000, "nested too deeply"),
        ("title = 'a'\nsource = 'b'", "needs commands"),
        ("commands = ['a']", "needs title, source"),
        (WHOLE.replace("['c']", "'arcface-train'"), "commands must be a list of texts"),
        (WHOLE.replace("['c']", "['c', 1]"), "commands must be a list of texts"),
        (WHOLE.replace("['c']", "['c', '#']"), "command 2 is empty"),
        (WHOLE.replace("['c']", """['c "']"""), "command 1 is no command line: No closing quot"),
        (WHOLE.replace("'a'", "1"), "title must be text, is 1"),
        (WHOLE + "small = ['#']", "command of small 1 is empty"),
        (WHOLE + "x = 1", "'x' is nothing of a recipe, which has title"),
        (WHOLE + "published = 1", "must be a table of numbers"),
        (WHOLE + "[measured]\nitems = 1", "'items' is no name of a figure"),
    ],
)
def test_bad_recipe(tmp_path, text, message):
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_recipe(tmp_path / "r.toml")
    with pytest.raises(FileNotFoundError, match="no recipe"):
        load_recipe(tmp_path / "absent.toml")
