#pragma once
// A modern ClickHouse engine (libchdb 26.x) behind hf-chdb-front, with the same surface as ClickHouseServer. The library
// is looked for at $HF_ENGINES/chdb/libchdb.so, else ~/.cache/holdfast/chdb/libchdb.so (scripts/fetch-engines.sh
// --with-chdb puts it there).
//
//   users    any without a password (all are `default`); `guarded` must show `guarded-key`; `trader` is there to be listed
//   errors   not_found without the library, store when it does not answer within 30 s

#include <optional>
#include <string>

#include "holdfast/os/file.hpp"
#include "holdfast/os/process.hpp"

namespace holdfast::testing {

class ChdbServer {
public:
    /// `front` is the path of hf-chdb-front (a test knows it as HF_BIN_DIR "/hf-chdb-front").
    static Result<ChdbServer> start(const std::string& front);

    std::string url() const;
    const std::string& data_folder() const { return data_; }
    std::string backups() const;    // where BACKUP may write
    pid_t pid() const { return process_->pid(); }
    void kill();
    Status restart();
    Status wipe();

private:
    ChdbServer(os::TempFolder folder, std::string front, std::string library, std::uint16_t port);

    os::TempFolder folder_;
    std::string data_, front_, library_;
    std::uint16_t port_;
    std::optional<os::Process> process_;
};

}    // namespace holdfast::testing
