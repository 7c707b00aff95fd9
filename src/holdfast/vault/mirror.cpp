#include "holdfast/vault/mirror.hpp"

#include <fmt/core.h>
#include <openssl/rand.h>

#include <algorithm>
#include <mutex>

#include "holdfast/base/log.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/vault/parallel.hpp"
#include "holdfast/vault/removal.hpp"
#include "holdfast/vault/repository_state.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;
using storage::FileName;

constexpr FileName k_config{FileKind::config, {}};
// Of what was sent: enough to notice a mirror that stores nonsense, little enough to cost nothing.
constexpr unsigned k_sample_percent = 5;

bool drawn(unsigned percent) {
    std::array<std::byte, 4> bytes;
    os::random_bytes(bytes);
    return load_le<std::uint32_t>(bytes.data()) % 100 < percent;
}

// The config is the one file that is not named by its content; it never changes, so equal bytes mean the same repository.
Status check_identity(Repository& repository, storage::Backend& mirror, const Listing& there) {
    if (there.contains(k_config)) {
        HF_TRY(const Bytes ours, repository.backend().read(k_config));
        HF_TRY(const Bytes theirs, mirror.read(k_config));
        if (ours == theirs) return {};
        Bytes plain;
        if (format::Cipher(repository.master_key()).open(theirs, plain))
            return fail(
                ErrorCode::exists,
                fmt::format("{} was made with the keys of this repository, but has another config", mirror.location()),
                "two repositories grew apart there: take an empty place for the mirror");
        return fail(
            ErrorCode::exists,
            fmt::format("{} holds another repository, or the mirror's config is damaged", mirror.location()),
            "take an empty place for the mirror. If it is this repository's mirror, remove its file config; the "
            "next sync sends it again");
    }
    // Keys travel first; whatever else is there without a config is not ours to add to.
    for (const auto& [name, size] : there) {
        const bool same = repository.backend().size(name).has_value();
        if (!same)
            return fail(ErrorCode::exists,
                        fmt::format("{} has no config, but files that this repository has not ({})", mirror.location(),
                                    storage::relative_path(name)),
                        "take an empty place for the mirror");
    }
    return {};
}

Status send_config(Repository& repository, storage::Backend& mirror) {
    HF_TRY(const Bytes config, repository.backend().read(k_config));
    // It was whole when the repository was opened; what lies there now may not be.
    Bytes plain;
    if (!format::Cipher(repository.master_key()).open(config, plain))
        return fail(ErrorCode::corrupt, "the repository's config is damaged", "run `holdfast heal`");
    return mirror.put(k_config, config);
}

// An index file that is gone here may be lost, not replaced: then it names packs that lie here and nobody else names.
Result<bool> is_still_wanted(Repository& repository, storage::Backend& mirror, const FileName& index,
                             const Listing& here) {
    auto envelope = mirror.read(index);
    if (!envelope || format::sha256(*envelope) != index.id) return false;
    const auto json = repository.state().openers.get()->open_document(*envelope);
    if (!json) return false;
    const auto packs = format::decode_index(as_text(*json), describe(index));
    if (!packs) return false;
    return std::ranges::any_of(*packs, [&](const format::IndexPack& pack) {
        if (!here.contains({FileKind::pack, pack.id})) return false;
        return std::ranges::any_of(pack.blobs, [&](const auto& b) { return !repository.has_blob(b.type, b.id); });
    });
}

class Sync {
public:
    Sync(Repository& repository, storage::Backend& mirror, MirrorMemory& memory, const MirrorOptions& options)
        : repository_(repository), mirror_(mirror), memory_(memory), options_(options) {}

