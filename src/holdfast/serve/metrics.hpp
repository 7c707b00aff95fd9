#pragma once
// What the server counts, in Prometheus' text form. The blob counters are named and labelled as rest-server names them, so
// that its dashboards fit.
//
//   threads   any

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>

namespace holdfast::serve {

class Metrics {
public:
    enum class Blob { write, read, remove };

    void count_request(std::string_view method, int status);
    void count_blob(Blob what, const std::string& user, const std::string& repository, std::string_view type,
                    std::uint64_t bytes);

    struct Gauges {
        unsigned connections = 0;
        std::uint64_t used_bytes = 0, max_bytes = 0;    // max 0: no limit
    };
    std::string text(const Gauges& gauges) const;

private:
    struct Pair {
        std::uint64_t count = 0, bytes = 0;
    };
    using Labels = std::tuple<std::string, std::string, std::string>;    // user, repo, type
    mutable std::mutex mutex_;
    std::map<std::pair<std::string, int>, std::uint64_t> requests_;
    std::array<std::map<Labels, Pair>, 3> blobs_;
};

}    // namespace holdfast::serve
