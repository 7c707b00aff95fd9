// What a restore replaced comes back whole, wherever the restore, or the way back, was killed: at every entry to, and return from, the
// kernel.

#include "holdfast/recovery/put_back.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "holdfast/os/file.hpp"
#include "holdfast/os/host.hpp"
#include "holdfast/recovery/duckdb_switch.hpp"
#include "holdfast/recovery/redis_files.hpp"

namespace holdfast::recovery {
namespace {

class PutBack : public ::testing::Test {
protected:
    std::string at(const std::string& name) const { return folder_->path() + "/" + name; }
    void write(const std::string& name, std::string_view text) {
        ASSERT_TRUE(os::make_folders(os::parent_folder(at(name))));
        ASSERT_TRUE(os::write_file(at(name), as_bytes(text)));
    }
    // Everything below the folder, by name.
    std::map<std::string, std::string> all() const {
        std::map<std::string, std::string> files;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_->path()))
            if (entry.is_regular_file())
                files[entry.path().string().substr(folder_->path().size() + 1)] =
                    os::read_text(entry.path()).value_or("?");
        return files;
    }
    void anew() {
        folder_ = std::make_unique<os::TempFolder>(os::TempFolder::create("hf-put-back", "/dev/shm").value());
    }

    // In a child that is killed at its n-th stop at the kernel's door; false when it ends before.
    template <class Work>
    static bool killed_at(unsigned stops, Work work) {
        const pid_t child = ::fork();
        if (child == 0) {
            ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
            ::raise(SIGSTOP);
            ::_exit(work() ? 0 : 1);
        }
        int status = 0;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        for (unsigned n = 0; n < stops && WIFSTOPPED(status); ++n) {
            EXPECT_EQ(::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr), 0);
            EXPECT_EQ(::waitpid(child, &status, 0), child);
        }
        if (!WIFSTOPPED(status)) {
            EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
            return false;
        }
        ::kill(child, SIGKILL);
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        return true;
    }

    std::unique_ptr<os::TempFolder> folder_;
};

const std::map<std::string, std::string> k_old_redis{
    {"dump.rdb", "old rdb"},
    {"appendonlydir/appendonly.aof.3.base.rdb", "old base"},
    {"appendonlydir/appendonly.aof.7.incr.aof", "old incr"},
    {"appendonlydir/appendonly.aof.manifest",
     "file appendonly.aof.3.base.rdb seq 3 type b\nfile appendonly.aof.7.incr.aof seq 7 type i\n"}};

class RedisPutBack : public PutBack {
protected:
    void start() {
        anew();
        for (const auto& [name, text] : k_old_redis) write(name, text);
        write("staged", "new rdb");
        write("record", "");
        files_ = {.folder = folder_->path(), .append_only = true};
        replaced_ = {};
    }
    // The record is read back from a file, as the child may be killed.
    Status replace() {
        const auto note = [&](const Replacement& one) {
            return os::write_file(at("record"), as_bytes(json::dump(to_json(one))));
        };
        const auto done = switch_redis_files(files_, at("staged"), {::geteuid(), ::getegid()}, {}, note);
        return done ? Status() : fail(done.error());
    }
    bool read_record() {
        const auto value = json::parse(os::read_text(at("record")).value(), "record");
        if (!value || !value->is_object()) return false;
        replaced_ = replacement_from(*value).value();
        replaced_.undone = at("undone-now");
        return true;
    }
    Status back() { return put_back_redis_files(files_, replaced_, {::geteuid(), ::getegid()}); }
    std::map<std::string, std::string> live() const {
        auto files = all();
        std::erase_if(files, [](const auto& file) {
            return file.first.starts_with("record") || file.first == "staged" || file.first.starts_with("undone-now");
        });
        return files;
    }
    RedisFiles files_;
    Replacement replaced_;
};

TEST_F(RedisPutBack, AfterASwitchThatWasKilledAnywhere) {
    unsigned n = 1;
    for (;; ++n) {
        start();
        const bool killed = killed_at(n, [&] { return replace().has_value(); });
        if (read_record()) {
            const auto done = back();
            ASSERT_TRUE(done) << done.error().message;
        }
        ASSERT_EQ(live(), k_old_redis) << "killed at " << n;
        if (!killed) break;
    }
    EXPECT_GT(n, 50u);
    EXPECT_EQ(all().at("undone-now/dump.rdb"), "new rdb");
}

