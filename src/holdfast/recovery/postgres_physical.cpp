#include "holdfast/recovery/postgres_physical.hpp"

#include <fmt/core.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "holdfast/db/postgres.hpp"
#include "holdfast/db/secrets.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/recovery/postgres_folder.hpp"
#include "holdfast/recovery/postgres_proof.hpp"
#include "holdfast/source/store_access.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::recovery {
namespace {

using namespace std::chrono_literals;

constexpr Duration k_command_max = 10min, k_end_max = 60s, k_answer_max = 5min;

struct Tablespace {
    std::string oid, folder;    // where its copy goes
};

struct Plan {
    std::string target;
    bool taken = false;    // something lies there
    std::optional<pid_t> running;
    ClusterOwner owner;
    std::vector<Tablespace> tablespaces;
    std::uint64_t bytes = 0, segment_size = 0;
};

Result<std::string> target_folder(const policy::PostgresConfig& config) {
    if (!config.data_folder.empty()) return os::absolute_path(config.data_folder);
    const std::string hint =
        fmt::format("set data_folder in [[postgres]] {} to the cluster's data folder", config.name);
    HF_TRY(const db::PostgresAccess access, source::postgres_access(config));
    auto connection = access.connect(config.maintenance_database);
    if (!connection)
        return fail(ErrorCode::config,
                    fmt::format("nobody says where the cluster shall go: {}", connection.error().message), hint);
    const auto folder = connection->query("SHOW data_directory");
    if (!folder) return fail(ErrorCode::config, "the server does not tell where its files lie", hint);
    return (*folder)[0].text(0);
}

Result<ClusterOwner> owner_of(const policy::PostgresConfig& config, const std::string& target,
                              const format::Node& saved) {
    ClusterOwner owner{::geteuid(), ::getegid(), {}};
    if (!config.owner.empty()) {
        const passwd* entry = ::getpwnam(config.owner.c_str());
        if (!entry)
            return fail(ErrorCode::config, fmt::format("there is no user {} on this machine", config.owner),
                        "correct `owner` in [[postgres]]");
        owner = {entry->pw_uid, entry->pw_gid, {}};
    } else if (const auto there = os::status_of(target); there) {
        owner = {there->st_uid, there->st_gid, {}};
    } else if (::geteuid() == 0) {
        owner = {saved.uid, saved.gid, {}};
    }
    if (owner.user == 0)
        return fail(ErrorCode::config, "PostgreSQL runs under no cluster that belongs to root",
                    "set `owner` in [[postgres]] to its user, as owner = \"postgres\"");
    if (owner.user == ::geteuid()) return owner;
    if (::geteuid() != 0)
        return fail(ErrorCode::denied, fmt::format("{} belongs to another user", target),
                    "run the restore as root, or as the user that runs PostgreSQL");
    const passwd* entry = ::getpwuid(owner.user);
    if (!entry)
        return fail(ErrorCode::config,
                    fmt::format("the files belong to user {}, who is not on this machine", owner.user),
                    "set `owner` in [[postgres]], as owner = \"postgres\"");
    owner.name = entry->pw_name;
    return owner;
}

Status check_space(const std::string& target, std::uint64_t needed) {
    const std::string parent = os::parent_folder(target);
    HF_TRY(const std::uint64_t free, os::free_space(parent));
    if (free >= needed) return {};
    return fail(ErrorCode::disk_full,
                fmt::format("restoring takes {} in {}, where {} is free", human_size(needed), parent, human_size(free)),
                "make room there; nothing was changed");
}

Result<Plan> make_plan(const policy::PostgresConfig& config, const RestoreContext& context) {
    const json::Value& facts = context.facts;
    Plan plan;
    plan.bytes = facts["bytes"].natural();
    plan.segment_size = facts["wal_segment_size"].natural();
    HF_TRY(const format::Node saved,
           context.repository.find_node(context.snapshot.snapshot.tree, fmt::format("/{}/data", context.folder)));
    if (saved.type != format::NodeType::dir || plan.segment_size == 0)
        return fail(ErrorCode::corrupt, fmt::format("{}/data in the snapshot is no cluster", context.folder),
                    "restore from another snapshot");
    HF_TRY(plan.target, target_folder(config));
    HF_TRY(plan.owner, owner_of(config, plan.target, saved));
    if (const auto there = os::status_of(plan.target); there) {
        if (!S_ISDIR(there->st_mode))
            return fail(ErrorCode::exists, plan.target + " is there and is no folder", "correct data_folder");
        HF_TRY(const auto names, os::list_folder(plan.target));
        plan.taken = !names.empty();
        HF_TRY(const struct stat above, os::status_of(os::parent_folder(plan.target)));
        if (above.st_dev != there->st_dev)
            return fail(ErrorCode::unsupported,
                        fmt::format("{} is a file system of its own, and cannot be put aside by a rename", plan.target),
                        "keep the cluster in a folder inside it, or lay the copy out with --target and start on that");
    }
    plan.running = running_postgres(plan.target);
    if (plan.taken && context.existing == WhenExisting::refuse)
        return fail(ErrorCode::exists, plan.target + " holds a cluster or other files already",
                    "--replace puts it aside and takes its place; --target FOLDER restores elsewhere");
    if (plan.running && config.stop_command.empty())
        return fail(ErrorCode::locked, fmt::format("a server runs on {} (process {})", plan.target, *plan.running),
                    "stop it, then restore again; or set stop_command and start_command in [[postgres]]");
    HF_DO(check_space(plan.target, plan.bytes));
    const std::string mark = "restored-" + time_mark(context.clock.now());
    for (const json::Value& one : facts["tablespaces"].items()) {
        const std::string oid = one["oid"].text(), location = one["location"].text();
        if (oid.empty() || oid.find_first_not_of("0123456789") != std::string::npos ||
            (config.tablespace_folder.empty() && !location.starts_with('/')))
            return fail(ErrorCode::corrupt, "the manifest names a tablespace that is none");
        plan.tablespaces.push_back({oid, config.tablespace_folder.empty()
                                             ? fmt::format("{}/{}", location, mark)
                                             : fmt::format("{}/{}/{}", config.tablespace_folder, oid, mark)});
    }
    return plan;
}

Status lay_out(const RestoreContext& context, const std::string& from, const std::string& to) {
    vault::RestoreOptions options;
    options.target = to;
    options.subfolder = from;
    options.sync = false;    // all at once, when the server that proves it has written, too
    options.past_cache_min = os::memory_size() / 8;    // it is read again at once: compared, and by that server
    auto done = vault::restore(context.repository, context.snapshot, options);
    if (!done) return fail(std::move(done).error());
    return {};
}

// A folder on the way to a tablespace that is not there yet belongs to the cluster's owner.
Status make_owned(const std::string& path, const ClusterOwner& owner) {
    if (os::exists(path)) return {};
    HF_DO(make_owned(os::parent_folder(path), owner));
    HF_DO(os::make_folders(path));
    return give_tree(path, owner);
}

Status lay_out_all(const RestoreContext& context, const Plan& plan, NewCluster& cluster) {
    HF_DO(lay_out(context, fmt::format("/{}/data", context.folder), cluster.staged()));
    for (const Tablespace& tablespace : plan.tablespaces) {
        HF_DO(make_owned(os::parent_folder(tablespace.folder), plan.owner));
        HF_DO(cluster.will_make(tablespace.folder));
        HF_DO(lay_out(context, fmt::format("/{}/tablespaces/{}", context.folder, tablespace.oid), tablespace.folder));
        HF_DO(give_tree(tablespace.folder, plan.owner));
        const std::string link = fmt::format("{}/pg_tblspc/{}", cluster.staged(), tablespace.oid);
        if (::unlink(link.c_str()) != 0 || ::symlink(tablespace.folder.c_str(), link.c_str()) != 0)
            return fail(errno_error(errno, "cannot link " + link));
    }
    if (::chmod(cluster.staged().c_str(), 0700) != 0)
        return fail(errno_error(errno, "cannot chmod " + cluster.staged()));
    return give_tree(cluster.staged(), plan.owner);
}

}    // namespace

