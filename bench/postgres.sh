#!/usr/bin/env bash
# PostgreSQL, physically and by dump, beside pgBackRest and bare pg_dump: in turns in the same run, and as ratios, since
# machines are noisy. Above 1 is faster (smaller) than the other.
#
#   bench/postgres.sh [SCALE [ROUNDS]]     SCALE of pgbench: 100 is 1.5 GB; the median of ROUNDS counts
#
# Needs pgbackrest and PostgreSQL 15's programs. Both repositories are encrypted; pgBackRest compresses with zst at its own
# level, with 2 processes. A restore's time ends with the first answer of a server that was started on it.
set -euo pipefail

scale=${1:-20} rounds=${2:-3}
here=$(cd "$(dirname "$0")/.." && pwd)
if [[ $(id -u) == 0 ]]; then exec runuser -u postgres -- "$here/bench/postgres.sh" "$@"; fi
holdfast=${HOLDFAST:-$here/build/bin/holdfast}
bin=${PGBIN:-/usr/lib/postgresql/15/bin}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/hf-bench-postgres.XXXXXX")
cd "$work"
export PGHOST=$work PGPORT=54871 PGUSER=postgres PGDATABASE=postgres HOME=$work HOLDFAST_CONFIG=$work/holdfast.toml
cleanup() {
    for data in data restored-h restored-p; do
        [[ -f $work/$data/postmaster.pid ]] && "$bin/pg_ctl" -D "$work/$data" -m immediate stop >/dev/null 2>&1
    done
    rm -rf "$work"
}
trap cleanup EXIT
TIMEFORMAT='%U %S'