TEST_F(RedisPutBack, KilledAnywhereItGoesOn) {
    unsigned n = 1;
    for (;; ++n) {
        start();
        ASSERT_TRUE(replace());
        ASSERT_TRUE(read_record());
        const bool killed = killed_at(n, [&] { return back().has_value(); });
        const auto done = back();
        ASSERT_TRUE(done) << done.error().message;
        ASSERT_EQ(live(), k_old_redis) << "killed at " << n;
        ASSERT_EQ(all().at("undone-now/dump.rdb"), "new rdb");
        if (!killed) break;
    }
    EXPECT_GT(n, 50u);
}

class DuckDbPutBack : public PutBack {
protected:
    void start(bool logs) {
        anew();
        write("x", "old");
        if (logs) write("x.wal", "old log");
        write("x.holdfast-restore-1a2b", "new");
        identity_ = file_identity(at("x"));
    }
    Status replace() {
        const auto done = switch_duckdb({at("x"), at("x.holdfast-restore-1a2b"), at("x.replaced-1"), {}});
        return done ? Status() : fail(done.error());
    }
    Status back() { return put_back_duckdb(at("x"), at("x.replaced-1"), identity_, at("x.undone-1")); }
    // A log never lies beside another one's file.
    void expect_no_strange_log(unsigned n) {
        const auto files = all();
        for (const auto& [name, text] : files)
            if (const auto log = files.find(name + ".wal"); log != files.end() && (text == "old" || text == "new")) {
                EXPECT_EQ(log->second, text + " log") << name << ", killed at " << n;
            }
        // Nor is a file with what it committed last without its log.
        if (const auto x = files.find("x"); x != files.end() && (x->second == "old" || x->second == "new")) {
            EXPECT_TRUE(files.contains("x.wal")) << "killed at " << n;
        }
    }
    std::string identity_;
};

TEST_F(DuckDbPutBack, AfterASwitchThatWasKilledAnywhere) {
    for (const bool logs : {false, true}) {
        const std::map<std::string, std::string> old =
            logs ? std::map<std::string, std::string>{{"x", "old"}, {"x.wal", "old log"}}
                 : std::map<std::string, std::string>{{"x", "old"}};
        unsigned n = 1;
        for (;; ++n) {
            start(logs);
            const bool killed = killed_at(n, [&] { return replace().has_value(); });
            const auto done = back();
            ASSERT_TRUE(done) << done.error().message;
            auto files = all();
            files.erase("x.undone-1");
            ASSERT_EQ(files, old) << "killed at " << n;
            if (!killed) break;
        }
        EXPECT_GT(n, 20u);
    }
}

TEST_F(DuckDbPutBack, KilledAnywhereItGoesOn) {
    const std::map<std::string, std::string> wanted{
        {"x", "old"}, {"x.wal", "old log"}, {"x.undone-1", "new"}, {"x.undone-1.wal", "new log"}};
    unsigned n = 1;
    for (;; ++n) {
        start(true);
        ASSERT_TRUE(replace());
        write("x.wal", "new log");
        const bool killed = killed_at(n, [&] { return back().has_value(); });
        expect_no_strange_log(n);
        const auto done = back();
        ASSERT_TRUE(done) << done.error().message;
        ASSERT_EQ(all(), wanted) << "killed at " << n;
        if (!killed) break;
    }
    EXPECT_GT(n, 20u);
}

