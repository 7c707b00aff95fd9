#include "holdfast/vault/find.hpp"

#include <fmt/core.h>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/node_text.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/cli/repository_work.hpp"
#include "holdfast/cli/time_argument.hpp"

namespace holdfast::cli {
namespace {

class FindCommand final : public Command {
    std::string_view name() const override { return "find"; }
    std::string_view help() const override { return "which snapshots have a file, or need a blob, tree or pack?"; }
    std::string_view examples() const override {
        return R"(Patterns are those of backup's --exclude: * ? [a-z] inside one name, ** for any number of folders, a leading / for the root.
What lies below a folder that fits is listed, too.

Examples
  holdfast find desk.conf
  holdfast find -l '*.duckdb' --newest 2026-11-20
  holdfast find --snapshot latest -i 'LIMITS*'
  holdfast find --pack 4f0c1a2b                    which files lie in this (damaged) pack?
)";
    }
    void declare(Options& options) override {
        options.no_lock(no_lock_);
        options.arguments("PATTERN", patterns_, Options::Need::required, "of names; with --blob, --tree, --pack: IDs");
        options.flag("-i,--ignore-case", ignore_case_, "A and a are the same");
        options.flag("-l,--long", long_form_, "mode, owner, size and time");
        options.value("-O,--oldest", oldest_, "TIME", "changed at or after this time");
        options.value("-N,--newest", newest_, "TIME", "changed at or before this time");
        options.list("-s,--snapshot", ids_, "ID", "look only here (again: and here)");
        options.flag("--blob", blob_, "the patterns are IDs of data blobs");
        options.flag("--tree", tree_, "the patterns are IDs of trees");
        options.flag("--pack", pack_, "the patterns are IDs of packs");
        options.flag("--show-pack-id", show_pack_, "where the blobs lie (with --blob, --tree)");
        options.filter(filter_);
    }

    Result<int> run(const Session& session) override {
        if (blob_ + tree_ + pack_ > 1)
            return fail(ErrorCode::usage, "several of --blob, --tree, --pack were given", "keep one of them");
        vault::FindOptions options{patterns_, ignore_case_};
        HF_TRY(options.oldest, parse_time(oldest_, "--oldest"));
        HF_TRY(options.newest, parse_time(newest_, "--newest"));
        HF_TRY(const auto repository, open_repository(session));
        HF_TRY(const auto lock, lock_for_reading(*repository, no_lock_));
        HF_TRY(const auto snapshots, chosen_snapshots(*repository, ids_, filter_));
        HF_DO(repository->load_index());
        as_json_ = session.global.json;
        const auto kind = blob_ ? vault::ObjectKind::blob : tree_ ? vault::ObjectKind::tree : vault::ObjectKind::pack;
        if (blob_ || tree_ || pack_) {
            HF_DO(vault::find_objects(*repository, snapshots, kind, patterns_,
                                      [&](const vault::SnapshotEntry& entry, const vault::ObjectHit& hit) {
                                          return show_object(*repository, entry, hit);
                                      }));
        } else {
            HF_DO(vault::find_files(*repository, snapshots, options,
                                    [&](const vault::SnapshotEntry& entry, const std::string& path,
                                        const format::Node& node) { return show_file(entry, path, node); }));
        }
        if (as_json_) print(hits_ == 0 ? "{\"matches\": []}\n" : "\n]}\n");
        return 0;
    }

private:
    // One heading a snapshot.
    void under(const vault::SnapshotEntry& entry) {
        ++hits_;
        if (as_json_ || entry.id == shown_) return;
        print(fmt::format("{}Found matching entries in snapshot {} from {}\n", hits_ == 1 ? "" : "\n", entry.id.brief(),
                          local_time(entry.snapshot.time)));
        shown_ = entry.id;
    }
    void print_entry(const vault::SnapshotEntry& entry, json::Value value) const {
        value.set("snapshot", entry.id.hex());
        print(fmt::format("{}{}", hits_ == 1 ? "{\"matches\": [\n" : ",\n", json::dump(value)));
    }
    Status show_file(const vault::SnapshotEntry& entry, const std::string& path, const format::Node& node) {
        under(entry);
        if (as_json_)
            print_entry(entry, node_json(node, path));
        else
            print((long_form_ ? long_line(node, path, false) : printable(path)) + "\n");
        return {};
    }
    Status show_object(const vault::Repository& repository, const vault::SnapshotEntry& entry,
                       const vault::ObjectHit& hit) {
        under(entry);
        const bool tree = hit.type == format::BlobType::tree;
        const auto places = show_pack_ ? repository.places(hit.type, hit.id) : std::vector<vault::BlobPlace>();
        if (as_json_) {
            json::Value value = json::Value::object({{"object_type", tree ? "tree" : "blob"},
                                                     {"id", hit.id.hex()},
                                                     {"path", hit.path},
                                                     {"parent_tree", hit.tree.hex()}});
            json::Value packs = json::Value::array();
            for (const auto& place : places) packs.push(place.pack.hex());
            if (show_pack_) value.set("packs", std::move(packs));
            print_entry(entry, std::move(value));
            return {};
        }
        print(fmt::format("{} {} in {}\n", tree ? "tree" : "blob", hit.id.hex(), printable(hit.path)));
        for (const auto& place : places) print(fmt::format("  in pack {}\n", place.pack.hex()));
        return {};
    }

    std::vector<std::string> patterns_, ids_;
    std::string oldest_, newest_;
    bool ignore_case_ = false, long_form_ = false, blob_ = false, tree_ = false, pack_ = false, show_pack_ = false;
    FilterArguments filter_;
    bool as_json_ = false, no_lock_ = false;
    std::uint64_t hits_ = 0;
    Id shown_;
};

}    // namespace

std::unique_ptr<Command> find_command() { return std::make_unique<FindCommand>(); }

}    // namespace holdfast::cli
