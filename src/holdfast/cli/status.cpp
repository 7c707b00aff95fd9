// holdfast status: is the newest backup good, how old is it, and where else does it lie?

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/mirrors.hpp"
#include "holdfast/cli/newest.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/snapshot_json.hpp"
#include "holdfast/policy/copies.hpp"
#include "holdfast/policy/password_age.hpp"
#include "holdfast/vault/key_change.hpp"

namespace holdfast::cli {
namespace {

// Of the password that opened the repository (DD-06). Nullopt: its key file cannot be read any more.
std::optional<policy::PasswordVerdict> judge(const vault::Repository& repository, const policy::Config& config,
                                             Timestamp now) {
    const auto keys = vault::list_keys(repository, [](const Id&, const Error&) {});
    if (!keys) return std::nullopt;
    for (const vault::KeyEntry& key : *keys)
        if (key.current) return policy::judge_password(key.created, now, config.repository.password_max_age_days);
    return std::nullopt;
}

json::Value copies_json(const policy::CopiesReport& report) {
    json::Value list = json::Value::array();
    for (const policy::CopyFacts& copy : report.list)
        list.push(json::Value::object({{"name", copy.name},
                                       {"location", copy.location},
                                       {"kind", policy::to_text(copy.kind)},
                                       {"off_site", copy.off_site},
                                       {"counts", copy.trouble.empty()},
                                       {"trouble", copy.trouble}}));
    return json::Value::object({{"satisfied", report.satisfied()},
                                {"copies", report.copies},
                                {"kinds", report.kinds},
                                {"off_site", report.off_site},
                                {"missing", strings_json(report.missing)},
                                {"list", std::move(list)}});
}

class StatusCommand final : public Command {
    std::string_view name() const override { return "status"; }
    std::string_view help() const override { return "how old the newest backups are, and where copies lie"; }
    std::string_view examples() const override {
        return R"(Examples
  holdfast status                                  newest whole snapshot of each component, mirrors, password
  holdfast status --copies                         three copies, two kinds of storage, one off-site?

Exit code 3: a newest snapshot is incomplete, a mirror is too far behind, or (--copies) the 3-2-1 rule is not satisfied.
)";
    }
    void declare(Options& options) override {
        options.flag("--copies", copies_only_, "count copies, kinds of storage and off-site ones");
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const auto loaded, load_config_if_needed(session.global));
        const policy::Config config = loaded ? loaded->config : policy::Config{};
        HF_TRY(const auto repository, open_repository(session, loaded ? &loaded->config : nullptr));
        std::vector<MirrorState> mirrors;
        for (const policy::MirrorConfig& mirror : config.mirrors)
            mirrors.push_back(look_at_mirror(session, config, *repository, mirror));
        const policy::CopiesReport copies = count(*repository, mirrors, session.clock.now());
        if (copies_only_) return show_copies(session, copies);

        HF_DO(repository->load_index());
        HF_TRY(const auto snapshots, repository->snapshots([](const Id&, const Error&) {}));
        const auto saved = newest_of_each(*repository, snapshots);
        const auto key = judge(*repository, config, session.clock.now());
        const bool bad = std::ranges::any_of(saved, [](const auto& s) { return s.second.incomplete.has_value(); }) ||
                         std::ranges::any_of(mirrors, [](const auto& m) { return m.stale; }) || snapshots.empty();
        if (session.global.json)
            print_json(as_json(*repository, snapshots.size(), saved, key, mirrors, copies, session.clock.now()));
        else
            show(*repository, snapshots.size(), saved, key, mirrors, copies, session.clock.now());
        return bad ? facts(ErrorCode::incomplete).exit_status : 0;
    }

    static policy::CopiesReport count(vault::Repository& repository, const std::vector<MirrorState>& mirrors,
                                      Timestamp now) {
        const std::string location = repository.backend().location();
        std::vector<policy::CopyFacts> copies{{"live data", "", policy::StorageKind::disk, false, "", ""}};
        const auto snapshots = repository.snapshots([](const Id&, const Error&) {});
        copies.push_back({"repository", location, policy::guess_storage_kind(location),
                          policy::guess_off_site(location), device_of(location),
                          snapshots && !snapshots->empty() ? "" : "holds no snapshot"});
        for (const MirrorState& mirror : mirrors)
            copies.push_back({mirror.config.name, mirror.config.location, mirror.config.kind, mirror.config.off_site,
                              mirror.device, mirror.error || mirror.stale ? mirror.text(now) : ""});
        return policy::count_copies(std::move(copies));
    }

