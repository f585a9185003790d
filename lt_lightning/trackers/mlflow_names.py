"""Translate names to those that MLflow takes, so that no two of them become one."""

from __future__ import annotations

import hashlib
import re

_LONGEST = 250
"""Characters of a name."""

_REFUSED = re.compile(
    r"[^\w./: -]"
    r"|^/|(?<=/)/|/$"  # a name is like a relative path without empty parts,
    r"|^\.(?=\.)|(?:^|(?<=/))\.(?=\.?(?:/|$))"  # begins with no .., and has no part . or ..
    r"|_(?=x[0-9a-f]+(?:_|[^\w.: -]))"  # it would read like a translated character
)


def mlflow_name(name: str) -> str:
    """Return a name of a value, a parameter or a tag with each character that MLflow refuses as `_x<code>_`.

    Of a name that is too long, the end is replaced by a digest of the whole.

    >>> mlflow_name("val/recall@10"), mlflow_name("val/recall 10"), mlflow_name("/a//b")
    ('val/recall_x40_10', 'val/recall 10', '_x2f_a/_x2f_b')
    """
    translated = _REFUSED.sub(lambda found: f"_x{ord(found[0]):x}_", name)
    if len(translated) <= _LONGEST:
        return translated
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{translated[: _LONGEST - 17].rstrip('/')}-{digest}"
