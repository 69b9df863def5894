"""The registry of the study's figures; each row gives a rule, a command and a caption.

To add a figure, write a function in a module of this folder and a row here.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One figure.

    Attributes:
        function: `module.function` in this folder. Its arguments are the study and the contents of
            the inputs in their order; it returns a Matplotlib figure.
        inputs: names of tables of the study, `surfaces`, `original`, `bench` or `frontier`.
        protocols: the protocols whose rows are shown: `main` (those that extend none), `surface`
            (the one whose surfaces are drawn) or `all`.
        settings: fields of the config that the figure depends on besides its inputs.
        category: heading in the HTML report.
        label: name in the HTML report.
        caption: text below the figure in the HTML report.
    """

    function: str
    inputs: tuple[str, ...]
    protocols: str
    settings: tuple[str, ...]
    category: str
    label: str
    caption: str


FIGURES = {
    "accuracy": Row(
        function="results.draw_accuracy",
        inputs=("metrics",),
        protocols="main",
        settings=("analysis.alpha",),
        category="Results",
        label="test accuracy against lambda",
        caption="Test accuracy against lambda: every seed is a dot, lines join the means, a dagger "
        "counts runs that diverged. The best epoch is chosen on the test split, as the original "
        "reports it, and is used for no choice.",
    ),
    "flatness": Row(
        function="results.draw_flatness",
        inputs=("metrics",),
        protocols="main",
        settings=("analysis.alpha",),
        category="Results",
        label="flatness against lambda",
        caption="tr(H^2) against lambda, lower is flatter: measured after training on fixed "
        "training and test examples, and the mean of the estimates that the penalty took in "
        "training.",
    ),
    "flatness_and_accuracy": Row(
        function="dose.draw_flatness_and_accuracy",
        inputs=("metrics",),
        protocols="surface",
        settings=("surface.protocol",),
        category="Evidence",
        label="accuracy against flatness",
        caption="Test accuracy against tr(H^2) on training examples, both after the last epoch; "
        "every run is a dot, and darker is stronger: the ratio of the penalty's gradient to the "
        "loss's. Crosses are plain training. If flatter models were more accurate, the dots would "
        "fall from left to right.",
    ),
    "dose_response": Row(
        function="dose.draw_dose_response",
        inputs=("metrics",),
        protocols="all",
        settings=("surface.protocol", "protocols"),
        category="Evidence",
        label="effect against strength",
        caption="Test accuracy, and tr(H^2) over that of plain training with the same seed, "
        "against the penalty's strength: the ratio of its gradient to the loss's, with lambda on "
        "top. Every run is a dot, lines join medians, grey is plain training, a dagger marks "
        "lambdas with runs that diverged.",
    ),
    "intermittence": Row(
        function="dose.draw_intermittence",
        inputs=("metrics",),
        protocols="all",
        settings=("surface.protocol", "protocols"),
        category="Evidence",
        label="every step or every tenth",
        caption="The penalty in every step and in every tenth at the same mean weight, with and "
        "without a clip, all with the rates of plain training: test accuracy and tr(H^2) over that "
        "of plain training after the last epoch. Every run is a dot, strokes are means, a dagger "
        "counts runs that diverged.",
    ),
    "correlations": Row(
        function="evidence.draw_correlations",
        inputs=("correlations",),
        protocols="surface",
        settings=("surface.protocol",),
        category="Evidence",
        label="flatness and accuracy, correlated",
        caption="Kendall's correlation of each measure of flatness with test accuracy, over all "
        "runs, with lambda held fixed and with training accuracy held fixed, with 95 % intervals.",
    ),
    "sample_sizes": Row(
        function="sample_sizes.draw_sample_sizes",
        inputs=("sample_sizes", "sample_size_fits"),
        protocols="all",
        settings=(),
        category="Evidence",
        label="tr(H^2) by number of examples",
        caption="tr(H^2) at the last epoch against the number of examples that it is taken on, one "
        "mark per run and size. Lines are the fits a + b/n, which leave out the whole training "
        "split (filled marks); dashed, a alone.",
    ),
    "equal_loss": Row(
        function="equal_loss.draw_equal_loss",
        inputs=("epochs",),
        protocols="main",
        settings=(),
        category="Evidence",
        label="flatness against training loss",
        caption="tr(H^2) against the training loss along the epochs, both geometric means over "
        "seeds; a mark is the last epoch. Where the lines of two lambdas coincide, the flatter "
        "network is one that fits less.",
    ),
    "grim": Row(
        function="evidence.draw_grim",
        inputs=("grim_denominators",),
        protocols="all",
        settings=(),
        category="Evidence",
        label="test sets that the reported means allow",
        caption="For each product of test-set size and number of runs, the chance that as many "
        "random numbers as the original reports would fit it; triangles are products that fit "
        "them all.",
    ),
    "learning_curves": Row(
        function="results.draw_learning_curves",
        inputs=("epochs",),
        protocols="main",
        settings=(),
        category="Training",
        label="learning curves",
        caption="Validation loss after each epoch (strong) and training loss over it (faint), mean "
        "over seeds.",
    ),
    "interpolation": Row(
        function="surfaces.draw_interpolation",
        inputs=("surfaces",),
        protocols="all",
        settings=("surface.lambda",),
        category="Loss surfaces",
        label="line between two solutions",
        caption="Loss and accuracy along the straight line from the solution of lambda 0 to the "
        "one at the lambda above 0 that the config's `surface` names.",
    ),
    "surface": Row(
        function="surfaces.draw_surface",
        inputs=("surfaces",),
        protocols="all",
        settings=("surface.lambda",),
        category="Loss surfaces",
        label="planes around two solutions",
        caption="Loss of training examples on a plane of two random filter-normalized directions "
        "around each solution; both planes of a data set share directions, axes and levels.",
    ),
    "cost": Row(
        function="cost.draw_cost",
        inputs=("original", "bench"),
        protocols="all",
        settings=(),
        category="Training",
        label="cost of the penalty",
        caption="Left: a training with the penalty in every tenth step over plain training, as the "
        "original reports it, one dot per lambda, beside its algorithm and ours. Right: a step of "
        "the CIFAR-100 network by each way to get the penalty, over a plain step. All ways took "
        "turns in `make bench`.",
    ),
    "cost_growth": Row(
        function="cost.draw_cost_growth",
        inputs=("bench",),
        protocols="all",
        settings=(),
        category="Training",
        label="growth of the penalty's cost",
        caption="What the penalty adds to a training step of the CIFAR-100 network as one thing "
        "grows, in units of that network's plain step. Measured side by side by `make bench`; kept "
        "in bench/results/cost.json.",
    ),
    "frontier": Row(
        function="frontier.draw_frontier",
        inputs=("frontier",),
        protocols="all",
        settings=(),
        category="Training",
        label="precision and cost of the penalty",
        caption="For each way to compute the penalty, the relative variance of its gradient around "
        "the gradient of its own target, against the time that it adds to a plain step. Open marks "
        "are at initial parameters, filled ones at trained; SAM's time is a dashed line; lines "
        "join fewer and more probes of the same way. Measured by `make frontier`; kept in "
        "bench/results/frontier.json.",
    ),
}