say() { printf '%s\n' "$*"; }
ms() { date +%s%3N; }
timed() { # timed NAME COMMAND…: appends the milliseconds to NAME.ms, and those of all its processes to NAME.cpu
    local name=$1 start failed=; shift
    start=$(ms)
    { time "$@" >"${out:-$work/last.log}" 2>"$work/last.err" || failed=yes; } 2>"$work/last.time"
    [[ -z $failed ]] || { cat "$work/last.err" >&2; exit 1; }
    echo $(($(ms) - start)) >>"$work/$name.ms"
    awk '{print int(($1 + $2) * 1000)}' "$work/last.time" >>"$work/$name.cpu"
}
median() { sort -n "$work/$1.${2:-ms}" | awk '{v[NR]=$1} END {print v[int((NR+1)/2)]}'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN {printf "%.2f", a/b}'; }
size() { du -sb --apparent-size "$1" | cut -f1; }
start_server() { # start_server DATA [OPTIONS]
    "$bin/pg_ctl" -D "$1" -w -l "$work/log-$(basename "$1")" -o "-p $PGPORT -k $work -c listen_addresses= ${2:-}" start >/dev/null
}

"$bin/initdb" -D data -U postgres -A trust --no-sync >/dev/null
start_server data "-c max_wal_size=4GB -c archive_mode=on -c archive_command='pgbackrest --config=$work/pgbackrest.conf --stanza=bench archive-push %p'"
cat >pgbackrest.conf <<CONF
[global]
repo1-path=$work/repo-p
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass=bench
compress-type=zst
process-max=2
start-fast=y
log-path=$work
lock-path=$work/lock
spool-path=$work/spool
log-level-console=warn
[bench]
pg1-path=$work/data
pg1-port=$PGPORT
pg1-socket-path=$work
CONF
cat >holdfast.toml <<CONF
stack = "bench"
scratch_folder = "$work"
[repository]
location = "$work/repo-h"
password_file = "$work/password"
[[postgres]]
name = "cluster"
method = "physical"
host = "$work"
port = $PGPORT
data_folder = "$work/restored-h"
[[postgres]]
name = "dump"
host = "$work"
port = $PGPORT
databases = ["postgres"]
[[postgres]]
name = "desk"
host = "$work"
port = $PGPORT
databases = ["desk"]
CONF
"$bin/pgbench" -i -q -s "$scale" >/dev/null 2>&1
psql -qc CHECKPOINT
rows=$((scale * 100000))
say "cluster: $(psql -Atc 'SELECT pg_size_pretty(sum(pg_database_size(oid))) FROM pg_database'), $(nproc) processors"

new_repositories() {
    rm -rf repo-h repo-p spool
    rm -f password
    "$holdfast" init --no-detect --repo "$work/repo-h" --generate-key "$work/password" >/dev/null 2>&1 # pgBackRest stretches no key either
    pgbackrest --config="$work/pgbackrest.conf" --stanza=bench stanza-create >/dev/null
}
by_holdfast() { "$holdfast" backup --only cluster; }
by_pgbackrest() { pgbackrest --config="$work/pgbackrest.conf" --stanza=bench --type="$1" backup; }

for ((round = 1; round <= rounds; ++round)); do
    new_repositories
    if ((round % 2)); then
        timed full-h by_holdfast; timed full-p by_pgbackrest full
    else
        timed full-p by_pgbackrest full; timed full-h by_holdfast
    fi
    size_h=$(size repo-h) size_p=$(size repo-p/backup) # without the log, which has been archived for longer
    first=$((rows / 100 * round)) # another hundredth of the rows each time
    psql -qc "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid BETWEEN $first AND $((first + rows / 100))" -c CHECKPOINT
    if ((round % 2)); then
        timed changed-p by_pgbackrest incr; timed changed-h by_holdfast
    else
        timed changed-h by_holdfast; timed changed-p by_pgbackrest incr
    fi
    more_h=$(($(size repo-h) - size_h)) more_p=$(($(size repo-p/backup) - size_p))
done

expected=$(psql -Atc 'SELECT count(*), sum(abalance) FROM pgbench_accounts')
"$bin/pg_ctl" -D data -m fast -w stop >/dev/null
restore_h() { "$holdfast" restore latest --only cluster --yes && start_server "$work/restored-h" "-c archive_mode=off" && psql -Atc 'SELECT 1'; }
restore_p() {
    pgbackrest --config="$work/pgbackrest.conf" --stanza=bench --pg1-path="$work/restored-p" --type=immediate --target-action=promote restore &&
        start_server "$work/restored-p" "-c archive_mode=off" && psql -Atc 'SELECT 1'
}
for ((round = 1; round <= rounds; ++round)); do
    for who in h p; do
        rm -rf "restored-$who"
        [[ $who == p ]] && mkdir -m 700 restored-p
        timed "restore-$who" "restore_$who"
        [[ $(psql -Atc 'SELECT count(*), sum(abalance) FROM pgbench_accounts') == "$expected" ]] || { say "restored by $who: other rows"; exit 1; }
        "$bin/pg_ctl" -D "restored-$who" -m fast -w stop >/dev/null
    done
done

start_server data "-c archive_mode=off"
before=$(size repo-h); "$holdfast" backup --only dump >/dev/null 2>&1; dump_first=$(($(size repo-h) - before))
for ((round = 1; round <= rounds; ++round)); do
    out=/dev/null timed dump-bare "$bin/pg_dump" -Fc -Z0 postgres
    before=$(size repo-h)
    timed dump-h "$holdfast" backup --only dump
    dump_second=$(($(size repo-h) - before))
done

# Several tables with indexes and a foreign key, as desks have them: loaded by one connection and by two.
createdb desk
for table in orders fills quotes positions; do
    psql -qd desk -c "CREATE TABLE $table AS SELECT n AS id, n % 9973 AS account, md5(n::text) AS note,
        timestamptz '2026-01-01' + n * interval '1 second' AS at FROM generate_series(1, $((rows / 10))) n" \
        -c "ALTER TABLE $table ADD PRIMARY KEY (id)" -c "CREATE INDEX ON $table (account, at)" -c "CREATE INDEX ON $table (note)"
done
psql -qd desk -c "ALTER TABLE fills ADD FOREIGN KEY (id) REFERENCES orders"
"$holdfast" backup --only desk >/dev/null 2>&1
restore_desk() { "$holdfast" restore latest --only desk --yes --jobs "$1"; }
for ((round = 1; round <= rounds; ++round)); do
    for jobs in 1 2; do
        dropdb desk
        timed "desk-$jobs" restore_desk "$jobs"
    done
done

say "full:            holdfast $(median full-h) ms, pgBackRest $(median full-p) ms: $(ratio "$(median full-p)" "$(median full-h)")"
say "  CPU:           holdfast $(median full-h cpu) ms and the server's that sends, pgBackRest $(median full-p cpu)"
say "repository:      holdfast $size_h bytes, pgBackRest $size_p: $(ratio "$size_p" "$size_h")"
say "1 % changed:     holdfast $(median changed-h) ms, pgBackRest $(median changed-p) ms: $(ratio "$(median changed-p)" "$(median changed-h)")"
say "  stored:        holdfast $more_h bytes, pgBackRest $more_p"
say "restore + query: holdfast $(median restore-h) ms, pgBackRest $(median restore-p) ms: $(ratio "$(median restore-p)" "$(median restore-h)")"
say "  CPU:           holdfast $(median restore-h cpu) ms, pgBackRest $(median restore-p cpu): $(ratio "$(median restore-p cpu)" "$(median restore-h cpu)")"
say "second dump:     $(median dump-h) ms, bare pg_dump $(median dump-bare) ms: $(ratio "$(median dump-h)" "$(median dump-bare)") of its time; stored $dump_second of $dump_first bytes"
say "restore of a dump: by 2 connections $(median desk-2) ms, by 1 $(median desk-1): $(ratio "$(median desk-1)" "$(median desk-2)")"
