#pragma once
// A few threads that read changed files and feed them to the pipeline.
//
//   threads  add() from any thread; it waits while enough files are open already
//   errors   each file's own: through its callback

#include <sys/stat.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "holdfast/os/fd.hpp"
#include "holdfast/vault/chunk_feeder.hpp"

namespace holdfast::vault {

class FileReaders {
public:
    struct File {
        os::Fd fd;
        struct stat st{};
        /// Called once, from any thread: all chunks are stored (or the pipeline has failed), or why it could not be read.
        std::function<void(Result<std::shared_ptr<Content>>)> done;
    };

    FileReaders(Pipeline& pipeline, const Chunkers& chunkers, unsigned threads);
    ~FileReaders();
    void add(File file);

private:
    void read_loop();
    void read(File file);

    Pipeline& pipeline_;
    const Chunkers& chunkers_;
    std::mutex mutex_;
    std::condition_variable ready_, room_;
    std::deque<File> files_;
    bool ending_ = false;
    std::vector<std::thread> threads_;
};

}    // namespace holdfast::vault
