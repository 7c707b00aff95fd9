#include <fmt/core.h>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/snapshot_json.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/tree_depth.hpp"

namespace holdfast::cli {
namespace {

struct LsArguments {
    std::string snapshot, path = "/";
    FilterArguments filter;
    bool long_form = false;
};

std::string_view type_name(format::NodeType type) {
    switch (type) {
        case format::NodeType::file:
            return "file";
        case format::NodeType::dir:
            return "dir";
        case format::NodeType::symlink:
            return "symlink";
        case format::NodeType::dev:
            return "dev";
        case format::NodeType::chardev:
            return "chardev";
        case format::NodeType::fifo:
            return "fifo";
        case format::NodeType::socket:
            return "socket";
        case format::NodeType::irregular:
            break;
    }
    return "irregular";
}

// "drwxr-xr-x"
std::string mode_text(const format::Node& node) {
    static constexpr std::string_view k_letters = "-dlbcps?";
    const std::uint32_t bits = format::permission_bits(node.mode);
    std::string text(1, k_letters[static_cast<std::size_t>(node.type)]);
    for (int shift = 6; shift >= 0; shift -= 3)
        for (int bit = 2; bit >= 0; --bit) text += (bits >> (shift + bit)) & 1 ? "xwr"[bit] : '-';
    if (bits & 04000) text[3] = text[3] == 'x' ? 's' : 'S';
    if (bits & 02000) text[6] = text[6] == 'x' ? 's' : 'S';
    if (bits & 01000) text[9] = text[9] == 'x' ? 't' : 'T';
    return text;
}

// Prints as it walks: a snapshot of millions of files is not held in memory.
class Listing {
public:
    Listing(const vault::Repository& repository, bool long_form, json::Value* entries)
        : repository_(repository), long_form_(long_form), entries_(entries) {}

    Status walk(const format::Node& node, const std::string& path) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while listing");
        if (!path.empty()) show(node, path);
        if (node.type != format::NodeType::dir) return {};
        const vault::TreeLevel level(depth_);
        HF_DO(level.check());
        HF_TRY(const format::Tree tree, repository_.read_tree(node.subtree));
        for (const format::Node& child : tree.nodes) HF_DO(walk(child, path + "/" + child.name));
        return {};
    }

private:
    void show(const format::Node& node, const std::string& path) {
        if (entries_) {
            json::Value entry =
                json::Value::object({{"path", path},
                                     {"type", type_name(node.type)},
                                     {"mode", fmt::format("{:04o}", format::permission_bits(node.mode))},
                                     {"uid", node.uid},
                                     {"gid", node.gid},
                                     {"user", node.user},
                                     {"group", node.group},
                                     {"size", node.size},
                                     {"mtime", to_rfc3339(node.mtime)}});
            if (node.type == format::NodeType::symlink) entry.set("target", node.link_target);
            entries_->push(std::move(entry));
        } else if (long_form_) {
            const std::string owner = node.user.empty() ? fmt::format("{}", node.uid) : printable(node.user);
            const std::string group = node.group.empty() ? fmt::format("{}", node.gid) : printable(node.group);
            print(fmt::format("{} {:8} {:8} {:>12} {} {}{}\n", mode_text(node), owner, group, node.size,
                              local_time(node.mtime), printable(path),
                              node.type == format::NodeType::symlink ? " -> " + printable(node.link_target) : ""));
        } else {
            print(printable(path) + "\n");
        }
    }

    const vault::Repository& repository_;
    const bool long_form_;
    json::Value* const entries_;
    unsigned depth_ = 0;
};

Result<int> run_ls(const Session& session, const LsArguments& arguments) {
    HF_TRY(const auto repository, open_repository(session));
    HF_TRY(const auto lock, repository->lock(vault::LockMode::shared));
    HF_TRY(const auto entry, repository->find_snapshot(arguments.snapshot, snapshot_filter(arguments.filter)));
    HF_DO(repository->load_index());
    HF_TRY(const format::Node node, repository->find_node(entry.snapshot.tree, arguments.path));
    std::string path = arguments.path.starts_with('/') ? arguments.path : "/" + arguments.path;
    while (path.ends_with('/')) path.pop_back();
    json::Value entries = json::Value::array();
    HF_DO(Listing(*repository, arguments.long_form, session.global.json ? &entries : nullptr).walk(node, path));
    if (session.global.json)
        print_json(json::Value::object({{"snapshot", snapshot_json(entry)}, {"entries", std::move(entries)}}));
    return 0;
}

class LsCommand final : public Command {
    std::string_view name() const override { return "ls"; }
    std::string_view help() const override { return "list the files of a snapshot"; }
    std::string_view examples() const override {
        return R"(Examples
  holdfast ls latest
  holdfast ls -l 1a2b3c4d /postgres
)";
    }
    void declare(Options& options) override {
        options.argument("SNAPSHOT", arguments_.snapshot, Options::Need::required, "ID or latest");
        options.argument("PATH", arguments_.path, Options::Need::optional, "only what lies here and below");
        options.flag("-l,--long", arguments_.long_form, "mode, owner, size and time");
        options.filter(arguments_.filter);
    }
    Result<int> run(const Session& session) override { return run_ls(session, arguments_); }

    LsArguments arguments_;
};

}    // namespace

std::unique_ptr<Command> ls_command() { return std::make_unique<LsCommand>(); }

}    // namespace holdfast::cli
