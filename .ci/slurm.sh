#!/usr/bin/env bash
# Start a SLURM cluster of this one machine in a folder, without accounting and without cgroups:
#
#     .ci/slurm.sh start FOLDER    # prints the file for SLURM_CONF
#     .ci/slurm.sh stop FOLDER
#
# Needs root, slurmctld, slurmd and munged (Debian: slurmctld slurmd slurm-client munge).
set -euo pipefail

action=${1:?start or stop} folder=${2:?a folder}

stop() {
    SLURM_CONF=$folder/slurm.conf timeout 10 scancel --user="$(id -un)" 2>/dev/null || true
    sleep 1
    for name in slurmd slurmctld munged; do
        if [ -f "$folder/$name.pid" ]; then
            kill "$(cat "$folder/$name.pid")" 2>/dev/null || true
        fi
    done
}

start() {
    mkdir -p "$folder/state" "$folder/spool"
    folder=$(cd "$folder" && pwd)
    chmod 700 "$folder"
    head --bytes 1024 /dev/urandom >"$folder/munge.key"
    chmod 600 "$folder/munge.key"
    munged --force --key-file "$folder/munge.key" --socket "$folder/munge.socket" --pid-file "$folder/munged.pid" \
        --log-file "$folder/munged.log" --seed-file "$folder/munged.seed" 2>"$folder/munged.start"
    local host port
    host=$(hostname -s)
    port=$((20000 + 2 * ($$ % 6000)))  # two ports each, as tests may start clusters one process number apart
    cat >"$folder/slurm.conf" <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket,cred_expire=20
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
KillWait=5
MinJobAge=300
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
    export SLURM_CONF=$folder/slurm.conf
    slurmctld -c >"$folder/slurmctld.start" 2>&1
    slurmd -c >"$folder/slurmd.start" 2>&1
    for _ in $(seq 100); do
        if [ "$(sinfo --noheader --format %T 2>/dev/null)" = idle ]; then
            echo "$SLURM_CONF"
            return
        fi
        sleep 0.2
    done
    tail -n 20 "$folder"/*.start "$folder"/*.log >&2
    stop
    exit 1
}

"$action"
