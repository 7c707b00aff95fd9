#pragma once
// A repository in a bucket of an S3 server, laid out as restic does it: <prefix>data/ab/<id>, <prefix>keys/<id> …
//
//   sent       every upload carries the SHA-256 of its bytes, which the server checks before it takes them. Packs wait in
//              a file under $TMPDIR (storage/spool.hpp), so memory does not grow with them; above `multipart_above` they
//              go in parts, and an upload that fails is aborted: nothing stays that would be paid for
//   config     never replaced: If-None-Match where the server knows it; else it is looked for before and read back after
//   encryption s3.sse is asked for with every upload, and its answer looked at: a server that ignored it is told of, once
//   durability a file is safe when put() or commit() returns; sync() has nothing to do
//   lists      at once on AWS; other servers are given a moment (vault/lock)
//   remove     looks first: S3 itself says "done" for a file that was never there. remove_many() does not, and sends up to
//              1000 names in one request (DeleteObjects) where the server knows it
//   source     docs/formats/locations.md

#include "holdfast/storage/backend.hpp"
#include "holdfast/storage/s3_client.hpp"

namespace holdfast::storage {

struct S3Settings {
    AwsCredentials credentials{};
    HttpOptions http{};
    std::uint64_t multipart_above = std::uint64_t(64) << 20;
    std::uint64_t part_size = std::uint64_t(16) << 20;    // at least 5 MiB: the servers' own limit
    std::uint64_t list_page = 1000;
    std::function<Timestamp()> now{};    // for tests
};

std::unique_ptr<Backend> s3_backend(S3Location location, S3Settings settings);
/// What open_backend calls for "s3:rest": credentials from the environment.
Result<std::unique_ptr<Backend>> open_s3(const std::string& rest, const BackendOptions& options);

}    // namespace holdfast::storage
