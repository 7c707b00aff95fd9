#include "holdfast/storage/backend.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>

#include "holdfast/storage/azure.hpp"
#include "holdfast/storage/limits.hpp"
#include "holdfast/storage/local.hpp"
#include "holdfast/storage/rest.hpp"
#include "holdfast/storage/retry.hpp"
#include "holdfast/storage/s3.hpp"
#include "holdfast/storage/sftp.hpp"

namespace holdfast::storage {

std::string relative_path(const FileName& name) {
    const auto below = [&](const char* folder) { return fmt::format("{}/{}", folder, name.id.hex()); };
    switch (name.kind) {
        case FileKind::config:
            return "config";
        case FileKind::key:
            return below("keys");
        case FileKind::index:
            return below("index");
        case FileKind::snapshot:
            return below("snapshots");
        case FileKind::lock:
            return below("locks");
        case FileKind::pack:
            break;
    }
    const std::string hex = name.id.hex();
    return fmt::format("data/{}/{}", std::string_view(hex).substr(0, 2), hex);
}

Status Backend::remove_many(std::span<const FileName> names, const std::function<void(const FileName&)>& gone) {
    Status first;
    for (const FileName& name : names) {
        auto removed = remove(name);
        if (removed || removed.error().code == ErrorCode::not_found)
            gone(name);
        else if (first)
            first = std::move(removed);
    }
    return first;
}

std::uint64_t read_size_max(FileKind kind) {
    switch (kind) {
        case FileKind::config:
        case FileKind::key:
        case FileKind::lock:
            return std::uint64_t(1) << 20;    // some hundred bytes in truth
        case FileKind::snapshot:
            return std::uint64_t(64) << 20;    // paths, tags and excludes are in it
        case FileKind::index:
            return std::uint64_t(512) << 20;    // 8 MiB in truth; old programs made longer ones
        case FileKind::pack:
            break;
    }
    return std::uint64_t(1) << 30;
}

namespace {

struct Scheme {
    std::string_view name;
    std::string_view form;    // for the hint
    Result<std::unique_ptr<Backend>> (*open)(const std::string& rest, const BackendOptions& options);
    bool network;    // new attempts can help
    std::string_view options;    // the keys that -o scheme.key=value may have, each with a blank after it
};

Result<std::unique_ptr<Backend>> open_local(const std::string& rest, const BackendOptions&) {
    if (rest.empty()) return fail(ErrorCode::usage, "the location local: names no path");
    return local_backend(rest);
}

// A new kind of storage is one line here, one page in docs/formats/locations.md and one program that runs the suite.
constexpr Scheme k_schemes[] = {
    {"local", "local:<path>", open_local, false, ""},
    {"sftp", "sftp:user@host:<path>", open_sftp, true, "identity known-hosts command connections timeout "},
    {"s3", "s3:https://<host>/<bucket>/<folder>", open_s3, true,
     "region bucket-lookup storage-class connections sse sse-kms-key-id "},
    {"azure", "azure:<container>:/<folder>", open_azure, true, "connections access-tier endpoint "},
    {"rest", "rest:https://host/<path>/", open_rest, true, "connections timeout "},
};

const Scheme* find_scheme(std::string_view name) {
    const auto* found = std::find_if(std::begin(k_schemes), std::end(k_schemes),
                                     [&](const Scheme& scheme) { return scheme.name == name; });
    return found == std::end(k_schemes) ? nullptr : found;
}

// "scheme:rest" is a kind of storage; a path with a colon further back ("/a/b:c", "./x:y") is a path: npos.
std::size_t scheme_end(const std::string& location) {
    const std::size_t colon = location.find(':');
    return colon == 0 || location.find('/') < colon ? std::string::npos : colon;
}

// An option that nobody knows would be believed to work.
Status check_options(const BackendOptions& options) {
    for (const auto& [key, value] : options.extended) {
        const std::size_t dot = key.find('.');
        const std::string scheme = key.substr(0, dot);
        const Scheme* known = find_scheme(scheme);
        const std::string wanted = key.substr(dot + 1) + " ";
        if (!known || (" " + std::string(known->options)).find(" " + wanted) == std::string::npos)
            return fail(ErrorCode::usage, fmt::format("the option {} is not known", key),
                        !known || known->options.empty()
                            ? "options are written as scheme.key=value, for example s3.region=eu-central-1"
                            : fmt::format("for {}: the keys are {}", scheme, known->options));
    }
    return {};
}

}    // namespace

Result<std::unique_ptr<Backend>> open_backend(const std::string& location, const BackendOptions& options) {
    if (location.empty()) return fail(ErrorCode::usage, "no repository was named", "give its path");
    HF_DO(check_options(options));
    const std::size_t colon = scheme_end(location);
    if (colon == std::string::npos) return local_backend(location);
    if (const Scheme* scheme = find_scheme(std::string_view(location).substr(0, colon)))
        return scheme->open(location.substr(colon + 1), options);
    std::string forms;
    for (const Scheme& scheme : k_schemes) forms += fmt::format(", {}", scheme.form);
    return fail(ErrorCode::unsupported,
                fmt::format("storage of the kind \"{}\" is not known", location.substr(0, colon)),
                fmt::format("known are a path{}; write ./ before a path that holds a colon", forms));
}

Result<std::unique_ptr<Backend>> open_backend(const std::string& location, const BackendOptions& options,
                                              Clock& clock) {
    const std::size_t colon = scheme_end(location);
    const Scheme* scheme =
        colon == std::string::npos ? nullptr : find_scheme(std::string_view(location).substr(0, colon));
    BackendOptions paced = options;
    if (scheme && scheme->network) paced.pace = make_paces(options.upload_max, options.download_max, clock);
    HF_TRY(auto backend, open_backend(location, paced));
    if (!scheme || !scheme->network)
        return limited_backend(std::move(backend), {.upload = options.upload_max, .download = options.download_max},
                               clock);
    return retrying_backend(
        std::move(backend),
        {.rule = {}, .first_contact = first_contact_rule(options.first_contact_max), .chance = {}, .counters = {}},
        clock);
}

}    // namespace holdfast::storage
