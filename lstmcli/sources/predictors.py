"""The models that forecast the symbols of a run: each loaded once, and what is said of it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from lstmcli.dataset.series import Series
from lstmcli.errors import Failure
from lstmcli.evaluation.trend import Thresholds, Yardsticks
from lstmcli.forecasting.model import TrainedModel
from lstmcli.market.prices import Prices, unit_of
from lstmcli.printable import count_of, first_few
from lstmcli.runs.bundle import load_bundle
from lstmcli.runs.evidence import (
    Span,
    count_looks,
    describe_looks,
    look,
    note_held,
    warn_untrained,
)
from lstmcli.runs.metadata import Metadata
from lstmcli.runs.registry import ModelRef, doubtful_paths, warn_ownership
from lstmcli.runs.stale import StaleMark, stale_because, warn_stale
from lstmcli.sources.loading import stream_prices
from lstmcli.sources.shares import Share, describe_shares, note_ready_made
from lstmcli.sources.source import Source, doubtful_folders


@dataclass(frozen=True)
class Predictor:
    """A model that forecasts some of the symbols.

    known : what training rows say that its forecasts are scored by, but for MASE's scales.
    stale : what of its data was restated since. horizon : steps that it forecasts.
    symbols, other_prices, scored : of its forecasts so far: all symbols, those forecast from
        another price column than it learned from, and the test days whose outcome was shown.
    """

    reference: ModelRef
    model: TrainedModel
    metadata: Metadata
    horizon: int
    known: Yardsticks
    stale: tuple[StaleMark, ...]
    symbols: list[str] = field(default_factory=list)
    other_prices: dict[str, str] = field(default_factory=dict)
    scored: list[Span] = field(default_factory=list)

    @property
    def other_span(self) -> str:
        """What its validation is over, " over 50 sessions", where it forecasts other steps."""
        validated = self.model.settings.window.horizon
        ahead = count_of(validated, unit_of(self.metadata.interval))
        return "" if self.horizon == validated else f" over {ahead}"

    def learned_from(self, series: Series) -> bool:
        """Return whether training saw this price column of the symbol, or of any if not of it."""
        trained = self.metadata.trained_prices
        if series.symbol in trained:
            return series.price == trained[series.symbol]
        return not trained or series.price in trained.values()


@dataclass(frozen=True)
class Lineup:
    """The shares of a run and the models that forecast them, and what comes up on the way.

    load : returns a model, the same one every time. taken : the shares, without their prices, which
    would stay in memory.
    """

    load: Callable[[ModelRef], Predictor]
    models: list[Predictor] = field(default_factory=list)
    taken: list[Share] = field(default_factory=list)

    def keep(self, used: Iterable[Share]) -> Iterator[Share]:
        """Yield the shares of a run; they are among those taken from then on."""
        for share in used:
            self.taken.append(replace(share, source=replace(share.source, read=None)))
            yield share

    def add(self, by: Predictor) -> None:
        """Note that a model forecasts a symbol."""
        if by.reference not in [each.reference for each in self.models]:
            self.models.append(by)

    def read(self, used: Iterable[Share]) -> Iterator[tuple[Prices, Predictor, Share] | Failure]:
        """Yield the series in the order asked for, a failure in place of one that is unreadable."""
        for share in self.keep(used):
            for each in stream_prices(share.source, share.data, share.interval, share.inputs):
                if isinstance(each, Failure):
                    yield each
                    continue
                by = self.load(share.choice.model)
                self.add(by)
                yield each, by, share

    def notes(self, source: Source) -> list[str]:
        """Return what there is to know of the choice of models, and of each of them."""
        chosen = [*note_ready_made(self.taken, source.data_dir), *describe_shares(self.taken)]
        alone = len(self.models) == 1
        return [*chosen, *(note for by in self.models for note in note_model(source, by, alone))]


def load_predictor(
    data_dir: Path, reference: ModelRef, *, device: torch.device, horizon: int | None
) -> Predictor:
    """Load a model for forecasts of so many steps, as trained unless given."""
    trained, metadata = load_bundle(reference.folder, device)
    steps = horizon or trained.settings.window.horizon
    beyond = [np.nan] * steps  # there are no thresholds for steps beyond those trained
    low, high = (np.array([*metadata.trend[side], *beyond][:steps]) for side in ("low", "high"))
    known = Yardsticks(
        mase_scales={},
        thresholds={str(reference): Thresholds(low, high)},
        base_rates=metadata.trend.get("rise", ())[:steps],
        flat_band=trained.settings.evaluate.flat_band,
    )
    stale = stale_because(metadata, data_dir)
    return Predictor(reference, trained, metadata, steps, known, stale)


def note_model(source: Source, by: Predictor, alone: bool) -> Iterator[str]:
    """Yield what there is to know of a model and its forecasts. alone : the only one of the run."""
    if by.scored:
        seen = look(by.model, by.reference, "predict", f"as-of horizon={by.horizon}", by.scored)
        looks, uncounted = count_looks(source.data_dir, [seen])
        yield from (*describe_looks(looks), *uncounted)
    folders = doubtful_folders(source, by.model.settings.data.interval)
    yield from warn_ownership([*folders, *doubtful_paths(by.reference)])
    yield from warn_stale(by.reference, by.stale)
    if by.other_prices:
        trained = " and ".join(sorted(set(by.metadata.trained_prices.values())))
        others = sorted(set(by.other_prices.values()))
        asked = f"{' and '.join(others)} of {first_few(by.other_prices)}"
        named = "the model" if alone else by.reference
        yield f"{named} was trained on {trained}, and forecasts {asked}"
    yield from note_held(by.model.settings)
    yield from warn_untrained(by.symbols, by.model.trained_on)
