"""Invalid configs: each message is one line that says where and what the mistake is."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from flatreg import config
from flatreg.config.check import OTHER_TABLES
from flatreg.disk.files import check_writable
from flatreg.errors import UserError
from flatreg.paper import tables as paper_tables
from tests.config.small import CELL, ROOT, SCHEMA_PATH, changed, load, message, study

NAN, INF = float("nan"), float("inf")
MISTAKES = [
    ("path", "x", 'unknown key "path"; did you mean paths?'),
    ("paths.result", "x", 'paths: unknown key "result"; did you mean results?'),
    ("paths.results", 3, "paths.results: must be text, not 3"),
    ("paths.results", "a'; rm -rf b #", "may hold letters, digits and . _ - / only"),
    ("paths.results", "a\nb", "may hold letters"),
    ("paths.results", "{a}", "may hold letters"),
    ("data.brest_cancer", {}, "did you mean breast_cancer?"),
    ("data.text.vocabulary", 0, "data.text.vocabulary: must be at least 1, not 0"),
    ("data.digits.test_fraction", 1, "must be below 1, not 1"),
    ("measure.max_probe", 5, "did you mean max_probes?"),
    ("measure.examples", True, "must be a whole number, not true"),
    ("measure.examples", 10.0, "must be a whole number, not 10.0"),
    ("measure.target_relative_error", NAN, "must be a number, not NaN"),
    ("surface.protocol", "stted", "did you mean stated?"),
    ("surface.lambda", "0", "has no lambda"),
    ("surface.lambda", "0.10", "has no lambda"),
    ("surface.seed", 7, "has no seed 7 to show"),
    ("surface.points_2d", 20, "must be odd, so that the solution is one of the points, not 20"),
    ("surface", None, "'surface' is missing"),
    ("checkpoint.every_epochs", 0, "must be at least 1"),
    ("checkpoint.every_seconds", -1, "must be at least 0"),
    ("analysis.alpha", 0, "must be above 0, not 0"),
    ("verify.runs", [{"protocol": "stated"}], "verify.runs[0]: 'dataset' is missing"),
    (
        "verify.runs",
        [{"protocol": "stated", "dataset": "cifar100", "lambda": "0", "seed": 0}],
        "has no run stated/cifar100/lambda-0/seed-0",
    ),
    ("protocols", {}, "protocols: must not be empty"),
    ("protocols", ["stated"], "protocols: must be a section of keys"),
    ("protocols.Stated two", {}, "is not a valid name"),
    ("protocols.stated\n", {}, "is not a valid name"),
    ("protocols.stated", None, "protocols: must not be empty"),
    ("protocols.stated.lambda", ["0"], "did you mean lambdas?"),
    ("protocols.stated.lambdas", ["0", "-0.1"], 'lambda "-0.1" is negative'),
    ("protocols.stated.lambdas", ["0", "nan"], 'lambda "nan" is not a finite number'),
    ("protocols.stated.lambdas", ["0", "inf"], 'lambda "inf" is not a finite number'),
    ("protocols.stated.lambdas", ["0", "1e999"], "not a finite number"),
    ("protocols.stated.lambdas", ["0", "much"], 'lambda "much" is not a number'),
    ("protocols.stated.lambdas", ["0", "0.1\n"], "is not in a known form"),
    ("protocols.stated.lambdas", ["0", "1_0"], "is not in a known form"),
    ("protocols.stated.lambdas", ["0", 0.1], 'must be text, not 0.1; write it in quotes: "0.1"'),
    ("protocols.stated.lambdas", ["0", "0.1", "0.1"], "are the same lambda"),
    ("protocols.stated.lambdas", ["0", "0.1", "0.10"], "'0.1' and '0.10' are the same lambda"),
    ("protocols.stated.lambdas", ["0", "0.0"], "are the same lambda"),
    ("protocols.stated.lambdas", ["0.1", "1"], 'lambda "0", the plain training, is missing'),
    ("protocols.stated.lambdas", ["0.0", "0.1"], 'lambda "0", the plain training, is missing'),
    ("protocols.stated.lambdas", [], "must not be empty"),
    (f"{CELL}.lambdas", ["0.1"], "the plain training, is missing"),
    (f"{CELL}.lambdas", ["0", "1"], 'stated/breast_cancer has no lambda "0.1" to show'),
    (f"{CELL}.seeds", [1], "stated/breast_cancer has no seed 0 to show"),
    ("protocols.stated.training.seeds", [1], "training.seeds: is not allowed here"),
    ("protocols.stated.seeds", [0, 1, 0], "0 is listed twice"),
    ("protocols.stated.seeds", [-1], "must be at least 0, not -1"),
    ("protocols.stated.seeds", [1.5], "must be a whole number"),
    ("protocols.stated.seeds", 3, "must be a list, not 3"),
    ("protocols.stated.seeds", [], "must not be empty"),
    ("protocols.stated.training.optimizr", "adam", 'training: unknown key "optimizr"'),
    ("protocols.stated.training.optimizer", "adamm", 'did you mean "adam"?'),
    ("protocols.stated.training.schedule", {"name": "cosine"}, '"cosine" is unknown'),
    ("protocols.stated.training.schedule", {}, "'name' is missing"),
    ("protocols.stated.datasets.cifar10", {}, "unknown data set; did you mean cifar100?"),
    (f"{CELL}.source", "breast_cancr", 'did you mean "breast_cancer"?'),
    (f"{CELL}.model.name", "mpl", 'known are "logistic_regression", "mlp"'),
    (f"{CELL}.model.width", 3, 'unknown key "width"'),
    (f"{CELL}.model", {"name": "mlp", "hidden": [3]}, "'dropout' is missing"),
    (f"{CELL}.model", {"name": "logistic_regression", "hidden": [3]}, 'unknown key "hidden"'),
    (f"{CELL}.model.hidden", [0], "model.hidden[0]: must be at least 1"),
    (f"{CELL}.model.dropout", 1, "must be below 1"),
    (f"{CELL}.model", None, "'model' is missing"),
    (f"{CELL}.batch", 0, "batch: must be at least 1, not 0"),
    (f"{CELL}.epochs", "ten", 'must be a whole number, not "ten"'),
    (f"{CELL}.learning_rate", 0, "learning_rate: must be above 0, not 0"),
    (f"{CELL}.learning_rate", -0.1, "must be above 0"),
    (f"{CELL}.learning_rate", NAN, "must be a number or null, not NaN"),
    (f"{CELL}.learning_rate", INF, "must be a number or null, not Infinity"),
    (f"{CELL}.learning_rate", "1e-3", "YAML reads 1.0e-3 as a number"),
    (f"{CELL}.learning_rate", None, "learning_rate: missing; give it or a `search`"),
    (f"{CELL}.weight_decay", -1, "must be at least 0"),
    (f"{CELL}.search", {"learning_rate": [0.1], "weight_decay": [0]}, "both set and searched"),
    (f"{CELL}.search", {"learning_rate": [0], "weight_decay": [0]}, "must be above 0"),
    (f"{CELL}.search", {"learning_rate": [], "weight_decay": [0]}, "must not be empty"),
    (f"{CELL}.clip_norm", 0, "must be above 0"),
    (f"{CELL}.precision", "hihgest", 'known are "default"'),
    (f"{CELL}.selection", "best", 'known are "last", "best_validation"'),
    (f"{CELL}.reading", "whole", "only texts have a reading"),
    (f"{CELL}.penalty.probes", 0, "penalty.probes: must be at least 1, not 0"),
    (f"{CELL}.penalty.interval", 0, "penalty.interval: must be at least 1, not 0"),
    (f"{CELL}.penalty.estimator", "autodif", '"autodif" is unknown; did you mean "autodiff"?'),
    (f"{CELL}.penalty.distribution", "gaussian", '"gaussian" is unknown'),
    (f"{CELL}.convergence.patience", 0, "must be at least 1"),
    ("protocols.stated.datasets.posts.reading", None, "missing; write `whole` or `stripped`"),
    (
        "protocols.stated.datasets.posts.source",
        "imdb_reviews",
        "imdb_reviews has no reading `stripped`; write `whole`",
    ),
    ("protocols.stated.datasets.posts.inputs", "unit", "write `raw`"),
    (f"{CELL}.source", 7, "7 is unknown"),
    (f"{CELL}.learning_rate", 1e39, "must be a number or null, not 1e+39"),
    (f"{CELL}.learning_rate", 10**400, "must be a number or null, not 1000"),
    (f"{CELL}.learning_rate", -INF, "must be a number or null, not -Infinity"),
    (f"{CELL}.learning_rate", True, "must be a number or null, not true"),
    ("protocols.stated.lambdas", ["0", "1e39"], "lambda '1e39' is beyond single precision"),
    ("protocols.stated.lambdas", ["0", "0." + "1" * 40], "is too long for the name of a file; use"),
    ("protocols.stated.seeds", [4294967296], "must be at most 4294967295, not 4294967296"),
    ("protocols.stated.seeds", [True], "must be a whole number, not true"),
    (f"protocols.{'a' * 61}", {}, "is too long for the name of a file; use at most 60"),
    (f"{CELL}.penalty.interval", 2**31, "must be at most 2147483647, not 2147483648"),
    (f"{CELL}.penalty.probes", 10**6, "penalty.probes: must be at most 10000, not 1000000"),
    (f"{CELL}.model.hidden", [10**9], "model.hidden[0]: must be at most 100000"),
    (f"{CELL}.model.hidden", [1] * 101, "model.hidden: must have at most 100 entries, not 101"),
    ("measure.sharpness_radii", [0.1, 0.10000001], "0.1 and 0.10000001 are both 0.1 in the tables"),
    ("analysis.power", 0.05, "analysis.power: must be above alpha, 0.05, not 0.05"),
    ("paths.pdf", "paper", "paths.pdf: 'paper' does not end in .pdf; add that"),
    (
        "measure",
        {"max_probes": "50"},
        'measure.max_probes: must be a whole number, not "50"; write it without quotes, and in a'
        " config file: of `--config 'a={b: c}'` Snakemake takes c for text",
    ),
    ("measure", {"max_probes:50": ""}, '"max_probes:50"; YAML wants a space after a colon'),
    (f"{CELL}.model", "x" * 500, 'must be a section of keys, not "xxx'),
]


@pytest.mark.parametrize(("where", "value", "words"), MISTAKES)
def test_a_mistake_is_one_line_that_says_where_and_what(where, value, words):
    line = message(changed(where, value))
    assert line.startswith("config: ")
    assert words in line


OVERLAYS = {
    "protocols: {literal: {training: {optimizer_arguments: {momentun: 0.9}}}}": (
        "config: protocols.literal.datasets.cifar100.optimizer_arguments: sgd has no argument"
        " 'momentun'; did you mean momentum?"
    ),
    "protocols: {literal: {training: {schedule: {name: exponential_decay}}}}": (
        "config: protocols.literal.datasets.cifar100.schedule: exponential_decay needs decay_rate;"
        " add what is missing"
    ),
    "protocols: {literal: {datasets: {cifar100: {penalty: {estimator: exact}}}}}": (
        "config: protocols.literal.datasets.cifar100.penalty.estimator: exact needs one dense"
        " layer, as of a logistic regression, which mlp lacks; write `auto`"
    ),
    "protocols: {literal: {datasets: {breast_cancer: {validation_fraction: 0.999}}}}": (
        "config: protocols.literal.datasets.breast_cancer.validation_fraction: 0.999 of 455"
        " examples leaves 0 for training, fewer than the 2 classes; choose a smaller one"
    ),
    "protocols: {as_reported: {datasets: {cifar100: {test_examples: 1000000}}}}": (
        "config: protocols.as_reported.datasets.cifar100.test_examples: cifar100 has 10000 test"
        " examples, not 1000000; take fewer"
    ),
    "paths: {results: paper, generated: paper}": (
        "config: paths.results: 'paper' would write into the project's own files (paper/main.tex);"
        " name a folder apart from them"
    ),
    "lanes: 4\nlanes: 5": "{} line 2: 'lanes' is there twice; keep one",
    "lanes: \0": "{} is not text; save it in UTF-8, or name another file",
}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_of_the_study_is_told_in_one_line(overlay, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    path = tmp_path / "overlay.yaml"
    path.write_text(overlay, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        config.check_optimizers(config.read([ROOT / "config.yaml", path], SCHEMA_PATH))
    assert str(caught.value).replace(f"{path}:", "{}").replace(str(path), "{}") == OVERLAYS[overlay]


def test_a_data_set_is_not_named_like_a_table_of_the_paper():
    assert {f"table_{name}" for name in OTHER_TABLES} == {
        name for name in paper_tables.TABLES if name.startswith("table_")
    }
    entry = study()["protocols"]["stated"]["datasets"]["digits"] | {"source": "digits"}
    assert message(changed("protocols.stated.datasets.variance", entry)) == (
        "config: protocols.stated.datasets.variance: the paper has a table of this name already;"
        " rename it, and give its `source`"
    )


def test_surfaces_are_of_a_protocol_with_plain_training():
    given = study()
    other = {"extends": "stated", "lambdas": ["0.1"], "datasets": {}}
    given["protocols"]["other"] = other
    assert message(changed("surface.protocol", "other", given)) == (
        'config: surface.protocol: other/breast_cancer has no lambda "0" to compare with; choose a'
        " protocol that has"
    )


@pytest.mark.parametrize("base", ["auto", "gram"])
def test_protocols_that_are_compared_penalize_the_same(base):
    given = changed(f"{CELL}.penalty.estimator", base)
    other = {"extends": "stated", "datasets": {"breast_cancer": {"penalty": {}}}}
    given["protocols"]["other"] = other
    for fits in ("autodiff", "pairs"):
        other["datasets"]["breast_cancer"]["penalty"]["estimator"] = fits
        load(given)
    other["datasets"]["breast_cancer"]["penalty"]["estimator"] = "hessian_trace"
    assert message(given) == (
        "config: protocols.other.datasets.breast_cancer.penalty.estimator: hessian_trace is of"
        f" tr(H_b), but other is compared with stated, whose {base} is of tr(H_b^2); choose one of"
        " tr(H_b^2), or extend none"
    )


@pytest.mark.parametrize("where", ["protocols.2024", "paths.on", "protocols.stated.datasets.7"])
def test_a_key_that_yaml_reads_as_no_text_is_refused(where):
    given = study()
    *above, last = where.split(".")
    part = given
    for key in above:
        part = part[key]
    part[yaml.safe_load(last)] = {}
    assert f"key {yaml.safe_load(last)!r} is not text" in str(_refusal(given))


def _refusal(given: dict[Any, Any]) -> UserError:
    with pytest.raises(UserError) as caught:
        load(given)
    return caught.value


def test_results_that_cannot_be_made_are_refused(tmp_path):
    check_writable(tmp_path / "new/folder")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        check_writable(tmp_path / "file/results")


@pytest.mark.parametrize(
    ("sampled", "words"),
    [
        ({"protocol": "stted"}, "protocol 'stted' is not in the config; did you mean stated?"),
        (
            {"protocol": "stated", "datasets": ["digit"]},
            "data set of stated 'digit' is not in the config; did you mean digits?",
        ),
        (
            {"protocol": "stated", "lambdas": ["1"]},
            "sample_sizes.lambdas: stated/breast_cancer has none of them; add one of 0, 0.1, or",
        ),
        ({"protocol": "stated", "examples": [1]}, "must be at least 2, not 1"),
    ],
)
def test_runs_whose_samples_are_measured_are_of_the_study(sampled, words):
    assert words in message(changed("sample_sizes", sampled))
