#include "holdfast/testing/dataset.hpp"

#include <fmt/format.h>

#include "holdfast/base/json.hpp"
#include "holdfast/os/file.hpp"
#include "holdfast/testing/dataset_file.hpp"
#include "holdfast/testing/trades.hpp"

namespace holdfast::testing {
namespace {

std::string recipe_path(const std::string& folder) { return folder + "/dataset.json"; }

Status write_recipe(const std::string& folder, const DatasetRecipe& recipe) {
    json::Value changes = json::Value::array();
    for (const double percent : recipe.changes) changes.push(percent);
    const auto document =
        json::Value::object({{"seed", recipe.seed}, {"bytes", recipe.bytes}, {"changes", std::move(changes)}});
    return os::write_file(recipe_path(folder), as_bytes(json::dump(document, 2) + "\n"), 0644);
}

Result<DatasetRecipe> read_recipe(const std::string& folder) {
    HF_TRY(const std::string text, os::read_text(recipe_path(folder)));
    HF_TRY(const json::Value document, json::parse(text, recipe_path(folder)));
    DatasetRecipe recipe;
    recipe.seed = document["seed"].natural();
    recipe.bytes = document["bytes"].natural();
    for (const json::Value& percent : document["changes"].items()) recipe.changes.push_back(percent.number());
    if (recipe.bytes == 0) return fail(ErrorCode::corrupt, recipe_path(folder) + " is no recipe of a data set");
    return recipe;
}

Status write_all_kinds(const std::string& folder, const DatasetRecipe& recipe) {
    HF_DO(write_dataset_duckdb(folder + "/duckdb/trades.duckdb", recipe));
    HF_DO(write_dataset_sql(folder + "/sql/trading.sql", recipe));
    HF_DO(write_dataset_rdb(folder + "/redis/dump.rdb", recipe));
    HF_DO(write_dataset_logs(folder + "/logs", recipe));
    HF_DO(write_dataset_archive(folder + "/archive", recipe));
    return write_recipe(folder, recipe);
}

}    // namespace

Status make_dataset(const std::string& folder, std::uint64_t seed, std::uint64_t bytes) {
    HF_DO(os::make_folders(folder, 0755));
    HF_TRY(const auto names, os::list_folder(folder));
    if (!names.empty())
        return fail(ErrorCode::exists, folder + " is not empty", "name a folder that is empty or does not exist");
    for (const char* kind : {"duckdb", "sql", "redis", "logs", "archive"})
        HF_DO(os::make_folders(folder + "/" + kind, 0755));
    return write_all_kinds(folder, {seed, bytes, {}});
}

Status change_dataset(const std::string& folder, double percent) {
    HF_TRY(DatasetRecipe recipe, read_recipe(folder));
    recipe.changes.push_back(percent);
    return write_all_kinds(folder, recipe);
}

unsigned version_of(const DatasetRecipe& recipe, std::uint64_t index, std::uint64_t salt, double share) {
    unsigned version = 0;
    for (std::size_t change = 0; change < recipe.changes.size(); ++change) {
        const auto chance = static_cast<std::uint64_t>(recipe.changes[change] * share * 10'000);
        version += mixed(recipe.seed + change, index, salt) % 1'000'000 < chance;
    }
    return version;
}

// Archives of old days: each file once written never changes, a change adds one.
Status write_dataset_archive(const std::string& folder, const DatasetRecipe& recipe) {
    const std::uint64_t bytes = recipe.bytes / 10, files = 6;
    const auto write_one = [&](std::uint64_t number, std::uint64_t size) -> Status {
        const std::string path = fmt::format("{}/day-{:03}.tar.zst.bin", folder, number);
        if (os::exists(path)) return {};
        HF_TRY(DatasetFile file, DatasetFile::open(path));
        for (std::uint64_t word = 0; file.size() + 8 <= size; ++word) {
            const std::uint64_t bits = mixed(recipe.seed, word, 1000 + number);
            file.text().append(reinterpret_cast<const char*>(&bits), sizeof bits);
            HF_DO(file.flush_if_full());
        }
        return file.finish();
    };
    for (std::uint64_t number = 0; number < files; ++number) HF_DO(write_one(number, bytes / files));
    for (std::size_t change = 0; change < recipe.changes.size(); ++change)
        HF_DO(write_one(files + change, static_cast<std::uint64_t>(double(bytes) * recipe.changes[change] / 100)));
    return {};
}

}    // namespace holdfast::testing
