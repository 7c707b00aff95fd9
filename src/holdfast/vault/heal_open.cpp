// open_healing: the two kinds of files without which nothing can be read, config and keys.

#include <fmt/core.h>

#include <algorithm>

#include "holdfast/vault/heal.hpp"
#include "holdfast/vault/keys.hpp"

namespace holdfast::vault {
namespace {

using storage::FileKind;
using storage::FileName;

constexpr FileName k_config{FileKind::config, {}};

bool opens(ByteView config, const format::Key& master) {
    Bytes plain;
    return format::Cipher(master).open(config, plain) && format::decode_config(as_text(plain));
}

class Opener {
public:
    Opener(storage::Backend& backend, const Secret& password, const HealOptions& options, HealReport& report)
        : backend_(backend), password_(password), options_(options), report_(report), aside_(options.aside_folder) {}

    Status run() {
        HF_TRY(const bool any_key, heal_keys());
        if (!any_key) HF_DO(bring_back_keys());
        HF_TRY(const OpenedKey key, open_master_key(backend_, password_));
        return heal_config(key.master);
    }

private:
    // Damaged ones; whether a whole one is there then.
    Result<bool> heal_keys() {
        std::vector<Id> keys;
        auto listed = backend_.list(FileKind::key, [&](const Id& id, std::uint64_t) { keys.push_back(id); });
        if (!listed && listed.error().code != ErrorCode::not_found) return fail(std::move(listed).error());
        bool whole = false;
        for (const Id& id : keys) {
            const FileName name{FileKind::key, id};
            bool good = !find_damage(backend_, name);
            for (FileSource* source : options_.sources) {
                if (good) break;
                HF_TRY(good, replace_file(backend_, name, *source, aside_));
                if (good) report_.healed.push_back({describe(name), source->label()});
            }
            whole |= good;
        }
        return whole;
    }

    // With no key left here, a source's keys are taken, if its config or ours shows that they belong to this repository.
    Status bring_back_keys() {
        for (FileSource* source : options_.sources) {
            const auto files = source->list();
            if (!files) continue;
            std::vector<FileName> placed;
            for (const auto& [name, size] : *files) {
                if (name.kind != FileKind::key) continue;
                const auto key = fetch_small(*source, name);
                if (!key) continue;
                if (placed.empty()) HF_DO(backend_.create_layout());
                HF_DO(aside_.keep(backend_, name));
                if (auto gone = backend_.remove(name); !gone && gone.error().code != ErrorCode::not_found)
                    return fail(std::move(gone).error());
                HF_DO(backend_.put(name, *key));
                placed.push_back(name);
            }
            if (placed.empty()) continue;
            if (const auto key_there = open_master_key(backend_, password_)) {
                const auto ours = backend_.read(k_config);
                const auto theirs = fetch_small(*source, k_config);
                HF_TRY(const bool related, is_related(*files));
                if ((ours && opens(*ours, key_there->master)) ||
                    (related && theirs && opens(*theirs, key_there->master))) {
                    for (const FileName& name : placed) report_.healed.push_back({describe(name), source->label()});
                    return backend_.sync();
                }
            } else if (key_there.error().code == ErrorCode::wrong_password) {
                for (const FileName& name : placed) HF_DO(backend_.remove(name));
                return fail(key_there.error());
            }
            for (const FileName& name : placed) HF_DO(backend_.remove(name));
        }
        return {};    // opening says what is missing
    }

    // Names are hashes of encrypted content: one in common shows that it is the same repository. Where nothing is left
    // here there is nothing that could be mixed up.
    Result<bool> is_related(const Listing& theirs) {
        HF_TRY(const Listing ours, list_repository(backend_));
        bool anything = false;
        for (const auto& [name, size] : ours) {
            if (name.kind == FileKind::config || name.kind == FileKind::key) continue;
            if (theirs.contains(name)) return true;
            anything = true;
        }
        return !anything;
    }

    Status heal_config(const format::Key& master) {
        const auto ours = backend_.read(k_config);
        if (ours && opens(*ours, master)) return {};
        if (!ours && ours.error().code != ErrorCode::not_found && ours.error().code != ErrorCode::io)
            return fail(ours.error());
        for (FileSource* source : options_.sources) {
            const auto good = fetch_small(*source, k_config);
            if (!good || !opens(*good, master)) continue;
            HF_DO(aside_.keep(backend_, k_config));
            if (auto gone = backend_.remove(k_config); !gone && gone.error().code != ErrorCode::not_found)
                return fail(std::move(gone).error());
            HF_DO(backend_.put(k_config, *good));
            HF_DO(backend_.sync());
            report_.healed.push_back({"the config", source->label()});
            return {};
        }
        return {};
    }

    storage::Backend& backend_;
    const Secret& password_;
    const HealOptions& options_;
    HealReport& report_;
    SetAside aside_;
};

}    // namespace

Result<std::unique_ptr<Repository>> open_healing(
    const std::function<Result<std::unique_ptr<storage::Backend>>()>& make_backend, const Secret& password,
    Clock& clock, const HealOptions& options, HealReport& report) {
    {
        HF_TRY(const auto backend, make_backend());
        HF_DO(Opener(*backend, password, options, report).run());
    }
    HF_TRY(auto backend, make_backend());
    return Repository::open(std::move(backend), password, clock);
}

}    // namespace holdfast::vault
