#pragma once
// A file that is written front to back through a buffer, as the data set's writers want it.

#include <fcntl.h>

#include <string>

#include "holdfast/base/bytes.hpp"
#include "holdfast/os/file.hpp"

namespace holdfast::testing {

class DatasetFile {
public:
    /// Creates or empties the file; with `append`, goes on at its end.
    static Result<DatasetFile> open(const std::string& path, bool append = false) {
        HF_TRY(os::Fd fd, os::open_file(path, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC), 0644));
        return DatasetFile(std::move(fd));
    }
    /// What is put here reaches the file with the next flush_if_full() or finish().
    std::string& text() { return text_; }
    std::uint64_t size() const { return written_ + text_.size(); }
    Status flush_if_full() { return text_.size() < k_buffer_bytes ? Status() : flush(); }
    Status finish() { return flush(); }

private:
    static constexpr std::size_t k_buffer_bytes = 1 << 20;
    explicit DatasetFile(os::Fd fd) : fd_(std::move(fd)) {}
    Status flush() {
        HF_DO(os::write_all(fd_.get(), as_bytes(text_)));
        written_ += text_.size();
        text_.clear();
        return {};
    }
    os::Fd fd_;
    std::string text_;
    std::uint64_t written_ = 0;
};

}    // namespace holdfast::testing
