"""Choose the model that forecasts a symbol if the user names none.

Only champions are candidates. For each symbol, among models of its interval that reach the
requested horizon, the first of these is chosen: one preferred with `models use`; the model named
after the symbol; another model trained on it alone; a pooled model that includes it; a pooled
`default`; `base`. So a new model never replaces the one that a symbol already has. This module
needs neither PyTorch nor pandas.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, count
from pathlib import Path
from typing import Literal

from lstmcli.config import Settings
from lstmcli.errors import FileError, LstmcliError, ModelError, NoModelError, UsageError
from lstmcli.files import atomic
from lstmcli.files.locks import hold
from lstmcli.market.prices import are_alike
from lstmcli.market.symbols import INTERVALS, encode_symbol, inside, price_path
from lstmcli.printable import count_of, first_few
from lstmcli.recipes import shipped_names
from lstmcli.runs.metadata import Metadata, read_metadata, read_settings
from lstmcli.runs.registry import (
    BASE,
    ModelRef,
    champion,
    find_model,
    promoted_names,
    read_names,
    ready_made,
    unknown_model,
    version_of,
    versions,
)

POOLED = "default"
_IN_USE = ".in-use"  # a file next to the models' folders: one name per line, the latest first
_WAIT = 5.0  # seconds to wait for other writers, each of which takes milliseconds
_MOST_LABEL = 48  # characters, which leaves room for a suffix

Why = Literal[
    "asked for", "in use", "labelled by it", "trained on it alone", "pooled with it",
    "pooled without it", "ready-made", "trained on others",
]  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """A model that could be chosen, with its metadata and settings."""

    model: ModelRef
    metadata: Metadata
    settings: Settings

    @cached_property
    def symbols(self) -> frozenset[str]:
        """Return the symbols that it was trained on, in capitals."""
        return frozenset(each.symbol.upper() for each in self.metadata.symbols)

    @property
    def described(self) -> str:
        """Return the name with the training symbol or their number, e.g. "aapl (AAPL)"."""
        return f"{self.model.name} ({trained_on(self.metadata)})"

    def reaches(self, horizon: int | None) -> bool:
        """Whether it can forecast `horizon` steps."""
        recursive = self.settings.model.head == "recursive"
        return horizon is None or recursive or horizon <= self.settings.window.horizon


@dataclass(frozen=True)
class Choice:
    """The model for a symbol, and why. alike : other models of equal rank, which are not used."""

    chosen: Candidate
    why: Why
    alike: tuple[str, ...] = ()

    @property
    def model(self) -> ModelRef:
        """Return the chosen version."""
        return self.chosen.model


@dataclass(frozen=True)
class Candidates:
    """All models to choose from: the user's champions, oldest name first, and the ready-made one.

    in_use : names preferred with `models use`, the latest first. damaged : names that cannot be
    read, each with its error.
    """

    own: tuple[Candidate, ...]
    base: Candidate
    in_use: tuple[str, ...] = ()
    damaged: tuple[tuple[str, Exception], ...] = ()

    def choose(
        self,
        symbol: str,
        *,
        horizon: int | None = None,
        fits: Callable[[str], bool] = lambda interval: True,
    ) -> Choice:
        """Choose the model of a symbol. fits : whether models of an interval can read its bars.

        Raises the error of a damaged model that might have been chosen.
        """
        asked, own_label = symbol.upper(), label(symbol)
        for name, error in self.damaged:
            if _is_labelled(name, own_label) or name in self.in_use:
                raise error
        suited = [each for each in (*self.own, self.base) if fits(each.metadata.interval)]
        suited = [each for each in suited if each.reaches(horizon)] or suited
        own = [each for each in suited if each is not self.base]
        holds = [each for each in own if asked in each.symbols]
        preferred = {each.model.name: each for each in suited if asked in each.symbols}
        ranks: list[tuple[Why, list[Candidate]]] = [
            ("in use", [preferred[name] for name in self.in_use if name in preferred][:1]),
            ("labelled by it", [x for x in holds if _is_labelled(x.model.name, own_label)][:1]),
            ("trained on it alone", [each for each in holds if len(each.symbols) == 1]),
            ("pooled with it", holds),
        ]
        if self.damaged and not any(found for _, found in ranks):
            raise self.damaged[0][1]
        pooled = [x for x in own if x.model.name == POOLED and len(x.symbols) > 1]
        ranks += [
            ("pooled without it", pooled),
            ("ready-made", [each for each in suited if each is self.base]),
            ("trained on others", own),
            ("ready-made", [self.base]),  # loading the bars reports why it does not fit
        ]
        why, (chosen, *alike) = next((why, found) for why, found in ranks if found)
        return Choice(chosen, why, tuple(each.model.name for each in alike))


def choose_models(
    data_dir: Path,
    symbols: Iterable[str],
    *,
    interval: str | None = None,
    horizon: int | None = None,
) -> dict[str, Choice]:
    """Choose the model of each symbol, with the reason.

    interval : of the bars; if None, the intervals stored for the symbol, or any if none is stored.
    horizon : requested steps; if None, as trained. Raises ModelError for a damaged model that might
    have been chosen.
    """
    candidates = read_candidates(data_dir)

    def choose(symbol: str) -> Choice:
        stored = [interval] if interval else stored_intervals(data_dir, symbol)
        return candidates.choose(
            symbol, horizon=horizon, fits=lambda each: not stored or each in stored
        )

    return {symbol: choose(symbol) for symbol in symbols}


def symbols_read(
    data_dir: Path,
    symbols: Iterable[str],
    *,
    interval: str | None = None,
    horizon: int | None = None,
) -> dict[str, str]:
    """Return the other series that the models of some symbols read, each with one model's name.

    interval, horizon : as for `choose_models`. Empty if a model cannot be read; the forecast
    reports that.
    """
    asked = tuple(dict.fromkeys(symbols))
    try:
        chosen = choose_models(data_dir, asked, interval=interval, horizon=horizon)
    except LstmcliError:
        return {}
    return {
        one.name.upper(): each.model.name
        for each in chosen.values()
        for one in each.chosen.settings.window.inputs
        if one.kind == "symbol" and one.name.upper() not in asked
    }


def stored_intervals(data_dir: Path, symbol: str) -> list[str]:
    """Return the intervals of the bars stored for a symbol."""
    capitals = symbol.upper()
    return [each for each in INTERVALS if price_path(data_dir, capitals, each).is_file()]


def read_candidates(data_dir: Path) -> Candidates:
    """Read all champions; a damaged one is listed with its error."""
    own, damaged, ages = list[Candidate](), list[tuple[str, Exception]](), dict[str, str]()
    for name in promoted_names(data_dir):
        try:
            leader = champion(data_dir, name)
            if leader is not None:
                own.append(read_candidate(leader))
                ages[name] = _since(data_dir, own[-1])
        except (ModelError, FileError) as error:
            damaged.append((name, error))
    own.sort(key=lambda each: (ages[each.model.name], each.model.name))
    base = read_candidate(ready_made())
    return Candidates(tuple(own), base, names_in_use(data_dir), tuple(damaged))


def read_candidate(model: ModelRef) -> Candidate:
    """Read a version's metadata and settings; raises ModelError if they are damaged."""
    metadata = read_metadata(model.folder)
    return Candidate(model, metadata, read_settings(model.folder, metadata))


