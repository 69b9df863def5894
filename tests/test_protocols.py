"""Protocols that extend others: how settings are merged, and what a seed fixes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from flatreg import config
from flatreg.config import Run
from flatreg.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = json.loads((ROOT / "workflow/schemas/config.schema.json").read_text(encoding="utf-8"))
STUDY = """
paths: {results: results, generated: paper/generated, pdf: paper.pdf}
surface: {protocol: tuned, lambda: "0.1", seed: 0}
protocols:
  tuned:
    lambdas: ["0", "0.1"]
    seeds: [0, 1, 2]
    training:
      epochs: 5
      penalty: {probes: 3, interval: 10}
    datasets:
      breast_cancer:
        model: {name: mlp, hidden: [8], dropout: 0.1}
        batch: 32
        search: {learning_rate: [0.1, 0.2], weight_decay: [0.01]}
      digits:
        model: {name: logistic_regression}
        batch: 32
        learning_rate: 0.1
        weight_decay: 0.01
  every_batch:
    extends: tuned
    lambdas: ["0.1"]
    training: {penalty: {interval: 1}}
    datasets:
      digits: {seeds: [5]}
  long:
    extends: every_batch
    training: {epochs: 50}
    datasets:
      breast_cancer: null
      digits: {lambdas: ["1"], model: {outputs: 1}}
"""


def study(changes: str = "{}") -> dict[str, Any]:
    return config.merge(yaml.safe_load(STUDY), yaml.safe_load(changes))


def load(changes: str = "{}") -> dict[str, Any]:
    return config.load(study(changes), SCHEMA)


def refusal(changes: str) -> str:
    """The one-line error for a study with these changes."""
    with pytest.raises(UserError) as caught:
        load(changes)
    line = str(caught.value)
    assert line.startswith("config: ")
    assert "\n" not in line
    return line


def runs(resolved: dict[str, Any], protocol: str) -> set[tuple[str, str, int]]:
    return {run[1:] for run in config.runs(resolved) if run.protocol == protocol}


def test_what_is_not_said_is_as_there() -> None:
    """An extending cell has all settings of the extended one, except the one it changes."""
    resolved = load()
    ours, theirs = (
        config.cell_settings(resolved, name, "breast_cancer") for name in ("every_batch", "tuned")
    )
    assert ours.penalty == replace(theirs.penalty, interval=1)
    same = {"protocol": "", "penalty": theirs.penalty}
    assert replace(ours, **same) == replace(theirs, **same)


def test_a_chain_is_laid_over_link_by_link() -> None:
    chosen = config.cell_settings(load(), "long", "digits")
    assert chosen.epochs == 50
    assert (chosen.penalty.interval, chosen.penalty.probes) == (1, 3)
    assert chosen.model == {"name": "logistic_regression", "outputs": 1}
    assert chosen.learning_rate == 0.1


def test_a_data_set_that_is_null_is_left_out_and_its_own_lists_replace() -> None:
    resolved = load()
    assert runs(resolved, "every_batch") == (
        {("breast_cancer", "0.1", seed) for seed in (0, 1, 2)} | {("digits", "0.1", 5)}
    )
    assert runs(resolved, "long") == {("digits", "1", 5)}


def test_an_extended_protocol_may_do_no_more_than_leave_out_a_data_set() -> None:
    resolved = load("protocols: {small: {extends: tuned, datasets: {breast_cancer: null}}}")
    assert {dataset for dataset, *_ in runs(resolved, "small")} == {"digits"}
    none = "{extends: tuned, datasets: {breast_cancer: null, digits: null}}"
    assert "protocols.small.datasets: must not be empty" in refusal(f"protocols: {{small: {none}}}")


def test_the_base_is_as_without_what_extends_it() -> None:
    alone = load("protocols: {every_batch: null, long: null}")
    assert load()["protocols"]["tuned"] == alone["protocols"]["tuned"]
    assert config.main_protocols(load()) == ["tuned"]


def test_an_overlay_of_the_base_reaches_what_extends_it() -> None:
    resolved = load("protocols: {tuned: {training: {epochs: 7}, datasets: {digits: {batch: 8}}}}")
    cells = [config.cell_settings(resolved, name, "digits") for name in ("every_batch", "long")]
    assert [cell.epochs for cell in cells] == [7, 50]
    assert [cell.batch for cell in cells] == [8, 8]


def test_the_runs_of_two_protocols_have_keys_of_their_own() -> None:
    resolved = load()
    keys = {config.settings_key(config.settings(resolved, run)) for run in config.runs(resolved)}
    assert len(keys) == len(config.runs(resolved))


def test_order_in_the_file_does_not_matter() -> None:
    given = study()
    given["protocols"] = dict(reversed(given["protocols"].items()))
    assert config.load(given, SCHEMA)["protocols"] == load()["protocols"]


def test_lambda_0_may_be_left_out_by_what_extends_alone() -> None:
    assert "0" not in load()["protocols"]["every_batch"]["lambdas"]
    missing = 'lambda "0", the plain training, is missing'
    assert missing in refusal('protocols: {tuned: {lambdas: ["0.1"]}}')
    assert missing in refusal(
        "protocols: {every_batch: {extends: null, seeds: [0], datasets: "
        "{breast_cancer: null, digits: {model: {name: logistic_regression}, "
        "batch: 8, epochs: 5, learning_rate: 1, weight_decay: 0}}}, long: null}"
    )


# ── The search of a protocol that extends another ─────────────────────────────


def searches(resolved: dict[str, Any], lam: str, *names: str) -> dict[str, tuple[str, str]]:
    """The protocol and the lambda of the search on Breast Cancer that each protocol uses."""
    found = {name: config.search_of(resolved, name, "breast_cancer", lam) for name in names}
    return {name: (search.protocol, search.lam) for name, search in found.items()}


def test_a_search_is_that_of_the_first_in_the_chain_that_searches_the_same() -> None:
    own = "search: {learning_rate: [0.3], weight_decay: [0.01]}"
    resolved = load(f"""
