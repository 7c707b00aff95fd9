#include "holdfast/source/stack_manifest.hpp"

#include <fmt/core.h>

#include "holdfast/vault/restore.hpp"

namespace holdfast::source {

json::Value make_manifest(const RunFacts& run, const StackReport& report) {
    json::Value components = json::Value::array();
    for (const ComponentReport& component : report.components) {
        json::Value artefacts = json::Value::array();
        for (const std::string& path : component.artefacts) artefacts.push(path);
        json::Value one = json::Value::object(
            {{"name", component.name}, {"kind", component.kind}, {"status", std::string(component.status())}});
        if (component.error) {
            one.set("code", facts(component.error->code).name);
            one.set("why", component.error->message);
        }
        one.set("artefacts", std::move(artefacts));
        one.set("seconds", component.seconds);
        one.set("bytes", component.bytes);
        one.set("bytes_added", component.bytes_added);
        one.set("facts", component.saved ? component.facts : json::Value::object());
        components.push(std::move(one));
    }
    return json::Value::object({{"manifest_version", k_manifest_version},
                                {"program", run.program},
                                {"stack", run.stack},
                                {"host", run.host},
                                {"started", to_rfc3339(run.started)},
                                {"finished", to_rfc3339(run.finished)},
                                {"complete", report.complete},
                                {"components", std::move(components)}});
}

Status check_manifest(const json::Value& manifest, std::string_view what) {
    const std::int64_t version = manifest["manifest_version"].integer();
    if (version <= 0 || !manifest["components"].is_array())
        return fail(ErrorCode::corrupt, fmt::format("{} is no manifest", what), "run `holdfast check --read-data`");
    if (version > k_manifest_version)
        return fail(ErrorCode::unsupported,
                    fmt::format("{} has version {}, this program reads up to {}", what, version, k_manifest_version),
                    "use the holdfast that wrote it, or a later one; `--target` restores plain files in any case");
    return {};
}

Result<json::Value> read_manifest(const vault::Repository& repository, const vault::SnapshotEntry& snapshot) {
    auto node = repository.find_node(snapshot.snapshot.tree, k_manifest_name);
    if (!node && node.error().code == ErrorCode::not_found)
        return fail(ErrorCode::not_found,
                    fmt::format("snapshot {} has no manifest: it holds plain paths, not a stack", snapshot.id.brief()),
                    "restore it with --target FOLDER");
    HF_TRY(const format::Node found, std::move(node));
    HF_TRY(const Bytes content, vault::read_small(repository, found));
    const std::string what = fmt::format("manifest.json of snapshot {}", snapshot.id.brief());
    HF_TRY(json::Value manifest, json::parse(as_text(content), what));
    HF_DO(check_manifest(manifest, what));
    return manifest;
}

}    // namespace holdfast::source
