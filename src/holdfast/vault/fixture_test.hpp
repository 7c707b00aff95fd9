#pragma once
// What the tests of this module share: a repository in a private folder with a cheap key, and ways to fill, damage and
// compare things.

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <random>
#include <set>
#include <string>
#include <thread>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/os/process.hpp"
#include "holdfast/storage/local.hpp"
#include "holdfast/vault/backup.hpp"
#include "holdfast/vault/check.hpp"
#include "holdfast/vault/restore.hpp"

namespace holdfast::vault {

inline std::string error_text(const Error& e) { return std::string(facts(e.code).name) + ": " + e.message; }
#define HF_OK(...)                                       \
    do {                                                 \
        const auto& hf_ok = (__VA_ARGS__);               \
        ASSERT_TRUE(hf_ok) << error_text(hf_ok.error()); \
    } while (false)

/// Bytes that do not compress; the same for a seed.
inline std::string noise(std::size_t size, std::uint64_t seed = 1) {
    std::mt19937_64 random(seed);
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; i += 8) {
        const std::uint64_t word = random();
        std::memcpy(bytes.data() + i, &word, std::min<std::size_t>(8, size - i));
    }
    return bytes;
}

/// Runs work in child processes and kills them at random moments. Where a run ended before its moment the next ones come
/// earlier, and else later: on any machine about half are killed, from the first step to the last.
class RandomKills {
public:
    explicit RandomKills(std::uint64_t seed) : random_(seed) {}
    template <class Work>
    void run(Work work) {
        const pid_t child = ::fork();
        if (child == 0) ::_exit(work() ? 0 : 2);
        std::this_thread::sleep_for(std::chrono::microseconds(random_() % span_));
        ::kill(child, SIGKILL);
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        if (WIFSIGNALED(status)) {
            ++count_;
            span_ += span_ / 4;
        } else {
            EXPECT_EQ(WEXITSTATUS(status), 0);
            span_ -= span_ / 4;
        }
    }
    int count() const { return count_; }

private:
    std::mt19937_64 random_;
    std::uint64_t span_ = 20'000;    // microseconds
    int count_ = 0;
};

class VaultTest : public ::testing::Test {
protected:
    static constexpr const char* k_password = "open sesame";

    std::string repo_path() const { return folder_.path() + "/repo"; }
    std::string path(const std::string& name) const { return folder_.path() + '/' + name; }
    void write(const std::string& name, std::string_view content) {
        HF_OK(os::make_folders(os::parent_folder(path(name)), 0755));
        HF_OK(os::write_file(path(name), as_bytes(content), 0644));
    }
    std::string read(const std::string& name) const {
        const auto text = os::read_text(path(name), std::uint64_t(1) << 30);
        EXPECT_TRUE(text) << name;
        return text.value_or("");
    }

    void init() { init(storage::local_backend(repo_path())); }
    void init(std::unique_ptr<storage::Backend> backend) {
        InitOptions options;
        options.cost = {1024, 8, 1};
        auto made = Repository::init(std::move(backend), Secret(k_password), clock_, options);
        HF_OK(made);
        repository_ = *std::move(made);
    }
    void reopen() { reopen(storage::local_backend(repo_path())); }
    void reopen(std::unique_ptr<storage::Backend> backend) {
        repository_.reset();
        auto opened = Repository::open(std::move(backend), Secret(k_password), clock_);
        HF_OK(opened);
        repository_ = *std::move(opened);
    }

    static BackupOptions small_packs() {
        BackupOptions options;
        options.pack_size_target = 1u << 20;
        return options;
    }
    /// One snapshot of `path`; with the newest one as parent when there is one.
    Result<Backup::Outcome> back_up(const std::string& what, PathSummary* summary = nullptr,
                                    BackupOptions options = small_packs()) {
        if (const auto latest = repository_->find_snapshot("latest")) options.parent = *latest;
        HF_TRY(auto backup, Backup::start(*repository_, options));
        HF_TRY(auto done, backup->add_path(what));
        if (summary) *summary = std::move(done);
        return backup->commit();
    }
    Result<RestoreSummary> restore_latest(const std::string& target, RestoreOptions options = {}) {
        HF_DO(repository_->load_index());
        HF_TRY(const auto latest, repository_->find_snapshot("latest"));
        options.target = path(target);
        return restore(*repository_, latest, options);
    }
    CheckReport checked(bool read_data = true) {
        auto report = check(*repository_, {.read_data = read_data, .progress = {}});
        EXPECT_TRUE(report) << error_text(report.error());
        return report ? *std::move(report) : CheckReport{{"no report"}, {}};
    }
    static std::string all_of(const std::vector<std::string>& lines) {
        std::string all;
        for (const std::string& line : lines) all += line + "\n";
        return all;
    }
    /// The files of one kind in the repository.
    std::vector<std::string> files_of(storage::FileKind kind) {
        std::vector<std::string> found;
        EXPECT_TRUE(repository_->backend().list(kind, [&](const Id& id, std::uint64_t) {
            found.push_back(repo_path() + '/' + storage::relative_path({kind, id}));
        }));
        std::sort(found.begin(), found.end());
        return found;
    }
    /// Overwrites a byte in the middle (or at `at`) of a stored file.
    static void flip_byte(const std::string& file, std::optional<std::size_t> at = {}) {
        auto bytes = os::read_file(file);
        HF_OK(bytes);
        (*bytes)[at.value_or(bytes->size() / 2)] ^= std::byte(0x10);
        HF_OK(os::write_file(file, *bytes));
    }
    struct Ran {
        bool ok = false;
        std::string output;    // and errors
    };
    /// A shell script with its arguments as $1, $2 …; restic finds its password.
    static Ran sh(const std::string& script, const std::vector<std::string>& arguments = {}) {
        os::Command command;
        command.arguments = {"sh", "-c", script, "sh"};
        command.arguments.insert(command.arguments.end(), arguments.begin(), arguments.end());
        command.environment = {{"RESTIC_PASSWORD", k_password}, {"TZ", "UTC"}};
        const auto run = os::run(std::move(command));
        if (!run) return {false, error_text(run.error())};
        return {run->status.ok(), run->output + run->errors};
    }
    /// What find and sha256sum see: names, types, modes, owners, times, links, content.
    static std::string listing(const std::string& folder) {
        const Ran run = sh(
            "cd \"$1\" && find . ! -name . -printf '%P|%y|%m|%U|%G|%T@|%n|%l|' -a \\( -type f -exec sha256sum {} \\; "
            "-o -printf '\\n' \\) | LC_ALL=C sort",
            {folder});
        EXPECT_TRUE(run.ok) << run.output;
        return run.output;
    }

    os::SystemClock clock_;
    // In memory: the many small folders and fsyncs of a repository would make up most of the tests' time. The order of
    // syncs is tested with a backend that loses what was not synced.
    os::TempFolder folder_ = os::TempFolder::create("hf-vault", "/dev/shm").value();
    std::unique_ptr<Repository> repository_;
};

}    // namespace holdfast::vault
