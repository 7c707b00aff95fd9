#pragma once
// A repository in a container of Azure Blob storage, laid out as restic does it: <prefix>data/ab/<id>, <prefix>keys/<id> …
//
//   sent       every upload carries the MD5 of its bytes, which the server checks before it takes them. Packs wait in a file
//              under $TMPDIR (storage/spool.hpp); above `blocks_above` they go in blocks that become a blob in one step;
//              blocks of an upload that failed are invisible and forgotten by Azure after a week
//   config     never replaced (If-None-Match)
//   durability a file is safe when put() or commit() returns; sync() has nothing to do
//   errors     as storage/s3_client.hpp
//   source     docs/formats/locations.md; REST version 2021-08-06

#include "holdfast/storage/azure_location.hpp"
#include "holdfast/storage/backend.hpp"

namespace holdfast::storage {

struct AzureSettings {
    AzureCredentials credentials{};
    HttpOptions http{};
    std::uint64_t blocks_above = std::uint64_t(64) << 20;
    std::uint64_t block_size = std::uint64_t(16) << 20;
    std::uint64_t list_page = 1000;
};

std::unique_ptr<Backend> azure_backend(AzureLocation location, AzureSettings settings);
/// What open_backend calls for "azure:rest": credentials from the environment.
Result<std::unique_ptr<Backend>> open_azure(const std::string& rest, const BackendOptions& options);

}    // namespace holdfast::storage
