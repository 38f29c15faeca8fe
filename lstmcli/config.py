"""The settings of a run: one frozen model per section.

`configs/default.toml` lists and explains every key. An unknown key is an error that names the
nearest one. Empty text means "not set", since TOML has no null.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from lstmcli.errors import UsageError, did_you_mean
from lstmcli.features import BAR_FEATURES, OwnInput
from lstmcli.records import describe_fault

DEFAULT_LEVELS = (0.025, *(round(0.05 * k, 2) for k in range(1, 20)), 0.975)
PRIOR_SHARPE, PRIOR_YEARS = 0.30, 20.0  # per year; the prior's weight in years of data
SEE_DEFAULTS = "Run: lstmcli config show."
SHORTEST_VOLATILITY_CONTEXT = 40
SHORTEST_BURN_IN = 20  # not below dataset.volatility.EWMA_START
SHORTEST_SEASONAL_CONTEXT = 15  # three rows after the twelve of the year before


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


def _check_feature(text: str) -> str:
    return text if text in BAR_FEATURES else OwnInput.parse(text).text


def _check_device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise ValueError("expected auto, cpu, cuda or cuda:N")
    return name


def _check_batch_size(value: object) -> object:
    if value != "auto" and not (type(value) is int and 1 <= value <= 1_000_000):
        raise ValueError("expected auto or a whole number from 1 to 1000000")
    return value


BatchSize = Annotated[int | Literal["auto"], BeforeValidator(_check_batch_size)]
ColumnWord = Literal["date", "open", "high", "low", "close", "adj_close", "volume", "symbol"]
Feature = Annotated[str, AfterValidator(_check_feature)]
Scaling = Literal["volatility", "relative", "zscore", "batch", "log_return", "seasonal"]
OptionalDate = Annotated[date | None, BeforeValidator(_none_if_empty)]
OptionalCount = Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(_none_if_empty)]
OptionalPurge = Annotated[Annotated[int, Field(ge=0)] | None, BeforeValidator(_none_if_empty)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(_Section):
    """The prices to use."""

    csv: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    sep: str = ""
    decimal: str = ""
    columns: dict[ColumnWord, str] = {}
    date_format: str = ""
    resample: Literal["", "1d"] = ""
    price: Literal["auto", "close", "adj_close"] = "auto"
    interval: Literal["1d", "1wk", "1mo"] = "1d"
    start: OptionalDate = None
    end: OptionalDate = None


class Window(_Section):
    """The bars that a forecast reads, and its horizon."""

    context_length: int = Field(250, ge=3, le=5000)
    horizon: int = Field(50, ge=1, le=1000)
    features: tuple[Feature, ...] = ("close", "open", "high", "low", "volume")
    scaling: Scaling = "volatility"
    rebase: bool = True

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not set(self.bars) - {"month"} or len(set(self.features)) != len(self.features):
            raise ValueError("features must name at least one column of the bars, each once")
        if self.scaling == "seasonal" and self.context_length < SHORTEST_SEASONAL_CONTEXT:
            raise ValueError(
                f"scaling seasonal needs context_length of at least {SHORTEST_SEASONAL_CONTEXT}, "
                f"found {self.context_length}"
            )
        if self.scaling in ("log_return", "seasonal", "volatility") and not self.rebase:
            raise ValueError("rebase = false needs scaling relative, zscore or batch")
        return self

    @property
    def bars(self) -> tuple[str, ...]:
        """The features that are columns of the bars, and the month."""
        return tuple(name for name in self.features if name in BAR_FEATURES)

    @property
    def inputs(self) -> tuple[OwnInput, ...]:
        """The other features: columns of the file and closes of other series."""
        own = (name for name in self.features if name not in BAR_FEATURES)
        return tuple(OwnInput.parse(name) for name in own)


class Split(_Section):
    """The rows used for training, validation and test."""

    method: Literal["chronological", "shuffled"] = "chronological"
    train_end: OptionalDate = None
    train_fraction: float = Field(0.85, gt=0, lt=1)
    validation_fraction: float = Field(0.15, gt=0, lt=1)
    purge: OptionalPurge = None
    embargo: int = Field(0, ge=0, le=5000)


class Model(_Section):
    """The network."""

    network: Literal["lstm", "rnn", "gru", "peephole", "cnn", "mlp", "linear", "har"] = "lstm"
    head: Literal["direct", "recursive"] = "direct"
    hidden_sizes: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field((32,), min_length=1)
    basis_size: int = Field(4, ge=1, le=16)
    dropout: float = Field(0.0, ge=0, lt=1)
    dense_sizes: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = ()
    activation: Literal["relu", "tanh", "gelu", "sigmoid"] = "relu"
    forget_bias: float = Field(1.0, ge=-10, le=10)
    kernel_size: int = Field(3, ge=2, le=1000)

    @property
    def keeps_state(self) -> bool:
        """Whether the network reads bar by bar and can continue from its last state (recurrent)."""
        return self.network in _RECURRENT

    @property
    def unused(self) -> tuple[str, ...]:
        """Keys that differ from their defaults although the network does not use them."""
        return tuple(
            key
            for key, networks in _USED_BY.items()
            if self.network not in networks
            and getattr(self, key) != type(self).model_fields[key].default
        )


_RECURRENT = ("lstm", "rnn", "gru", "peephole")
_USED_BY = {
    "hidden_sizes": (*_RECURRENT, "cnn", "mlp"),
    "dropout": (*_RECURRENT, "cnn", "mlp"),
    "forget_bias": ("lstm", "gru", "peephole"),
    "kernel_size": ("cnn",),
}


FOLLOWING = ("labels", "burn_in")  # keys of Train whose defaults depend on other settings


class Train(_Section):
    """The training of the network."""

    seed: int = Field(0, ge=0, lt=2**63)
    members: int = Field(1, ge=1, le=100)
    epochs: int = Field(12, ge=1, le=100_000)
    batch_size: BatchSize = "auto"
    labels: Literal["sequence", "window"] = "sequence"
    stateful: bool = False
    chunk_length: int = Field(192, ge=3, le=100_000)
    burn_in: int = Field(64, ge=SHORTEST_BURN_IN, le=100_000)
    steps_per_batch: int = Field(8, ge=1)
    volatility_weight: float = Field(1.0, ge=0, le=4)
    optimizer: Literal["adam", "adamw", "rmsprop"] = "adamw"
    learning_rate: float = Field(3e-3, gt=0, le=1)
    schedule: Literal["constant", "cosine", "plateau"] = "cosine"
    weight_decay: float = Field(1e-3, ge=0, le=1)
    loss: Literal["mse", "mae", "huber"] = "mse"
    clip_norm: float = Field(1.0, ge=0)
    patience: int = Field(8, ge=1)
    precision: Literal["fp32", "bf16"] = "fp32"
    device: Annotated[str, AfterValidator(_check_device)] = "auto"
    threads: int = Field(1, ge=0, le=1024)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_not_set(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        empty = {key for key in FOLLOWING if table.get(key, 0) in ("", None)}
        return {key: value for key, value in table.items() if key not in empty}


class Forecast(_Section):
    """The quantiles of a probabilistic forecast."""

    quantile_levels: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = DEFAULT_LEVELS
    calibrate: bool = False
    prior_sharpe: float = Field(PRIOR_SHARPE, ge=-5, le=5)
    prior_years: float = Field(PRIOR_YEARS, ge=0, le=10_000)
    prior_by_symbol: dict[str, Annotated[float, Field(ge=-5, le=5)]] = {}

    @model_validator(mode="after")
    def _ascend_around_the_median(self) -> Self:
        levels = self.quantile_levels
        if list(levels) != sorted(set(levels)) or 0.5 not in levels or len(levels) < 3:
            raise ValueError("quantile_levels must ascend and hold 0.5 and one on either side")
        return self


class Evaluate(_Section):
    """The past cutoffs to forecast, and when a trend counts as flat."""

    start: OptionalDate = None
    end: OptionalDate = None
    step_size: OptionalCount = None
    n_windows: OptionalCount = None
    refit: OptionalCount = None
    refit_window: Literal["expanding", "rolling"] = "expanding"
    flat_band: float = Field(0.25, ge=0, le=10)


class Tuning(_Section):
    """The search that chose these settings."""

    trials: int = Field(0, ge=0)


class Settings(_Section):
    """All settings of a run, one section each."""

    data: Data = Data()
    window: Window = Window()
    split: Split = Split()
    model: Model = Model()
    train: Train = Train()
    forecast: Forecast = Forecast()
    evaluate: Evaluate = Evaluate()
    tuning: Tuning = Tuning()

    @model_validator(mode="after")
    def _unset_follow(self) -> Self:
        """Default labels to those of the head, and burn_in to half of a short context or chunk."""

        def follow(key: str, value: object) -> None:
            train = self.train.model_copy(update={key: value})
            train.model_fields_set.discard(key)  # still a default: recomputed on the next change
            object.__setattr__(self, "train", train)

        given = self.train.model_fields_set
        if "labels" not in given:
            follow("labels", "sequence" if self.model.head == "direct" else "window")
        if self.labels_all_bars and "burn_in" not in given:
            half = min(self.window.context_length, self.train.chunk_length) // 2
            follow("burn_in", max(SHORTEST_BURN_IN, min(self.train.burn_in, half)))
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for fault in self._faults():
            raise ValueError(fault)
        return self

    def _faults(self) -> Iterator[str]:
        """Yield a message for each conflict between settings of different sections."""
        window, split, model, train = self.window, self.split, self.model, self.train
        direct, shuffled = model.head == "direct", split.method == "shuffled"
        if shuffled and split.embargo:
            yield "split.embargo needs split.method chronological"
        if not shuffled and not 0.10 <= split.validation_fraction <= 0.15:
            yield "split.validation_fraction must lie between 0.10 and 0.15"
        if not shuffled and self.purge < window.horizon:
            horizon = f"window.horizon ({window.horizon})"
            yield f"split.purge must be at least {horizon}, found {self.purge}"
        if direct != (window.scaling == "volatility"):
            yield "model.head direct goes with window.scaling volatility, recursive with the others"
        if direct and "month" in window.features:
            yield "month in window.features goes with model.head recursive"
        if direct and shuffled:
            yield "split.method shuffled, that of the published lab, goes with model.head recursive"
        if direct and window.context_length < SHORTEST_VOLATILITY_CONTEXT:
            yield (
                f"window.scaling volatility needs window.context_length of at least "
                f"{SHORTEST_VOLATILITY_CONTEXT}, found {window.context_length}"
            )
        if not direct and train.members > 1:
            yield "train.members above 1 needs model.head direct"
        if train.stateful and not (direct and train.labels == "sequence"):
            yield (
                "train.stateful reads every series bar by bar, which needs model.head direct and "
                "train.labels sequence"
            )
        shortest = window.context_length
        if direct:
            shortest = min(train.chunk_length, shortest)
        if self.labels_all_bars and train.burn_in >= shortest:
            half = max(SHORTEST_BURN_IN, shortest // 2)
            remedy = f"train.burn_in={half}, or an empty one (--set train.burn_in=) for the default"
            if shortest <= SHORTEST_BURN_IN:
                longer = f"train.chunk_length={2 * SHORTEST_BURN_IN} or more"
                remedy = longer if direct else "train.labels=window"
            chunk = f"train.chunk_length ({train.chunk_length}) and " * direct
            yield (
                f"train.burn_in must be less than {chunk}window.context_length "
                f"({window.context_length}), found {train.burn_in}; pass {remedy}"
            )
        if model.network == "linear" and model.dense_sizes:
            yield (
                "model.network linear goes with model.dense_sizes [], found "
                f"{list(model.dense_sizes)}; model.network mlp has layers"
            )
        if model.network == "har" and not direct:
            yield "model.network har, a linear fan, goes with model.head direct"
        if model.network == "har" and window.inputs:
            yield f"model.network har reads only bars, found feature {window.inputs[0].text}"
        if model.network == "har" and train.members > 1:
            yield "train.members above 1 needs a network, found model.network har"
        if train.stateful and not model.keeps_state:
            yield (
                f"train.stateful goes with model.network {', '.join(_RECURRENT)}, which keep a "
                f"state from chunk to chunk, found {model.network}"
            )
        if train.precision == "bf16" and model.network == "peephole":
            yield "train.precision bf16 needs a model.network other than peephole"
        stacks = len(model.hidden_sizes)
        # Each stack needs a layer, which covers the bar itself and kernel_size - 1 bars before it.
        longest = (self.reach - 1) // stacks + 1
        if model.network == "cnn" and model.kernel_size > longest:
            yield (
                f"model.kernel_size must be at most {longest} if {stacks} stacks share "
                f"{self.reach} bars, found {model.kernel_size}"
            )

    def changed(self, **sections: dict[str, Any]) -> Self:
        """Return a copy with some keys of some sections changed, without validation."""
        parts = {
            name: getattr(self, name).model_copy(update=keys) for name, keys in sections.items()
        }
        return self.model_copy(update=parts)

    def by_key(self) -> dict[str, str]:
        """Return the value of every key in TOML syntax, empty if it is not set."""
        return {
            f"{section}.{key}": value or "" if isinstance(value, str | None) else json.dumps(value)
            for section, table in self.model_dump(mode="json").items()
            for key, value in table.items()
        }

    @property
    def labels_all_bars(self) -> bool:
        """Whether training labels every bar of a chunk or window after its burn-in.

        With the recursive head this needs a network that reads bar by bar, so that one pass gives
        the prediction after every bar, and a scale that does not depend on later bars.
        """
        in_one_pass = self.model.keeps_state and self.window.scaling == "relative"
        return self.train.labels == "sequence" and (self.model.head == "direct" or in_one_pass)

    @property
    def reach(self) -> int:
        """Number of rows that a network without memory reads, all before its training label.

        These are the burn-in if every bar is labelled, else the scaled window. That window is
        shorter than the raw one if its rows are returns, over one bar or over twelve months.
        """
        if self.labels_all_bars and self.model.head == "direct":
            return self.train.burn_in
        lag = {"volatility": 1, "log_return": 1, "seasonal": 12}.get(self.window.scaling, 0)
        return self.window.context_length - lag

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels of the forecast quantiles; empty for a point forecast."""
        return self.forecast.quantile_levels if self.model.head == "direct" else ()

    @property
    def purge(self) -> int:
        """Number of cutoffs dropped between two parts; the horizon unless set."""
        return self.window.horizon if self.split.purge is None else self.split.purge

    @property
    def step_size(self) -> int:
        """Number of rows from one test cutoff to the next; the horizon unless set."""
        return self.evaluate.step_size or self.window.horizon


