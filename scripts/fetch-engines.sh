#!/usr/bin/env bash
# Puts the database engines that Debian does not have into a cache folder outside the checkout, once a machine:
#   duckdb/libduckdb.so + duckdb.h   to build with and, at run time, to verify DuckDB copies
#   chdb/libchdb.so                  a modern ClickHouse engine, for tests and the demo only (pass --with-chdb)
#   azurite/node_modules             an Azure Blob server, for tests only (pass --with-azurite)
# Packages come from the npm client as it is configured, pinned by version and by SHA-512.
set -euo pipefail

cache=${HF_ENGINES:-$HOME/.cache/holdfast}
want_chdb=no want_azurite=no
for argument in "$@"; do
    case $argument in
        --with-chdb) want_chdb=yes ;;
        --with-azurite) want_azurite=yes ;;
    esac
done

# fetch PACKAGE SHA512 MEMBER DESTINATION
fetch() {
    local package=$1 sum=$2 member=$3 destination=$4
    [[ -s $destination ]] && return 0
    echo "fetching $package for $(basename "$destination")"
    local work tarball
    work=$(mktemp -d)
    # shellcheck disable=SC2064
    trap "rm -rf '$work'" RETURN
    tarball=$(cd "$work" && npm pack --silent "$package")
    if ! echo "$sum  $work/$tarball" | sha512sum --check --quiet; then
        echo "fetch-engines: $package does not have the expected SHA-512; not used" >&2
        return 1
    fi
    tar -xzf "$work/$tarball" -C "$work" "$member"
    mkdir -p "$(dirname "$destination")"
    mv "$work/$member" "$destination.part" && mv "$destination.part" "$destination"
}

if [[ ! -e /usr/include/duckdb.h ]] || ! ldconfig -p | grep -q 'libduckdb\.so'; then
    fetch @duckdb/node-bindings-linux-x64@1.5.6-r.1 21772b64913a904a8cd19e30c1d5671811d7fdface4b7dd53cd0300d743f43e16cf386f4e7c41ef78721ac208870d2651bc6375072145387817824315b998dd5 package/libduckdb.so "$cache/duckdb/libduckdb.so"
    # The bindings carry no header; 1.4.4's declares only functions that 1.5.6 exports unchanged.
    fetch duckdb@1.4.4 844249e61c9517454b8f776638ba6c5ab411d1bddde1892ab72826ea25178c72430e74aa83f5122b171be6abcdace84560f824b5ac94e9d5c2b603ea7269a9a2 package/src/duckdb/src/include/duckdb.h "$cache/duckdb/duckdb.h"
fi
if [[ $want_chdb == yes ]]; then
    fetch @chdb/lib-linux-x64-gnu@26.5.3 7cfacb991b79328a2bf721b3e266b36eb3637b8b7b5fd281da64c6917156471441b3688acbcca1ea3c75d71b1ad10af788314c53fc87a9df9b55d6095eedd069 package/libchdb.so "$cache/chdb/libchdb.so"
fi

# Azurite is a tree of packages: scripts/azurite/package-lock.json pins each by version and SHA-512.
azurite=$(dirname "$(readlink -f "$0")")/azurite
if [[ $want_azurite == yes ]] && ! cmp -s "$azurite/package-lock.json" "$cache/azurite/installed-lock.json"; then
    echo "fetching azurite"
    mkdir -p "$cache/azurite"
    cp "$azurite/package.json" "$azurite/package-lock.json" "$cache/azurite/"
    (cd "$cache/azurite" && npm ci --silent --ignore-scripts --omit=dev --no-audit --no-fund)
    cp "$azurite/package-lock.json" "$cache/azurite/installed-lock.json"
fi
