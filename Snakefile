# The study, from raw data to the paper. `snakemake` makes whatever config.yaml asks
# for and is missing or out of date. The stages are in the order in which they run,
# one file per stage; what they share is in common.smk.

import os
import sys

from snakemake.utils import min_version

min_version("9.27")

if not os.path.isdir(workflow.current_basedir.get_path_or_uri(secret_free=True)):
    sys.exit(
        "error: flatreg needs more than its rules; clone it and name its Snakefile"
    )


include: "workflow/rules/place.smk"
include: "workflow/rules/common.smk"
include: "workflow/rules/start.smk"


report: "workflow/report/workflow.rst"


wildcard_constraints:
    protocol=one_of(run.protocol for run in RUNS),
    dataset=one_of(run.dataset for run in RUNS),
    lam=one_of(run.lam for run in RUNS),
    seed=one_of(run.seed for run in RUNS),
    source=one_of(sources(STUDY)),
    reading="whole|stripped",


include: "workflow/rules/progress.smk"


# The results of an archive have no parameters and no data: nothing before the tables is made.
if not UNPACKED:

    include: "workflow/rules/blocks.smk"
    include: "workflow/rules/data.smk"
    include: "workflow/rules/train.smk"
    include: "workflow/rules/measure.smk"


include: "workflow/rules/tables.smk"
include: "workflow/rules/evidence.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/paper.smk"
include: "workflow/rules/explore.smk"
include: "workflow/rules/publish.smk"


rule all:
    """Make everything: the paper, its tables and the pages to explore them."""
    default_target: True
    input:
        run_files("metrics.json"),
        run_files("curvature.json"),
        TABLES,
        EVIDENCE,
        FIGURES,
        PDF,
        NOTEBOOKS,
        EXPLORE,
        CRATE,
