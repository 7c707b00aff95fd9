#include "campaign.hpp"

#include <fmt/core.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

#include "holdfast/base/log.hpp"
#include "holdfast/format/crypto.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/storage/local.hpp"
#include "holdfast/vault/backup.hpp"
#include "holdfast/vault/check.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::crash {
namespace {

namespace fs = std::filesystem;

constexpr unsigned k_restore_every = 6, k_read_data_every = 3, k_restic_every = 40;

int number_from(const char* name, int otherwise) {
    const auto text = os::environment(name);
    return text ? std::atoi(text->c_str()) : otherwise;
}

std::uint64_t seed() {
    static const auto the = static_cast<std::uint64_t>(number_from("HF_CRASH_SEED", 20261127));
    return the;
}

std::string words(const std::vector<std::string>& arguments) {
    std::string all = "holdfast";
    for (const std::string& one : arguments) all += ' ' + one;
    return all;
}

void copy_tree(const std::string& from, const std::string& to) {
    EXPECT_TRUE(os::remove_tree(to).has_value());
    if (os::exists(from)) fs::copy(from, to, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
}

// Every place in the sources: those that no campaign reached would be untested steps of a commit. The trade journal's are
// not the vault's: trade/journal_test.cpp kills its writer at each of them; nor are those of the keepers (keep/crash_test.cpp,
// source/duckdb_crash_test.cpp), of an export (tests/scenario/stack_export_test.cpp) and of a restore into stores
// (recovery/put_back_test.cpp, tests/scenario/stack_restore_test.cpp).
std::set<std::string> places_in_sources() {
    std::set<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(HF_SOURCE_DIR "/src/holdfast")) {
        const std::string path = entry.path();
        if (!path.ends_with(".cpp") || path.ends_with("_test.cpp") || path.contains("/trade/") ||
            path.contains("/keep/") || path.contains("/duckdb_keeper") || path.contains("/plain/") ||
            path.contains("/recovery/"))
            continue;
        const std::string text = os::read_text(path).value_or("");
        constexpr std::string_view call = "crash_point(\"";
        for (std::size_t at = text.find(call); at != std::string::npos; at = text.find(call, at + 1)) {
            const std::size_t from = at + call.size();
            names.insert(text.substr(from, text.find('"', from) - from));
        }
    }
    return names;
}

// Places that these campaigns cannot reach, each with the test that covers it.
const std::map<std::string, std::string> k_excused = {
    {"lock.renewed", "five minutes into a run: LockTest in vault/lock_test.cpp"},
};

class Closing final : public ::testing::Environment {
    void TearDown() override {
        const Totals& all = totals();
        fmt::print("crash campaign: {} kills at {} named points, {} at random moments, {} came too late (seed {})\n",
                   all.at_points, all.points.size(), all.at_random, all.missed, seed());
        const auto& unit = *::testing::UnitTest::GetInstance();
        if (unit.test_to_run_count() != unit.total_test_count()) return;    // a filter: only a part was wanted
        EXPECT_GE(all.at_points + all.at_random, 500);
        for (const std::string& place : places_in_sources()) {
            const bool reached = std::any_of(all.points.begin(), all.points.end(), [&](const std::string& one) {
                return one == place || one.starts_with(place + '.');
            });
            EXPECT_TRUE(reached || k_excused.contains(place)) << "no campaign was killed at " << place;
        }
    }
};

[[maybe_unused]] ::testing::Environment* const g_closing = ::testing::AddGlobalTestEnvironment(new Closing);

}    // namespace

Totals& totals() {
    static Totals the;
    return the;
}

Campaign::Campaign() {
    set_log({.level = LogLevel::error, .json = false, .timestamp = {}, .sink = {}});
    write(at("password"), std::string(k_password) + "\n");
}

void Campaign::write(const std::string& path, std::string_view content) {
    ASSERT_TRUE(os::make_folders(os::parent_folder(path), 0755).has_value());
    ASSERT_TRUE(os::write_file(path, as_bytes(content), 0600).has_value());
}

std::string Campaign::noise(std::size_t size, std::uint64_t seed_of_it) {
    std::mt19937_64 random(seed_of_it);
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; i += 8) {
        const std::uint64_t word = random();
        std::memcpy(bytes.data() + i, &word, std::min<std::size_t>(8, size - i));
    }
    return bytes;
}

