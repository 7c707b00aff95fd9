#include "holdfast/vault/heal.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <set>

#include "holdfast/os/host.hpp"
#include "holdfast/vault/heal_blobs.hpp"
#include "holdfast/vault/parallel.hpp"
#include "holdfast/vault/reachable.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;
using storage::FileName;

class Healer {
public:
    Healer(Repository& repository, const HealOptions& options, HealReport& report)
        : repository_(repository), options_(options), report_(report), aside_(options.aside_folder) {}

    Status run() {
        HF_DO(list_sources());
        {
            HF_TRY(const auto lock, repository_.lock(LockMode::exclusive));
            HF_DO(finish_interrupted());
            HF_DO(heal_named(FileKind::key));
            HF_DO(heal_named(FileKind::snapshot));
            HF_DO(bring_back_snapshots());
            HF_DO(heal_named(FileKind::index));
            HF_DO(load_good_index());
            HF_DO(heal_packs_and_index());
            HF_TRY(const bool mended, mend_index());
            if (mended) HF_DO(heal_packs_and_index());
            HF_DO(lock->still_held());
            HF_TRY(bad_packs_, remake_packs(repository_, bad_packs_, options_, aside_, report_));
            for (const Id& id : bad_packs_) report_.not_healed.push_back(describe({FileKind::pack, id}));
        }
        HF_TRY(const CheckReport after, check(repository_, {.read_data = !options_.quick, .progress = {}}));
        report_.errors_left = after.errors;
        if (!after.ok()) HF_DO(list_losses(repository_, report_));
        if (report_.well()) HF_DO(aside_.discard());
        report_.aside_folder = aside_.folder();
        return {};
    }

private:
    Status list_sources() {
        for (FileSource* source : options_.sources) {
            auto files = source->list();
            if (files)
                sources_.push_back({source, *std::move(files)});
            else
                report_.source_errors.push_back(fmt::format("{}: {}", source->label(), files.error().message));
        }
        return {};
    }

    Result<bool> heal_file(const FileName& name) {
        for (const auto& [source, files] : sources_) {
            if (!files.contains(name)) continue;
            HF_TRY(const bool healed, replace_file(repository_.backend(), name, *source, aside_));
            if (!healed) continue;
            report_.healed.push_back({describe(name), source->label()});
            return true;
        }
        return false;
    }

    // What an earlier run took away as damaged before it was killed: nothing else here says that it belongs here.
    Status finish_interrupted() {
        HF_TRY(const auto interrupted, aside_.interrupted());
        for (const auto& [name, note] : interrupted) {
            const auto there = repository_.backend().size(name);
            if (!there && there.error().code != ErrorCode::not_found) return fail(Error(there.error()));
            bool back = there.has_value();
            // One folder may serve several repositories: what no source of this one has is not ours.
            if (!back) {
                HF_TRY(back, heal_file(name));
            }
            if (back && ::unlink(note.c_str()) != 0) return fail(errno_error(errno, "cannot remove " + note));
        }
        return {};
    }

    // Files that are there, but not whole.
    Status heal_named(FileKind kind) {
        std::vector<Id> ids;
        HF_DO(repository_.backend().list(kind, [&](const Id& id, std::uint64_t) { ids.push_back(id); }));
        for (const Id& id : ids) {
            if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while healing");
            const FileName name{kind, id};
            if (!find_damage(repository_.backend(), name)) continue;
            HF_TRY(const bool healed, heal_file(name));
            if (healed) continue;
            if (kind == FileKind::index)
                bad_index_.push_back(id);
            else
                report_.not_healed.push_back(describe(name));
        }
        return {};
    }

    Status bring_back_snapshots() {
        std::set<FileName> seen;
        for (const auto& [source, files] : sources_)
            for (const auto& [name, size] : files) {
                if (name.kind != FileKind::snapshot || repository_.backend().size(name) || !seen.insert(name).second)
                    continue;
                if (!options_.missing_snapshots)
                    report_.snapshots_elsewhere.push_back(fmt::format("{} ({})", name.id.brief(), source->label()));
                else
                    HF_DO(heal_file(name));
            }
        return {};
    }

    // Every good index file; the damaged ones hide nothing of the others.
    Status load_good_index() {
        auto& state = repository_.state();
        state.index.clear();
        std::set<Id> loaded;
        std::vector<Id> ids;
        HF_DO(repository_.backend().list(FileKind::index, [&](const Id& id, std::uint64_t) { ids.push_back(id); }));
        for (const Id& id : ids) {
            const auto packs = repository_.read_index(id);
            if (!packs) continue;
            for (const format::IndexPack& pack : *packs) state.index.add(pack);
            loaded.insert(id);
        }
        const std::scoped_lock lock(state.index_files_mutex);
        state.index_files = std::move(loaded);
        state.index_loaded = true;
        return {};
    }

