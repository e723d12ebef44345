#!/usr/bin/env bash
# Slurm on one node, and a small study through it both ways: a job array of shards, and
# compute=dask_slurm. Needs root on a Debian machine of its own (a container will do):
#
#   bash tests/slurm/one_node.sh
#
# It installs slurm-wlm and munge, starts them with the configuration below, runs the
# studies in a temporary folder, compares them with the same study run without Slurm,
# and stops what it started.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PWD/.venv/bin:$PATH"
work=$(mktemp -d)
pids=()
stop() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
}
trap stop EXIT

command -v slurmctld >/dev/null || {
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
        slurm-wlm munge >/dev/null
}

# munge: a key, a socket, its daemon.
mkdir -p "$work/munge" "$work/spool" "$work/state"
chmod 755 "$work"
chown munge: "$work/munge"
[ -s /etc/munge/munge.key ] || mungekey --create
runuser -u munge -- munged --foreground --socket="$work/munge/socket" \
    --pid-file="$work/munge/pid" --log-file="$work/munge/log" \
    --seed-file="$work/munge/seed" >"$work/munged.out" 2>&1 &
pids+=($!)

# Slurm: controller and node on this machine, two cores, no cgroups, no accounting.
cores=$(nproc)
megabytes=$(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo)
export SLURM_CONF="$work/slurm.conf"
cat >"$SLURM_CONF" <<CONF
ClusterName=one
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge/socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=$cores RealMemory=$megabytes State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
slurmctld -D >"$work/slurmctld.out" 2>&1 &
pids+=($!)
slurmd -D -N "$(hostname -s)" >"$work/slurmd.out" 2>&1 &
pids+=($!)
for _ in $(seq 60); do
    sinfo --noheader --format=%T 2>/dev/null | grep -q idle && break
    sleep 1
done
sinfo

study=(experiment=quick n_replications=40 "results_dir=$work/results")

echo "--- a job array of three shards"
sbatch --wait --array=1-3 --cpus-per-task=1 --mem=1G --output="$work/array-%a.out" \
    experiments/slurm/array.sbatch study=array "${study[@]}"
tail -n 2 "$work"/array-*.out
python -m experiments.run status array "results_dir=$work/results"
python -m experiments.run sweep study=array "${study[@]}" | tail -n 1

echo "--- compute=dask_slurm, jobs of one core"
python -m experiments.run sweep study=dask "${study[@]}" compute=dask_slurm \
    compute.n_workers="$cores" compute.cores=1 "compute.memory=1 GB" | tail -n 1
echo "Logs of its jobs:" "$work"/results/dask/slurm/*.out

echo "--- without Slurm"
python -m experiments.run sweep study=local "${study[@]}" | tail -n 1
python - "$work/results" <<'PYTHON'
import sys

import numpy as np
import xarray as xr

local, *others = (
    xr.load_datatree(f"{sys.argv[1]}/{study}/replications.nc").children
    for study in ("local", "array", "dask")
)
for other in others:
    for name, process in local.items():
        np.testing.assert_array_equal(process["data_hash"], other[name]["data_hash"])
        np.testing.assert_array_equal(process["code"], other[name]["code"])
        np.testing.assert_allclose(
            process["estimate"], other[name]["estimate"], rtol=0, atol=1e-9
        )
print("Array, Dask and local study agree: data bit for bit, estimates to 1e-9.")
PYTHON