    static int show_copies(const Session& session, const policy::CopiesReport& report) {
        if (session.global.json) {
            print_json(copies_json(report));
        } else {
            Table table({"Copy", "Kind", "Off-site", "Counts", "Location"});
            for (const policy::CopyFacts& copy : report.list)
                table.row({copy.name, std::string(policy::to_text(copy.kind)), copy.off_site ? "yes" : "no",
                           copy.trouble.empty() ? "yes" : "no: " + copy.trouble, printable(copy.location)});
            print(table.text(1));
            print(summary(report));
        }
        return report.satisfied() ? 0 : facts(ErrorCode::incomplete).exit_status;
    }

    static std::string summary(const policy::CopiesReport& report) {
        std::string text = fmt::format(
            "3-2-1: {} copies, {} kinds of storage, {} off-site: {}\n", report.copies, report.kinds, report.off_site,
            report.satisfied() ? painted(1, Colour::green, "satisfied") : painted(1, Colour::yellow, "not satisfied"));
        for (const std::string& missing : report.missing) text += "  " + missing + '\n';
        return text;
    }

    static void show(const vault::Repository& repository, std::size_t count, const std::map<std::string, Saved>& saved,
                     const std::optional<policy::PasswordVerdict>& key, const std::vector<MirrorState>& mirrors,
                     const policy::CopiesReport& copies, Timestamp now) {
        print(fmt::format("repository {} at {}: {} snapshot{}\n", repository.config().id.brief(),
                          printable(repository.backend().location()), count, count == 1 ? "" : "s"));
        Table table({"Component", "Kind", "Newest whole", "Age", "Trouble"}, {false, false, false, true, false});
        for (const auto& [name, s] : saved)
            table.row({printable(name), s.kind, s.complete ? s.complete->id.brief() : "none",
                       s.complete ? human_age(now - s.complete->snapshot.time) : "",
                       s.incomplete
                           ? fmt::format("incomplete {} ago in {}: {}", human_age(now - s.incomplete->snapshot.time),
                                         s.incomplete->id.brief(), printable(s.why))
                           : ""});
        if (!saved.empty()) print(table.text(1));
        for (const MirrorState& mirror : mirrors)
            print(fmt::format("mirror {}: {}\n", mirror.config.name,
                              mirror.stale ? painted(1, Colour::yellow, mirror.text(now)) : mirror.text(now)));
        if (key)
            print(fmt::format("password: {} old{}\n", human_age(key->age),
                              key->state == policy::PasswordState::due
                                  ? painted(1, Colour::yellow, "; due for a change: `holdfast key passwd`")
                              : key->state == policy::PasswordState::due_soon
                                  ? fmt::format("; due in {}", human_age(key->left))
                                  : ""));
        print(summary(copies));
    }

    static json::Value as_json(const vault::Repository& repository, std::size_t count,
                               const std::map<std::string, Saved>& saved,
                               const std::optional<policy::PasswordVerdict>& key,
                               const std::vector<MirrorState>& mirrors, const policy::CopiesReport& copies,
                               Timestamp now) {
        const auto entry = [&](const std::optional<vault::SnapshotEntry>& of) {
            if (!of) return json::Value();
            return json::Value::object({{"snapshot", of->id.hex()},
                                        {"time", to_rfc3339(of->snapshot.time)},
                                        {"age_seconds", static_cast<std::int64_t>(seconds(now - of->snapshot.time))}});
        };
        json::Value components = json::Value::array(), list = json::Value::array();
        for (const auto& [name, s] : saved)
            components.push(json::Value::object({{"name", name},
                                                 {"kind", s.kind},
                                                 {"newest_whole", entry(s.complete)},
                                                 {"newer_incomplete", entry(s.incomplete)},
                                                 {"why", s.why}}));
        for (const MirrorState& mirror : mirrors) list.push(mirror.as_json());
        json::Value value =
            json::Value::object({{"repository", json::Value::object({{"id", repository.config().id.hex()},
                                                                     {"location", repository.backend().location()}})},
                                 {"snapshots", static_cast<std::uint64_t>(count)},
                                 {"components", std::move(components)},
                                 {"mirrors", std::move(list)},
                                 {"copies", copies_json(copies)}});
        if (key)
            value.set("password",
                      json::Value::object({{"changed", to_rfc3339(now - key->age)},
                                           {"age_days", static_cast<std::int64_t>(seconds(key->age) / 86400)},
                                           {"due", key->state == policy::PasswordState::due}}));
        return value;
    }

    bool copies_only_ = false;
};

}    // namespace

std::unique_ptr<Command> status_command() { return std::make_unique<StatusCommand>(); }

}    // namespace holdfast::cli