Status stop_cluster(const policy::PostgresConfig& config, const std::string& folder, Clock& clock) {
    os::Command command;
    command.arguments = config.stop_command;
    HF_TRY(const os::Finished finished, os::run(std::move(command), {}, k_command_max));
    if (!finished.status.ok())
        return fail(
            ErrorCode::store,
            fmt::format("stop_command of {} failed ({}): {}", config.name, finished.status.text(), finished.errors),
            "stop the server yourself, then restore again; nothing was replaced");
    const Instant deadline = clock.instant() + k_end_max;
    while (running_postgres(folder)) {
        if (clock.instant() > deadline)
            return fail(ErrorCode::locked, fmt::format("a server still runs on {} after stop_command", folder),
                        "does something restart it? Stop that first; nothing was replaced");
        clock.sleep(50ms);
    }
    return {};
}

Status start_cluster(const policy::PostgresConfig& config, const std::string& scratch,
                     const std::string& system_identifier, Clock& clock) {
    os::Command command;
    command.arguments = config.start_command;
    // Into a file: a pipe that the server inherits would never end.
    command.output_file = scratch + "/postgres-start.log";
    command.errors = os::Stream::null;
    command.die_with_parent = false;
    command.new_session = true;
    HF_TRY(os::Process process, os::Process::start(command));
    const auto status = process.wait(k_command_max);
    if (!status)
        return fail(ErrorCode::store, fmt::format("start_command of {} does not return", config.name),
                    "let it start the server in the background (systemctl, or pg_ctl -w start)");
    if (!status->ok())
        return fail(ErrorCode::store,
                    fmt::format("start_command of {} failed ({}): {}", config.name, status->text(),
                                os::read_text(command.output_file).value_or("")),
                    "the restored files are in place, and a server of our own has started on them: look at its "
                    "configuration, and start it yourself");
    HF_TRY(const Secret password, db::read_secret(config.password));
    const db::PostgresAddress address{config.host, config.port, config.user, config.maintenance_database};
    const Instant deadline = clock.instant() + k_answer_max;
    for (;;) {
        auto connection = db::PostgresConnection::connect(address, password);
        // The password is again the one that it was at the backup: a refusal of ours says that the server is up.
        if (!connection && connection.error().code == ErrorCode::denied) return {};
        if (connection) {
            HF_TRY(const auto system, connection->query("SELECT system_identifier FROM pg_control_system()"));
            if (system_identifier.empty() || system[0].text(0) == system_identifier) return {};
            return fail(ErrorCode::mismatch, fmt::format("the server at {} is another cluster", address.text()),
                        "does start_command start it on data_folder?");
        }
        if (clock.instant() > deadline || os::stop_requested())
            return fail(std::move(connection).error().within("after start_command"));
        clock.sleep(100ms);
    }
}