protocols:
  again: {{extends: every_batch, datasets: {{digits: null}}}}
  only: {{extends: tuned, training: {{varies: [order]}}, datasets: {{digits: null}}}}
  clipped: {{extends: every_batch, training: {{clip_norm: 1}}, datasets: {{digits: null}}}}
  other: {{extends: tuned, datasets: {{digits: null, breast_cancer: {{{own}}}}}}}
  on_other: {{extends: other}}
""")
    names = ("tuned", "every_batch", "again", "only", "clipped", "other", "on_other")
    # At lambda 0, how often there would be a penalty does not matter; a clip does.
    assert searches(resolved, "0", *names) == {
        **dict.fromkeys(["tuned", "every_batch", "again", "only"], ("tuned", "0")),
        "clipped": ("clipped", "0"),
        **dict.fromkeys(["other", "on_other"], ("other", "0")),
    }
    assert searches(resolved, "0.1", *names) == {
        **dict.fromkeys(["tuned", "only"], ("tuned", "0.1")),
        **dict.fromkeys(["every_batch", "again"], ("every_batch", "0.1")),
        "clipped": ("clipped", "0.1"),
        **dict.fromkeys(["other", "on_other"], ("other", "0.1")),
    }
    assert config.search_of(resolved, "every_batch", "digits", "0.1") is None


def test_the_rates_of_lambda_0_are_those_of_the_base() -> None:
    resolved = load("""
protocols:
  fixed: {extends: tuned, training: &fixed {search: {lambda: "0"}}, datasets: {digits: null}}
  fixed_batch: {extends: every_batch, training: *fixed, datasets: {digits: null}}
  own: {extends: fixed, training: {search: {lambda: null}}}
""")
    names = ("fixed", "fixed_batch", "own")
    assert searches(resolved, "0.1", *names) == {
        **dict.fromkeys(["fixed", "fixed_batch"], ("tuned", "0")),
        "own": ("tuned", "0.1"),
    }


def test_another_search_is_another_key() -> None:
    """At lambda 0 both take the same rates."""
    words = """
