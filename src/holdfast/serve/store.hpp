#pragma once
// The repositories below the server's folder, and the bytes they may take together.
//
//   quota     bytes are reserved before an upload's first byte is taken and given back when it fails, so many uploads at
//             once cannot overrun it; counted from the disk at the start
//   threads   any

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "holdfast/serve/route.hpp"
#include "holdfast/storage/backend.hpp"

namespace holdfast::serve {

class Store {
public:
    /// `size_max` 0: no limit. The folder is made when it is not there.
    static Result<std::unique_ptr<Store>> open(const std::string& folder, std::uint64_t size_max);

    std::shared_ptr<storage::Backend> repository(const Route& route);
    /// For reading a file in pieces.
    std::string path_of(const Route& route) const;

    bool reserve(std::uint64_t bytes);
    void give_back(std::uint64_t bytes);
    std::uint64_t used() const;
    std::uint64_t size_max() const { return size_max_; }

private:
    Store(std::string folder, std::uint64_t size_max) : folder_(std::move(folder)), size_max_(size_max) {}
    const std::string folder_;
    const std::uint64_t size_max_;
    mutable std::mutex mutex_;
    std::map<std::string, std::shared_ptr<storage::Backend>> repositories_;
    std::uint64_t used_ = 0;
};

}    // namespace holdfast::serve
