#include "holdfast/policy/copies.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <set>

namespace holdfast::policy {
namespace {

// "scheme" of "scheme:rest"; empty for paths ("/a/b:c", "./x:y", "C").
std::string_view scheme_of(std::string_view location) {
    const std::size_t colon = location.find(':');
    if (colon == std::string_view::npos || colon == 0 || colon > location.find('/')) return {};
    return location.substr(0, colon);
}

// The host in "sftp:user@host:/path", "sftp://user@host:22/path", "rest:https://user:word@host:8000/", "s3:host/bucket".
std::string_view host_of(std::string_view location) {
    std::string_view rest = location.substr(scheme_of(location).size() + 1);
    if (const std::size_t slashes = rest.find("://"); slashes != std::string_view::npos)
        rest.remove_prefix(slashes + 3);
    if (rest.starts_with("//")) rest.remove_prefix(2);
    rest = rest.substr(0, rest.find('/'));
    if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) rest.remove_prefix(at + 1);
    if (rest.starts_with('[')) return rest.substr(1, rest.find(']') - 1);
    return rest.substr(0, rest.find(':'));
}

}    // namespace

std::string_view to_text(StorageKind kind) {
    switch (kind) {
        case StorageKind::disk:
            return "disk";
        case StorageKind::object:
            return "object";
        case StorageKind::tape:
            return "tape";
        case StorageKind::other:
            break;
    }
    return "other";
}

StorageKind guess_storage_kind(std::string_view location) {
    for (const std::string_view object : {"s3", "azure", "gs", "b2", "swift"})
        if (scheme_of(location) == object) return StorageKind::object;
    return StorageKind::disk;
}

bool guess_off_site(std::string_view location) {
    const std::string_view scheme = scheme_of(location);
    if (scheme.empty() || scheme == "local") return false;
    const std::string_view host = host_of(location);
    return host != "localhost" && host != "::1" && !host.starts_with("127.");
}

CopiesReport count_copies(std::vector<CopyFacts> copies) {
    CopiesReport report;
    std::set<std::string> devices;
    std::set<StorageKind> kinds;
    for (CopyFacts& copy : copies) {
        if (copy.trouble.empty() && !copy.device.empty() && !devices.insert(copy.device).second)
            copy.trouble = "on the same device as another copy";
        if (!copy.trouble.empty()) continue;
        ++report.copies;
        kinds.insert(copy.kind);
        report.off_site += copy.off_site;
    }
    report.kinds = static_cast<unsigned>(kinds.size());
    report.list = std::move(copies);
    if (report.copies < 3)
        report.missing.push_back(fmt::format("{} cop{} instead of 3: add a [[mirror]], or mend those that do not count",
                                             report.copies, report.copies == 1 ? "y" : "ies"));
    if (report.kinds < 2)
        report.missing.push_back(
            fmt::format("{} kind{} of storage instead of 2: put a mirror on object storage or tape", report.kinds,
                        report.kinds == 1 ? "" : "s"));
    if (report.off_site < 1)
        report.missing.push_back("no copy off-site: put a mirror on another host, as sftp:, rest:, s3: or azure:");
    return report;
}

}    // namespace holdfast::policy
