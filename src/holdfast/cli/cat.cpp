// `holdfast cat` and `holdfast list`: the repository's objects as they are.

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "holdfast/cli/commands.hpp"
#include "holdfast/cli/output.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::cli {
namespace {

using storage::FileKind;

// A unique prefix of the name of a file.
Result<Id> find_file(const vault::Repository& repository, FileKind kind, const std::string& prefix) {
    if (prefix.size() < 4 || prefix.size() > 64 || prefix.find_first_not_of("0123456789abcdef") != std::string::npos)
        return fail(ErrorCode::usage, fmt::format("\"{}\" is no ID", prefix), "give at least 4 hex digits");
    std::vector<Id> found;
    HF_DO(repository.backend().list(kind, [&](const Id& id, std::uint64_t) {
        if (id.hex().starts_with(prefix)) found.push_back(id);
    }));
    if (found.empty())
        return fail(ErrorCode::not_found, fmt::format("nothing of that kind begins with {}", prefix),
                    "`holdfast list` shows what is there");
    if (found.size() > 1)
        return fail(ErrorCode::usage, fmt::format("several begin with {}", prefix), "give more digits");
    return found[0];
}

Status print_text(const std::string& text) {
    print(text.ends_with('\n') ? text : text + "\n");
    return {};
}

class CatCommand final : public Command {
    std::string_view name() const override { return "cat"; }
    std::string_view help() const override { return "print an object of the repository, decrypted"; }
    std::string_view examples() const override {
        return R"(config, key, index, snapshot, lock and tree are JSON; blob is a chunk's bytes; pack is the file as stored. masterkey opens
everything: it is printed only with --show-secret.

Examples
  holdfast cat config
  holdfast cat snapshot latest
  holdfast cat tree latest:/postgres
  holdfast cat blob 1a2b3c4d5e6f… > chunk
)";
    }
    void declare(Options& options) override {
        options.argument("KIND", kind_, Options::Need::required,
                         "config, key, masterkey, index, snapshot, pack, blob, tree or lock");
        options.argument("ID", id_, Options::Need::optional,
                         "or its first digits; for a tree also SNAPSHOT or SNAPSHOT:PATH");
        options.flag("--show-secret", show_secret_, "print the master key");
    }

    Result<int> run(const Session& session) override {
        static constexpr std::array<std::string_view, 9> k_kinds = {"config", "key",  "masterkey", "index", "snapshot",
                                                                    "pack",   "blob", "tree",      "lock"};
        if (std::ranges::find(k_kinds, kind_) == k_kinds.end())
            return fail(ErrorCode::usage, fmt::format("\"{}\" is no kind of object", kind_),
                        "one of config, key, masterkey, index, snapshot, pack, blob, tree, lock");
        const bool alone = kind_ == "config" || kind_ == "masterkey";
        if (alone != id_.empty())
            return fail(ErrorCode::usage,
                        alone ? fmt::format("{} takes no ID", kind_) : fmt::format("which {}?", kind_),
                        alone ? "leave it out" : "give its ID, or the first digits of it");
        HF_TRY(const auto repository, open_repository(session));
        HF_DO(show(*repository));
        return 0;
    }

    Status show(vault::Repository& repository) const {
        if (kind_ == "config") return print_text(format::encode(repository.config()));
        if (kind_ == "masterkey") {
            if (!show_secret_)
                return fail(
                    ErrorCode::denied, "the master key opens the whole repository and is not shown",
                    "if it must be: --show-secret; whoever sees it can read every backup, see `holdfast rekey`");
            const Secret text(format::encode(repository.master_key()));
            return print_text(text.reveal());
        }
        if (kind_ == "snapshot") {
            HF_TRY(const auto entry, repository.find_snapshot(id_));
            return print_text(format::encode(entry.snapshot));
        }
        if (kind_ == "blob" || kind_ == "tree") return show_blob(repository);
        const FileKind kind = kind_ == "key"     ? FileKind::key
                              : kind_ == "index" ? FileKind::index
                              : kind_ == "pack"  ? FileKind::pack
                                                 : FileKind::lock;
        HF_TRY(const Id id, find_file(repository, kind, id_));
        if (kind == FileKind::index || kind == FileKind::lock) {
            HF_TRY(const std::string json, repository.read_document({kind, id}));
            return print_text(json);
        }
        HF_TRY(const Bytes bytes, repository.backend().read({kind, id}));
        if (format::sha256(bytes) != id)
            print_note(fmt::format("{} its content does not match its name\n", painted(2, Colour::red, "damaged:")));
        print(as_text(bytes));
        return {};
    }

