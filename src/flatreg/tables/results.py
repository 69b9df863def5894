"""The result tables: their columns, with units."""

from __future__ import annotations

import pandera.pandas as pa

from flatreg.disk.statuses import STATUSES
from flatreg.tables.schema import count, number, share, table, text

CELL = ["protocol", "dataset", "lambda"]
RUN = [*CELL, "seed"]
# The metrics that are summarized and tested, and which direction is better.
METRICS = {
    "test_accuracy": "higher",
    "best_test_accuracy": "higher",
    "train_accuracy": "higher",
    "train_loss": "lower",
    "test_loss": "lower",
    "tr_h2": "lower",
    "tr_h": "lower",
    "lambda_max": "lower",
    "test_tr_h2": "lower",
    "test_calibration_error": "lower",
    "last_test_accuracy": "higher",
    "last_train_accuracy": "higher",
    "last_train_loss": "lower",
    "last_test_loss": "lower",
    "last_test_calibration_error": "lower",
    "last_tr_h2": "lower",
}
# Columns of metrics.csv that are summarized per cell; of a strength neither side is better, and
# lambda 0 has none to compare it with.
SUMMARIZED = [*METRICS, "strength"]
_CELL_COLUMNS = {
    "protocol": text("protocol of the config"),
    "dataset": text("data set of the protocol"),
    "lambda": text("strength of the penalty, as written in the config"),
}
_RUN_COLUMNS = _CELL_COLUMNS | {"seed": count("seed of the run")}


def _curvature_columns(prefix: str, split: str) -> dict[str, pa.Column]:
    return {
        f"{prefix}tr_h": number(f"tr(H) on {split} examples (nats / parameter^2)"),
        f"{prefix}tr_h_stderr": number("its standard error", least=0),
        f"{prefix}lambda_max": number(f"largest eigenvalue of H on {split} examples"),
        f"{prefix}lambda_max_stderr": number("its standard error over start vectors", least=0),
    }