    Result<MirrorReport> run() {
        HF_TRY(const auto lock, repository_.lock(LockMode::shared));
        HF_DO(repository_.load_index(true));
        HF_TRY(const Listing here, list_repository(repository_.backend()));
        HF_TRY(const Listing there, list_repository(mirror_));
        HF_DO(check_identity(repository_, mirror_, there));
        // An empty folder where a disk should be mounted must not be filled instead of it.
        if (!there.contains(k_config) && memory_.complete_at.nanoseconds > 0 && !options_.rules.accept_mass_deletion)
            return fail(
                ErrorCode::not_found,
                fmt::format("the mirror at {} is not there any more (is its disk mounted?)", mirror_.location()),
                "bring it back; to make a new one there: `holdfast mirror sync --force`");
        MirrorPlan plan = plan_mirror(
            here, there, memory_, options_.rules,
            [&](const Id& pack) { return repository_.state().index.pack_number(pack).has_value(); },
            repository_.clock().now());
        report_.waiting = plan.waiting;
        report_.lost_at_source = plan.lost_at_source;
        report_.suspicion = plan.suspicion;
        for (const auto& [name, size] : there) {
            ++report_.files_there;
            report_.bytes_there += size;
        }
        for (const auto* files : {&plan.send, &plan.resend})
            for (const MirrorFile& file : *files) bytes_total_ += file.size;
        if (options_.dry_run) {
            report_.files_sent = plan.send.size() + plan.resend.size();
            report_.bytes_sent = bytes_total_;
            report_.removed = plan.remove.size();
            return std::move(report_);
        }
        if (!there.contains(k_config)) HF_DO(mirror_.create_layout());
        HF_DO(send_all(plan));
        HF_DO(lock->still_held());
        if (report_.complete()) HF_DO(remove_old(plan, here));
        memory_ = std::move(plan.memory);
        if (report_.complete()) memory_.complete_at = repository_.clock().now();
        return std::move(report_);
    }

private:
    Status send_all(const MirrorPlan& plan) {
        std::vector<MirrorFile> all;
        for (const MirrorFile& file : plan.resend) {
            // A file of the wrong size is no good to anyone; but it goes only when ours is known to be whole.
            if (options_.rules.append_only) {
                note_fault(file.name,
                           fmt::format("{} at {} has another size than here, and nothing can be replaced there",
                                       describe(file.name), mirror_.location()));
                continue;
            }
            if (file.name.kind != FileKind::config)
                if (const auto damage = find_damage(repository_.backend(), file.name)) {
                    note_fault(file.name, damage->message);
                    continue;
                }
            HF_DO(mirror_.remove(file.name));
            all.push_back(file);
        }
        all.insert(all.end(), plan.send.begin(), plan.send.end());
        // Never shown to others before what they need is safe.
        for (const auto& stage : {std::vector{FileKind::key},
                                  {FileKind::config},
                                  {FileKind::pack},
                                  {FileKind::index},
                                  {FileKind::snapshot}}) {
            std::vector<MirrorFile> files;
            std::ranges::copy_if(all, std::back_inserter(files),
                                 [&](const MirrorFile& file) { return file.name.kind == stage[0]; });
            if (files.empty()) continue;
            if (hold_back_) return {};
            HF_DO(send(files));
            HF_DO(mirror_.sync());
            HF_DO(read_back(files));
        }
        return {};
    }

    // What other files need has to be whole before those may travel.
    void note_fault(const FileName& name, std::string text) {
        report_.faults.push_back(std::move(text));
        not_sent_.insert(name);
        if (name.kind == FileKind::pack || name.kind == FileKind::index) hold_back_ = true;
    }

    Status send(const std::vector<MirrorFile>& files) {
        return for_each_of(files.size(), options_.connections, [&](std::size_t i) -> Status {
            const auto& [name, size] = files[i];
            SourceFault fault;
            if (name.kind == FileKind::config) {
                HF_DO(send_config(repository_, mirror_));
            } else {
                HF_TRY(fault, copy_file(repository_.backend(), mirror_, name, size));
            }
            const std::scoped_lock lock(mutex_);
            bytes_done_ += size;
            if (fault) {
                note_fault(name, fault->message);
            } else {
                ++report_.files_sent;
                report_.bytes_sent += size;
            }
            if (options_.progress) options_.progress(bytes_done_, bytes_total_);
            return {};
        });
    }

    Status read_back(const std::vector<MirrorFile>& files) {
        if (options_.read_back == ReadBack::none) return {};
        return for_each_of(files.size(), options_.connections, [&](std::size_t i) -> Status {
            const auto& [name, size] = files[i];
            if (name.kind == FileKind::config || not_sent_.contains(name)) return {};
            // The first one always: a mirror that stores nothing is noticed at once.
            if (options_.read_back == ReadBack::sample && i != 0 && !drawn(k_sample_percent)) return {};
            const auto damage = find_damage(mirror_, name, size);
            if (damage) {
                // Gone, it is sent again by the next sync; where nothing can be removed it is told again.
                if (!options_.rules.append_only && mirror_.size(name)) HF_DO(mirror_.remove(name));
                return fail(Error(*damage).within("reading back what was sent"));
            }
            const std::scoped_lock lock(mutex_);
            ++report_.files_read_back;
            return {};
        });
    }

