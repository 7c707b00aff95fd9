#include <fmt/core.h>

#include <algorithm>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/node_text.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/snapshot_json.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/tree_depth.hpp"

namespace holdfast::cli {
namespace {

struct LsArguments {
    std::string snapshot, sort;
    std::vector<std::string> paths;
    FilterArguments filter;
    bool long_form = false, recursive = false, human_readable = false, reverse = false, no_lock = false;
};

// Prints as it walks: a snapshot of millions of files is not held in memory, unless it is to be sorted.
class Listing {
public:
    Listing(const vault::Repository& repository, const LsArguments& arguments, bool as_json)
        : repository_(repository), arguments_(arguments), json_(as_json) {}

    /// `depth`: levels below the node that are shown.
    Status walk(const format::Node& node, const std::string& path, int depth) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while listing");
        if (!path.empty()) take(node, path);
        if (node.type != format::NodeType::dir || depth == 0) return {};
        const vault::TreeLevel level(depth_);
        HF_DO(level.check());
        HF_TRY(const format::Tree tree, repository_.read_tree(node.subtree));
        for (const format::Node& child : tree.nodes) HF_DO(walk(child, path + "/" + child.name, depth - 1));
        return {};
    }

    void finish() {
        std::ranges::stable_sort(sorted_, [&](const Entry& a, const Entry& b) { return before(a, b); });
        if (arguments_.reverse) std::ranges::reverse(sorted_);
        for (const Entry& entry : sorted_) show(entry.node, entry.path);
    }

private:
    struct Entry {
        format::Node node;
        std::string path;
    };

    bool before(const Entry& a, const Entry& b) const {
        if (arguments_.sort == "size") return a.node.size > b.node.size;    // largest first, newest first, as ls does
        if (arguments_.sort == "time" || arguments_.sort == "mtime") return a.node.mtime > b.node.mtime;
        if (arguments_.sort == "ctime") return a.node.ctime > b.node.ctime;
        if (arguments_.sort == "extension") {
            const auto extension = [](const std::string& name) {
                const std::size_t dot = name.rfind('.');
                return dot == std::string::npos || dot == 0 ? std::string() : name.substr(dot);
            };
            const std::string left = extension(a.node.name), right = extension(b.node.name);
            if (left != right) return left < right;
        }
        return a.path < b.path;
    }

    void take(const format::Node& node, const std::string& path) {
        if (arguments_.sort.empty() && !arguments_.reverse) return show(node, path);
        Entry entry{node, path};
        entry.node.content = {};
        entry.node.extended_attributes = {};
        sorted_.push_back(std::move(entry));
    }

    void show(const format::Node& node, const std::string& path) {
        if (json_) {
            print(fmt::format("{}{}", shown_++ ? ",\n" : "", json::dump(node_json(node, path))));
        } else if (arguments_.long_form) {
            print(long_line(node, path, arguments_.human_readable) + "\n");
        } else {
            print(printable(path) + "\n");
        }
    }

    const vault::Repository& repository_;
    const LsArguments& arguments_;
    const bool json_;
    std::uint64_t shown_ = 0;
    unsigned depth_ = 0;
    std::vector<Entry> sorted_;
};

Result<int> run_ls(const Session& session, const LsArguments& arguments) {
    HF_TRY(const auto repository, open_repository(session));
    HF_TRY(const auto lock, lock_for_reading(*repository, arguments.no_lock));
    HF_TRY(const auto entry, repository->find_snapshot(arguments.snapshot, snapshot_filter(arguments.filter)));
    HF_DO(repository->load_index());
    // All are looked up before anything is printed: a list that ends in an error says less than the error.
    std::vector<std::pair<format::Node, std::string>> starts;
    for (const std::string& given : arguments.paths.empty() ? std::vector<std::string>{"/"} : arguments.paths) {
        HF_TRY(format::Node node, repository->find_node(entry.snapshot.tree, given));
        std::string path = given.starts_with('/') ? given : "/" + given;
        while (path.ends_with('/')) path.pop_back();
        starts.emplace_back(std::move(node), std::move(path));
    }
    const int depth = arguments.paths.empty() || arguments.recursive ? -1 : 1;
    if (session.global.json)
        print(fmt::format("{{\"snapshot\": {},\n\"entries\": [\n", json::dump(snapshot_json(entry))));
    Listing listing(*repository, arguments, session.global.json);
    for (const auto& [node, path] : starts) HF_DO(listing.walk(node, path, depth));
    listing.finish();
    if (session.global.json) print("\n]}\n");
    return 0;
}

class LsCommand final : public Command {
    std::string_view name() const override { return "ls"; }
    std::string_view help() const override { return "list the files of a snapshot"; }
    std::string_view examples() const override {
        return R"(Without a path the whole snapshot is listed; of a folder that is named, what lies directly in it, or all with --recursive.

Examples
  holdfast ls latest
  holdfast ls -l 1a2b3c4d /postgres
  holdfast ls latest --recursive --sort size -l --human-readable /var/log
  holdfast ls latest --json | jq -r '.entries[] | select(.size > 1000000) | .path'
)";
    }
    void declare(Options& options) override {
        options.no_lock(arguments_.no_lock);
        options.argument("SNAPSHOT", arguments_.snapshot, Options::Need::required, "ID or latest");
        options.arguments("PATH", arguments_.paths, Options::Need::optional, "only these files and folders");
        options.flag("-l,--long", arguments_.long_form, "mode, owner, size and time");
        options.flag("--recursive", arguments_.recursive, "all below the folders that are named");
        options.flag("--human-readable", arguments_.human_readable, "sizes with units (with -l)");
        options.choice("--sort", arguments_.sort, {"name", "size", "time", "mtime", "ctime", "extension"},
                       "largest and newest first; holds the list in memory");
        options.flag("--reverse", arguments_.reverse, "the other way round");
        options.filter(arguments_.filter);
    }
    Result<int> run(const Session& session) override { return run_ls(session, arguments_); }

    LsArguments arguments_;
};

}    // namespace

std::unique_ptr<Command> ls_command() { return std::make_unique<LsCommand>(); }

}    // namespace holdfast::cli
