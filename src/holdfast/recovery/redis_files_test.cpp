#include "holdfast/recovery/redis_files.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "holdfast/os/file.hpp"

namespace holdfast::recovery {
namespace {

class RedisFilesSwitch : public ::testing::Test {
protected:
    void write(const std::string& name, std::string_view text) {
        ASSERT_TRUE(os::make_folders(os::parent_folder(files_.folder + "/" + name)));
        ASSERT_TRUE(os::write_file(files_.folder + "/" + name, as_bytes(text)));
    }
    std::string read(const std::string& name) { return os::read_text(files_.folder + "/" + name).value_or("(none)"); }
    void write_old() {
        write("dump.rdb", "old rdb");
        write("appendonlydir/appendonly.aof.3.base.rdb", "old base");
        write("appendonlydir/appendonly.aof.7.incr.aof", "old incr");
        write("appendonlydir/appendonly.aof.manifest",
              "file appendonly.aof.3.base.rdb seq 3 type b\nfile appendonly.aof.7.incr.aof seq 7 type i\n");
    }
    // What a server with appendonly yes would load: the content of all files that the manifest names, in order.
    std::string appended() {
        const std::string manifest = read("appendonlydir/appendonly.aof.manifest");
        std::string all;
        std::size_t at = 0;
        while ((at = manifest.find("file ", at)) != std::string::npos) {
            at += 5;
            all += read("appendonlydir/" + manifest.substr(at, manifest.find(' ', at) - at)) + "|";
        }
        return all;
    }
    Result<std::optional<std::string>> replace() {
        const std::string staged = files_.folder + "/staged";
        HF_DO(os::write_file(staged, as_bytes("new rdb")));
        return switch_redis_files(files_, staged, {::geteuid(), ::getegid()}, {});
    }

    // replace() in a child that is killed at its n-th entry to or return from the kernel; false when it ends before.
    bool run_until_stop(unsigned stops) {
        const pid_t child = ::fork();
        if (child == 0) {
            ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
            ::raise(SIGSTOP);
            ::_exit(replace() ? 0 : 1);
        }
        int status = 0;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        for (unsigned n = 0; n < stops && WIFSTOPPED(status); ++n) {
            EXPECT_EQ(::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr), 0);
            EXPECT_EQ(::waitpid(child, &status, 0), child);
        }
        if (WIFSTOPPED(status)) {
            ::kill(child, SIGKILL);
            EXPECT_EQ(::waitpid(child, &status, 0), child);
            return true;
        }
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        return false;
    }

    // In memory: what a kill leaves does not depend on the disk, and hundreds of syncs do not wait for it.
    os::TempFolder temp_ = *os::TempFolder::create("hf-redis-files-", "/dev/shm");
    RedisFiles files_{temp_.path() + "/data"};
};

TEST_F(RedisFilesSwitch, ReplacesAnAppendOnlyServersFilesAndKeepsTheOld) {
    files_.append_only = true;
    write_old();
    write("appendonly.aof", "older still");
    const auto aside = replace();
    ASSERT_TRUE(aside) << aside.error().message;
    EXPECT_EQ(**aside, files_.folder + "/replaced-19700101T000000");
    EXPECT_EQ(appended(), "new rdb||");
    EXPECT_EQ(read("dump.rdb"), "new rdb");
    EXPECT_EQ(os::list_folder(files_.append_path()).value(),
              (std::vector<std::string>{"appendonly.aof.8.base.rdb", "appendonly.aof.8.incr.aof",
                                        "appendonly.aof.manifest"}));
    EXPECT_EQ(os::list_folder(files_.folder).value(),
              (std::vector<std::string>{"appendonlydir", "dump.rdb", "replaced-19700101T000000"}));
    EXPECT_EQ(read("replaced-19700101T000000/dump.rdb"), "old rdb");
    EXPECT_EQ(read("replaced-19700101T000000/appendonly.aof"), "older still");
    EXPECT_EQ(read("replaced-19700101T000000/appendonlydir/appendonly.aof.7.incr.aof"), "old incr");
    EXPECT_EQ(read("replaced-19700101T000000/appendonlydir/appendonly.aof.manifest").substr(0, 30),
              "file appendonly.aof.3.base.rdb");

    ASSERT_TRUE(replace());    // a second one in the same second has a folder of its own
    EXPECT_EQ(read("replaced-19700101T000000-2/dump.rdb"), "new rdb");
    EXPECT_EQ(appended(), "new rdb||");
}

TEST_F(RedisFilesSwitch, RemovesAnOldLogWhereNoneIsUsed) {
    write_old();
    ASSERT_TRUE(replace());
    EXPECT_EQ(read("dump.rdb"), "new rdb");
    EXPECT_FALSE(os::exists(files_.append_path()));
    EXPECT_EQ(read("replaced-19700101T000000/appendonlydir/appendonly.aof.3.base.rdb"), "old base");
}

TEST_F(RedisFilesSwitch, PutsNothingAsideWhereNothingIs) {
    ASSERT_TRUE(os::make_folders(files_.folder));
    EXPECT_EQ(redis_data_in(files_), "");
    const auto aside = replace();
    ASSERT_TRUE(aside);
    EXPECT_FALSE(*aside);
    EXPECT_EQ(redis_data_in(files_), "dump.rdb");
}

// Killed before or after any of its system calls: what a server would load is the old data or the new.
TEST_F(RedisFilesSwitch, KilledAtAnyInstantLeavesTheOldOrTheNew) {
    for (const bool append_only : {true, false}) {
        files_.append_only = append_only;
        bool killed = true, was_new = false;
        unsigned old_ones = 0, new_ones = 0;
        for (unsigned stops = 0; killed; ++stops) {
            ASSERT_TRUE(os::remove_tree(files_.folder));
            write_old();
            killed = run_until_stop(stops);
            const std::string loaded = append_only ? appended() : read("dump.rdb");
            const bool is_old = loaded == (append_only ? "old base|old incr|" : "old rdb");
            const bool is_new = loaded == (append_only ? "new rdb||" : "new rdb");
            ASSERT_TRUE(is_old || is_new) << "after " << stops << " stops a server would load " << loaded;
            ASSERT_TRUE(is_new || !was_new) << "there is one switch, and it is not taken back";
            was_new = is_new;
            old_ones += is_old;
            new_ones += is_new;
        }
        EXPECT_GT(old_ones, 10u);
        EXPECT_GT(new_ones, 10u);
    }
}

}    // namespace
}    // namespace holdfast::recovery
