"""The files to copy for a cluster: their form, and the commands in them."""

import re
import shlex
import subprocess
from typing import Any

import typer.main
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from lstmcli.cli.app import app
from tests.readme import ROOT

FILES = ROOT / "configs" / "cluster"


def document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FILES / name).read_text("utf-8"))
    return found


def test_the_cluster_file_has_the_form_that_ray_asks_for() -> None:
    config = document("ray-cluster.yaml")
    validate_config(prepare_config(config))
    assert len(config["provider"]["worker_ips"]) == config["max_workers"]


def test_the_job_for_kubernetes_names_the_version_that_is_tested() -> None:
    job = document("rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    pinned = re.search(r"^ray==(.*)$", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    assert pinned
    assert cluster["rayVersion"] == pinned[1]
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    containers = [each for pod in pods for each in pod["template"]["spec"]["containers"]]
    assert len({each["image"] for each in containers}) == 1


def test_the_script_for_slurm_is_one_for_bash() -> None:
    done = subprocess.run(
        ["bash", "-n", FILES / "lstmcli.sbatch"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_file_says_what_was_not_tried_and_is_in_the_table() -> None:
    table = (FILES / "README.md").read_text("utf-8")
    names = [path.name for path in FILES.iterdir() if path.name != "README.md"]
    assert len(names) == 3
    for name in names:
        assert "Not tried" in " ".join((FILES / name).read_text("utf-8").split("\n# ")), name
        assert re.search(rf"^\| `{re.escape(name)}` \|.*\| no, ", table, re.MULTILINE), name


def test_the_commands_in_the_files_are_accepted() -> None:
    program: Any = typer.main.get_command(app)
    found = [
        match
        for name in ("lstmcli.sbatch", "rayjob.yaml")
        for match in re.findall(r"lstmcli (predict .*)", (FILES / name).read_text("utf-8"))
    ]
    assert len(found) == 2
    for each in found:
        name, *words = shlex.split(each)
        program.commands[name].make_context(name, words)