    Status show_blob(vault::Repository& repository) const {
        HF_DO(repository.load_index());
        const bool tree = kind_ == "tree";
        if (tree) {
            // A snapshot, or a path in one.
            const std::string spec = id_.substr(0, id_.find(':'));
            if (spec == "latest" || id_.find(':') != std::string::npos) {
                HF_TRY(const auto entry, repository.find_snapshot(spec));
                const std::size_t colon = id_.find(':');
                HF_TRY(const format::Node node,
                       repository.find_node(entry.snapshot.tree,
                                            colon == std::string::npos ? "/" : id_.substr(colon + 1)));
                if (node.type != format::NodeType::dir)
                    return fail(ErrorCode::not_found, fmt::format("{} is no folder", printable(id_)));
                HF_TRY(const Bytes json, repository.read_blob(format::BlobType::tree, node.subtree));
                return print_text(std::string(as_text(json)));
            }
        }
        const auto type = tree ? format::BlobType::tree : format::BlobType::data;
        const auto& index = repository.state().index;
        std::optional<Id> found;
        for (std::uint32_t i = 0; i < index.blob_count(); ++i) {
            const auto at = index.at(i);
            if (at.blob.type != type || !at.blob.id.hex().starts_with(id_) || index.first_of(i) != i) continue;
            if (found) return fail(ErrorCode::usage, fmt::format("several begin with {}", id_), "give more digits");
            found = at.blob.id;
        }
        HF_DO(index.status());
        if (!found || id_.size() < 4)
            return fail(ErrorCode::not_found, fmt::format("no {} begins with {}", kind_, id_),
                        "`holdfast list blobs` shows what there is");
        HF_TRY(const Bytes bytes, repository.read_blob(type, *found));
        if (tree) return print_text(std::string(as_text(bytes)));
        print(as_text(bytes));
        return {};
    }

    std::string kind_, id_;
    bool show_secret_ = false;
};

class ListCommand final : public Command {
    std::string_view name() const override { return "list"; }
    std::string_view help() const override { return "list the repository's objects by ID"; }
    std::string_view examples() const override {
        return R"(Examples
  holdfast list packs
  holdfast list blobs --json | jq 'length'
)";
    }
    void declare(Options& options) override {
        options.argument("KIND", kind_, Options::Need::required, "packs, blobs, index, snapshots, keys or locks");
    }
    Result<int> run(const Session& session) override {
        static constexpr std::pair<std::string_view, FileKind> k_kinds[] = {{"packs", FileKind::pack},
                                                                            {"index", FileKind::index},
                                                                            {"snapshots", FileKind::snapshot},
                                                                            {"keys", FileKind::key},
                                                                            {"locks", FileKind::lock}};
        const auto* const kind = std::ranges::find_if(k_kinds, [&](const auto& known) { return known.first == kind_; });
        if (kind == std::end(k_kinds) && kind_ != "blobs")
            return fail(ErrorCode::usage, fmt::format("\"{}\" is no kind of object", kind_),
                        "one of packs, blobs, index, snapshots, keys, locks");
        HF_TRY(const auto repository, open_repository(session));
        as_json_ = session.global.json;
        if (kind_ == "blobs") {
            HF_DO(repository->load_index());
            const auto& index = repository->state().index;
            for (std::uint32_t i = 0; i < index.blob_count(); ++i) {
                const auto at = index.at(i);
                const char* type = at.blob.type == format::BlobType::tree ? "tree" : "data";
                show(json::Value::object({{"type", type},
                                          {"id", at.blob.id.hex()},
                                          {"pack", index.pack_id(at.pack).hex()},
                                          {"offset", at.blob.offset},
                                          {"length", at.blob.length},
                                          {"plain_length", at.blob.plain_length()}}),
                     fmt::format("{} {}", type, at.blob.id.hex()));
            }
            HF_DO(index.status());
        } else {
            std::vector<std::pair<Id, std::uint64_t>> found;
            HF_DO(repository->backend().list(kind->second,
                                             [&](const Id& id, std::uint64_t size) { found.emplace_back(id, size); }));
            std::ranges::sort(found);
            for (const auto& [id, size] : found)
                show(json::Value::object({{"id", id.hex()}, {"size", size}}), id.hex());
        }
        if (as_json_) print(shown_ == 0 ? "[]\n" : "\n]\n");
        return 0;
    }
    void show(const json::Value& value, const std::string& line) {
        print(as_json_ ? (shown_ == 0 ? "[\n" : ",\n") + json::dump(value) : line + "\n");
        ++shown_;
    }
    std::string kind_;
    bool as_json_ = false;
    std::uint64_t shown_ = 0;
};

}    // namespace

std::unique_ptr<Command> cat_command() { return std::make_unique<CatCommand>(); }
std::unique_ptr<Command> list_command() { return std::make_unique<ListCommand>(); }

}    // namespace holdfast::cli
