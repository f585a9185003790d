"""Write the folder that transformers loads: configuration, weights, tokenizer and card."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lt_lightning.errors import SettingError
from lt_lightning.export.card_metadata import base_model
from lt_lightning.export.encoders import CLOSE, Trial
from lt_lightning.export.files import Places
from lt_lightning.export.huggingface.stock import stock_networks
from lt_lightning.models.encoder import quiet_transformers
from lt_lightning.report import facts, pages
from lt_lightning.runs.formatting import percent
from lt_lightning.storage.atomic import read_regular, write_whole, writing_to
from lt_lightning.tickets.encoder import modeling_ticket
from lt_lightning.tickets.encoder.file import PackedEncoder
from lt_lightning.tickets.encoder.network import build_torch
from lt_lightning.tickets.rounding import WHOLE, values_name

_MARK = "<!-- lt-lightning's folder for transformers -->"
_CODE = "modeling_ticket"
_WRITTEN = (
    "README.md", "config.json", "model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json",
    "tokenizer.json", "tokenizer_config.json", f"{_CODE}.py",
)  # fmt: skip
"""Patterns of the names of the files in a folder."""


def check_folder(folder: Path, places: Places) -> None:
    """Raise a SettingError unless a folder is free, empty, or holds the files of an earlier export alone.

    Args:
        folder: the folder.
        places: the other files of the export.
    """
    real, ticket, here = _real(folder), _real(places.ticket), _real(Path())
    if real in ticket.parents:
        raise SettingError(f"--hf: {folder} holds the packed ticket; give a folder of its own, such as {folder / 'hf'}")
    if real in (here, *here.parents):
        raise SettingError(
            f"--hf: {folder} is the working directory or holds it; give a folder of its own, such as {folder / 'hf'}"
        )
    if real in map(_real, places.all):
        raise SettingError(f"--hf: {folder}: another file of the export has this name; give another")
    if not folder.exists() and not folder.is_symlink():
        return
    if not folder.is_dir():
        raise SettingError(f"--hf: {folder} is not a folder; give another name")
    names = sorted(path.name for path in folder.iterdir())
    if names and not _is_ours(folder):
        raise SettingError(f"--hf: {folder} exists and is not from an export; give another name")
    others = [name for name in names if not any(fnmatchcase(name, pattern) for pattern in _WRITTEN)]
    if others:
        raise SettingError(f"--hf: {folder} holds {others[0]}, which no export wrote; move it, or give another name")


def _is_ours(folder: Path) -> bool:
    try:
        return _MARK in read_regular(folder / "README.md", 1 << 20).decode()
    except (OSError, ValueError):
        return False


def _real(path: Path) -> Path:
    """Return an absolute path without links; unlike `Path.resolve` it accepts links in a circle."""
    return Path(os.path.realpath(path))


def write_folder(folder: Path, packed: PackedEncoder, trial: Trial, licence: str | None = None) -> tuple[str, float]:
    """Write a ticket as a folder that `AutoModelForSequenceClassification` loads, whole or not at all.

    The network is of transformers' own class if one gives the ticket's logits; otherwise the folder holds the code of
    the network, too, which `trust_remote_code=True` runs.

    Args:
        folder: the folder.
        packed: the ticket.
        trial: random texts with the logits of the trained network.
        licence: the identifier of the licence of the weights; None for that of the encoder, if it is known.

    Returns:
        The name of the class, and the largest difference of the logits; see `Trial.difference`.

    Raises:
        SettingError: the folder, read back, gives other logits.
        WriteError: it cannot be written.
    """
    folder = _real(folder)  # a link stays, and what it leads to is replaced
    network, own_code = _choose(packed, trial)
    with quiet_transformers(), writing_to(folder.parent), _made_whole(folder) as unchecked:
        network.save_pretrained(unchecked)
        _share_weights(unchecked)
        if own_code:
            code = Path(modeling_ticket.__file__).read_text(encoding="utf-8")
            write_whole(unchecked / f"{_CODE}.py", code)
            _name_code(unchecked / "config.json")
        _write_tokenizer(unchecked, packed)
        name = type(network).__name__
        write_whole(unchecked / "README.md", _card(folder.name, packed, name, licence, own_code=own_code))
        difference = _difference(unchecked, packed, trial, own_code=own_code)
        if not difference <= CLOSE:
            raise SettingError(f"--hf: the logits of {folder} are {difference:.1e} off the network's; leave it out")
    return name, difference


@contextmanager
def _made_whole(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`; then put it in its place."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    unchecked = folder.with_name(f".{folder.name}.unchecked")
    shutil.rmtree(unchecked, ignore_errors=True)
    unchecked.mkdir()
    try:
        yield unchecked
        if folder.exists():
            shutil.rmtree(folder)
        unchecked.rename(folder)
    finally:
        shutil.rmtree(unchecked, ignore_errors=True)


def _share_weights(folder: Path) -> None:
    """Let all who may read the configuration read the weights, which safetensors writes for their owner alone."""
    mode = stat.S_IMODE((folder / "config.json").stat().st_mode)
    for path in folder.glob("*.safetensors"):
        path.chmod(mode)


def _choose(packed: PackedEncoder, trial: Trial) -> tuple[Any, bool]:
    """Return the network to write, and whether it needs code of its own."""
    with quiet_transformers():
        for network in stock_networks(packed):
            if trial.difference(_answer(network)) <= CLOSE:
                return network, False
    return build_torch(packed), True


def _answer(network: Any) -> Any:
    def answer(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            found = network(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask))
        return found.logits.float().numpy()

    return answer


def _name_code(path: Path) -> None:
    """Name the classes of the folder's code in its configuration."""
    config = json.loads(path.read_bytes())
    config["auto_map"] = {
        "AutoConfig": f"{_CODE}.TicketConfig",
        "AutoModelForSequenceClassification": f"{_CODE}.TicketForSequenceClassification",
    }
    write_whole(path, json.dumps(config, indent=2, sort_keys=True) + "\n")