protocols:
  own: {{extends: tuned, training: {{search: {{lambda: {}}}}}, datasets: {{digits: null}}}}
"""
    resolved = [load(words.format(lam)) for lam in ("null", '"0"')]
    for protocol, lam, same in (("own", "0.1", False), ("tuned", "0.1", True)):
        run = Run(protocol, "breast_cancer", lam, 0)
        keys = {config.settings_key(config.settings(one, run)) for one in resolved}
        assert (len(keys) == 1) == same
        assert (len({config.cell_key(one, *run[:3]) for one in resolved}) == 1) == same


def test_each_run_names_its_search() -> None:
    resolved = load()
    run = Run("every_batch", "breast_cancer", "0.1", 1)
    search = config.SearchOf(protocol="every_batch", lam="0.1")
    assert config.settings(resolved, run).search_of == search
    assert config.settings(resolved, run._replace(dataset="digits", seed=5)).search_of is None


def test_a_data_set_that_the_base_lacks_has_a_search_of_its_own() -> None:
    added = """
protocols:
  long:
    datasets:
      breast_cancer:
        source: breast_cancer
        model: {name: mlp, hidden: [8], dropout: 0.1}
        batch: 32
        search: {learning_rate: [0.1, 0.2], weight_decay: [0.01]}
  tuned: {datasets: {breast_cancer: null}}
  every_batch: {datasets: {breast_cancer: null}}
