"""20 Newsgroups, sorted by date, through scikit-learn (`SCIKIT_LEARN_DATA`).

References:
    K. Lang. NewsWeeder: learning to filter netnews. ICML 1995.
    doi:10.1016/B978-1-55860-377-6.50048-7.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.error import URLError

from sklearn.datasets import fetch_20newsgroups

from flatreg.datasets.prepared import About, Prepared, canonical_order, digest_rows
from flatreg.datasets.text import count_words
from flatreg.errors import UserError

STRIPPED = ("headers", "footers", "quotes")


def read(settings: dict[str, Any]) -> Prepared:
    """11,314 training and 7,532 test posts as word counts: `whole_*` and `stripped_*`.

    Raises:
        UserError: no cache and no network, or a broken cache.
    """
    del settings  # the features, not the counts, depend on them
    whole = {split: _fetch(split, ()) for split in ("train", "test")}
    stripped = {split: _fetch(split, STRIPPED) for split in whole}
    labels, digests, orders = {}, {}, {}
    for split, posts in whole.items():
        found = digest_rows((post.encode() for post in posts.data), posts.target)
        orders[split] = canonical_order(found)
        labels[split] = posts.target[orders[split]].astype("int32")
        digests[split] = [found[i] for i in orders[split]]
    arrays = {}
    for reading, bunches in (("whole", whole), ("stripped", stripped)):
        texts = {s: [bunches[s].data[i] for i in orders[s]] for s in bunches}
        arrays |= count_words(reading, texts)
    about = About(
        name="newsgroups20",
        title="20 Newsgroups, by date",
        version="bydate",
        url="doi:10.1016/B978-1-55860-377-6.50048-7",
        licence="none stated",
        citation="Lang 1995, doi:10.1016/B978-1-55860-377-6.50048-7",
        class_names=tuple(whole["train"].target_names),
        maximum=None,
    )
    return Prepared(about, labels, digests, arrays)


def _fetch(split: str, remove: tuple[str, ...]) -> Any:
    home = os.environ.get("SCIKIT_LEARN_DATA")
    try:
        return fetch_20newsgroups(
            data_home=Path(home).resolve() if home else None,
            subset=split,
            shuffle=False,
            remove=remove,
            n_retries=1,
            delay=0.1,
        )
    except (URLError, OSError, EOFError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"newsgroups20 cannot be had ({reason}); set SCIKIT_LEARN_DATA to a folder that has "
            "20news-bydate_py3.pkz, or connect to the network (14 MB)"
        ) from error