Result<std::unique_ptr<vault::Repository>> Campaign::open(const Target& target) {
    std::string password = k_password;
    if (!target.password_file.empty()) {
        password = os::read_text(target.password_file).value_or("none\n");
        password.pop_back();
    }
    return vault::Repository::open(storage::local_backend(repo()), Secret(std::move(password)), clock_);
}

void Campaign::make_template() {
    vault::InitOptions options;
    options.cost = {1024, 8, 1};
    auto repository =
        vault::Repository::init(storage::local_backend(repo()), Secret(std::string(k_password)), clock_, options);
    ASSERT_TRUE(repository.has_value()) << repository.error().message;
    write(source() + "/kept", noise(300'000, 1));
    write(source() + "/text", std::string(40'000, 'a'));
    ASSERT_EQ(::symlink("kept", (source() + "/link").c_str()), 0);
    ASSERT_EQ(::link((source() + "/kept").c_str(), (source() + "/hard").c_str()), 0);
    for (std::uint64_t i = 0; i < 4; ++i) {
        write(source() + "/changing", noise(150'000, 10 + i));
        write(source() + "/folder/" + std::to_string(i), noise(30'000, 20 + i));
        vault::BackupOptions backup_options;
        backup_options.paths = {source()};
        backup_options.hostname = os::host_name();
        backup_options.tags = {"number-" + std::to_string(i)};
        auto backup = vault::Backup::start(**repository, backup_options);
        ASSERT_TRUE(backup.has_value()) << backup.error().message;
        ASSERT_TRUE((*backup)->add_path(source()).has_value());
        ASSERT_TRUE((*backup)->commit().has_value());
    }
    // Folders that hold nothing only cost time here; the format allows them to be absent.
    for (const auto& entry : fs::directory_iterator(repo() + "/data"))
        if (fs::is_empty(entry.path())) fs::remove(entry.path());
    keep_as_template();
}

void Campaign::keep_as_template() {
    copy_tree(repo(), at("template"));
    auto repository = open();
    ASSERT_TRUE(repository.has_value()) << repository.error().message;
    auto entries = (*repository)->snapshots();
    ASSERT_TRUE(entries.has_value());
    snapshots_ = *std::move(entries);
    ASSERT_TRUE((*repository)->load_index().has_value());
    for (const vault::SnapshotEntry& entry : snapshots_) {
        if (listings_.contains(entry.snapshot.tree)) continue;
        ASSERT_TRUE(os::remove_tree(at("before")).has_value());
        vault::RestoreOptions options;
        options.target = at("before");
        options.sync = false;
        const auto restored = vault::restore(**repository, entry, options);
        ASSERT_TRUE(restored.has_value()) << restored.error().message;
        listings_[entry.snapshot.tree] = listing(at("before"));
    }
}

void Campaign::reset() { copy_tree(at("template"), repo()); }

std::string Campaign::listing(const std::string& folder) {
    std::vector<std::string> lines;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
        const std::string path = entry.path();
        const auto st = os::status_of(path, false);
        EXPECT_TRUE(st.has_value());
        if (!st) continue;
        std::string line = fmt::format("{}|{:o}|{}|{}|{}", path.substr(folder.size()), st->st_mode, st->st_uid,
                                       st->st_gid, S_ISDIR(st->st_mode) ? 0 : st->st_nlink);
        if (!S_ISLNK(st->st_mode)) line += fmt::format("|{}.{:09}", st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
        if (S_ISREG(st->st_mode)) line += '|' + format::sha256(os::read_file(path).value()).hex();
        if (S_ISLNK(st->st_mode)) line += '|' + fs::read_symlink(path).string();
        lines.push_back(std::move(line));
    }
    std::sort(lines.begin(), lines.end());
    std::string all;
    for (const std::string& line : lines) all += line + '\n';
    return all;
}

Campaign::Run Campaign::run(const std::vector<std::string>& arguments, const Target& target,
                            const std::string& crash_point, double kill_after, const std::string& output) {
    os::Command command;
    command.arguments = {HF_BIN_DIR "/holdfast"};
    command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
    command.environment = {{"HOME", at("home")}, {"XDG_CACHE_HOME", at("home/cache")}};
    if (target.password_file.empty()) {
        command.environment.emplace_back("HOLDFAST_REPOSITORY", repo());
        command.environment.emplace_back("HOLDFAST_PASSWORD_FILE", at("password"));
    }
    command.environment.insert(command.environment.end(), target.environment.begin(), target.environment.end());
    if (!crash_point.empty()) command.environment.emplace_back("HOLDFAST_CRASH_POINT", crash_point);
    command.folder = folder_.path();
    command.output_file = at(output);
    if (!target.input.empty()) command.input = os::Stream::pipe;
    EXPECT_TRUE(os::remove_tree(at(output)).has_value());

    Run result;
    const auto started = std::chrono::steady_clock::now();
    auto process = os::Process::start(command);
    if (!process) {
        ADD_FAILURE() << process.error().message;
        return result;
    }
    std::thread killer;
    if (kill_after >= 0)
        killer = std::thread([&] {
            std::this_thread::sleep_for(std::chrono::duration<double>(kill_after));
            process->kill(SIGKILL);
        });
    if (process->input() >= 0) {
        // A killed reader breaks the pipe: that is what this is about.
        static_cast<void>(os::write_all(process->input(), as_bytes(target.input)).has_value());
        process->close_input();
    }
    if (killer.joinable()) killer.join();
    const auto status = process->wait(std::chrono::minutes(2));
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    if (!status) {
        ADD_FAILURE() << words(arguments) << " hangs: " << status.error().message;
        return result;
    }
    result.exit = status->signal ? -status->signal : status->code;
    result.errors = process->errors();
    result.output = os::read_text(at(output)).value_or("");
    return result;
}

void Campaign::restore_and_compare(vault::Repository& repository, const std::string& when) {
    auto entries = repository.snapshots();
    ASSERT_TRUE(entries.has_value());
    ASSERT_TRUE(repository.load_index(true).has_value());
    for (const vault::SnapshotEntry& entry : *entries) {
        const auto known = listings_.find(entry.snapshot.tree);
        if (known == listings_.end()) continue;
        ASSERT_TRUE(os::remove_tree(at("restored")).has_value());
        vault::RestoreOptions options;
        options.target = at("restored");
        options.sync = false;
        const auto restored = vault::restore(repository, entry, options);
        ASSERT_TRUE(restored.has_value()) << when << ": " << restored.error().message;
        EXPECT_EQ(listing(at("restored")), known->second) << when << ": snapshot " << entry.id.brief();
    }
}

void Campaign::expect_whole(const Target& target, const std::string& when) {
    auto opened = open(target);
    if (!opened && target.makes_the_repository && opened.error().code == ErrorCode::no_repository) return;
    ASSERT_TRUE(opened.has_value()) << when << ": " << opened.error().message;
    vault::Repository& repository = **opened;
    const auto report = vault::check(repository, {.read_data = round_ % k_read_data_every == 0, .progress = {}});
    ASSERT_TRUE(report.has_value()) << when << ": " << report.error().message;
    for (const std::string& error : report->errors) ADD_FAILURE() << when << ": " << error;

    const auto entries = repository.snapshots();
    ASSERT_TRUE(entries.has_value()) << when << ": " << entries.error().message;
    std::set<Id> ids, trees;
    for (const vault::SnapshotEntry& entry : *entries) {
        ids.insert(entry.id);
        trees.insert(entry.snapshot.tree);
    }
    for (const vault::SnapshotEntry& before : snapshots_)
        EXPECT_TRUE(ids.contains(before.id) || target.may_go.contains(before.id))
            << when << ": snapshot " << before.id.brief() << " is gone";
    for (const Id& tree : target.trees_that_stay)
        EXPECT_TRUE(trees.contains(tree)) << when << ": no snapshot has tree " << tree.brief() << " any more";
    if (round_ % k_restore_every == 0) restore_and_compare(repository, when);
    if (round_ % k_restic_every == 0) {
        os::Command restic;
        restic.arguments = {"restic", "check", "--read-data", "--no-cache"};
        restic.environment = {{"RESTIC_REPOSITORY", repo()}, {"RESTIC_PASSWORD_FILE", at("password")}};
        const auto judged = os::run(std::move(restic));
        ASSERT_TRUE(judged.has_value());
        EXPECT_TRUE(judged->status.ok()) << when << ": restic: " << judged->output << judged->errors;
    }
}

void Campaign::expect_snapshots_and_check(std::size_t count) {
    auto repository = open();
    ASSERT_TRUE(repository.has_value()) << repository.error().message;
    const auto report = vault::check(**repository, {.read_data = true, .progress = {}});
    ASSERT_TRUE(report.has_value()) << report.error().message;
    for (const std::string& error : report->errors) ADD_FAILURE() << error;
    EXPECT_EQ(report->snapshots, count);
}

void Campaign::expect_next_run(const Target& target, const std::string& when) {
    bool again = !target.again.empty();
    if (target.makes_the_repository) again = os::exists(repo() + "/config");
    const auto& arguments = again ? target.again : target.arguments;
    const Run next = run(arguments, target);
    EXPECT_TRUE(target.good_exits.contains(next.exit)) << when << ": the next run failed: " << words(arguments) << '\n'
                                                       << next.output << next.errors;
    if (target.good_exits.contains(next.exit) && target.expect_done) target.expect_done();
}

void Campaign::fire(const Target& target) {
    const auto start = [&] {
        reset();
        if (target.prepare) target.prepare();
        ++round_;
    };
    const auto after_kill = [&](const std::string& when) {
        SCOPED_TRACE(words(target.arguments) + ", " + when);
        if (target.after_kill) target.after_kill();
        // In turns: looked at as the kill left it, or only after the next run, which then finds the dead one's lock.
        const bool dear = target.makes_the_repository;    // with a person's key: the next run sees whether it opens
        if (round_ % 2 == 0 && !dear && !target.mends) expect_whole(target, when);
        expect_next_run(target, when);
        if (round_ % 4 == 0 || !dear) expect_whole(target, when + ", and after the next run");
    };

    // Without a kill first: how long it takes, and that it works at all.
    double seconds = 0;
    for (int i = 0; i < (target.makes_the_repository ? 1 : 2); ++i) {
        start();
        const Run whole = run(target.arguments, target);
        ASSERT_TRUE(target.good_exits.contains(whole.exit)) << words(target.arguments) << '\n'
                                                            << whole.output << whole.errors;
        if (target.expect_done) target.expect_done();
        expect_whole(target, "not killed");
        seconds = std::max(seconds, whole.seconds);
    }

    int points = 0;
    const int step = number_from("HF_CRASH_ROUNDS", 1) > 1 ? 1 : target.points_step;
    for (int count = 1; count <= target.points_max && !HasFailure(); count += step) {
        const std::string point = fmt::format("*:{}", count);
        start();
        const Run killed = run(target.arguments, target, point);
        if (killed.exit != -SIGKILL) {
            EXPECT_TRUE(target.good_exits.contains(killed.exit)) << killed.errors;
            break;
        }
        const std::size_t said = killed.errors.rfind("crash point ");
        const std::string name = said == std::string::npos ? "" : killed.errors.substr(said + 12);
        ASSERT_FALSE(name.empty()) << killed.errors;
        totals().points.insert(name);
        ++totals().at_points;
        ++points;
        after_kill(fmt::format("HOLDFAST_CRASH_POINT={} ({})", point, name));
    }

    std::mt19937_64 random(seed() ^ std::hash<std::string>()(target.name));
    const int wanted = target.random_kills * number_from("HF_CRASH_ROUNDS", 1);
    int hits = 0;
    for (int attempt = 0; hits < wanted && attempt < 4 * wanted && !HasFailure(); ++attempt) {
        const double after = seconds * static_cast<double>(random() % 1'000'000) / 1e6;
        start();
        const Run killed = run(target.arguments, target, {}, after);
        if (killed.exit != -SIGKILL) {
            ++totals().missed;
            seconds = std::max(after, seconds * 0.9);    // it is faster than thought
            continue;
        }
        ++hits;
        ++totals().at_random;
        after_kill(fmt::format("killed after {:.6f} s (seed {}, attempt {})", after, seed(), attempt));
    }
    fmt::print("  {}: {} points, {} random kills\n", target.name, points, hits);
    EXPECT_GT(points, 0) << target.name << " has no crash point";
}

}    // namespace holdfast::crash
