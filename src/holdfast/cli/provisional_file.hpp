#pragma once
// A new file that goes again unless the command that made it succeeds.

#include <string>
#include <string_view>
#include <utility>

#include "holdfast/base/result.hpp"

namespace holdfast::cli {

class ProvisionalFile {
public:
    /// 0600, durable, its folders made. exists when the name is taken: nothing is ever overwritten.
    static Result<ProvisionalFile> write(const std::string& path, std::string_view content);
    ProvisionalFile() = default;
    ProvisionalFile(ProvisionalFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
    ProvisionalFile& operator=(ProvisionalFile&& other) noexcept {
        std::swap(path_, other.path_);
        return *this;
    }
    ~ProvisionalFile();
    void keep() { path_.clear(); }

private:
    explicit ProvisionalFile(std::string path) : path_(std::move(path)) {}
    std::string path_;
};

}    // namespace holdfast::cli
