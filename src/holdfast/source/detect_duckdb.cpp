#include "holdfast/source/detect_duckdb.hpp"

#include <fcntl.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <set>

#include "holdfast/os/file.hpp"

namespace holdfast::source {
namespace {

// Bytes 8 to 11 of the main header, behind its checksum.
bool is_duckdb(const std::string& path) {
    const auto file = os::open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (!file) return false;
    std::array<std::byte, 12> head{};
    const auto got = os::pread_full(file->get(), head, 0);
    return got && *got == head.size() && as_text(head).substr(8) == "DUCK";
}

// Every file would have to be opened otherwise; DuckDB's own tools use these.
bool has_usual_name(std::string_view name) {
    return name.ends_with(".duckdb") || name.ends_with(".ddb") || name.ends_with(".db");
}

// What cannot be read is not ours to back up, and file systems of the kernel are no place for data.
bool worth_entering(const std::string& path) {
    static constexpr std::array<std::string_view, 5> k_not{"/proc", "/sys", "/dev", "/run", "/snap"};
    return std::ranges::find(k_not, path) == k_not.end();
}

class Search {
public:
    Search(const DetectOptions& options, Detected& found) : options_(options), found_(found) {}

    void walk(const std::string& folder, int depth) {
        if (depth > options_.depth_max || !worth_entering(folder)) return;
        const auto names = os::list_folder(folder);
        if (!names) return;
        for (const std::string& name : *names) {
            if (++entries_ > options_.entries_max) return;
            const std::string path = (folder == "/" ? "" : folder) + "/" + name;
            const auto status = os::status_of(path, false);
            if (!status) continue;
            if (S_ISDIR(status->st_mode))
                walk(path, depth + 1);
            else if (S_ISREG(status->st_mode) && has_usual_name(name) &&
                     seen_.insert({status->st_dev, status->st_ino}).second && is_duckdb(path))
                take(path);
        }
    }

    bool cut_short() const { return entries_ > options_.entries_max; }

private:
    void take(const std::string& path) {
        policy::DuckDbConfig config;
        config.path = path;
        const std::string name = policy::duckdb_name_from_path(path);
        config.name = name;
        // "trades" in two folders: the second becomes "trades-2". Other components may hold the name, too.
        static constexpr std::array<std::string_view, 6> k_kinds{"postgres", "redis", "clickhouse",
                                                                 "config",   "logs",  ""};
        for (int n = 2;
             std::ranges::find(k_kinds, config.name) != k_kinds.end() ||
             std::ranges::find(found_.duckdb, config.name, &policy::DuckDbConfig::name) != found_.duckdb.end();
             ++n)
            config.name = fmt::format("{}-{}", name.empty() ? "database" : name, n);
        found_.duckdb.push_back(std::move(config));
    }

    const DetectOptions& options_;
    Detected& found_;
    std::size_t entries_ = 0;
    std::set<std::pair<dev_t, ino_t>> seen_;
};

}    // namespace

void find_duckdb(const DetectOptions& options, Detected& found) {
    Search search(options, found);
    for (const std::string& folder : options.search) search.walk(os::absolute_path(folder), 0);
    if (search.cut_short())
        found.notes.push_back(fmt::format(
            "the search for DuckDB files ended after {} entries: add others as [[duckdb]]", options.entries_max));
}

}    // namespace holdfast::source