TEST_F(PutBack, AFolderComesBackFromEachState) {
    const auto old = [&] {
        return Replacement{
            .what = "path", .place = at("etc"), .aside = at("etc.before-1"), .undone = at("etc.undone-1")};
    };
    // As a switch leaves it.
    anew();
    write("etc.before-1/a", "old");
    write("etc/a", "new");
    Replacement one = old();
    one.identity = file_identity(at("etc.before-1"));
    const std::map<std::string, std::string> back{{"etc/a", "old"}, {"etc.undone-1/a", "new"}};
    ASSERT_TRUE(put_back_path(one));
    EXPECT_EQ(all(), back);
    ASSERT_TRUE(put_back_path(one));
    EXPECT_EQ(all(), back);
    // Killed before the exchange: the new one still has the other name.
    anew();
    write("etc/a", "old");
    write("etc.before-1/a", "new");
    one = old();
    one.identity = file_identity(at("etc"));
    ASSERT_TRUE(put_back_path(one));
    EXPECT_EQ(all(), back);
    // Nothing had been there.
    anew();
    write("etc/a", "new");
    one = old();
    one.aside.clear();
    ASSERT_TRUE(put_back_path(one));
    ASSERT_TRUE(put_back_path(one));
    EXPECT_EQ(all(), (std::map<std::string, std::string>{{"etc.undone-1/a", "new"}}));
    // Somebody else's folder under that name is left alone.
    anew();
    write("etc/a", "new");
    write("etc.before-1/a", "whose?");
    one = old();
    one.identity = "1:1";
    EXPECT_FALSE(put_back_path(one));
    EXPECT_EQ(all().at("etc/a"), "new");
}

TEST_F(PutBack, ARecordThatLeadsElsewhereRemovesNothing) {
    anew();
    write("precious", "x");
    policy::Config config;
    os::SystemClock clock;
    const PutBackContext context{config, clock, folder_->path(), [](std::string_view) {}};
    for (const std::string& name : {at("precious"), std::string("/etc/passwd"), at("../x.before-1")}) {
        RunPart part;
        part.name = "config";
        part.kind = "files";
        part.replaced.push_back({.what = "path", .place = at("etc"), .aside = name});
        EXPECT_FALSE(remove_kept(part, context, [] { return Status(); })) << name;
    }
    EXPECT_TRUE(os::exists(at("precious")));
}

TEST(RestoreRun, IsReadAsItWasWritten) {
    RestoreRun run;
    run.stack = "desk";
    run.snapshot = "ab";
    run.state = RunState::failed;
    run.step = RunStep::check;
    run.paused = {"command", "engine desk-1"};
    RunPart part;
    part.name = part.kind = "redis";
    part.state = PartState::failed;
    part.seconds = 1.5;
    part.error = Error{ErrorCode::mismatch, "not equal", "look"};
    part.replaced.push_back({.what = "redis", .place = "/var/lib/redis", .aside = "/var/lib/redis/replaced-1"});
    run.parts.push_back(part);
    run.checks.push_back({RunCheck::State::skipped, "redis", "answers", "not started"});
    const auto again = decode_restore_run(encode(run), "it");
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(encode(*again), encode(run));
    EXPECT_EQ(again->parts.at(0).error->code, ErrorCode::mismatch);
    EXPECT_TRUE(again->keeps());
    for (const char* bad : {"", "{}", "[]", R"({"restore_version":2})"}) {
        const auto refused = decode_restore_run(bad, "it");
        ASSERT_FALSE(refused) << bad;
        EXPECT_EQ(refused.error().code, ErrorCode::corrupt);
    }
}

TEST(RunFolder, KeepsOthersOutAndForgetsNothing) {
    const auto folder = os::TempFolder::create("hf-runs");
    ASSERT_TRUE(folder);
    const auto mine = RunFolder::enter(folder->path(), "desk/../7");
    ASSERT_TRUE(mine) << mine.error().message;
    EXPECT_EQ(RunFolder::enter(folder->path(), "desk/../7").error().code, ErrorCode::locked);
    EXPECT_TRUE(RunFolder::enter(folder->path(), "other"));
    RestoreRun run;
    run.stack = "desk";
    const std::string name = mine->new_name({});
    ASSERT_TRUE(mine->save(name, run));
    EXPECT_NE(mine->new_name({}), name);
    const auto list = RunFolder::look(folder->path(), "desk/../7").list();
    ASSERT_TRUE(list) << list.error().message;
    EXPECT_EQ(list->size(), 1u);
    EXPECT_EQ(os::status_of(mine->path_of(name))->st_mode & 07777, 0600u);
    ASSERT_TRUE(mine->save_times({{"redis", {2.5, 100}}}));
    EXPECT_EQ(mine->times().at("redis").bytes, 100u);
}

}    // namespace
}    // namespace holdfast::recovery