Result<std::vector<PlanStep>> plan_postgres_physical(const policy::PostgresConfig& config,
                                                     const RestoreContext& context) {
    HF_TRY(const Plan plan, make_plan(config, context));
    std::vector<PlanStep> steps;
    steps.push_back({fmt::format("restore {} beside {} and compare every file with backup_manifest",
                                 human_size(plan.bytes), plan.target),
                     plan.bytes, false});
    for (const Tablespace& tablespace : plan.tablespaces)
        steps.push_back({fmt::format("put tablespace {} into {}", tablespace.oid, tablespace.folder), 0, false});
    steps.push_back({"start a server of our own on it until it is consistent, and stop it", 0, false});
    if (plan.running) steps.push_back({fmt::format("stop the server on {} with stop_command", plan.target), 0, true});
    steps.push_back(
        {fmt::format("put the new cluster in place as {}{}", plan.target, plan.taken ? ", and the old one aside" : ""),
         0, plan.taken});
    steps.push_back(
        {config.start_command.empty() ? "leave starting it to you (no start_command)" : "start it with start_command",
         0, false});
    return steps;
}

Result<json::Value> restore_postgres_physical(const policy::PostgresConfig& config, const RestoreContext& context) {
    HF_TRY(const Plan plan, make_plan(config, context));
    HF_TRY(NewCluster cluster, NewCluster::begin(plan.target));
    context.say(fmt::format("writing {} beside {}", human_size(plan.bytes), plan.target));
    HF_DO(lay_out_all(context, plan, cluster));
    context.say("comparing every file with backup_manifest");
    HF_TRY(const VerifiedCluster verified, verify_cluster_files(cluster.staged(), plan.segment_size));
    // The copy of a standby would be one, too; and what recovery shall do is said by us.
    for (const char* signal : {"/standby.signal", "/recovery.signal"})
        HF_DO(os::remove_tree(cluster.staged() + signal));
    context.say("starting a server of our own on it");
    ClusterServer server{config.bin_folder, static_cast<int>(context.facts["server_version_number"].integer() / 10000),
                         plan.owner, config.user};
    HF_TRY(json::Value proof, prove_cluster_starts(cluster.staged(), server, context.clock));
    if (proof["system_identifier"].text() != context.facts["system_identifier"].text())
        return fail(ErrorCode::mismatch, "the restored cluster is not the one that the manifest names",
                    "nothing was replaced; run `holdfast check --read-data`");

    if (running_postgres(plan.target)) {
        if (config.stop_command.empty())
            return fail(ErrorCode::locked, fmt::format("a server has come up on {} during the restore", plan.target),
                        "does something restart it? Stop that first; nothing was replaced");
        context.say("stopping the server on " + plan.target);
        HF_DO(stop_cluster(config, plan.target, context.clock));
    }
    context.say("putting the new cluster in place");
    HF_TRY(const auto aside, cluster.take_place(context.clock.now(), context.will_replace));
    if (aside) context.say("the old cluster is in " + *aside);
    const bool start = !config.start_command.empty();
    if (start) {
        context.say("starting it");
        if (auto up = start_cluster(config, context.scratch, context.facts["system_identifier"].text(), context.clock);
            !up) {
            Error error = std::move(up).error();
            error.hint += fmt::format("{}the restored cluster is in {}{}", error.hint.empty() ? "" : "; ", plan.target,
                                      aside ? ", the old one in " + *aside : std::string());
            return fail(std::move(error));
        }
    } else {
        context.say("not started: start the server now");
    }

    auto tablespaces = json::Value::array();
    for (const Tablespace& tablespace : plan.tablespaces)
        tablespaces.push(json::Value::object({{"oid", tablespace.oid}, {"folder", tablespace.folder}}));
    auto result = json::Value::object({{"folder", plan.target},
                                       {"files", verified.files},
                                       {"bytes", verified.bytes},
                                       {"digests_compared", true},
                                       {"stop_lsn", context.facts["stop_lsn"]},
                                       {"timeline", proof["timeline"]},
                                       {"databases", proof["databases"]},
                                       {"tablespaces", std::move(tablespaces)},
                                       {"seconds_to_consistency", proof["seconds"]},
                                       {"started", start}});
    if (!start) result.set("next_step", "not started: start the server now, it is consistent already");
    if (aside) result.set("old_one_is_at", *aside);
    return result;
}

}    // namespace holdfast::recovery
