#include "holdfast/capi/holdfast_config.h"

#include <fmt/core.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>

#include "holdfast/capi/guarded.hpp"
#include "holdfast/keep/in_place.hpp"
#include "holdfast/keep/versions.hpp"
#include "holdfast/os/file.hpp"

using namespace holdfast;

namespace {

thread_local std::string t_error;

hfc_code failed(hfc_code code, std::string text) {
    t_error = std::move(text);
    return code;
}

hfc_code failed(const Error& error) {
    return failed(error.code == ErrorCode::usage ? HFC_USAGE : HFC_IO, error.message);
}

template <class Call>
hfc_code guarded(Call&& call) noexcept {
    return capi::guarded<hfc_code>(HFC_INTERNAL, t_error, call);
}

struct Asked {
    std::string path, versions_folder;
    policy::DocumentFormat format = policy::DocumentFormat::json;
    unsigned versions = 5;
    std::size_t size_max = std::size_t(1) << 20;

    keep::Versions kept() const { return {versions_folder, path}; }
};

Result<Asked> read(const char* path, const hfc_options* given) {
    if (!path || !*path) return fail(ErrorCode::usage, "no path was given");
    // A caller that was built with an older header knows fewer members.
    hfc_options options{};
    if (given) {
        if (given->size < offsetof(hfc_options, size_max) + sizeof(std::size_t))
            return fail(ErrorCode::usage, "hfc_options.size is not set");
        std::memcpy(&options, given, std::min(given->size, sizeof options));
    }
    Asked asked;
    asked.path = os::absolute_path(path);
    const auto by_name = policy::document_format(asked.path);
    bool known = by_name.has_value();
    if (by_name) asked.format = *by_name;
    if (options.format) {
        known = false;
        for (const auto one : {policy::DocumentFormat::json, policy::DocumentFormat::toml, policy::DocumentFormat::env,
                               policy::DocumentFormat::text})
            if (options.format == policy::to_text(one)) asked.format = one, known = true;
    }
    if (!known)
        return fail(ErrorCode::usage,
                    options.format ? fmt::format("no such format: {}", options.format)
                                   : fmt::format("the format of {} does not show in its name: set format", asked.path));
    if (options.versions_folder && options.versions_folder[0] != '/')
        return fail(ErrorCode::usage, "versions_folder is not an absolute path");
    asked.versions_folder = keep::versions_folder(asked.path, options.versions_folder ? options.versions_folder : "");
    if (options.versions) asked.versions = options.versions;
    if (options.size_max) asked.size_max = std::min<std::size_t>(options.size_max, keep::k_document_size_max);
    return asked;
}

Timestamp now() {
    const auto since = std::chrono::system_clock::now().time_since_epoch();
    return {std::chrono::duration_cast<std::chrono::nanoseconds>(since).count()};
}

hfc_code hand_over(std::string_view content, std::uint64_t version, hfc_loaded& loaded) {
    char* data = static_cast<char*>(std::malloc(content.size() + 1));
    if (!data) return failed(HFC_INTERNAL, "out of memory");
    std::memcpy(data, content.data(), content.size());
    data[content.size()] = 0;
    loaded.data = data;
    loaded.length = content.size();
    loaded.version = version;
    return HFC_OK;
}

}    // namespace

extern "C" {

int hfc_api_version(void) { return HFC_API_VERSION; }

const char* hfc_code_name(int code) {
    switch (code) {
        case HFC_OK:
            return "HFC_OK";
        case HFC_USAGE:
            return "HFC_USAGE";
        case HFC_INVALID:
            return "HFC_INVALID";
        case HFC_TOO_LONG:
            return "HFC_TOO_LONG";
        case HFC_NOT_FOUND:
            return "HFC_NOT_FOUND";
        case HFC_IO:
            return "HFC_IO";
        default:
            return "HFC_INTERNAL";
    }
}

const char* hfc_last_error(void) { return t_error.c_str(); }

hfc_code hfc_write(const char* path, const void* data, size_t length, const hfc_options* options) {
    return guarded([&]() -> hfc_code {
        if (!data) return failed(HFC_USAGE, "no content was given");
        const auto asked = read(path, options);
        if (!asked) return failed(asked.error());
        const std::string_view content(static_cast<const char*>(data), length);
        if (length > asked->size_max)
            return failed(HFC_TOO_LONG, fmt::format("{}: {} bytes, and at most {} are allowed", asked->path, length,
                                                    asked->size_max));
        if (const auto fault = policy::find_fault(content, asked->format))
            return failed(HFC_INVALID, policy::fault_text(asked->path, *fault));
        // The version first: a crash between the two leaves the old file, which is good, and never a file without its version.
        const auto kept = asked->kept().keep(content, now(), asked->versions);
        if (!kept) return failed(kept.error());
        const auto put = keep::put(asked->path, content);
        return put ? HFC_OK : failed(put.error());
    });
}

hfc_code hfc_load(const char* path, const hfc_options* options, hfc_loaded* loaded) {
    return guarded([&]() -> hfc_code {
        if (!loaded || loaded->size < offsetof(hfc_loaded, version) + sizeof(std::uint64_t))
            return failed(HFC_USAGE, "hfc_loaded.size is not set");
        loaded->data = nullptr;
        loaded->length = 0;
        loaded->version = 0;
        const auto asked = read(path, options);
        if (!asked) return failed(asked.error());
        std::string why;
        if (const auto present = os::read_text(asked->path, keep::k_document_size_max)) {
            const auto fault = policy::find_fault(*present, asked->format);
            if (!fault) return hand_over(*present, 0, *loaded);
            why = policy::fault_text(asked->path, *fault);
        } else {
            why = present.error().message;
        }
        const auto newest = asked->kept().newest_valid(asked->format);
        if (!newest) return failed(HFC_IO, fmt::format("{}; {}", why, newest.error().message));
        if (!*newest)
            return failed(HFC_NOT_FOUND, fmt::format("{}; no good version is kept in {}", why, asked->versions_folder));
        t_error = std::move(why);
        return hand_over((*newest)->content, (*newest)->version.number, *loaded);
    });
}

void hfc_free(char* data) { std::free(data); }

}    // extern "C"
