#pragma once
// manifest.json: what a run saved, what it could not, and the facts by which a restore proves itself.
//
//   source   docs/formats/manifest.md, version 1

#include <string>

#include "holdfast/source/stack.hpp"

namespace holdfast::source {

inline constexpr const char* k_manifest_name = "manifest.json";
inline constexpr int k_manifest_version = 1;

struct RunFacts {
    std::string stack, host, program;
    Timestamp started, finished;
};

json::Value make_manifest(const RunFacts& run, const StackReport& report);
/// unsupported for versions of later programs; corrupt without a version or components.
Status check_manifest(const json::Value& manifest, std::string_view what);

}    // namespace holdfast::source