def _difference(folder: Path, packed: PackedEncoder, trial: Trial, *, own_code: bool) -> float:
    """Return the largest difference of the logits of a folder that was written.

    A folder with code of its own is loaded without running it from there: the code is this package's.
    """
    import transformers

    settings: dict[str, Any] = {"local_files_only": True, "dtype": torch.float32}
    if own_code:
        network: nn.Module = modeling_ticket.TicketForSequenceClassification.from_pretrained(folder, **settings)
    else:
        network = transformers.AutoModelForSequenceClassification.from_pretrained(folder, **settings)
    return trial.difference(_answer(network.eval()))


def _write_tokenizer(folder: Path, packed: PackedEncoder) -> None:
    """Write `tokenizer.json`, and the settings by which `AutoTokenizer` gives the same pieces."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(packed.tokenizer)
    tokenizer.no_padding()
    tokenizer.no_truncation()  # transformers cuts where it is called with truncation=True
    write_whole(folder / "tokenizer.json", tokenizer.to_str(pretty=True))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",  # tokenizer.json as it stands
        "model_input_names": ["input_ids", "attention_mask"],
        "padding_side": "right",
        "truncation_side": "right",
        **_special_pieces(tokenizer, packed.about["encoder"]["padding"]),
    }
    if packed.about["max_length"] is not None:
        settings["model_max_length"] = packed.about["max_length"]
    write_whole(folder / "tokenizer_config.json", json.dumps(settings, indent=2, ensure_ascii=False) + "\n")


def _special_pieces(tokenizer: Any, padding: int) -> Mapping[str, str]:
    """Return the names of special pieces as transformers calls them, as far as the tokenizer has them."""
    found = {"pad_token": tokenizer.id_to_token(padding), "unk_token": getattr(tokenizer.model, "unk_token", None)}
    around = tokenizer.encode("").tokens
    if len(around) == 2:
        found |= {"cls_token": around[0], "sep_token": around[1]}
    found["mask_token"] = next((name for name in ("[MASK]", "<mask>") if tokenizer.token_to_id(name) is not None), None)
    return {key: value for key, value in found.items() if value is not None}


def _card(name: str, packed: PackedEncoder, network: str, licence: str | None, *, own_code: bool) -> str:
    """Return the model card: https://huggingface.co/docs/hub/model-cards."""
    about, encoder = packed.about, packed.about["encoder"]
    living = sum(len(one.values) for one in packed.parameters.values())
    total = sum(int(np.prod(one.shape)) for one in packed.parameters.values())
    base = base_model(about)
    return pages.render(
        "transformers_card.md.j2",
        mark=_MARK,
        folder=json.dumps(name),
        about=about,
        encoder=encoder,
        home=base.home,
        encoder_licence=base.licence,
        licence=licence or base.licence,
        network=network,
        own_code=own_code,
        averages=encoder["pooling"] == "mean" and not own_code,
        living=living,
        total=total,
        density=percent(living / total),
        prunable=percent(1 - about["sparsity"]),
        accuracy=_share(about.get("test_acc" if about["values"] == values_name(WHOLE) else "rounded_test_acc")),
        full_accuracy=_share(about.get("full_test_acc")),
        length=about["max_length"],
    )


def _share(value: Any) -> str:
    return percent(value) if isinstance(value, int | float) else facts.DASH
