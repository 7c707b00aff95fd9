#include <fmt/core.h>

#include <set>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/mount/fuse_mount.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"

namespace holdfast::cli {
namespace {

struct MountArguments {
    std::string mountpoint, time_template;
    std::vector<std::string> path_templates;
    FilterArguments filter;
    bool allow_other = false, owner_root = false, no_permissions = false, no_lock = false;
};

// Reading the repository through the mount point would wait for ourselves.
Status check_not_above_repository(const std::string& mountpoint, const vault::Repository& repository) {
    const std::string location = repository.backend().location();
    if (!location.starts_with('/') && !os::exists(location)) return {};
    const std::string place = os::absolute_path(mountpoint), vault = os::absolute_path(location);
    if (vault != place && !vault.starts_with(place + "/") && place != "/") return {};
    return fail(ErrorCode::usage, fmt::format("the repository lies in {}, where it was to be mounted", place),
                "mount it elsewhere");
}

// The snapshots that are shown. A repository that is looked at every few seconds is asked for names only.
class Snapshots {
public:
    Snapshots(vault::Repository& repository, vault::SnapshotFilter filter)
        : repository_(repository), filter_(std::move(filter)) {}

    /// nullopt: the same as last time.
    Result<std::optional<std::vector<vault::SnapshotEntry>>> look() {
        std::set<Id> ids;
        HF_DO(repository_.backend().list(storage::FileKind::snapshot,
                                         [&](const Id& id, std::uint64_t) { ids.insert(id); }));
        if (ids == known_) return std::nullopt;
        HF_TRY(auto entries, repository_.snapshots([&](const Id& id, const Error& error) {
            if (told_.insert(id).second)
                print_note(fmt::format("snapshot {} cannot be read and is not shown: {}\n", id.brief(), error.message));
        }));
        std::erase_if(entries, [&](const auto& entry) { return !vault::passes(entry.snapshot, filter_); });
        // After the snapshots: what they need is in the index by then.
        HF_DO(repository_.load_index(true));
        known_ = std::move(ids);
        return entries;
    }

private:
    vault::Repository& repository_;
    const vault::SnapshotFilter filter_;
    std::set<Id> known_, told_;
};

Result<int> run_mount(const Session& session, const MountArguments& arguments) {
    HF_TRY(const auto repository, open_repository(session));
    HF_DO(check_not_above_repository(arguments.mountpoint, *repository));
    HF_TRY(const auto lock, lock_for_reading(*repository, arguments.no_lock));
    Snapshots snapshots(*repository, snapshot_filter(arguments.filter));
    HF_TRY(auto entries, snapshots.look());
    if (!entries) entries.emplace();    // an empty repository

    mount::FilesOptions files_options;
    if (!arguments.path_templates.empty()) files_options.templates.paths = arguments.path_templates;
    if (!arguments.time_template.empty()) files_options.templates.time = arguments.time_template;
    files_options.owner_root = arguments.owner_root;
    files_options.reload = [&] { return snapshots.look(); };
    const std::size_t count = entries->size();
    HF_TRY(const auto files, mount::SnapshotFiles::make(*repository, *std::move(entries), files_options));
    mount::MountOptions options;
    options.mountpoint = arguments.mountpoint;
    options.allow_other = arguments.allow_other;
    options.check_permissions = !arguments.no_permissions;
    options.mounted = [&] {
        const std::string place = os::absolute_path(arguments.mountpoint);
        if (session.global.json)
            print_json(json::Value::object({{"mountpoint", place}, {"snapshots", count}}));
        else if (!session.global.quiet)
            print(fmt::format("{} snapshots are mounted at {}; end with Ctrl-C or `umount {}`\n", count,
                              printable(place), printable(place)));
        std::fflush(stdout);
    };
    HF_DO(mount::serve(*files, options));
    // The signal is the way to end it, not a failure.
    os::g_stop_requested = false;
    return 0;
}

class MountCommand final : public Command {
    std::string_view name() const override { return "mount"; }
    std::string_view help() const override { return "show the snapshots as folders, to look at and copy from"; }
    std::string_view examples() const override {
        return R"(Examples
  mkdir -p /mnt/vault && holdfast mount /mnt/vault       stays in the foreground; Ctrl-C or umount ends it
  ls /mnt/vault/snapshots/latest/                        also ids/, hosts/HOST/, tags/TAG/
  holdfast mount /mnt/vault --host desk1 --tag nightly   only these snapshots
  holdfast mount /mnt/vault --path-template 'by-day/%T' --time-template 2006-01-02
The mount is read-only. Snapshots that are made or forgotten meanwhile appear and go within seconds. It holds a shared
lock: backups go on, prune waits.
)";
    }
    void declare(Options& options) override {
        options.no_lock(arguments_.no_lock);
        options.argument("MOUNTPOINT", arguments_.mountpoint, Options::Need::required, "an existing folder");
        options.flag("--allow-other", arguments_.allow_other, "let other users look, too");
        options.flag("--owner-root", arguments_.owner_root, "everything belongs to root");
        options.flag("--no-default-permissions", arguments_.no_permissions,
                     "do not check modes and owners: whoever may look may read everything");
        options.list("--path-template,--snapshot-template", arguments_.path_templates, "TEMPLATE",
                     "where snapshots appear: %i ID, %I whole ID, %h host, %u user, %t tag, %T time");
        options.value("--time-template", arguments_.time_template, "LAYOUT",
                      "how times look, as Go writes 2006-01-02T15:04:05Z07:00");
        options.filter(arguments_.filter);
    }
    Result<int> run(const Session& session) override { return run_mount(session, arguments_); }

    MountArguments arguments_;
};

}    // namespace

std::unique_ptr<Command> mount_command() { return std::make_unique<MountCommand>(); }

}    // namespace holdfast::cli
