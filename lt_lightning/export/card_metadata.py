"""Make the metadata of model cards, as the Hugging Face Hub reads them: https://huggingface.co/docs/hub/model-cards"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from lt_lightning.runs.description import Description
from lt_lightning.runs.reading import Run
from lt_lightning.tickets.rounding import WHOLE, values_name

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

LIBRARY = "lt-lightning"
TRANSFORMERS = "transformers"
"""The libraries that load what an export writes."""

_TASK = "text-classification"
_TAGS = ("lottery-ticket", "pruning", "sparsity", _TASK)
_LICENCES = {"minilm": "apache-2.0"}
_HOMES = {"minilm": "sentence-transformers/all-MiniLM-L6-v2"}
"""The licence of the encoder of a model, and its repository on the Hub."""


class BaseModel(NamedTuple):
    """The pre-trained encoder of a ticket.

    Attributes:
        home: its repository on the Hub; None if it is not on the Hub or not known.
        licence: the identifier of its licence; None if it is not known.
    """

    home: str | None
    licence: str | None


def base_model(about: Mapping[str, Any]) -> BaseModel:
    """Return where the encoder of a packed ticket comes from; nothing for a network without one."""
    encoder = about.get("encoder")
    if not encoder:
        return BaseModel(None, None)
    name = about["model"]["name"]
    return BaseModel(encoder.get("hub") or _HOMES.get(name), _LICENCES.get(name))


def card_metadata(run: Run, about: Mapping[str, Any], *, name: str, library: str, licence: str | None) -> str:
    """Return the metadata of a ticket's card as YAML.

    Args:
        run: the ticket's run.
        about: the header of the packed ticket.
        name: the name of the model.
        library: `LIBRARY` or `TRANSFORMERS`.
        licence: the identifier of the licence of the weights; None for that of the encoder, if it is known.
    """
    from huggingface_hub import ModelCardData

    base, results = base_model(about), eval_results(run, about)
    repo = _hub_data(run.description)
    return ModelCardData(
        license=licence or base.licence,
        library_name=library,
        pipeline_tag=_TASK,
        tags=[*_TAGS, *([LIBRARY] if library != LIBRARY else [])],
        base_model=base.home,
        datasets=None if repo is None else [repo],
        metrics=["accuracy"] if results else None,
        model_name=name if results else None,
        eval_results=results or None,
    ).to_yaml()


def eval_results(run: Run, about: Mapping[str, Any]) -> list[EvalResult]:
    """Return the test accuracy of a packed ticket with its number of rows and its density; nothing if not measured."""
    from huggingface_hub import EvalResult

    accuracy = about.get("test_acc" if about["values"] == values_name(WHOLE) else "rounded_test_acc")
    if not isinstance(accuracy, int | float):
        return []
    described = run.description
    every = (described.corpus.rows or {}).get("test")
    # The accuracy of rounded weights is that of the whole part.
    rows = every if about["values"] != values_name(WHOLE) else (described.measured or {}).get("test", every)
    corpus = str(about.get("corpus") or "")
    return [
        EvalResult(
            task_type=_TASK,
            task_name="Text classification",
            dataset_type=_hub_data(described) or re.sub(r"[^a-z0-9]+", "-", corpus.lower()).strip("-") or "unnamed",
            dataset_name=corpus or "unnamed",
            dataset_config=_data(described).get("hub_config") if _hub_data(described) else None,
            dataset_split="test",
            dataset_args=None if rows is None else {"rows": rows},
            metric_type="accuracy",
            metric_value=round(accuracy, 6),
            metric_name="Test accuracy",
            metric_args={"density": round(1 - about["sparsity"], 6), "alive": about["alive"], "total": about["total"]},
        )
    ]


def _hub_data(described: Description) -> str | None:
    """Return the repository of the run's data on the Hub; None if the data came from elsewhere."""
    repo = _data(described).get("hub")
    source = described.corpus.source or ""
    return repo if isinstance(repo, str) and repo in source.split(", ") else None


def _data(described: Description) -> Mapping[str, Any]:
    return described.config.group("data") or {}