def _since(data_dir: Path, leader: Candidate) -> str:
    """Return the creation time of the oldest remaining version of a name."""
    name = leader.model.name
    try:
        return read_metadata(version_of(data_dir, name, versions(data_dir, name)[0]).folder).created
    except (ModelError, FileError):
        return leader.metadata.created


def trained_on(metadata: Metadata) -> str:
    """Return the symbol that a model was trained on, or the number of its symbols."""
    symbols = metadata.symbols
    return symbols[0].symbol if len(symbols) == 1 else count_of(len(symbols), "symbol")


def find_or_only(data_dir: Path, reference: str | None, *, stands_in: bool = False) -> ModelRef:
    """Resolve a reference; without one, return the model for commands that name no data.

    That is the preferred one, else the only one, else `default`. stands_in : whether to use the
    ready-made model if there is no other. Raises UsageError if the choice is ambiguous,
    NoModelError if there is no model.
    """
    names, where = promoted_names(data_dir), data_dir / "models"
    used = [name for name in names_in_use(data_dir) if name in (*names, BASE)]
    if reference is not None or used:
        return find_model(data_dir, reference or used[0])
    if len(names) == 1 or POOLED in names:
        return find_model(data_dir, POOLED if POOLED in names else names[0])
    if not names and stands_in:
        return ready_made()
    if not names:
        step = f"Name symbols or --csv FILE to use {BASE}, or train: lstmcli train SYMBOL."
        raise NoModelError("no model yet", where=where, next_step=step)
    known = read_candidates(data_dir)
    found = [each.described for each in known.own] + [name for name, _ in known.damaged]
    step = "Name symbols, pass --model NAME, or prefer one: lstmcli models use NAME."
    raise UsageError("several models found", where=where, why=first_few(found, 8), next_step=step)