    // An index file that no source has is made anew from the packs themselves; then the damaged one may go.
    Result<bool> mend_index() {
        HF_TRY(const Reachable reachable, walk());
        if (bad_index_.empty() && reachable.missing().empty()) return false;
        HF_TRY(const std::size_t found, index_orphans(repository_));
        if (found > 0) {
            report_.healed.push_back({fmt::format("the index of {} packs", found), "the packs themselves"});
            HF_DO(load_good_index());
        }
        for (const Id& id : bad_index_) {
            const FileName name{FileKind::index, id};
            HF_DO(aside_.keep(repository_.backend(), name));
            HF_DO(repository_.backend().remove(name));
            report_.healed.push_back({describe(name), "the packs themselves"});
        }
        HF_DO(repository_.backend().sync());
        return found > 0;
    }

    // A pack that came back may hold the trees that name what else is missing.
    Status heal_packs_and_index() {
        for (bool more = true; more;) {
            HF_DO(heal_packs());
            HF_TRY(more, bring_back_index());
        }
        return {};
    }

    Result<Reachable> walk() {
        HF_TRY(const auto snapshots, repository_.snapshots([](const Id&, const Error&) {}));
        std::vector<Id> roots;
        for (const SnapshotEntry& entry : snapshots) roots.push_back(entry.snapshot.tree);
        MarkOptions quiet;
        quiet.unreadable = [](const Id&, const Error&) {};
        return find_reachable(repository_, roots, quiet);
    }

    // Blobs that snapshots need and no index names: an index file that is gone here may name them at a source.
    Result<bool> bring_back_index() {
        HF_TRY(const Reachable reachable, walk());
        if (reachable.missing().empty()) return false;
        std::set<Id> wanted;
        for (const auto& missing : reachable.missing()) wanted.insert(missing.id);
        bool any = false;
        for (const auto& [source, files] : sources_)
            for (const auto& [name, size] : files) {
                if (name.kind != FileKind::index || repository_.backend().size(name) || tried_.contains(name)) continue;
                auto envelope = fetch_small(*source, name);
                if (!envelope) continue;
                const auto json = repository_.state().openers.get()->open_document(*envelope);
                if (!json) continue;
                const auto packs = format::decode_index(as_text(*json), describe(name));
                if (!packs) continue;
                const bool names = std::ranges::any_of(*packs, [&](const format::IndexPack& pack) {
                    return std::ranges::any_of(pack.blobs, [&](const auto& blob) { return wanted.contains(blob.id); });
                });
                if (!names) continue;
                tried_.insert(name);
                HF_TRY(const bool healed, heal_file(name));
                any |= healed;
            }
        if (any) HF_DO(load_good_index());
        return any;
    }

    Status heal_packs() {
        HF_TRY(const Listing here, list_repository(repository_.backend()));
        std::vector<format::IndexPack> packs = repository_.state().index.packs();
        std::erase_if(packs, [&](const auto& pack) { return looked_at_.contains(pack.id); });
        std::vector<Id> damaged;
        std::mutex mutex;
        std::uint64_t done = 0;
        HF_DO(for_each_of(packs.size(), worker_count(), [&](std::size_t i) -> Status {
            const FileName name{FileKind::pack, packs[i].id};
            const auto found = here.find(name);
            const bool good = found != here.end() && found->second == format::pack_size(packs[i].blobs) &&
                              (options_.quick || !find_damage(repository_.backend(), name));
            const std::scoped_lock lock(mutex);
            if (!good) damaged.push_back(name.id);
            if (options_.progress) options_.progress(++done, packs.size());
            return {};
        }));
        for (const auto& pack : packs) looked_at_.insert(pack.id);
        std::ranges::sort(damaged);
        for (const Id& id : damaged) {
            HF_TRY(const bool healed, heal_file({FileKind::pack, id}));
            if (!healed) bad_packs_.push_back(id);
        }
        return {};
    }

    struct Source {
        FileSource* source;
        Listing files;
    };
    Repository& repository_;
    const HealOptions& options_;
    HealReport& report_;
    SetAside aside_;
    std::vector<Source> sources_;
    std::vector<Id> bad_index_, bad_packs_;
    std::set<Id> looked_at_;
    std::set<FileName> tried_;
};

}    // namespace

Status heal(Repository& repository, const HealOptions& options, HealReport& report) {
    return Healer(repository, options, report).run();
}

}    // namespace holdfast::vault
