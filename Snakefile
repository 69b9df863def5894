# The study, from raw data to the paper: `snakemake`, and everything is made that
# config.yaml asks for and is not there yet. One stage a file, in the order in
# which they run; what they share is in common.smk.

from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


include: "workflow/rules/common.smk"


report: "workflow/report/workflow.rst"


wildcard_constraints:
    protocol=NAME,
    dataset=NAME,
    source=NAME,
    reading="whole|stripped",
    lam="[0-9.e-]+",
    seed="[0-9]+",


include: "workflow/rules/config.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/analyse.smk"
include: "workflow/rules/draw.smk"


rule all:
    """Everything the study makes: the paper, its tables, the notebooks."""
    default_target: True
    input:
        TABLES,
        FIGURES,