METRICS_TABLE = table(
    {
        **_RUN_COLUMNS,
        "status": text("how the training ended", checks=pa.Check.isin(list(STATUSES))),
        "test_accuracy": share("share of test examples right, of the kept parameters"),
        "best_test_accuracy": share("largest over the epochs; reported, never chosen by"),
        "tr_h2": number("tr(H^2) on training examples (nats^2 / parameter^4)", least=0),
        "tr_h2_stderr": number("its standard error over probes; 0 if it is exact", least=0),
        "key": text("names all settings of the run"),
        "diverged_step": count("first step that was not finite", nullable=True),
        "epochs": count("epochs done"),
        "steps": count("steps done"),
        "kept_epoch": count("epoch of the kept parameters", nullable=True),
        "train_loss": number("mean loss of the training split (nats)"),
        "train_accuracy": share("share of training examples right"),
        "validation_loss": number("mean loss of the validation split (nats)"),
        "validation_accuracy": share("share of validation examples right"),
        "test_loss": number("mean loss of the test split (nats)"),
        "test_calibration_error": share("expected calibration error on it, 15 bins"),
        "tr_h2_training": number("mean of the penalty's estimates in training, of its target"),
        "tr_h2_epochs": number("mean of the measurements at the ends of epochs", least=0),
        "strength": number("mean |w grad tr(H^2)| / |grad L_task| after the warm-up", least=0),
        **_curvature_columns("", "training"),
        "probes": count("probes of the traces; 0 if they are exact", nullable=True),
        "test_tr_h2": number("tr(H^2) on test examples (nats^2 / parameter^4)", least=0),
        "test_tr_h2_stderr": number("its standard error over probes; 0 if it is exact", least=0),
        **_curvature_columns("test_", "test"),
        "parameter_norm": number("Euclidean norm of the kept parameters", least=0),
        "last_train_loss": number("train_loss of the parameters of the last epoch (nats)"),
        "last_train_accuracy": share("train_accuracy of these"),
        "last_validation_loss": number("validation_loss of these (nats)"),
        "last_validation_accuracy": share("validation_accuracy of these"),
        "last_test_loss": number("test_loss of these (nats)"),
        "last_test_accuracy": share("test_accuracy of these"),
        "last_test_calibration_error": share("test_calibration_error of these"),
        "last_tr_h2": number("tr_h2 of these (nats^2 / parameter^4)", least=0),
        "last_tr_h2_stderr": number("its standard error over probes; 0 if it is exact", least=0),
        "last_lambda_max": number("lambda_max of these"),
        "last_parameter_norm": number("parameter_norm of these", least=0),
        "train_examples": count("training examples, without those held out", nullable=True),
        "test_examples": count("test examples", nullable=True),
        "learning_rate": number("first or peak learning rate", least=0),
        "weight_decay": number("weight decay", least=0),
        "estimator": text("of tr(H^2) in training; none at lambda 0", nullable=True),
        "data_sha256": text("SHA-256 of the data set's examples"),
    },
    unique=RUN,
)
EPOCHS_TABLE = table(
    {
        **_RUN_COLUMNS,
        "epoch": count("epoch, from 1"),
        "step": count("steps done"),
        "learning_rate": number("at the last step of the epoch", least=0),
        "train_loss": number("mean over the epoch's mini-batches, dropout on (nats)"),
        "train_accuracy": share("share right over the epoch's mini-batches, dropout on"),
        "validation_loss": number("mean cross-entropy of the validation split (nats)"),
        "validation_accuracy": share("share of validation examples right"),
        "test_accuracy": share("share of test examples right"),
        "penalty": number("mean of the penalty over the steps that applied it (nats)"),
        "tr_h2_training": number("mean of the penalty's estimates over these steps, of its target"),
        "strength": number("mean |w grad tr(H^2)| / |grad L_task| over these steps", least=0),
        "gradient_norm": number("mean norm of the whole gradient, before clipping", least=0),
        "tr_h2": number("tr(H^2), measured coarsely at the end of the epoch", least=0),
        "tr_h2_stderr": number("its standard error", least=0),
    },
    unique=[*RUN, "epoch"],
)
TIMES_TABLE = table(
    {
        **_RUN_COLUMNS,
        "setup_seconds": number("preparing the run's data (s)", least=0),
        "compile_seconds": number("compiling the training steps (s)", least=0),
        "train_seconds": number("training steps alone (s)", least=0),
        "measure_seconds": number("evaluating and measuring after each epoch (s)", least=0),
        "total_seconds": number("the whole run (s)", least=0),
        "steps": count("steps done"),
        "resumed": count("epoch that the run went on from, 0 if it began anew"),
    },
    unique=RUN,
)
SUMMARY_TABLE = table(
    {
        **_CELL_COLUMNS,
        "metric": text("column of metrics.csv", checks=pa.Check.isin(SUMMARIZED)),
        "n": count("runs with a value"),
        "diverged": count("runs that diverged, left out of n"),
        "mean": number("mean over seeds, in the metric's unit"),
        "sd": number("standard deviation over seeds (n - 1)", least=0),
        "low": number("lower end of the t interval of the mean"),
        "high": number("upper end of it"),
        "minimum": number("smallest value"),
        "maximum": number("largest value"),
        "note": text("why a number is missing", nullable=True),
    },
    unique=[*CELL, "metric"],
)
TESTS_TABLE = table(
    {
        **_CELL_COLUMNS,
        "metric": text("column of metrics.csv", checks=pa.Check.isin(list(METRICS))),
        "n": count("runs with a value at this lambda"),
        "n_baseline": count("runs with a value at lambda 0"),
        "n_pairs": count("seeds with a value at both"),
        "diverged": count("runs at this lambda that diverged"),
        "diverged_baseline": count("runs at lambda 0 that diverged"),
        "difference": number("mean at this lambda minus mean at lambda 0"),
        "low": number("lower end of Welch's interval of the difference"),
        "high": number("upper end of it"),
        "student_t": number("Student's two-sample t, equal variances"),
        "student_p": share("its two-sided p"),
        "welch_t": number("Welch's two-sample t"),
        "welch_df": number("its degrees of freedom", least=0),
        "welch_p": share("its two-sided p"),
        "welch_p_holm": share("welch_p adjusted (Holm) over the lambdas of the data set"),
        "paired_t": number("t of the differences over shared seeds"),
        "paired_p": share("its two-sided p"),
        "hedges_g": number("difference in pooled standard deviations, corrected for bias"),
        "detectable": number("smallest effect found at the config's power, in sd", least=0),
        "note": text("why a number is missing", nullable=True),
    },
    unique=[*CELL, "metric"],
)
# All result tables by name.
RESULTS = {
    "metrics": METRICS_TABLE,
    "epochs": EPOCHS_TABLE,
    "times": TIMES_TABLE,
    "summary": SUMMARY_TABLE,
    "tests": TESTS_TABLE,
}