    Status remove_old(MirrorPlan& plan, const Listing& here) {
        std::size_t indexes_kept = 0;
        // A stage is gone for good before the next one begins.
        for (auto from = plan.remove.begin(); from != plan.remove.end();) {
            const FileKind kind = from->kind;
            const auto to =
                std::find_if(from, plan.remove.end(), [&](const FileName& name) { return name.kind != kind; });
            std::vector<FileName> stage(from, to);
            from = to;
            if (kind == FileKind::index) {
                std::vector<FileName> unwanted;
                for (const FileName& name : stage) {
                    HF_TRY(const bool wanted, is_still_wanted(repository_, mirror_, name, here));
                    if (!wanted) unwanted.push_back(name);
                }
                indexes_kept += stage.size() - unwanted.size();
                stage = std::move(unwanted);
            }
            // Its packs stay with it.
            if (kind == FileKind::pack && indexes_kept > 0) break;
            auto removed = remove_in_batches(mirror_, stage, [&](const FileName& name) {
                plan.memory.gone.erase(name);
                ++report_.removed;
            });
            if (!removed) return fail(std::move(removed).error().within("removing an old file at the mirror"));
            HF_DO(mirror_.sync());
        }
        report_.lost_at_source += indexes_kept;
        return {};
    }

    Repository& repository_;
    storage::Backend& mirror_;
    MirrorMemory& memory_;
    const MirrorOptions& options_;
    std::mutex mutex_;
    std::set<FileName> not_sent_;
    bool hold_back_ = false;
    std::uint64_t bytes_done_ = 0, bytes_total_ = 0;
    MirrorReport report_;
};

}    // namespace

Result<MirrorReport> sync_mirror(Repository& repository, storage::Backend& mirror, MirrorMemory& memory,
                                 const MirrorOptions& options) {
    return Sync(repository, mirror, memory, options).run();
}

Result<MirrorLag> measure_lag(Repository& repository, storage::Backend& mirror) {
    HF_TRY(const Listing here, list_repository(repository.backend()));
    HF_TRY(const Listing there, list_repository(mirror));
    HF_DO(check_identity(repository, mirror, there));
    MirrorLag lag;
    lag.empty = !there.contains(k_config);
    for (const auto& [name, size] : here) {
        const auto found = there.find(name);
        const bool missing = found == there.end() || found->second != size;
        lag.files_missing += missing;
        lag.bytes_missing += missing ? size : 0;
        if (name.kind != FileKind::snapshot) continue;
        ++lag.snapshots_here;
        lag.snapshots_missing += missing;
    }
    for (const auto& [name, size] : there) {
        lag.only_there += name.kind != FileKind::config && !here.contains(name);
        lag.snapshots_there += name.kind == FileKind::snapshot;
    }
    return lag;
}

Result<VerifyReport> verify_mirror(Repository& repository, storage::Backend& mirror, MirrorMemory& memory,
                                   const VerifyOptions& options) {
    HF_TRY(const auto lock, repository.lock(LockMode::shared));
    HF_TRY(const Listing here, list_repository(repository.backend()));
    HF_TRY(const Listing there, list_repository(mirror));
    HF_DO(check_identity(repository, mirror, there));
    if (!there.contains(k_config))
        return fail(ErrorCode::not_found, fmt::format("there is no mirror at {} yet", mirror.location()),
                    "run `holdfast mirror sync`");
    std::vector<MirrorFile> files;
    std::uint64_t total = 0, done = 0;
    for (const auto& [name, size] : there) {
        if (name.kind == FileKind::config) continue;
        if (name.kind == FileKind::pack && options.percent < 100 && !drawn(options.percent)) continue;
        files.push_back({name, size});
        total += size;
    }
    VerifyReport report;
    std::mutex mutex;
    HF_DO(for_each_of(files.size(), options.connections, [&](std::size_t i) -> Status {
        if (os::stop_requested()) return fail(ErrorCode::cancelled, "stopped while verifying a mirror");
        const auto& [name, size] = files[i];
        const auto ours = here.find(name);
        const auto wanted = ours == here.end() ? std::nullopt : std::optional(ours->second);
        auto damage = find_damage(mirror, name, wanted);
        bool repaired = false;
        if (damage && options.repair && !options.append_only && ours != here.end() &&
            !find_damage(repository.backend(), name)) {
            HF_DO(mirror.remove(name));
            HF_TRY(const SourceFault fault, copy_file(repository.backend(), mirror, name, ours->second));
            if (!fault) damage = find_damage(mirror, name, ours->second);
            repaired = !damage;
        }
        const std::scoped_lock guard(mutex);
        ++report.files_read;
        report.bytes_read += size;
        report.repaired += repaired;
        if (damage) report.errors.push_back(damage->message);
        done += size;
        if (options.progress) options.progress(done, total);
        return {};
    }));
    HF_DO(mirror.sync());
    for (const auto& [name, size] : here)
        if (!there.contains(name))
            report.errors.push_back(fmt::format("{} has not been sent to {}", describe(name), mirror.location()));
    std::ranges::sort(report.errors);
    if (report.errors.empty() && options.percent >= 100) memory.verified_at = repository.clock().now();
    return report;
}

}    // namespace holdfast::vault