def names_in_use(data_dir: Path) -> tuple[str, ...]:
    """Return the names preferred with `models use`, the latest first."""
    path = inside(data_dir, data_dir / "models" / _IN_USE)
    step = "Remove that file, then run lstmcli models use NAME again."
    return tuple(filter(None, read_names(path, step)))


def prefer(data_dir: Path, name: str, *, undo: bool = False) -> tuple[str, ...]:
    """Prefer a model for all symbols that it was trained on, or undo that; return all names in use.

    Raises NoModelError if the name has no champion or, with undo, is not in use; UsageError for a
    version.
    """
    used, plain = names_in_use(data_dir), name.partition("/")[0]
    if plain != name:
        step = f"A name means its champion: lstmcli models use {plain}."
        raise UsageError("not a model name", where=name, next_step=step)
    if undo and name not in used:
        why = f"found {first_few(used) or 'none'} in use"
        raise NoModelError("not in use", where=name, why=why)
    if not undo and name not in (*promoted_names(data_dir), BASE):
        raise unknown_model(data_dir, name)
    with hold(data_dir / ".lock", wait=_WAIT):
        others = [each for each in names_in_use(data_dir) if each != name]
        names = others if undo else [name, *others]
        atomic.write_text(data_dir / "models" / _IN_USE, "".join(f"{each}\n" for each in names))
    return tuple(names)


def label(symbol: str) -> str:
    """Return the model name for a symbol: its encoded file name in lower case."""
    return encode_symbol(symbol.upper()).lower()[:_MOST_LABEL].rstrip("%.")


def _is_labelled(name: str, own: str) -> bool:
    """Whether a name is a label, or a label with a suffix from `name_for`."""
    ending = name.removeprefix(own)
    is_number = ending.startswith("-") and ending[1:].isdecimal()
    return name.startswith(own) and (ending in ("", "-symbol") or is_number)


def name_for(data_dir: Path, symbol: str, interval: str) -> str:
    """Return the name of the model of one symbol: its label, with a suffix if that is taken.

    Names of shipped recipes and models are reserved. A name is free if it has no champion, or one
    that was trained on that symbol alone and on bars of that interval.
    """
    own = label(symbol)
    if own in (BASE, *shipped_names("configs")):
        own = f"{own}-symbol"
    names = chain([own], (f"{own}-{number}" for number in count(2)))
    return next(name for name in names if _is_free(data_dir, name, symbol, interval))


def _is_free(data_dir: Path, name: str, symbol: str, interval: str) -> bool:
    try:
        leader = champion(data_dir, name)
        found = None if leader is None else read_metadata(leader.folder)
    except ModelError:  # a new version repairs it
        return True
    return found is None or (
        [each.symbol for each in found.symbols] == [symbol] and found.interval == interval
    )


def is_comparable(leader: Candidate, symbols: Sequence[str], interval: str) -> bool:
    """Whether a version trained on these symbols can be compared with the champion of its name.

    It cannot if they share no symbol, if only one of them is a model of a single symbol, or if
    their intervals differ. symbols : all requested ones, also those that failed.
    """
    data = leader.settings.data
    # Its files may include other series that it only reads.
    others = {each.name for each in leader.settings.window.inputs if each.kind == "symbol"}
    theirs = max(len(leader.symbols), len(data.symbols), len(data.csv) - len(others))
    share = not leader.symbols.isdisjoint(each.upper() for each in symbols)
    alike = are_alike(interval, leader.metadata.interval)
    return share and alike and (len(symbols) == 1) == (theirs == 1)
