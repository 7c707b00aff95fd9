#include "holdfast/db/rdb.hpp"

#include <fcntl.h>
#include <fmt/core.h>

#include "holdfast/db/rdb_value.hpp"
#include "holdfast/os/file.hpp"

namespace holdfast::db {
namespace {

constexpr unsigned k_version_max = 12, k_version_with_checksum = 5;

enum : std::uint8_t {
    k_slot_info = 244,
    k_function = 245,
    k_module_aux = 247,
    k_idle = 248,
    k_frequency = 249,
    k_aux = 250,
    k_resize = 251,
    k_expires_ms = 252,
    k_expires_s = 253,
    k_select = 254,
    k_end = 255,
};

class RdbReader {
public:
    RdbReader(RdbSource source, const RdbOptions& options) : input_(std::move(source)), options_(options) {
        if (!options.digests) hashes_ = {RdbHash::none(), RdbHash::none()};
    }

    Result<RdbSummary> read() {
        HF_DO(read_head());
        if (options_.copy)
            input_.tap([this](ByteView bytes) -> Status {
                if (begun_) return options_.copy->bytes(bytes);
                held_.insert(held_.end(), bytes.begin(), bytes.end());
                return {};
            });
        for (;;) {
            HF_TRY(const std::uint8_t opcode, input_.byte());
            if (opcode == k_end) break;
            HF_DO(read_part(opcode));
            HF_DO(end_part(opcode));
        }
        HF_DO(read_tail());
        summary_.bytes = input_.offset();
        return std::move(summary_);
    }

private:
    // "REDIS0010"
    Status read_head() {
        std::array<char, 9> head;
        HF_DO(input_.read(std::as_writable_bytes(std::span(head))));
        unsigned version = 0;
        bool sound = std::string_view(head.data(), 5) == "REDIS";
        for (std::size_t i = 5; i < head.size(); ++i) {
            sound = sound && head[i] >= '0' && head[i] <= '9';
            version = version * 10 + static_cast<unsigned>(head[i] - '0');
        }
        if (!sound || version == 0)
            return fail(ErrorCode::corrupt, "this is no RDB: it does not begin with REDIS and a version");
        if (version > k_version_max)
            return fail(ErrorCode::unsupported,
                        fmt::format("the RDB has version {}, we know up to {}", version, k_version_max),
                        "use a holdfast that is newer than the server");
        summary_.version = version;
        return {};
    }

    // What has come of the part waited for its name.
    Status begin_part(RdbCopy::Part part, std::string_view name = {}) {
        if (!options_.copy) return {};
        HF_DO(input_.drain());
        HF_DO(options_.copy->begin(part, database_, name));
        begun_ = true;
        HF_DO(options_.copy->bytes(held_));
        held_.clear();
        return {};
    }
    Status end_part(std::uint8_t opcode) {
        // These stand before the key that they are about.
        if (!options_.copy ||
            (opcode == k_expires_ms || opcode == k_expires_s || opcode == k_idle || opcode == k_frequency))
            return {};
        if (!begun_) HF_DO(begin_part(RdbCopy::Part::other));
        HF_DO(input_.drain());
        begun_ = false;
        return {};
    }

    Status read_part(std::uint8_t opcode) {
        switch (opcode) {
            case k_select: {
                HF_TRY(database_, input_.length());
                return begin_part(RdbCopy::Part::database);
            }
            case k_resize: {
                HF_DO(input_.length());
                HF_DO(input_.length());
                return {};
            }
            case k_slot_info: {
                for (int i = 0; i < 3; ++i) HF_DO(input_.length());
                return {};
            }
            case k_aux: {
                HF_TRY(const std::string name, input_.string());
                HF_DO(begin_part(RdbCopy::Part::aux, name));
                HF_TRY(std::string value, input_.string());
                if (name == "redis-ver" || name == "valkey-ver") summary_.server_version = std::move(value);
                return {};
            }
            case k_function: {
                HF_DO(begin_part(RdbCopy::Part::function));
                HF_DO(input_.hash_string(hashes_.value));
                summary_.functions_sum.add(hashes_.value.finish());
                ++summary_.functions;
                return {};
            }
            case k_module_aux: {
                // id | opcode and value of "when" | the module's own fields. Not part of any key, so not of the digest.
                HF_DO(begin_part(RdbCopy::Part::module_aux));
                HF_DO(input_.length());
                HF_DO(input_.length());
                HF_DO(input_.length());
                HF_DO(read_rdb_module(input_, hashes_.value));
                hashes_.value.finish();
                return {};
            }
            case k_expires_ms: {
                HF_TRY(expires_ms_, input_.little_endian<std::int64_t>());
                return {};
            }
            case k_expires_s: {
                HF_TRY(const auto seconds, input_.little_endian<std::int32_t>());
                expires_ms_ = std::int64_t(seconds) * 1000;
                return {};
            }
            case k_idle: {
                HF_DO(input_.length());
                return {};
            }
            case k_frequency: {
                HF_DO(input_.byte());
                return {};
            }
            default:
                return read_key(opcode);
        }
    }

