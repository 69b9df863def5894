# Purpose: say how far a study is where there is no terminal, so that Snakemake's rich logger draws
#     no bars: in the log of a CI job, of a batch job, or in a file. A line for each finished stage
#     and one for each tenth of the jobs go to stderr, beside what the rich logger says.
# Inputs: Snakemake's log records
# Outputs: none

import logging
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

from snakemake.logging import is_quiet_about
from snakemake_interface_logger_plugins.common import LogEvent


class Progress(logging.StreamHandler):
    """Writes the lines. A stage is a file of rules; rules of the Snakefile itself have none."""

    def __init__(self):
        super().__init__(sys.stderr)
        self.name = type(self).__qualname__
        self.begun = time.monotonic()
        self.jobs, self.left = Counter(), Counter()  # by stage
        self.started = {}  # stage of each started job, by its number
        self.tenths = 0

    def emit(self, record):
        try:
            for said in self.lines(record):
                super().emit(logging.makeLogRecord({"msg": f"{self.clock()}  {said}"}))
        except Exception:
            # As logging has it: a failure to say something must not stop the study.
            self.handleError(record)

    def lines(self, record):
        """What a record adds to the progress."""
        match getattr(record, "event", None):
            case LogEvent.RUN_INFO:
                self.plan(record.stats)
            case LogEvent.JOB_INFO:
                self.started[record.jobid] = stage_of(record.rule_name)
            case LogEvent.JOB_FINISHED:
                yield from self.finish(self.started[record.job_id])
            case LogEvent.PROGRESS:
                yield from self.count(record.done, record.total)

    def plan(self, jobs_of_rules):
        """Add up the jobs of each stage."""
        for name, jobs in jobs_of_rules.items():
            if name != "total":
                self.jobs[stage_of(name)] += jobs
        self.left.update(self.jobs)

    def finish(self, stage):
        """A line if a finished job was the last of its stage."""
        self.left[stage] -= 1
        if stage and not self.left[stage]:
            yield f"{stage} done ({counted(self.jobs[stage])})"

    def count(self, done, total):
        """A line if the finished jobs have reached another tenth."""
        reached = 10 * done // total
        if reached > self.tenths:
            self.tenths = reached
            yield f"{100 * done // total} % ({done} of {counted(total)})"

    def clock(self):
        """The time since the start, such as `  1:23` or `2:01:23`."""
        elapsed = str(timedelta(seconds=int(time.monotonic() - self.begun)))
        return elapsed.removeprefix("0:").removeprefix("0").rjust(7)


def stage_of(rule_name):
    """The name of the file that has a rule, or None for the Snakefile."""
    file = Path(workflow.get_rule(rule_name).snakefile)
    return file.stem if file.suffix == ".smk" else None


def counted(jobs):
    """A number of jobs in words."""
    return f"{jobs} job" if jobs == 1 else f"{jobs} jobs"


# A job of a cluster is a Snakemake of its own. In another workflow that uses this one, this file may
# be read more than once.
if (
    workflow.is_main_process
    and "rich" in workflow.output_settings.log_handler_settings
    and not is_quiet_about(workflow.output_settings.quiet or [], "progress")
    and not sys.stderr.isatty()
    and Progress.__qualname__ not in [handler.name for handler in logger.handlers]
):
    logger.addHandler(Progress())
