"""Prepared data: order, hash, features, and the public data themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from flatreg.data import csr, prepared, text
from flatreg.data.dataset import load_dataset
from flatreg.data.featurize import features
from flatreg.data.sources import breast_cancer, digits, newsgroups20
from flatreg.errors import UserError

SPLIT = {"test_fraction": 0.2, "split_seed": 0}
TEXT = {"vocabulary": 10000, "sublinear_tf": True}
POSTS = {
    "train": ["the cat sat on the mat", "the dog sat", "a cat and a dog", "dogs bark"],
    "test": ["the unseen cat", "nothing known here"],
}


@pytest.mark.parametrize(("module", "sizes"), [(breast_cancer, (455, 114)), (digits, (1437, 360))])
def test_small_sources_have_a_fixed_stratified_split(module, sizes: tuple[int, int]) -> None:
    first, second = module.read(SPLIT), module.read(SPLIT)
    facts = prepared.manifest(first)
    assert tuple(facts["splits"][s]["examples"] for s in ("train", "test")) == sizes
    assert facts == prepared.manifest(second)
    shares = [
        np.array(list(facts["splits"][s]["class_counts"].values())) / n
        for s, n in zip(("train", "test"), sizes, strict=True)
    ]
    np.testing.assert_allclose(*shares, atol=0.01)


def test_the_order_of_examples_changes_neither_hash_nor_arrays() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 9, (20, 3)), rng.integers(0, 2, 20)
    shuffled = rng.permutation(20)
    about = breast_cancer.read(SPLIT).about
    one = prepared.of_table(about, {"train": (x, y), "test": (x[:5], y[:5])})
    other = prepared.of_table(
        about, {"train": (x[shuffled], y[shuffled]), "test": (x[:5][::-1], y[:5][::-1])}
    )
    assert prepared.content_hash(one.digests) == prepared.content_hash(other.digests)
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name])
    changed = prepared.of_table(about, {"train": (x, 1 - y), "test": (x[:5], y[:5])})
    assert prepared.content_hash(one.digests) != prepared.content_hash(changed.digests)


def test_the_same_examples_give_the_same_file(tmp_path: Path) -> None:
    for name in ("one", "other"):
        prepared.save(tmp_path / f"{name}.npz", digits.read(SPLIT))
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "other.npz").read_bytes()
    loaded = load_dataset(tmp_path / "one.npz")
    assert (loaded.classes, loaded.maximum, loaded.x_train.dtype) == (10, 16.0, np.uint8)


def counts_of(posts: text.Split) -> dict[str, np.ndarray]:
    return {
        "name": np.array("posts"),
        **dict.fromkeys(["classes", "maximum", "sha256", "y_train", "y_test"], np.array(0)),
        **text.count_words("whole", posts),
    }


def test_features_are_scikit_learn_s_tfidf() -> None:
    done = features(counts_of(POSTS), "whole", {"vocabulary": 100, "sublinear_tf": True})
    vectorizer = TfidfVectorizer(sublinear_tf=True).fit(POSTS["train"])
    assert done["words"].tolist() == vectorizer.get_feature_names_out().tolist()
    for split in ("train", "test"):
        found = csr.read_csr(done, f"tfidf_{split}")
        expected = vectorizer.transform(POSTS[split])
        np.testing.assert_allclose(found.toarray(), expected.toarray(), rtol=1e-6)


def test_features_of_training_texts_know_nothing_of_the_test_texts() -> None:
    settings = {"vocabulary": 4, "sublinear_tf": False}
    one = features(counts_of(POSTS), "whole", settings)
    other = features(counts_of(POSTS | {"test": ["bark bark bark"] * 9}), "whole", settings)
    assert len(one["words"]) == 4
    np.testing.assert_array_equal(one["words"], other["words"])
    np.testing.assert_array_equal(one["tfidf_train_data"], other["tfidf_train_data"])


def test_counts_are_not_taken_for_features(tmp_path: Path) -> None:
    prepared.write_arrays(tmp_path / "counts.npz", counts_of(POSTS))
    with pytest.raises(
        UserError, match=r"holds word counts; name a file that flatreg.data.featurize"
    ):
        load_dataset(tmp_path / "counts.npz")
    with pytest.raises(UserError, match="posts has no reading 'stripped'"):
        features(counts_of(POSTS), "stripped", TEXT)


def test_a_broken_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 not all of it")
    with pytest.raises(UserError, match=r"cut.npz is broken .*; delete it and prepare it again"):
        load_dataset(tmp_path / "cut.npz")


@pytest.mark.slow
@pytest.mark.realdata
def test_20_newsgroups_is_what_it_is_known_to_be() -> None:
    """Accuracies of scikit-learn's logistic regression (C = 10), near the known 0.83 and 0.67."""
    done = newsgroups20.read(TEXT)
    facts = prepared.manifest(done)
    assert facts["splits"]["train"]["examples"] == 11314
    assert max(facts["splits"]["test"]["class_counts"].values()) == 399
    arrays = {"name": np.array("newsgroups20"), "classes": 20, "maximum": 0, "sha256": ""}
    arrays |= {f"y_{split}": y for split, y in done.labels.items()} | done.arrays
    for reading, expected in (("whole", 0.832), ("stripped", 0.666)):
        made = features(arrays, reading, TEXT)
        x_train, x_test = (csr.read_csr(made, f"tfidf_{s}") for s in ("train", "test"))
        model = LogisticRegression(C=10, max_iter=200).fit(
            sparse.csr_matrix(x_train), made["y_train"]
        )
        assert model.score(sparse.csr_matrix(x_test), made["y_test"]) == pytest.approx(
            expected, abs=0.01
        )
