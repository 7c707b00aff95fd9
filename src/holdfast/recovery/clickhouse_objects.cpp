#include "holdfast/recovery/clickhouse_objects.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <optional>

#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery::clickhouse {

using source::clickhouse::ServerObject;

namespace {

constexpr std::size_t k_ddl_max = 4 << 20;

std::string title(const ServerObject& object) {
    return object.kind == "grants" ? "what is granted to " + object.name : object.kind + " " + object.name;
}

// Only the number: see make_objects().
std::string reason(const Error& error) {
    const auto at = error.message.rfind("(code ");
    return at == std::string::npos ? std::string("the server refused it")
                                   : "the server refused it " + error.message.substr(at);
}

bool ends_all(ErrorCode code) { return code == ErrorCode::unreachable || code == ErrorCode::cancelled; }

// Grants are a statement a line.
Status execute(const Loader& loader, const ServerObject& object) {
    if (object.kind != "grants") return loader.client.execute(object.ddl);
    std::size_t begin = 0;
    while (begin < object.ddl.size()) {
        const std::size_t end = std::min(object.ddl.find('\n', begin), object.ddl.size());
        if (end > begin) HF_DO(loader.client.execute(object.ddl.substr(begin, end - begin)));
        begin = end + 1;
    }
    return {};
}

std::string plural(const std::string& kind) {
    if (kind == "row policy") return "row policies";
    return kind == "grants" ? "sets of grants" : kind + "s";
}

void skip(const Loader& loader, json::Value& skipped, const ServerObject& object, const std::string& why) {
    loader.context.say(fmt::format("not made: {}: {}", title(object), why));
    skipped.push(json::Value::object({{"kind", object.kind}, {"name", object.name}, {"why", why}}));
}

}    // namespace

Result<std::vector<SavedObject>> read_objects(db::clickhouse::Client& client, const RestoreContext& context) {
    std::vector<SavedObject> objects;
    if (context.tables != nullptr || context.facts["objects"].items().empty()) return objects;
    HF_TRY(const auto present, source::clickhouse::list_objects(client, true));
    std::map<std::pair<std::string, std::string>, const ServerObject*> there;
    for (const ServerObject& object : present.objects) there[{object.kind, object.name}] = &object;
    for (const json::Value& facts : context.facts["objects"].items()) {
        SavedObject saved{{facts["kind"].text(), facts["name"].text(), {}}};
        HF_TRY(const auto node, context.repository.find_node(context.snapshot.snapshot.tree,
                                                             context.folder + "/" + facts["file"].text()));
        HF_TRY(const auto bytes, vault::read_small(context.repository, node, k_ddl_max));
        saved.object.ddl = as_text(bytes);
        while (!saved.object.ddl.empty() && saved.object.ddl.back() == '\n') saved.object.ddl.pop_back();
        const auto found = there.find({saved.object.kind, saved.object.name});
        saved.there = found != there.end();
        saved.same = saved.there && found->second->ddl == saved.object.ddl;
        objects.push_back(std::move(saved));
    }
    // A user who is there keeps the rights that he has.
    for (SavedObject& saved : objects)
        if (saved.object.kind == "grants" && !saved.there)
            saved.there = std::ranges::any_of(objects, [&](const SavedObject& other) {
                return other.there && other.object.kind + " " + other.object.name == saved.object.name;
            });
    return objects;
}

std::vector<PlanStep> steps_for(const std::vector<SavedObject>& objects) {
    std::map<std::string, std::size_t> missing;
    std::string differing;
    for (const SavedObject& saved : objects) {
        if (!saved.there) ++missing[saved.object.kind];
        if (saved.there && !saved.same) differing += (differing.empty() ? "" : ", ") + title(saved.object);
    }
    std::vector<PlanStep> steps;
    std::string counts;
    for (const auto& [kind, count] : missing)
        counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", count, count == 1 ? kind : plural(kind));
    if (!counts.empty()) steps.push_back({"create what the server lacks beside its tables: " + counts, 0, false});
    if (!differing.empty())
        steps.push_back({"leave as they are on the server, though the backup has others: " + differing, 0, false});
    return steps;
}

Status make_objects(const Loader& loader, const std::vector<SavedObject>& objects, bool needed_by_tables,
                    json::Value& report) {
    json::Value made = report["made"], skipped = report["skipped"];
    if (!made.is_array()) made = json::Value::array();
    if (!skipped.is_array()) skipped = json::Value::array();
    std::vector<const ServerObject*> waiting;
    for (const SavedObject& saved : objects) {
        if (saved.object.needed_by_tables() != needed_by_tables) continue;
        if (!saved.there) waiting.push_back(&saved.object);
        if (saved.there && !saved.same)
            skip(loader, skipped, saved.object, "the server has another one under that name");
    }
    // Functions may use functions, roles other roles: what cannot be made yet is tried again as long as others succeed.
    while (!waiting.empty()) {
        std::vector<std::pair<const ServerObject*, Error>> later;
        for (const ServerObject* object : waiting) {
            Status done = execute(loader, *object);
            if (done) {
                made.push(json::Value::object({{"kind", object->kind}, {"name", object->name}}));
                continue;
            }
            if (ends_all(done.error().code)) return done;
            later.emplace_back(object, done.error());
        }
        if (later.size() == waiting.size()) {
            if (needed_by_tables)
                return fail(later[0].second.code,
                            fmt::format("creating {}: {}", title(*later[0].first), reason(later[0].second)),
                            "its statement is in the snapshot: `holdfast dump latest`; tables and views may need it");
            for (const auto& [object, error] : later) skip(loader, skipped, *object, reason(error));
            break;
        }
        waiting.clear();
        for (const auto& [object, error] : later) waiting.push_back(object);
    }
    report.set("made", std::move(made));
    report.set("skipped", std::move(skipped));
    return {};
}

}    // namespace holdfast::recovery::clickhouse
