"""The Dockerfile and what belongs to it, as far as it can be read. tools/check_dockerfile.py runs it."""

import re
from pathlib import Path

import pytest
from tooling import tool

from amqpd.config import SETTINGS
from amqpd.config.environment import CONFIG

ROOT = Path(__file__).resolve().parents[2]
dockerfile = tool("dockerfile")
STAGES = dockerfile.stages((ROOT / "Dockerfile").read_text())
IGNORED = dockerfile.Ignored((ROOT / ".dockerignore").read_text())


def texts(stage, name):
    return [step.text for step in stage.steps if step.name == name]


def copied():
    """What the stages copy out of the repository."""
    for stage in STAGES:
        for text in texts(stage, "COPY"):
            flags, rest = dockerfile.flags(text)
            if "from" not in flags:
                yield from rest.split()[:-1]


def test_both_stages_stand_on_the_same_slim_python():
    assert len(STAGES) == 2
    assert STAGES[0].image == STAGES[1].image
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", STAGES[0].image)


@pytest.mark.parametrize("source", list(copied()))
def test_what_is_copied_is_there_and_reaches_the_builder(source):
    files = [path for path in [ROOT / source, *(ROOT / source).rglob("*.py")] if path.is_file()]
    assert files
    assert [path for path in files if IGNORED(path.relative_to(ROOT))] == []


@pytest.mark.parametrize("path", [".git/config", ".venv/bin/python", "secrets.toml", "amqpd/wire/__pycache__/x.pyc"])
def test_nothing_else_reaches_the_builder(path):
    assert IGNORED(Path(path))


def test_it_does_not_run_as_root_and_says_so_in_numbers():
    uid, gid = texts(STAGES[-1], "USER")[-1].split(":")
    assert int(uid) > 0
    assert int(gid) > 0


def test_its_commands_need_no_shell_between_the_container_and_the_node():
    assert dockerfile.command(texts(STAGES[-1], "ENTRYPOINT")[0]) == ["amqpd"]
    health = dockerfile.flags(texts(STAGES[-1], "HEALTHCHECK")[0])[1].removeprefix("CMD ")
    assert dockerfile.command(health) == ["amqpctl", "status"]


def test_its_variables_are_amqpds():
    variables = {name for text in texts(STAGES[-1], "ENV") for name in dockerfile.pairs(text)}
    assert variables - {"PATH"} <= {CONFIG, *(setting.variable for setting in SETTINGS.values())}


def test_the_volume_is_the_data_directory():
    variables = {name: value for text in texts(STAGES[-1], "ENV") for name, value in dockerfile.pairs(text).items()}
    assert texts(STAGES[-1], "VOLUME") == [variables["AMQPD_DATA_DIR"]]


def test_compose_mounts_that_volume_and_sets_rabbitmqs_variables():
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with the tools for the manual")
    service = yaml.safe_load((ROOT / "etc" / "compose.yaml").read_text())["services"]["amqpd"]
    assert service["volumes"] == ["data:" + texts(STAGES[-1], "VOLUME")[0]]
    assert (ROOT / "etc" / service["build"] / "Dockerfile").is_file()
    assert {"RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS"} <= set(service["environment"])


def test_a_dockerfile_is_read_as_docker_reads_it():
    first = "# comment\nARG V=3\nFROM a:${V} AS one\nRUN x \\\n  # within\n && y\n"
    stages = dockerfile.stages(first + "FROM b\nCOPY --from=one --chown=1:2 a b/\n")
    assert [(stage.name, stage.image) for stage in stages] == [("one", "a:3"), ("", "b")]
    assert dockerfile.command(stages[0].steps[0].text) == ["/bin/sh", "-c", "x  && y"]
    assert dockerfile.flags(stages[1].steps[0].text) == ({"from": "one", "chown": "1:2"}, "a b/")


@pytest.mark.parametrize("text", ["RUN x\nFROM a", "FROM a b", "FROM a\nRUN x \\"])
def test_a_dockerfile_that_is_not_understood_is_refused(text):
    with pytest.raises(ValueError):
        dockerfile.stages(text)


@pytest.mark.parametrize(
    ("rules", "path", "ignored"),
    [
        ("*\n!a", "a/b/c.py", False),
        ("*\n!a\n**/c", "a/b/c/d.py", True),
        ("a/*.py", "a/x.py", True),
        ("a/*.py", "a/b/x.py", False),
        ("# a", "a", False),
    ],
)
def test_dockerignore_the_last_rule_decides(rules, path, ignored):
    assert dockerfile.Ignored(rules)(Path(path)) is ignored
