#include "holdfast/vault/mirror_plan.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/base/json.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;
using storage::FileName;

// A file that another one needs travels before it, and leaves after it.
int send_order(FileKind kind) {
    switch (kind) {
        case FileKind::key:
            return 0;
        case FileKind::config:
            return 1;
        case FileKind::pack:
            return 2;
        case FileKind::index:
            return 3;
        default:
            return 4;
    }
}

// A handful of files may be more than half of a young repository.
constexpr std::size_t k_mass_least = 8;

constexpr std::string_view k_kinds[] = {"config", "key", "pack", "index", "snapshot", "lock"};

std::string find_suspicion(const Listing& source, const Listing& mirror, std::size_t newly_gone) {
    const auto snapshots = [](const Listing& files) {
        return std::ranges::count_if(files, [](const auto& file) { return file.first.kind == FileKind::snapshot; });
    };
    const auto at_mirror = snapshots(mirror);
    if (at_mirror > 0 && snapshots(source) == 0)
        return fmt::format("the repository has no snapshot any more, the mirror has {}", at_mirror);
    if (newly_gone >= k_mass_least && newly_gone * 2 > mirror.size())
        return fmt::format("{} of the {} files at the mirror are gone in the repository at once", newly_gone,
                           mirror.size());
    return {};
}

}    // namespace

MirrorPlan plan_mirror(const Listing& source, const Listing& mirror, const MirrorMemory& memory,
                       const MirrorRules& rules, const std::function<bool(const Id& pack)>& is_named, Timestamp now) {
    MirrorPlan plan;
    plan.memory = memory;
    plan.memory.gone.clear();
    plan.memory.looked_at = now;

    for (const auto& [name, size] : source) {
        const auto there = mirror.find(name);
        if (there == mirror.end())
            plan.send.push_back({name, size});
        else if (there->second != size)
            plan.resend.push_back({name, size});
    }
    std::ranges::stable_sort(plan.send, {}, [](const MirrorFile& file) { return send_order(file.name.kind); });

    std::vector<FileName> gone;
    std::size_t newly_gone = 0;
    for (const auto& [name, size] : mirror) {
        if (source.contains(name) || name.kind == FileKind::config) continue;
        if (name.kind == FileKind::pack && is_named(name.id)) {
            ++plan.lost_at_source;
            continue;
        }
        gone.push_back(name);
        if (!memory.gone.contains(name)) ++newly_gone;
    }
    if (!rules.accept_mass_deletion) plan.suspicion = find_suspicion(source, mirror, newly_gone);
    plan.waiting = gone.size();
    if (rules.append_only) return plan;
    if (!plan.suspicion.empty()) {
        // What was known to be gone stays known, but grows no older.
        for (const FileName& name : gone)
            if (const auto known = memory.gone.find(name); known != memory.gone.end()) plan.memory.gone.insert(*known);
        return plan;
    }

    const Duration passed = memory.looked_at.nanoseconds > 0
                                ? std::clamp<Duration>(now - memory.looked_at, Duration(0), rules.grace / 2)
                                : Duration(0);
    for (const FileName& name : gone) {
        const auto known = memory.gone.find(name);
        const Duration age = known == memory.gone.end() ? Duration(0) : known->second + passed;
        plan.memory.gone[name] = age;
        if (age >= rules.grace) plan.remove.push_back(name);
    }
    plan.waiting -= plan.remove.size();
    std::ranges::stable_sort(plan.remove, std::greater(), [](const FileName& name) { return send_order(name.kind); });
    return plan;
}

std::string encode(const MirrorMemory& memory) {
    json::Value gone = json::Value::array();
    for (const auto& [name, age] : memory.gone)
        gone.push(json::Value::object(
            {{"kind", k_kinds[static_cast<std::size_t>(name.kind)]},
             {"id", name.id.hex()},
             {"seconds", static_cast<std::int64_t>(std::chrono::duration_cast<std::chrono::seconds>(age).count())}}));
    json::Value all = json::Value::object({{"version", 1}});
    const auto time = [&](const char* key, Timestamp at) {
        if (at.nanoseconds > 0) all.set(key, to_rfc3339(at));
    };
    time("looked_at", memory.looked_at);
    time("complete_at", memory.complete_at);
    time("verified_at", memory.verified_at);
    all.set("gone", std::move(gone));
    return dump(all, 1) + "\n";
}

Result<MirrorMemory> decode_mirror_memory(std::string_view text, std::string_view what) {
    HF_TRY(const json::Value all, json::parse(text, what));
    const auto bad = [&](std::string_view why) { return fail(ErrorCode::corrupt, fmt::format("{}: {}", what, why)); };
    if (all["version"].integer() != 1) return bad("its version is not known");
    MirrorMemory memory;
    for (const auto& [key, to] : {std::pair{"looked_at", &memory.looked_at},
                                  {"complete_at", &memory.complete_at},
                                  {"verified_at", &memory.verified_at}}) {
        if (all[key].is_null()) continue;
        HF_TRY(*to, parse_rfc3339(all[key].text()));
    }
    for (const json::Value& entry : all["gone"].items()) {
        const std::string kind_text = entry["kind"].text();
        const auto kind = std::ranges::find(k_kinds, kind_text);
        const auto id = Id::parse(entry["id"].text());
        const std::int64_t age = entry["seconds"].integer(-1);
        constexpr std::int64_t k_years_100 = std::int64_t(100) * 366 * 86400;
        if (kind == std::end(k_kinds) || !id || age < 0 || age > k_years_100) return bad("an entry makes no sense");
        memory.gone[{static_cast<FileKind>(kind - std::begin(k_kinds)), *id}] = std::chrono::seconds(age);
    }
    return memory;
}

}    // namespace holdfast::vault