def check_settings(
    tree: dict[str, Any], *, where: str, changed: Mapping[str, str] | None = None
) -> Settings:
    """Turn plain tables into Settings; raise UsageError naming the first wrong key.

    where : the source, for messages. changed : the text of the --set that changed a key, by key.
    """
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        key, why = describe_fault(error)
        place = where
        if own := {text for each, text in (changed or {}).items() if each.startswith(key)}:
            place = f"--set {own.pop()}" if key and len(own) == 1 else f"{where} with --set"
        if error.errors(include_url=False)[0]["type"] == "extra_forbidden":
            known = keys() if "." in key else list(Settings.model_fields)
            raise UsageError(
                f"unknown key {key}",
                where=place,
                next_step=f"{nearest_key(key, known)} {SEE_DEFAULTS}",
            ) from error
        see = f"Run: lstmcli config show {key}." if key in keys() else SEE_DEFAULTS
        raise UsageError(
            f"bad setting {key}".rstrip(), where=place, why=why, next_step=see
        ) from error


def keys() -> list[str]:
    """Return every key of the settings as `section.key`, in order."""
    sections = Settings().model_dump()  # includes keys that are not set
    return [f"{name}.{key}" for name, section in sections.items() for key in section]


def nearest_key(key: str, known: Sequence[str] = ()) -> str:
    """Return a "Did you mean" question with the nearest keys; `key` may lack its section."""
    known = known or keys()
    if key in known:
        return ""
    leaf = key.rpartition(".")[2]
    same = [full for full in known if full.endswith(f".{leaf}")]
    if same:
        return f"Did you mean {' or '.join(same)}?"
    return did_you_mean(key, known) or did_you_mean(
        leaf, {full.rpartition(".")[2]: full for full in known}
    )


def given(**options: Any) -> dict[str, Any]:
    """Return the options that are not None, so that a call uses its defaults for the others."""
    return {name: value for name, value in options.items() if value is not None}
