#include <fmt/core.h>

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
    bool allow_other = false, owner_root = false, no_permissions = false;
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

Result<int> run_mount(const Session& session, const MountArguments& arguments) {
    HF_TRY(const auto repository, open_repository(session));
    HF_DO(check_not_above_repository(arguments.mountpoint, *repository));
    HF_TRY(const auto lock, repository->lock(vault::LockMode::shared));
    HF_TRY(auto entries, repository->snapshots([](const Id& id, const Error& error) {
        print_note(fmt::format("snapshot {} cannot be read and is not shown: {}\n", id.brief(), error.message));
    }));
    const vault::SnapshotFilter filter = snapshot_filter(arguments.filter);
    std::erase_if(entries, [&](const vault::SnapshotEntry& entry) { return !vault::passes(entry.snapshot, filter); });
    HF_DO(repository->load_index());

    mount::FilesOptions files_options;
    if (!arguments.path_templates.empty()) files_options.templates.paths = arguments.path_templates;
    if (!arguments.time_template.empty()) files_options.templates.time = arguments.time_template;
    files_options.owner_root = arguments.owner_root;
    const std::size_t count = entries.size();
    HF_TRY(const auto files, mount::SnapshotFiles::make(*repository, std::move(entries), files_options));
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
The mount is read-only and shows the snapshots that were there when it began. It holds a shared lock: backups go on,
prune waits.
)";
    }
    void declare(Options& options) override {
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
