#pragma once
// The 3-2-1 rule: three copies of the data (the live data is the first), on two kinds of storage, one of them off-site.
// Pure: what is known of each copy comes in, what counts and what is missing comes out.
//
//   counts     a copy that could be looked at, is whole and is not too old; two on one device count once
//   source     docs/operations/three-two-one.md

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::policy {

enum class StorageKind { disk, object, tape, other };
std::string_view to_text(StorageKind kind);

/// What a location is likely to be: s3:, azure:, gs:, b2: and swift: are object storage, the rest disks.
StorageKind guess_storage_kind(std::string_view location);
/// Whether it names another host than this one: "sftp:backup@far.example:/srv", "rest:https://far.example/". A path, and
/// localhost, are on-site.
bool guess_off_site(std::string_view location);

struct CopyFacts {
    std::string name;    // "live data", "repository", or the mirror's
    std::string location;
    StorageKind kind = StorageKind::disk;
    bool off_site = false;
    std::string device;    // two copies with the same text die together; empty: not known, so its own
    std::string trouble;    // why it does not count: "not reachable", "40 hours behind"; empty: it counts
};

struct CopiesReport {
    unsigned copies = 0, kinds = 0, off_site = 0;    // of those that count
    std::vector<CopyFacts> list;    // as it came in, with the trouble of copies on a shared device filled in
    std::vector<std::string> missing;    // a sentence each, with what would help
    bool satisfied() const { return missing.empty(); }
};

/// In the order given; of several on one device the first one counts.
CopiesReport count_copies(std::vector<CopyFacts> copies);

}    // namespace holdfast::policy