"""
    assert searches(load(added), "1", "long") == {"long": ("long", "1")}


@pytest.mark.parametrize(
    ("protocol", "search", "words"),
    [
        ("tuned", "{seeds: [7, 1]}", "breast_cancer.search.seeds: 1 is a seed of the study's runs"),
        ("tuned", "{seeds: []}", "search.seeds: must not be empty"),
        ("tuned", "{seeds: null, seed: 7}", 'search: unknown key "seed"; did you mean seeds?'),
        ("tuned", '{lambda: "0"}', 'search.lambda: "0" is for a protocol beside the one with'),
        ("every_batch", '{lambda: "0.1"}', 'search.lambda: "0.1" is unknown; known are null, "0"'),
        ("every_batch", "{lambda: 0}", "search.lambda: 0 is unknown"),
        ("tuned", "{weight_decay: [0, 0.1]}", "search.weight_decay: 0 and one more have no ratio"),
        ("tuned", "{learning_rate: [0, 0.1]}", "learning_rate[0]: must be above 0, not 0"),
        ("tuned", "{learning_rate: [-1, 0.1]}", "learning_rate[0]: must be above 0, not -1"),
        ("tuned", "{extensions: -1}", "search.extensions: must be at least 0, not -1"),
    ],
)
def test_a_search_that_cannot_be_made_is_refused(protocol: str, search: str, words: str) -> None:
    line = refusal(
        f"protocols: {{{protocol}: {{datasets: {{breast_cancer: {{search: {search}}}}}}}}}"
    )
    assert words in line


def test_a_grid_with_0_is_searched_if_it_need_not_be_extended() -> None:
    search = "{weight_decay: [0, 0.1], extensions: 0}"
    resolved = load(f"protocols: {{tuned: {{datasets: {{breast_cancer: {{search: {search}}}}}}}}}")
    assert config.cell_settings(resolved, "tuned", "breast_cancer").search.weight_decay == (0, 0.1)


# ── What is refused ───────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            "protocols: {long: {extends: tund}}",
            "protocols.long.extends: there is no protocol 'tund'; did you mean tuned?",
        ),
        (
            "protocols: {every_batch: null}",
            "protocols.long.extends: there is no protocol 'every_batch'; known are tuned",
        ),
        ("protocols: {long: {extends: long}}", "long.extends: 'long' extends itself in a cycle"),
        ("protocols: {tuned: {extends: long}}", "extends itself in a cycle; extend another"),
        ("protocols: {long: {extends: [tuned]}}", "long.extends: must be text or null"),
        ("protocols: {long: {training: {epoch: 5}}}", "protocols.long.training: unknown key"),
        ("protocols: {long: {datasets: {posts: {batch: 8}}}}", "long.datasets.posts: unknown"),
        ('protocols: {long: {lambdas: ["much"]}}', "protocols.long.lambdas"),
        ("protocols: {tuned: {seeds: null}}", "protocols.tuned: 'seeds' is missing"),
    ],
)
def test_a_mistake_is_one_line_that_says_where(changes: str, words: str) -> None:
    assert words in refusal(changes)


def test_the_order_of_a_loop_does_not_matter() -> None:
    """A loop of protocols is refused, whichever protocol comes first."""
    given = study("protocols: {tuned: {extends: long}}")
    for names in (("tuned", "every_batch", "long"), ("long", "tuned", "every_batch")):
        turned = given | {"protocols": {name: given["protocols"][name] for name in names}}
        with pytest.raises(UserError, match="extends itself in a cycle"):
            config.load(turned, SCHEMA)


# ── What a seed fixes ─────────────────────────────────────────────────────────

CAUSES = ("initialization", "order", "dropout", "probes", "split", "test_split")


@pytest.mark.parametrize("cause", CAUSES)
def test_what_does_not_vary_has_seed_0(cause: str) -> None:
    resolved = load(f"protocols: {{long: {{training: {{varies: [{cause}]}}}}}}")
    chosen = config.settings(resolved, Run("long", "digits", "1", 5))
    seeds = {name: config.seed_of(chosen, name) for name in CAUSES}
    assert seeds == dict.fromkeys(CAUSES, 0) | {cause: 5}


def test_a_seed_fixes_training_and_no_split_where_nothing_is_said() -> None:
    chosen = config.settings(load(), Run("tuned", "digits", "0", 2))
    seeds = [config.seed_of(chosen, name) for name in CAUSES]
    assert seeds == [2, 2, 2, 2, 0, 0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ("{varies: []}", "varies: must not be empty"),
        ("{varies: [order, order]}", '"order" is listed twice'),
        ("{varies: [ordr]}", 'did you mean "order"?'),
        ("{varies: order}", "must be a list"),
        ("{test_examples: 0}", "test_examples: must be at least 1"),
        ("{test_examples: 0.5}", "must be a whole number or null"),
        ("{train_examples: 0}", "train_examples: must be at least 1"),
        ("{penalty: {warmup: 1.5}}", "penalty.warmup: must be at most 1, not 1.5"),
        ("{penalty: {warmup: -0.1}}", "penalty.warmup: must be at least 0"),
        ("{penalty: {decoupled: adam}}", "penalty.decoupled: must be true or false"),
        ("{model: {outputs: 0}}", "model.outputs: must be at least 1"),
    ],
)
def test_a_choice_that_is_none_is_refused(changes: str, words: str) -> None:
    assert words in refusal(f"protocols: {{tuned: {{datasets: {{digits: {changes}}}}}}}")


@pytest.mark.parametrize(
    ("source", "more"), [("cifar100", ""), ("imdb_reviews", "reading: whole, ")]
)
def test_a_standard_test_split_does_not_vary(source: str, more: str) -> None:
    entry = f"{{source: {source}, {more}varies: [test_split]}}"
    line = refusal(f"protocols: {{tuned: {{datasets: {{digits: {entry}}}}}}}")
    assert f"digits.varies: {source} has a standard test split; leave test_split out" in line


def test_the_protocols_of_the_study_are_laid_over_as_they_say() -> None:
    resolved = config.read([ROOT / "config.yaml"], ROOT / "workflow/schemas/config.schema.json")
    written = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))["protocols"]
    assert set(config.main_protocols(resolved)) == {
        name for name, protocol in written.items() if "extends" not in protocol
    }
    assert {"only_order", "only_dropout", "as_reported"} <= set(resolved["protocols"])
    for name, protocol in resolved["protocols"].items():
        if not name.startswith("only_"):
            continue
        source = name.removeprefix("only_")
        for dataset in protocol["datasets"]:
            base = protocol["extends"]
            ours, theirs = (config.cell_settings(resolved, p, dataset) for p in (name, base))
            assert ours.varies == (source,)
            assert replace(ours, protocol=base, varies=theirs.varies) == theirs
