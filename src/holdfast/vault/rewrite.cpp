#include "holdfast/vault/rewrite.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <set>
#include <unordered_map>

#include "holdfast/format/tree_edit.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/glob.hpp"
#include "holdfast/vault/id_set.hpp"
#include "holdfast/vault/pipeline.hpp"
#include "holdfast/vault/removal.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

constexpr int k_depth_max = 2000;
constexpr std::string_view k_tag = "rewrite";

struct Outcome {
    Id tree;
    std::uint64_t files = 0, bytes = 0;    // left out
};

class Rewriter {
public:
    Rewriter(Repository& repository, Pipeline* pipeline, const std::vector<std::string>& excludes)
        : repository_(repository), pipeline_(pipeline), excludes_(excludes) {}

    Result<Outcome> folder(const Id& id, const std::string& path, int depth = 0) {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while rewriting");
        if (depth > k_depth_max)
            return fail(ErrorCode::corrupt, fmt::format("folders are nested more than {} deep", k_depth_max));
        // What is left out depends on the path, too.
        const Id key = format::sha256(as_bytes(id.hex() + path));
        if (unchanged_.contains(key)) return Outcome{id};
        if (const auto known = changed_.find(key); known != changed_.end()) return known->second;
        HF_TRY(const Bytes json, repository_.read_blob(format::BlobType::tree, id));
        const std::string what = "tree " + id.brief();
        HF_TRY(const format::Tree tree, format::decode_tree(as_text(json), what));
        format::TreeEdit edit;
        Outcome outcome{id};
        for (const format::Node& node : tree.nodes) {
            const std::string node_path = path + '/' + node.name;
            if (excludes_.matches(node_path)) {
                edit.drop.insert(node.name);
                HF_DO(count(node, outcome, depth));
            } else if (node.type == format::NodeType::dir) {
                HF_TRY(const Outcome below, folder(node.subtree, node_path, depth + 1));
                if (below.tree != node.subtree) edit.subtrees[node.name] = below.tree;
                outcome.files += below.files;
                outcome.bytes += below.bytes;
            }
        }
        if (edit.empty()) {
            unchanged_.insert(key);
            return outcome;
        }
        HF_TRY(const std::string edited, format::edit_tree(as_text(json), edit, what));
        if (pipeline_) {
            HF_TRY(outcome.tree, pipeline_->store_tree(edited));
        } else {
            outcome.tree = format::sha256(as_bytes(edited));
        }
        changed_.emplace(key, outcome);
        return outcome;
    }

private:
    Status count(const format::Node& node, Outcome& to, int depth) {
        if (node.type == format::NodeType::file) {
            ++to.files;
            to.bytes += node.size;
        }
        if (node.type != format::NodeType::dir) return {};
        if (depth > k_depth_max) return fail(ErrorCode::corrupt, "folders are nested too deep");
        HF_TRY(const format::Tree tree, repository_.read_tree(node.subtree));
        for (const format::Node& below : tree.nodes) HF_DO(count(below, to, depth + 1));
        return {};
    }

    Repository& repository_;
    Pipeline* pipeline_;    // nullptr: nothing is stored
    const GlobSet excludes_;
    IdSet unchanged_;
    std::unordered_map<Id, Outcome> changed_;
};

void lessen(std::uint64_t& total, std::uint64_t by) { total -= std::min(total, by); }

}    // namespace

Result<std::vector<Rewritten>> rewrite(Repository& repository, const RepositoryLock& lock,
                                       const std::vector<SnapshotEntry>& known,
                                       const std::vector<SnapshotEntry>& chosen, const RewriteOptions& options) {
    if (options.forget && !options.dry_run) HF_DO(check_removal_allowed(repository));
    HF_DO(repository.load_index(true));
    std::set<std::string> there;
    for (const SnapshotEntry& entry : known) there.insert(format::encode(entry.snapshot));
    std::vector<Rewritten> rewritten;
    std::vector<Replacement> replacements;
    {
        std::optional<Pipeline> pipeline;
        BackupOptions storing;
        storing.workers = 1;    // only trees, which the caller's thread stores
        if (!options.dry_run) pipeline.emplace(repository, lock, storing);
        Rewriter rewriter(repository, pipeline ? &*pipeline : nullptr, options.excludes);
        std::uint64_t done = 0;
        for (const SnapshotEntry& entry : chosen) {
            if (options.progress) options.progress(done++, chosen.size());
            Rewritten one{{entry, entry.snapshot, {}}, 0, 0};
            format::Snapshot& fresh = one.change.fresh;
            if (!options.excludes.empty()) {
                auto outcome = rewriter.folder(entry.snapshot.tree, "");
                if (!outcome) return fail(std::move(outcome).error().within("snapshot " + entry.id.brief()));
                fresh.tree = outcome->tree;
                one.files_left_out = outcome->files;
                one.bytes_left_out = outcome->bytes;
            }
            if (options.new_host) fresh.hostname = *options.new_host;
            if (options.new_time) fresh.time = *options.new_time;
            if (fresh.tree == entry.snapshot.tree && fresh.hostname == entry.snapshot.hostname &&
                fresh.time == entry.snapshot.time)
                continue;
            if (fresh.summary && fresh.tree != entry.snapshot.tree) {
                lessen(fresh.summary->total_files_processed, one.files_left_out);
                lessen(fresh.summary->total_bytes_processed, one.bytes_left_out);
            }
            if (!options.forget && std::ranges::find(fresh.tags, k_tag) == fresh.tags.end())
                fresh.tags.emplace_back(k_tag);
            if (!options.forget) {
                // Done by an earlier run: the old one is still there, and its other self, too.
                format::Snapshot done_before = fresh;
                done_before.original = fresh.original.value_or(entry.id);
                if (there.contains(format::encode(done_before))) continue;
            }
            rewritten.push_back(std::move(one));
        }
        if (pipeline) {
            HF_DO(pipeline->finish());
            HF_DO(repository.backend().sync());
        }
    }
    if (options.dry_run) return rewritten;
    for (const Rewritten& one : rewritten) replacements.push_back(one.change);
    HF_DO(replace_snapshots(repository, lock, known, replacements, options.forget));
    for (std::size_t i = 0; i < rewritten.size(); ++i) rewritten[i].change = replacements[i];
    return rewritten;
}

}    // namespace holdfast::vault
