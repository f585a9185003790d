"""Upload an export to the Hugging Face Hub, all files in one commit.

Documentation: https://huggingface.co/docs/huggingface_hub/guides/upload
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_lightning import __version__
from lt_lightning.config.hub_address import HubAddress
from lt_lightning.errors import SettingError, first_line
from lt_lightning.export.export import Exported
from lt_lightning.export.model_card import make_card, shell_name
from lt_lightning.export.push_request import Push
from lt_lightning.runs.formatting import percent
from lt_lightning.storage.hub import CONNECT_SECONDS, ask, is_offline, is_refusal, status_of

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_CARD = "README.md"
_LONGEST = 200
"""Characters of the Hub's reason in an error."""
_LOG_IN = "hf auth login, or set HF_TOKEN"


def push_export(exported: Exported, push: Push) -> list[str]:
    """Upload the files of an export in one commit, and return lines for the screen.

    The ticket and what belongs to it lie at the top of the repository, and so do the files of `--hf`. Optional files
    of an earlier upload that this one lacks are removed.

    Raises:
        SettingError: the upload failed. The files on disk stay.
    """
    kept = f"; {exported.places.ticket} is kept"
    try:
        return _push(exported, push)
    except SettingError as error:
        raise SettingError(f"--push: {push.repo}: {error}{kept}") from error
    except Exception as error:
        raise SettingError(f"--push: {push.repo}: {_cause(push, error)}{kept}") from error


def _push(exported: Exported, push: Push) -> list[str]:
    import huggingface_hub
    import huggingface_hub.utils
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise SettingError("HF_HUB_OFFLINE is set; unset it and push again")
    token = huggingface_hub.get_token()
    if token is None:
        raise SettingError(f"no token; {_LOG_IN}, and push again")
    if not sys.stderr.isatty():
        huggingface_hub.utils.disable_progress_bars()
    api = huggingface_hub.HfApi(token=token, library_name="lt-lightning", library_version=__version__)
    _prepare_repository(api, push)
    additions = [
        CommitOperationAdd(_CARD, make_card(exported, push.repo).encode()),
        *(CommitOperationAdd(name, path) for name, path in _files(exported)),
    ]
    names = {one.path_in_repo for one in additions}
    there = api.model_info(push.repo, revision=push.revision).siblings or ()
    stale = sorted({path.name for path in exported.places.all} & {one.rfilename for one in there} - names)
    commit = api.create_commit(
        push.repo,
        [*additions, *(CommitOperationDelete(name) for name in stale)],
        commit_message=push.message or _message(exported),
        revision=push.revision,
    )
    address = HubAddress(push.repo, push.revision)
    return [
        f"hub      {commit.commit_url}",
        *(f"         removed {name}, which an earlier push had" for name in stale),
        *(["licence  none is stated; --license ID states one"] if not _states_licence(additions[0]) else []),
        f'try      python -m lt_lightning.predict {shell_name(str(address))} "a text"',
    ]


def _prepare_repository(api: HfApi, push: Push) -> None:
    """Make sure that the repository and the branch exist.

    Raises:
        SettingError: the Hub is out of reach, or refuses it, or the repository is public and shall be private.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    ask(api.whoami)  # whether the token is good
    try:
        info = ask(lambda: api.model_info(push.repo, timeout=CONNECT_SECONDS))
    except RepositoryNotFoundError:
        api.create_repo(push.repo, private=push.private or None)
    else:
        if push.private and not info.private:
            raise SettingError("the repository is public; leave --private out, or give another repository")
    if push.revision not in (None, "main"):
        api.create_branch(push.repo, branch=push.revision, exist_ok=True)


def _files(exported: Exported) -> Iterator[tuple[str, Path]]:
    """Yield the name in the repository and the path of each file of an export, its cards apart."""
    places, wishes = exported.places, exported.wishes
    yield places.ticket.name, places.ticket
    yield places.picture.name, places.picture
    for is_there, path in (
        (wishes.onnx, places.onnx), (wishes.state_dict, places.dense), (wishes.tokenizer, places.tokenizer),
    ):  # fmt: skip
        if is_there:
            yield path.name, path
    if wishes.hf is not None:
        yield from ((path.name, path) for path in sorted(wishes.hf.iterdir()) if path.name != _CARD)


def _message(exported: Exported) -> str:
    """Return the default message of a commit."""
    about = exported.packed.about
    accuracy = about.get("test_acc")
    reached = f", test accuracy {percent(accuracy)}" if isinstance(accuracy, int | float) else ""
    return f"Add round {about['round']} of {about.get('experiment')}: {percent(1 - about['sparsity'])} alive{reached}"


def _states_licence(card: Any) -> bool:
    return re.search(rb"^license: ", card.path_or_fileobj, re.MULTILINE) is not None


def _cause(push: Push, error: BaseException) -> str:
    """Return why an upload failed, and what to do."""
    owner, status = push.repo.partition("/")[0], status_of(error)
    if is_offline(error):
        return "HF_HUB_OFFLINE is set; unset it and push again"
    if status == 401:
        return f"the Hub does not know the token; {_LOG_IN} to another, and push again"
    if status == 403:
        return f"the token may not write to {owner}; {_LOG_IN} to one that may, and push again"
    if status == 409:
        return "the name is taken by a repository of another type; give another name"
    if is_refusal(error) or isinstance(error, ValueError):
        return f"the Hub refuses it ({' '.join(str(error).split())[:_LONGEST]}); correct that and push again"
    reason = error
    while reason.__cause__ is not None:  # the client wraps the errors of its HTTP library
        reason = reason.__cause__
    if isinstance(error, (ArithmeticError, AttributeError, LookupError, TypeError, Warning)):
        return f"the upload failed ({type(error).__name__}: {first_line(reason)}); report this as a defect"
    return (
        f"the Hub is out of reach ({first_line(reason)}); push again with a network"  # HTTP libraries raise many types
    )
