// A trade journal comes back as files do; but never under an engine that writes it.

#include "holdfast/recovery/restore_store.hpp"
#include "holdfast/trade/journal_disk.hpp"

namespace holdfast::recovery {
namespace {

Status refuse_in_use(const RestoreContext& context) {
    for (const json::Value& path : context.facts["paths"].items()) {
        const auto folder = trade::JournalFolder::look(path.text());
        if (!folder && folder.error().code == ErrorCode::not_found) continue;
        if (!folder) return fail(folder.error());
        HF_TRY(const bool in_use, (*folder)->in_use());
        if (in_use)
            return fail(ErrorCode::locked, "an engine writes the journal in " + path.text(),
                        "stop it first: what it wrote since the backup is worth more than the backup");
    }
    return {};
}

}    // namespace

Result<std::vector<PlanStep>> plan_journal(const policy::JournalConfig&, const RestoreContext& context) {
    HF_DO(refuse_in_use(context));
    return plan_files({}, context);
}

Result<json::Value> restore_journal(const policy::JournalConfig&, const RestoreContext& context) {
    HF_DO(refuse_in_use(context));
    return restore_files({}, context);
}

}    // namespace holdfast::recovery
