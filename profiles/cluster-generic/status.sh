#!/bin/sh
# Print running, success or failed for one Slurm job, without Slurm's accounting.
state=$(squeue --noheader --states=all --jobs="$1" --format=%T 2>/dev/null)
if [ -z "$state" ]; then
    # squeue forgets a job MinJobAge seconds after its end, and knows none while the controller
    # is away.
    state=$(scontrol --oneliner show job "$1" 2>/dev/null | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p')
fi
if [ -z "$state" ] && ! scontrol ping >/dev/null 2>&1; then
    state=UNKNOWN
fi
case $state in
COMPLETED) echo success ;;
PENDING | RUNNING | CONFIGURING | COMPLETING | SUSPENDED | REQUEUED | RESIZING | UNKNOWN) echo running ;;
*) echo failed ;;
esac
