#!/bin/sh
# Run the study, make its HTML report, and print where the results are. If its runs are those of an
# archive, compare what was made of them with what was published.
#   workflow/run.sh RESULTS PDF [snakemake options]
set -eu

results=$1 pdf=$2
shift 2
report=$results/report.html

snakemake "$@"

# The report shows results and captions. It is slow to make, so only if one of
# them is newer. Names with a dot are of locks and plans.
if [ ! -e "$report" ] || [ -n "$(find "$results" "$pdf" workflow/report -type f ! -name ".*" -newer "$report" | head -n 1)" ]; then
    mkdir -p "$results/logs"
    snakemake "$@" --report "$report" >"$results/logs/report.log" 2>&1 || {
        tail -n 20 "$results/logs/report.log" >&2
        echo "error: no report was made; its log is $results/logs/report.log" >&2
        exit 1
    }
    touch "$report"
else
    echo "Nothing to be done: everything is up to date."
fi

echo
echo "paper   $pdf"
echo "explore $results/explore.html"
echo "report  $report"
echo "tables  $results/tables/"

if [ -e "$results/archive.json" ]; then
    python -m flatreg.publish.confirm --config "$results/config.json"
fi
