"""`lstmcli config`: list the settings with their meaning and current values."""

from typing import Any

from lstmcli.console.help import Program
from lstmcli.console.messages import OutputOptions
from lstmcli.errors import UsageError
from lstmcli.report import View, make_document

app = Program(name="config", help="List the settings: values, defaults and meaning.")


@app.command()
def show(
    *,
    key: str | None = None,
    config: str | None = None,
    set_: list[str] | None = None,
    out: OutputOptions,
) -> None:
    """Show each setting with its value, default and meaning.

    Examples:
        lstmcli config show
        lstmcli config show train.epochs
        lstmcli config show train --config lab-corrected --set train.epochs=30

    Settings:
        key KEY: A setting (train.epochs) or a section (train). [all]
        --config -c RECIPE: default, lab, lab-corrected, wine or a TOML file.
        --set KEY=VALUE: Change a setting, e.g. train.epochs=30; repeatable.
    """
    from lstmcli.config import nearest_key
    from lstmcli.recipes import explain_settings, load_settings

    out.check()
    values = load_settings(config or "default", set_ or ()).by_key()
    defaults = load_settings().by_key()
    rows = [
        {"key": each, "value": values[each], "default": defaults[each], "meaning": meaning}
        for each, meaning in explain_settings().items()
        if key is None or each == key or each.startswith(f"{key}.")
    ]
    if not rows:
        advice = f"{nearest_key(str(key))} Run: lstmcli config show."
        raise UsageError("no such setting", where=key, next_step=advice.strip())
    out.emit(_view(rows))


def _view(rows: list[dict[str, Any]]) -> View:
    """Show one row per setting, or a single setting in full."""

    def tables() -> list[Any]:
        from lstmcli.report.tables import make_table

        if len(rows) == 1:
            (row,) = rows
            facts = [(name.capitalize(), _shown(row[name], 60)) for name in ("value", "default")]
            return [row["key"], make_table("", ("", ""), facts, left=2), row["meaning"]]
        columns = ("Setting", "Value", "Default", "Meaning")
        cells = [
            (row["key"], _shown(row["value"]), _shown(row["default"]), _first(row["meaning"]))
            for row in rows
        ]
        table = make_table("", columns, cells, left=4, drop=("Default",))
        table.columns[-1].no_wrap = False  # wrap long meanings within the column
        return [table]

    return View(tables, lambda: make_document("config show", settings=rows), lambda: rows)


def _first(text: str) -> str:
    """Return the first sentence of a text."""
    return f"{text.rstrip('.')}. ".partition(". ")[0] + "."


def _shown(value: str, most: int = 15) -> str:
    return value if len(value) <= most else f"{value[: most - 1]}…"
