#include <fmt/core.h>

#include <cstdio>
#include <optional>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/dump_archive.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::cli {
namespace {

class DumpCommand final : public Command {
    std::string_view name() const override { return "dump"; }
    std::string_view help() const override { return "a file of a snapshot, or a folder as tar or zip, as a stream"; }
    std::string_view examples() const override {
        return R"(A file is written as it is, a folder as an archive whose names start at the snapshot's root. Nothing is kept on disk on the
way. With --target the file appears only when it is whole.

Examples
  holdfast dump latest /postgres/trading.dump | pg_restore -d trading
  holdfast dump latest /etc | tar -x -C /tmp/etc-of-yesterday
  holdfast dump --archive zip --target /tmp/config.zip latest /config
)";
    }
    void declare(Options& options) override {
        options.no_lock(no_lock_);
        options.argument("SNAPSHOT", snapshot_, Options::Need::required, "ID or latest");
        options.argument("PATH", path_, Options::Need::required, "of a file or folder in it; / for all");
        options.choice("-a,--archive", archive_, {"tar", "zip"}, "for a folder (default tar)");
        options.value("-t,--target", target_, "FILE", "write here instead of standard output");
        options.filter(filter_);
    }
    Result<int> run(const Session& session) override {
        HF_TRY(const auto repository, open_repository(session));
        HF_TRY(const auto lock, lock_for_reading(*repository, no_lock_));
        HF_TRY(const auto entry, repository->find_snapshot(snapshot_, snapshot_filter(filter_)));
        HF_DO(repository->load_index());
        HF_TRY(const format::Node node, repository->find_node(entry.snapshot.tree, path_));
        if (node.type != format::NodeType::file && node.type != format::NodeType::dir)
            return fail(ErrorCode::unsupported, fmt::format("{} is neither a file nor a folder", printable(path_)),
                        "dump the folder it lies in");
        if (target_.empty() && is_terminal(1) && node.type == format::NodeType::dir)
            return fail(ErrorCode::usage, "an archive is not for a terminal", "use --target FILE, or a pipe");
        std::optional<os::AtomicFile> file;
        if (!target_.empty()) {
            HF_TRY(os::AtomicFile made, os::AtomicFile::create(os::absolute_path(target_)));
            file.emplace(std::move(made));
        }
        const auto sink = [&](ByteView bytes) -> Status {
            if (file) return file->write(bytes);
            if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size()) return {};
            if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while writing to standard output");
            return fail(errno_error(errno, "cannot write to standard output"));
        };
        HF_DO(node.type == format::NodeType::file
                  ? vault::read_content(*repository, node, sink)
                  : vault::dump_archive(*repository, node, path_,
                                        archive_ == "zip" ? vault::ArchiveKind::zip : vault::ArchiveKind::tar, sink));
        if (file) HF_DO(file->commit());
        return 0;
    }
    std::string snapshot_, path_, archive_, target_;
    FilterArguments filter_;
    bool no_lock_ = false;
};

}    // namespace

std::unique_ptr<Command> dump_command() { return std::make_unique<DumpCommand>(); }

}    // namespace holdfast::cli
