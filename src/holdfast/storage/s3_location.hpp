#pragma once
// What "s3:…" and its options say. Pure, but for the environment's default region.
//
//   forms    s3:https://host:port/bucket/prefix, s3:host/bucket/prefix (https), s3://host/bucket/prefix: as restic
//   options  s3.region, s3.bucket-lookup (auto, dns, path), s3.storage-class, s3.connections, s3.sse (AES256, aws:kms),
//            s3.sse-kms-key-id
//   errors   usage

#include "holdfast/storage/options.hpp"
#include "holdfast/storage/url.hpp"

namespace holdfast::storage {

struct S3Location {
    std::string scheme;    // "http" or "https"
    std::string authority;    // "host:port" of the server, without the bucket
    std::string bucket;
    std::string prefix;    // "" or "a/b/"
    std::string region;    // empty: not said; us-east-1 until the server says otherwise
    bool bucket_in_host = false;    // virtual-host style
    std::string storage_class;    // of packs; empty: the server's own choice
    std::string sse, sse_key;    // what the server shall encrypt with; empty: nothing is asked
    unsigned connections = 5;

    /// The Host header, and "/bucket/…" or "/…" before the key.
    std::string host() const { return bucket_in_host ? bucket + "." + authority : authority; }
    std::string base_path() const { return bucket_in_host ? "/" : "/" + bucket + "/"; }
    bool is_aws() const;
};

/// `rest` is what stands behind "s3:".
Result<S3Location> parse_s3_location(const std::string& rest, const BackendOptions& options);

}    // namespace holdfast::storage