    Status read_key(std::uint8_t type) {
        const std::string_view type_name = rdb_type_name(type);
        if (type_name.empty())
            return fail(ErrorCode::unsupported,
                        fmt::format("the RDB holds something of type {} at byte {}, which we do not know", type,
                                    input_.offset() - 1),
                        "use a holdfast that is newer than the server");
        HF_TRY(const std::string name, input_.string());
        HF_DO(begin_part(RdbCopy::Part::key, name));
        HF_TRY(const Id value, read_rdb_value(input_, type, hashes_));
        RdbHash& hash = hashes_.value;
        hash.number(database_);
        hash.text(name);
        hash.text(type_name);
        hash.number(static_cast<std::uint64_t>(expires_ms_));
        hash.id(value);
        const RdbKey key{database_, name, expires_ms_, hash.finish()};
        expires_ms_ = -1;

        RdbSummary::Database& database = summary_.databases[database_];
        ++database.keys;
        ++summary_.keys;
        if (key.expires_ms != -1) {
            ++database.expires;
            ++summary_.expires;
        }
        count_type(type_name);
        summary_.keys_sum.add(key.hash);
        if (options_.on_key) options_.on_key(key);
        return {};
    }

    void count_type(std::string_view name) {
        // Most keys are of the type of the one before.
        if (!last_type_ || last_type_->first != name)
            last_type_ = &*summary_.types.try_emplace(std::string(name)).first;
        ++last_type_->second;
    }

    Status read_tail() {
        if (summary_.version >= k_version_with_checksum) {
            const std::uint64_t computed = input_.crc();
            HF_TRY(const auto stored, input_.little_endian<std::uint64_t>());
            summary_.has_checksum = stored != 0;
            if (stored != 0 && stored != computed)
                return fail(ErrorCode::corrupt,
                            fmt::format("the RDB's checksum is {:016x}, its content gives {:016x}", stored, computed));
        }
        HF_TRY(const bool at_end, input_.at_end());
        if (!at_end) return input_.corrupt("something follows its end");
        return {};
    }

    RdbInput input_;
    const RdbOptions& options_;
    RdbSummary summary_;
    RdbHashes hashes_;
    std::uint64_t database_ = 0;
    std::int64_t expires_ms_ = -1;
    Bytes held_;    // of a part whose name is not known yet
    bool begun_ = false;
    std::pair<const std::string, std::uint64_t>* last_type_ = nullptr;
};

}    // namespace

std::string RdbSummary::digest_of(const RdbSum& keys, const RdbSum& functions) {
    RdbHash hash;
    hash.text("holdfast redis digest 1");
    hash.id(keys.value());
    hash.id(functions.value());
    return hash.finish().hex();
}

Result<RdbSummary> read_rdb(RdbSource source, const RdbOptions& options) {
    return RdbReader(std::move(source), options).read();
}

Result<RdbSummary> read_rdb_file(const std::string& path, const RdbOptions& options) {
    HF_TRY(const os::Fd fd, os::open_file(path, O_RDONLY));
    auto summary = read_rdb([&](ByteSpan to) { return os::read_some(fd.get(), to); }, options);
    if (!summary) return fail(std::move(summary).error().within(path));
    return summary;
}

}    // namespace holdfast::db
