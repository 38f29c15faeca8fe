"""Make the ready-made model `base` again, in data/base; see data/README.md."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from lstmcli.files.atomic import write_bytes
from lstmcli.runs.bundle import load_bundle, save_bundle
from tests.command_line import succeed

HOME = Path(__file__).parent.parent / "data" / "base" / "v0001"
LICENCE = "BSD-3-Clause, that of its data (skfolio 1.12.2, see LICENSES.txt in the data folder)"
_OF_ONE_RUN = ("run_id", "origin_sha256", "source", "decision")


def train_base(folder: Path) -> Path:
    """Train it as it ships in an empty folder; return the folder of the version."""
    on_cpu = ("--device", "cpu", "--threads", 1)
    succeed("train", "--config", "default", "--name", "made", *on_cpu, folder=folder)
    made, home = folder / "data" / "models" / "made" / "v0001", folder / "base" / "v0001"
    model, metadata = load_bundle(made, torch.device("cpu"))
    settings = model.settings.changed(
        data={"csv": ("../../us20.csv.gz",)}, train={"device": "auto"}
    )
    record = {key: value for key, value in metadata.record.items() if key not in _OF_ONE_RUN}
    # Stocks are adjusted and the index is not, and both stand in columns of the same name: it
    # learned from either kind of price.
    symbols = [each | {"price": None} for each in record["data"]["symbols"]]
    record["data"] = record["data"] | {"symbols": symbols}
    record["ready_made"] = {"model": "base/v0001", "until": str(metadata.trained_until)}
    record["licence"] = LICENCE
    save_bundle(home, replace(model, settings=settings), record, ())
    write_bytes(home / "history.csv", (made / "history.csv").read_bytes())
    return home


def main() -> None:
    """Replace the model that ships."""
    with tempfile.TemporaryDirectory() as folder:
        made = train_base(Path(folder))
        shutil.rmtree(HOME, ignore_errors=True)
        shutil.copytree(made, HOME)
    for path in sorted(HOME.iterdir()):
        print(f"{path.stat().st_size:>7}  {path.relative_to(HOME.parents[2])}")


if __name__ == "__main__":
    main()
